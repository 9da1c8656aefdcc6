//! Finding the real tool: on the caller's PATH, under the caller's root, past every shim.
//!
//! A shim is known by what it is, its ELF note, never by its name or place.

use std::io;

use crate::jails::shims::SHIM_NAME;

use super::kinds::{Kind, Kinds};
use super::root::{Depth, FileId, Opened, Root, join};

/// Where `execvp` looks when there is no PATH.
pub(super) const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Entries of PATH that are looked into; the rest is passed over.
const MAX_PATH_ENTRIES: usize = 1024;

/// Entries of PATH that are known when they come again.
const MAX_SEEN_ENTRIES: usize = 64;

/// The file that a request will execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tool {
    /// The path as the caller would have executed it: an entry of PATH and the name.
    pub(crate) path: Vec<u8>,
    /// The same, free of links, in the caller's root.
    pub(crate) resolved: Vec<u8>,
    /// Which file it was when it was judged.
    pub(crate) id: FileId,
    /// Whether it is a script.
    pub(crate) script: bool,
    /// It lies where its caller cannot go: its place is taken by a shim.
    pub(crate) locked: bool,
}

/// Where a name is looked up.
pub(crate) struct Search<'a> {
    pub(crate) root: &'a Root,
    pub(crate) kinds: &'a Kinds,
    /// The caller's PATH; `None` when it has none.
    pub(crate) path: Option<&'a [u8]>,
    /// The caller's working directory, for relative entries; `None` when it cannot be told.
    pub(crate) cwd: Option<&'a [u8]>,
    pub(crate) depth: Depth,
    /// Only what comes behind this tool on PATH counts, and is another file.
    pub(crate) behind: Option<&'a Behind>,
}

/// Where a search goes on: see [`Search::behind`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Behind {
    path: Vec<u8>,
    id: FileId,
}

impl From<&Tool> for Behind {
    fn from(tool: &Tool) -> Self {
        Self { path: tool.path.clone(), id: tool.id }
    }
}

