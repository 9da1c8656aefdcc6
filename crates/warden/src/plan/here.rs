//! What a command would mean if this very process asked for it: for those who explain a policy. It decides nothing,
//! and nothing that runs is taken from here.

use std::io;

use clawrden_policy::Links;

use super::kinds::Kinds;
use super::root::{Depth, Root};
use super::tool::{Search, base_name};

/// What a name and a working directory mean to this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meant {
    /// The directory, free of links; `None` when there is none of that name.
    pub cwd: Option<Vec<u8>>,
    /// The file, free of links; `None` when nothing is found.
    pub path: Option<Vec<u8>>,
    /// The bare name that the file goes by on PATH, as in [`clawrden_policy::Facts::tool`].
    pub tool: Option<Vec<u8>>,
}

/// Where paths lead for this process.
#[derive(Debug)]
pub struct LinksHere(Root);

impl LinksHere {
    /// Follows links under this process's own root.
    ///
    /// # Errors
    /// When that cannot be opened.
    pub fn new() -> io::Result<Self> {
        Root::own().map(Self)
    }
}

impl Links for LinksHere {
    fn follow(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.0.follow(path, Depth::Full).ok()?
    }
}

/// Looks `name` up on `path`, past every shim, as the warden does for a caller with that PATH; without one, where
/// `execvp` would. `cwd` is absolute.
///
/// # Errors
/// When this process's own root cannot be opened.
pub fn meant_here(name: &[u8], path: Option<&[u8]>, cwd: &[u8]) -> io::Result<Meant> {
    let (root, kinds, depth) = (Root::own()?, Kinds::default(), Depth::Full);
    let opened = root.lookup(cwd, depth).ok().filter(super::root::Opened::is_directory);
    let cwd = opened.and_then(|opened| root.path_of(&opened, cwd));
    let dir = cwd.as_deref();
    let search = Search { root: &root, kinds: &kinds, path, cwd: dir, depth, behind: None };
    let Some(found) = search.find(name)? else {
        return Ok(Meant { cwd, ..Meant::default() });
    };
    let tool = match name.contains(&b'/') {
        false => Some(name.to_vec()),
        true => {
            let bare = base_name(name);
            search.find(bare)?.filter(|usual| usual.id == found.id).map(|_| bare.to_vec())
        }
    };
    Ok(Meant { cwd, path: Some(found.resolved), tool })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_name_means_its_tool_and_a_copy_elsewhere_only_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(dir.path()).unwrap();
        for folder in ["bin", "own"] {
            fs::create_dir(real.join(folder)).unwrap();
            let file = real.join(folder).join("git");
            fs::write(&file, format!("#!/bin/sh\n# {folder}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let (path, cwd) = (real.join("bin"), real.as_os_str().as_bytes());
        let path = path.as_os_str().as_bytes();
        let bare = meant_here(b"git", Some(path), cwd).unwrap();
        let by_place = meant_here(b"bin/git", Some(path), cwd).unwrap();
        assert_eq!((bare.tool.as_deref(), &bare.cwd), (Some(&b"git"[..]), &Some(cwd.to_vec())));
        assert_eq!(bare, by_place);
        let copy = meant_here(b"own/git", Some(path), cwd).unwrap();
        assert!(copy.tool.is_none() && copy.path.unwrap().ends_with(b"/own/git"));
        let nothing = meant_here(b"npm", Some(path), cwd).unwrap();
        assert_eq!((nothing.path, nothing.tool), (None, None));
        assert_eq!(meant_here(b"git", Some(path), b"/nonexistent/x").unwrap().cwd, None);
    }
}
