//! Which container a process's cgroups speak of. The kernel writes the path from the root down, so what stands nearest
//! to the root was made by the engine, and what stands below it may have been made by the prisoner.

use std::os::fd::BorrowedFd;

use crate::sys;

/// Digits of a container's id.
const ID_DIGITS: usize = 64;

/// Below this folder of Podman's a bare id is that of a pod.
const PODS: &[u8] = b"libpod_parent";

/// Where a process is in every hierarchy in which its path names a container: the hierarchy, and the path down to the
/// container's own cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    paths: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What the cgroups of a process say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// No container.
    Nothing,
    /// The container of this id.
    Inside {
        /// Its whole id.
        id: String,
        /// Its cgroups.
        place: Place,
    },
    /// Different containers in different hierarchies.
    Several,
}

impl Place {
    /// Whether both are in the same cgroups: in one hierarchy at least, and in no other ones in any.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let found = |name: &[u8]| other.paths.iter().find(|(other, _)| other == name);
        let mut pairs =
            self.paths.iter().filter_map(|(name, path)| Some((path, &found(name)?.1))).peekable();
        pairs.peek().is_some() && pairs.all(|(one, other)| one == other)
    }

    /// Whether the cgroup of the second version's hierarchy is among them.
    pub(super) fn is_of_second_version(&self) -> bool {
        self.paths.iter().any(|(name, _)| name.is_empty())
    }
}

/// The number of the cgroup that a process is in, in the second version's hierarchy, where the kernel tells it.
pub(super) fn number(pidfd: BorrowedFd<'_>) -> Option<u64> {
    sys::process::pidfd_cgroup(pidfd).ok().flatten()
}

/// Reads a /proc/PID/cgroup. What the process has in common with `own`, the warden's, is no container of the caller's
/// own: a warden in a container of another engine would take that for one.
pub(super) fn seen(text: &[u8], own: &[u8]) -> Seen {
    let mut found: Option<String> = None;
    let mut place = Place::default();
    for (name, path) in lines(text) {
        let above = lines(own).find(|(other, _)| *other == name).map_or(&b""[..], |(_, path)| path);
        let Some((id, path)) = outermost(path, above) else { continue };
        if found.as_ref().is_some_and(|other| *other != id) {
            return Seen::Several;
        }
        found = Some(id);
        place.paths.push((name.to_vec(), path));
    }
    found.map_or(Seen::Nothing, |id| Seen::Inside { id, place })
}

/// The hierarchies, by their controllers or name (the second version's has neither), and the path in each.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut fields = line.splitn(3, |&byte| byte == b':').skip(1);
        Some((fields.next()?, fields.next()?))
    })
}

/// The first id on the path, and the path down to it.
fn outermost(path: &[u8], own: &[u8]) -> Option<(String, Vec<u8>)> {
    let parts =
        |path| <[u8]>::split(path, |&byte: &u8| byte == b'/').filter(|part| !part.is_empty());
    let shared = parts(path).zip(parts(own)).take_while(|(one, other)| one == other).count();
    let mut down = Vec::new();
    let mut before: &[u8] = b"";
    for (index, part) in parts(path).enumerate() {
        down.push(b'/');
        down.extend_from_slice(part);
        if index >= shared
            && let Some(id) = container(part, before)
        {
            return Some((id, down));
        }
        before = part;
    }
    None
}

/// Every id that a path names, in its order.
pub(super) fn ids(path: &[u8]) -> Vec<String> {
    let mut before: &[u8] = b"";
    let mut found = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        found.extend(container(part, before));
        before = part;
    }
    found
}

