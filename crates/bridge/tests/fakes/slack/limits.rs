//! What Slack's documentation allows of messages and dialogs. What is not known here is refused.

use std::collections::HashSet;

use serde_json::Value;

type Checked = Result<(), String>;

/// Characters of all texts of a message's blocks: not documented; Slack was seen to refuse more.
const MAX_ALL: usize = 13_000;

/// What is sent to chat.postMessage, chat.update, chat.postEphemeral or to a response address.
pub fn check_message(body: &Value) -> Checked {
    let text = body["text"].as_str().unwrap_or_default();
    let blocks = body["blocks"].as_array().cloned().unwrap_or_default();
    if text.is_empty() {
        return Err("a message has no text for notifications".to_owned());
    }
    at_most("text", text, 40_000)?;
    known(
        body,
        "message",
        &[
            "channel",
            "ts",
            "thread_ts",
            "user",
            "text",
            "blocks",
            "unfurl_links",
            "unfurl_media",
            "mrkdwn",
            "response_type",
            "replace_original",
        ],
    )?;
    check_blocks(&blocks, 50, false)?;
    let all: usize = texts(&body["blocks"]).iter().map(|text| length(text)).sum();
    if all > MAX_ALL { Err(format!("msg_blocks_too_long: {all}")) } else { Ok(()) }
}

/// What is sent to views.open.
pub fn check_view(view: &Value) -> Checked {
    known(
        view,
        "view",
        &["type", "callback_id", "title", "submit", "close", "blocks", "private_metadata"],
    )?;
    if view["type"] != "modal" {
        return Err("a view is no modal".to_owned());
    }
    plain(&view["title"], 24)?;
    plain(&view["submit"], 24)?;
    plain(&view["close"], 24)?;
    at_most("private_metadata", view["private_metadata"].as_str().unwrap_or_default(), 3_000)?;
    at_most("callback_id", view["callback_id"].as_str().unwrap_or_default(), 255)?;
    check_blocks(&view["blocks"].as_array().cloned().unwrap_or_default(), 100, true)
}

fn check_blocks(blocks: &[Value], max: usize, is_view: bool) -> Checked {
    if blocks.len() > max || blocks.is_empty() {
        return Err(format!("{} blocks", blocks.len()));
    }
    let mut ids = HashSet::new();
    for block in blocks {
        let id = block["block_id"].as_str().unwrap_or_default();
        at_most("block_id", id, 255)?;
        if !id.is_empty() && !ids.insert(id.to_owned()) {
            return Err(format!("two blocks have the id {id}"));
        }
        check_block(block, is_view).map_err(|problem| format!("block {id:?}: {problem}"))?;
    }
    Ok(())
}

fn check_block(block: &Value, is_view: bool) -> Checked {
    match block["type"].as_str().unwrap_or_default() {
        "rich_text" => {
            known(block, "rich_text", &["type", "block_id", "elements"])?;
            some(&block["elements"], usize::MAX, rich)
        }
        "header" => {
            known(block, "header", &["type", "block_id", "text"])?;
            plain(&block["text"], 150)
        }
        "section" => {
            known(block, "section", &["type", "block_id", "text", "fields"])?;
            text_object(&block["text"], 3_000)
        }
        "divider" => known(block, "divider", &["type", "block_id"]),
        "context" => {
            known(block, "context", &["type", "block_id", "elements"])?;
            some(&block["elements"], 10, |element| text_object(element, 3_000))
        }
        "actions" => {
            known(block, "actions", &["type", "block_id", "elements"])?;
            let mut ids = HashSet::new();
            some(&block["elements"], 25, |element| {
                let id = element["action_id"].as_str().unwrap_or_default();
                if !ids.insert(id.to_owned()) {
                    return Err(format!("two actions have the id {id:?}"));
                }
                button(element)
            })
        }
        "input" if is_view => {
            known(block, "input", &["type", "block_id", "label", "hint", "optional", "element"])?;
            plain(&block["label"], 2_000)?;
            if !block["hint"].is_null() {
                plain(&block["hint"], 2_000)?;
            }
            input(&block["element"])
        }
        other => Err(format!("blocks of type {other:?} are not known")),
    }
}

