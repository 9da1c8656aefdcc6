//! What PATH is searched for in vain. Most of a PATH does not have the tool, and to ask the kernel for each of its folders
//! again takes a tenth of what the warden works for a command.
//!
//! A folder is watched, and every folder above it, before a name is looked for in it. What was not there is not there
//! until one of these changes, or what is mounted. The kernel tells that in the order in which it happens, so whoever
//! looks hears of all that was done before.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use super::root::{Depth, Root, is_plain, join};

/// Folders that are known, and names of each. Beyond it nothing more is remembered.
const MAX_FOLDERS: usize = 256;
const MAX_NAMES: usize = 1024;

/// How long a folder in which something has changed is not watched again, nor any after something was mounted: it will go on,
/// mostly. So is a folder that could not be looked at without waiting.
const RESTLESS: Duration = Duration::from_secs(1);

/// How long a folder that cannot be watched is not tried again.
const UNWATCHED: Duration = Duration::from_secs(60);

/// File systems in which nothing changes but by this machine's kernel, which tells it.
const LOCAL: [&str; 8] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "overlay"];

/// Names that are not there.
#[derive(Debug, Default)]
pub(crate) struct Absences(Mutex<Known>);

/// What is known at this moment.
pub(super) struct Look<'a>(MutexGuard<'a, Known>);

#[derive(Debug, Default)]
struct Known {
    /// Once it can be had it stays: to close an inotify with its watches may take the kernel ten milliseconds.
    state: Option<State>,
    /// Nothing is to be known until then.
    left: Option<Instant>,
}

#[derive(Debug)]
struct State {
    inotify: OwnedFd,
    /// Of our mount namespace; it polls for priority when something was mounted or unmounted since the last poll.
    mounts: File,
    /// The mounts of [`LOCAL`] file systems.
    local: HashSet<u64>,
    folders: HashMap<Vec<u8>, Folder>,
    /// The folders that rest on each watch.
    resting: HashMap<i32, Vec<Vec<u8>>>,
}

#[derive(Debug)]
enum Folder {
    /// Every change of it, and of what it lies in, is told. So these names are not in it.
    Watched(HashSet<Vec<u8>>),
    /// It is left alone until then.
    Left(Instant),
}

impl Absences {
    /// What is known now; `None` where the kernel cannot be asked, or has just told too much: where something is mounted all the
    /// time, as where many containers start, nothing is worth to be learned.
    pub(super) fn look(&self) -> Option<Look<'_>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.left.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let Known { state, left } = &mut *known;
        *left = match state {
            None => match State::new() {
                Ok(new) => {
                    *state = Some(new);
                    None
                }
                Err(_) => Some(Instant::now() + UNWATCHED),
            },
            Some(state) => state.hear().is_err().then(|| {
                state.forget();
                Instant::now() + RESTLESS
            }),
        };
        known.left.is_none().then_some(Look(known))
    }
}

impl Look<'_> {
    /// Whether `folder` has no such `name`, as far as is known. Where it is not, it will be after [`Look::learn`].
    pub(super) fn lacks(&mut self, root: &Root, folder: &[u8], name: &[u8]) -> bool {
        let Some(state) = &mut self.0.state else { return false };
        match state.folders.get(folder) {
            Some(Folder::Watched(names)) => return names.contains(name),
            Some(Folder::Left(until)) if Instant::now() < *until => return false,
            None if state.folders.len() >= MAX_FOLDERS || !is_plain(folder) => return false,
            Some(Folder::Left(_)) | None => {}
        }
        let found = match state.watch(root, folder) {
            Ok(()) => Folder::Watched(HashSet::new()),
            // The kernel has not all of it at hand just now.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Folder::Left(Instant::now() + RESTLESS)
            }
            Err(_) => Folder::Left(Instant::now() + UNWATCHED),
        };
        state.folders.insert(folder.to_vec(), found);
        false
    }

    /// `folder` was looked into, after it had been asked about here, and has no such `name`.
    pub(super) fn learn(&mut self, root: &Root, folder: &[u8], name: &[u8]) {
        let folders = self.0.state.as_mut().map(|state| &mut state.folders);
        if let Some(Folder::Watched(names)) = folders.and_then(|folders| folders.get_mut(folder))
            && names.len() < MAX_NAMES
            // A link to nothing may come to lead to something.
            && root.lacks(&join(folder, name))
        {
            names.insert(name.to_vec());
        }
    }
}

