//! What Slack delivers: an envelope of the socket, or the body of a call.

use clawrden_api::display::is_plain;
use clawrden_bridge::heard::{Heard, ReplyTo, Wants};
use clawrden_bridge::slack::envelope::Envelope;
use clawrden_bridge::slack::events::{self, Read};
use clawrden_bridge::slack::interaction::Done;
use serde_json::Value;

/// Both mean the same each time, and what they mean is a person's own, whole and bounded.
pub fn slack(data: &[u8]) {
    let envelope = Envelope::parse(data);
    assert_eq!(envelope, Envelope::parse(data));
    if let Ok(Envelope::Delivery(delivery)) = envelope {
        let done = delivery.done();
        check(&done);
        let said: Value =
            serde_json::from_str(&delivery.acknowledgement(&done)).unwrap_or_default();
        assert_eq!(said["envelope_id"], delivery.id.as_str());
        let says = matches!(done, Done::Amend(_)) && delivery.may_say;
        assert_eq!(says, said.get("payload").is_some());
    }
    let read = events::read(data);
    assert_eq!(read, events::read(data));
    if let Some(Read::Done(done)) = read {
        check(&done);
    }
}

fn check(done: &Done) {
    match done {
        Done::Nothing => {}
        Done::Heard(heard) => {
            assert!((1..=8).contains(&heard.len()));
            let is_no =
                |heard: &Heard| matches!(&heard.wants, Wants::Answer { approve: false, .. });
            assert!(heard.len() == 1 || heard.iter().all(is_no), "one tap approves one");
            heard.iter().for_each(check_heard);
        }
        Done::Open(opening) => {
            check_to(&opening.to);
            let metadata = opening.view["private_metadata"].as_str().unwrap_or_default();
            let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
            check_request(metadata["request"].as_str().unwrap_or_default());
            assert_eq!(metadata["channel"], opening.to.place.as_str());
        }
        Done::Amend(said) => assert_eq!(said["response_action"], "errors"),
    }
}

fn check_heard(heard: &Heard) {
    check_to(&heard.to);
    let parts = heard.user.split_once('/');
    assert!(
        parts.is_some_and(|(team, user)| is_id(team) && user == heard.to.user),
        "{:?}",
        heard.user
    );
    assert!(
        heard.shown.chars().all(is_plain) && heard.shown.chars().count() <= 80,
        "{:?}",
        heard.shown
    );
    assert!(["tap:", "sent:", "typed:"].iter().any(|kind| heard.key.starts_with(kind)));
    assert!(heard.key.len() <= 270 && heard.key.bytes().all(|b| b.is_ascii_graphic()));
    match &heard.wants {
        Wants::Command(words) => {
            assert!((1..=16).contains(&words.len()));
            assert!(words.iter().all(|word| !word.is_empty() && word.chars().count() <= 256));
        }
        Wants::Answer { request, reason, .. } => {
            check_request(request);
            let reason = reason.as_deref().unwrap_or("-");
            assert!(!reason.is_empty() && reason.chars().count() <= 1_000);
        }
    }
}

fn check_to(to: &ReplyTo) {
    assert!(is_id(&to.place) && is_id(&to.user), "{to:?}");
}

fn check_request(request: &str) {
    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    assert!(request.len() == 32 && request.bytes().all(is_digit), "{request:?}");
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}
