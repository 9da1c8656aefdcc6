//! Opening what a caller names under the caller's own root: nothing that it names can lead out of there.
//!
//! A lookup is first tried in the kernel's cache alone, which cannot block; a file system of the caller's making can
//! make any other lookup hang, so those run on a worker that can be given up. See [`Depth`].

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

/// How far a lookup may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Only what the kernel has cached; anything else is `WouldBlock`.
    Cached,
    /// As far as it takes. For a worker thread.
    Full,
}

/// What a file is, whatever path leads to it. Two equal ones are the same unchanged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    /// Device, as major and minor.
    pub(crate) device: (u32, u32),
    /// Inode.
    pub(crate) inode: u64,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Last change of the inode, seconds and nanoseconds.
    pub(crate) changed: (i64, u32),
}

/// A file that was opened by path alone: nothing of it was read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) fd: OwnedFd,
    pub(crate) id: FileId,
    pub(crate) mode: u32,
    pub(crate) links: u32,
    /// No link was followed on the way to it.
    direct: bool,
}

impl Opened {
    pub(crate) fn is_directory(&self) -> bool {
        fs::FileType::from_raw_mode(self.mode) == fs::FileType::Directory
    }

    /// Whether no link was followed on the way to it.
    pub(crate) fn is_direct(&self) -> bool {
        self.direct
    }

    /// The same, led to by a link.
    pub(super) fn by_a_link(self) -> Self {
        Self { direct: false, ..self }
    }

    /// The number of the mount that it lies on; `None` where the kernel does not tell.
    pub(crate) fn mount(&self) -> Option<u64> {
        Place::of(&self.fd).map(|place| place.mount)
    }

    pub(crate) fn is_file(&self) -> bool {
        fs::FileType::from_raw_mode(self.mode) == fs::FileType::RegularFile
    }

    pub(crate) fn is_executable_file(&self) -> bool {
        fs::FileType::from_raw_mode(self.mode) == fs::FileType::RegularFile
            && self.mode & 0o111 != 0
    }
}

/// A caller's root directory.
#[derive(Debug)]
pub(crate) struct Root {
    folder: Folder,
    /// See [`Root::is_own`].
    own: bool,
    /// Where this root lies, when it is not `/`: a path that the kernel gives starts with it.
    prefix: Option<PathBuf>,
}

/// An open folder.
#[derive(Debug)]
enum Folder {
    Held(OwnedFd),
    /// The warden's own root, which stays open.
    Own(&'static OwnedFd),
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Held(fd) => fd.as_fd(),
            Self::Own(fd) => fd.as_fd(),
        }
    }
}

/// Whether the last root that was asked for was the warden's own.
static IS_USUAL: AtomicBool = AtomicBool::new(true);

