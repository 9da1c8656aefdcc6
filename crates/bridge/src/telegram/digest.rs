//! Many requests in one message. Each that is shown can be denied here; a yes is where all of it is seen.

use clawrden_api::QueueEntry;
use clawrden_api::display::command;

use super::message::Rendered;
use super::text::{MAX_TEXT, Text, short};
use super::update::{DENY_ALL, MAX_DENIED};
use super::wire::Button;
use crate::card::{Digest, is_request};

/// UTF-16 units of one request's line.
const MAX_LINE: usize = 200;

/// UTF-16 units that are kept for what stands below the list.
const END: usize = 500;

/// UTF-16 units of a button's name.
const MAX_BUTTON: usize = 60;

/// Buttons of a row.
const ROW: usize = 2;

/// What a digest looks like.
pub(super) fn render(digest: &Digest) -> Rendered {
    let (text, shown) = text(digest);
    let shown = digest.some[..shown].iter().filter(|entry| is_request(&entry.id));
    let denied = shown.take(MAX_DENIED);
    let denied = denied.map(|entry| Button {
        text: short(&format!("Deny {}", entry.short), MAX_BUTTON).into(),
        callback_data: format!("d:{}", entry.id),
    });
    let all: Vec<Button> = denied.collect();
    let mut buttons: Vec<Vec<Button>> = all.chunks(ROW).map(<[Button]>::to_vec).collect();
    if all.len() > 1 {
        let text = format!("Deny these {}", all.len()).into();
        buttons.push(vec![Button { text, callback_data: DENY_ALL.to_owned() }]);
    }
    Rendered { text, buttons }
}

/// The text, and how many requests it shows.
fn text(digest: &Digest) -> (Text, usize) {
    let mut text = Text::default();
    if digest.waiting == 0 {
        text.say("✅ ").bold("Nothing waits any more.").say(" Answered: ").number(digest.answered);
        return (text, 0);
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
    text.say("They are approved on the web page or by the command line: ").code("clawrden queue");
    if let Some(page) = digest.page.as_deref().filter(|page| page.len() <= END / 2) {
        text.say("\n").link(page);
    }
    (text, shown)
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
    use crate::entry::{ID, entry};

    fn many(count: usize) -> Digest {
        let jail = "@all".to_owned();
        let entry = QueueEntry { jail, ..entry(&["echo", &"/kill @all ".repeat(100)]) };
        Digest {
            some: vec![entry; count],
            waiting: count + 5,
            answered: 2,
            page: Some("https://w.example".to_owned()),
        }
    }

    #[test]
    fn a_digest_fits_into_one_message_and_counts_what_it_leaves_out() {
        let Rendered { text, buttons } = render(&many(1000));
        assert!(text.units <= MAX_TEXT, "{}", text.units);
        let shown = text.text.lines().filter(|line| line.starts_with("0190 in @all: ")).count();
        assert!(shown > 5);
        assert!(text.text.contains(&format!("Not shown: {}", 1005 - shown)), "{}", text.text);
        assert!(text.text.ends_with("https://w.example"));
        let data: Vec<&str> = buttons.iter().flatten().map(|b| &b.callback_data[..]).collect();
        let mut expected = vec![format!("d:{ID}"); MAX_DENIED];
        expected.push(DENY_ALL.to_owned());
        assert_eq!(data, expected, "nothing can be approved here");
        assert_eq!(buttons.last().unwrap()[0].text, "Deny these 10");
        assert_eq!(buttons[0][0].text, "Deny 0190");
    }

    #[test]
    fn a_digest_that_is_done_says_so() {
        let digest = Digest { some: Vec::new(), waiting: 0, answered: 7, page: None };
        assert_eq!(render(&digest).text.text, "✅ Nothing waits any more. Answered: 7");
    }
}
