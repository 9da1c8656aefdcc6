//! Which folders and files have to be watched to learn that what a path leads to has changed, and which names matter.
//! Every link on the way is one, and so is the nearest folder that exists where the rest is missing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::steady::is_yaml;

/// Links that are followed on the way to one path, as many as the kernel does.
const MAX_LINKS: usize = 40;

/// What to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trail {
    /// Folders and policy files, and which each is.
    pub(super) places: BTreeMap<PathBuf, Place>,
    /// Paths in them that matter.
    pub(super) names: BTreeSet<PathBuf>,
    /// Folders of which every YAML file matters.
    pub(super) whole: BTreeSet<PathBuf>,
}

/// A folder or a file, wherever it is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    device: u64,
    inode: u64,
    pub(super) is_folder: bool,
}

impl Trail {
    /// The trail of all these paths.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut trail = Self::default();
        for path in paths {
            // One that cannot be made absolute has no folder that could be watched.
            if let Ok(path) = std::path::absolute(path) {
                trail.follow(&path);
            }
        }
        trail
    }

    fn follow(&mut self, path: &Path) {
        let mut left: VecDeque<OsString> = words(path);
        let mut here = PathBuf::from("/");
        let mut links = 0;
        while let Some(word) = left.pop_front() {
            if word == ".." {
                here.pop();
                continue;
            }
            let next = here.join(&word);
            let about = std::fs::symlink_metadata(&next);
            let is_link = about.as_ref().is_ok_and(std::fs::Metadata::is_symlink);
            // A folder on the way is watched for its name too: it may be moved and another put in its place.
            if is_link || left.len() <= 1 || about.is_err() {
                self.watch(&here);
                self.names.insert(next.clone());
            }
            if about.is_err() {
                return;
            }
            match std::fs::read_link(&next) {
                Ok(target) if is_link => {
                    links += 1;
                    if links > MAX_LINKS {
                        return;
                    }
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    let mut before = words(&target);
                    before.append(&mut left);
                    left = before;
                }
                _ => here = next,
            }
        }
        self.watch(&here);
        if here.is_dir() {
            let entries = std::fs::read_dir(&here).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).filter(|p| is_yaml(p)).for_each(|p| self.watch(&p));
            self.whole.insert(here);
        }
    }

    fn watch(&mut self, path: &Path) {
        if let Ok(about) = std::fs::metadata(path) {
            let is_folder = about.is_dir();
            let place = Place { device: about.dev(), inode: about.ino(), is_folder };
            self.places.insert(path.to_owned(), place);
        }
    }

    /// Whether an event at `path` can change what the paths lead to.
    pub(super) fn concerns(&self, path: &Path) -> bool {
        self.names.contains(path)
            || self.places.contains_key(path)
            || (is_yaml(path) && path.parent().is_some_and(|folder| self.whole.contains(folder)))
    }
}

fn words(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(word) => Some(word.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(dir.path()).unwrap();
        (dir, path)
    }

    #[test]
    fn every_link_on_the_way_is_watched_where_it_lies() {
        let (_dir, top) = folder();
        fs::create_dir(top.join("..1")).unwrap();
        fs::write(top.join("..1/policy.yaml"), "").unwrap();
        symlink("..1", top.join("..data")).unwrap();
        symlink("..data/policy.yaml", top.join("policy.yaml")).unwrap();
        let trail = Trail::of(&[top.join("policy.yaml")]);
        for path in ["policy.yaml", "..data", "..1/policy.yaml"] {
            assert!(trail.concerns(&top.join(path)), "{path}: {trail:?}");
        }
        assert!(!trail.concerns(&top.join("ledger.jsonl")));
        assert!(trail.places.contains_key(&top) && trail.places.contains_key(&top.join("..1")));
    }

    #[test]
    fn what_is_missing_is_waited_for_in_the_nearest_folder() {
        let (_dir, top) = folder();
        let trail = Trail::of(&[top.join("a/b/policy.yaml")]);
        assert!(trail.places.contains_key(&top) && trail.concerns(&top.join("a")), "{trail:?}");
    }

    #[test]
    fn of_a_folder_every_yaml_file_matters() {
        let (_dir, top) = folder();
        let trail = Trail::of(std::slice::from_ref(&top));
        assert!(trail.concerns(&top.join("10-git.yaml")));
        assert!(!trail.concerns(&top.join("10-git.yaml.swp")));
    }

    #[test]
    fn links_in_a_circle_end() {
        let (_dir, top) = folder();
        symlink("b", top.join("a")).unwrap();
        symlink("a", top.join("b")).unwrap();
        let trail = Trail::of(&[top.join("a")]);
        assert!(trail.concerns(&top.join("a")) && trail.concerns(&top.join("b")));
    }
}
