//! What `approve` and `deny` share: the id, the answer's way to the warden, and telling what came of it.

use std::io::IsTerminal as _;
use std::path::Path;

use clawrden_api::{
    AnswerRequest, Answered, ClientError, ErrorBody, ErrorCode, GrantScope, display,
};

use crate::connection::{Connection, block_on};
use crate::failure::{Failure, Outcome, done};
use crate::output::print_json;
use crate::when;

/// What a person answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Approve,
    Deny,
}

/// Sends the answer for one request and says what came of it.
pub(crate) fn send(
    answer: Answer,
    id: &str,
    request: &AnswerRequest,
    json: bool,
    control: Option<&Path>,
) -> Outcome {
    check_id(id)?;
    let connection = Connection::new(control)?;
    let ask = |request: &AnswerRequest| {
        block_on(async {
            match answer {
                Answer::Approve => connection.client.approve(id, request).await,
                Answer::Deny => connection.client.deny(id, request).await,
            }
        })
    };
    let answered = match ask(request)? {
        Err(ClientError::Api(ErrorBody { code: ErrorCode::ReasonRequired, message })) => {
            let reason = Some(typed_reason(&message)?);
            ask(&AnswerRequest { reason, ..request.clone() })?
        }
        answered => answered,
    };
    let answered = answered.map_err(Connection::failure)?;
    if json {
        print_json(&answered)?;
    } else {
        println!("{}", told(&answered, request, when::now_ms()));
    }
    done()
}

/// Why it may run, from whoever sits at the terminal.
///
/// # Errors
/// [`Failure::Refused`] with what the warden said where nobody does, or nothing is typed.
fn typed_reason(message: &str) -> Result<String, Failure> {
    let refused = || Failure::Refused(format!("{message}; give one with --reason 'TEXT'"));
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(refused());
    }
    eprint!("{}\nwhy may it run? > ", display::text(message));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|_| refused())?;
    let reason = line.trim();
    if reason.is_empty() { Err(refused()) } else { Ok(reason.to_owned()) }
}

/// Asks for a yes on the terminal.
///
/// # Errors
/// [`Failure::Refused`] with `otherwise` for anything else.
pub(crate) fn agree(question: &str, otherwise: &str) -> Result<(), Failure> {
    eprint!("{question} [y/N] ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::Refused(error.to_string()))?;
    if matches!(line.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::Refused(otherwise.to_owned()))
}

/// Digits that can name a request.
///
/// # Errors
/// [`Failure::Usage`] for anything else.
pub(crate) fn check_id(id: &str) -> Result<(), Failure> {
    let fits = (4..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit());
    if fits {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{id:?} is no request id: 4 to 32 hex digits, as `clawrden queue` shows them"
    )))
}

pub(crate) fn told(answered: &Answered, request: &AnswerRequest, now_ms: u64) -> String {
    let mut text = told_of_it(answered, request.scope, now_ms);
    if let Some(pattern) = &request.pattern {
        text = text.replace("the very same command runs", &format!("what {pattern} takes runs"));
    }
    if request.and_what_it_starts && answered.progress.is_none() {
        text.push_str("; what it starts runs with it");
    }
    text
}

fn told_of_it(answered: &Answered, scope: GrantScope, now_ms: u64) -> String {
    let Answered { id, answer, delivered, kept_until_ms, holds_until_ms, progress } = answered;
    let short = id.get(..8).unwrap_or(id);
    if let Some(progress) = progress {
        let progress = display::text(progress);
        return format!("your yes to {short} counts, and nothing runs yet: {progress}");
    }
    if let Some(until) = holds_until_ms {
        let until = when::moment(*until, now_ms);
        let holds = match scope {
            GrantScope::Session => {
                format!("as long as this prisoner lives, until {until} at the latest")
            }
            GrantScope::Once | GrantScope::Time => format!("until {until}"),
        };
        return format!(
            "{answer} {short}; the very same command runs {holds}: clawrden grants revoke {short} takes it back"
        );
    }
    match (answer.as_str(), delivered, kept_until_ms) {
        ("approved", true, _) => format!("approved {short}; its caller has been told to run it"),
        ("approved", false, Some(until)) => format!(
            "approved {short}; nobody waits for it at the moment: it is kept until {} for the next identical request",
            when::moment(*until, now_ms)
        ),
        ("denied", true, _) => format!("denied {short}; its caller has been told"),
        ("denied", false, _) => {
            format!("denied {short}; its caller is told when it asks again")
        }
        (other, ..) => format!("{other} {short}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hex_digits_make_an_id() {
        assert!(check_id("7f3a").is_ok());
        for bad in ["", "7f3", "xyzw", "../../etc", &"a".repeat(33)] {
            assert!(matches!(check_id(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn an_approval_that_nobody_waits_for_says_how_long_it_is_kept() {
        let mut answered = Answered {
            id: "7f3a0000000000000000000000000000".into(),
            answer: "approved".into(),
            delivered: false,
            kept_until_ms: Some(1_777_900_000_000),
            holds_until_ms: None,
            progress: None,
        };
        let once = AnswerRequest::default();
        let text = told(&answered, &once, 1_777_900_000_000);
        assert!(text.contains("7f3a0000") && text.contains("kept until"), "{text}");
        answered.delivered = true;
        assert!(!told(&answered, &once, 0).contains("kept"));
        let more = AnswerRequest { and_what_it_starts: true, ..once };
        assert!(told(&answered, &more, 0).contains("what it starts"));
        answered.holds_until_ms = Some(1_777_900_000_000);
        for scope in [GrantScope::Session, GrantScope::Time] {
            let request = AnswerRequest { scope, ..AnswerRequest::default() };
            let text = told(&answered, &request, 1_777_900_000_000);
            assert!(text.contains("until") && text.contains("grants revoke 7f3a0000"), "{text}");
            assert_eq!(text.contains("lives"), scope == GrantScope::Session);
        }
        answered.progress = Some("1 of 2 approvals: alice".into());
        let text = told(&answered, &AnswerRequest::default(), 0);
        assert!(text.contains("nothing runs yet: 1 of 2 approvals: alice"), "{text}");
    }
}
