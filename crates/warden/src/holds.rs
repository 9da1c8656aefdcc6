//! Jails and containers that are stopped alone, and containers and tools that were frozen. Kept in a file beside the kill switch's,
//! written before anything is ended; one that cannot be understood counts as everything being stopped.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use clawrden_api::{CallerContainer, Held, Stopped};
use serde::{Deserialize, Serialize};

use crate::handed::Tool;
use crate::ledger::Id;
use crate::switch::{self, SwitchError};
use crate::whereabouts::Whereabouts;

/// What is stopped alone at most.
pub(crate) const MOST: usize = 512;

/// Frozen tools that are remembered at most.
const MOST_TOOLS: usize = 4096;

/// Bytes of the file: of ids, names and reasons of so many.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// What is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything.
    All,
    /// All of a jail.
    Jail(String),
    /// One container.
    Container(CallerContainer),
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    held: Vec<Held>,
    /// The ids of containers that were frozen, by whatever stop.
    #[serde(default)]
    frozen: Vec<String>,
    /// Tools that were handed off and frozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool>,
}

/// The stops of one warden.
#[derive(Debug)]
pub(crate) struct Holds {
    path: PathBuf,
    kept: Mutex<Kept>,
    /// Why the file was not understood, and since when everything is stopped for it.
    unread: Option<(String, u64)>,
}

impl Scope {
    /// Whether this is what `held` is about.
    fn is(&self, held: &Held) -> bool {
        match self {
            Self::All => false,
            Self::Jail(name) => held.jail.as_ref() == Some(name),
            Self::Container(wanted) => {
                held.container.as_ref().is_some_and(|container| container.id == wanted.id)
            }
        }
    }

    /// For records: the jail, and the container.
    pub(crate) fn parts(&self) -> (Option<String>, Option<CallerContainer>) {
        match self {
            Self::All => (None, None),
            Self::Jail(name) => (Some(name.clone()), None),
            Self::Container(container) => (None, Some(container.clone())),
        }
    }
}

impl Holds {
    /// Reads what the last warden left. No file means that nothing is stopped alone.
    pub(crate) fn open(path: &Path) -> Self {
        let (kept, unread) = match switch::read_file(path, MAX_FILE) {
            Ok(kept) => (kept.unwrap_or_default(), None),
            Err(why) => {
                let why = format!("{} cannot be understood: {why}", path.display());
                (Kept::default(), Some((why, switch::now_ms())))
            }
        };
        Self { path: path.to_owned(), kept: Mutex::new(kept), unread }
    }

    /// Everything that is stopped alone.
    pub(crate) fn all(&self) -> Vec<Held> {
        self.kept().held.clone()
    }

    /// The stop of everything that a file which cannot be understood is.
    pub(crate) fn unread(&self) -> Option<Stopped> {
        let (why, since_ms) = self.unread.as_ref()?;
        let by = format!("the warden: {why}; mend or remove that file and restart the warden");
        Some(Stopped { since_ms: *since_ms, by, paused: false })
    }

    /// Whether containers are stopped alone.
    pub(crate) fn has_containers(&self) -> bool {
        self.kept().held.iter().any(|held| held.container.is_some())
    }

    /// The stop of a jail or a container.
    pub(crate) fn of(&self, scope: &Scope) -> Option<Stopped> {
        self.kept().held.iter().find(|held| scope.is(held)).map(|held| held.stopped.clone())
    }

