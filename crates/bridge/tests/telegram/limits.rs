//! The fake itself: it takes what Telegram documents to the last unit, and nothing beyond. What it would let through, no
//! other test could find.

use clawrden_bridge::http::Outgoing;
use serde_json::{Value, json};

use super::fake::{ALICE, GROUP, TOKEN};
use super::*;

/// What the fake says to a call; nothing where it is well.
async fn said(fake: &fake::Telegram, method: &str, body: &Value) -> String {
    let url = format!("{}/bot{TOKEN}/{method}", fake.api());
    let answer = Http::new(Trust::System).unwrap().send(Outgoing::json(&url, body)).await.unwrap();
    let json = answer.json().unwrap();
    assert_eq!(json["ok"] == true, answer.status == 200, "{json}");
    json["description"].as_str().unwrap_or_default().to_owned()
}

/// A message of which some fields are others.
fn message(fields: Value) -> Value {
    let mut body = json!({
        "chat_id": GROUP, "text": "x".repeat(200), "link_preview_options": { "is_disabled": true },
    });
    let Value::Object(fields) = fields else { panic!() };
    fields.into_iter().for_each(|(key, value)| body[key] = value);
    body
}

fn texts(text: &str, n: usize) -> Value {
    message(json!({ "text": text.repeat(n) }))
}

fn button(text: &str, data: &str) -> Value {
    json!({ "text": text, "callback_data": data })
}

fn keyboard(rows: &[Vec<Value>]) -> Value {
    message(json!({ "reply_markup": { "inline_keyboard": rows } }))
}

fn data(text: &str, n: usize) -> Value {
    keyboard(&[vec![button("a", &text.repeat(n))]])
}

/// So many buttons, in rows of four.
fn buttons(n: usize) -> Value {
    let all = vec![button("a", "b"); n];
    keyboard(&all.chunks(4).map(<[Value]>::to_vec).collect::<Vec<_>>())
}

fn entity(kind: &str, offset: usize, length: usize) -> Value {
    json!({ "type": kind, "offset": offset, "length": length })
}

fn entities(text: &str, entities: &[Value]) -> Value {
    message(json!({ "text": text, "entities": entities }))
}

fn commands(count: usize, name: usize, description: usize) -> Value {
    let one = json!({ "command": "a".repeat(name), "description": "x".repeat(description) });
    json!({ "commands": vec![one; count] })
}

fn hook(url: &str, secret: &str) -> Value {
    json!({ "url": url, "secret_token": secret })
}

