//! What can be written into the ledger: one type for each event.
//! A record says what happened and never decides anything; secrets have no field here.

mod access;
mod answers;
mod asked;
mod runs;
mod warden;

use serde::{Deserialize, Serialize};

use super::about::{DiskFailed, Opened};
use super::dropped::Dropped;
use super::head::SignedHead;
use crate::redaction::Fields;

pub use access::{
    AccessRevoked, ControlRefused, Paired, PairingOffered, PeopleLoaded, PeopleRefused,
    SessionOpened, TokenCreated,
};
pub use answers::{
    Answered, ApprovalReturned, CallerLeft, Chat, Escalated, Expired, GrantRevoked, Parked,
    Reconnected, Restored, RuleAdded, Voted,
};
pub use asked::{Caller, Container, Decided, Requested};
pub use runs::{Finished, Ghost, Killed, Method, Recorded, RunAs, Started};
pub use warden::{
    Failed, JailChanged, PolicyLoaded, PolicyRefused, PrisonerEnded, PrisonerStarted, Recovered,
    Resumed, Stopped, WardenStarted, WardenStopped,
};

/// Names (of variables, of noticed facts) that one record lists. Of a longer list the rest is counted in a last entry.
pub const MAX_NAMES: usize = 256;

/// Fields of records that the warden, its policy or the kernel fills, and those whose secrets are marked before: they stay
/// as they are, whatever is a secret elsewhere.
pub(crate) const FIELDS: Fields = Fields {
    ours: &[
        "event",
        "id",
        "entry",
        "jail",
        "version",
        "methods",
        "fingerprint",
        "argv",
        "argv_raw",
        "argv_sha256",
        "decision",
        "rule",
        "executor",
        "run_as",
        "approver",
        "person",
        "progress",
        "to",
        "channel",
        "from",
        "scope",
        "state",
        "method",
        "exit_source",
        "record",
        "recording",
        "prisoner",
        "by",
        "token",
        "name",
        "role",
        "jails",
        "rules",
        "revoked",
        "session",
        "who",
        "chat",
        "speaks_for",
        "user",
    ],
    maps: &["labels"],
};

/// One event. On its line it stands between the sequence number and time, and the hash of the line before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// The ledger begins a segment, or a warden goes on with one.
    Opened(Opened),
    /// The segment is closed behind this line.
    Sealed(SignedHead),
    /// Retention dropped the oldest segment.
    Dropped(Dropped),
    /// The ledger could not be written for a while.
    DiskFailed(DiskFailed),
    /// The warden serves.
    WardenStarted(WardenStarted),
    /// The warden ended in good order.
    WardenStopped(WardenStopped),
    /// A policy is in force.
    PolicyLoaded(PolicyLoaded),
    /// A policy did not load; the one before stays in force.
    PolicyRefused(PolicyRefused),
    /// A command was asked for.
    Requested(Requested),
    /// The policy decided.
    Decided(Decided),
    /// A person said yes, and others are wanted.
    Voted(Voted),
    /// Nobody has answered for a while: others may as well.
    Escalated(Escalated),
    /// A person let it run.
    Approved(Answered),
    /// A person refused it.
    Denied(Answered),
    /// Nobody answered in time: denied.
    Expired(Expired),
    /// The caller went away before it had an answer.
    CallerLeft(CallerLeft),
    /// The entry waits on without a caller.
    Parked(Parked),
    /// The warden was restarted, and the request, or the answer to it, goes on as it was.
    Restored(Restored),
    /// The caller is back from a connection that broke, and waits on.
    Reconnected(Reconnected),
    /// A kept approval let this request run.
    GrantUsed(Answered),
    /// Somebody took a kept approval back: nothing will run by it.
    GrantRevoked(GrantRevoked),
    /// Somebody approves a request for always: a rule is written for it. `policy_loaded` follows once it is in force.
    RuleAdded(RuleAdded),
    /// Nothing was started with an approval that this request had: the next identical one has it.
    ApprovalReturned(ApprovalReturned),
    /// The command starts; written before it does.
    Started(Started),
    /// The command ended.
    Finished(Finished),
    /// Processes were ended on somebody's word.
    Killed(Killed),
    /// The kill switch was thrown.
    Stopped(Stopped),
    /// The kill switch was taken back.
    Resumed(Resumed),
    /// Somebody made a jail.
    JailCreated(JailChanged),
    /// Somebody deleted a jail.
    JailDeleted(JailChanged),
    /// A prisoner is held by a `clawrden run`.
    PrisonerStarted(PrisonerStarted),
    /// A prisoner's holder ended.
    PrisonerEnded(PrisonerEnded),
    /// Somebody who may not use the control plane tried to.
    ControlRefused(ControlRefused),
    /// A token for the control API is made.
    TokenCreated(TokenCreated),
    /// A token or a session opens nothing more.
    AccessRevoked(AccessRevoked),
    /// Somebody has logged in at the web page.
    SessionOpened(SessionOpened),
    /// Bytes that are no whole line were set aside.
    Recovered(Recovered),
    /// A request could not be served.
    Failed(Failed),
    /// Who answers is read from the settings.
    PeopleLoaded(PeopleLoaded),
    /// It is not; who answered before goes on to.
    PeopleRefused(PeopleRefused),
    /// A user of a chat has become a person's.
    Paired(Paired),
    /// A user of a chat is a person's no more.
    Unpaired(Paired),
    /// A code is made that binds a user of a chat to a person.
    PairingOffered(PairingOffered),
}

/// Shortens a list of names to [`MAX_NAMES`] entries, the last of which then counts what is left out.
#[must_use]
pub fn names(mut all: Vec<String>) -> Vec<String> {
    if all.len() > MAX_NAMES {
        let left_out = all.len() - (MAX_NAMES - 1);
        all.truncate(MAX_NAMES - 1);
        all.push(format!("and {left_out} more"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::argv::Argv;
    use crate::ledger::id::Id;

    #[test]
    fn a_record_is_one_flat_object_that_names_its_event() {
        let record = Record::Requested(Requested {
            id: Id([7; 16]),
            jail: "dev".to_owned(),
            caller: Caller { uid: Some(1000), ..Caller::default() },
            argv: Argv::new(&["ls", "-l"]),
            cwd: Some("/app".to_owned()),
            executable: None,
            version: 2,
        });
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(
            json,
            r#"{"event":"requested","id":"07070707070707070707070707070707","jail":"dev","caller":{"uid":1000},"argv":["ls","-l"],"cwd":"/app","version":2}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }

    #[test]
    fn what_is_unknown_is_absent_and_what_is_known_is_there() {
        let record = Record::Finished(Finished {
            id: Id([1; 16]),
            exit_code: None,
            signal: Some(9),
            exit_source: "kernel".to_owned(),
            duration_ms: 12,
            timed_out: true,
            cancelled: false,
            bytes_out: None,
            error: None,
            recording: None,
        });
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(
            json,
            r#"{"event":"finished","id":"01010101010101010101010101010101","signal":9,"exit_source":"kernel","duration_ms":12,"timed_out":true}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    }

    #[test]
    fn a_long_list_of_names_says_how_many_are_left_out() {
        let all: Vec<String> = (0..1000).map(|i| format!("V{i}")).collect();
        let short = names(all.clone());
        assert_eq!(short.len(), MAX_NAMES);
        assert_eq!(short[254], "V254");
        assert_eq!(short[255], "and 745 more");
        assert_eq!(names(all[..256].to_vec()), all[..256]);
    }
}
