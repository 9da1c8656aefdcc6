//! Looking into a ghost before its tool starts, while nothing runs in it but the runner: whether what it shares is what
//! its caller sees, and which file its tool is.

use std::io;
use std::sync::Arc;

use super::secrets::Values;
use super::user::Who;
use super::workspace::Shared;
use crate::plan::{Cwd, Depth, Kinds, Opened, Root, Search, Tool};
use crate::process::{Ids, Status, status};

/// What is looked for.
pub(super) struct Sought {
    /// The ghost's first process, as it is here.
    pub(super) ghost: u32,
    /// The caller's.
    pub(super) caller: u32,
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
    let Sought { ghost, caller, shared, cwd, name, path, who, secrets, kinds } = sought;
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
    let search = Search {
        root: &root,
        kinds: &kinds,
        path: Some(&path),
        cwd: None,
        depth: Depth::Full,
        behind: None,
    };
    let tool = search.find(&name)?.ok_or(Amiss::NoTool)?;
    let opened = root.lookup(&tool.path, Depth::Full)?;
    if secrets.has_files() {
        let failed =
            |error| Amiss::Refused(format!("the ghost's secrets cannot be written: {error}"));
        secrets.write(root.handle(), (held.uids[1], held.gids[1])).map_err(failed)?;
    }
    let groups = Ids::of(ghost)?.groups_told(&held.groups);
    Ok(Inside { tool, opened, cwd: there, groups })
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
