//! What Slack would make of a message besides text.

use serde_json::Value;

/// Everything in a message that Slack would act on, as it stands there: `<…>` where text is parsed, markup characters
/// there, and elements of rich text that are no text.
pub fn tokens(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let text = body["text"].as_str().unwrap_or_default();
    parsed(text, body["mrkdwn"] != false, &mut found);
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
                    "mrkdwn" => parsed(text, true, found),
                    "plain_text" => parsed(text, false, found),
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
