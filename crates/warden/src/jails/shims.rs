//! Writing a folder of shims: the shim itself once, and for each tool a link to it under the tool's name. A file that
//! is not ours is neither followed nor replaced.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RawMode};
use rustix::io::Errno;

use super::shim_binary::SHIM;

/// The shim's file; no tool can have this name.
pub const SHIM_NAME: &str = "clawrden-shim";

/// The link to the shim's file by which it is the runner; no tool can have this name.
pub const RUNNER_NAME: &str = "clawrden-runner";

/// The link beside the folder of shims by which a shim finds its jail's socket.
pub const SOCKET_LINK: &str = "warden.sock";

/// The names under which files and links are made before they are put into place.
const FRESH: &str = ".clawrden-shim.new";

/// Bytes of a tool's name: what a file name may have.
pub const MAX_TOOL_NAME: usize = 255;

/// Tools of one folder. More is refused.
pub const MAX_TOOLS: usize = 10_000;

/// Why shims were not written.
#[derive(Debug, thiserror::Error)]
pub enum ShimsError {
    /// The name cannot be that of a tool.
    #[error("{0:?} cannot name a tool; use letters, digits, `.`, `_`, `+`, `-`, or `[`")]
    BadTool(String),
    /// Too many.
    #[error("{0} tools are more than {MAX_TOOLS}")]
    TooMany(usize),
    /// Something stands under a name that we need.
    #[error("{0} is not ours, so it is not replaced; remove it or choose another folder")]
    Foreign(PathBuf),
    /// A step failed.
    #[error("cannot {operation} {path}: {source}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// What was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The shim itself was missing or another one.
    pub shim: bool,
    /// Tools that got a link.
    pub added: Vec<String>,
    /// Tools whose link was taken away.
    pub removed: Vec<String>,
}

/// Whether this can be the name of a tool that is intercepted.
#[must_use]
pub fn is_tool_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
    let is_word = !name.is_empty() && name.len() <= MAX_TOOL_NAME && name.bytes().all(plain);
    name == "[" || (is_word && ![".", "..", SHIM_NAME, RUNNER_NAME, FRESH].contains(&name))
}

/// Makes `folder` hold the shim, the runner and a link for each of `tools`, and none for any other. The folder is made if it is
/// missing. Doing it again changes nothing.
///
/// # Errors
/// When a name is bad, something that is not ours is in the way, or a step fails. Names are checked, and what is in
/// the way is looked for, before anything is written.
pub fn write_shims(folder: &Path, tools: &[String]) -> Result<Written, ShimsError> {
    if let Some(bad) = tools.iter().find(|tool| !is_tool_name(tool)) {
        return Err(ShimsError::BadTool(bad.clone()));
    }
    let wanted: BTreeSet<&str> = tools.iter().map(String::as_str).collect();
    if wanted.len() > MAX_TOOLS {
        return Err(ShimsError::TooMany(wanted.len()));
    }
    let folder = Folder::open(folder)?;
    let present = folder.our_links()?;
    let missing: Vec<&str> =
        wanted.iter().copied().filter(|tool| !present.contains(*tool)).collect();
    let names = missing.iter().map(|tool| (*tool, FileType::Unknown));
    let own = [(SHIM_NAME, FileType::RegularFile), (RUNNER_NAME, FileType::Symlink)];
    for (name, allowed) in names.chain(own) {
        folder.refuse_foreign(name, allowed)?;
    }

    let mut written = Written { shim: folder.write_shim()?, ..Written::default() };
    if folder.read_link(RUNNER_NAME).as_deref() != Some(SHIM_NAME.as_bytes()) {
        folder.link(SHIM_NAME.as_bytes(), RUNNER_NAME)?;
    }
    for tool in missing {
        folder.link(SHIM_NAME.as_bytes(), tool)?;
        written.added.push(tool.to_owned());
    }
    for tool in present {
        if !wanted.contains(tool.as_str()) {
            folder.remove(&tool)?;
            written.removed.push(tool);
        }
    }
    Ok(written)
}

/// Makes `name` in `folder` a link to `target`, in place of another link if there is one.
///
/// # Errors
/// When something else stands there, or a step fails.
pub fn write_link(folder: &Path, name: &str, target: &Path) -> Result<(), ShimsError> {
    let folder = Folder::open(folder)?;
    folder.refuse_foreign(name, FileType::Symlink)?;
    if folder.read_link(name).as_deref() == Some(target.as_os_str().as_bytes()) {
        return Ok(());
    }
    folder.link(target.as_os_str().as_bytes(), name)
}

