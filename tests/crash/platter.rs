//! A file system in memory that knows what a disk would have if the power failed now: of a file what was put on the disk,
//! of a folder the names that were put there. Everything else is gone, or is there in part, as a disk may have it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

const TTL: Duration = Duration::from_secs(1);

/// The number of the folder at the top.
const ROOT: u64 = 1;

/// What a machine finds that lost power: every file, by its path.
pub(crate) type Image = BTreeMap<std::path::PathBuf, Option<Vec<u8>>>;

/// A mounted one. It is unmounted when this is dropped.
pub(crate) struct Platter {
    disk: Arc<Mutex<Disk>>,
    _session: BackgroundSession,
}

/// The files, and what of them is on the platter.
struct Disk {
    nodes: HashMap<u64, Node>,
    next: u64,
}

struct Node {
    what: What,
    mode: u16,
}

enum What {
    File { now: Vec<u8>, kept: Vec<u8> },
    Folder { now: Names, kept: Names, changes: Vec<Names> },
}

type Names = BTreeMap<OsString, u64>;

/// How much of what was not put on the disk is there all the same.
pub(crate) enum Left<'a> {
    /// Nothing.
    None,
    /// A part, by a number below the one that is given: of a file the beginning, of a folder the first changes.
    Some(&'a mut dyn FnMut(usize) -> usize),
}

