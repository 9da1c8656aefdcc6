//! The fake itself: it takes what Slack documents to the last character, and nothing beyond. What it would let through, no
//! other test could find.

use clawrden_bridge::http::Outgoing;
use clawrden_bridge::secret::Secret;
use serde_json::{Value, json};

use crate::fake::{self, check_message, check_view};
use crate::http;

fn text(kind: &str, n: usize) -> Value {
    json!({ "type": kind, "text": "x".repeat(n) })
}

fn plain(n: usize) -> Value {
    text("plain_text", n)
}

fn message(blocks: &Value) -> Value {
    json!({ "channel": fake::CHANNEL, "text": "x", "blocks": blocks })
}

fn section(n: usize) -> Value {
    json!({ "type": "section", "text": plain(n) })
}

/// A button of which one field is another.
fn button(field: &str, value: Value) -> Value {
    let mut button = json!({ "type": "button", "action_id": "a", "text": plain(1) });
    button[field] = value;
    message(&json!([{ "type": "actions", "elements": [button] }]))
}

/// A button that asks back, with a text of that many characters in one field.
fn confirm(field: &str, n: usize) -> Value {
    let mut confirm = json!({});
    for name in ["title", "text", "confirm", "deny"] {
        confirm[name] = plain(if name == field { n } else { 1 });
    }
    button("confirm", confirm)
}

fn rich(kind: &str, elements: &Value) -> Value {
    message(&json!([{ "type": "rich_text", "elements": [{ "type": kind, "elements": elements }] }]))
}

/// A dialog of which one field is another.
fn view(field: &str, value: Value) -> Value {
    let mut view = json!({
        "type": "modal", "callback_id": "c", "title": plain(1), "submit": plain(1), "close": plain(1),
        "blocks": [section(1)],
    });
    view[field] = value;
    view
}

/// A dialog with an input of which one field is another.
fn asks(field: &str, value: Value) -> Value {
    let element = json!({ "type": "plain_text_input", "action_id": "a" });
    let mut input = json!({ "type": "input", "label": plain(1), "element": element });
    input[field] = value;
    view("blocks", json!([input]))
}

fn radio(options: &[(usize, usize)]) -> Value {
    let options: Vec<Value> = options
        .iter()
        .map(|&(text, value)| json!({ "text": plain(text), "value": "x".repeat(value) }))
        .collect();
    asks("element", json!({ "type": "radio_buttons", "action_id": "a", "options": options }))
}

