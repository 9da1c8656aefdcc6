//! What a ghost shares with its caller: folders that the policy names and the caller has, and no others. Where they come
//! from is said by the engine or the policy, never by the caller's world.

use std::path::{Path, PathBuf};

use clawrden_policy::is_system_folder;

use crate::engine::{Container, Mount, MountKind};

/// A folder that a ghost gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shared {
    /// On the engine's host: a path, or a volume's name.
    pub(super) source: String,
    /// In the caller's root, and in the ghost.
    pub(super) target: String,
    pub(super) is_read_only: bool,
}

/// Places on the warden's host that no ghost sees.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    /// Not themselves, nor anything above them.
    pub(super) files: Vec<PathBuf>,
    /// Nor anything in them.
    pub(super) folders: Vec<PathBuf>,
}

impl Kept {
    fn holds_back(&self, source: &Path) -> bool {
        self.is_ours(source) || is_system_folder(&usual(source))
    }

    /// Of a volume too, which engines keep where everything is the system's.
    fn is_ours(&self, source: &Path) -> bool {
        let source = usual(source);
        let mut all = self.files.iter().chain(&self.folders).map(|path| usual(path));
        all.any(|path| path.starts_with(&source))
            || self.folders.iter().any(|folder| source.starts_with(usual(folder)))
    }
}

/// `/var/run` is `/run`, also where only the name says so.
fn usual(path: &Path) -> PathBuf {
    match path.strip_prefix("/var/run") {
        Ok(rest) if rest == Path::new("") => PathBuf::from("/run"),
        Ok(rest) => Path::new("/run").join(rest),
        Err(_) => path.to_owned(),
    }
}

/// A path without anything that leads elsewhere.
fn is_plain(path: &str) -> bool {
    let mut names = path.split('/');
    names.next() == Some("")
        && path != "/"
        && names.all(|name| !name.is_empty() && name != "." && name != "..")
}

/// What a caller in this container shares: those of its mounts that lie under `declared`; all that it may write and that
/// come from the host, where nothing is declared.
pub(super) fn of_container(container: &Container, declared: &[String], kept: &Kept) -> Vec<Shared> {
    of_mounts(&container.mounts, declared, kept)
}

/// What a caller shares whose container and files are not seen: the volumes under `declared` that each container has that
/// may be its own. What is no volume could be bent on its way, and there is nothing to compare it with; nor is there for one
/// that has other mounts within.
pub(super) fn of_any(each: &[Vec<Mount>], declared: &[String], kept: &Kept) -> Vec<Shared> {
    let is_above = |target: &str, mount: &Mount| {
        mount.destination != target && Path::new(&mount.destination).starts_with(target)
    };
    let volumes = each.iter().map(|mounts| {
        let volume = |shared: &Shared| {
            let is_it = |mount: &Mount| {
                mount.destination == shared.target && matches!(mount.kind, MountKind::Volume(_))
            };
            mounts.iter().any(is_it) && !mounts.iter().any(|one| is_above(&shared.target, one))
        };
        of_mounts(mounts, declared, kept).into_iter().filter(volume).collect()
    });
    of_all(volumes)
}

fn of_mounts(mounts: &[Mount], declared: &[String], kept: &Kept) -> Vec<Shared> {
    let fits = |target: &str, kind: &MountKind, is_read_only: bool| match declared {
        [] => *kind == MountKind::Bind && !is_read_only,
        _ => declared.iter().any(|folder| Path::new(target).starts_with(folder)),
    };
    let mounts = mounts.iter().filter_map(|mount| {
        let source = match &mount.kind {
            MountKind::Bind if !kept.holds_back(Path::new(&mount.source)) => mount.source.clone(),
            MountKind::Volume(name) if !kept.is_ours(Path::new(&mount.source)) => name.clone(),
            MountKind::Volume(_) | MountKind::Bind | MountKind::Other => return None,
        };
        let target = &mount.destination;
        let is_shared = is_plain(target)
            && !is_system_folder(Path::new(target))
            && fits(target, &mount.kind, mount.is_read_only);
        is_shared.then(|| Shared {
            source,
            target: target.clone(),
            is_read_only: mount.is_read_only,
        })
    });
    mounts.collect()
}

/// What a caller outside of every container shares: what is declared.
pub(super) fn of_host(declared: &[String], kept: &Kept) -> Vec<Shared> {
    let folders = declared.iter().filter(|folder| !kept.holds_back(Path::new(folder)));
    let shared = folders.filter(|folder| is_plain(folder)).map(|folder| Shared {
        source: folder.clone(),
        target: folder.clone(),
        is_read_only: false,
    });
    shared.collect()
}

/// What all of these have.
pub(super) fn of_all(each: impl Iterator<Item = Vec<Shared>>) -> Vec<Shared> {
    let common = |before: Vec<Shared>, one: Vec<Shared>| {
        before.into_iter().filter(|shared| one.contains(shared)).collect()
    };
    each.reduce(common).unwrap_or_default()
}

