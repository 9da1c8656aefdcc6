//! What was learned of files before: which are shims and scripts, and where shims lie.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use clawrden_protocol::note;

use super::absent::Absences;
use super::beside::Beside;
use super::root::{Depth, FileId, Opened, Root, read_head};

/// Files whose kind is remembered; beyond it all is forgotten and looked at again.
const MAX_KNOWN: usize = 4096;

/// What the first bytes of an executable say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A shim, of whatever version.
    Shim,
    /// A `#!` script.
    Script,
    /// A program.
    Program,
}

/// The kinds of files that were looked at before.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    /// What PATH was searched for in vain.
    pub(super) absences: Absences,
    /// What the links say that shims go by.
    pub(super) beside: Beside,
    known: Mutex<HashMap<FileId, Kind>>,
    /// Where shims lie, free of links, in the warden's own root. Nearly every request passes the one on its PATH.
    places: Mutex<HashMap<FileId, Vec<u8>>>,
}

impl Kinds {
    pub(super) fn of(&self, opened: &Opened, depth: Depth) -> io::Result<Kind> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&kind) = known.get(&opened.id) {
            return Ok(kind);
        }
        drop(known);
        if depth == Depth::Cached {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let kind = match read_head(opened.fd.as_fd(), note::HEAD) {
            Ok(head) if note::is_shim(&head) => Kind::Shim,
            Ok(head) if head.starts_with(b"#!") => Kind::Script,
            // What cannot be read can still be executed, and every shim of ours can be read.
            Ok(_) | Err(_) => Kind::Program,
        };
        known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(opened.id, kind);
        Ok(kind)
    }

    /// Where a shim lies that `path` led to, free of links. A file that is moved is another one; one whose folder was moved
    /// counts as where it was, and is taken for one that may stand in a tool's place. Of several names of one file, each is its
    /// own place.
    pub(super) fn place(&self, root: &Root, shim: &Opened, path: &[u8]) -> Option<Vec<u8>> {
        if !root.is_own() || shim.is_direct() {
            return root.path_of(shim, path);
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(&shim.id) {
            return Some(place.clone());
        }
        let place = root.path_of(shim, path)?;
        if places.len() >= MAX_KNOWN {
            places.clear();
        }
        places.insert(shim.id, place.clone());
        Some(place)
    }
}