/// What it is, what has so many of it, and how many are taken.
type Limit = (&'static str, fn(usize) -> Value, usize);

const OF_MESSAGES: [Limit; 22] = [
    ("characters of a text", |n| json!({ "text": "x".repeat(n), "blocks": [section(1)] }), 40_000),
    ("blocks", |n| message(&vec![section(1); n].into()), 50),
    ("characters of a section", |n| message(&json!([section(n)])), 3_000),
    (
        "characters of a section with markup",
        |n| message(&json!([{ "type": "section", "text": text("mrkdwn", n) }])),
        3_000,
    ),
    ("characters of a header", |n| message(&json!([{ "type": "header", "text": plain(n) }])), 150),
    (
        "elements of a context",
        |n| message(&json!([{ "type": "context", "elements": vec![plain(1); n] }])),
        10,
    ),
    (
        "characters of a context",
        |n| message(&json!([{ "type": "context", "elements": [plain(n)] }])),
        3_000,
    ),
    (
        "buttons in a row",
        |n| {
            let of =
                |n| json!({ "type": "button", "action_id": format!("a{n}"), "text": plain(1) });
            let all: Vec<Value> = (0..n).map(of).collect();
            message(&json!([{ "type": "actions", "elements": all }]))
        },
        25,
    ),
    (
        "characters of a block's id",
        |n| message(&json!([{ "type": "divider", "block_id": "x".repeat(n) }])),
        255,
    ),
    ("characters of an action's id", |n| button("action_id", "x".repeat(n).into()), 255),
    ("characters of a button", |n| button("text", plain(n)), 75),
    ("characters of a button's value", |n| button("value", "x".repeat(n).into()), 2_000),
    ("characters of a button's address", |n| button("url", "x".repeat(n).into()), 3_000),
    ("characters of a question's title", |n| confirm("title", n), 100),
    ("characters of a question", |n| confirm("text", n), 300),
    ("characters of a question's yes", |n| confirm("confirm", n), 30),
    ("characters of a question's no", |n| confirm("deny", n), 30),
    ("characters of rich text", |n| rich("rich_text_section", &json!([text("text", n)])), 3_000),
    (
        "characters of code in pieces",
        |n| rich("rich_text_preformatted", &json!([text("text", n - 1), text("text", 1)])),
        3_000,
    ),
    (
        "characters of all blocks",
        |n| {
            let rest = (n - 12_000).max(1);
            message(&json!([
                section(3_000),
                section(3_000),
                section(3_000),
                section(3_000),
                section(rest)
            ]))
        },
        13_000,
    ),
    // As it is counted there: in pairs where one character is two units.
    (
        "units of a section",
        |n| {
            let text = format!("{}{}", "😀".repeat(n / 2), "x".repeat(n % 2));
            message(&json!([{ "type": "section", "text": { "type": "plain_text", "text": text } }]))
        },
        3_000,
    ),
    (
        "fields of a name nobody knows",
        |n| {
            let mut message = message(&json!([section(1)]));
            (0..n).for_each(|n| message[format!("field{n}")] = 1.into());
            message
        },
        0,
    ),
];

const OF_DIALOGS: [Limit; 12] = [
    ("characters of a title", |n| view("title", plain(n)), 24),
    ("characters of what submits", |n| view("submit", plain(n)), 24),
    ("characters of what closes", |n| view("close", plain(n)), 24),
    (
        "characters of what is kept with it",
        |n| view("private_metadata", "x".repeat(n).into()),
        3_000,
    ),
    ("characters of its id", |n| view("callback_id", "x".repeat(n).into()), 255),
    ("blocks", |n| view("blocks", vec![section(1); n].into()), 100),
    ("characters of a label", |n| asks("label", plain(n)), 2_000),
    ("characters of a hint", |n| asks("hint", plain(n)), 2_000),
    (
        "characters that may be typed",
        |n| {
            asks(
                "element",
                json!({ "type": "plain_text_input", "action_id": "a", "max_length": n }),
            )
        },
        3_000,
    ),
    ("choices", |n| radio(&vec![(1, 1); n]), 10),
    ("characters of a choice", |n| radio(&[(n, 1)]), 75),
    ("characters of a choice's value", |n| radio(&[(1, n)]), 75),
];

#[test]
fn the_fake_takes_so_much_and_no_more() {
    for (what, of, most) in OF_MESSAGES {
        assert_eq!(check_message(&of(most)), Ok(()), "{most} {what}");
        assert!(check_message(&of(most + 1)).is_err(), "{} {what}", most + 1);
    }
    for (what, of, most) in OF_DIALOGS {
        assert_eq!(check_view(&of(most)), Ok(()), "{most} {what} of a dialog");
        assert!(check_view(&of(most + 1)).is_err(), "{} {what} of a dialog", most + 1);
    }
}

#[test]
fn the_fake_refuses_what_has_no_form() {
    let twice = json!({ "type": "divider", "block_id": "a" });
    let two = json!({ "type": "button", "action_id": "a", "text": plain(1) });
    let of = |style: Value| json!([{ "type": "text", "text": "x", "style": style }]);
    for (what, message) in [
        ("nothing to be notified of", json!({ "blocks": [section(1)] })),
        ("no block", message(&json!([]))),
        ("an empty text", message(&json!([section(0)]))),
        ("two blocks of one id", message(&json!([twice, twice]))),
        ("two buttons of one id", message(&json!([{ "type": "actions", "elements": [two, two] }]))),
        ("a button without an id", button("action_id", Value::Null)),
        ("a button of another color", button("style", "warning".into())),
        ("what is no button", button("type", "overflow".into())),
        ("an input outside of a dialog", message(&asks("label", plain(1))["blocks"])),
        ("a block that is not known", message(&json!([{ "type": "video" }]))),
        ("styles in code", rich("rich_text_preformatted", &of(json!({ "bold": true })))),
        ("a style that is not known", rich("rich_text_section", &of(json!({ "blink": true })))),
        ("no style at all", rich("rich_text_section", &of(json!({})))),
        (
            "a link",
            rich("rich_text_section", &json!([{ "type": "link", "url": "x", "text": "x" }])),
        ),
        ("an empty piece", rich("rich_text_section", &json!([text("text", 0)]))),
        ("a list", rich("rich_text_list", &json!([text("text", 1)]))),
    ] {
        assert!(check_message(&message).is_err(), "{what}");
    }
    for (what, view) in [
        ("no modal", view("type", "home".into())),
        ("no block", view("blocks", json!([]))),
        ("a title with markup", view("title", text("mrkdwn", 1))),
        ("an input that is not known", asks("element", json!({ "type": "x", "action_id": "a" }))),
        ("nothing to choose from", radio(&[])),
    ] {
        assert!(check_view(&view).is_err(), "{what}");
    }
}

/// What the fake says to a call; nothing where it is well.
async fn said(fake: &fake::Slack, method: &str, body: &Value) -> String {
    let url = format!("{}/{method}", fake.api());
    let outgoing = Outgoing::json(&url, body).bearer(&Secret::new(fake::BOT_TOKEN));
    let answer = http().send(outgoing).await.unwrap().json().unwrap();
    answer["error"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_in_is_held_to_them_and_what_is_refused_is_noted() {
    let fake = fake::Slack::start();
    let with = |more: Value, blocks: usize| {
        let mut body = message(&vec![section(1); blocks].into());
        more.as_object().unwrap().iter().for_each(|(key, it)| body[key] = it.clone());
        body
    };
    assert_eq!(said(&fake, "chat.postMessage", &with(json!({}), 50)).await, "");
    let ts = fake.message().ts;
    let user = json!({ "user": fake::ALICE });
    for (method, more) in [
        ("chat.postMessage", json!({})),
        ("chat.update", json!({ "ts": ts })),
        ("chat.postEphemeral", user),
    ] {
        assert_eq!(
            said(&fake, method, &with(more.clone(), 51)).await,
            "invalid_blocks",
            "{method}"
        );
        assert_eq!(said(&fake, method, &with(more, 50)).await, "", "{method}");
    }
    let trigger = fake.typed("x", fake::ALICE)["trigger_id"].clone();
    let opens = |n| json!({ "trigger_id": trigger, "view": view("title", plain(n)) });
    assert_eq!(said(&fake, "views.open", &opens(25)).await, "invalid_arguments");
    assert_eq!(said(&fake, "views.open", &opens(24)).await, "");
    assert_eq!(fake.faults_found().len(), 4);
    let hook = format!("{}/hook/T1/9", fake.api().trim_end_matches("/api"));
    http().send(Outgoing::json(&hook, &with(json!({}), 51))).await.unwrap();
    assert_eq!(fake.faults_found().len(), 5, "{:?}", fake.faults_found());
    assert_eq!(fake.state(|state| (state.messages.len(), state.views.len())), (3, 1));
}
