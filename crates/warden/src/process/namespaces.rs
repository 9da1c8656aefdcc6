//! The namespaces a process is in. Two processes share one when device and inode of its file are the same.

use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use super::proc::ProcessError;
use crate::sys;
use crate::sys::namespaces::Kind;

/// One namespace: the file that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Namespace {
    /// Device of the file.
    pub device: u64,
    /// Inode of the file.
    pub inode: u64,
}

/// The namespaces that decide whether a caller's ids and paths mean the same as ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Namespaces {
    /// User namespace: what a uid means.
    pub user: Namespace,
    /// Mount namespace: what a path means.
    pub mount: Namespace,
    /// Pid namespace: what a pid means.
    pub pid: Namespace,
}

impl Namespaces {
    /// Those of a process.
    ///
    /// # Errors
    /// When the process is gone, or we may not look at it (which takes the right to trace it).
    pub fn of(pid: u32) -> Result<Self, ProcessError> {
        Self::under(pid, None, None)
    }

    /// The same where a descriptor of the process is at hand, and the mount namespace may be known.
    ///
    /// # Errors
    /// As [`Namespaces::of`].
    pub(crate) fn under(
        pid: u32,
        pidfd: Option<BorrowedFd<'_>>,
        mount: Option<Namespace>,
    ) -> Result<Self, ProcessError> {
        Ok(Self {
            user: Namespace::of(pid, pidfd, Kind::User)?,
            mount: mount.map_or_else(|| Namespace::of(pid, pidfd, Kind::Mount), Ok)?,
            pid: Namespace::of(pid, pidfd, Kind::Pid)?,
        })
    }

    /// Those of this process.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn own() -> Result<Self, ProcessError> {
        Self::of(std::process::id())
    }
}

/// Whether a process lives in a pid namespace below that of our /proc. Anybody may ask, of anybody's process.
///
/// # Errors
/// When the process is gone.
pub fn is_below(pid: u32) -> Result<bool, ProcessError> {
    let text = super::proc::read(pid, "status")?;
    let mut lines = text.split(|&b| b == b'\n');
    let numbers = lines
        .find_map(|line| line.strip_prefix(b"NSpid:"))
        .map(|line| line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count());
    match numbers {
        Some(1) => Ok(false),
        Some(2..) => Ok(true),
        _ => Err(ProcessError::Malformed { pid, file: "status", what: "NSpid" }),
    }
}

impl Namespace {
    /// That of process `pid`; by a descriptor of it, where there is one and the kernel can: by /proc it takes nearly twice
    /// as long.
    ///
    /// # Errors
    /// As [`Namespaces::of`].
    pub(crate) fn of(
        pid: u32,
        pidfd: Option<BorrowedFd<'_>>,
        kind: Kind,
    ) -> Result<Self, ProcessError> {
        let by_descriptor = pidfd.and_then(|pidfd| sys::namespaces::of(pidfd, kind).ok());
        if let Some(found) = by_descriptor.and_then(|file| File::from(file).metadata().ok()) {
            return Ok(Self::from(&found));
        }
        let file = match kind {
            Kind::Mount => "ns/mnt",
            Kind::Pid => "ns/pid",
            Kind::User => "ns/user",
        };
        match fs::metadata(format!("/proc/{pid}/{file}")) {
            Ok(found) => Ok(Self::from(&found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ProcessError::Gone { pid })
            }
            Err(source) => Err(ProcessError::Read { pid, file, source }),
        }
    }
}

/// Of the file that stands for it.
impl From<&fs::Metadata> for Namespace {
    fn from(found: &fs::Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_plain_child_shares_all_of_ours() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(Namespaces::of(child.id()).unwrap(), Namespaces::own().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Namespaces::of(child.id()).is_err());
    }

    #[test]
    fn a_descriptor_tells_the_same_as_a_number() {
        let (pid, own) = (std::process::id(), Namespaces::own().unwrap());
        let pidfd = crate::process::pidfd::open(pid).unwrap();
        assert_eq!(Namespaces::under(pid, Some(pidfd.as_fd()), None).unwrap(), own);
        // Who tells exit codes by a descriptor, from 6.15 on, tells namespaces as well.
        let told = sys::namespaces::of(pidfd.as_fd(), Kind::User);
        assert!(told.is_ok() || !crate::process::ExitInfo::probe().is_available(), "{told:?}");
        // What is no such descriptor tells nothing, and the number does.
        let other = File::open("/dev/null").unwrap();
        assert_eq!(Namespaces::under(pid, Some(other.as_fd()), None).unwrap(), own);
        let known = Namespace { device: 1, inode: 2 };
        assert_eq!(Namespaces::under(pid, None, Some(known)).unwrap().mount, known);
    }

    #[test]
    fn a_process_of_our_own_pid_namespace_is_not_below_it_and_one_of_another_is() {
        assert!(!is_below(std::process::id()).unwrap());
        assert!(is_below(u32::MAX).is_err());
        let mut command = Command::new("unshare");
        let options: &[&str] =
            if rustix::process::geteuid().is_root() { &["-pf"] } else { &["-Urpf"] };
        let mut outer = command.args(options).args(["sleep", "60"]).spawn().unwrap();
        let children = format!("/proc/{0}/task/{0}/children", outer.id());
        let start = std::time::Instant::now();
        let inner: Option<u32> = loop {
            let child = fs::read_to_string(&children).unwrap().trim().parse().ok();
            let tried = outer.try_wait().unwrap().is_some();
            if child.is_some() || tried || start.elapsed().as_secs() > 10 {
                break child;
            }
        };
        match inner {
            Some(inner) => assert!(is_below(inner).unwrap()),
            None => eprintln!("not tried: no pid namespace can be made here"),
        }
        // Its child is ended by the namespace's end, or by this.
        if let Some(pid) =
            inner.and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?))
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = outer.kill();
        outer.wait().unwrap();
    }

    #[test]
    fn the_three_differ_from_each_other() {
        let own = Namespaces::own().unwrap();
        assert_ne!(own.user, own.mount);
        assert_ne!(own.mount, own.pid);
    }
}
