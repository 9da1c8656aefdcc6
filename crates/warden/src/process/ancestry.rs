//! Whom a process descends from, and which cgroup it sits in. A walk that cannot be finished is an error, never a
//! "no": what asks here must fail closed.

use super::proc::{self, Identity, ProcessError};

/// Generations that a walk goes up. A process that lies deeper has unknown ancestors.
pub const MAX_ANCESTORS: usize = 1024;

/// Walks that are tried until two in a row agree. A tree that changes faster has unknown ancestors.
pub const MAX_WALKS: usize = 16;

/// The ancestors of a process, its parent first, up to the first process of our pid namespace.
///
/// # Errors
/// When the process is gone, or its ancestry cannot be told within [`MAX_ANCESTORS`] and [`MAX_WALKS`].
pub fn ancestors(pid: u32) -> Result<Vec<Identity>, ProcessError> {
    let mut chain = lineage(pid)?;
    chain.remove(0);
    Ok(chain)
}

/// Whether a process descends from another one. No process descends from itself.
///
/// # Errors
/// As [`ancestors`].
pub fn descends_from(pid: u32, root: Identity) -> Result<bool, ProcessError> {
    Ok(ancestors(pid)?.contains(&root))
}

/// The path of the process's version 2 cgroup below the root of our cgroup namespace; `None` where the kernel has no
/// version 2 hierarchy, or the process sits outside of what our namespace shows.
///
/// # Errors
/// When the process is gone, or the file cannot be read.
pub fn cgroup_of(pid: u32) -> Result<Option<String>, ProcessError> {
    Ok(parse_cgroup(&proc::read(pid, "cgroup")?))
}

fn parse_cgroup(text: &[u8]) -> Option<String> {
    let line = text.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    let path = std::str::from_utf8(line).ok()?;
    let inside = path.starts_with('/') && !path.split('/').any(|part| part == "..");
    inside.then(|| path.to_owned())
}

/// The process and its ancestors. One walk reads several files, and between two of them a parent can end, the child
/// be given to another parent, and the number of the dead one be used again. Then the next walk differs: the kernel
/// changes a child's parent before the parent's number is free. So two equal walks saw one true state.
fn lineage(pid: u32) -> Result<Vec<Identity>, ProcessError> {
    let mut before = walk(pid)?;
    for _ in 0..MAX_WALKS {
        let after = walk(pid)?;
        if after == before {
            return Ok(after);
        }
        before = after;
    }
    Err(ProcessError::Ancestry { pid, why: "they keep changing" })
}

fn walk(pid: u32) -> Result<Vec<Identity>, ProcessError> {
    let first = proc::stat(pid)?;
    let mut chain = vec![first.identity()];
    let mut next = first.ppid;
    while next != 0 {
        if chain.len() > MAX_ANCESTORS {
            return Err(ProcessError::Ancestry { pid, why: "there are too many of them" });
        }
        match proc::stat(next) {
            Ok(parent) => {
                chain.push(parent.identity());
                next = parent.ppid;
            }
            // The parent ended in between; the child has another one by the next walk.
            Err(ProcessError::Gone { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_descends_from_us_and_we_from_our_parent() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let own = Identity::own().unwrap();
        let parent = Identity::of(std::os::unix::process::parent_id()).unwrap();
        assert_eq!(ancestors(child.id()).unwrap()[0], own);
        assert!(descends_from(child.id(), own).unwrap());
        assert!(descends_from(child.id(), parent).unwrap());
        assert!(!descends_from(own.pid, Identity::of(child.id()).unwrap()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(ancestors(child.id()), Err(ProcessError::Gone { .. })));
    }

    #[test]
    fn nobody_descends_from_itself_or_from_a_reused_number() {
        let own = Identity::own().unwrap();
        assert!(!descends_from(own.pid, own).unwrap());
        let parent = Identity::of(std::os::unix::process::parent_id()).unwrap();
        let reused = Identity { start_ticks: parent.start_ticks + 1, ..parent };
        assert!(!descends_from(own.pid, reused).unwrap());
    }

    #[test]
    fn the_first_process_has_no_ancestors() {
        assert_eq!(ancestors(1).unwrap(), []);
    }

    #[test]
    fn the_cgroup_line_of_version_2_is_found() {
        assert_eq!(parse_cgroup(b"8:pids:/x\n0::/a/b\n"), Some("/a/b".to_owned()));
        assert_eq!(parse_cgroup(b"0::/\n"), Some("/".to_owned()));
        assert_eq!(parse_cgroup(b"8:pids:/x\n"), None);
        assert_eq!(parse_cgroup(b""), None);
    }

    #[test]
    fn a_cgroup_outside_our_namespace_is_unknown() {
        assert_eq!(parse_cgroup(b"0::/../../other\n"), None);
        assert_eq!(parse_cgroup(b"0::other\n"), None);
    }
}
