//! Texts with entities instead of markup. Telegram finds mentions, commands and links in any text by itself, but not in
//! code: so everything that is not ours stands in code.

use std::fmt::Write as _;

use clawrden_api::display::is_plain;

use super::wire::{Entity, Mentioned};
pub(super) use crate::utf16::{split, units};

/// UTF-16 units of a message's text.
pub(super) const MAX_TEXT: usize = 4096;

/// Entities of a message. Telegram leaves out those beyond.
pub(super) const MAX_ENTITIES: usize = 100;

/// UTF-16 units of the text that a tap is answered with.
pub(super) const MAX_TOLD: usize = 200;

/// A text under construction. Offsets are in UTF-16 units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) units: usize,
    pub(super) entities: Vec<Entity>,
}

impl Text {
    /// Our own words. Nothing in them may look like a mention, a command or a link.
    pub(super) fn say(&mut self, ours: &'static str) -> &mut Self {
        self.push(ours);
        self
    }

    /// Our own words, in bold.
    pub(super) fn bold(&mut self, ours: &'static str) -> &mut Self {
        self.entity("bold", ours)
    }

    /// A number.
    pub(super) fn number(&mut self, number: usize) -> &mut Self {
        self.push(&number.to_string());
        self
    }

    /// Anybody's text within a line, harmless.
    pub(super) fn code(&mut self, theirs: &str) -> &mut Self {
        self.entity("code", &visible(theirs, false))
    }

    /// Anybody's text as a block of lines, harmless.
    pub(super) fn pre(&mut self, theirs: &str) -> &mut Self {
        self.entity("pre", &visible(theirs, true))
    }

    /// The warden's own address, to be opened.
    pub(super) fn link(&mut self, url: &str) -> &mut Self {
        let is_web = url.starts_with("http://") || url.starts_with("https://");
        let shown = visible(url, false);
        if !is_web || shown != url {
            return self.code(url);
        }
        self.entity("text_link", &shown);
        if let Some(last) = self.entities.last_mut() {
            last.url = Some(shown);
        }
        self
    }

    /// A user, whom it notifies.
    pub(super) fn mention(&mut self, user: i64, shown: &str) -> &mut Self {
        let shown = visible(shown, false);
        self.entity("text_mention", &shown);
        if let Some(last) = self.entities.last_mut() {
            last.user = Some(Mentioned { id: user, is_bot: false, first_name: shown });
        }
        self
    }

    /// The other text behind this one.
    pub(super) fn append(&mut self, other: Self) -> &mut Self {
        let by = self.units;
        self.push(&other.text);
        self.entities.extend(
            other
                .entities
                .into_iter()
                .map(|entity| Entity { offset: entity.offset + by, ..entity }),
        );
        self
    }

    /// Whether the other text can follow.
    pub(super) fn has_room_for(&self, other: &Self, units: usize) -> bool {
        self.units + other.units <= units
            && self.entities.len() + other.entities.len() <= MAX_ENTITIES
    }

    fn entity(&mut self, kind: &'static str, text: &str) -> &mut Self {
        // An entity of no length is refused, and one of spaces alone is dropped.
        let text = if text.trim().is_empty() { "(empty)" } else { text };
        let offset = self.units;
        self.push(text);
        let length = self.units - offset;
        self.entities.push(Entity { kind, offset, length, url: None, user: None });
        self
    }

    fn push(&mut self, text: &str) {
        self.units += units(text);
        self.text.push_str(text);
    }
}

/// A text in which nothing is hidden and nothing acts. Backslashes stay: what comes here may be quoted already.
pub(super) fn visible(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if lines => out.push('\n'),
            '\t' if lines => out.push_str("    "),
            c if is_plain(c) => out.push(c),
            c => {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    out
}

/// A text of at most `most` units, for one line: of a longer one the beginning, and how much is left out.
pub(super) fn short(text: &str, most: usize) -> String {
    folded(visible(text, false), most)
}

/// A text of at most `most` units, as lines: of a longer one the beginning, and how much is left out.
pub(super) fn beginning(text: &str, most: usize) -> String {
    folded(visible(text, true), most)
}

fn folded(shown: String, most: usize) -> String {
    if units(&shown) <= most {
        return shown;
    }
    let (head, rest) = split(&shown, most.saturating_sub(FOLD));
    format!("{head}…(+{} characters)", rest.chars().count())
}

/// A text of at most `most` units, as lines: of a longer one the end, and how much is left out.
pub(super) fn tail(text: &str, most: usize) -> String {
    let shown = visible(text, true);
    let all = units(&shown);
    if all <= most {
        return shown;
    }
    let (head, rest) = split(&shown, all - most.saturating_sub(FOLD));
    format!("(+{} characters)…{rest}", head.chars().count())
}

/// Units that the words about a fold take at most.
const FOLD: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_counted_in_units_of_utf_16() {
        let mut text = Text::default();
        text.say("⏳ ").code("😀é").say(" ").bold("x");
        assert_eq!(text.text, "⏳ 😀é x");
        assert_eq!(text.units, text.text.encode_utf16().count());
        let places: Vec<_> = text.entities.iter().map(|e| (e.kind, e.offset, e.length)).collect();
        assert_eq!(places, [("code", 2, 3), ("bold", 6, 1)]);
    }

    #[test]
    fn a_text_behind_another_keeps_its_entities() {
        let (mut first, mut second) = (Text::default(), Text::default());
        first.say("😀");
        second.code("a");
        first.append(second);
        assert_eq!(first.entities[0].offset, 2);
        assert_eq!(first.units, 3);
    }

    #[test]
    fn what_is_hidden_is_made_visible_and_nothing_is_empty() {
        let mut text = Text::default();
        text.code("a\u{202e}b\nc\t").pre("x\r\n\ty").code("").code("  ");
        assert_eq!(text.text, r"a\u{202e}b\u{a}c\u{9}x\u{d}".to_owned() + "\n    y(empty)(empty)");
        assert!(text.entities.iter().all(|e| e.length > 0));
    }

    #[test]
    fn folds_say_how_much_is_left_out_and_tear_no_character() {
        let long = "😀".repeat(100);
        for most in 41..60 {
            let (head, end) = (short(&long, most), tail(&long, most));
            assert!(units(&head) <= most && units(&end) <= most, "{head} {end}");
            let left_out = |text: &str| 100 - text.chars().filter(|&c| c == '😀').count();
            assert!(head.ends_with(&format!("…(+{} characters)", left_out(&head))), "{head}");
            assert!(end.starts_with(&format!("(+{} characters)…", left_out(&end))), "{end}");
        }
        assert_eq!(short("abc", 3), "abc");
        assert_eq!(tail("a\nb", 3), "a\nb");
    }

    #[test]
    fn only_an_address_of_the_web_is_a_link() {
        let mut text = Text::default();
        text.link("https://warden.example/q").link("tg://user?id=1").link("https://a\u{202e}b");
        let kinds: Vec<_> = text.entities.iter().map(|e| e.kind).collect();
        assert_eq!(kinds, ["text_link", "code", "code"]);
        assert_eq!(text.entities[0].url.as_deref(), Some("https://warden.example/q"));
    }
}
