//! The documented limits of messages, and what Telegram finds in texts by itself.

use serde_json::Value;

use super::methods::No;
use super::state::{Message, State};

/// UTF-16 units of a text.
const MAX_TEXT: usize = 4096;
const MAX_ENTITIES: usize = 100;
/// Bytes of what a button sends.
const MAX_DATA: usize = 64;
const MAX_BUTTONS: usize = 100;
const MAX_ROW: usize = 8;

fn bad(what: &str) -> No {
    No::new(400, &format!("Bad Request: {what}"))
}

/// Remembers parameters that no documentation knows: the real one leaves them alone, so that a mistake is not seen.
pub fn known(body: &Value, names: &[&str], state: &mut State) {
    for name in body.as_object().into_iter().flatten().map(|(name, _)| name) {
        if !names.contains(&&name[..]) {
            state.violations.push(format!("there is no parameter {name:?}"));
        }
    }
}

/// The message that is to be sent or to take another's place.
pub fn message(body: &Value, state: &mut State) -> Result<Message, No> {
    let text = body["text"].as_str().ok_or_else(|| bad("message text is empty"))?;
    let units: Vec<u16> = text.encode_utf16().collect();
    if text.trim().is_empty() {
        return Err(bad("message text is empty"));
    }
    if units.len() > MAX_TEXT {
        return Err(bad("message is too long"));
    }
    // Telegram removes or replaces these, and entities would lie elsewhere then.
    let is_odd = |c: char| c != '\n' && (c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c));
    if text.contains(is_odd) || text != text.trim() {
        state.violations.push(format!("the text is changed by telegram: {text:?}"));
    }
    let entities = body["entities"].as_array().cloned().unwrap_or_default();
    if entities.len() > MAX_ENTITIES {
        state.violations.push(format!("{} entities, of which some are left out", entities.len()));
    }
    check_entities(&entities, &units)?;
    if body["link_preview_options"]["is_disabled"] != true {
        state.violations.push("a preview of links would be shown".to_owned());
    }
    let mut message = Message {
        text: text.to_owned(),
        live: live(&units, &entities),
        entities,
        ..Message::default()
    };
    markup(&body["reply_markup"], &mut message)?;
    Ok(message)
}

fn check_entities(entities: &[Value], units: &[u16]) -> Result<(), No> {
    let place = |entity: &Value| {
        let offset = usize::try_from(entity["offset"].as_u64()?).ok()?;
        let length = usize::try_from(entity["length"].as_u64()?).ok()?;
        Some((offset, offset.checked_add(length)?))
    };
    let splits = |at: usize| at < units.len() && (0xDC00..0xE000).contains(&units[at]);
    let mut last = 0;
    for entity in entities {
        let (start, end) = place(entity).ok_or_else(|| bad("can't parse MessageEntity"))?;
        if start == end || end > units.len() || splits(start) || splits(end) {
            return Err(bad("ENTITY_BOUNDS_INVALID"));
        }
        // Ours never lie within each other, which code must not in any case.
        if start < last {
            return Err(bad("entities overlap"));
        }
        last = end;
        let is_good = match entity["type"].as_str().unwrap_or_default() {
            "bold" | "italic" | "code" | "pre" => true,
            "text_link" => entity["url"].as_str().is_some_and(|url| url.starts_with("http")),
            "text_mention" => entity["user"]["id"].is_i64(),
            _ => false,
        };
        if !is_good {
            return Err(bad("can't parse MessageEntity: unsupported type specified"));
        }
    }
    Ok(())
}

fn markup(markup: &Value, message: &mut Message) -> Result<(), No> {
    if markup.is_null() {
        return Ok(());
    }
    if markup["force_reply"] == true {
        let hint =
            markup["input_field_placeholder"].as_str().map_or(1, |text| text.chars().count());
        message.forces_reply = true;
        return if (1..=64).contains(&hint) { Ok(()) } else { Err(bad("placeholder is too long")) };
    }
    let rows = markup["inline_keyboard"].as_array();
    let rows = rows.ok_or_else(|| bad("object expected as reply markup"))?;
    for row in rows {
        let row = row.as_array().ok_or_else(|| bad("can't parse inline keyboard"))?;
        if row.is_empty() || row.len() > MAX_ROW {
            return Err(bad("REPLY_MARKUP_INVALID"));
        }
        for button in row {
            let text = button["text"].as_str().unwrap_or_default();
            let data = button["callback_data"].as_str().unwrap_or_default();
            if text.is_empty() || data.is_empty() || data.len() > MAX_DATA {
                return Err(bad("BUTTON_DATA_INVALID"));
            }
            message.buttons.push((text.to_owned(), data.to_owned()));
        }
    }
    if message.buttons.len() > MAX_BUTTONS { Err(bad("REPLY_MARKUP_TOO_LONG")) } else { Ok(()) }
}

/// What Telegram would find by itself in a text outside of code: mentions, commands, tags, links and addresses. It finds
/// more than the real one rather than less.
fn live(units: &[u16], entities: &[Value]) -> Vec<String> {
    let mut free = units.to_vec();
    for entity in entities {
        if matches!(entity["type"].as_str(), Some("code" | "pre" | "text_link" | "text_mention")) {
            let at = |name: &str| usize::try_from(entity[name].as_u64().unwrap()).unwrap();
            free[at("offset")..at("offset") + at("length")].fill(u16::from(b' '));
        }
    }
    let free = String::from_utf16_lossy(&free);
    let is_live = |word: &&str| {
        let has_after = |mark: char, least: usize| {
            word.match_indices(mark).any(|(at, _)| {
                let name = word[at + 1..].chars().take_while(|c| c.is_alphanumeric() || *c == '_');
                name.count() >= least
            })
        };
        has_after('@', 1)
            || has_after('/', 1)
            || has_after('#', 1)
            || word.contains("//")
            || word.char_indices().any(|(at, c)| {
                // A name of a host has a dot within it.
                let is_name = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                c == '.'
                    && is_name(word[..at].chars().last())
                    && is_name(word[at + 1..].chars().next())
            })
    };
    free.split_whitespace().filter(is_live).map(str::to_owned).collect()
}