impl Platter {
    /// Mounts an empty one.
    pub(crate) fn mount(at: &Path) -> std::io::Result<Self> {
        let top = Node { what: What::folder(), mode: 0o755 };
        let disk = Disk { nodes: HashMap::from([(ROOT, top)]), next: ROOT + 1 };
        let disk = Arc::new(Mutex::new(disk));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("platter".to_owned())];
        let session = fuser::spawn_mount(Mounted(Arc::clone(&disk)), at, &config)?;
        Ok(Self { disk, _session: session })
    }

    /// What is there if the power fails now.
    pub(crate) fn image(&self, mut left: Left<'_>) -> Image {
        let disk = lock(&self.disk);
        let mut image = Image::new();
        let mut folders = vec![(std::path::PathBuf::new(), ROOT)];
        while let Some((path, number)) = folders.pop() {
            let What::Folder { kept, changes, .. } = &disk.nodes[&number].what else { continue };
            let names = match &mut left {
                Left::Some(below) => match below(changes.len() + 1) {
                    0 => kept,
                    first => &changes[first - 1],
                },
                Left::None => kept,
            };
            for (name, &number) in names {
                let path = path.join(name);
                match &disk.nodes[&number].what {
                    What::Folder { .. } => {
                        image.insert(path.clone(), None);
                        folders.push((path, number));
                    }
                    What::File { now, kept } => {
                        let mut bytes = kept.clone();
                        if let Left::Some(below) = &mut left
                            && now.len() > kept.len()
                            && now.starts_with(kept)
                        {
                            let more = below(now.len() - kept.len() + 1);
                            bytes.extend_from_slice(&now[kept.len()..kept.len() + more]);
                        }
                        image.insert(path, Some(bytes));
                    }
                }
            }
        }
        image
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl What {
    fn folder() -> Self {
        Self::Folder { now: Names::new(), kept: Names::new(), changes: Vec::new() }
    }

    fn file() -> Self {
        Self::File { now: Vec::new(), kept: Vec::new() }
    }

    /// Puts it on the disk.
    fn sync(&mut self) {
        match self {
            Self::File { now, kept } => kept.clone_from(now),
            Self::Folder { now, kept, changes } => {
                kept.clone_from(now);
                changes.clear();
            }
        }
    }
}

impl Disk {
    fn names(&mut self, folder: INodeNo) -> Result<&mut Names, Errno> {
        match self.nodes.get_mut(&folder.0).map(|node| &mut node.what) {
            Some(What::Folder { now, .. }) => Ok(now),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn find(&mut self, folder: INodeNo, name: &OsStr) -> Result<u64, Errno> {
        self.names(folder)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Changes the names in a folder, and keeps how it is then.
    fn change(&mut self, folder: INodeNo, change: impl FnOnce(&mut Names)) -> Result<(), Errno> {
        let Some(Node { what: What::Folder { now, changes, .. }, .. }) =
            self.nodes.get_mut(&folder.0)
        else {
            return Err(Errno::ENOTDIR);
        };
        change(now);
        changes.push(now.clone());
        Ok(())
    }

    fn make(
        &mut self,
        folder: INodeNo,
        name: &OsStr,
        what: What,
        mode: u32,
    ) -> Result<FileAttr, Errno> {
        if self.find(folder, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let number = self.next;
        self.next += 1;
        let mode = u16::try_from(mode & 0o7777).unwrap_or(0o600);
        self.nodes.insert(number, Node { what, mode });
        self.change(folder, |names| {
            names.insert(name.to_owned(), number);
        })?;
        self.about(number)
    }

    fn about(&self, number: u64) -> Result<FileAttr, Errno> {
        let node = self.nodes.get(&number).ok_or(Errno::ENOENT)?;
        let (kind, size) = match &node.what {
            What::File { now, .. } => (FileType::RegularFile, now.len() as u64),
            What::Folder { .. } => (FileType::Directory, 0),
        };
        let is_named = number == ROOT
            || self.nodes.values().any(|node| {
                matches!(&node.what, What::Folder { now, .. } if now.values().any(|&n| n == number))
            });
        let time = SystemTime::now();
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm: node.mode,
            nlink: u32::from(is_named),
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

/// What the kernel asks.
struct Mounted(Arc<Mutex<Disk>>);

impl Mounted {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.0)
    }

    fn sync(&self, number: INodeNo, reply: ReplyEmpty) {
        if let Some(node) = self.disk().nodes.get_mut(&number.0) {
            node.what.sync();
        }
        reply.ok();
    }

    fn remove(&self, folder: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut disk = self.disk();
        let removed = disk.find(folder, name).and_then(|_| {
            disk.change(folder, |names| {
                names.remove(name);
            })
        });
        end(reply, removed);
    }
}

fn end(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn tell(reply: ReplyEntry, found: Result<FileAttr, Errno>) {
    match found {
        Ok(about) => reply.entry(&TTL, &about, Generation(0)),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.disk();
        tell(reply, disk.find(parent, name).and_then(|number| disk.about(number)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.disk().about(ino.0) {
            Ok(about) => reply.attr(&Duration::ZERO, &about),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.disk();
        if let Some(node) = disk.nodes.get_mut(&ino.0) {
            if let Some(mode) = mode {
                node.mode = u16::try_from(mode & 0o7777).unwrap_or(0o600);
            }
            if let (Some(size), What::File { now, .. }) = (size, &mut node.what) {
                now.resize(usize::try_from(size).unwrap_or(0), 0);
            }
        }
        match disk.about(ino.0) {
            Ok(about) => reply.attr(&Duration::ZERO, &about),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        tell(reply, self.disk().make(parent, name, What::folder(), mode & !umask));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.disk().make(parent, name, What::file(), mode & !umask) {
            Ok(about) => {
                reply.created(&TTL, &about, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(parent, name, reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(parent, name, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        // In one folder, as everything here is renamed: one change then.
        if parent != newparent || !flags.is_empty() {
            return reply.error(Errno::ENOSYS);
        }
        let mut disk = self.disk();
        let moved = disk.find(parent, name).and_then(|number| {
            disk.change(parent, |names| {
                names.remove(name);
                names.insert(newname.to_owned(), number);
            })
        });
        end(reply, moved);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let disk = self.disk();
        let Some(Node { what: What::File { now, .. }, .. }) = disk.nodes.get(&ino.0) else {
            return reply.error(Errno::ENOENT);
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(now.len());
        let to = from.saturating_add(size as usize).min(now.len());
        reply.data(&now[from..to]);
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut disk = self.disk();
        let Some(Node { what: What::File { now, .. }, .. }) = disk.nodes.get_mut(&ino.0) else {
            return reply.error(Errno::ENOENT);
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let to = from.saturating_add(data.len());
        if now.len() < to {
            now.resize(to, 0);
        }
        now[from..to].copy_from_slice(data);
        reply.written(u32::try_from(data.len()).unwrap_or(0));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(ino, reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(ino, reply);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut disk = self.disk();
        let names = match disk.names(ino) {
            Ok(names) => names.clone(),
            Err(error) => return reply.error(error),
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (name, number)) in names.into_iter().enumerate().skip(from) {
            let kind = match disk.nodes[&number].what {
                What::Folder { .. } => FileType::Directory,
                What::File { .. } => FileType::RegularFile,
            };
            if reply.add(INodeNo(number), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 30, 1 << 29, 1 << 29, 1 << 20, 1 << 19, 4096, 255, 4096);
    }
}