    /// The container of a stop, by its name, its id or the start of it.
    pub(crate) fn container(&self, wanted: &str) -> Option<CallerContainer> {
        let kept = self.kept();
        let all = kept.held.iter().filter_map(|held| held.container.as_ref());
        let mut found = all.filter(|one| one.name == wanted || one.id.starts_with(wanted));
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only.clone()),
            _ => None,
        }
    }

    /// Why a caller at the doors of these jails is refused, if it is. One whose container cannot be told may be in one
    /// that is stopped.
    pub(crate) fn against<'j>(
        &self,
        jails: impl IntoIterator<Item = &'j str>,
        container: &Whereabouts,
    ) -> Option<String> {
        if let Some((why, _)) = &self.unread {
            return Some(format!(
                "everything is stopped, as the warden does not know what is: {why}; mend or remove that file and \
                 restart the warden"
            ));
        }
        let kept = self.kept();
        if kept.held.is_empty() {
            return None;
        }
        let stopped = |name: &str| {
            let scope = Scope::Jail(name.to_owned());
            kept.held.iter().find(|held| scope.is(held))
        };
        if let Some(held) = jails.into_iter().find_map(stopped) {
            return Some(text(held));
        }
        let mut containers = kept.held.iter().filter(|held| held.container.is_some()).peekable();
        containers.peek()?;
        match container.known() {
            Ok(None) => None,
            Ok(Some(found)) => containers
                .find(|held| held.container.as_ref().is_some_and(|one| one.id == found.id))
                .map(text),
            Err(why) => Some(format!(
                "a container is stopped by the kill switch, and whether the caller is in it is not known: {why}"
            )),
        }
    }

    /// Stops a jail or a container. In force when this returns, whatever it gives.
    ///
    /// # Errors
    /// When it cannot be written down, so that a restart would forget it; or at [`MOST`], and then it is not in force.
    pub(crate) fn hold(&self, scope: &Scope, stopped: Stopped) -> Result<(), HoldError> {
        let mut kept = self.kept();
        kept.held.retain(|held| !scope.is(held));
        if kept.held.len() >= MOST {
            return Err(HoldError::TooMany);
        }
        let (jail, container) = scope.parts();
        kept.held.push(Held { jail, container, stopped });
        self.write(&kept)
    }

    /// Takes a stop back, which was said at `said_ms` where that may be long ago, and gives what it was.
    ///
    /// # Errors
    /// When it is newer than that, or cannot be written down; it stays in force.
    pub(crate) fn release(
        &self,
        scope: &Scope,
        said_ms: Option<u64>,
    ) -> Result<Option<Stopped>, HoldError> {
        let mut kept = self.kept();
        let Some(at) = kept.held.iter().position(|held| scope.is(held)) else { return Ok(None) };
        switch::refuse_if_newer(&kept.held[at].stopped, said_ms)?;
        let held = kept.held.remove(at);
        if let Err(error) = self.write(&kept) {
            kept.held.push(held);
            return Err(error);
        }
        Ok(Some(held.stopped))
    }

    /// The containers that were frozen.
    pub(crate) fn frozen(&self) -> Vec<String> {
        self.kept().frozen.clone()
    }

    /// Remembers that containers were frozen, or thawed.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(crate) fn set_frozen(&self, ids: &[String], frozen: bool) -> Result<(), HoldError> {
        let mut kept = self.kept();
        kept.frozen.retain(|id| !ids.contains(id));
        if frozen {
            kept.frozen.extend_from_slice(ids);
        }
        self.write(&kept)
    }

    /// The tools that were handed off and frozen.
    pub(crate) fn tools(&self) -> Vec<Tool> {
        self.kept().tools.clone()
    }

    /// Remembers that a tool is frozen, also where that cannot be written down.
    ///
    /// # Errors
    /// When a restart would forget it.
    pub(crate) fn add_tool(&self, tool: Tool) -> Result<(), HoldError> {
        let mut kept = self.kept();
        if kept.tools.iter().any(|one| one.id == tool.id) {
            return Ok(());
        }
        if kept.tools.len() >= MOST_TOOLS {
            return Err(HoldError::TooManyTools);
        }
        kept.tools.push(tool);
        self.write(&kept)
    }

    /// Forgets tools that have gone on, or have ended.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(crate) fn remove_tools(&self, ids: &[Id]) -> Result<(), HoldError> {
        let mut kept = self.kept();
        let before = kept.tools.len();
        kept.tools.retain(|tool| !ids.contains(&tool.id));
        if kept.tools.len() == before { Ok(()) } else { self.write(&kept) }
    }

    fn write(&self, kept: &Kept) -> Result<(), HoldError> {
        let path = self.path.clone();
        let written = match &self.unread {
            // What it says, nobody here knows; written over, it would be forgotten with the next restart.
            Some((why, _)) => Err(std::io::Error::other(format!("{why}; mend or remove it"))),
            None => switch::write_file(&self.path, kept),
        };
        written.map_err(|source| SwitchError::NotKept { path, source }.into())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a stop could not be kept or taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HoldError {
    /// At the limit.
    #[error(
        "{MOST} jails and containers are stopped alone already; stop everything, or resume some"
    )]
    TooMany,
    /// Of tools.
    #[error("{MOST_TOOLS} frozen commands are remembered already; a restart would forget this one")]
    TooManyTools,
    /// The file.
    #[error(transparent)]
    File(#[from] SwitchError),
}

