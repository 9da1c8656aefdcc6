//! What a flood looks like: one message, of which the first requests can be answered.

use clawrden_api::{QueueEntry, display};
use serde_json::{Value, json};

use super::blocks::{Rich, actions, button, context, page, rich, styled};
use super::limits::{head, short, units};
use super::message::answers;
use crate::card::Digest;

/// Requests that have buttons.
const SHOWN: usize = 8;

/// Units of a command. One that is longer cannot be approved here: nobody has seen all of it.
const COMMAND: usize = 800;

/// Warnings of one request that are shown.
const WARNINGS: usize = 2;

/// Text for notifications, and blocks.
pub(super) fn payload(digest: &Digest) -> Value {
    let waiting = match digest.waiting {
        0 => "✅ Nothing waits any more".to_owned(),
        1 => "🟡 1 request waits".to_owned(),
        many => format!("🟡 {many} requests wait"),
    };
    let text = match digest.answered {
        0 => waiting,
        answered => format!("{waiting}; {answered} of this message are answered"),
    };
    let title = Rich::default().bold(&text);
    let mut blocks = vec![rich("title", &[title.section()])];
    for (at, entry) in digest.some.iter().take(SHOWN).enumerate() {
        let command = display::command(&entry.argv);
        let is_whole = units(&command) <= COMMAND && !is_folded(entry);
        blocks.push(rich(&format!("request-{at}"), &told(entry, &command, is_whole)));
        let buttons = if is_whole {
            answers(entry)
        } else {
            vec![styled(button("deny", "Deny", &entry.id), "danger")]
        };
        blocks.push(actions(&format!("answer-{at}"), &buttons));
    }
    let shown = digest.some.len().min(SHOWN);
    if digest.waiting > shown {
        let more = digest.waiting - shown;
        blocks.push(context("more", &format!("and {more} more; `/clawrden queue` lists them")));
    }
    if let Some(button) = page(digest.page.as_deref()) {
        blocks.push(actions("page", &[button]));
    }
    json!({ "text": text, "blocks": blocks })
}

/// Whether the short form of its command leaves something out.
fn is_folded(entry: &QueueEntry) -> bool {
    let is_long = |argument: &String| argument.chars().count() > display::MAX_ARGUMENT;
    entry.argv.len() > display::MAX_ARGUMENTS || entry.argv.iter().any(is_long)
}

fn told(entry: &QueueEntry, command: &str, is_whole: bool) -> Vec<Value> {
    let name = |text: &str, max: usize| short(&display::text(text), max);
    let mut line = Rich::default().bold(&name(&entry.short, 40)).text(" jail ");
    line = line.code(&name(&entry.jail, 60));
    if let Some(cwd) = &entry.cwd {
        line = line.text(" in ").code(&name(cwd, 120));
    }
    let warnings: Vec<&String> = entry.warnings.iter().chain(&entry.noticed).collect();
    for warning in warnings.iter().take(WARNINGS) {
        line = line.text("\n⚠️ ").code(&name(warning, 120));
    }
    if warnings.len() > WARNINGS {
        line = line.text(&format!("\n⚠️ and {} more", warnings.len() - WARNINGS));
    }
    let mut parts = vec![line.section(), Rich::preformatted(head(command, COMMAND))];
    if !is_whole {
        let note = "⋯ too long to be approved here: `clawrden queue --full` shows all of it ⋯";
        parts.push(Rich::default().bold(note).section());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slack::testing::entry;

    fn digest(some: Vec<QueueEntry>, waiting: usize) -> Digest {
        Digest { some, waiting, answered: 2, page: Some("https://w.example/".to_owned()) }
    }

    #[test]
    fn the_first_requests_can_be_answered_and_the_rest_is_counted() {
        let payload = payload(&digest(vec![entry(&["ls", "-l"]); 12], 40));
        let blocks = payload["blocks"].as_array().unwrap();
        let text = payload.to_string();
        assert_eq!(text.matches("\"approve\"").count(), SHOWN);
        assert!(text.contains("40 requests wait; 2 of this message are answered"), "{text}");
        assert!(text.contains("and 32 more"), "{text}");
        assert_eq!(blocks.len(), 1 + 2 * SHOWN + 2);
    }

    #[test]
    fn what_is_not_seen_whole_cannot_be_approved_from_a_digest() {
        let long_argument = "x".repeat(500);
        let many: Vec<&str> = std::iter::repeat_n("yy", 300).collect();
        for argv in [vec!["echo", &long_argument], many] {
            let text = payload(&digest(vec![entry(&argv)], 1)).to_string();
            assert!(!text.contains("\"approve\"") && !text.contains("\"more\""), "{text}");
            assert!(
                text.contains("\"deny\"") && text.contains("too long to be approved"),
                "{text}"
            );
        }
    }
}