/// Whether the path lies in one of them.
pub(super) fn holds(shared: &[Shared], path: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    shared.iter().any(|shared| path.starts_with(&shared.target))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::Running;

    pub(crate) fn container(mounts: &[(&str, &str, bool)]) -> Container {
        let mount = |&(source, destination, is_read_only): &(&str, &str, bool)| Mount {
            kind: match source.strip_prefix("volume:") {
                Some(name) => MountKind::Volume(name.to_owned()),
                None => MountKind::Bind,
            },
            source: source.to_owned(),
            destination: destination.to_owned(),
            is_read_only,
        };
        Container {
            id: "a".repeat(64),
            name: String::new(),
            image: String::new(),
            image_id: String::new(),
            labels: BTreeMap::new(),
            mounts: mounts.iter().map(mount).collect(),
            narrowed: Vec::new(),
            running: Running::Yes,
            pid: Some(1),
            exit_code: None,
            was_out_of_memory: false,
            started_at: String::new(),
            is_privileged: false,
            pid_mode: String::new(),
            user: String::new(),
            network: String::new(),
            environment: Vec::new(),
        }
    }

    fn kept() -> Kept {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect();
        Kept {
            files: paths(&["/run/docker.sock", "/srv/w/control.sock"]),
            folders: paths(&["/srv/w/jails"]),
        }
    }

    fn targets(shared: &[Shared]) -> Vec<&str> {
        shared.iter().map(|shared| shared.target.as_str()).collect()
    }

    const MOUNTS: &[(&str, &str, bool)] = &[
        ("/home/u/work", "/work", false),
        ("/home/u/ro", "/work/ro", true),
        ("volume:cache", "/work/cache", false),
        ("/home/u/other", "/other", false),
        ("volume:data", "/data", false),
        ("/home/u/fixed", "/fixed", true),
        ("/var/run/docker.sock", "/sock", false),
        ("/var/run", "/hostrun", false),
        ("/srv/w", "/all", false),
        ("/srv/w/jails/box", "/jail", false),
        ("/", "/host", false),
        ("/etc", "/hostetc", false),
        ("/home/u/bin", "/usr/local/bin", false),
        ("/home/u/x", "/a/../b", false),
    ];

    #[test]
    fn what_is_declared_is_shared_with_volumes_and_what_cannot_be_written() {
        let declared = ["/work".to_owned()];
        let shared = of_container(&container(MOUNTS), &declared, &kept());
        assert_eq!(targets(&shared), ["/work", "/work/ro", "/work/cache"]);
        assert!(shared[1].is_read_only && shared[2].source == "cache");
        let wide = [
            "/sock".to_owned(),
            "/all".into(),
            "/jail".into(),
            "/host".into(),
            "/hostrun".into(),
            "/hostetc".into(),
        ];
        assert!(of_container(&container(MOUNTS), &wide, &kept()).is_empty());
    }

    #[test]
    fn where_nothing_is_declared_it_is_what_can_be_written_and_is_the_hosts() {
        let shared = of_container(&container(MOUNTS), &[], &kept());
        assert_eq!(targets(&shared), ["/work", "/other"]);
    }

    #[test]
    fn a_name_that_only_begins_alike_is_another_folder() {
        let shared = of_container(&container(MOUNTS), &["/wor".to_owned()], &kept());
        assert!(shared.is_empty());
        let shared = of_host(&["/work".to_owned()], &kept());
        assert!(holds(&shared, b"/work") && holds(&shared, b"/work/a/b"));
        assert!(!holds(&shared, b"/workshop") && !holds(&shared, b"/"));
    }

    #[test]
    fn a_policy_that_shares_more_gives_nothing_that_another_one_does_not() {
        let of = |folders: &[&str]| {
            let folders: Vec<String> = folders.iter().map(|&folder| folder.to_owned()).collect();
            of_host(&folders, &kept())
        };
        let both = of_all([of(&["/work", "/home/u"]), of(&["/more", "/work"])].into_iter());
        assert_eq!(targets(&both), ["/work"]);
        assert!(of_all([of(&["/work"]), of(&[])].into_iter()).is_empty());
        assert!(of_all(std::iter::empty()).is_empty());
    }

    #[test]
    fn of_containers_that_may_be_the_callers_those_volumes_are_shared_that_all_have() {
        let one = container(&[("volume:work", "/work", false), ("/home/u/src", "/src", false)]);
        let more = container(&[("volume:work", "/work", false), ("volume:more", "/more", false)]);
        let read_only = container(&[("volume:work", "/work", true)]);
        let other = container(&[("volume:other", "/work", false)]);
        let declared = ["/work", "/src", "/more"].map(str::to_owned);
        let of = |all: &[&Container]| {
            let each: Vec<Vec<Mount>> = all.iter().map(|one| one.mounts.clone()).collect();
            let shared = of_any(&each, &declared, &kept());
            targets(&shared).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of(&[&one]), ["/work"]);
        assert_eq!(of(&[&one, &more]), ["/work"]);
        assert!(of(&[&one, &read_only]).is_empty());
        assert!(of(&[&one, &other]).is_empty());
        assert!(of(&[]).is_empty());
        for inner in ["volume:in", "/home/u/in"] {
            let nested = container(&[("volume:work", "/work", false), (inner, "/work/in", false)]);
            assert!(!of(&[&nested]).contains(&"/work".to_owned()), "{inner}");
        }
    }

    #[test]
    fn on_the_host_too_our_own_places_stay_out() {
        let all = ["/work", "/srv/w", "/srv/w/jails/x", "/etc/x", "/run"].map(str::to_owned);
        assert_eq!(targets(&of_host(&all, &kept())), ["/work"]);
    }
}
