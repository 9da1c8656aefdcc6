//! What messages look like to each kind of receiver. Whatever a prisoner chose stands in code, where nothing is markup,
//! with the one character that ends code written as an escape.

use clawrden_api::display;
use serde_json::{Value, json};

use super::settings::Template;
use crate::card::{Card, Digest, MOST_TOUCHES};
use crate::clock::now_ms;
use crate::words;

/// The type of JSON.
pub(super) const JSON: &str = "application/json; charset=utf-8";

/// What a test says.
pub(super) const TEST: &str = "clawrden: this is a test; nothing waits";

/// Characters that Discord takes.
const DISCORD: usize = 2_000;

/// Characters that Mattermost takes.
const MATTERMOST: usize = 16_000;

/// Bytes that ntfy takes.
const NTFY: usize = 4_000;

/// Characters of a title, and of the longest address of a page that is linked to.
const TITLE: usize = 500;
const PAGE: usize = 400;

/// Characters of markup around title and text.
const MARKS: usize = 32;

/// Something to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// An event of our own.
pub(super) fn event(name: &str, message: &str, card: &Card) -> Value {
    json!({
        "version": 1,
        "event": name,
        "message": message,
        "text": words::headline(card),
        "command": display::command(&card.entry.argv),
        "card": card,
    })
}

pub(super) fn discord(card: &Card) -> Content {
    chat(Template::Discord, card)
}

/// A message about one request.
pub(super) fn chat(template: Template, card: &Card) -> Content {
    let entry = &card.entry;
    let title = words::headline(card);
    let command = display::command(&entry.argv);
    let mut facts = vec![format!("jail {}", entry.jail)];
    facts.extend(entry.cwd.as_ref().map(|cwd| format!("in {cwd}")));
    facts.extend(entry.rule.as_ref().map(|rule| format!("by {rule}")));
    let mut lines = vec![facts.join(", "), entry.reason.clone()];
    lines.extend(entry.warnings.iter().map(|warning| format!("careful: {warning}")));
    lines.extend(entry.noticed.iter().map(|noticed| format!("noticed: {noticed}")));
    lines.extend(words::touched(entry, MOST_TOUCHES));
    lines.extend(card.progress.clone());
    if card.stage.is_open() {
        lines.push(format!("clawrden approve {}", entry.short));
    }
    lines.retain(|line| !line.is_empty());
    let lines: Vec<String> = lines.iter().map(|line| display::text(line)).collect();
    // The command comes first: it is what is cut last.
    written(template, &title, &format!("{command}\n{}", lines.join("\n")), card.page.as_deref())
}

/// The end of what a command wrote.
pub(super) fn output(template: Template, text: &str) -> Content {
    written(template, "Output", text, None)
}

/// A sentence of ours.
pub(super) fn text(template: Template, text: &str) -> Content {
    written(template, "Clawrden", text, None)
}

/// Many requests.
pub(super) fn many(template: Template, digest: &Digest) -> Content {
    let title = format!("{} commands wait, {} are answered", digest.waiting, digest.answered);
    let now = now_ms();
    let mut lines: Vec<String> = digest.some.iter().map(|entry| words::line(entry, now)).collect();
    let more = digest.waiting.saturating_sub(digest.some.len());
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    written(template, &title, &lines.join("\n"), digest.page.as_deref())
}

/// `title` is ours, `text` is not.
fn written(template: Template, title: &str, text: &str, page: Option<&str>) -> Content {
    let json = |value: &Value| {
        let body = value.to_string().into_bytes();
        Content { content_type: JSON, headers: vec![], body }
    };
    // A longer one would take the room of what is asked.
    let page = page.filter(|page| count(page) <= PAGE);
    let link = page.map(|page| format!("\n{page}")).unwrap_or_default();
    let fits = |most: usize| {
        let title = bare(title);
        let room = most - count(&title) - count(&link) - MARKS;
        format!("**{title}**\n{}{link}", in_code(&fitted(&escaped(text), room, count)))
    };
    match template {
        Template::Ntfy => {
            let title: String = title.chars().take(TITLE).collect();
            let mut headers = vec![("x-title", title)];
            headers.extend(page.map(|page| ("x-click", page.to_owned())));
            // No header has other characters.
            headers.iter_mut().for_each(|(_, value)| value.retain(|c| (' '..='~').contains(&c)));
            let body = fitted(text, NTFY, str::len).into_bytes();
            Content { content_type: "text/plain; charset=utf-8", headers, body }
        }
        Template::Mattermost => json(&json!({ "text": fits(MATTERMOST) })),
        Template::Discord | Template::Json => json(&json!({
            "content": fits(DISCORD),
            // Nobody is called by what stands in a command.
            "allowed_mentions": { "parse": [] },
            // Links are not looked at.
            "flags": 4,
        })),
    }
}

fn in_code(text: &str) -> String {
    format!("```\n{text}\n```")
}