impl Root {
    /// The root of process `pid`.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let path = format!("/proc/{pid}/root");
        // To look at it costs less than to open it, and tells whether it is the one that is open already. Who asks comes
        // from where the one before came, mostly.
        if IS_USUAL.load(Ordering::Relaxed)
            && let Some((own, place)) = &*OWN
            && Place::at(&path) == Some(*place)
        {
            return Ok(Self { folder: Folder::Own(own), own: true, prefix: None });
        }
        let root = Self::open(Path::new(&path))?;
        IS_USUAL.store(root.own, Ordering::Relaxed);
        Ok(root)
    }

    /// Whether it is the warden's own root, in the warden's own mount namespace. `false` where that is not known.
    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    /// Whether it is the topmost one of its mount namespace: where it is not, `/` is another folder to the caller.
    pub(crate) fn is_top(&self) -> bool {
        self.prefix.is_none()
    }

    /// The warden's own root.
    pub(crate) fn own() -> io::Result<Self> {
        Self::open(Path::new("/"))
    }

    /// The folder itself.
    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// A folder as a root.
    #[cfg(test)]
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Self::open(path)
    }

    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self::given(fs::open(path, flags, Mode::empty())?)
    }

    /// The folder that this descriptor stands for.
    pub(crate) fn given(fd: OwnedFd) -> io::Result<Self> {
        // The usual one is told by what it is: its path costs several times as much.
        let own = OWN.as_ref().is_some_and(|(_, own)| Place::of(&fd) == Some(*own));
        let at = if own { None } else { Some(path_of(&fd)?) };
        let prefix = at.filter(|at| at != Path::new("/"));
        Ok(Self { folder: Folder::Held(fd), own, prefix })
    }

    /// Opens `path`, absolute in this root, following links inside this root.
    pub(crate) fn lookup(&self, path: &[u8], depth: Depth) -> io::Result<Opened> {
        let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        if depth == Depth::Cached {
            resolve |= ResolveFlags::CACHED;
        }
        let open = |resolve| {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            fs::openat2(&self.folder, path, flags, Mode::empty(), resolve)
        };
        let (fd, direct) = match open(resolve | ResolveFlags::NO_SYMLINKS) {
            Err(Errno::LOOP) => (open(resolve), false),
            other => (other, true),
        };
        let fd = match fd {
            // Before 5.12 the kernel knows no such flag: only a worker can look.
            Err(Errno::INVAL) if depth == Depth::Cached => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            other => other?,
        };
        Ok(Opened { direct, ..identify(fd)? })
    }

    /// The link at `path`, absolute in this root, to which no other one leads.
    pub(super) fn link_at(&self, path: &[u8], depth: Depth) -> io::Result<Opened> {
        let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        if depth == Depth::Cached {
            resolve |= ResolveFlags::CACHED;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        identify(fs::openat2(&self.folder, path, flags, Mode::empty(), resolve)?)
    }

    /// Whether there is no such path, and no link on the way to it, as far as the kernel has that at hand.
    pub(crate) fn lacks(&self, path: &[u8]) -> bool {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let opened = fs::openat2(&self.folder, path, flags, Mode::empty(), resolve);
        opened.is_err_and(|error| error == Errno::NOENT)
    }

    /// Where `path`, absolute in this root, leads, free of links; what does not exist is taken for what would be made
    /// there. `None` for a link to nothing, and for what cannot be looked at.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the depth does not suffice.
    pub(crate) fn follow(&self, path: &[u8], depth: Depth) -> io::Result<Option<Vec<u8>>> {
        let mut at = path;
        let mut missing: Vec<&[u8]> = Vec::new();
        loop {
            match self.lookup(at, depth) {
                Ok(opened) => {
                    let Some(mut real) = self.path_of(&opened, at) else { return Ok(None) };
                    for name in missing.iter().rev() {
                        if real.last() != Some(&b'/') {
                            real.push(b'/');
                        }
                        real.extend_from_slice(name);
                    }
                    return Ok(Some(real));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(_) => return Ok(None),
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            if depth == Depth::Cached {
                resolve |= ResolveFlags::CACHED;
            }
            match fs::openat2(&self.folder, at, flags, Mode::empty(), resolve) {
                Ok(_) => return Ok(None),
                Err(Errno::AGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(_) => {}
            }
            let Some(slash) = at.iter().rposition(|byte| *byte == b'/') else { return Ok(None) };
            let (above, name) = (&at[..slash], &at[slash + 1..]);
            match name {
                // Of a folder that is not there nobody knows what is above it.
                b".." => return Ok(None),
                b"" | b"." => {}
                _ => missing.push(name),
            }
            at = if above.is_empty() { b"/" } else { above };
        }
    }

    /// The absolute path of `opened`, which `named` led to, in this root, free of links; `None` when it was deleted or
    /// lies outside.
    pub(crate) fn path_of(&self, opened: &Opened, named: &[u8]) -> Option<Vec<u8>> {
        if opened.links == 0 {
            return None;
        }
        if opened.direct && is_plain(named) {
            return Some(named.to_vec());
        }
        let path = path_of(&opened.fd).ok()?;
        let inside = match &self.prefix {
            None => path,
            Some(prefix) => Path::new("/").join(path.strip_prefix(prefix).ok()?),
        };
        inside.is_absolute().then(|| inside.into_os_string().into_vec())
    }
}

/// What an `O_PATH` descriptor stands for, without asking a remote file system to refresh it.
pub(crate) fn identify(fd: OwnedFd) -> io::Result<Opened> {
    let wanted = StatxFlags::BASIC_STATS;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let st = fs::statx(&fd, "", flags, wanted)?;
    Ok(Opened {
        id: FileId {
            device: (st.stx_dev_major, st.stx_dev_minor),
            inode: st.stx_ino,
            size: st.stx_size,
            changed: (st.stx_ctime.tv_sec, st.stx_ctime.tv_nsec),
        },
        mode: u32::from(st.stx_mode),
        links: st.stx_nlink,
        direct: false,
        fd,
    })
}

/// A directory as it is mounted at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    mount: u64,
    inode: u64,
}

/// The warden's own root, which most callers have too, and its place; `None` where the kernel does not tell that.
static OWN: LazyLock<Option<(OwnedFd, Place)>> = LazyLock::new(|| {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let own = fs::open("/", flags, Mode::empty()).ok()?;
    let place = Place::of(&own)?;
    Some((own, place))
});

impl Place {
    /// `None` where the kernel does not tell: before 5.8.
    fn of(fd: &OwnedFd) -> Option<Self> {
        Self::told(fd.as_fd(), "", AtFlags::EMPTY_PATH)
    }

    /// Of what a path leads to.
    fn at(path: &str) -> Option<Self> {
        Self::told(fs::CWD, path, AtFlags::empty())
    }

    fn told(folder: BorrowedFd<'_>, path: &str, flags: AtFlags) -> Option<Self> {
        let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
        let st = fs::statx(folder, path, flags | AtFlags::STATX_DONT_SYNC, wanted).ok()?;
        let told = StatxFlags::from_bits_retain(st.stx_mask).contains(wanted);
        told.then_some(Self { mount: st.stx_mnt_id, inode: st.stx_ino })
    }
}

/// Whether an absolute path leads nowhere but through its own names.
pub(super) fn is_plain(path: &[u8]) -> bool {
    let odd = |name: &[u8]| name.is_empty() || name == b"." || name == b"..";
    path == b"/"
        || path.strip_prefix(b"/").is_some_and(|names| !names.split(|&b| b == b'/').any(odd))
}

/// The first `limit` bytes of a regular file that was opened by path. For a worker thread, or a cached file.
pub(crate) fn read_head(fd: BorrowedFd<'_>, limit: usize) -> io::Result<Vec<u8>> {
    let own = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::open(own, flags, Mode::empty())?;
    let mut head = vec![0; limit];
    let mut have = 0;
    while have < limit {
        match rustix::io::pread(&file, &mut head[have..], have as u64)? {
            0 => break,
            n => have += n,
        }
    }
    head.truncate(have);
    Ok(head)
}

fn path_of(fd: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// `path` below `base`, unless it is absolute itself.
pub(crate) fn join(base: &[u8], path: &[u8]) -> Vec<u8> {
    Path::new(OsStr::from_bytes(base)).join(OsStr::from_bytes(path)).into_os_string().into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root_at(dir: &Path) -> Root {
        Root::open(dir).unwrap()
    }

    #[test]
    fn an_absolute_link_stays_inside_the_callers_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), "inside").unwrap();
        symlink("/etc/passwd", dir.path().join("link")).unwrap();
        symlink("../../../../../../etc/passwd", dir.path().join("dots")).unwrap();
        let root = root_at(dir.path());
        for name in [&b"/link"[..], b"/dots"] {
            let opened = root.lookup(name, Depth::Full).unwrap();
            assert_eq!(read_head(rustix::fd::AsFd::as_fd(&opened.fd), 64).unwrap(), b"inside");
            assert_eq!(root.path_of(&opened, name).unwrap(), b"/etc/passwd");
        }
    }

    #[test]
    fn a_deleted_directory_has_no_path() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        std::fs::create_dir(&gone).unwrap();
        let root = Root::own().unwrap();
        let path = gone.as_os_str().as_bytes();
        let opened = root.lookup(path, Depth::Full).unwrap();
        assert!(root.path_of(&opened, path).is_some());
        std::fs::remove_dir(&gone).unwrap();
        let again = identify(opened.fd).unwrap();
        assert!(root.path_of(&again, path).is_none());
    }

    #[test]
    fn a_path_is_told_free_of_links_and_dots_however_it_was_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        symlink("a", dir.path().join("link")).unwrap();
        let root = root_at(dir.path());
        let names = ["/a/b", "//a/./b", "/a/b/", "/a/../a/b", "/a/b/../../../a/b", "/link/b"];
        for name in names.map(str::as_bytes) {
            let opened = root.lookup(name, Depth::Full).unwrap();
            assert_eq!(root.path_of(&opened, name).unwrap(), b"/a/b", "{name:?}");
        }
        for name in ["/", "/.", "/..", "//"].map(str::as_bytes) {
            let opened = root.lookup(name, Depth::Full).unwrap();
            assert_eq!(root.path_of(&opened, name).unwrap(), b"/", "{name:?}");
        }
    }

    #[test]
    fn only_the_wardens_own_root_is_known_by_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let own = Root::own().unwrap();
        assert!(own.is_top() && own.is_own());
        let other = root_at(dir.path());
        assert!(!other.is_top() && !other.is_own());
        let process = Root::of(std::process::id()).unwrap();
        assert!(process.is_top() && process.is_own());
    }

    #[test]
    fn a_changed_file_has_another_identity() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tool");
        std::fs::write(&file, "one").unwrap();
        let root = Root::own().unwrap();
        let path = file.as_os_str().as_bytes();
        let before = root.lookup(path, Depth::Full).unwrap().id;
        assert_eq!(before, root.lookup(path, Depth::Cached).unwrap().id);
        std::fs::write(&file, "other").unwrap();
        assert_ne!(before, root.lookup(path, Depth::Full).unwrap().id);
    }

    #[test]
    fn links_are_followed_and_what_is_not_there_is_where_it_would_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let real = std::fs::canonicalize(dir.path()).unwrap();
        let at = |rest: &str| real.join(rest).into_os_string().into_vec();
        std::fs::create_dir_all(real.join("a/b")).unwrap();
        std::fs::write(real.join("a/file"), "").unwrap();
        symlink("a/b", real.join("link")).unwrap();
        symlink("nothing", real.join("lost")).unwrap();
        symlink("loop", real.join("loop")).unwrap();
        let root = Root::own().unwrap();
        let follow = |rest: &str| root.follow(&at(rest), Depth::Full).unwrap();
        assert_eq!(follow("a/file"), Some(at("a/file")));
        assert_eq!(follow("link"), Some(at("a/b")));
        assert_eq!(follow("link/new/deep/"), Some(at("a/b/new/deep")));
        assert_eq!(follow("link/../file"), Some(at("a/file")), "behind the link, not before it");
        for rest in ["lost", "lost/x", "loop", "a/file/x", "new/../a", "link/new/../x"] {
            assert_eq!(follow(rest), None, "{rest}");
        }
        let lead = |path: &[u8]| root.follow(path, Depth::Full).unwrap();
        assert_eq!(lead(b"/"), Some(b"/".to_vec()));
        assert_eq!(lead(b"/nonexistent-folder/x"), Some(b"/nonexistent-folder/x".to_vec()));
        assert_eq!(lead(b"/proc/self/exe"), None, "a magic link");
        // By what is cached alone it is the same, or not told.
        for rest in ["a/file", "link", "link/new", "lost", "loop"] {
            if let Ok(found) = root.follow(&at(rest), Depth::Cached) {
                assert_eq!(found, follow(rest), "{rest}");
            }
        }
    }
}
