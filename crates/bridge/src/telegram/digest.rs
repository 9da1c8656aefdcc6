//! Many requests in one message.

use clawrden_api::QueueEntry;
use clawrden_api::display::command;

use super::text::{MAX_TEXT, Text, short};
use crate::card::Digest;

/// UTF-16 units of one request's line.
const MAX_LINE: usize = 200;

/// UTF-16 units that are kept for what stands below the list.
const END: usize = 500;

/// What a digest looks like.
pub(super) fn render(digest: &Digest) -> Text {
    let mut text = Text::default();
    if digest.waiting == 0 {
        text.say("✅ ").bold("Nothing waits any more.").say(" Answered: ").number(digest.answered);
        return text;
    }
    text.say("⏳ ").bold("Many commands wait:").say(" ").number(digest.waiting);
    if digest.answered > 0 {
        text.say(", and answered are ").number(digest.answered);
    }
    text.say("\n");
    let mut shown = 0;
    for entry in &digest.some {
        let line = line(entry);
        if !text.has_room_for(&line, MAX_TEXT - END) {
            break;
        }
        text.append(line);
        shown += 1;
    }
    let left_out = digest.waiting.saturating_sub(shown);
    if left_out > 0 {
        text.say("Not shown: ").number(left_out).say("\n");
    }
    text.say("They are answered on the web page or by the command line: ").code("clawrden queue");
    if let Some(page) = digest.page.as_deref().filter(|page| page.len() <= END / 2) {
        text.say("\n").link(page);
    }
    text
}

fn line(entry: &QueueEntry) -> Text {
    let mut line = Text::default();
    line.code(&short(&entry.short, MAX_LINE)).say(" in ").code(&short(&entry.jail, MAX_LINE));
    line.say(": ").code(&short(&command(&entry.argv), MAX_LINE)).say("\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(count: usize) -> Digest {
        let entry = QueueEntry {
            short: "abcd".to_owned(),
            jail: "@all".to_owned(),
            argv: vec!["echo".to_owned(), "/kill @all ".repeat(100)],
            ..QueueEntry::default()
        };
        Digest {
            some: vec![entry; count],
            waiting: count + 5,
            answered: 2,
            page: Some("https://w.example".to_owned()),
        }
    }

    #[test]
    fn a_digest_fits_into_one_message_and_counts_what_it_leaves_out() {
        let text = render(&many(1000));
        assert!(text.units <= MAX_TEXT, "{}", text.units);
        let shown = text.text.lines().filter(|line| line.starts_with("abcd in @all: ")).count();
        assert!(shown > 5);
        assert!(text.text.contains(&format!("Not shown: {}", 1005 - shown)), "{}", text.text);
        assert!(text.text.ends_with("https://w.example"));
    }

    #[test]
    fn a_digest_that_is_done_says_so() {
        let digest = Digest { some: Vec::new(), waiting: 0, answered: 7, page: None };
        assert_eq!(render(&digest).text, "✅ Nothing waits any more. Answered: 7");
    }
}
