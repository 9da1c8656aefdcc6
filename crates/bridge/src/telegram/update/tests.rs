use serde_json::{Value, json};

use super::super::question::question;
use super::*;

const ID: &str = "0190f3a1c2d34e5f8a9b0c1d2e3f4a5b";
const NOW: u64 = 1_793_714_592_000;

fn bot() -> Bot {
    Bot { id: 7, username: "Clawrden_bot".to_owned() }
}

fn read(update: &Value) -> Meaning {
    understand(update.to_string().as_bytes(), &bot(), NOW)
}

fn alice() -> Value {
    json!({ "id": 42, "is_bot": false, "first_name": "Alice\u{202e}", "username": "al" })
}

fn tap(data: &str) -> Value {
    json!({ "update_id": 1, "callback_query": {
        "id": "4382bfdwdsb323b2d9", "from": alice(), "data": data, "chat_instance": "x",
        "message": { "message_id": 5, "date": 0, "chat": { "id": -100, "type": "supergroup" } }
    } })
}

fn message(text: &str) -> Value {
    json!({ "update_id": 1, "message": {
        "message_id": 6, "from": alice(), "date": NOW / 1000, "text": text,
        "chat": { "id": -100, "type": "supergroup", "title": "ops" }
    } })
}

/// A message in answer to one of the bot's.
fn answer(text: &str, to: &super::super::text::Text) -> Value {
    let mut update = message(text);
    update["message"]["reply_to_message"] = json!({
        "message_id": 4, "date": 0, "chat": { "id": -100, "type": "supergroup" },
        "from": { "id": 7, "is_bot": true, "first_name": "Clawrden" },
        "text": to.text, "entities": to.entities,
    });
    update
}

