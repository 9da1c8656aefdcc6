//! What the policy denies by the time that somebody would approve it.

use super::*;

fn objection() -> Objection {
    Objection { rule: Some("p.yaml:3".to_owned()), reason: "no more".to_owned() }
}

#[test]
fn everybody_who_waits_is_told_and_nothing_is_kept() {
    let (queue, clock) = (queue(), Clock::new());
    let mut one = wait(&queue, ask("ci", 1), clock.0);
    let mut two = wait(&queue, ask("ci", 2), clock.0);
    let id = only_entry(&queue).to_string();
    let mut recorded = Vec::new();
    let record = |requests: &[Id]| {
        recorded = requests.to_vec();
        Ok(())
    };
    queue.refuse(&id, &objection(), clock.0, record).unwrap();
    assert_eq!(recorded, [request(1), request(2)]);
    for ticket in [&mut one, &mut two] {
        let Some(Answer::Denied(denial)) = ticket.try_answer() else { panic!() };
        assert!(matches!(denial.why, Refusal::Policy { ref reason, .. } if reason == "no more"));
    }
    drop((one, two));
    assert!(answer(&queue, id.parse().unwrap(), true, clock.0).is_err());
    let _asks_anew = wait(&queue, ask("ci", 3), clock.0);
}

#[test]
fn a_refusal_that_cannot_be_recorded_changes_nothing() {
    let (queue, clock) = (queue(), Clock::new());
    let mut ticket = wait(&queue, ask("ci", 1), clock.0);
    let id = only_entry(&queue).to_string();
    let failed = queue.refuse(&id, &objection(), clock.0, |_| Err("disk full".to_owned()));
    assert!(matches!(failed, Err(AnswerError::NotRecorded(_))));
    assert!(ticket.try_answer().is_none());
    assert_eq!(queue.len(), 1);
}
