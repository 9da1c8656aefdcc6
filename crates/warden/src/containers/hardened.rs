//! Which containers say that nothing is handed off to who is in them. Kept in a file beside the kill switch's, so that a
//! warden that does not hear its engine yet knows them again by the ids that the kernel tells. What cannot be
//! understood counts as any container being such a one, until the engine tells which are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::jails::JailName;
use crate::switch;

/// Containers that are remembered. With more, any container counts as one.
const MOST: usize = 4096;

/// Bytes of the file.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// What the file holds: ids, each with the jails that it is known to be in.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    containers: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct State {
    kept: Kept,
    is_unread: bool,
    /// The engine has told of all its containers.
    was_told: bool,
}

impl State {
    fn has_any(&self) -> bool {
        self.is_unread || !self.kept.containers.is_empty()
    }
}

/// The hardened containers of one warden.
#[derive(Debug, Default)]
pub(super) struct Hardened {
    path: Option<PathBuf>,
    /// As [`State::has_any`]: every request asks for it.
    has_any: AtomicBool,
    state: Mutex<State>,
    /// Held while the file is written, so that what is newer is written last.
    writing: Mutex<()>,
}

impl Hardened {
    /// Reads what the last warden left.
    pub(super) fn open(path: PathBuf) -> Self {
        let mut state = State::default();
        match switch::read_file(&path, MAX_FILE) {
            Ok(kept) => state.kept = kept.unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "which containers are hardened cannot be read");
                state.is_unread = true;
            }
        }
        Self {
            path: Some(path),
            has_any: AtomicBool::new(state.has_any()),
            state: Mutex::new(state),
            writing: Mutex::default(),
        }
    }

    /// Remembers a container, and the jail that it is in.
    pub(super) fn learn(self: &Arc<Self>, id: &str, jail: Option<&JailName>) {
        if self.change(|state| state.kept.add(id, jail)) {
            self.write_apart();
        }
    }

    /// Forgets one that is no more.
    pub(super) fn forget(self: &Arc<Self>, id: &str) {
        if self.change(|state| state.kept.containers.remove(id).is_some()) {
            self.write_apart();
        }
    }

    /// Takes all that there are at the engine, and of these those that are hardened.
    pub(super) fn replace<'a>(
        self: &Arc<Self>,
        is_there: impl Fn(&str) -> bool,
        hardened: impl Iterator<Item = (&'a str, Option<JailName>)>,
    ) {
        let changed = self.change(|state| {
            let kept = &mut state.kept;
            let before = kept.clone();
            kept.containers.retain(|id, _| is_there(id));
            for (id, jail) in hardened {
                kept.add(id, jail.as_ref());
            }
            let changed = before != *kept;
            state.was_told = true;
            std::mem::take(&mut state.is_unread) || changed
        });
        if changed {
            self.write_apart();
        }
    }

    /// Whether it matters to know in which container a caller is.
    pub(super) fn has_any(&self) -> bool {
        self.has_any.load(Ordering::SeqCst)
    }

    /// Whether the engine has told which containers there are.
    pub(super) fn was_told(&self) -> bool {
        self.state().was_told
    }

    /// Whether the container of this id may be one; of none, whether any may that is in a jail of which `is_there`
    /// speaks, or in no known one.
    pub(super) fn may_be(&self, id: Option<&str>, is_there: impl Fn(&str) -> bool) -> bool {
        let state = self.state();
        let all = &state.kept.containers;
        if state.is_unread || all.len() >= MOST {
            return true;
        }
        match id {
            Some(id) => all.contains_key(id),
            None => all
                .values()
                .any(|jails| jails.is_empty() || jails.iter().any(|jail| is_there(jail.as_str()))),
        }
    }

    fn change(&self, how: impl FnOnce(&mut State) -> bool) -> bool {
        let mut state = self.state();
        let changed = how(&mut state);
        self.has_any.store(state.has_any(), Ordering::SeqCst);
        changed
    }

    /// Writes the file, beside the event loop where there is one.
    fn write_apart(self: &Arc<Self>) {
        if self.path.is_none() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let hardened = Arc::clone(self);
                runtime.spawn_blocking(move || hardened.write());
            }
            Err(_) => self.write(),
        }
    }

    fn write(&self) {
        let Some(path) = &self.path else { return };
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.state().kept.clone();
        if let Err(error) = switch::write_file(path, &kept) {
            tracing::error!(%error, path = %path.display(), "which containers are hardened cannot be kept over a restart");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, id: &str, jail: Option<&JailName>) -> bool {
        let is_known = self.containers.contains_key(id);
        if !is_known && self.containers.len() >= MOST {
            return false;
        }
        let jails = self.containers.entry(id.to_owned()).or_default();
        let is_new_there = jail.is_some_and(|jail| jails.insert(jail.to_string()));
        !is_known || is_new_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jail(name: &str) -> JailName {
        JailName::new(name).unwrap()
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hardened.json");
        (folder, path)
    }

    #[test]
    fn what_was_learnt_is_known_after_a_restart_and_what_is_gone_is_not() {
        let (_folder, path) = place();
        let first = Arc::new(Hardened::open(path.clone()));
        assert!(!first.has_any() && !first.may_be(Some("a"), |at| at == "web"));
        first.learn("a", Some(&jail("web")));
        first.learn("b", None);
        first.forget("b");
        let second = Arc::new(Hardened::open(path.clone()));
        assert!(second.has_any() && !second.was_told());
        assert!(second.may_be(Some("a"), |at| at == "other"), "an id is that container anywhere");
        assert!(!second.may_be(Some("b"), |at| at == "web"));
        assert!(second.may_be(None, |at| at == "web"), "it may be this one");
        assert!(!second.may_be(None, |at| at == "other"));
        second.learn("d", None);
        assert!(second.may_be(None, |at| at == "other"), "it may be in any jail");
        second.replace(|id| id == "c", std::iter::once(("c", Some(jail("db")))));
        assert!(second.was_told());
        let third = Hardened::open(path);
        assert!(
            third.may_be(Some("c"), |at| at == "web") && !third.may_be(Some("a"), |at| at == "web")
        );
    }

    #[test]
    fn what_cannot_be_understood_is_any_container_until_the_engine_tells() {
        let (_folder, path) = place();
        std::fs::write(&path, "{\"containers\":").unwrap();
        let hardened = Arc::new(Hardened::open(path.clone()));
        assert!(
            hardened.has_any()
                && hardened.may_be(Some("a"), |_| false)
                && hardened.may_be(None, |_| false)
        );
        hardened.replace(|_| true, std::iter::empty());
        assert!(!hardened.has_any() && !hardened.may_be(Some("a"), |_| false));
        assert!(!Hardened::open(path).may_be(Some("a"), |_| false));
    }

    #[test]
    fn with_more_than_can_be_remembered_any_may_be_one() {
        let hardened = Arc::new(Hardened::default());
        for n in 0..MOST {
            assert!(!hardened.may_be(Some("x"), |_| false));
            hardened.learn(&n.to_string(), None);
        }
        assert!(hardened.may_be(Some("x"), |_| false));
    }
}