fn heard(update: &Value) -> Heard {
    match read(update) {
        Meaning::Heard(heard) => heard,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tap_is_an_answer_by_the_users_number() {
    for (verb, yes, with) in
        [("a", true, Scope::Once), ("s", true, Scope::Session), ("d", false, Scope::Once)]
    {
        let heard = heard(&tap(&format!("{verb}:{ID}")));
        assert_eq!(heard.user, "42");
        assert_eq!(heard.shown, r"Alice\u{202e} @al");
        assert_eq!(heard.key, "tap:4382bfdwdsb323b2d9");
        assert_eq!(heard.to.place, "-100");
        assert_eq!(heard.to.address.as_deref(), Some("tap:4382bfdwdsb323b2d9"));
        let request = ID.to_owned();
        let answer = Wants::Answer { request, approve: yes, reason: None, scope: with };
        assert_eq!(heard.wants, answer);
    }
}

#[test]
fn a_tap_in_a_topic_is_answered_in_the_topic() {
    let mut update = tap(&format!("a:{ID}"));
    update["callback_query"]["message"]["is_topic_message"] = json!(true);
    update["callback_query"]["message"]["message_thread_id"] = json!(17);
    assert_eq!(heard(&update).to.place, "-100/17");
}

#[test]
fn a_tap_for_a_reason_asks_for_it() {
    for (verb, expected) in [("r", Answering::Deny), ("y", Answering::Approve)] {
        let Meaning::Ask { message, answering, .. } = read(&tap(&format!("{verb}:{ID}"))) else {
            panic!()
        };
        assert_eq!((message, answering), (5, expected));
    }
}

#[test]
fn all_that_a_message_of_ours_shows_are_denied_by_one_tap_and_nothing_else() {
    let other = "f".repeat(32);
    let mut update = tap("deny-all");
    let shown = &mut update["callback_query"]["message"];
    shown["from"] = json!({ "id": 7, "is_bot": true, "first_name": "Clawrden" });
    let data = [format!("d:{ID}"), format!("d:{other}"), format!("a:{ID}"), "d:../x".to_owned()];
    let buttons = data.map(|data| json!({ "text": "x", "callback_data": data }));
    shown["reply_markup"] =
        json!({ "inline_keyboard": [buttons, [{ "text": "url", "url": "x" }]] });
    let Meaning::Denied(all) = read(&update) else { panic!() };
    let wants = |request: &str| Wants::Answer {
        request: request.to_owned(),
        approve: false,
        reason: None,
        scope: Scope::Once,
    };
    let said: Vec<_> = all.iter().map(|heard| heard.wants.clone()).collect();
    assert_eq!(said, [wants(ID), wants(&other)]);
    assert_eq!((&all[1].user[..], &all[1].key[..]), ("42", "tap:4382bfdwdsb323b2d9:1"));
    update["callback_query"]["message"]["from"]["id"] = json!(8);
    assert_eq!(read(&update), Meaning::Nothing, "it is another bot's message");
    assert_eq!(read(&tap("deny-all")), Meaning::Nothing, "nothing is told of it");
}

#[test]
fn data_that_is_not_ours_is_nothing() {
    let upper = format!("a:{}", ID.to_uppercase());
    for data in ["", "a", "a:", "a:0190", "x:0190f3a1c2d34e5f8a9b0c1d2e3f4a5b", &upper, "a:../../x"]
    {
        assert_eq!(read(&tap(data)), Meaning::Nothing, "{data}");
    }
    let mut of_a_bot = tap(&format!("a:{ID}"));
    of_a_bot["callback_query"]["from"]["is_bot"] = json!(true);
    assert_eq!(read(&of_a_bot), Meaning::Nothing);
    let mut unsaid = tap(&format!("a:{ID}"));
    unsaid["callback_query"]["from"].as_object_mut().unwrap().remove("is_bot");
    assert_eq!(read(&unsaid), Meaning::Nothing, "who is not said to be a person is none");
    let mut elsewhere = tap(&format!("a:{ID}"));
    elsewhere["callback_query"].as_object_mut().unwrap().remove("message");
    elsewhere["callback_query"]["inline_message_id"] = json!("x");
    assert_eq!(read(&elsewhere), Meaning::Nothing);
}

#[test]
fn commands_are_words() {
    for (text, words) in [
        ("/status", vec!["status"]),
        ("/kill@clawrden_BOT  web", vec!["kill", "web"]),
        ("/KILL", vec!["kill"]),
        ("/start x", vec!["help"]),
        ("/resume web", vec!["resume", "web"]),
    ] {
        let heard = heard(&message(text));
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        assert_eq!(heard.wants, Wants::Command(words), "{text}");
        assert_eq!(heard.key, "message:-100:6");
        assert_eq!(heard.to.address.as_deref(), Some("message:6"));
    }
    let many = format!("/kill{}", " x".repeat(MAX_WORDS));
    let long = format!("/kill {}", "x".repeat(200));
    for text in [
        "",
        "/",
        "/@clawrden_bot",
        "kill",
        "/kill@other_bot",
        "/killall",
        "/unknown",
        " /kill",
        &many,
        &long,
    ] {
        assert_eq!(read(&message(text)), Meaning::Nothing, "{text}");
    }
}

#[test]
fn a_code_is_taken_however_it_is_written_and_never_left_to_who_sees_it() {
    for text in [
        "/pair 1234-5678",
        "/pair 1234 - 5678",
        "/pair@clawrden_bot 1234-5678",
        "/pair @clawrden_bot 1234-5678",
        "@clawrden_bot pair 1234-5678",
        "@Clawrden_Bot /pair\n1234-5678",
    ] {
        let Meaning::InPublic(seen) = read(&message(text)) else { panic!("{text}") };
        let words = vec!["pair".to_owned(), "1234-5678".to_owned()];
        assert_eq!(seen.wants, Wants::Command(words.clone()), "{text}");
        let mut alone = message(text);
        alone["message"]["chat"]["type"] = "private".into();
        assert_eq!(heard(&alone).wants, Wants::Command(words));
    }
    let mut alone = message("Pair 1234-5678");
    assert_eq!(read(&alone), Meaning::Nothing, "it is said to nobody");
    alone["message"]["chat"]["type"] = "private".into();
    assert!(matches!(read(&alone), Meaning::Heard(_)));
    assert!(matches!(read(&message("/pair")), Meaning::Heard(_)), "there is no code in it");
    for text in
        ["@other_bot pair 1234-5678", "@clawrden_bot kill", "@clawrden_bot", "/pair@other_bot 1"]
    {
        assert_eq!(read(&message(text)), Meaning::Nothing, "{text}");
    }
}

#[test]
fn who_hides_behind_a_group_is_nobody_and_is_told_so() {
    for from in [json!({ "id": 1_087_968_824, "is_bot": true, "first_name": "Group" }), alice()] {
        let mut update = message("/kill");
        update["message"]["sender_chat"] = json!({ "id": -100, "type": "supergroup" });
        update["message"]["from"] = from;
        let Meaning::Anonymous { to } = read(&update) else { panic!() };
        assert_eq!(to.place, "-100");
        update["message"]["text"] = json!("kill");
        assert_eq!(read(&update), Meaning::Nothing);
        update["message"]["text"] = json!("/kill");
        update["message"]["forward_origin"] = json!({});
        assert_eq!(read(&update), Meaning::Nothing);
    }
    let mut reason = answer("ok", &question(42, "Alice", Answering::Approve, ID));
    reason["message"]["sender_chat"] = json!({ "id": -100, "type": "supergroup" });
    assert_eq!(read(&reason), Meaning::Nothing);
}

#[test]
fn what_a_person_did_not_write_here_themselves_is_nothing() {
    let changes: [(&str, Value); 6] = [
        ("forward_origin", json!({ "type": "user" })),
        ("forward_date", json!(1)),
        ("via_bot", json!({ "id": 9, "is_bot": true })),
        ("edit_date", json!(1)),
        ("from", json!({ "id": 9, "is_bot": true, "first_name": "b" })),
        ("chat", json!({ "id": -100, "type": "channel" })),
    ];
    for (field, value) in changes {
        let mut update = message("/kill");
        update["message"][field] = value;
        assert_eq!(read(&update), Meaning::Nothing, "{field}");
    }
    let mut edited = message("/kill");
    edited["edited_message"] = edited["message"].take();
    edited.as_object_mut().unwrap().remove("message");
    assert_eq!(read(&edited), Meaning::Nothing);
    let mut post = message("/kill");
    post["channel_post"] = post["message"].take();
    assert_eq!(read(&post), Meaning::Nothing);
}

#[test]
fn what_opens_is_not_done_long_after_it_was_said() {
    let mut update = message("/resume");
    update["message"]["date"] = json!((NOW - MAX_AGE) / 1000 - 1);
    let Meaning::TooLate { to } = read(&update) else { panic!() };
    assert_eq!(to.place, "-100");
    update["message"]["text"] = json!("/kill");
    assert!(matches!(read(&update), Meaning::Heard(_)), "what stops is");
    update["message"]["text"] = json!("/resume");
    update["message"].as_object_mut().unwrap().remove("date");
    assert!(matches!(read(&update), Meaning::TooLate { .. }), "one without a time is old");
}

#[test]
fn an_answer_to_the_question_is_the_reason() {
    for (answering, yes) in [(Answering::Approve, true), (Answering::Deny, false)] {
        for name in ["Alice", "😀 @bob /kill", ""] {
            let update = answer("  too wide\nby far ", &question(42, name, answering, ID));
            let heard = heard(&update);
            assert_eq!(heard.key, "message:-100:6");
            let answer = Wants::Answer {
                request: ID.to_owned(),
                approve: yes,
                reason: Some("too wide\nby far".to_owned()),
                scope: Scope::Once,
            };
            assert_eq!(heard.wants, answer);
        }
    }
    let long = "é".repeat(5000);
    let Wants::Answer { reason, .. } =
        heard(&answer(&long, &question(42, "A", Answering::Deny, ID))).wants
    else {
        panic!()
    };
    assert_eq!(reason.unwrap().chars().count(), MAX_REASON);
}

#[test]
fn a_command_stays_one_in_answer_to_a_question() {
    let update = answer("/kill", &question(42, "Alice", Answering::Approve, ID));
    assert_eq!(heard(&update).wants, Wants::Command(vec!["kill".to_owned()]));
}

#[test]
fn only_a_question_of_ours_to_this_person_is_one() {
    let asked = question(42, "Alice", Answering::Approve, ID);
    assert!(matches!(read(&answer("ok", &asked)), Meaning::Heard(_)));
    let to_bob = question(43, "Bob", Answering::Approve, ID);
    assert_eq!(read(&answer("ok", &to_bob)), Meaning::Nothing);

    // Of nobody, of two, and of somebody who is not asked.
    let mut of_nobody = asked.clone();
    of_nobody.entities.remove(0);
    assert_eq!(read(&answer("ok", &of_nobody)), Meaning::Nothing);
    for name in ["mention", "text_mention"] {
        let mut update = answer("ok", &asked);
        let entities = &mut update["message"]["reply_to_message"]["entities"];
        let mut second = entities[0].clone();
        (second["type"], second["offset"]) = (name.into(), 7.into());
        entities.as_array_mut().unwrap().insert(1, second);
        assert_eq!(read(&update), Meaning::Nothing, "{name}");
    }

    // What a command wrote stands in a block, however it looks.
    let mut output = super::super::text::Text::default();
    output.pre(&asked.text);
    assert_eq!(read(&answer("ok", &output)), Meaning::Nothing);
    let mut pieces = super::super::text::Text::default();
    pieces.code(&asked.text[..asked.text.len() - 32]).code(ID);
    assert_eq!(read(&answer("ok", &pieces)), Meaning::Nothing);

    let spoil: [fn(&mut Value); 6] = [
        |question| question["from"]["id"] = json!(8),
        |question| question["entities"] = json!([]),
        |question| question["text"] = json!(format!("why? {ID}")),
        |question| question["text"] = json!(format!("{}x", question["text"].as_str().unwrap())),
        |question| question["edit_date"] = json!(1),
        |question| question["forward_origin"] = json!({}),
    ];
    for (number, spoil) in spoil.into_iter().enumerate() {
        let mut update = answer("ok", &asked);
        spoil(&mut update["message"]["reply_to_message"]);
        assert_eq!(read(&update), Meaning::Nothing, "{number}");
    }
}

#[test]
fn what_is_no_update_is_nothing() {
    for bytes in [
        &b""[..],
        b"{",
        b"[]",
        b"{}",
        b"null",
        br#"{"update_id":1}"#,
        br#"{"update_id":1,"message":{}}"#,
        br#"{"update_id":1,"message":7}"#,
        b"\xff",
    ] {
        assert_eq!(understand(bytes, &bot(), NOW), Meaning::Nothing);
    }
    let both = json!({
        "message": message("/kill")["message"], "callback_query": tap(&format!("a:{ID}"))["callback_query"]
    });
    assert_eq!(read(&both), Meaning::Nothing);
}
