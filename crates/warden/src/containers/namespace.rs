//! Whether a process is in a pid namespace, or in one below it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use crate::process::namespaces::Namespace;
use crate::sys::namespaces::parent;

/// Pid namespaces are nested at most so deep: the kernel's own limit.
const DEEPEST: usize = 32;

/// The pid namespace of a process.
pub(super) fn of(pid: u32) -> io::Result<(Namespace, File)> {
    let file = File::open(format!("/proc/{pid}/ns/pid"))?;
    Ok((read(&file)?, file))
}

/// Whether `wanted` is the namespace behind `file`, or one above it.
pub(super) fn is_below(wanted: Namespace, (found, file): &(Namespace, File)) -> bool {
    if *found == wanted {
        return true;
    }
    // Above our own there is nothing that we may see.
    let mut at = parent(file.as_fd());
    for _ in 0..DEEPEST {
        let Ok(above) = at.map(File::from) else { return false };
        if read(&above).is_ok_and(|namespace| namespace == wanted) {
            return true;
        }
        at = parent(above.as_fd());
    }
    false
}

fn read(file: &File) -> io::Result<Namespace> {
    let found = file.metadata()?;
    Ok(Namespace { device: found.dev(), inode: found.ino() })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_namespace_is_below_itself_and_below_the_one_that_it_was_made_in() {
        let own = of(std::process::id()).unwrap();
        assert!(is_below(own.0, &of(std::process::id()).unwrap()));
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
            of(inner).ok().filter(|found| found.0 != own.0).map(|_| inner)
        });
        let found = inner.map(|pid: u32| {
            let inner = || of(pid).unwrap();
            (is_below(own.0, &inner()), is_below(inner().0, &own))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, Some((true, false)), "no namespace could be made");
    }
}
