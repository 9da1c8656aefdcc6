//! What is told of a running command: taken once, when it begins, as it lies there. It is for showing only, and whoever
//! looks pays for making words of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clawrden_api::Caller;

use crate::caller::told_container;
use crate::jails::Prisoner;
use crate::ledger::{Method, Started};
use crate::plan::Plan;
use crate::redaction;
use crate::shown::cut;
use crate::whereabouts::Whereabouts;

/// Bytes of an argument vector that are shown.
const SHOWN: usize = 4 * 1024;

/// Bytes that are kept of it for as long as its command runs: a secret that begins in what is shown is known as one.
const KEPT: usize = 2 * SHOWN;

/// A running command, as a person sees it.
#[derive(Debug, Default)]
pub(crate) struct Card {
    pub(super) uid: Option<u32>,
    gid: Option<u32>,
    pid: Option<u32>,
    container: Whereabouts,
    prisoner: Option<Arc<Prisoner>>,
    words: Words,
    pub(super) executor: &'static str,
    pub(super) method: Option<Method>,
    pub(super) rule: Option<Arc<str>>,
    pub(super) run_as: Option<String>,
    pub(super) recording: Option<String>,
    began: Duration,
}

/// An argument vector, unless it is longer than [`KEPT`].
#[derive(Debug, Default)]
struct Words {
    /// The arguments, a NUL behind each.
    bytes: Box<[u8]>,
    /// Bytes that the last of them had more.
    hidden: usize,
    /// Arguments behind it.
    left: usize,
}

impl Card {
    /// What `plan` is, let to run by `rule` and started as `started` says.
    pub(crate) fn new(plan: &Plan, rule: Option<Arc<str>>, started: &Started) -> Self {
        let executors = ["mirror", "ghost", "local"];
        let executor = executors.into_iter().find(|name| *name == started.executor);
        Self {
            uid: plan.caller.uid,
            gid: plan.caller.gid,
            pid: plan.caller.pid,
            container: plan.caller.container.clone(),
            prisoner: plan.prisoner.clone(),
            words: Words::new(|| plan.invocation.argv()),
            executor: executor.unwrap_or_default(),
            method: Some(started.method),
            rule,
            run_as: started.run_as.as_ref().map(|found| found.user.clone()),
            recording: started.record.clone(),
            began: now(),
        }
    }

    /// What is known of a tool that an earlier warden handed off, and that has run for so long: the rest is in the ledger.
    pub(crate) fn left(pid: u32, age: Duration) -> Self {
        Self {
            pid: Some(pid),
            executor: "mirror",
            method: Some(Method::Handoff),
            began: now().saturating_sub(age),
            ..Self::default()
        }
    }

    pub(super) fn caller(&self) -> Caller {
        Caller {
            uid: self.uid,
            gid: self.gid,
            pid: self.pid,
            prisoner: self.prisoner.as_ref().map(|prisoner| prisoner.id.clone()),
            container: told_container(&self.container),
        }
    }

    /// The argument vector, secrets marked.
    pub(super) fn argv(&self) -> Vec<String> {
        self.words.told()
    }

    /// Milliseconds since the epoch.
    pub(super) fn started_ms(&self) -> u64 {
        u64::try_from(self.began.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Since the epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

impl Words {
    fn new<'a, I: Iterator<Item = &'a [u8]>>(argv: impl Fn() -> I) -> Self {
        let mut room = KEPT;
        let length = argv().map(|word| word.len() + 1).sum::<usize>().min(KEPT);
        let (mut bytes, mut hidden, mut left) = (Vec::with_capacity(length), 0, 0);
        for word in argv() {
            if room == 0 {
                left += 1;
                continue;
            }
            let kept = word.len().min(room - 1);
            bytes.extend_from_slice(&word[..kept]);
            bytes.push(0);
            hidden = word.len() - kept;
            // Nothing stands behind what was cut.
            room = if hidden > 0 { 0 } else { room - kept - 1 };
        }
        Self { bytes: bytes.into(), hidden, left }
    }

    fn told(&self) -> Vec<String> {
        let Some(bytes) = self.bytes.strip_suffix(&[0]) else { return Vec::new() };
        let words: Vec<&[u8]> = bytes.split(|&byte| byte == 0).collect();
        let redacted = redaction::ours().argv(&words);
        let words = match &redacted {
            Some(redacted) => redacted.argv.iter().map(|word| &**word).collect(),
            None => words,
        };
        let last = words.len() - 1;
        let with_length = words.iter().enumerate().map(|(at, word)| {
            let hidden = if at == last { self.hidden } else { 0 };
            (*word, word.len() + hidden)
        });
        cut(with_length, self.left, SHOWN).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(argv: &[&str]) -> Vec<String> {
        Words::new(|| argv.iter().map(|word| word.as_bytes())).told()
    }

    #[test]
    fn an_argument_vector_is_shown_as_it_is_and_cut_where_it_is_long() {
        assert_eq!(told(&["sh", "", "-c", "a b"]), ["sh", "", "-c", "a b"]);
        assert_eq!(told(&[]), Vec::<String>::new());
        let long = "x".repeat(100_000);
        let shown = told(&["cat", &long, "y", "z"]);
        assert!(shown[1].ends_with("x… (100000 bytes)") && shown[1].len() < SHOWN + 50);
        assert_eq!(shown[2], "… and 2 more arguments");
        let many = vec!["1234567"; 10_000];
        let shown = told(&many);
        let count = shown.len() - 1;
        assert_eq!(shown[count], format!("… and {} more arguments", 10_000 - count));
        assert!(Words::new(|| many.iter().map(|word| word.as_bytes())).bytes.len() <= KEPT);
    }

    #[test]
    fn no_secret_is_shown_wherever_the_vector_is_cut() {
        let token = format!("ghp_{}", "aB3dE5gH7jK9mN1pQ3sT".repeat(2).get(..36).unwrap());
        for before in [0, SHOWN - 20, SHOWN - 5, SHOWN + 10] {
            let filler = "x ".repeat(before / 2);
            let shown = told(&["echo", &format!("{filler}{token}"), "end"]).concat();
            assert!(!shown.contains("ghp_"), "{before}: {}", &shown[shown.len() - 80..]);
        }
    }
}
