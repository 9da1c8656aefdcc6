//! Roots with every kind of tool in them, and what they look like before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::Digest;

pub(crate) const SHIM: &str = "/clawrden/bin/clawrden-shim";

/// A root with busybox, links that are relative and absolute, hard links, alternatives, and a merged `/usr` beside.
pub(crate) struct Image {
    pub(crate) dir: tempfile::TempDir,
}

impl Image {
    pub(crate) fn new() -> Self {
        let image = Self { dir: tempfile::tempdir().unwrap() };
        for folder in ["usr/bin", "usr/local/bin", "etc/alternatives", "home/agent", "etc/zsh"] {
            fs::create_dir_all(image.at(folder)).unwrap();
        }
        symlink("usr/bin", image.at("bin")).unwrap();
        for tool in ["busybox", "git", "mawk", "perl", "python3.11", "zsh"] {
            image.tool(&format!("usr/bin/{tool}"));
        }
        let script = "usr/local/lib/node_modules/npm/bin/npm-cli.js";
        fs::create_dir_all(image.at(script).parent().unwrap()).unwrap();
        image.tool(script);
        fs::hard_link(image.at("usr/bin/perl"), image.at("usr/bin/perl5.36.0")).unwrap();
        for (link, target) in [
            ("usr/bin/sh", "/bin/busybox"),
            ("usr/bin/ls", "/bin/busybox"),
            ("usr/bin/cat", "/bin/busybox"),
            ("usr/bin/git-upload-pack", "git"),
            ("usr/bin/awk", "/etc/alternatives/awk"),
            ("etc/alternatives/awk", "/usr/bin/mawk"),
            ("usr/bin/python3", "python3.11"),
            ("usr/local/bin/npm", "../lib/node_modules/npm/bin/npm-cli.js"),
        ] {
            symlink(target, image.at(link)).unwrap();
        }
        fs::write(image.at("etc/profile"), "PATH=/usr/bin\nexport PATH # no newline").unwrap();
        fs::write(image.at("etc/passwd"), "root:x:0:0::/root:/bin/sh\nagent:x:0:0::/home/agent:\n")
            .unwrap();
        fs::write(image.at("home/agent/.profile"), "PATH=$HOME/bin:$PATH\n").unwrap();
        image.age();
        image
    }

    /// The user that the tests run as has a home in the image.
    pub(crate) fn with_home(self) -> Self {
        let uid = rustix::process::getuid().as_raw();
        let line = format!("agent:x:{uid}:{uid}::/home/agent:/bin/sh\n");
        fs::write(self.at("etc/passwd"), line).unwrap();
        self.age();
        self
    }

    /// Gives everything a time of its own, so that a lost one shows.
    pub(crate) fn age(&self) {
        for (n, path) in all(self.dir.path()).into_iter().enumerate() {
            let seconds = 1_000_000_000 + i64::try_from(n).unwrap();
            let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 123_456_789 };
            let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
            let (cwd, flags) = (rustix::fs::CWD, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
            rustix::fs::utimensat(cwd, &path, &times, flags).unwrap();
        }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn tool(&self, path: &str) {
        fs::write(self.at(path), format!("#!/bin/sh\n# {path}\n")).unwrap();
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn clawrden(&self, verb: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clawrden"));
        command.arg(verb).arg("--root").arg(self.dir.path()).args(words);
        command
    }

    pub(crate) fn run(&self, verb: &str, words: &[&str]) -> String {
        let output = self.clawrden(verb, words).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn refused(&self, verb: &str, words: &[&str]) -> String {
        let output = self.clawrden(verb, words).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        text(&output.stderr)
    }

    pub(crate) fn killed_at(&self, point: usize, verb: &str, words: &[&str]) -> Output {
        let mut command = self.clawrden(verb, words);
        command.env("CLAWRDEN_CRASH_AT", format!("install:{point}")).output().unwrap()
    }

    pub(crate) fn link(&self, path: &str) -> Option<String> {
        Some(fs::read_link(self.at(path)).ok()?.to_str().unwrap().to_owned())
    }

    /// Every path with all that there is to know of it but access and inode times.
    pub(crate) fn listing(&self) -> Listing {
        let describe = |path: PathBuf| {
            let facts = fs::symlink_metadata(&path).unwrap();
            let content = if facts.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if facts.is_file() && facts.len() < 4096 {
                text(&fs::read(&path).unwrap())
            } else if facts.is_file() {
                format!("{:x?}", sha2::Sha256::digest(fs::read(&path).unwrap()))
            } else {
                String::new()
            };
            let owner = (facts.uid(), facts.gid());
            let what = format!("{:o} {owner:?} {} {content}", facts.mode(), facts.nlink());
            let below = path.strip_prefix(self.dir.path()).unwrap().to_owned();
            (below, (what, (facts.mtime(), facts.mtime_nsec())))
        };
        all(self.dir.path()).into_iter().map(describe).collect()
    }
}

/// By path: all but the time, and the time.
pub(crate) type Listing = BTreeMap<PathBuf, (String, (i64, i64))>;

/// Says which entries differ.
#[track_caller]
pub(crate) fn same(one: &Listing, two: &Listing, when: &str) {
    let paths: BTreeSet<&PathBuf> = one.keys().chain(two.keys()).collect();
    let other = paths.into_iter().filter(|path| one.get(*path) != two.get(*path));
    let other: Vec<_> = other.map(|path| (path, one.get(path), two.get(path))).collect();
    assert!(other.is_empty(), "{when}: {other:#?}");
}

/// What times our own files have is chance.
pub(crate) fn timeless(mut listing: Listing) -> Listing {
    for (path, entry) in &mut listing {
        let is_kept = path.parent() == Some(Path::new("clawrden/kept"));
        if path.starts_with("clawrden") && !is_kept || is_ours(entry) {
            entry.1 = (0, 0);
        }
    }
    listing
}

fn is_ours(entry: &(String, (i64, i64))) -> bool {
    entry.0.ends_with(SHIM) || entry.0.contains("# clawrden: begin")
}

pub(crate) fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            found.extend(all(&path));
        }
        found.push(path);
    }
    found.push(folder.to_owned());
    found.sort();
    found.dedup();
    found
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