fn button(button: &Value) -> Checked {
    known(button, "button", &["type", "action_id", "text", "value", "url", "style", "confirm"])?;
    if button["type"] != "button" {
        return Err("an action is no button".to_owned());
    }
    at_most("action_id", button["action_id"].as_str().ok_or("no action_id")?, 255)?;
    plain(&button["text"], 75)?;
    at_most("value", button["value"].as_str().unwrap_or_default(), 2_000)?;
    at_most("url", button["url"].as_str().unwrap_or_default(), 3_000)?;
    let confirm = &button["confirm"];
    if !confirm.is_null() {
        known(confirm, "confirm", &["title", "text", "confirm", "deny", "style"])?;
        for (field, most) in [("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)] {
            plain(&confirm[field], most)?;
        }
    }
    match button["style"].as_str() {
        None | Some("primary" | "danger") => Ok(()),
        Some(other) => Err(format!("there is no style {other}")),
    }
}

fn input(element: &Value) -> Checked {
    at_most("action_id", element["action_id"].as_str().ok_or("no action_id")?, 255)?;
    match element["type"].as_str().unwrap_or_default() {
        "plain_text_input" => {
            known(element, "plain_text_input", &["type", "action_id", "multiline", "max_length"])?;
            let max = element["max_length"].as_u64().unwrap_or(3_000);
            if (1..=3_000).contains(&max) { Ok(()) } else { Err(format!("max_length {max}")) }
        }
        "radio_buttons" => {
            known(element, "radio_buttons", &["type", "action_id", "options"])?;
            some(&element["options"], 10, |option| {
                known(option, "option", &["text", "value"])?;
                at_most("value", option["value"].as_str().ok_or("an option has no value")?, 75)?;
                plain(&option["text"], 75)
            })
        }
        other => Err(format!("inputs of type {other:?} are not known")),
    }
}

fn rich(part: &Value) -> Checked {
    let kind = part["type"].as_str().unwrap_or_default();
    if !matches!(kind, "rich_text_section" | "rich_text_preformatted" | "rich_text_quote") {
        return Err(format!("rich text has no {kind:?}"));
    }
    known(part, kind, &["type", "elements", "border"])?;
    let mut all = 0;
    some(&part["elements"], usize::MAX, |element| {
        known(element, "text", &["type", "text", "style"])?;
        if element["type"] != "text" {
            return Err(format!("rich text has {}", element["type"]));
        }
        if kind == "rich_text_preformatted" && !element["style"].is_null() {
            return Err("preformatted text has no styles".to_owned());
        }
        if let Some(styles) = element["style"].as_object() {
            let is_known =
                |name: &String| ["bold", "italic", "strike", "code"].contains(&&name[..]);
            if styles.is_empty() || !styles.keys().all(is_known) {
                return Err(format!("the style {styles:?} is not known"));
            }
        }
        let text = element["text"].as_str().ok_or("there is no text")?;
        all += length(text);
        if text.is_empty() { Err("a text is empty".to_owned()) } else { Ok(()) }
    })?;
    if all > 3_000 { Err(format!("{all} characters in one part of rich text")) } else { Ok(()) }
}

fn text_object(object: &Value, max: usize) -> Checked {
    match object["type"].as_str() {
        Some("mrkdwn") => {
            known(object, "mrkdwn", &["type", "text", "verbatim"])?;
            filled(object, max)
        }
        _ => plain(object, max),
    }
}

fn plain(object: &Value, max: usize) -> Checked {
    known(object, "plain_text", &["type", "text", "emoji"])?;
    if object["type"] != "plain_text" {
        return Err(format!("{object} is no plain text"));
    }
    filled(object, max)
}

fn filled(object: &Value, max: usize) -> Checked {
    let text = object["text"].as_str().unwrap_or_default();
    if text.is_empty() {
        return Err("a text is empty".to_owned());
    }
    at_most("text", text, max)
}

fn some(elements: &Value, max: usize, mut check: impl FnMut(&Value) -> Checked) -> Checked {
    let elements = elements.as_array().filter(|elements| !elements.is_empty());
    let elements = elements.ok_or("there are no elements")?;
    if elements.len() > max {
        return Err(format!("{} elements", elements.len()));
    }
    elements.iter().try_for_each(&mut check)
}

fn known(object: &Value, what: &str, fields: &[&str]) -> Checked {
    let object = object.as_object().ok_or_else(|| format!("{what} is no object"))?;
    match object.keys().find(|key| !fields.contains(&&key[..])) {
        Some(key) => Err(format!("{what} has no field {key}")),
        None => Ok(()),
    }
}

fn at_most(what: &str, text: &str, max: usize) -> Checked {
    let length = length(text);
    if length > max {
        Err(format!("{what} has {length} characters, {max} are allowed"))
    } else {
        Ok(())
    }
}

/// As JavaScript counts, which is never less than characters.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Every string under a key `text`.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Object(fields) => {
            let own = fields.get("text").and_then(Value::as_str);
            own.into_iter().chain(fields.values().flat_map(texts)).collect()
        }
        _ => Vec::new(),
    }
}
