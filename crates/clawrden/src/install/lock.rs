//! Taking a tool from its place and putting it back. A tool that is a file lies in `/clawrden/locked` under its whole
//! path; for one that is a link, the link itself is kept, and what lies there is a link to where it leads. In its place
//! stands a link to the shim.
//!
//! Both ways can be taken again from wherever a crash left them.

use super::error::InstallError;
use super::house;
use super::manifest::Step;
use super::root::Root;
use super::world::{World, stands};

/// Takes a tool from its place; `false` when it is nowhere any more.
///
/// # Errors
/// When something cannot be moved.
pub(crate) fn take(root: &Root, step: &Step) -> Result<bool, InstallError> {
    let (path, original) = (step.path(), house::original(step));
    house::make_locked_folders(root, path)?;
    // What stands there while something is kept has come since: a package was upgraded.
    if stands(root, path)? {
        root.rename(path, &original)?;
    }
    if root.look(&original)?.is_none() {
        return Ok(false);
    }
    if root.look(path)?.is_none() {
        root.link(house::SHIM.as_bytes(), path)?;
    }
    Ok(true)
}

/// Makes the link that leads to a locked tool which is a link. Others may have been locked since, or put back.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn lead(world: &World<'_>, step: &Step) -> Result<(), InstallError> {
    let Step::Link { path, .. } = step else { return Ok(()) };
    let (root, at) = (world.root, house::locked(path));
    let target = world.target(path)?;
    let present = root.read_link(&at).ok().flatten();
    if present.as_deref() == target.as_deref().map(str::as_bytes) {
        return Ok(());
    }
    let Some(target) = target else { return root.remove(&at) };
    let fresh = format!("{at}.new");
    root.remove(&fresh)?;
    root.link(target.as_bytes(), &fresh)?;
    root.rename(&fresh, &at)
}

/// Puts a tool back. One whose place something else has taken since is given up; `false` then.
///
/// # Errors
/// When something cannot be moved.
pub(crate) fn give_back(root: &Root, step: &Step) -> Result<bool, InstallError> {
    let (path, original) = (step.path(), house::original(step));
    let is_replaced = stands(root, path)?;
    let is_kept = root.look(&original)?.is_some();
    if is_replaced {
        root.remove(&original)?;
    } else if is_kept {
        root.rename(&original, path)?;
    }
    if matches!(step, Step::Link { .. }) {
        root.remove(&house::locked(path))?;
        root.remove(&format!("{}.new", house::locked(path)))?;
    }
    Ok(!(is_replaced && is_kept))
}