/// The id that a cgroup's name stands for: of Docker's and Podman's, made by themselves or by systemd.
fn container(name: &[u8], before: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let bare = name.strip_suffix(".scope").unwrap_or(name);
    let prefixed =
        ["docker-", "libpod-payload-", "libpod-"].iter().find_map(|p| bare.strip_prefix(p));
    let id = match prefixed {
        Some(id) => id,
        None if before == PODS || bare != name => return None,
        None => name,
    };
    let is_id = id.len() == ID_DIGITS
        && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> String {
        digit.to_string().repeat(ID_DIGITS)
    }

    #[track_caller]
    fn inside(text: &str, own: &str) -> (String, Place) {
        match seen(text.as_bytes(), own.as_bytes()) {
            Seen::Inside { id, place } => (id, place),
            other => panic!("{other:?} of {text}"),
        }
    }

    #[test]
    fn every_layout_names_its_container() {
        let a = id('a');
        for path in [
            format!("/docker/{a}"),
            format!("/my/parent/{a}"),
            format!("/system.slice/docker-{a}.scope"),
            format!("/user.slice/user-1000.slice/user@1000.service/app.slice/docker-{a}.scope"),
            format!("/machine.slice/libpod-{a}.scope"),
            format!("/machine.slice/libpod-{a}.scope/container"),
            format!("/machine.slice/machine-libpod_pod_{}.slice/libpod-{a}.scope", id('f')),
            format!("/libpod_parent/libpod-{a}"),
            format!("/libpod_parent/{}/libpod-{a}", id('f')),
            format!("/system.slice/web.service/libpod-payload-{a}"),
            format!("/kubepods/burstable/pod1234/{a}"),
            // As seen from a cgroup namespace beside it.
            format!("/../{a}"),
            format!("/../../system.slice/docker-{a}.scope/init"),
        ] {
            assert_eq!(inside(&format!("0::{path}\n"), "0::/\n").0, a, "{path}");
            let old = format!("12:pids:{path}\n3:cpu,cpuacct:{path}\n1:name=systemd:{path}\n");
            assert_eq!(inside(&old, "").0, a, "{path}");
        }
    }

    #[test]
    fn what_only_looks_like_a_container_is_none() {
        let a = id('a');
        for path in [
            "/".to_owned(),
            "/user.slice/user-1000.slice/session-1.scope".to_owned(),
            format!("/machine.slice/libpod-conmon-{a}.scope"),
            format!("/libpod_parent/{a}"),
            format!("/x/{}", &a[1..]),
            format!("/x/{a}a"),
            format!("/x/{}", a.to_uppercase()),
            format!("/x/{a}.scope"),
            format!("/x/docker-{}.scope", id('g')),
            format!("/machine.slice/machine-libpod_pod_{a}.slice"),
        ] {
            let text = format!("0::{path}\n");
            assert_eq!(seen(text.as_bytes(), b""), Seen::Nothing, "{path}");
        }
        assert_eq!(seen(b"", b""), Seen::Nothing);
        assert_eq!(seen(b"garbage\n:::\n\xff\n", b""), Seen::Nothing);
    }

    #[test]
    fn a_cgroup_that_a_prisoner_made_below_its_own_says_nothing() {
        let (real, forged) = (id('a'), id('b'));
        for below in [
            format!("/{forged}"),
            format!("/docker/{forged}"),
            format!("/docker-{forged}.scope"),
            format!("/x/libpod-{forged}.scope/container"),
        ] {
            let text = format!("0::/docker/{real}{below}\n");
            assert_eq!(inside(&text, "").0, real);
            let text = format!("0::/system.slice/docker-{real}.scope{below}\n");
            assert_eq!(inside(&text, "0::/system.slice/clawrden.service\n").0, real);
        }
    }

    #[test]
    fn hierarchies_that_disagree_are_no_container() {
        let text = format!("2:pids:/docker/{}\n1:cpu:/docker/{}\n", id('a'), id('b'));
        assert_eq!(seen(text.as_bytes(), b""), Seen::Several);
        let text = format!("2:pids:/docker/{}\n1:cpu:/\n0::/\n", id('a'));
        assert_eq!(inside(&text, "").0, id('a'));
    }

    #[test]
    fn the_container_that_the_warden_is_in_is_not_the_callers() {
        let (outer, inner) = (id('a'), id('b'));
        let own = format!("0::/docker/{outer}\n");
        let beside = format!("0::/docker/{inner}\n");
        let below = format!("0::/docker/{outer}/docker/{inner}\n");
        assert_eq!(inside(&beside, &own).0, inner);
        assert_eq!(inside(&below, &own).0, inner);
        assert_eq!(seen(own.as_bytes(), own.as_bytes()), Seen::Nothing);
    }

    #[test]
    fn a_place_is_the_containers_own_cgroup_and_no_other_of_its_name() {
        let a = id('a');
        let place = |text: &str| inside(text, "").1;
        let first = place(&format!("2:pids:/docker/{a}\n1:cpu:/docker/{a}\n"));
        assert!(
            first.is_same(&place(&format!("2:pids:/docker/{a}/made/below\n1:cpu:/docker/{a}\n")))
        );
        assert!(first.is_same(&place(&format!("2:pids:/docker/{a}\n"))));
        let forged = place(&format!("2:pids:/user.slice/{a}\n1:cpu:/user.slice/{a}\n"));
        assert!(!first.is_same(&forged));
        assert!(!first.is_same(&place(&format!("2:pids:/docker/{a}\n1:cpu:/user.slice/{a}\n"))));
        let second = place(&format!("0::/docker/{a}\n"));
        assert!(!first.is_same(&second));
        assert!(second.is_of_second_version() && !first.is_of_second_version());
        let hybrid = place(&format!("1:cpu:/docker/{a}\n0::/\n"));
        assert!(!hybrid.is_of_second_version(), "what names no container there is not in it");
    }
}
