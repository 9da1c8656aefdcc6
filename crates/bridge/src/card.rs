//! What a message says, whichever service shows it. Nothing here is escaped: each service does that for its own markup.

use clawrden_api::{QueueEntry, display};
use serde::{Deserialize, Serialize};

/// Digits of a request's id.
pub(crate) const DIGITS: usize = 32;

/// One request, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The request as the queue had it when it began to wait. Secrets are marked by the warden.
    pub entry: QueueEntry,
    /// How far it has come.
    pub stage: Stage,
    /// Who approved it so far, where several people are wanted, such as `1 of 2 approvals: alice`.
    pub progress: Option<String>,
    /// The page of the warden on which it can be answered too, where there is one.
    pub page: Option<String>,
}

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It waits for a person.
    Waiting,
    /// It waits, and its caller has gone: an approval is kept for the next identical request.
    Parked,
    /// Somebody let it run.
    Approved(By),
    /// Somebody, or the policy, refused it.
    Denied(By),
    /// Nobody answered in time.
    Expired,
    /// Its caller left before there was an answer.
    CallerLeft,
    /// It ran and ended.
    Finished(By, Outcome),
}

impl Stage {
    /// Whether it can still be answered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Waiting | Self::Parked)
    }
}

/// Whose answer it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// The person, as the ledger has them.
    pub who: String,
    /// Through what: `cli`, `web`, `api`, `slack`, `telegram`, `webhook`, `policy`.
    pub through: String,
    /// Why.
    pub reason: Option<String>,
    /// For what it is good, in words; `None` for once.
    pub scope: Option<String>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its exit code.
    pub exit: Option<i32>,
    /// The signal that ended it, such as `SIGTERM`.
    pub signal: Option<String>,
    /// How long it ran, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Why it did not run or is not known.
    pub error: Option<String>,
}

/// What is said of a command that has no exact form.
pub(crate) const NOT_EXACT: &str = "Not the exact command:";
/// And why it has none.
pub(crate) const WHY_NOT_EXACT: &str = "parts of it are left out, or secrets in it are marked";

/// A command as it is shown to who answers: never folded within, where a fold could be overlooked.
pub(crate) fn command(entry: &QueueEntry) -> String {
    entry.exact.clone().unwrap_or_else(|| display::exact(&entry.argv))
}

/// What is said where secrets among the arguments are replaced by marks.
pub(crate) fn marked(entry: &QueueEntry) -> Option<&'static str> {
    let is_marked = entry.argv.iter().any(|argument| argument.contains("[redacted:"));
    is_marked.then_some("secrets are replaced by marks here; what runs has them")
}

/// Paths of one command that a message names.
pub(crate) const MOST_TOUCHES: usize = 6;

/// What stands where the paths lead that a command names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Touches<'a> {
    /// Paths, and in words what is there.
    pub(crate) shown: Vec<(&'a str, &'static str)>,
    /// What is left out: how many, where that is known, and words behind it.
    pub(crate) rest: Option<(Option<usize>, &'static str)>,
}

impl Touches<'_> {
    /// A sentence about what is left out, in words of ours alone.
    pub(crate) fn and_more(&self) -> Option<String> {
        let (number, words) = self.rest?;
        let number = number.map(|number| number.to_string()).unwrap_or_default();
        Some(format!("{MORE}{number}{words}"))
    }
}

/// The beginning of what is said of paths that are left out.
pub(crate) const MORE: &str = "and may touch ";

/// The paths that a command names: so many of them, and how many more there are.
pub(crate) fn touches(entry: &QueueEntry, most: usize) -> Touches<'_> {
    let context = &entry.context;
    let told = context.touches.iter().take(most);
    let shown = told.map(|touch| (&touch.path[..], there(&touch.kind))).collect();
    let rest = match (context.touches.len(), context.touches_more) {
        // Of a command that was not looked at nothing is said.
        (0, _) => None,
        (all, is_more) if all > most => {
            let words = if is_more { " more at least" } else { " more" };
            Some((Some(all - most), words))
        }
        (_, is_more) => is_more.then_some((None, "further ones")),
    };
    Touches { shown, rest }
}

/// What the warden calls it, in words for people.
fn there(kind: &str) -> &'static str {
    match kind {
        "file" => "file",
        "folder" => "folder",
        "missing" => "not there yet",
        "unclear" => "a link to nothing, or hidden",
        _ => "other",
    }
}

/// Whether it is the whole id of a request.
pub(crate) fn is_request(id: &str) -> bool {
    id.len() == DIGITS && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Many requests in one message: a flood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Those that wait, oldest first; at most some of them.
    pub some: Vec<QueueEntry>,
    /// How many wait in all.
    pub waiting: usize,
    /// How many of those that the digest told of are answered by now.
    pub answered: usize,
    /// The page of the warden, where there is one.
    pub page: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{entry, touching};

    #[test]
    fn paths_are_named_up_to_a_number_and_the_rest_is_counted() {
        let mut some = entry(&["ls"]);
        assert_eq!(touches(&some, 6), Touches { shown: vec![], rest: None });
        some.context.touches_more = true;
        assert_eq!(touches(&some, 6).and_more(), None, "it was not looked at");
        for (kind, words) in [
            ("file", "file"),
            ("folder", "folder"),
            ("missing", "not there yet"),
            ("unclear", "a link to nothing, or hidden"),
            ("other", "other"),
            ("@all <b>", "other"),
        ] {
            touching(&mut some, &[("/a", kind)]);
            assert_eq!(touches(&some, 6).shown, [("/a", words)], "{kind}");
        }
        for (all, is_more, says) in [
            (6, false, None),
            (6, true, Some("and may touch further ones")),
            (7, false, Some("and may touch 1 more")),
            (16, true, Some("and may touch 10 more at least")),
        ] {
            touching(&mut some, &vec![("/a", "file"); all]);
            some.context.touches_more = is_more;
            let told = touches(&some, 6);
            assert_eq!((told.shown.len(), told.and_more().as_deref()), (6, says), "{all}");
        }
    }
}
