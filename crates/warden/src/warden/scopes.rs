//! For what an answer is to be good, as people ask for it.

use std::time::Duration;

use clawrden_api::{AnswerRequest, ErrorBody, ErrorCode, GrantScope, QueueEntry};

use super::refused;
use crate::approvals::{MAX_SCOPE, Scope};
use crate::control::Verdict;

/// The scope that a person asks for.
///
/// # Errors
/// `BadRequest` for one that there is not.
pub(super) fn wanted(verdict: Verdict, request: &AnswerRequest) -> Result<Scope, ErrorBody> {
    let bad = |text: &str| Err(refused(ErrorCode::BadRequest, text.to_owned()));
    let is_wider = request.scope != GrantScope::Once
        || request.and_what_it_starts
        || request.pattern.is_some();
    if request.pattern.is_some() && request.scope == GrantScope::Once && verdict == Verdict::Approve
    {
        return bad("a pattern is for more than one run: give it the scope `session` or `time`");
    }
    if verdict == Verdict::Deny && (is_wider || request.for_ms.is_some()) {
        return bad("a denial is for the request alone: it has no scope");
    }
    match (request.scope, request.for_ms.map(Duration::from_millis)) {
        (GrantScope::Once, None) => Ok(Scope::Once),
        (GrantScope::Session, None) => Ok(Scope::Session),
        (GrantScope::Time, Some(time)) if !time.is_zero() && time <= MAX_SCOPE => {
            Ok(Scope::Time(time))
        }
        (GrantScope::Time, _) => {
            bad("the scope `time` needs `for_ms`, from 1 millisecond to 30 days")
        }
        (GrantScope::Once | GrantScope::Session, Some(_)) => {
            bad("`for_ms` goes with the scope `time` alone")
        }
    }
}

/// Whether a person may say yes to this and to what it starts: the warden has to know which process that is.
///
/// # Errors
/// `BadRequest`, with a sentence.
pub(super) fn may_hand_down(entry: &QueueEntry) -> Result<(), ErrorBody> {
    let text = match entry.executor.as_str() {
        "ghost" => {
            "it runs in a container of its own, where nothing is asked about what it starts; approve it alone"
        }
        _ if entry.only_judged => {
            "an agent's hook asks, and the agent runs it by itself, so the warden cannot tell what it starts; approve it alone"
        }
        _ => return Ok(()),
    };
    Err(refused(ErrorCode::BadRequest, text.to_owned()))
}

/// Whether a person may say yes to this for more than one run: what it runs has to be on its command line, all of which
/// was shown.
///
/// # Errors
/// `BadRequest`, with a sentence.
pub(super) fn may_repeat(entry: &QueueEntry) -> Result<(), ErrorBody> {
    let argv: Vec<&str> = entry.argv.iter().map(String::as_str).collect();
    let text = if entry.exact.is_none() {
        "its command line is not shown as it was sent, so a yes for more than this one run would be one to something \
         that nobody saw; approve it once"
    } else if clawrden_policy::runs_what_it_reads(&argv, entry.executable.as_deref()) {
        "it has a shell, an interpreter or a wrapper in it that may be told by its input or by a file what to run, so a \
         yes for more than this one run would be one to anything; approve it once"
    } else {
        return Ok(());
    };
    Err(refused(ErrorCode::BadRequest, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(scope: GrantScope, for_ms: Option<u64>) -> AnswerRequest {
        AnswerRequest { scope, for_ms, ..AnswerRequest::default() }
    }

    #[test]
    fn a_scope_is_one_of_three_and_a_time_is_bounded() {
        let day = 24 * 60 * 60 * 1000;
        let wanted = |scope, for_ms| wanted(Verdict::Approve, &request(scope, for_ms));
        assert_eq!(wanted(GrantScope::Once, None), Ok(Scope::Once));
        assert_eq!(wanted(GrantScope::Session, None), Ok(Scope::Session));
        assert_eq!(wanted(GrantScope::Time, Some(30 * day)), Ok(Scope::Time(MAX_SCOPE)));
        for (scope, for_ms) in [
            (GrantScope::Time, None),
            (GrantScope::Time, Some(0)),
            (GrantScope::Time, Some(30 * day + 1)),
            (GrantScope::Time, Some(u64::MAX)),
            (GrantScope::Once, Some(1)),
            (GrantScope::Session, Some(1)),
        ] {
            assert_eq!(wanted(scope, for_ms).unwrap_err().code, ErrorCode::BadRequest);
        }
    }

    #[test]
    fn a_denial_has_no_scope() {
        assert!(wanted(Verdict::Deny, &request(GrantScope::Once, None)).is_ok());
        assert!(wanted(Verdict::Deny, &request(GrantScope::Session, None)).is_err());
        assert!(wanted(Verdict::Deny, &request(GrantScope::Once, Some(1))).is_err());
        let more = AnswerRequest { and_what_it_starts: true, ..AnswerRequest::default() };
        assert!(wanted(Verdict::Deny, &more).is_err());
        assert_eq!(wanted(Verdict::Approve, &more), Ok(Scope::Once));
    }

    #[test]
    fn what_the_warden_does_not_follow_is_approved_alone() {
        let entry = |executor: &str, only_judged| QueueEntry {
            executor: executor.to_owned(),
            only_judged,
            ..QueueEntry::default()
        };
        assert!(may_hand_down(&entry("mirror", false)).is_ok());
        assert!(may_hand_down(&entry("local", false)).is_ok());
        assert!(may_hand_down(&entry("mirror", true)).is_err());
        assert!(may_hand_down(&entry("ghost", false)).is_err());
    }

    #[test]
    fn what_reads_its_program_or_is_not_shown_whole_is_approved_once() {
        let entry = |words: &str, executable: &str| QueueEntry {
            argv: words.split(' ').map(str::to_owned).collect(),
            executable: Some(executable.to_owned()),
            exact: Some(words.to_owned()),
            ..QueueEntry::default()
        };
        assert!(may_repeat(&entry("npm test", "/usr/bin/npm")).is_ok());
        let cut = QueueEntry { exact: None, ..entry("npm test", "/usr/bin/npm") };
        assert!(may_repeat(&cut).is_err());
        assert!(may_repeat(&entry("bash", "/bin/bash")).is_err());
        assert!(may_repeat(&entry("timeout 60 bash", "/usr/bin/timeout")).is_err());
        assert!(may_repeat(&entry("tool", "/bin/bash")).is_err(), "by another name");
        assert!(may_repeat(&entry("xargs rm", "/usr/bin/xargs")).is_err());
    }
}