/// What it is, the method, what has so many of it, how many are taken, and what is said of one more.
type Limit = (&'static str, &'static str, fn(usize) -> Value, usize, &'static str);

const LIMITS: [Limit; 14] = [
    ("units of a text", "sendMessage", |n| texts("x", n), 4_096, "too long"),
    (
        "units of a text of pairs",
        "sendMessage",
        |n| message(json!({ "text": format!("{}{}", "😀".repeat(n / 2), "x".repeat(n % 2)) })),
        4_096,
        "too long",
    ),
    ("bytes of data", "sendMessage", |n| data("x", n), 64, "BUTTON_DATA_INVALID"),
    ("letters of two bytes of data", "sendMessage", |n| data("é", n), 32, "BUTTON_DATA_INVALID"),
    (
        "buttons in a row",
        "sendMessage",
        |n| keyboard(&[vec![button("a", "b"); n]]),
        8,
        "REPLY_MARKUP_INVALID",
    ),
    ("buttons", "sendMessage", buttons, 100, "REPLY_MARKUP_TOO_LONG"),
    (
        "characters of a hint",
        "sendMessage",
        |n| {
            let hint = "x".repeat(n);
            message(
                json!({ "reply_markup": { "force_reply": true, "input_field_placeholder": hint } }),
            )
        },
        64,
        "placeholder",
    ),
    (
        "the end of an entity",
        "sendMessage",
        |n| entities("ab", &[entity("code", 0, n)]),
        2,
        "BOUNDS",
    ),
    ("characters of a command", "setMyCommands", |n| commands(1, n, 1), 32, "BOT_COMMAND_INVALID"),
    (
        "characters of what it does",
        "setMyCommands",
        |n| commands(1, 1, n),
        256,
        "BOT_COMMAND_INVALID",
    ),
    ("commands", "setMyCommands", |n| commands(n, 1, 1), 100, "BOT_COMMANDS_TOO_MUCH"),
    (
        "characters of a secret",
        "setWebhook",
        |n| hook("https://b.example", &"a".repeat(n)),
        256,
        "unallowed",
    ),
    ("units of an edit", "editMessageText", |n| edit("x", n), 4_096, "too long"),
    ("bytes of data in an edit", "editMessageText", |n| edit_data(n), 64, "BUTTON_DATA_INVALID"),
];

/// The first message, changed.
fn edit(text: &str, n: usize) -> Value {
    message(json!({ "message_id": 1, "text": text.repeat(n) }))
}

fn edit_data(n: usize) -> Value {
    let mut body = data("x", n);
    body["message_id"] = 1.into();
    body
}

#[tokio::test]
async fn the_fake_takes_so_much_and_no_more() {
    let fake = fake::Telegram::start();
    assert_eq!(said(&fake, "sendMessage", &message(json!({}))).await, "");
    assert_eq!(fake.last(GROUP).unwrap().id, 1);
    for (what, method, of, most, says) in LIMITS {
        assert_eq!(said(&fake, method, &of(most)).await, "", "{most} {what}");
        let refused = said(&fake, method, &of(most + 1)).await;
        assert!(refused.contains(says), "{} {what}: {refused:?}", most + 1);
    }
    let message = fake.last(GROUP).unwrap();
    let tap = fake.tap_data(ALICE, &message, "x");
    let tells = |n: usize| json!({ "callback_query_id": tap, "text": "x".repeat(n) });
    assert!(said(&fake, "answerCallbackQuery", &tells(201)).await.contains("TOO_LONG"));
    assert_eq!(said(&fake, "answerCallbackQuery", &tells(200)).await, "");
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn the_fake_refuses_what_has_no_form_and_notes_what_the_real_one_overlooks() {
    let fake = fake::Telegram::start();
    for (what, body, says) in [
        ("nothing", texts("x", 0), "empty"),
        ("spaces", texts(" ", 9), "empty"),
        ("an empty button", keyboard(&[vec![button("", "b")]]), "BUTTON_DATA_INVALID"),
        ("an empty row", keyboard(&[vec![]]), "REPLY_MARKUP_INVALID"),
        ("half a pair", entities("a😀", &[entity("code", 0, 2)]), "BOUNDS"),
        ("an empty entity", entities("ab", &[entity("code", 0, 0)]), "BOUNDS"),
        (
            "one within another",
            entities("abc", &[entity("code", 0, 2), entity("bold", 1, 2)]),
            "overlap",
        ),
        ("one that is not known", entities("ab", &[entity("spoiler", 0, 1)]), "unsupported"),
        ("no chat", message(json!({ "chat_id": 7 })), "chat not found"),
        ("no topic", message(json!({ "message_thread_id": 7 })), "thread not found"),
    ] {
        let refused = said(&fake, "sendMessage", &body).await;
        assert!(refused.contains(says), "{what}: {refused:?}");
    }
    for (url, secret) in [("http://b.example", "a"), ("https://b.example", "a b"), ("", "a")] {
        assert_ne!(said(&fake, "setWebhook", &hook(url, secret)).await, "", "{url} {secret}");
    }
    assert_eq!(said(&fake, "sendMessage", &message(json!({}))).await, "");
    let again = message(json!({ "message_id": 1 }));
    assert!(said(&fake, "editMessageText", &again).await.contains("not modified"));
    assert_eq!(fake.violations(), [""; 0]);
    let many: Vec<Value> = (0..101).map(|n| entity("bold", n, 1)).collect();
    for (count, body) in [
        (0, entities(&"x".repeat(200), &many[..100])),
        (1, entities(&"x".repeat(200), &many)),
        (1, message(json!({ "parse_mode": "HTML" }))),
        (1, message(json!({ "link_preview_options": {} }))),
        (1, message(json!({ "text": "a\u{202e}b" }))),
        (1, message(json!({ "text": "a " }))),
    ] {
        let before = fake.violations().len();
        assert_eq!(said(&fake, "sendMessage", &body).await, "", "{body}");
        assert_eq!(fake.violations().len() - before, count, "{:?}", fake.violations());
    }
}
