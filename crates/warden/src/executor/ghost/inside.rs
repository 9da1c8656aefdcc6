//! Looking into a ghost before its tool starts, while nothing runs in it but the runner: whether what it shares is what
//! its caller sees, and which file its tool is.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::secrets::Values;
use super::user::Who;
use super::workspace::Shared;
use crate::plan::{Cwd, Depth, Kinds, Opened, Root, Search, Tool};
use crate::process::{Ids, Status, status};

/// How a ghost is looked into.
pub(super) enum View {
    /// By its first process and the caller's, as they are here.
    Seen { ghost: u32, caller: u32 },
    /// By the root directory that its runner sent, with the groups that the kernel gives it. Neither process is seen.
    Unseen { root: OwnedFd, groups: Vec<u32> },
}

/// What is looked for.
pub(super) struct Sought {
    pub(super) view: View,
    pub(super) shared: Vec<Shared>,
    pub(super) cwd: Cwd,
    /// The tool: a bare name, or a path in what is shared.
    pub(super) name: Vec<u8>,
    /// The ghost's PATH.
    pub(super) path: Vec<u8>,
    pub(super) who: Who,
    pub(super) secrets: Values,
    pub(super) kinds: Arc<Kinds>,
}

/// What was found.
pub(super) struct Inside {
    pub(super) tool: Tool,
    pub(super) opened: Opened,
    pub(super) cwd: Opened,
    /// The groups that the runner has, which it cannot change.
    pub(super) groups: Vec<u32>,
}

/// Why a ghost is not what it should be.
pub(super) enum Amiss {
    /// There is no such tool in its image.
    NoTool,
    /// It may not run like this.
    Refused(String),
}

impl From<io::Error> for Amiss {
    fn from(error: io::Error) -> Self {
        Self::Refused(format!("the ghost cannot be looked into: {error}"))
    }
}

/// Looks, and writes the files of secrets. Blocks.
pub(super) fn look(sought: Sought) -> Result<Inside, Amiss> {
    let Sought { view, shared, cwd, name, path, who, secrets, kinds } = sought;
    let (ghost, caller) = match view {
        View::Seen { ghost, caller } => (ghost, caller),
        View::Unseen { root, groups } => {
            let root = Root::given(root)?;
            for Shared { target, .. } in &shared {
                is_there(&root, target.as_bytes())?;
            }
            let there = is_there(&root, &cwd.path)?;
            let (tool, opened) = find(&root, &kinds, &path, &name)?;
            return Ok(Inside { tool, opened, cwd: there, groups });
        }
    };
    let held = status(ghost).map_err(|error| Amiss::Refused(error.to_string()))?;
    is_whom(&held, &who)?;
    let (root, theirs) = (Root::of(ghost)?, Root::of(caller)?);
    for Shared { target, .. } in &shared {
        is_same(&root, &theirs, target)?;
    }
    let there = root.lookup(&cwd.path, Depth::Full)?;
    if (there.id.device, there.id.inode) != cwd.id || !there.is_directory() {
        let text = "the working directory is another folder in the ghost than it is for the caller";
        return Err(Amiss::Refused(text.to_owned()));
    }
    let (tool, opened) = find(&root, &kinds, &path, &name)?;
    if secrets.has_files() {
        let failed =
            |error| Amiss::Refused(format!("the ghost's secrets cannot be written: {error}"));
        secrets.write(root.handle(), (held.uids[1], held.gids[1])).map_err(failed)?;
    }
    let groups = Ids::of(ghost)?.groups_told(&held.groups);
    Ok(Inside { tool, opened, cwd: there, groups })
}

fn find(root: &Root, kinds: &Kinds, path: &[u8], name: &[u8]) -> Result<(Tool, Opened), Amiss> {
    let (path, depth) = (Some(path), Depth::Full);
    let search = Search { root, kinds, path, cwd: None, depth, behind: None };
    let tool = search.find(name)?.ok_or(Amiss::NoTool)?;
    let opened = root.lookup(&tool.path, Depth::Full)?;
    Ok((tool, opened))
}

/// A folder of the ghost, by the way that was judged, without links.
fn is_there(root: &Root, path: &[u8]) -> Result<Opened, Amiss> {
    let there = root.lookup(path, Depth::Full)?;
    if there.is_direct() && there.is_directory() {
        return Ok(there);
    }
    let shown = String::from_utf8_lossy(path);
    Err(Amiss::Refused(format!("{shown} is no folder of the ghost, or a link leads there")))
}

/// Whom the engine has truly made of it, by the kernel: an engine that maps no users, or others than it seemed, would
/// have it make files of somebody else's.
fn is_whom(held: &Status, who: &Who) -> Result<(), Amiss> {
    if held.uids.contains(&0) {
        return Err(Amiss::Refused(
            "the engine made the ghost root of this host; give the image a `user`".to_owned(),
        ));
    }
    match who.on_host {
        Some(wanted) if wanted != (held.uids[1], held.gids[1]) => Err(Amiss::Refused(format!(
            "the ghost is user {}:{} of this host and its caller {}:{}: the container engine maps users otherwise; give \
             the image a `user`, or run the caller with its user's own group",
            held.uids[1], held.gids[1], wanted.0, wanted.1
        ))),
        _ => Ok(()),
    }
}

/// Whoever can move folders on the way to what is mounted could have it come from elsewhere. So it must be what the caller
/// sees, by a way without links.
fn is_same(ghost: &Root, caller: &Root, target: &str) -> Result<(), Amiss> {
    let other = || {
        Amiss::Refused(format!(
            "{target} is another folder in the ghost than it is for the caller, or a link leads there"
        ))
    };
    let here = ghost.lookup(target.as_bytes(), Depth::Full)?;
    let there = caller.lookup(target.as_bytes(), Depth::Full).map_err(|_| other())?;
    let same = (here.id.device, here.id.inode) == (there.id.device, there.id.inode);
    if same && there.is_direct() { Ok(()) } else { Err(other()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_of_a_caller_that_is_not_seen_is_reached_by_no_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("work/a")).unwrap();
        fs::write(dir.path().join("work/file"), "").unwrap();
        symlink("a", dir.path().join("work/link")).unwrap();
        let root = Root::at(dir.path()).unwrap();
        assert!(is_there(&root, b"/work/a").is_ok());
        for other in [&b"/work/link"[..], b"/work/file", b"/work/none"] {
            assert!(is_there(&root, other).is_err());
        }
    }

    #[test]
    fn a_folder_must_be_the_callers_by_a_way_without_links() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(one.path().join("work")).unwrap();
        symlink("work", one.path().join("link")).unwrap();
        fs::create_dir(other.path().join("work")).unwrap();
        let root = |dir: &tempfile::TempDir| Root::at(dir.path()).unwrap();
        assert!(is_same(&root(&one), &root(&one), "/work").is_ok());
        assert!(is_same(&root(&one), &root(&one), "/link").is_err());
        assert!(is_same(&root(&one), &root(&other), "/work").is_err());
        assert!(is_same(&root(&one), &root(&other), "/nothing").is_err());
    }
}