fn text(held: &Held) -> String {
    let how = if held.stopped.paused { "paused" } else { "stopped" };
    let (what, option, name) = match (&held.jail, &held.container) {
        (Some(jail), _) => ("jail", "--jail", &jail[..]),
        (None, Some(container)) => ("container", "--container", &container.name[..]),
        (None, None) => ("everything", "", ""),
    };
    format!(
        "{what} {name} is {how} by the kill switch (thrown by {}); nothing runs there until a person says `clawrden \
         resume {option} {name}`",
        held.stopped.by
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::whereabouts::Unknown;

    fn stopped(paused: bool) -> Stopped {
        Stopped { since_ms: 7, by: "uid 0".to_owned(), paused }
    }

    fn jail(name: &str) -> Scope {
        Scope::Jail(name.to_owned())
    }

    fn container(id: &str) -> CallerContainer {
        CallerContainer { id: id.to_owned(), name: format!("name-{id}"), image: "i".to_owned() }
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("held.json");
        (folder, path)
    }

    #[test]
    fn a_stopped_jail_stays_stopped_across_a_restart_and_others_do_not_mind() {
        let (_folder, path) = place();
        let holds = Holds::open(&path);
        assert_eq!(holds.against(["web"], &Whereabouts::Nowhere), None);
        holds.hold(&jail("web"), stopped(false)).unwrap();
        for holds in [&holds, &Holds::open(&path)] {
            let text = holds.against(["web"], &Whereabouts::Nowhere).unwrap();
            assert!(text.contains("clawrden resume --jail web"), "{text}");
            assert_eq!(holds.against(["db"], &Whereabouts::default()), None);
            assert!(holds.against(["db", "web"], &Whereabouts::Nowhere).is_some());
        }
        assert!(holds.release(&jail("web"), Some(6)).is_err(), "that was said before");
        assert_eq!(holds.release(&jail("web"), None).unwrap(), Some(stopped(false)));
        assert_eq!(holds.release(&jail("web"), None).unwrap(), None);
        assert_eq!(Holds::open(&path).against(["web"], &Whereabouts::Nowhere), None);
    }

    #[test]
    fn whoever_may_be_in_a_stopped_container_is_refused() {
        let (_folder, path) = place();
        let holds = Holds::open(&path);
        holds.hold(&Scope::Container(container("ab")), stopped(true)).unwrap();
        assert_eq!(holds.against(["web"], &Whereabouts::Nowhere), None);
        let unknown = Whereabouts::Unknown(Arc::new(Unknown::Unseen));
        let text = holds.against(["web"], &unknown).unwrap();
        assert!(text.contains("pid: host"), "{text}");
    }

    #[test]
    fn a_container_is_found_again_by_its_name_or_the_start_of_its_id() {
        let (_folder, path) = place();
        let holds = Holds::open(&path);
        for id in ["ab", "ac"] {
            holds.hold(&Scope::Container(container(id)), stopped(true)).unwrap();
        }
        assert_eq!(holds.container("name-ab"), Some(container("ab")));
        assert_eq!(holds.container("ac"), Some(container("ac")));
        assert_eq!(holds.container("a"), None);
        assert_eq!(holds.container("x"), None);
    }

    #[test]
    fn what_cannot_be_understood_stops_everything() {
        let (_folder, path) = place();
        for odd in ["", "{", "null", "{\"held\":1}", "{\"halted\":[]}"] {
            std::fs::write(&path, odd).unwrap();
            let holds = Holds::open(&path);
            let text = holds.against(["web"], &Whereabouts::Nowhere);
            assert!(text.is_some_and(|text| text.contains("cannot be understood")), "{odd:?}");
            assert!(holds.unread().is_some_and(|shown| shown.by.contains("held.json")), "{odd:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_not_written_over() {
        let (_folder, path) = place();
        std::fs::write(&path, "{\"held\":").unwrap();
        let holds = Holds::open(&path);
        assert!(holds.hold(&jail("web"), stopped(false)).is_err());
        assert!(holds.set_frozen(&[], false).is_err(), "as every kill and resume does");
        assert_eq!(holds.release(&jail("db"), None).unwrap(), None);
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"held\":");
        assert!(Holds::open(&path).against(["web"], &Whereabouts::Nowhere).is_some());
    }

    #[test]
    fn what_was_frozen_is_remembered_across_a_restart() {
        let (_folder, path) = place();
        let holds = Holds::open(&path);
        holds.set_frozen(&["a".to_owned(), "b".to_owned()], true).unwrap();
        holds.set_frozen(&["a".to_owned()], false).unwrap();
        assert_eq!(Holds::open(&path).frozen(), ["b"]);
    }

    #[test]
    fn more_than_can_be_kept_are_refused() {
        let (_folder, path) = place();
        let holds = Holds::open(&path);
        for n in 0..MOST {
            holds.kept().held.push(Held {
                jail: Some(n.to_string()),
                container: None,
                stopped: stopped(false),
            });
        }
        let refused = holds.hold(&jail("web"), stopped(false));
        assert!(matches!(refused, Err(HoldError::TooMany)));
        holds.hold(&jail("7"), stopped(true)).unwrap();
    }
}
