//! Every syscall and every `unsafe` of this crate: namespaces, sessions, signals, reaping, local time.
//! It decides nothing; what to do with a result is its callers' business.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::process::Pid;

/// A moment in local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub(crate) year: i32,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
}

/// Seconds since the epoch in local time; `None` when the C library cannot say.
pub(crate) fn local_time(seconds: i64) -> Option<LocalTime> {
    let mut tm = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to live values of the right type; all-zero is a valid `tm`.
    let tm = unsafe {
        if libc::localtime_r(&raw const seconds, tm.as_mut_ptr()).is_null() {
            return None;
        }
        tm.assume_init()
    };
    Some(LocalTime {
        year: tm.tm_year + 1900,
        month: u32::try_from(tm.tm_mon + 1).ok()?,
        day: u32::try_from(tm.tm_mday).ok()?,
        hour: u32::try_from(tm.tm_hour).ok()?,
        minute: u32::try_from(tm.tm_min).ok()?,
        second: u32::try_from(tm.tm_sec).ok()?,
    })
}

/// The seconds since the epoch of a local time; `None` when the C library cannot say.
pub(crate) fn from_local_time(t: LocalTime) -> Option<i64> {
    // SAFETY: all-zero is a valid `tm`: numbers, and a null zone name that mktime only writes.
    let mut tm: libc::tm = unsafe { MaybeUninit::zeroed().assume_init() };
    tm.tm_year = t.year - 1900;
    tm.tm_mon = i32::try_from(t.month).ok()? - 1;
    tm.tm_mday = i32::try_from(t.day).ok()?;
    tm.tm_hour = i32::try_from(t.hour).ok()?;
    tm.tm_min = i32::try_from(t.minute).ok()?;
    tm.tm_sec = i32::try_from(t.second).ok()?;
    tm.tm_isdst = -1;
    // SAFETY: `tm` is a live value that mktime may normalise in place.
    let seconds = unsafe { libc::mktime(&raw mut tm) };
    (seconds != -1).then_some(seconds)
}

/// Lets a closed pipe end this process quietly, as it ends `cat`; the Rust runtime had it ignored.
pub(crate) fn end_on_closed_pipe() {
    restore_default(libc::SIGPIPE);
}

/// Whether this process was started with the signal ignored, as `nohup` does.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; `old` is live and large enough.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) == 0
            && old.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Gives a signal its default disposition.
pub(crate) fn restore_default(signal: i32) {
    // SAFETY: SIG_DFL is a valid disposition for every signal that can have one.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
}

/// Gives this process (and what it starts) a mount table of its own, which follows the host's but not the other way.
///
/// # Errors
/// `EPERM` without the right to; nothing has changed then.
pub(crate) fn private_mounts() -> io::Result<()> {
    // SAFETY: of the flags only NEWNS is given: descriptors stay shared and valid, and the working directory and root
    // are the same places in the copied table.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)? };
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    Ok(mount_change("/", flags)?)
}

/// This process's mount namespace, to come back to.
///
/// # Errors
/// Those of `open(2)`.
pub(crate) fn mounts() -> io::Result<OwnedFd> {
    Ok(std::fs::File::open("/proc/self/ns/mnt")?.into())
}

/// Shows `source` in the place of `target`, in this process's mount table.
///
/// # Errors
/// Those of `mount(2)`.
pub(crate) fn bind(source: &Path, target: &Path) -> io::Result<()> {
    Ok(mount_bind(source, target)?)
}

/// Undoes a [`bind`], also while somebody reads the file.
///
/// # Errors
/// Those of `umount(2)`.
pub(crate) fn unbind(target: &Path) -> io::Result<()> {
    Ok(rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH)?)
}

/// Makes orphans among our descendants come back to us.
///
/// # Errors
/// Those of `prctl(2)`; kernels since 3.4 have none.
pub(crate) fn become_subreaper() -> io::Result<()> {
    // Any value but `None` switches it on; it is this process that is meant.
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Starts the command in a session of its own, so that it has no terminal to stop at.
pub(crate) fn in_new_session(command: &mut Command) {
    // SAFETY: setsid is async-signal-safe and touches no memory.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(io::Error::from));
    }
}

