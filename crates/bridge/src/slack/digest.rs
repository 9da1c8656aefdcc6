//! What a flood looks like: one message. Nothing of it is approved by one tap: a yes is in a dialog, for one request that is
//! shown whole there. What is shown can be denied, also all of it.

use clawrden_api::{QueueEntry, display};
use serde_json::{Value, json};

use super::blocks::{Rich, actions, button, page, plain, rich, styled};
use super::limits::{head, short, units};
use super::message::ALL_OF_IT;
use crate::card::{self, Digest};

/// Requests that have buttons.
pub(super) const SHOWN: usize = 8;

/// What denies all that are shown.
pub(super) const DENY_ALL: &str = "deny-all";

/// Units of a command. One that is longer cannot be approved here: nobody has seen all of it.
const COMMAND: usize = 800;

/// Units of a folder or a warning.
const MAX_VALUE: usize = 120;

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
    let shown = digest.some.len().min(SHOWN);
    for (at, entry) in digest.some[..shown].iter().enumerate() {
        let command = card::command(entry);
        let is_whole = units(&command) <= COMMAND && is_told_whole(entry);
        blocks.push(rich(&format!("request-{at}"), &told(entry, &command, is_whole)));
        let more = is_whole.then(|| button("more", "More…", &entry.id));
        let deny = styled(button("deny", "Deny", &entry.id), "danger");
        blocks.push(actions(
            &format!("answer-{at}"),
            &more.into_iter().chain([deny]).collect::<Vec<_>>(),
        ));
    }
    if digest.waiting > shown {
        let more = digest.waiting - shown;
        let line = Rich::default().text(&format!("and {more} more; ")).code("/clawrden queue");
        blocks.push(rich("more", &[line.text(" lists them").section()]));
    }
    let mut buttons = Vec::new();
    buttons.extend((shown > 1).then(|| deny_all(&digest.some[..shown])));
    buttons.extend(page(digest.page.as_deref()));
    if !buttons.is_empty() {
        blocks.push(actions("all", &buttons));
    }
    json!({ "text": text, "blocks": blocks })
}

/// Whether nothing is left out of what stands above its command, nor of the command by the warden.
fn is_told_whole(entry: &QueueEntry) -> bool {
    let fits = |text: &String| units(&display::text(text)) <= MAX_VALUE;
    let mut warnings = entry.warnings.iter().chain(&entry.noticed);
    entry.exact.is_some()
        && entry.cwd.as_ref().is_none_or(fits)
        && warnings.clone().count() <= WARNINGS
        && warnings.all(fits)
}

fn deny_all(some: &[QueueEntry]) -> Value {
    let ids: Vec<&str> =
        some.iter().map(|entry| &entry.id[..]).filter(|id| card::is_request(id)).collect();
    let label = format!("Deny these {}", some.len());
    let mut deny = styled(button(DENY_ALL, &label, &ids.join(" ")), "danger");
    deny["confirm"] = json!({
        "title": plain("Deny all of these?"),
        "text": plain("What is not shown in this message waits on."),
        "confirm": plain("Deny"), "deny": plain("Cancel"), "style": "danger",
    });
    deny
}

fn told(entry: &QueueEntry, command: &str, is_whole: bool) -> Vec<Value> {
    let name = |text: &str, max: usize| short(&display::text(text), max);
    let mut line = Rich::default().bold(&name(&entry.short, 40)).text(" jail ");
    line = line.code(&name(&entry.jail, 60));
    if let Some(cwd) = &entry.cwd {
        line = line.text(" in ").code(&name(cwd, MAX_VALUE));
    }
    if let Some(user) = &entry.run_as {
        line = line.text(" as the host's user ").code(&name(user, 60));
    }
    let warnings: Vec<&String> = entry.warnings.iter().chain(&entry.noticed).collect();
    for warning in warnings.iter().take(WARNINGS) {
        line = line.text("\n⚠️ ").code(&name(warning, MAX_VALUE));
    }
    if warnings.len() > WARNINGS {
        line = line.text(&format!("\n⚠️ and {} more", warnings.len() - WARNINGS));
    }
    let mut parts = vec![line.section(), Rich::preformatted(head(command, COMMAND))];
    if !is_whole {
        let note =
            Rich::default().bold("⋯ not all of it is shown, so it cannot be approved here: ");
        parts.push(note.code(ALL_OF_IT).bold(" shows it ⋯").section());
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

    fn buttons(payload: &Value) -> Vec<String> {
        let blocks = payload["blocks"].as_array().unwrap().iter();
        let buttons = blocks.filter(|block| block["type"] == "actions");
        let buttons = buttons.flat_map(|block| block["elements"].as_array().unwrap());
        buttons.map(|button| button["action_id"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_first_requests_are_shown_and_nothing_is_approved_by_one_tap() {
        let payload = payload(&digest(vec![entry(&["ls", "-l"]); 12], 40));
        let blocks = payload["blocks"].as_array().unwrap();
        let text = payload.to_string();
        let mut expected = ["more", "deny"].repeat(SHOWN);
        expected.extend([DENY_ALL, "page"]);
        assert_eq!(buttons(&payload), expected);
        assert!(text.contains("40 requests wait; 2 of this message are answered"), "{text}");
        assert!(text.contains("and 32 more"), "{text}");
        assert_eq!(blocks.len(), 1 + 2 * SHOWN + 2);
        let all = &blocks.last().unwrap()["elements"][0];
        assert_eq!(all["value"].as_str().unwrap().split(' ').count(), SHOWN);
        assert_eq!(all["text"]["text"], "Deny these 8");
    }

    #[test]
    fn what_is_not_seen_whole_cannot_be_approved_from_a_digest() {
        let long_argument = "x".repeat(COMMAND);
        let many: Vec<&str> = std::iter::repeat_n("yy", 300).collect();
        let mut inexact = entry(&["ls"]);
        inexact.exact = None;
        let mut warned = entry(&["ls"]);
        warned.warnings = vec!["odd".to_owned(); 2];
        warned.noticed = vec!["LD_PRELOAD is set".to_owned()];
        let mut deep = entry(&["ls"]);
        deep.cwd = Some("/a".repeat(MAX_VALUE));
        for entry in [entry(&["echo", &long_argument]), entry(&many), inexact, warned, deep] {
            let payload = payload(&digest(vec![entry], 1));
            assert_eq!(buttons(&payload), ["deny", "page"]);
            assert!(payload.to_string().contains("cannot be approved here"), "{payload}");
        }
    }
}