/// Without what could end code.
fn escaped(text: &str) -> String {
    text.replace('`', "\\x60")
}

/// A title has names of people in it; none of their characters is markup, or calls anybody.
fn bare(title: &str) -> String {
    let harmless = |c: char| c.is_alphanumeric() || " .,:;()/+-=%".contains(c);
    title.chars().take(TITLE).map(|c| if harmless(c) { c } else { '·' }).collect()
}

/// In the way that counts most of them: a service may count in another.
fn count(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The beginning, where all of it is too much, with a mark that says so.
fn fitted(text: &str, room: usize, size: fn(&str) -> usize) -> String {
    if size(text) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut left = room.saturating_sub("\n… (cut)".len());
    for c in text.chars() {
        let of = size(c.encode_utf8(&mut [0; 4]));
        if of > left {
            break;
        }
        left -= of;
        out.push(c);
    }
    out.push_str("\n… (cut)");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::{By, Stage};
    use crate::entry::touching;

    fn card(argv: &[&str]) -> Card {
        let mut card = crate::testing::kept("abcdef").card;
        card.entry.argv = argv.iter().map(|&word| word.to_owned()).collect();
        card
    }

    fn content(content: &Content) -> String {
        let value: Value = serde_json::from_slice(&content.body).unwrap();
        value.get("content").or(value.get("text")).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn nothing_that_a_prisoner_chose_is_markup() {
        let evil = "```\n@everyone <@123> [x](https://evil.example) **b** \u{202e}";
        let mut it = card(&["echo", evil]);
        it.entry.reason = evil.to_owned();
        touching(&mut it.entry, &[(evil, "file")]);
        it.stage = Stage::Approved(By { who: "@here **x** `".into(), ..By::default() });
        let some = vec![it.entry.clone(); 3];
        let digest = Digest { some, waiting: 9, answered: 1, page: None };
        for template in [Template::Discord, Template::Mattermost] {
            // What a command wrote is without what cannot be seen before it comes here.
            let wrote = evil.replace('\u{202e}', "");
            for said in [chat(template, &it), many(template, &digest), output(template, &wrote)] {
                let text = content(&said);
                assert_eq!(text.matches("```").count(), 2, "{text}");
                let (title, rest) = text.split_once("\n```\n").unwrap();
                assert!(!title.contains('@') && !title.contains('`'), "{title}");
                assert_eq!(title.matches("**").count(), 2, "{title}");
                assert!(rest.ends_with("\n```") && !rest.contains('\u{202e}'), "{rest}");
            }
        }
        let text = String::from_utf8(chat(Template::Discord, &it).body).unwrap();
        assert!(text.contains(r#""allowed_mentions":{"parse":[]}"#), "{text}");
    }

    #[test]
    fn no_message_is_longer_than_its_receiver_takes() {
        let words: Vec<String> = (0..64).map(|n| format!("{n}{}", "ä`".repeat(150))).collect();
        let mut it = card(&words.iter().map(String::as_str).collect::<Vec<_>>());
        touching(&mut it.entry, &vec![(&*words[0], "file"); 16]);
        assert!(count(&content(&chat(Template::Discord, &it))) <= DISCORD);
        assert!(count(&content(&chat(Template::Mattermost, &it))) <= 16_383);
        let ntfy = chat(Template::Ntfy, &it);
        assert!(ntfy.body.len() <= NTFY && std::str::from_utf8(&ntfy.body).is_ok());
        assert!(String::from_utf8(ntfy.body).unwrap().ends_with("… (cut)"));
    }

    #[test]
    fn the_paths_that_it_names_stand_on_lines_of_their_own_and_further_ones_are_counted() {
        let mut it = card(&["rm", "-r", "build"]);
        let paths = ["/w/a`", "/w/b\nmay touch (file): /c", "/w/c", "/w/d", "/w/e", "/w/f", "/w/g"];
        touching(&mut it.entry, &paths.map(|path| (path, "missing")));
        let text = String::from_utf8(chat(Template::Ntfy, &it).body).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("may touch")).collect();
        assert_eq!(lines.len(), 7, "{text}");
        assert_eq!(lines[0], "may touch (not there yet): /w/a`");
        assert_eq!(lines[1], r"may touch (not there yet): /w/b\nmay touch (file): /c");
        assert_eq!(lines[6], "and may touch 1 more");
        for template in [Template::Discord, Template::Mattermost] {
            let said = content(&chat(template, &it));
            assert!(said.contains(r"may touch (not there yet): /w/a\x60"), "{said}");
        }
    }

    #[test]
    fn a_title_of_ntfy_is_no_second_header() {
        let mut it = card(&["true"]);
        it.stage = Stage::Denied(By { who: "a\r\nx-evil: 1".into(), ..By::default() });
        let headers = chat(Template::Ntfy, &it).headers;
        assert!(headers[0].1.chars().all(|c| (' '..='~').contains(&c)), "{headers:?}");
    }
}
