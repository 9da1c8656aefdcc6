//! A copy of what an installation has changed, with owners, modes and times: what the last stage of a Dockerfile takes
//! over from the one that installed.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::error::InstallError;
use super::house;
use super::manifest::Manifest;
use super::root::Root;

/// Copies what was changed in this process's own root into `into`.
///
/// # Errors
/// When nothing is installed, or something cannot be copied.
pub(crate) fn copy(root: &Root, into: &Path) -> Result<(), InstallError> {
    let manifest = Manifest::read(root)?.ok_or(InstallError::NotInstalled)?;
    let mut paths = vec![PathBuf::from(house::TOP)];
    paths.extend(manifest.steps.iter().map(|step| PathBuf::from(step.path())));
    for path in paths {
        copy_with_folders(&path, into).map_err(|source| InstallError::Failed {
            operation: "copy",
            path: path.display().to_string(),
            source,
        })?;
    }
    Ok(())
}

fn below(into: &Path, path: &Path) -> PathBuf {
    into.join(path.strip_prefix("/").unwrap_or(path))
}

fn copy_with_folders(path: &Path, into: &Path) -> io::Result<()> {
    let mut folders: Vec<&Path> = path.ancestors().skip(1).collect();
    folders.reverse();
    for folder in &folders {
        let target = below(into, folder);
        if !target.exists() {
            fs::DirBuilder::new().mode(0o700).create(&target)?;
        }
    }
    copy_tree(path, &below(into, path))?;
    for folder in folders.iter().rev() {
        same_facts(&fs::symlink_metadata(folder)?, &below(into, folder))?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let facts = fs::symlink_metadata(from)?;
    if facts.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
    } else if facts.is_dir() {
        if !to.exists() {
            fs::DirBuilder::new().mode(0o700).create(to)?;
        }
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_tree(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        fs::copy(from, to)?;
    }
    same_facts(&facts, to)
}

/// Owner, mode and time; in this order, since a change of owner takes setuid away.
fn same_facts(facts: &fs::Metadata, of: &Path) -> io::Result<()> {
    lchown(of, Some(facts.uid()), Some(facts.gid()))?;
    if !facts.is_symlink() {
        fs::set_permissions(of, fs::Permissions::from_mode(facts.mode() & 0o7777))?;
    }
    let time = Timespec { tv_sec: facts.mtime(), tv_nsec: facts.mtime_nsec() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, of, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
