//! What Slack would make of a message besides text.

use serde_json::Value;

/// Everything in a message that Slack would act on, as it stands there: `<…>`, names and emoji where text is parsed, markup
/// characters there, and elements of rich text that are no text. It finds more than the real one rather than less.
pub fn tokens(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let text = body["text"].as_str().unwrap_or_default();
    parsed(text, body["mrkdwn"] != false, &mut found);
    named(text, &mut found);
    emoji(text, &mut found);
    walk(&body["blocks"], &mut found);
    found
}

fn walk(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| walk(one, found)),
        Value::Object(fields) => {
            let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
            if let Some(text) = fields.get("text").and_then(Value::as_str) {
                match kind {
                    "mrkdwn" => {
                        parsed(text, true, found);
                        named(text, found);
                        emoji(text, found);
                    }
                    "plain_text" => {
                        parsed(text, false, found);
                        if fields.get("emoji") != Some(&Value::Bool(false)) {
                            emoji(text, found);
                        }
                    }
                    _ => {}
                }
            }
            let is_active = [
                "link",
                "user",
                "usergroup",
                "channel",
                "broadcast",
                "emoji",
                "team",
                "date",
                "color",
            ];
            if is_active.contains(&kind) {
                found.push(value.to_string());
            }
            fields.values().for_each(|field| walk(field, found));
        }
        _ => {}
    }
}

/// What stands outside of `<…>`, which are found by themselves.
fn outside(text: &str) -> String {
    let mut pieces = text.split('<');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |all, piece| {
        let rest = piece.split_once('>').map_or("", |(_, rest)| rest);
        format!("{all} {rest}")
    })
}

fn is_in_a_name(c: char) -> bool {
    c.is_alphanumeric() || "_-.+'".contains(c)
}

/// `@somebody`, `@here` and `#channel` are links by themselves where names are looked for.
fn named(text: &str, found: &mut Vec<String>) {
    let text = outside(text);
    for (at, mark) in text.match_indices(['@', '#']) {
        let name: String = text[at + 1..].chars().take_while(|c| is_in_a_name(*c)).collect();
        if !name.is_empty() {
            found.push(format!("{mark}{name} in {text}"));
        }
    }
}

/// `:name:` is a picture.
fn emoji(text: &str, found: &mut Vec<String>) {
    let text = outside(text);
    let pieces: Vec<&str> = text.split(':').collect();
    for name in pieces.iter().skip(1).take(pieces.len().saturating_sub(2)) {
        if !name.is_empty() && name.chars().all(is_in_a_name) {
            found.push(format!(":{name}: in {text}"));
        }
    }
}

/// Slack parses `<…>` in every text object, and in those of mrkdwn links and styles as well.
fn parsed(text: &str, is_mrkdwn: bool, found: &mut Vec<String>) {
    let mut rest = text;
    let mut outside = String::new();
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').map_or(rest.len(), |end| at + end + 1);
        found.push(rest[at..end].to_owned());
        outside.push_str(&rest[..at]);
        rest = &rest[end..];
    }
    outside.push_str(rest);
    let text = outside;
    if is_mrkdwn {
        // With a space of no width behind its first character nothing of it is parsed.
        let text = text.replace("*\u{200b}", "").replace("_\u{200b}", "").replace("~\u{200b}", "");
        let text = text.replace("`\u{200b}", "");
        for active in ["http://", "https://", "mailto:", "*", "_", "~", "`"] {
            if text.contains(active) {
                found.push(format!("{active} in {text}"));
            }
        }
    }
}
