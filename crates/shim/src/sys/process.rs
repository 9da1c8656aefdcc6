//! Processes: executing, forking, waiting, killing, limits.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::marker::PhantomData;

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use clawrden_protocol::frame::Status;

use super::{arch, call, int, signal};

/// Ends the program.
pub(crate) fn exit(code: u8) -> ! {
    loop {
        // SAFETY: the call does not return, and no memory is involved.
        let _ = unsafe { call(arch::nr::EXIT_GROUP, [usize::from(code), 0, 0, 0, 0, 0]) };
    }
}

/// Strings as execve takes them: pointers, ended by null.
pub(crate) struct Words<'a> {
    pointers: Vec<*const u8>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> Words<'a> {
    pub(crate) fn new() -> Self {
        Self { pointers: alloc::vec![core::ptr::null()], strings: PhantomData }
    }

    pub(crate) fn push(&mut self, word: &'a CStr) {
        self.put(word.as_ptr().cast());
    }

    /// Adds a copy, which is never given back: an exec follows, or the end.
    pub(crate) fn push_copy(&mut self, word: &[u8]) {
        self.put(c_string(word).into_raw().cast());
    }

    fn put(&mut self, word: *const u8) {
        if let Some(last) = self.pointers.last_mut() {
            *last = word;
        }
        self.pointers.push(core::ptr::null());
    }
}

/// Executes a file. Comes back only with what went wrong.
pub(crate) fn execute(path: &CStr, argv: &Words<'_>, env: &Words<'_>) -> Errno {
    let (argv, env) = (argv.pointers.as_ptr() as usize, env.pointers.as_ptr() as usize);
    // SAFETY: the path ends with NUL; `Words` are ended by null, their strings by NUL, and all outlive the call.
    let done = unsafe { call(arch::nr::EXECVE, [path.as_ptr() as usize, argv, env, 0, 0, 0]) };
    done.err().unwrap_or(Errno::NOEXEC)
}

/// Executes the file that is open at `fd`. Comes back only with what went wrong.
pub(crate) fn execute_open(fd: BorrowedFd<'_>, argv: &Words<'_>, env: &Words<'_>) -> Errno {
    const EMPTY_PATH: usize = 0x1000;
    let (argv, env) = (argv.pointers.as_ptr() as usize, env.pointers.as_ptr() as usize);
    let (fd, path) = (int(fd.as_raw_fd()), c"".as_ptr() as usize);
    // SAFETY: as for `execute`.
    let done = unsafe { call(arch::nr::EXECVEAT, [fd, path, argv, env, EMPTY_PATH, 0]) };
    done.err().unwrap_or(Errno::NOEXEC)
}

/// As [`execute`], and a file that the kernel does not know how to run is given to the shell, as execvp does.
pub(crate) fn execute_or_shell(path: &CStr, argv: &Words<'_>, env: &Words<'_>) -> Errno {
    let error = execute(path, argv, env);
    if error != Errno::NOEXEC {
        return error;
    }
    let mut shell = Words::new();
    shell.push(c"/bin/sh");
    shell.push(path);
    for &word in argv.pointers.iter().skip(1).take_while(|word| !word.is_null()) {
        shell.put(word);
    }
    execute(c"/bin/sh", &shell, env)
}

/// Makes a child. Gives its id in the parent, `None` in the child.
pub(crate) fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the child gets a copy of all memory and goes on on its own copy of the stack; there is one thread, so
    // that no lock can be held by another.
    let child = unsafe { call(arch::nr::CLONE, [usize::from(signal::CHLD), 0, 0, 0, 0, 0]) }?;
    Ok(i32::try_from(child).ok().and_then(Pid::from_raw))
}

/// A change of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Ended(Status),
    Stopped(u8),
}

/// What waiting for any child gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Child(Pid, Change),
    /// There are children, and none has changed.
    Nothing,
    /// There is no child.
    NoChild,
}

/// Looks for a child, any or the one given, that has ended or stopped.
pub(crate) fn wait(child: Option<Pid>, hang: bool) -> Waited {
    let mut options = WaitOptions::UNTRACED;
    if !hang {
        options |= WaitOptions::NOHANG;
    }
    loop {
        let found = match child {
            Some(child) => rustix::process::waitpid(Some(child), options),
            None => rustix::process::wait(options),
        };
        match found {
            Ok(Some((pid, status))) => {
                if let Some(change) = change(status) {
                    return Waited::Child(pid, change);
                }
            }
            Ok(None) => return Waited::Nothing,
            Err(Errno::INTR) => {}
            Err(_) => return Waited::NoChild,
        }
    }
}

fn change(status: WaitStatus) -> Option<Change> {
    let byte = |n: i32| u8::try_from(n).unwrap_or(u8::MAX);
    status
        .exit_status()
        .map(|code| Change::Ended(Status::Exited(byte(code))))
        .or_else(|| status.terminating_signal().map(|s| Change::Ended(Status::Killed(byte(s)))))
        .or_else(|| status.stopping_signal().map(|s| Change::Stopped(byte(s))))
}

/// Sets a limit of this process, and gives what it was; `None` only asks. By the kernel's numbers, `u64::MAX` is
/// no limit.
pub(crate) fn limit(resource: u32, new: Option<(u64, u64)>) -> Result<(u64, u64), Errno> {
    let new = new.map(|(soft, hard)| [soft, hard]);
    let mut old = [0u64; 2];
    // SAFETY: the kernel reads and writes two 64-bit values each; null stands for nothing to set.
    unsafe {
        let new = new.as_ref().map_or(0, |n| n.as_ptr() as usize);
        let old = old.as_mut_ptr() as usize;
        call(
            arch::nr::PRLIMIT64,
            [0, usize::try_from(resource).unwrap_or(usize::MAX), new, old, 0, 0],
        )?;
    }
    Ok((old[0], old[1]))
}

/// Resource numbers that this crate names itself.
pub(crate) const LIMIT_CORE: u32 = 4;
pub(crate) const LIMIT_FILES: u32 = 7;

/// A string for the kernel; what stands behind a NUL is lost, which no string of ours has.
pub(crate) fn c_string(bytes: &[u8]) -> CString {
    let text = bytes.split(|&b| b == 0).next().unwrap_or_default();
    // SAFETY: what stands before the first NUL holds none.
    unsafe { CString::from_vec_unchecked(text.into()) }
}
