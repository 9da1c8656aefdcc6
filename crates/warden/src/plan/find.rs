//! What a request names, found under the caller's own root.

use std::io;
use std::sync::Arc;

use super::environment::value;
use super::kinds::Kinds;
use super::root::{Depth, Root};
use super::shims::{self, SHIMS};
use super::tool::{Search, Tool, base_name};
use super::{Cwd, Invocation, PlanError, Sight};
use crate::caller::Caller;
use crate::jails::{Jail, Jails};

/// What a lookup found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) cwd: Option<Cwd>,
    pub(super) tool: Option<Tool>,
    pub(super) known_as: Option<Vec<u8>>,
    pub(super) by_path: bool,
    /// The folder of shims that PATH has lost: see [`shims::lost`].
    pub(super) lost: Option<Vec<u8>>,
}

/// The bare name of a tool that was asked for by it, or by way of its shim.
pub(super) fn asked_for(jail: &Jail, invocation: &Invocation) -> Option<Vec<u8>> {
    let name = invocation.name();
    let bare = base_name(name);
    let folder = name.get(..name.len().saturating_sub(bare.len() + 1)).unwrap_or_default();
    let own = shims::folder(jail) == Some(folder);
    (folder.is_empty() && !name.starts_with(b"/") || own || folder == SHIMS).then(|| bare.to_vec())
}

/// The jail that the caller is a prisoner of, where it came through the door of another one. Looked up only while
/// another one has prisoners.
pub(super) fn home(
    door: &Jail,
    caller: &Caller,
    jails: &Jails,
) -> Result<Option<Arc<Jail>>, PlanError> {
    let home = jails.home_elsewhere(&door.name, caller.pid).map_err(PlanError::Belonging)?;
    // Prisoners of a run descend from the warden, so all of them are seen. What was read of a number was the caller's own
    // as long as it lives.
    if !caller.is_unseen() && home.is_none() && jails.has_others(&door.name) && !caller.is_alive() {
        return Err(PlanError::CallerGone);
    }
    Ok(home)
}

/// The root of a caller, which was its own when it was opened; `None` where that cannot be seen.
///
/// # Errors
/// When the caller has ended, or its files are out of reach.
pub(crate) fn root_of(caller: &Caller) -> Result<Option<Arc<Root>>, PlanError> {
    let Some(pid) = caller.pid else { return Ok(None) };
    let root = Root::of(pid).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => PlanError::CallerGone,
        _ => PlanError::files(error),
    })?;
    if caller.is_alive() { Ok(Some(Arc::new(root))) } else { Err(PlanError::CallerGone) }
}

/// Finds under the caller's own root what a request names. Nothing, where that cannot be seen: what was asked for is then
/// judged by its name and its words alone.
pub(super) async fn find(
    root: Option<Arc<Root>>,
    asked: &Invocation,
    jail: &Jail,
    sight: Sight<'_>,
) -> Result<Found, PlanError> {
    let Some(root) = root else {
        let cwd = (!asked.only_judged()).then(|| Cwd::unseen(asked.cwd())).flatten();
        return Ok(Found { cwd, ..Found::default() });
    };
    let Sight { kinds, workers, baseline, .. } = sight;
    let bin = shims::folder(jail);
    if let Some(found) = look_up(&root, asked, bin, kinds, baseline.path(), Depth::Cached) {
        return Ok(found);
    }
    let (asked, kinds) = (asked.clone(), Arc::clone(kinds));
    let (bin, path) = (bin.map(<[u8]>::to_vec), baseline.path().to_vec());
    let look = move || look_up(&root, &asked, bin.as_deref(), &kinds, &path, Depth::Full);
    Ok(workers.run(look).await?.unwrap_or_default())
}

/// `None` when the depth does not suffice.
fn look_up(
    root: &Root,
    asked: &Invocation,
    bin: Option<&[u8]>,
    kinds: &Kinds,
    baseline_path: &[u8],
    depth: Depth,
) -> Option<Found> {
    let cwd = match asked.cwd() {
        b"" => None,
        path => match root.lookup(path, depth) {
            Ok(opened) if opened.is_directory() => root
                .path_of(&opened, path)
                .map(|path| Cwd { path, id: (opened.id.device, opened.id.inode) }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Ok(_) | Err(_) => None,
        },
    };
    let path = value(asked.env(), b"PATH");
    let dir = cwd.as_ref().map(|cwd| &cwd.path[..]);
    let search = Search { root, kinds, path, cwd: dir, depth, behind: asked.behind() };
    let name = asked.name();
    let tool = search.find(name).ok()?;
    let known_as = match &tool {
        None => None,
        Some(_) if !name.contains(&b'/') => Some(name.to_vec()),
        // A path stands for a tool when the prisoner's first PATH leads to the same file.
        Some(tool) => {
            let bare = base_name(name);
            let usual =
                Search { path: Some(baseline_path), behind: None, ..search }.find(bare).ok()?;
            usual.is_some_and(|usual| usual.id == tool.id).then(|| bare.to_vec())
        }
    };
    let by_path = match (&tool, asked.argv().next()) {
        (Some(tool), Some(given)) => search.must_be_told(tool, given).ok()?,
        _ => false,
    };
    let lost = shims::lost(root, bin, path, depth).ok()?;
    Some(Found { cwd, tool, known_as, by_path, lost })
}
