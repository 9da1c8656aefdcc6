//! Whether a process is in a pid namespace, or in one below it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use crate::process::ProcessError;
use crate::process::namespaces::Namespace;
use crate::sys::namespaces::{Kind, parent};

/// Pid namespaces are nested at most so deep: the kernel's own limit.
const DEEPEST: usize = 32;

/// The pid namespace of a process, of which a descriptor may be at hand.
///
/// # Errors
/// When the process is gone, or we may not look at it.
pub(super) fn of(pid: u32, pidfd: Option<BorrowedFd<'_>>) -> Result<Namespace, ProcessError> {
    Namespace::of(pid, pidfd, Kind::Pid)
}

/// Whether `wanted` is `found`, the namespace of process `pid`, or one above it.
pub(super) fn is_below(wanted: Namespace, found: Namespace, pid: u32) -> bool {
    if found == wanted {
        return true;
    }
    let Ok(file) = File::open(format!("/proc/{pid}/ns/pid")) else { return false };
    // Above our own there is nothing that we may see.
    let mut at = parent(file.as_fd());
    for _ in 0..DEEPEST {
        let Ok(above) = at.map(File::from) else { return false };
        if above.metadata().is_ok_and(|found| Namespace::from(&found) == wanted) {
            return true;
        }
        at = parent(above.as_fd());
    }
    false
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_namespace_is_below_itself_and_below_the_one_that_it_was_made_in() {
        let own = of(std::process::id(), None).unwrap();
        assert!(is_below(own, own, std::process::id()));
        let child = Command::new("unshare")
            .args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "sleep", "30"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap();
        let inner = (0..500).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let path = format!("/proc/{0}/task/{0}/children", child.id());
            let inner = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
            of(inner, None).ok().filter(|found| *found != own).map(|_| inner)
        });
        let found = inner.map(|pid: u32| {
            let inner = of(pid, None).unwrap();
            (is_below(own, inner, pid), is_below(inner, own, std::process::id()))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, Some((true, false)), "no namespace could be made");
    }
}
