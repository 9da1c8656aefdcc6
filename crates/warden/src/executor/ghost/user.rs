//! Who runs in a ghost: never root, unless the engine makes another user of it.

use clawrden_policy::GhostUser;

use crate::caller::Caller;
use crate::process::status;

/// A user in a ghost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
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
        GhostUser::Ids { uid, gid } => Who { uid, gid, groups: Vec::new() },
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
    let (Some(uid), Some(gid), Some(pid)) = (caller.uid, caller.gid, caller.pid) else {
        return Err(unknown());
    };
    let groups = status(pid).map_err(|error| error.to_string())?.groups;
    if !maps {
        return Ok(Who { uid, gid, groups });
    }
    if !is_in_container {
        return Err("the container engine maps users, so what a ghost makes would not be the caller's; give the \
                    image a `user`"
            .to_owned());
    }
    let map = |kind: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{kind}"));
        text.map_err(|error| format!("the caller's users cannot be read: {error}"))
    };
    let (users, their_groups) = (map("uid_map")?, map("gid_map")?);
    let inside = |map: &str, id: u32| id_inside(map, id).ok_or_else(unknown);
    Ok(Who {
        uid: inside(&users, uid)?,
        gid: inside(&their_groups, gid)?,
        groups: groups.iter().filter_map(|group| id_inside(&their_groups, *group)).collect(),
    })
}

/// What an id of ours is in the namespace of this map: lines of first id inside, first id outside, and how many.
fn id_inside(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
        let (inside, outside, count) =
            (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let offset = id.checked_sub(outside).filter(|offset| *offset < count)?;
        inside.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_the_map_of_its_namespace() {
        let map = "         0     100000      65536\n     70000          5          1\n";
        assert_eq!(id_inside(map, 100_000), Some(0));
        assert_eq!(id_inside(map, 101_000), Some(1_000));
        assert_eq!(id_inside(map, 165_536), None);
        assert_eq!(id_inside(map, 5), Some(70_000));
        assert_eq!(id_inside("0 0 4294967295", 1000), Some(1000));
        assert_eq!(id_inside("nonsense", 0), None);
    }
}
