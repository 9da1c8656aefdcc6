//! Where the warden itself stands. The engine takes every path for one of its host's; a warden that is in a container
//! of that engine has other ones, and what it wants to give away must lie on something that was mounted into it.

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::cgroup::ids;
use crate::engine::{Container, Engine, EngineError, Mount, MountKind, Running};

/// Files that engines mount into their containers, from a folder that is called like the container.
const GIVEN: &[&str] =
    &["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv", "/.dockerenv"];

/// Where the warden is, for its engine.
#[derive(Debug)]
pub(crate) enum Vantage {
    /// Where the engine is too: paths are the same.
    Host,
    /// In a container of the engine.
    Inside(Box<Container>),
}

/// Why something of the warden's cannot be given to another container.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum OutOfReach {
    /// It is on no mount that the engine knows.
    #[error(
        "{path} is in the warden's own container and on no folder or volume that is mounted into it, so the engine \
         cannot give it to another container; mount a volume at {folder} of the warden's container"
    )]
    NotMounted {
        /// What it is about.
        path: String,
        /// Where something should be mounted.
        folder: String,
    },
    /// It is not there.
    #[error("{path} cannot be looked at: {why}")]
    Unreadable {
        /// What it is about.
        path: String,
        /// The cause.
        why: String,
    },
}

impl Vantage {
    /// Finds out. Only what the kernel says of ourselves is asked about, and only an engine that runs a container of
    /// that whole id makes it ours: it may be another engine's, this one being in there with us.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(super) async fn find(engine: &Engine, cgroups: &[u8]) -> Result<Self, EngineError> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for id in candidates(cgroups, &mounts) {
            match engine.inspect_container(&id).await {
                Ok(found) if found.id == id && found.running != Running::No => {
                    return Ok(Self::Inside(Box::new(found)));
                }
                Err(error) if !error.is_not_found() => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(Self::Host)
    }

    /// Whether its paths are the engine's.
    pub(super) fn is_host(&self) -> bool {
        matches!(self, Self::Host)
    }

    /// Whether this is the warden's own container.
    pub(crate) fn is_own(&self, container: &str) -> bool {
        matches!(self, Self::Inside(own) if own.id == container)
    }

    /// The id of the warden's own container.
    pub(crate) fn own(&self) -> Option<&str> {
        match self {
            Self::Host => None,
            Self::Inside(own) => Some(&own.id),
        }
    }

    /// The path on the engine's host of a file or folder of the warden's own. It has to be there.
    ///
    /// # Errors
    /// When it lies on nothing that the engine could mount once more.
    pub(crate) fn on_host(&self, path: &Path) -> Result<PathBuf, OutOfReach> {
        self.seen_on_host(path, &self.mounts())
    }

    /// The paths on the engine's host of those files and folders that have one.
    pub(crate) fn all_on_host(&self, paths: &[PathBuf]) -> Vec<PathBuf> {
        let mounts = self.mounts();
        paths.iter().filter_map(|path| self.seen_on_host(path, &mounts).ok()).collect()
    }

    /// What is mounted at this moment, where that matters.
    fn mounts(&self) -> String {
        match self {
            Self::Host => String::new(),
            Self::Inside(_) => fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(),
        }
    }

    fn seen_on_host(&self, path: &Path, mounts: &str) -> Result<PathBuf, OutOfReach> {
        let real = fs::canonicalize(path).map_err(|error| OutOfReach::Unreadable {
            path: path.display().to_string(),
            why: error.to_string(),
        })?;
        let own = match self {
            Self::Host => return Ok(real),
            Self::Inside(own) => own,
        };
        let real_of = |mount: &Mount| fs::canonicalize(&mount.destination).ok();
        translated(&real, mounts, &own.mounts, real_of).ok_or_else(|| {
            let folder = if real.is_dir() { &*real } else { real.parent().unwrap_or(&real) };
            let folder = folder.display().to_string();
            OutOfReach::NotMounted { path: path.display().to_string(), folder }
        })
    }

    /// Whether a folder can be given away once it is made.
    ///
    /// # Errors
    /// When it, or where it will be, lies on nothing that the engine could mount once more.
    pub(crate) fn reaches(&self, folder: &Path) -> Result<(), OutOfReach> {
        let there = folder.ancestors().find(|at| at.exists()).unwrap_or(folder);
        self.on_host(there).map(|_| ())
    }
}

/// Ids that containers we are in may have, the likeliest first.
fn candidates(cgroups: &[u8], mounts: &str) -> Vec<String> {
    let roots = lines(mounts).filter(|(_, at)| GIVEN.contains(&&at[..])).map(|(root, _)| root);
    let of_mounts = roots.flat_map(|root| ids(root.as_bytes()));
    let mut found: Vec<String> = Vec::new();
    // Of nested ones the innermost is the last.
    for id in
        of_mounts.collect::<Vec<_>>().into_iter().rev().chain(
            cgroups.split(|&byte| byte == b'\n').flat_map(|line| ids(line).into_iter().rev()),
        )
    {
        if !found.contains(&id) {
            found.push(id);
        }
    }
    found
}