impl State {
    fn new() -> io::Result<Self> {
        let mut state = Self {
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            mounts: File::open("/proc/self/mountinfo")?,
            local: HashSet::new(),
            folders: HashMap::new(),
            resting: HashMap::new(),
        };
        state.list()?;
        Ok(state)
    }

    /// Reads which mounts there are.
    fn list(&mut self) -> io::Result<()> {
        let mut listed = String::new();
        self.mounts.rewind()?;
        self.mounts.read_to_string(&mut listed)?;
        self.local = listed.lines().filter_map(local_mount).collect();
        Ok(())
    }

    /// Knows nothing any more. What is still watched tells it to nobody.
    fn forget(&mut self) {
        self.folders.clear();
        self.resting.clear();
        if self.list().is_err() {
            self.local.clear();
        }
    }

    /// Takes in what has happened. An error is that not all of it can be told.
    fn hear(&mut self) -> io::Result<()> {
        let mut asked =
            [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&self.mounts, PollFlags::PRI)];
        if poll(&mut asked, Some(&Timespec::default()))? == 0 {
            return Ok(());
        }
        if !asked[1].revents().is_empty() {
            return Err(io::ErrorKind::StaleNetworkFileHandle.into());
        }
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.inotify, &mut room);
        loop {
            match events.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    return Err(io::ErrorKind::StaleNetworkFileHandle.into());
                }
                Ok(event) => {
                    let until = Instant::now() + RESTLESS;
                    for folder in self.resting.remove(&event.wd()).unwrap_or_default() {
                        self.folders.insert(folder, Folder::Left(until));
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Watches a folder and what it lies in, from the root down, so that each is the one that the one above it has when it
    /// is looked at next. Where it does not exist, what would have it.
    fn watch(&mut self, root: &Root, folder: &[u8]) -> io::Result<()> {
        let slashes = folder.iter().enumerate().skip(1).filter(|&(_, &byte)| byte == b'/');
        let ends = slashes.map(|(at, _)| at).chain([folder.len()]);
        for part in [&b"/"[..]].into_iter().chain(ends.map(|end| &folder[..end])) {
            let opened = match root.lookup(part, Depth::Cached) {
                Ok(opened) => opened,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            let is_local = opened.mount().is_some_and(|mount| self.local.contains(&mount));
            if !opened.is_directory() || !opened.is_direct() || !is_local {
                return Err(io::ErrorKind::Unsupported.into());
            }
            // What comes into it is what there was not before, or takes the place of what leads on. Once is enough: what rests
            // on it is looked at anew then.
            let told = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONESHOT;
            let path = format!("/proc/self/fd/{}", opened.fd.as_raw_fd());
            let watch = inotify::add_watch(&self.inotify, path, told)?;
            let resting = self.resting.entry(watch).or_default();
            if !resting.iter().any(|other| other == folder) {
                resting.push(folder.to_vec());
            }
        }
        Ok(())
    }
}

/// The number of a mount of one of the [`LOCAL`] file systems, by its line in /proc/self/mountinfo.
fn local_mount(line: &str) -> Option<u64> {
    let (before, after) = line.split_once(" - ")?;
    let system = after.split(' ').next()?;
    let number = before.split(' ').next()?;
    if LOCAL.contains(&system) { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::super::kinds::Kinds;
    use super::super::tool::Search;
    use super::*;

    /// A folder on whatever file system there is, its PATH of two folders, and what is known of them.
    struct Scene {
        dir: tempfile::TempDir,
        root: Root,
        kinds: Kinds,
    }

    impl Scene {
        fn new() -> Self {
            let scene = Self {
                dir: tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap(),
                root: Root::own().unwrap(),
                kinds: Kinds::default(),
            };
            fs::create_dir_all(scene.at("a/first")).unwrap();
            fs::create_dir(scene.at("last")).unwrap();
            executable(&scene.at("last/tool"));
            assert_eq!(scene.found(), "last");
            scene
        }

        fn at(&self, name: &str) -> std::path::PathBuf {
            self.dir.path().join(name)
        }

        /// In which folder of PATH the tool is.
        fn found(&self) -> String {
            let (first, last) = (self.at("a/first"), self.at("last"));
            let path = [first.as_os_str().as_bytes(), last.as_os_str().as_bytes()].join(&b':');
            let find = |depth| {
                let search = Search {
                    root: &self.root,
                    kinds: &self.kinds,
                    path: Some(&path),
                    cwd: None,
                    depth,
                    behind: None,
                };
                search.find(b"tool")
            };
            let tool = find(Depth::Cached).or_else(|_| find(Depth::Full)).unwrap().unwrap();
            let folder = Path::new(std::ffi::OsStr::from_bytes(&tool.path)).parent().unwrap();
            folder.file_name().unwrap().to_str().unwrap().to_owned()
        }

        /// Whether the first folder comes to be known to have no such tool, when it is searched again and again. What others do
        /// beside it takes its time.
        fn knows(&self) -> bool {
            let end = Instant::now() + Duration::from_secs(30);
            let (mut tries, mut has) = (0, false);
            while tries < 20 {
                self.found();
                let first = self.at("a/first");
                let first = first.as_os_str().as_bytes();
                let look = self.kinds.absences.look();
                let is_restless = look.is_none_or(|mut look| {
                    has = look.lacks(&self.root, first, b"tool");
                    let folder = look.0.state.as_ref().unwrap().folders.get(first);
                    matches!(folder, Some(Folder::Left(until)) if *until < Instant::now() + 2 * RESTLESS)
                });
                if has {
                    return true;
                }
                if is_restless {
                    std::thread::sleep(RESTLESS / 10);
                } else {
                    tries += 1;
                }
                assert!(Instant::now() < end, "it never becomes quiet here");
            }
            false
        }
    }

    fn executable(path: &Path) {
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Does something to what was searched in vain; where the tool is then.
    fn after(change: impl FnOnce(&Scene)) -> String {
        let scene = Scene::new();
        assert!(scene.knows());
        change(&scene);
        scene.found()
    }

    #[test]
    fn what_comes_to_be_there_is_found_at_once() {
        assert_eq!(after(|_| ()), "last");
        assert_eq!(after(|scene| executable(&scene.at("a/first/tool"))), "first");
        let linked = |scene: &Scene| {
            fs::hard_link(scene.at("last/tool"), scene.at("a/first/tool")).unwrap();
        };
        assert_eq!(after(linked), "first");
        let moved = |scene: &Scene| {
            executable(&scene.at("new"));
            fs::rename(scene.at("new"), scene.at("a/first/tool")).unwrap();
        };
        assert_eq!(after(moved), "first");
    }

    #[test]
    fn so_is_what_another_folder_has_in_the_place_of_this_one_or_of_one_above() {
        for depth in ["a/first", "a"] {
            let replaced = |scene: &Scene| {
                fs::create_dir_all(scene.at("b/first")).unwrap();
                executable(&scene.at("b/first/tool"));
                fs::rename(scene.at(depth), scene.at("old")).unwrap();
                let by = if depth == "a" { "b" } else { "b/first" };
                fs::rename(scene.at(by), scene.at(depth)).unwrap();
            };
            assert_eq!(after(replaced), "first", "{depth}");
            let linked = |scene: &Scene| {
                fs::create_dir_all(scene.at("b/first")).unwrap();
                executable(&scene.at("b/first/tool"));
                fs::remove_dir_all(scene.at("a")).unwrap();
                symlink("b", scene.at("a")).unwrap();
            };
            assert_eq!(after(linked), "first", "{depth}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_lacks_all_until_it_is_made() {
        let made = |scene: &Scene| {
            fs::remove_dir_all(scene.at("a")).unwrap();
            // What was known holds on; what is learned anew holds as well.
            assert_eq!(scene.found(), "last");
            fs::create_dir(scene.at("unlike")).unwrap();
            assert!(scene.knows());
            fs::create_dir_all(scene.at("a/first")).unwrap();
            executable(&scene.at("a/first/tool"));
        };
        assert_eq!(after(made), "first");
    }

    #[test]
    fn a_link_to_nothing_is_no_absence() {
        let scene = Scene::new();
        symlink("../../elsewhere", scene.at("a/first/tool")).unwrap();
        assert!(!scene.knows());
        executable(&scene.at("elsewhere"));
        assert_eq!(scene.found(), "first");
    }

    #[test]
    fn a_folder_behind_a_link_is_looked_into_each_time() {
        let scene = Scene::new();
        fs::rename(scene.at("a"), scene.at("b")).unwrap();
        symlink("b", scene.at("a")).unwrap();
        assert!(!scene.knows());
        executable(&scene.at("b/first/tool"));
        assert_eq!(scene.found(), "first");
    }

    #[test]
    fn a_folder_that_changes_often_is_left_alone_for_a_while() {
        let scene = Scene::new();
        let is_left = |number: usize| {
            assert!(scene.knows());
            fs::write(scene.at(&format!("a/first/{number}")), "").unwrap();
            assert_eq!(scene.found(), "last");
            let Some(look) = scene.kinds.absences.look() else { return false };
            let folders = &look.0.state.as_ref().unwrap().folders;
            let known = folders.get(scene.at("a/first").as_os_str().as_bytes());
            matches!(known, Some(Folder::Left(until)) if *until > Instant::now())
        };
        // Of what somebody has mounted meanwhile everything is forgotten.
        assert!((0..20).any(is_left));
    }

    /// Takes away what was mounted there.
    struct Mounted(std::path::PathBuf);

    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }

    #[test]
    fn what_is_mounted_over_it_is_found_at_once() {
        let scene = Scene::new();
        assert!(scene.knows());
        fs::create_dir_all(scene.at("b/first")).unwrap();
        executable(&scene.at("b/first/tool"));
        assert!(scene.knows());
        let mut mount = std::process::Command::new("mount");
        mount.arg("--bind").args([scene.at("b"), scene.at("a")]);
        if !mount.status().is_ok_and(|status| status.success()) {
            eprintln!("not tried: nothing can be mounted here");
            return;
        }
        let mounted = Mounted(scene.at("a"));
        assert_eq!(scene.found(), "first");
        drop(mounted);
        assert_eq!(scene.found(), "last");
    }

    #[test]
    fn where_something_was_mounted_nothing_is_known_for_a_while() {
        let scene = Scene::new();
        assert!(scene.knows());
        let mut known = scene.kinds.absences.0.lock().unwrap();
        known.state.as_mut().unwrap().forget();
        known.left = Some(Instant::now() + RESTLESS);
        drop(known);
        assert!(scene.kinds.absences.look().is_none());
        executable(&scene.at("a/first/tool"));
        assert_eq!(scene.found(), "first");
        fs::remove_file(scene.at("a/first/tool")).unwrap();
        assert!(scene.knows());
    }

    #[test]
    fn mounts_of_other_machines_and_of_programs_are_not_local() {
        let line = "36 35 98:0 / /mnt rw,noatime shared:1 - ext4 /dev/root rw";
        assert_eq!(local_mount(line), Some(36));
        for other in ["nfs4", "fuse.sshfs", "fuseblk", "9p", "ext4x"] {
            assert_eq!(local_mount(&line.replace("ext4", other)), None, "{other}");
        }
        assert_eq!(local_mount("36 35 98:0 / /mnt rw"), None);
    }
}
