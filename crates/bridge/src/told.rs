//! What the warden's events mean for messages.

use clawrden_api::{Event, QueueEntry};
use serde::Deserialize;

use crate::card::{By, Outcome};

/// What an event means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// Something waits.
    Waiting(Box<QueueEntry>),
    /// One of several people said yes.
    Progress { entry: String, progress: String },
    /// Somebody answered, or the policy did.
    Answered { entry: String, request: String, approved: bool, by: By },
    /// An approval that was kept lets a request run.
    Used { entry: String, request: String },
    /// Nobody did in time.
    Expired { entry: String },
    /// Its last caller left.
    Parked { entry: String },
    /// A command ended.
    Finished { request: String, outcome: Outcome, is_recorded: bool },
    /// What waits may be something else: it is to be looked at.
    Look,
    /// Events are missing: what is open is to be looked up.
    Missed,
    /// Nothing.
    Nothing,
}

#[derive(Deserialize)]
struct Waiting {
    entry: QueueEntry,
}

#[derive(Deserialize)]
struct Voted {
    entry: String,
    progress: String,
}

#[derive(Deserialize)]
struct Answered {
    id: String,
    entry: String,
    approver: String,
    channel: String,
    reason: Option<String>,
    scope: Option<String>,
    chat: Option<InChat>,
}

/// Who answered by a chat.
#[derive(Deserialize)]
struct InChat {
    person: String,
}

#[derive(Deserialize)]
struct OfEntry {
    entry: String,
}

#[derive(Deserialize)]
struct Finished {
    id: String,
    exit_code: Option<i32>,
    signal: Option<i32>,
    duration_ms: u64,
    #[serde(default)]
    timed_out: bool,
    #[serde(default)]
    cancelled: bool,
    error: Option<String>,
    recording: Option<serde::de::IgnoredAny>,
}

impl Told {
    /// An event that is not understood means nothing: the queue is looked at again some time.
    pub(crate) fn of(event: &Event, now_ms: u64) -> Self {
        Self::read(event, now_ms).unwrap_or_else(|error| {
            tracing::warn!(event = event.name, %error, "an event of the warden is not understood");
            Self::Look
        })
    }

    fn read(event: &Event, now_ms: u64) -> Result<Self, serde_json::Error> {
        let data = &event.data;
        Ok(match &event.name[..] {
            "waiting" => Self::Waiting(Box::new(serde_json::from_str::<Waiting>(data)?.entry)),
            "voted" => {
                let Voted { entry, progress } = serde_json::from_str(data)?;
                Self::Progress { entry, progress }
            }
            name @ ("approved" | "denied") => {
                let it: Answered = serde_json::from_str(data)?;
                let by = By {
                    // The person; by which user and token is the ledger's.
                    who: it.chat.map_or(it.approver, |chat| chat.person),
                    through: it.channel,
                    reason: it.reason,
                    scope: it.scope,
                    at_ms: now_ms,
                };
                let approved = name == "approved";
                Self::Answered { entry: it.entry, request: it.id, approved, by }
            }
            "grant_used" => {
                let it: Answered = serde_json::from_str(data)?;
                Self::Used { entry: it.entry, request: it.id }
            }
            "expired" => Self::Expired { entry: serde_json::from_str::<OfEntry>(data)?.entry },
            "parked" => Self::Parked { entry: serde_json::from_str::<OfEntry>(data)?.entry },
            "finished" => {
                let it: Finished = serde_json::from_str(data)?;
                let why = match (it.timed_out, it.cancelled) {
                    (true, _) => Some("it ran out of time".to_owned()),
                    (_, true) => Some("it was cancelled".to_owned()),
                    _ => None,
                };
                let outcome = Outcome {
                    exit: it.exit_code,
                    signal: it.signal.map(signal),
                    duration_ms: Some(it.duration_ms),
                    error: it.error.or(why),
                };
                Self::Finished { request: it.id, outcome, is_recorded: it.recording.is_some() }
            }
            "caller_left" | "stopped" | "resumed" | "killed" | "escalated" => Self::Look,
            "reset" => Self::Missed,
            _ => Self::Nothing,
        })
    }
}

/// A signal's name.
pub(crate) fn signal(number: i32) -> String {
    const NAMES: [(i32, &str); 15] = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (10, "SIGUSR1"),
        (11, "SIGSEGV"),
        (12, "SIGUSR2"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
        (24, "SIGXCPU"),
    ];
    let name = NAMES.iter().find(|(known, _)| *known == number);
    name.map_or_else(|| format!("signal {number}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, data: &str) -> Told {
        Told::of(&Event { name: name.into(), id: None, data: data.into() }, 7)
    }

    #[test]
    fn events_are_read_as_the_ledger_writes_them() {
        let answered = told(
            "approved",
            r#"{"event":"approved","id":"r","entry":"e","approver":"alice","channel":"web","jail":"x"}"#,
        );
        let by = By { who: "alice".into(), through: "web".into(), at_ms: 7, ..By::default() };
        let (entry, request) = ("e".to_owned(), "r".to_owned());
        assert_eq!(answered, Told::Answered { entry, request, approved: true, by });
        let ended = told(
            "finished",
            r#"{"id":"r","signal":15,"exit_source":"kernel","duration_ms":12,"timed_out":true,
                "recording":{"sha256":"","bytes":1}}"#,
        );
        let Told::Finished { outcome, is_recorded, .. } = ended else { panic!("{ended:?}") };
        assert_eq!(outcome.signal.as_deref(), Some("SIGTERM"));
        assert_eq!(outcome.error.as_deref(), Some("it ran out of time"));
        assert!(is_recorded);
        assert_eq!(told("parked", r#"{"id":"r","entry":"e"}"#), Told::Parked { entry: "e".into() });
        assert_eq!(told("reset", "{}"), Told::Missed);
        assert_eq!(told("approved", "{"), Told::Look, "what is not understood is looked at");
        assert_eq!(told("policy_loaded", "{}"), Told::Nothing);
    }
}
