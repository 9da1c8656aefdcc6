//! What a person is shown, as it is held while it waits: written out once, so that a long queue is told without writing
//! each entry anew whenever somebody looks; and shorter than its parts are in memory.

use std::sync::Arc;

use clawrden_api::{QueueApprovals, QueueEntry, display};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::details::Details;
use crate::ledger::Id;

/// [`Details`] as JSON, and what is asked of them most. Clones are the same.
#[derive(Debug, Clone)]
pub struct Written(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    jail: Box<str>,
    uid: Option<u32>,
    json: Box<RawValue>,
}

impl Written {
    /// Writes them out.
    #[must_use]
    pub fn of(details: &Details) -> Self {
        // Plain structs always fit into JSON.
        let json = to_raw_value(details).unwrap_or_default();
        Self(Arc::new(Parts { jail: (*details.jail).into(), uid: details.caller.uid, json }))
    }

    /// The jail.
    #[must_use]
    pub fn jail(&self) -> &str {
        &self.0.jail
    }

    /// The user who asks.
    pub(super) fn uid(&self) -> Option<u32> {
        self.0.uid
    }

    /// What was written out.
    pub(super) fn details(&self) -> Details {
        serde_json::from_str(self.0.json.get()).unwrap_or_default()
    }

    /// The bytes that holding it costs, about.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Parts>() + self.0.jail.len() + self.0.json.get().len()
    }
}

impl Default for Written {
    fn default() -> Self {
        Self::of(&Details::default())
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Kept { mut details, is_exact } = Kept::deserialize(deserializer)?;
        if is_exact && details.exact.is_none() {
            details.exact = Some(display::exact(&details.argv));
        }
        Ok(Self::of(&details))
    }
}

/// Details as they last. Version 0.1.0 told by a word that the argument vector is exact, and no more.
#[derive(Deserialize)]
struct Kept {
    #[serde(flatten)]
    details: Details,
    #[serde(default)]
    is_exact: bool,
}

/// An entry as it stood at one moment, taken from under the queue's lock.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What stays the same while it waits.
    pub details: Written,
    /// What does not.
    pub now: Changing,
}

/// The part of a [`QueueEntry`] that [`Details`] have not.
#[derive(Debug, Clone, Hash, Serialize)]
pub struct Changing {
    /// The whole id.
    pub id: Id,
    /// The shortest prefix that no other open entry has.
    pub short: String,
    /// The request that an answer is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Id>,
    /// Since when it waits, in milliseconds since the epoch.
    pub since_ms: u64,
    /// Until when.
    pub expires_ms: u64,
    /// Whose yes it takes and has, where that is not anybody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<QueueApprovals>,
    /// Callers that wait.
    pub callers: u32,
}

impl Seen {
    /// Appends it as JSON: a [`QueueEntry`].
    pub fn write(&self, to: &mut Vec<u8>) {
        let begin = to.len();
        // Nothing fails to be written into memory.
        if serde_json::to_writer(&mut *to, &self.now).is_err() {
            return to.truncate(begin);
        }
        // Two objects, neither of them empty, become one.
        if let Some(rest) = self.details.0.json.get().strip_prefix('{') {
            to.pop();
            to.push(b',');
            to.extend_from_slice(rest.as_bytes());
        }
    }

    /// The same with its parts.
    #[must_use]
    pub fn show(&self) -> QueueEntry {
        let mut json = Vec::new();
        self.write(&mut json);
        serde_json::from_slice(&json).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clawrden_api::{Caller, CallerContainer, QueueContext, QueueTouch};

    use super::*;

    fn text(word: &str) -> Option<String> {
        Some(word.to_owned())
    }

    /// Of every field something, and each spelled out, so that a new one is not forgotten here.
    fn full() -> QueueEntry {
        QueueEntry {
            id: Id([7; 16]).to_string(),
            short: "0707".to_owned(),
            request: text(&Id([8; 16]).to_string()),
            jail: "web".to_owned(),
            caller: Caller {
                uid: Some(1000),
                container: Some(CallerContainer::default()),
                ..Caller::default()
            },
            argv: vec!["git".to_owned(), "push \u{202e}\"".to_owned()],
            cwd: text("/app"),
            executable: text("/usr/bin/git"),
            sha256: text("00"),
            executor: "mirror".to_owned(),
            only_judged: true,
            run_as: text("nobody"),
            rule: text("policy.yaml:3"),
            reason: "it \"writes\"\n".to_owned(),
            suggest: text("ask first"),
            noticed: vec!["LD_PRELOAD".to_owned()],
            labels: BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
            exact: text("git 'push'"),
            warnings: vec!["hidden".to_owned()],
            context: QueueContext {
                parent: vec!["make".to_owned()],
                git_remote: text("origin"),
                git_branch: text("main"),
                approved_before: Some(3),
                touches: vec![QueueTouch::default()],
                touches_more: true,
            },
            since_ms: 5,
            expires_ms: 6,
            approvals: Some(QueueApprovals::default()),
            callers: 2,
        }
    }

    /// The same as it is held.
    fn seen(of: &QueueEntry) -> Seen {
        let it = of.clone();
        let details = Details {
            jail: it.jail,
            caller: it.caller,
            argv: it.argv,
            cwd: it.cwd,
            executable: it.executable,
            sha256: it.sha256,
            executor: it.executor,
            only_judged: it.only_judged,
            run_as: it.run_as,
            rule: it.rule,
            reason: it.reason,
            suggest: it.suggest,
            noticed: it.noticed,
            labels: it.labels,
            exact: it.exact,
            context: it.context,
            warnings: it.warnings,
        };
        let now = Changing {
            id: it.id.parse().unwrap(),
            short: it.short,
            request: it.request.map(|request| request.parse().unwrap()),
            since_ms: it.since_ms,
            expires_ms: it.expires_ms,
            approvals: it.approvals,
            callers: it.callers,
        };
        Seen { details: Written::of(&details), now }
    }

    #[test]
    fn what_is_held_is_written_as_an_entry_of_the_queue_is() {
        let bare = QueueEntry { id: Id([7; 16]).to_string(), ..QueueEntry::default() };
        for entry in [full(), bare] {
            let seen = seen(&entry);
            assert_eq!(seen.show(), entry);
            let mut json = Vec::new();
            seen.write(&mut json);
            let written: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(written, serde_json::to_value(&entry).unwrap());
        }
    }

    #[test]
    fn what_is_held_lasts_as_its_details_and_is_taken_up_the_same() {
        let held = seen(&full()).details;
        let kept: Written = serde_json::from_str(&serde_json::to_string(&held).unwrap()).unwrap();
        assert_eq!((kept.details(), kept.jail()), (held.details(), "web"));
        assert_eq!(kept.uid(), Some(1000));
        assert!(kept.bytes() > 400, "{}", kept.bytes());
        let mut old = serde_json::to_value(&held).unwrap();
        old["exact"].take();
        for (is_exact, exact) in [(true, Some(display::exact(&full().argv))), (false, None)] {
            old["is_exact"] = is_exact.into();
            let kept: Written = serde_json::from_value(old.clone()).unwrap();
            assert_eq!(kept.details().exact, exact);
        }
    }
}
