//! What Telegram delivers: an update that somebody in a chat wrote.

use clawrden_api::display::is_plain;
use clawrden_bridge::heard::{Heard, Wants};
use clawrden_bridge::telegram::{Bot, MAX_REASON, MAX_WORDS, Meaning, understand};

/// The moment of all these updates, in milliseconds since 1970.
const NOW: u64 = 1_793_714_592_000;

/// An update means the same each time, and what it means is a person's own, whole and bounded.
pub fn telegram(data: &[u8]) {
    let bot = Bot { id: 7, username: "clawrden_bot".to_owned() };
    let meaning = understand(data, &bot, NOW);
    assert_eq!(meaning, understand(data, &bot, NOW));
    match &meaning {
        Meaning::Nothing => {}
        Meaning::Denied(all) => {
            assert!(all.len() <= 10);
            let is_no =
                |heard: &Heard| matches!(&heard.wants, Wants::Answer { approve: false, .. });
            assert!(all.iter().all(is_no), "one tap approves one");
            all.iter().for_each(check);
        }
        Meaning::InPublic(heard) => {
            check(heard);
            assert!(matches!(&heard.wants, Wants::Command(words) if words[0] == "pair"));
        }
        Meaning::Heard(heard) => {
            check(heard);
            if let Wants::Command(words) = &heard.wants
                && words[0] == "resume"
            {
                let later = understand(data, &bot, u64::MAX);
                assert!(!matches!(later, Meaning::Heard(_)), "what opens is done for ever");
            }
        }
        Meaning::Ask { tap, .. } => {
            check(tap);
            assert!(matches!(&tap.wants, Wants::Answer { reason: None, .. }));
        }
        Meaning::TooLate { to } | Meaning::Anonymous { to } => {
            assert!(to.user.parse::<i64>().is_ok());
        }
    }
}

fn check(heard: &Heard) {
    assert!(heard.user.parse::<i64>().is_ok(), "{:?} is no number of a user", heard.user);
    assert_eq!(heard.user, heard.to.user);
    assert!(heard.shown.chars().all(is_plain), "{:?}", heard.shown);
    assert!(heard.shown.encode_utf16().count() <= 64);
    let (chat, topic) = heard.to.place.split_once('/').unwrap_or((&heard.to.place, "0"));
    assert!(chat.parse::<i64>().is_ok() && topic.parse::<i64>().is_ok(), "{:?}", heard.to.place);
    assert!(heard.key.starts_with("tap:") || heard.key.starts_with("message:"));
    assert!(heard.key.len() <= 80 && heard.key.bytes().all(|b| b.is_ascii_graphic()));
    match &heard.wants {
        Wants::Command(words) => {
            assert!((1..=MAX_WORDS).contains(&words.len()));
            assert!(words[0].bytes().all(|b| b.is_ascii_lowercase()), "{words:?}");
            assert!(words.iter().all(|word| !word.is_empty() && word.chars().count() <= 128));
        }
        Wants::Answer { request, reason, .. } => {
            let is_id = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            assert!(request.len() == 32 && request.bytes().all(is_id), "{request:?}");
            let reason = reason.as_deref().unwrap_or("-");
            assert!(!reason.is_empty() && reason.chars().count() <= MAX_REASON);
        }
    }
}