impl Search<'_> {
    /// The tool that `name` stands for: a bare name by PATH, a name with a slash by itself. A shim with a slash in
    /// its name stands for the tool of that name on PATH.
    ///
    /// # Errors
    /// `WouldBlock` when the depth does not suffice. That nothing is found is no error.
    pub(crate) fn find(&self, name: &[u8]) -> io::Result<Option<Tool>> {
        if !name.contains(&b'/') {
            return self.on_path(name);
        }
        let Some(path) = self.absolute(name) else { return Ok(None) };
        match self.candidate(&path)? {
            Candidate::Tool(tool) => Ok(Some(tool)),
            Candidate::Shim => self.on_path(base_name(name)),
            Candidate::Absent | Candidate::Nothing => Ok(None),
        }
    }

    fn on_path(&self, name: &[u8]) -> io::Result<Option<Tool>> {
        if name.is_empty() || name == b"." || name == b".." {
            return Ok(None);
        }
        let entries = self.path.unwrap_or(DEFAULT_PATH).split(|&b| b == b':');
        let mut is_passed = self.behind.is_none();
        let mut seen: Vec<&[u8]> = Vec::new();
        // What is known is known of the warden's own root.
        let mut absences = (self.root.is_own() && self.depth == Depth::Cached)
            .then(|| self.kinds.absences.look())
            .flatten();
        for entry in entries.take(MAX_PATH_ENTRIES) {
            let entry = if entry.is_empty() { b"." } else { entry };
            // Where it was looked for in vain it is not the second time.
            if seen.contains(&entry) {
                continue;
            }
            let Some(path) = self.absolute(&join(entry, name)) else { continue };
            if !is_passed {
                is_passed = self.behind.is_some_and(|behind| behind.path == path);
                continue;
            }
            if seen.len() < MAX_SEEN_ENTRIES {
                seen.push(entry);
            }
            if absences.as_mut().is_some_and(|absences| absences.lacks(self.root, entry, name)) {
                continue;
            }
            match self.candidate(&path)? {
                Candidate::Tool(tool) if self.behind.is_none_or(|behind| behind.id != tool.id) => {
                    return Ok(Some(tool));
                }
                Candidate::Absent => {
                    absences.iter_mut().for_each(|absences| absences.learn(self.root, entry, name));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether `tool` must get its path as `argv[0]` in the place of `given`: it is one that looks for itself on PATH
    /// by that name, and would find the shim.
    ///
    /// # Errors
    /// `WouldBlock` when the depth does not suffice.
    pub(crate) fn must_be_told(&self, tool: &Tool, given: &[u8]) -> io::Result<bool> {
        let name = base_name(given);
        if tool.script || !finds_itself(name) || !finds_itself(base_name(&tool.path)) {
            return Ok(false);
        }
        if !given.contains(&b'/') {
            return Ok(true);
        }
        // Not by a link of somebody else to a shim: the folder of that link may be what Python looks for.
        let folder = &given[..given.len() - name.len()];
        let Some(shim) = self.absolute(&join(folder, SHIM_NAME.as_bytes())) else {
            return Ok(false);
        };
        Ok(matches!(self.candidate(&shim)?, Candidate::Shim))
    }

    fn absolute(&self, path: &[u8]) -> Option<Vec<u8>> {
        if path.starts_with(b"/") {
            Some(path.to_vec())
        } else {
            self.cwd.map(|cwd| join(cwd, path))
        }
    }

    fn candidate(&self, path: &[u8]) -> io::Result<Candidate> {
        let looked_up = self.root.lookup(path, self.depth).or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock => self.known_shim(path).ok_or(error),
            _ => Err(error),
        });
        let opened = match looked_up {
            Ok(opened) if opened.is_executable_file() => opened,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Candidate::Absent),
            Ok(_) | Err(_) => return Ok(Candidate::Nothing),
        };
        let kind = self.kinds.of(&opened, self.depth)?;
        if kind == Kind::Shim {
            if self.depth == Depth::Full && !opened.is_direct() {
                self.kinds.beside.learn(self.root, path);
            }
            return Ok(self.original(path, &opened)?.map_or(Candidate::Shim, Candidate::Tool));
        }
        let Some(resolved) = self.root.path_of(&opened, path) else {
            return Ok(Candidate::Nothing);
        };
        let script = kind == Kind::Script;
        let locked = false;
        Ok(Candidate::Tool(Tool { path: path.to_vec(), resolved, id: opened.id, script, locked }))
    }

    /// The shim that a link is known to lead to. What is remembered of a link only lets a shim be passed: which file a tool is,
    /// the kernel says.
    fn known_shim(&self, path: &[u8]) -> Option<Opened> {
        let opened = self.kinds.beside.follow(self.root, path)?;
        (self.kinds.of(&opened, Depth::Cached).ok()? == Kind::Shim).then_some(opened)
    }

    /// The tool whose place a shim has taken: beside it, or in the folder for such.
    fn original(&self, path: &[u8], shim: &Opened) -> io::Result<Option<Tool>> {
        let Some((folder, name)) = split(path) else { return Ok(None) };
        // In a folder of shims a shim takes nobody's place.
        let real = self.kinds.place(self.root, shim, path).unwrap_or_default();
        if split(&real).is_some_and(|(other, last)| other == folder && last == SHIM_NAME.as_bytes())
        {
            return Ok(None);
        }
        if let Some(found) = self.behind_lock(&[path, ORIGINAL].concat())? {
            return Ok(Some(found));
        }
        if let Some(found) = self.behind_lock(&[LOCKED, path].concat())? {
            return Ok(Some(found));
        }
        // `/bin` may be a link, and what lies there is kept under its real place.
        let folder = match self.root.lookup(folder, self.depth) {
            Ok(opened) => self.root.path_of(&opened, folder),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(_) => None,
        };
        match folder {
            Some(folder) => self.behind_lock(&[LOCKED, &join(&folder, name)].concat()),
            None => Ok(None),
        }
    }

    fn behind_lock(&self, path: &[u8]) -> io::Result<Option<Tool>> {
        let opened = match self.root.lookup(path, self.depth) {
            Ok(opened) if opened.is_executable_file() => opened,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => return Ok(None),
        };
        let kind = self.kinds.of(&opened, self.depth)?;
        let Some(resolved) = self.root.path_of(&opened, path).filter(|_| kind != Kind::Shim) else {
            return Ok(None);
        };
        // Folders of locked tools are root's alone; beside its shim, it is the file that says so.
        let locked = path.starts_with(LOCKED) || opened.mode & 0o001 == 0;
        let script = kind == Kind::Script;
        Ok(Some(Tool { path: path.to_vec(), resolved, id: opened.id, script, locked }))
    }
}

