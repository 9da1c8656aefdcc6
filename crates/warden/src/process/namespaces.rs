//! The namespaces a process is in. Two processes share one when device and inode of its file are the same.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::proc::ProcessError;

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
        Ok(Self {
            user: one(pid, "ns/user")?,
            mount: one(pid, "ns/mnt")?,
            pid: one(pid, "ns/pid")?,
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

fn one(pid: u32, file: &'static str) -> Result<Namespace, ProcessError> {
    let found = fs::metadata(format!("/proc/{pid}/{file}"));
    let found = found.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ProcessError::Gone { pid },
        _ => ProcessError::Read { pid, file, source },
    })?;
    Ok(Namespace { device: found.dev(), inode: found.ino() })
}

#[cfg(test)]
mod tests {
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
    fn the_three_differ_from_each_other() {
        let own = Namespaces::own().unwrap();
        assert_ne!(own.user, own.mount);
        assert_ne!(own.mount, own.pid);
    }
}
