//! Which of a container's mounts are the warden's own folders: whoever has a jail's folder has its door.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Vantage;
use crate::engine::{Mount, MountKind};

/// Where a prisoner finds its door.
const USUAL: &[&str] = &["/run/clawrden", "/var/run/clawrden"];

/// A file or folder of the warden's, as the engine knows it.
#[derive(Debug)]
pub(crate) struct Door(Vec<PathBuf>);

/// Tells the warden's own folders among what is mounted into containers.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(super) vantage: Arc<Vantage>,
    /// The volumes that are only names of folders, and those folders.
    pub(super) folders: BTreeMap<String, PathBuf>,
}

impl Doors {
    /// Where the warden itself is.
    pub(crate) fn vantage(&self) -> &Vantage {
        &self.vantage
    }

    /// A file or folder of the warden's, by the paths that the engine may tell of it.
    pub(crate) fn door(&self, path: &Path) -> Door {
        let there = self.vantage.on_host(path).ok();
        let named = self.vantage.is_host().then(|| path.to_owned());
        Door(there.into_iter().chain(named).collect())
    }

    /// Where it is mounted, if it is.
    pub(crate) fn mounted<'m>(&self, mounts: &'m [Mount], door: &Door) -> Option<&'m str> {
        let is_it = |source: &Path| door.0.iter().any(|path| path == source);
        let found = mounts.iter().find(|mount| match &mount.kind {
            MountKind::Bind => is_it(Path::new(&mount.source)),
            MountKind::Volume(name) => {
                is_it(Path::new(&mount.source))
                    || self.folders.get(name).is_some_and(|folder| is_it(folder))
            }
            MountKind::Other => false,
        });
        found.map(|mount| &mount.destination[..])
    }

    /// Whether these mounts lead to it: it is mounted, or anything above it.
    pub(crate) fn leads_to(&self, mounts: &[Mount], door: &Door) -> bool {
        let is_above = |source: &Path| door.0.iter().any(|path| path.starts_with(source));
        mounts.iter().any(|mount| match &mount.kind {
            MountKind::Bind => is_above(Path::new(&mount.source)),
            MountKind::Volume(name) => {
                is_above(Path::new(&mount.source))
                    || self.folders.get(name).is_some_and(|folder| is_above(folder))
            }
            MountKind::Other => false,
        })
    }

    /// Whether something that lies in a folder of the warden's is mounted, be it there already or not.
    pub(crate) fn has_part(&self, mounts: &[Mount], of: &Door) -> bool {
        let lies_in = |source: &Path| of.0.iter().any(|folder| source.starts_with(folder));
        mounts.iter().any(|mount| match &mount.kind {
            MountKind::Bind => lies_in(Path::new(&mount.source)),
            MountKind::Volume(name) => self.folders.get(name).is_some_and(|folder| lies_in(folder)),
            MountKind::Other => false,
        })
    }

    /// Whether a container has the door of somebody else, and none of `ours`.
    pub(crate) fn is_anothers<'d>(
        &self,
        mounts: &[Mount],
        ours: impl IntoIterator<Item = &'d Door>,
    ) -> bool {
        let is_usual = |mount: &Mount| {
            USUAL.iter().any(|usual| Path::new(&mount.destination).starts_with(usual))
        };
        mounts.iter().any(is_usual)
            && ours.into_iter().all(|door| self.mounted(mounts, door).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: MountKind, source: &str, destination: &str) -> Mount {
        Mount {
            kind,
            source: source.to_owned(),
            destination: destination.to_owned(),
            is_read_only: true,
        }
    }

    fn volume(name: &str) -> Mount {
        let source = format!("/var/lib/docker/volumes/{name}/_data");
        mount(MountKind::Volume(name.to_owned()), &source, "/run/clawrden")
    }

    #[test]
    fn a_folder_is_found_by_whatever_name_it_is_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let (box_, other) = (dir.path().join("box"), dir.path().join("other"));
        std::fs::create_dir(&box_).unwrap();
        std::fs::create_dir(&other).unwrap();
        let folders = BTreeMap::from([("door".to_owned(), box_.clone())]);
        let doors = Doors { vantage: Arc::new(Vantage::Host), folders };
        let bind = mount(MountKind::Bind, box_.to_str().unwrap(), "/run/clawrden");
        let (ours, other) = (doors.door(&box_), doors.door(&other));
        for there in [bind, volume("door")].map(|mount| [mount]) {
            assert_eq!(doors.mounted(&there, &ours), Some("/run/clawrden"));
            assert_eq!(doors.mounted(&there, &other), None);
            assert!(!doors.is_anothers(&there, [&other, &ours]));
            assert!(doors.is_anothers(&there, [&other]));
        }
        let strange = [volume("strange")];
        assert_eq!(doors.mounted(&strange, &ours), None);
        assert!(doors.is_anothers(&strange, [&ours]));
        let above = doors.door(dir.path());
        let coming =
            [mount(MountKind::Bind, dir.path().join("new").to_str().unwrap(), "/run/clawrden")];
        assert!(doors.has_part(&coming, &above) && !doors.has_part(&strange, &above));
        assert!(!doors.is_anothers(&[mount(MountKind::Bind, "/srv/x", "/work")], [&ours]));
    }
}
