//! The queue as callers and people meet it, one story each.

mod bounds;
mod clocks;
mod granting;
mod lasting;
mod policy;
mod properties;
mod scopes;
mod stories;
mod votes;

use clawrden_api::Caller;

use crate::people::Doors;

use super::*;

const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

/// A clock that stands until it is told to go on.
#[derive(Clone, Copy)]
struct Clock(Now);

impl Clock {
    fn new() -> Self {
        Self(Now::read())
    }

    fn after(&self, seconds: u64) -> Now {
        self.0.after(Duration::from_secs(seconds))
    }
}

fn queue() -> Approvals {
    Approvals::new([9; 32])
}

fn request(n: u8) -> Id {
    Id([n; 16])
}

/// A request of process `n` whose command is `command`.
fn ask(command: &str, n: u8) -> Ask {
    let same: Same<'_, &str, &str> = Same {
        jail: "dev",
        uid: Some(1000),
        executable: b"/usr/bin/npm",
        argv: &[command],
        cwd: Some(b"/app"),
        variables: &[],
        container: None,
        only_judged: false,
    };
    Ask {
        identity: same.identity(),
        id: request(n),
        client: Some(request(n)),
        key: CallerKey { pid: Some(u32::from(n)), start: Some(7) },
        life: None,
        frame: Some(same.identity().within("frame")),
        by_pattern: Vec::new(),
        inherits: None,
        details: Details {
            jail: "dev".to_owned(),
            caller: Caller { uid: Some(1000), pid: Some(u32::from(n)), ..Caller::default() },
            argv: vec![command.to_owned()],
            executor: "mirror".to_owned(),
            ..Details::default()
        },
        case: None,
        wants: Wants::default(),
        nobody: None,
        timeout: HALF_AN_HOUR,
    }
}

fn wait(queue: &Approvals, ask: Ask, now: Now) -> Ticket {
    match queue.ask(ask, now) {
        Asked::Wait(ticket) => ticket,
        other => panic!("it should wait: {other:?}"),
    }
}

fn verdict(approve: bool) -> Verdict {
    Verdict {
        approve,
        who: "alice".to_owned(),
        channel: "cli".to_owned(),
        from: Some("192.0.2.7:4711".to_owned()),
        reason: Some("because".to_owned()),
        scope: Scope::Once,
        ..Verdict::new(approve, String::new(), String::new(), Doors::default())
    }
}

fn answer(queue: &Approvals, id: Id, approve: bool, now: Now) -> Result<Answered, AnswerError> {
    queue.answer(&id.to_string(), verdict(approve), now, |_| Ok(()))
}

fn only_entry(queue: &Approvals) -> Id {
    let entries = queue.queue();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].id.parse().unwrap()
}

fn is_approved(ticket: &mut Ticket) -> bool {
    matches!(ticket.try_answer(), Some(Answer::Approved(_)))
}

fn person_denied(answer: Option<&Answer>) -> bool {
    matches!(answer, Some(Answer::Denied(Denial { why: Refusal::Person { .. }, .. })))
}

#[test]
fn among_some_jails_an_id_is_found_as_if_there_were_no_others() {
    let (queue, clock) = (queue(), Clock::new());
    let _ticket = wait(&queue, ask("install", 1), clock.after(0));
    let entry = only_entry(&queue);
    assert_eq!(queue.asks(), [(request(1), "dev".to_owned())]);
    assert!(queue.find(&entry.to_string(), |jail| jail == "dev").is_ok());
    let hidden = || queue.find(&entry.to_string(), |jail| jail != "dev");
    assert!(matches!(hidden(), Err(AnswerError::Unknown(_))));
    answer(&queue, entry, false, clock.after(1)).unwrap();
    assert!(matches!(hidden(), Err(AnswerError::Unknown(_))), "nor that it was answered");
    let told = queue.find(&entry.to_string(), |_| true);
    assert!(matches!(told, Err(AnswerError::AlreadyAnswered { .. })));
}
