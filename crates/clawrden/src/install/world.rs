//! The root as it was before anything was locked in it: what a tool's place held, where links led.

use std::collections::HashMap;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use clawrden_protocol::note;

use super::error::InstallError;
use super::house;
use super::manifest::Step;
use super::root::{Root, is_file, is_link, join, split};

/// Links that are followed on one way, as the kernel does.
const MAX_LINKS: usize = 40;

/// What stands in a place.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A link with this text.
    Link(Vec<u8>),
    /// Anything else.
    Other(Stat),
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trail {
    /// The links that were followed, each by the place that it stands in.
    pub(crate) passed: Vec<String>,
    /// The place that it ends at, free of links.
    pub(crate) end: String,
}

/// A root, looked at past what these steps have changed.
pub(crate) struct World<'a> {
    pub(crate) root: &'a Root,
    locked: HashMap<&'a str, &'a Step>,
}

impl<'a> World<'a> {
    /// With the tools that these steps lock, whether they have been taken yet or not.
    pub(crate) fn new(root: &'a Root, steps: &'a [Step]) -> Self {
        let locked = steps.iter().filter(|step| step.is_lock());
        Self { root, locked: locked.map(|step| (step.path(), step)).collect() }
    }

    /// The places of these steps.
    pub(crate) fn locked(&self) -> impl Iterator<Item = &str> {
        self.locked.keys().copied()
    }

    /// What stands in a place, or stood there.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub(crate) fn entry(&self, path: &str) -> Result<Option<Entry>, InstallError> {
        let hidden = match self.locked.get(path) {
            Some(step) if !stands(self.root, path)? => Some(house::original(step)),
            _ => None,
        };
        let path = hidden.as_deref().unwrap_or(path);
        let Some(stat) = self.root.look(path)? else { return Ok(None) };
        if !is_link(&stat) {
            return Ok(Some(Entry::Other(stat)));
        }
        let text = self.root.read_link(path).map_err(|errno| InstallError::Failed {
            operation: "read",
            path: path.into(),
            source: errno.into(),
        })?;
        Ok(text.map(Entry::Link))
    }

    /// Follows a path; `None` when it leads to nothing, in a circle, or over a name that is no text.
    ///
    /// # Errors
    /// When something on the way cannot be looked at.
    pub(crate) fn follow(&self, path: &str) -> Result<Option<Trail>, InstallError> {
        let (mut passed, mut at) = (Vec::new(), String::from("/"));
        let mut ahead: Vec<String> = words(path);
        while let Some(name) = ahead.pop() {
            if name == ".." {
                at = split(&at).0.to_owned();
                continue;
            }
            let next = join(&at, &name);
            match self.entry(&next)? {
                None => return Ok(None),
                Some(Entry::Other(stat)) => {
                    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                    if !is_folder && !ahead.is_empty() {
                        return Ok(None);
                    }
                    at = next;
                }
                Some(Entry::Link(text)) => {
                    let Ok(text) = String::from_utf8(text) else { return Ok(None) };
                    if passed.len() == MAX_LINKS {
                        return Ok(None);
                    }
                    passed.push(next);
                    if text.starts_with('/') {
                        at = String::from("/");
                    }
                    ahead.extend(words(&text));
                }
            }
        }
        Ok(Some(Trail { passed, end: at }))
    }

    /// What the file in a place is, if it can be executed.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub(crate) fn program(&self, end: &str) -> Result<Option<Program>, InstallError> {
        let Some(Entry::Other(stat)) = self.entry(end)? else { return Ok(None) };
        if !is_file(&stat) || stat.st_mode & 0o111 == 0 {
            return Ok(None);
        }
        let at = match self.locked.get(end) {
            Some(step) if !stands(self.root, end)? => house::original(step),
            _ => end.to_owned(),
        };
        // What cannot be read is no shim of ours: those can be.
        let head = self.root.read_head(&at, note::HEAD as u64).unwrap_or_default();
        Ok(Some(if note::is_shim(&head) { Program::Shim } else { Program::Tool }))
    }

    /// Where the program that a locked tool leads to is found: in its own place, or locked.
    ///
    /// # Errors
    /// When something on the way cannot be looked at.
    pub(crate) fn target(&self, path: &str) -> Result<Option<String>, InstallError> {
        let end = self.follow(path)?.map(|trail| trail.end);
        Ok(end.map(|end| if self.locked.contains_key(&*end) { house::locked(&end) } else { end }))
    }
}

/// A file that can be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// A stand-in.
    Shim,
    /// Anything else.
    Tool,
}

/// Whether something stands in a place that is not a stand-in of ours.
///
/// # Errors
/// When it cannot be looked at.
pub(crate) fn stands(root: &Root, path: &str) -> Result<bool, InstallError> {
    Ok(root.look(path)?.is_some() && !is_ours(root, path)?)
}

/// Whether a stand-in of ours stands in a place.
///
/// # Errors
/// When it cannot be looked at.
pub(crate) fn is_ours(root: &Root, path: &str) -> Result<bool, InstallError> {
    match root.read_link(path) {
        Ok(text) => Ok(text.as_deref() == Some(house::SHIM.as_bytes())),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => {
            Err(InstallError::Failed { operation: "read", path: path.into(), source: errno.into() })
        }
    }
}

/// The names of a path, the last one first.
fn words(path: &str) -> Vec<String> {
    let names = path.split('/').rev().filter(|name| !name.is_empty() && *name != ".");
    names.map(str::to_owned).collect()
}