/// What a path ends with whose shim lies beside it, and the folder of those whose shims are links.
const ORIGINAL: &[u8] = b".original";
const LOCKED: &[u8] = b"/clawrden/locked";

/// The folder of an absolute path and the last part of it.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = path.iter().rposition(|&b| b == b'/')?;
    Some((&path[..at.max(1)], &path[at + 1..]))
}

enum Candidate {
    Tool(Tool),
    Shim,
    /// There is no such name, or a link to nothing.
    Absent,
    Nothing,
}

/// Tools that learn from `argv[0]` and PATH where they lie, and from that where their own parts are: Pythons their
/// library and virtual environment, GCC its compilers proper, the others their libraries. What they print of the name
/// is its last part. A version may follow (`python3.14t`, `gcc-12`), a target come before (`x86_64-linux-gnu-gcc`).
const FIND_THEMSELVES: &[&str] = &[
    "python", "pypy", "gcc", "g++", "cc", "c++", "cpp", "gfortran", "gdb", "tclsh", "wish",
    "expect", "php",
];

fn finds_itself(name: &[u8]) -> bool {
    let is_version = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b't');
    FIND_THEMSELVES.iter().any(|known| {
        let end = name.windows(known.len()).rposition(|part| part == known.as_bytes());
        end.is_some_and(|at| {
            let (before, after) = (&name[..at], &name[at + known.len()..]);
            (before.is_empty() || before.ends_with(b"-")) && after.iter().all(is_version)
        })
    })
}

