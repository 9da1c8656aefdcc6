//! Who runs in a ghost: never root, unless the engine makes another user of it.

use clawrden_policy::GhostUser;

use crate::caller::Caller;
use crate::plan::PlanError;
use crate::process::{Ids, status};

/// A user in a ghost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    /// User and group that it must be on this host, where it is to be the caller.
    pub(super) on_host: Option<(u32, u32)>,
}

impl Who {
    /// Its user, as this host counts.
    pub(super) fn host_uid(&self) -> u32 {
        self.on_host.map_or(self.uid, |(uid, _)| uid)
    }
}

/// Reads it of the caller where the policy says no other. `maps` is whether the engine maps users. The text says why
/// nobody may.
pub(super) fn who(
    user: GhostUser,
    caller: &Caller,
    is_in_container: bool,
    maps: bool,
) -> Result<Who, String> {
    let who = match user {
        GhostUser::Ids { uid, gid } => Who { uid, gid, groups: Vec::new(), on_host: None },
        GhostUser::Caller => of_caller(caller, is_in_container, maps)?,
    };
    if who.uid == 0 && !maps {
        return Err("a ghost does not run as root: what root makes in the workspace can be root's on the host; run \
                    the prisoner as another user, or give the image a `user`"
            .to_owned());
    }
    Ok(who)
}

fn of_caller(caller: &Caller, is_in_container: bool, maps: bool) -> Result<Who, String> {
    let unknown = || "who the caller is is not known here, so nobody can run its ghost".to_owned();
    let (Some(uid), Some(gid)) = (caller.uid, caller.gid) else { return Err(unknown()) };
    let Some(pid) = caller.pid else {
        if maps {
            return Err(PlanError::CallerUnseen.to_string());
        }
        // Of its other groups nothing is known.
        return Ok(Who { uid, gid, groups: Vec::new(), on_host: Some((uid, gid)) });
    };
    let groups = status(pid).map_err(|error| error.to_string())?.groups;
    let on_host = Some((uid, gid));
    if !maps {
        return Ok(Who { uid, gid, groups, on_host });
    }
    // What an engine that is run by a user calls root is that user. Where it is another engine, the ghost itself tells.
    if !is_in_container && uid != 0 && uid == rustix::process::geteuid().as_raw() {
        return Ok(Who { uid: 0, gid: 0, groups: Vec::new(), on_host });
    }
    if !is_in_container {
        return Err("the container engine maps users, so what a ghost makes would not be the caller's; give the \
                    image a `user`"
            .to_owned());
    }
    let ids =
        Ids::of(pid).map_err(|error| format!("the caller's users cannot be read: {error}"))?;
    Ok(Who {
        uid: ids.user_inside(uid).ok_or_else(unknown)?,
        gid: ids.group_inside(gid).ok_or_else(unknown)?,
        groups: groups.iter().filter_map(|group| ids.group_inside(*group)).collect(),
        on_host,
    })
}