/// Starts the command as a daemon: not our child, a session of its own. Gives a descriptor of the daemon's process,
/// which is readable once it has ended.
///
/// # Errors
/// Those of pipe, fork and execve.
pub(crate) fn spawn_daemon(command: &mut Command, mounts: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    let (read, write) = io::pipe()?;
    let raw = write.as_raw_fd();
    let mounts = mounts.map(AsRawFd::as_raw_fd);
    // SAFETY: between fork and exec only fork, _exit, setns, setsid, getpid and write are called, which take no lock and
    // no memory; `raw` and `mounts` stay open until `spawn` has returned, since their owners live longer.
    unsafe {
        command.pre_exec(move || {
            match libc::fork() {
                -1 => return Err(io::Error::last_os_error()),
                0 => {}
                _ => libc::_exit(0),
            }
            if let Some(mounts) = mounts
                && libc::setns(mounts, libc::CLONE_NEWNS) < 0
            {
                return Err(io::Error::last_os_error());
            }
            rustix::process::setsid()?;
            let pid = libc::getpid().to_ne_bytes();
            if libc::write(raw, pid.as_ptr().cast(), pid.len()) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    // What `spawn` has started is only the process in between, which has ended by itself.
    command.spawn()?.wait()?;
    drop(write);
    let mut pid = [0; 4];
    io::Read::read_exact(&mut io::BufReader::new(read), &mut pid)?;
    let pid = Pid::from_raw(i32::from_ne_bytes(pid)).ok_or(io::ErrorKind::NotFound)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Signals that are taken one by one from a descriptor instead of interrupting.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
    before: libc::sigset_t,
}

/// A signal that came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    /// Which.
    pub(crate) signal: i32,
    /// Another process sent it, rather than the terminal or the kernel.
    pub(crate) sent: bool,
}

impl Signals {
    /// Blocks the signals and takes them from then on.
    ///
    /// # Errors
    /// Those of `signalfd(2)`.
    pub(crate) fn take(signals: &[i32]) -> io::Result<Self> {
        // SAFETY: the sets are live values that are initialised before they are read; the new descriptor is ours.
        unsafe {
            let mut set = MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
            let mut before = set;
            libc::sigemptyset(&raw mut set);
            for &signal in signals {
                libc::sigaddset(&raw mut set, signal);
            }
            let problem = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
            if problem != 0 {
                return Err(io::Error::from_raw_os_error(problem));
            }
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { fd: OwnedFd::from_raw_fd(fd), before })
        }
    }

    /// The next signal, waited for at most so many milliseconds (-1: for ever); `None` when none came.
    ///
    /// # Errors
    /// Those of `poll(2)` and `read(2)`.
    pub(crate) fn next(&self, timeout_ms: i32) -> io::Result<Option<Came>> {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: `poll` is one live entry; `info` has `size` bytes, and every pattern of them is valid.
        let info = unsafe {
            match libc::poll(&raw mut poll, 1, timeout_ms) {
                -1 => {
                    let error = io::Error::last_os_error();
                    // Stopped and continued: as if the time were up, the caller looks again.
                    let interrupted = error.kind() == io::ErrorKind::Interrupted;
                    return if interrupted { Ok(None) } else { Err(error) };
                }
                0 => return Ok(None),
                _ => {}
            }
            if libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size) < 0 {
                return Err(io::Error::last_os_error());
            }
            info.assume_init()
        };
        let signal = i32::try_from(info.ssi_signo).unwrap_or_default();
        Ok(Some(Came { signal, sent: info.ssi_code <= 0 }))
    }

    /// Starts the command with the signals as they were before they were taken.
    pub(crate) fn restore_in(&self, command: &mut Command) {
        let before = self.before;
        // SAFETY: pthread_sigmask is async-signal-safe; the set was filled by the kernel.
        unsafe {
            command.pre_exec(move || {
                match libc::pthread_sigmask(
                    libc::SIG_SETMASK,
                    &raw const before,
                    std::ptr::null_mut(),
                ) {
                    0 => Ok(()),
                    problem => Err(io::Error::from_raw_os_error(problem)),
                }
            });
        }
    }
}

/// Ends this process by the signal, without a core file, so that whoever waits for it sees what happened. Returns only
/// when the signal does not end it.
pub(crate) fn die_by(signal: i32) {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    // A core file of ours would be mistaken for one of the command's; if it cannot be prevented, so be it.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    // SAFETY: the set is initialised before use; SIG_DFL is a valid disposition.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::signal(signal, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::raise(signal);
    }
}

/// Whether this process may execute the file: its real rights, as the shells ask.
pub(crate) fn is_executable(path: &Path) -> bool {
    let Ok(text) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: `text` is a live string that a NUL ends.
    let may = unsafe { libc::access(text.as_ptr(), libc::X_OK) == 0 };
    may && path.is_file()
}