struct Folder {
    path: PathBuf,
    handle: OwnedFd,
}

impl Folder {
    fn open(path: &Path) -> Result<Self, ShimsError> {
        let failed = |operation| {
            let path = path.to_owned();
            move |source| ShimsError::Failed { operation, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed("make"))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| failed("open")(errno.into()))?;
        Ok(Self { path: path.to_owned(), handle })
    }

    fn failed(
        &self,
        operation: &'static str,
        name: &str,
        cause: impl Into<io::Error>,
    ) -> ShimsError {
        ShimsError::Failed { operation, path: self.path.join(name), source: cause.into() }
    }

    /// The names of the links to the shim that lie here.
    fn our_links(&self) -> Result<BTreeSet<String>, ShimsError> {
        let list = Dir::read_from(&self.handle).map_err(|errno| self.failed("list", "", errno))?;
        let mut found = BTreeSet::new();
        for entry in list {
            let entry = entry.map_err(|errno| self.failed("list", "", errno))?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if is_tool_name(name) && self.read_link(name).as_deref() == Some(SHIM_NAME.as_bytes()) {
                found.insert(name.to_owned());
            }
        }
        Ok(found)
    }

    fn read_link(&self, name: &str) -> Option<Vec<u8>> {
        let target = rustix::fs::readlinkat(&self.handle, name, Vec::new()).ok()?;
        Some(target.into_bytes())
    }