/// What comes behind the last slash.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use clawrden_protocol::note;

    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn executable(path: &Path, content: &[u8]) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn shim() -> Vec<u8> {
        let mut elf = vec![0; 120];
        elf[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        elf[32..40].copy_from_slice(&64u64.to_le_bytes());
        elf[54..56].copy_from_slice(&56u16.to_le_bytes());
        elf[56..58].copy_from_slice(&1u16.to_le_bytes());
        elf[64..68].copy_from_slice(&4u32.to_le_bytes());
        elf[72..80].copy_from_slice(&120u64.to_le_bytes());
        elf[96..104].copy_from_slice(&24u64.to_le_bytes());
        for word in [9u32, 0, note::TYPE] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend(note::NAME);
        elf.resize(144, 0);
        elf
    }

    fn find(name: &[u8], path: Option<&[u8]>, cwd: &Path) -> Option<Tool> {
        let (root, kinds) = (Root::own().unwrap(), Kinds::default());
        let cwd = Some(cwd.as_os_str().as_bytes());
        Search { root: &root, kinds: &kinds, path, cwd, depth: Depth::Full, behind: None }
            .find(name)
            .unwrap()
    }

    #[test]
    fn shims_are_skipped_whatever_they_are_called() {
        let dir = tempfile::tempdir().unwrap();
        for part in ["a", "b"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        executable(&dir.path().join("a/other-name"), &shim());
        symlink("other-name", dir.path().join("a/git")).unwrap();
        executable(&dir.path().join("b/git"), b"#!/bin/sh\n");
        let path = format!("{0}/a:{0}/b", dir.path().display());
        let tool = find(b"git", Some(path.as_bytes()), dir.path()).unwrap();
        assert_eq!(tool.path, dir.path().join("b/git").as_os_str().as_bytes());
        assert!(tool.script);
        let by_slash = find(b"a/git", Some(path.as_bytes()), dir.path()).unwrap();
        assert_eq!(by_slash, tool);
    }

    #[test]
    fn what_is_remembered_of_a_link_leads_to_a_shim_or_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        executable(&at("shim"), &shim());
        symlink("shim", at("git")).unwrap();
        let path = at("git").into_os_string().into_encoded_bytes();
        let (root, kinds) = (Root::own().unwrap(), Kinds::default());
        let search = Search {
            root: &root,
            kinds: &kinds,
            path: Some(b""),
            cwd: None,
            depth: Depth::Full,
            behind: None,
        };
        assert!(search.known_shim(&path).is_none());
        assert_eq!(search.find(&path).unwrap(), None);
        assert!(search.known_shim(&path).is_some());
        fs::remove_file(at("shim")).unwrap();
        executable(&at("shim"), b"#!/bin/sh\n");
        assert!(search.known_shim(&path).is_none());
        assert!(search.find(&path).unwrap().is_some_and(|tool| tool.script));
        assert!(search.known_shim(&path).is_none(), "also once it is known what it is");
    }

    #[test]
    fn behind_a_tool_comes_the_next_of_its_name_that_is_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["shims", "first", "second"] {
            fs::create_dir(at(folder)).unwrap();
        }
        executable(&at("shims/mk"), &shim());
        executable(&at("first/mk"), b"#!/bin/sh\n");
        symlink("first", at("link")).unwrap();
        executable(&at("second/mk"), b"#!/bin/sh\n# another\n");
        let path = ["shims", "first", "link", "shims", "first", "second"]
            .map(|folder| at(folder).display().to_string())
            .join(":");
        let (root, kinds) = (Root::own().unwrap(), Kinds::default());
        let search = |behind: Option<&Tool>| {
            let (path, behind) = (Some(path.as_bytes()), behind.map(Behind::from));
            let (depth, behind) = (Depth::Full, behind.as_ref());
            let search = Search { root: &root, kinds: &kinds, path, cwd: None, depth, behind };
            search.find(b"mk").unwrap()
        };
        let first = search(None).unwrap();
        assert_eq!(first.path, at("first/mk").as_os_str().as_bytes());
        let second = search(Some(&first)).unwrap();
        assert_eq!(second.path, at("second/mk").as_os_str().as_bytes());
        assert_eq!(search(Some(&second)), None);
    }

    #[test]
    fn a_tool_that_would_find_a_shim_of_itself_is_told_where_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        for part in ["shims", "venv"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        executable(&dir.path().join("shims").join(SHIM_NAME), &shim());
        symlink(SHIM_NAME, dir.path().join("shims/python3")).unwrap();
        symlink("../shims/python3", dir.path().join("venv/python3")).unwrap();
        let (root, kinds) = (Root::own().unwrap(), Kinds::default());
        let cwd = Some(dir.path().as_os_str().as_bytes());
        let search = Search {
            root: &root,
            kinds: &kinds,
            path: None,
            cwd,
            depth: Depth::Full,
            behind: None,
        };
        let told = |file: &str, given: &str| {
            let path = [b"/usr/bin/", file.as_bytes()].concat();
            let (resolved, id) = (path.clone(), some_id(&root));
            let tool = Tool { resolved, path, id, script: false, locked: false };
            search.must_be_told(&tool, given.as_bytes()).unwrap()
        };
        for given in ["python3", "python", "python3.14t", "shims/python3", "pypy3"] {
            assert!(told("python3", given), "{given}");
        }
        for name in ["gcc", "cc", "g++-12", "x86_64-linux-gnu-gcc-12", "tclsh8.6"] {
            assert!(told(name, name), "{name}");
        }
        for name in ["gcc-ar", "gccgo2", "ccache", "php-config", "xcc", "ld", "egcc"] {
            assert!(!told(name, name), "{name}");
        }
        for given in ["venv/python3", "/usr/bin/python3", "cat", "pythonic", "", "a/"] {
            assert!(!told("python3", given), "{given}");
        }
        assert!(!told("cat", "python3"));
    }

    fn some_id(root: &Root) -> FileId {
        root.lookup(b"/", Depth::Full).unwrap().id
    }

    #[test]
    fn the_original_is_found_where_its_shim_has_taken_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["clawrden/bin", "clawrden/locked/usr/bin", "usr/bin", "old"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        symlink("usr/bin", at("bin")).unwrap();
        executable(&at("clawrden/bin/clawrden-shim"), &shim());
        for name in ["git", "npm", "ls"] {
            symlink(SHIM_NAME, at("clawrden/bin").join(name)).unwrap();
        }
        executable(&at("clawrden/bin/git.original"), b"\x7fELF of a trap");
        for name in ["git", "npm"] {
            symlink("/clawrden/bin/clawrden-shim", at("usr/bin").join(name)).unwrap();
        }
        executable(&at("clawrden/locked/usr/bin/git"), b"\x7fELF");
        executable(&at("usr/bin/npm-cli"), b"#!/bin/sh\n");
        symlink("/usr/bin/npm-cli", at("clawrden/locked/usr/bin/npm")).unwrap();
        executable(&at("old/ls"), &shim());
        executable(&at("old/ls.original"), b"\x7fELF");
        let (root, kinds) = (Root::at(dir.path()).unwrap(), Kinds::default());
        let found = |name: &str| {
            let path = Some(&b"/clawrden/bin:/bin:/old"[..]);
            let (cwd, depth, behind) = (None, Depth::Full, None);
            let search = Search { root: &root, kinds: &kinds, path, cwd, depth, behind };
            search.find(name.as_bytes()).unwrap().map(|tool| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(&tool.path), text(&tool.resolved), tool.locked)
            })
        };
        let locked = "/clawrden/locked/usr/bin/git".to_owned();
        let wanted = Some((locked.clone(), locked.clone(), true));
        for name in ["git", "/usr/bin/git", "/bin/git", "/clawrden/bin/git"] {
            assert_eq!(found(name), wanted, "{name}");
        }
        let npm = ("/clawrden/locked/usr/bin/npm".to_owned(), "/usr/bin/npm-cli".to_owned(), true);
        assert_eq!(found("npm"), Some(npm));
        let beside = "/old/ls.original".to_owned();
        assert_eq!(found("ls"), Some((beside.clone(), beside.clone(), false)));
        fs::set_permissions(at("old/ls.original"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(found("ls"), Some((beside.clone(), beside, true)));
        executable(&at("old/ls.original"), &shim());
        assert_eq!(found("ls"), None);
    }

    #[test]
    fn what_cannot_be_executed_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tool"), "text").unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        let path = dir.path().as_os_str().as_bytes();
        assert_eq!(find(b"tool", Some(path), dir.path()), None);
        assert_eq!(find(b"folder", Some(path), dir.path()), None);
        assert_eq!(find(b"..", Some(path), dir.path()), None);
    }

    #[test]
    fn an_empty_entry_is_the_working_directory() {
        let dir = tempfile::tempdir().unwrap();
        executable(&dir.path().join("tool"), b"\x7fELF");
        let tool = find(b"tool", Some(b"/nonexistent::"), dir.path()).unwrap();
        assert!(!tool.script);
        assert!(find(b"tool", Some(b"/nonexistent"), dir.path()).is_none());
    }

    #[test]
    fn a_link_is_found_by_its_path_and_judged_by_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(dir.path()).unwrap();
        executable(&real.join("real"), b"\x7fELF");
        symlink("real", real.join("link")).unwrap();
        let tool = find(b"link", Some(real.as_os_str().as_bytes()), &real).unwrap();
        assert_eq!(tool.path, real.join("link").as_os_str().as_bytes());
        assert_eq!(tool.resolved, real.join("real").as_os_str().as_bytes());
    }
}
