//! The folder `/clawrden`: stand-ins, what shells read, what is kept, what is locked.

use rustix::fs::Stat;

use clawrden_warden::jails::shims::write_shims;

use super::error::InstallError;
use super::manifest::{self, Manifest, Step};
use super::root::{Root, join, split};

/// The folder.
pub(crate) const TOP: &str = "/clawrden";
/// What is below it begins so.
pub(crate) const BELOW: &str = "/clawrden/";
/// The stand-ins.
pub(crate) const BIN: &str = "/clawrden/bin";
/// The shim, to which tools' places lead.
pub(crate) const SHIM: &str = "/clawrden/bin/clawrden-shim";
/// What startup files read.
pub(crate) const SHELL: &str = "/clawrden/shell";
/// What puts the stand-ins first on PATH.
pub(crate) const PATH_SH: &str = "/clawrden/shell/path.sh";
/// What stood in the place of what is ours.
const KEPT: &str = "/clawrden/kept";
/// The originals.
const LOCKED: &str = "/clawrden/locked";

const PATH_SH_TEXT: &[u8] = include_bytes!("path.sh");

/// Where a tool from this place is locked.
pub(crate) fn locked(path: &str) -> String {
    format!("{LOCKED}{path}")
}

/// Where something is kept.
pub(crate) fn kept(name: &str) -> String {
    join(KEPT, name)
}

/// Where what a step took from its place is.
pub(crate) fn original(step: &Step) -> String {
    match step.kept() {
        Some(name) => kept(name),
        None => locked(step.path()),
    }
}

/// Refuses a folder that is there without a manifest and has something in it: nobody knows what that replaces.
///
/// # Errors
/// [`InstallError::Strange`].
pub(crate) fn refuse_strange(root: &Root) -> Result<(), InstallError> {
    let fresh = format!("{}.new", split(manifest::PATH).1);
    let strange = root.list(TOP)?.into_iter().find(|name| *name != fresh.as_bytes());
    match strange {
        Some(name) => Err(InstallError::Strange(String::from_utf8_lossy(&name).into_owned())),
        None => Ok(()),
    }
}

/// Makes the folders.
///
/// # Errors
/// When one of them cannot be made.
pub(crate) fn make(root: &Root) -> Result<(), InstallError> {
    for (folder, mode) in [(BIN, 0o755), (SHELL, 0o755), (KEPT, 0o700), (LOCKED, 0o700)] {
        root.make_folder(folder, mode)?;
    }
    Ok(())
}

/// The folder itself.
///
/// # Errors
/// When it cannot be looked at.
pub(crate) fn look(root: &Root) -> Result<Option<Stat>, InstallError> {
    root.look(TOP)
}

/// Makes the folders below `locked` that a tool from `path` needs; nobody but root looks into them.
///
/// # Errors
/// When one of them cannot be made.
pub(crate) fn make_locked_folders(root: &Root, path: &str) -> Result<(), InstallError> {
    let mut at = LOCKED.to_owned();
    for name in split(path).0.split('/').filter(|name| !name.is_empty()) {
        at = join(&at, name);
        root.make_folder(&at, 0o700)?;
    }
    Ok(())
}

/// Writes shim, runner, stand-ins, and what shells read.
///
/// # Errors
/// When one of them cannot be written.
pub(crate) fn furnish(root: &Root, tools: &[String]) -> Result<(), InstallError> {
    let (_held, bin) = root.handle(BIN)?;
    write_shims(&bin, tools)?;
    root.write(PATH_SH, PATH_SH_TEXT, 0o644, None)
}

/// Takes away everything but the manifest. What is left is what others have put there.
///
/// # Errors
/// When something cannot be removed.
pub(crate) fn clear(root: &Root, manifest: &Manifest) -> Result<(), InstallError> {
    let shim = split(SHIM).1;
    // Not only those of the manifest: a change of tools may have been interrupted.
    for name in root.list(BIN)? {
        let Ok(name) = std::str::from_utf8(&name) else { continue };
        let path = join(BIN, name);
        if matches!(root.read_link(&path), Ok(Some(text)) if text == shim.as_bytes()) {
            root.remove(&path)?;
        }
    }
    let fresh = format!("{PATH_SH}.new");
    for file in [SHIM, "/clawrden/bin/.clawrden-shim.new", PATH_SH, &fresh] {
        root.remove(file)?;
    }
    for name in manifest.steps.iter().filter_map(Step::kept) {
        root.remove(&kept(name))?;
        root.remove(&format!("{}.new", kept(name)))?;
    }
    for folder in [BIN, SHELL, KEPT] {
        root.remove_folder(folder)?;
    }
    prune(root, LOCKED)
}

/// Removes folders of which nothing is left.
///
/// # Errors
/// When one cannot be removed.
pub(crate) fn prune_locked(root: &Root) -> Result<(), InstallError> {
    for name in root.list(LOCKED)? {
        if let Ok(name) = std::str::from_utf8(&name) {
            prune(root, &join(LOCKED, name))?;
        }
    }
    Ok(())
}

fn prune(root: &Root, folder: &str) -> Result<(), InstallError> {
    for name in root.list(folder)? {
        if let Ok(name) = std::str::from_utf8(&name) {
            prune(root, &join(folder, name))?;
        }
    }
    let is_folder = root.look(folder)?.is_some_and(|stat| {
        rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
    });
    if is_folder {
        root.remove_folder(folder)?;
    }
    Ok(())
}