/// Root and mount point of every mount.
fn lines(mounts: &str) -> impl Iterator<Item = (String, String)> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(3);
        Some((plain(fields.next()?), plain(fields.next()?)))
    })
}

/// Without the kernel's escapes.
fn plain(field: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(field.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Where a path comes from: the source of the mount that it lies on, and what follows. What is mounted on top of that
/// without the engine's knowledge hides what is below.
fn translated(
    path: &Path,
    mounts: &str,
    known: &[Mount],
    real_of: impl Fn(&Mount) -> Option<PathBuf>,
) -> Option<PathBuf> {
    let above = lines(mounts).map(|(_, at)| PathBuf::from(at)).filter(|at| path.starts_with(at));
    let at = above.max_by_key(|at| at.components().count())?;
    let mount = known.iter().filter(|mount| mount.kind != MountKind::Other);
    let mount = mount.filter(|mount| !mount.source.is_empty());
    let mount = mount.into_iter().find(|mount| real_of(mount).as_ref() == Some(&at))?;
    let rest = path.strip_prefix(&at).ok()?;
    let source = Path::new(&mount.source);
    Some(if rest == Path::new("") { source.to_owned() } else { source.join(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
600 500 0:50 / / ro,relatime - overlay overlay rw,lowerdir=/x\n\
601 600 0:51 / /proc rw - proc proc rw\n\
602 600 0:52 / /run rw - tmpfs tmpfs rw\n\
603 602 8:1 /var/lib/docker/volumes/door/_data /run/clawrden/jails/alice rw - ext4 /dev/a rw\n\
604 602 8:1 /run/docker.sock /run/docker.sock rw - ext4 /dev/a rw\n\
605 600 8:1 /srv/my\\040state /var/lib/clawrden rw - ext4 /dev/a rw\n\
606 605 0:53 / /var/lib/clawrden/scratch rw - tmpfs tmpfs rw\n";

    fn id(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn known() -> Vec<Mount> {
        let mount = |kind, source: &str, destination: &str| Mount {
            kind,
            source: source.to_owned(),
            destination: destination.to_owned(),
            is_read_only: false,
        };
        let volume = MountKind::Volume("door".to_owned());
        vec![
            mount(volume, "/var/lib/docker/volumes/door/_data", "/run/clawrden/jails/alice"),
            mount(MountKind::Bind, "/run/docker.sock", "/var/run/docker.sock"),
            mount(MountKind::Bind, "/srv/my state", "/var/lib/clawrden"),
            mount(MountKind::Other, "", "/run"),
        ]
    }

    fn found(path: &str) -> Option<String> {
        let real = |mount: &Mount| {
            let rest = mount.destination.strip_prefix("/var/run");
            Some(PathBuf::from(
                rest.map_or(mount.destination.clone(), |rest| format!("/run{rest}")),
            ))
        };
        translated(Path::new(path), MOUNTS, &known(), real).map(|path| path.display().to_string())
    }

    #[test]
    fn what_lies_on_a_mount_comes_from_its_source() {
        let door = "/var/lib/docker/volumes/door/_data";
        assert_eq!(found("/run/clawrden/jails/alice").as_deref(), Some(door));
        assert_eq!(found("/run/clawrden/jails/alice/x"), Some(format!("{door}/x")));
        assert_eq!(found("/var/lib/clawrden/runner").as_deref(), Some("/srv/my state/runner"));
        assert_eq!(found("/run/docker.sock").as_deref(), Some("/run/docker.sock"));
    }

    #[test]
    fn what_lies_on_none_or_on_memory_comes_from_nowhere() {
        for path in ["/etc/x", "/run/clawrden/ghosts", "/run/clawrden/jails/bob", "/var/lib/x"] {
            assert_eq!(found(path), None, "{path}");
        }
        // Hidden by a mount that the engine does not tell of.
        assert_eq!(found("/var/lib/clawrden/scratch/x"), None);
    }

    #[test]
    fn ids_are_those_that_the_kernel_names_and_what_is_mounted_for_us_comes_first() {
        let (outer, inner, volume) = (id('a'), id('b'), id('c'));
        let mounts = format!(
            "1 0 8:1 /var/lib/docker/containers/{inner}/hostname /etc/hostname rw - ext4 a rw\n\
             2 0 8:1 /var/lib/docker/volumes/{volume}/_data /data rw - ext4 a rw\n"
        );
        let cgroups = format!("3:cpu:/docker/{outer}/docker/{inner}\n0::/\n");
        assert_eq!(candidates(cgroups.as_bytes(), &mounts), [inner.clone(), outer.clone()]);
        assert_eq!(candidates(cgroups.as_bytes(), ""), [inner, outer]);
        assert!(candidates(b"0::/\n", "").is_empty());
    }

    #[test]
    fn on_the_engines_host_a_path_is_itself() {
        let dir = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(dir.path()).unwrap();
        assert_eq!(Vantage::Host.on_host(dir.path()), Ok(real.clone()));
        assert_eq!(Vantage::Host.reaches(&dir.path().join("x")), Ok(()));
        assert!(Vantage::Host.on_host(&dir.path().join("x")).is_err());
    }
}