    /// Nothing, or something of ours and of the allowed kind, must stand under this name.
    fn refuse_foreign(&self, name: &str, allowed: FileType) -> Result<(), ShimsError> {
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed("look at", name, errno)),
            Ok(found)
                if FileType::from_raw_mode(found.st_mode) == allowed
                    && found.st_uid == rustix::process::geteuid().as_raw() =>
            {
                Ok(())
            }
            Ok(_) => Err(ShimsError::Foreign(self.path.join(name))),
        }
    }

    /// True when it had to be written.
    fn write_shim(&self) -> Result<bool, ShimsError> {
        const MODE: RawMode = 0o755;
        if self.has_this_shim(MODE) {
            return Ok(false);
        }
        self.clear_fresh()?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&self.handle, FRESH, flags, Mode::from_raw_mode(MODE))
            .map_err(|errno| self.failed("make", FRESH, errno))?;
        let mut file = std::fs::File::from(made);
        file.write_all(SHIM).map_err(|error| self.failed("write", FRESH, error))?;
        // The umask may have taken from the mode; the file has no name that anybody runs yet.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(MODE))
            .map_err(|errno| self.failed("set the mode of", FRESH, errno))?;
        file.sync_data().map_err(|error| self.failed("write", FRESH, error))?;
        // Closed before it gets its name: a file that is open for writing cannot be executed.
        drop(file);
        self.put_into_place(SHIM_NAME)?;
        Ok(true)
    }

    fn has_this_shim(&self, mode: RawMode) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(opened) = rustix::fs::openat(&self.handle, SHIM_NAME, flags, Mode::empty()) else {
            return false;
        };
        let same_mode =
            rustix::fs::fstat(&opened).is_ok_and(|found| found.st_mode & 0o7777 == mode);
        let mut content = Vec::new();
        let limit = SHIM.len() as u64 + 1;
        let read = std::fs::File::from(opened).take(limit).read_to_end(&mut content);
        same_mode && read.is_ok() && content == SHIM
    }

    fn link(&self, target: &[u8], name: &str) -> Result<(), ShimsError> {
        self.clear_fresh()?;
        rustix::fs::symlinkat(target, &self.handle, FRESH)
            .map_err(|errno| self.failed("make", FRESH, errno))?;
        self.put_into_place(name)
    }

    fn put_into_place(&self, name: &str) -> Result<(), ShimsError> {
        rustix::fs::renameat(&self.handle, FRESH, &self.handle, name)
            .map_err(|errno| self.failed("put into place", name, errno))
    }

    fn clear_fresh(&self) -> Result<(), ShimsError> {
        match rustix::fs::unlinkat(&self.handle, FRESH, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed("remove", FRESH, errno)),
        }
    }

    fn remove(&self, name: &str) -> Result<(), ShimsError> {
        rustix::fs::unlinkat(&self.handle, name, AtFlags::empty())
            .map_err(|errno| self.failed("remove", name, errno))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn tools(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_folder_holds_the_shim_and_a_link_for_each_tool() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("bin");
        let written = write_shims(&folder, &tools(&["git", "[", "g++", "git"])).unwrap();
        assert_eq!(written.added, ["[", "g++", "git"]);
        for tool in ["git", "[", "g++"] {
            assert_eq!(fs::read_link(folder.join(tool)).unwrap(), Path::new(SHIM_NAME));
            assert_eq!(fs::read(folder.join(tool)).unwrap(), SHIM);
        }
        assert_eq!(fs::metadata(folder.join(SHIM_NAME)).unwrap().mode() & 0o7777, 0o755);
    }

    #[test]
    fn doing_it_again_changes_nothing_and_other_tools_lose_their_link() {
        let top = tempfile::tempdir().unwrap();
        write_shims(top.path(), &tools(&["git", "npm"])).unwrap();
        let inode = fs::metadata(top.path().join(SHIM_NAME)).unwrap().ino();
        assert_eq!(write_shims(top.path(), &tools(&["git", "npm"])).unwrap(), Written::default());
        assert_eq!(fs::metadata(top.path().join(SHIM_NAME)).unwrap().ino(), inode);

        let written = write_shims(top.path(), &tools(&["npm", "make"])).unwrap();
        assert_eq!((written.added, written.removed), (tools(&["make"]), tools(&["git"])));
        assert!(fs::symlink_metadata(top.path().join("git")).is_err());
    }

    #[test]
    fn a_changed_shim_is_written_anew() {
        let top = tempfile::tempdir().unwrap();
        write_shims(top.path(), &[]).unwrap();
        fs::write(top.path().join(SHIM_NAME), "other").unwrap();
        assert!(write_shims(top.path(), &[]).unwrap().shim);
        assert_eq!(fs::read(top.path().join(SHIM_NAME)).unwrap(), SHIM);
    }

    #[test]
    fn what_is_not_ours_is_left_alone_and_then_nothing_is_written() {
        let top = tempfile::tempdir().unwrap();
        let victim = top.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        let folder = top.path().join("bin");
        fs::create_dir(&folder).unwrap();

        fs::write(folder.join("git"), "mine").unwrap();
        let refused = write_shims(&folder, &tools(&["git", "npm"]));
        assert!(matches!(refused, Err(ShimsError::Foreign(path)) if path.ends_with("git")));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_file(folder.join("git")).unwrap();

        symlink(&victim, folder.join("git")).unwrap();
        assert!(matches!(write_shims(&folder, &tools(&["git"])), Err(ShimsError::Foreign(_))));
        // A link to elsewhere under the name of a tool that is not asked for is not ours to remove.
        write_shims(&folder, &tools(&["npm"])).unwrap();
        assert_eq!(fs::read_link(folder.join("git")).unwrap(), victim);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    }

    #[test]
    fn a_link_in_place_of_the_shim_is_not_written_through() {
        let top = tempfile::tempdir().unwrap();
        let victim = top.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        let folder = top.path().join("bin");
        fs::create_dir(&folder).unwrap();
        symlink(&victim, folder.join(SHIM_NAME)).unwrap();
        assert!(matches!(write_shims(&folder, &[]), Err(ShimsError::Foreign(_))));
        fs::remove_file(folder.join(SHIM_NAME)).unwrap();
        symlink(&victim, folder.join(FRESH)).unwrap();
        write_shims(&folder, &tools(&["git"])).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert!(fs::symlink_metadata(folder.join(FRESH)).is_err());
    }

    #[test]
    fn a_tool_s_name_cannot_lead_out_of_the_folder() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("bin");
        let long = "x".repeat(256);
        for name in
            ["", ".", "..", "../x", "a/b", "/x", "a b", "a\n", "[[", "é", SHIM_NAME, FRESH, &long]
        {
            let refused = write_shims(&folder, &tools(&["git", name]));
            assert!(matches!(refused, Err(ShimsError::BadTool(_))), "{name:?}");
        }
        assert!(!folder.exists());
    }

    #[test]
    fn a_link_is_replaced_by_another_and_a_file_is_not() {
        let top = tempfile::tempdir().unwrap();
        for target in ["/a", "/b", "/b"] {
            write_link(top.path(), SOCKET_LINK, Path::new(target)).unwrap();
            assert_eq!(fs::read_link(top.path().join(SOCKET_LINK)).unwrap(), Path::new(target));
        }
        fs::remove_file(top.path().join(SOCKET_LINK)).unwrap();
        fs::write(top.path().join(SOCKET_LINK), "mine").unwrap();
        assert!(write_link(top.path(), SOCKET_LINK, Path::new("/a")).is_err());
        assert_eq!(fs::read_to_string(top.path().join(SOCKET_LINK)).unwrap(), "mine");
    }
}
