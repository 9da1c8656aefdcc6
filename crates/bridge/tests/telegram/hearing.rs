use clawrden_bridge::card::Digest;
use clawrden_bridge::heard::{Scope, Wants};
use serde_json::json;

use super::fake::{ALICE, BOB, Fault, GROUP, MALLORY, NAME};
use super::*;

fn command(words: &[&str]) -> Wants {
    Wants::Command(words.iter().map(|&word| word.to_owned()).collect())
}

fn answer(approve: bool, reason: Option<&str>, scope: Scope) -> Wants {
    Wants::Answer { request: ID.to_owned(), approve, reason: reason.map(str::to_owned), scope }
}

#[tokio::test]
async fn taps_are_heard_by_the_users_number() {
    let fake = fake::Telegram::start();
    let mut bridge = Listening::to(&fake);
    bridge.telegram.post(&group(), &card(&["ls"])).await.unwrap();
    let message = fake.last(GROUP).unwrap();
    for (user, button, wants) in [
        (ALICE, "Approve", answer(true, None, Scope::Once)),
        (BOB, "For the session", answer(true, None, Scope::Session)),
        (MALLORY, "Deny", answer(false, None, Scope::Once)),
    ] {
        let tap = fake.tap(user, &message, button);
        let heard = bridge.hear().await;
        assert_eq!(heard.user, user.id.to_string());
        assert_eq!(heard.shown, user.name);
        assert_eq!(heard.key, format!("tap:{tap}"));
        assert_eq!(heard.wants, wants);
        bridge.telegram.tell(&heard.to, "heard").await.unwrap();
        assert_eq!(fake.answer_of(&tap).unwrap().text, "heard");
    }
    fake.tap_data(MALLORY, &message, "a:../../etc");
    fake.tap_data(MALLORY, &message, "\u{202e}");
    bridge.hear_nothing().await;
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn commands_are_heard_in_every_chat_and_answered_there() {
    let fake = fake::Telegram::start();
    fake.add_chat(ALICE.id, "private");
    let mut bridge = Listening::to(&fake);
    for (chat, text, words) in [
        (GROUP, format!("/kill@{NAME} web"), &["kill", "web"][..]),
        (ALICE.id, "pair 1234 5678".to_owned(), &["pair", "12345678"]),
        (ALICE.id, "/status".to_owned(), &["status"]),
        (GROUP, "/resume".to_owned(), &["resume"]),
        (ALICE.id, "/start".to_owned(), &["help"]),
    ] {
        let said = fake.say(ALICE, chat, &text);
        let heard = bridge.hear().await;
        assert_eq!(heard.wants, command(words));
        assert_eq!(heard.user, "42");
        bridge.telegram.tell(&heard.to, "so it is:\n@all /kill").await.unwrap();
        let told = fake.last(chat).unwrap();
        assert_eq!((told.reply_to, told.live.len()), (Some(said), 0));
    }
    fake.say(ALICE, GROUP, "/kill@another_bot");
    fake.say(ALICE, GROUP, "kill");
    fake.write(ALICE, GROUP, "/kill", &json!({ "forward_origin": { "type": "user" } }));
    fake.update(json!({ "edited_message": { "message_id": 1, "text": "/kill" } }));
    fake.update(json!({ "message": { "text": 7 } }));
    bridge.hear_nothing().await;
    soon("all is confirmed", || (fake.unconfirmed() == 0).then_some(())).await;
    let menu = &fake.calls("setMyCommands")[0]["commands"];
    assert_eq!(menu.as_array().unwrap().len(), 6);
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn all_that_a_flood_s_message_shows_are_denied_by_one_tap() {
    let fake = fake::Telegram::start();
    let mut bridge = Listening::to(&fake);
    let mut some = vec![card(&["ls"]).entry, card(&["pwd"]).entry];
    some[1].id = "f".repeat(32);
    let digest = Digest { some, waiting: 9, answered: 0, page: None };
    bridge.telegram.digest(&group(), None, &digest).await.unwrap();
    let tap = fake.tap(ALICE, &fake.last(GROUP).unwrap(), "Deny these 2");
    let (first, second) = (bridge.hear().await, bridge.hear().await);
    assert_eq!(first.wants, answer(false, None, Scope::Once));
    let Wants::Answer { request, approve: false, .. } = &second.wants else { panic!() };
    assert_eq!(*request, "f".repeat(32));
    for heard in [first, second] {
        bridge.telegram.tell(&heard.to, "Denied.").await.unwrap();
    }
    assert_eq!(fake.answer_of(&tap).unwrap().text, "Denied.");
    bridge.hear_nothing().await;
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn a_code_in_a_group_is_used_up_and_its_owner_told_to_write_alone() {
    let fake = fake::Telegram::start();
    let mut bridge = Listening::to(&fake);
    let said = fake.say(ALICE, GROUP, &format!("@{NAME} pair 1234 5678"));
    let heard = bridge.hear().await;
    assert_eq!((heard.wants, &heard.user[..]), (command(&["pair", "12345678"]), "42"));
    let told = soon("she is told", || fake.last(GROUP)).await;
    assert_eq!(told.reply_to, Some(said));
    assert!(told.text.contains("Write to me alone"), "{}", told.text);
    fake.add_chat(ALICE.id, "private");
    fake.say(ALICE, ALICE.id, "/pair 1234-5678");
    bridge.hear().await;
    bridge.hear_nothing().await;
    assert_eq!(fake.messages().len(), 1, "nothing is wrong with that");
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn an_anonymous_administrator_is_told_that_they_are_nobody() {
    let fake = fake::Telegram::start();
    let mut bridge = Listening::to(&fake);
    let said = fake.write(
        ALICE,
        GROUP,
        "/kill",
        &json!({
            "sender_chat": { "id": GROUP, "type": "supergroup" },
            "from": { "id": 1_087_968_824, "is_bot": true, "first_name": "Group" },
        }),
    );
    let told = soon("that is said", || fake.last(GROUP)).await;
    assert_eq!(told.reply_to, Some(said));
    assert!(told.text.contains("Remain anonymous"), "{}", told.text);
    bridge.hear_nothing().await;
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn a_reason_is_asked_for_and_understood_after_a_restart() {
    let fake = fake::Telegram::start();
    let mut bridge = Listening::to(&fake);
    bridge.telegram.post(&group(), &card(&["ls"])).await.unwrap();
    let message = fake.last(GROUP).unwrap();
    let tap = fake.tap(ALICE, &message, "Deny with a reason…");
    soon("the tap is answered", || fake.answer_of(&tap)).await;
    let question = fake.last(GROUP).unwrap();
    assert!(question.forces_reply);
    assert_eq!(question.reply_to, Some(message.id));
    assert!(question.text.starts_with("Alice, why may this not run?"), "{}", question.text);
    assert_eq!(question.entities[0]["user"]["id"], ALICE.id);
    bridge.hear_nothing().await;
    drop(bridge);

    let mut bridge = Listening::to(&fake);
    fake.answer(BOB, &question, "not I");
    fake.answer(ALICE, &message, "not to the question");
    fake.answer(ALICE, &question, "too wide");
    let heard = bridge.hear().await;
    assert_eq!(heard.user, "42");
    assert_eq!(heard.wants, answer(false, Some("too wide"), Scope::Once));
    bridge.hear_nothing().await;
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn output_that_looks_like_a_question_is_none() {
    let fake = fake::Telegram::start();
    let mut bridge = Listening::to(&fake);
    let posted = bridge.telegram.post(&group(), &card(&["ls"])).await.unwrap();
    let message = fake.last(GROUP).unwrap();
    let tap = fake.tap(ALICE, &message, "Deny with a reason…");
    soon("the tap is answered", || fake.answer_of(&tap)).await;
    let question = fake.last(GROUP).unwrap();
    bridge.telegram.reply(&posted, &question.text.replace("not run", "run")).await.unwrap();
    bridge.telegram.reply(&posted, &question.text).await.unwrap();
    for message in &fake.messages()[2..] {
        fake.answer(ALICE, message, "yes");
    }
    bridge.hear_nothing().await;
}

#[tokio::test]
async fn nobody_fills_a_chat_with_questions() {
    let fake = fake::Telegram::start();
    let bridge = Listening::to(&fake);
    bridge.telegram.post(&group(), &card(&["ls"])).await.unwrap();
    let message = fake.last(GROUP).unwrap();
    let taps: Vec<String> =
        (0..40).map(|_| fake.tap(MALLORY, &message, "Deny with a reason…")).collect();
    for n in 0..40 {
        fake.tap_data(MALLORY, &message, &format!("r:0190f3a1c2d34e5f8a9b0c1d{n:08x}"));
    }
    for tap in &taps[1..] {
        let answer = soon("the tap is answered", || fake.answer_of(tap)).await;
        assert_eq!(answer.text, "The question is there already: answer to it.");
    }
    soon("all is confirmed", || (fake.unconfirmed() == 0).then_some(())).await;
    assert_eq!(fake.messages().len(), 1 + 5);
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_tap_says_so() {
    let fake = fake::Telegram::start();
    let bridge = Listening::to(&fake);
    bridge.telegram.post(&group(), &card(&["ls"])).await.unwrap();
    let message = fake.last(GROUP).unwrap();
    fake.fail("sendMessage", Fault::TooMany(30));
    let tap = fake.tap(ALICE, &message, "Deny with a reason…");
    let answer = soon("the tap is answered", || fake.answer_of(&tap)).await;
    assert!(answer.text.contains("tap again"), "{answer:?}");
}

#[tokio::test]
async fn what_was_not_handed_on_is_heard_after_a_restart() {
    let fake = fake::Telegram::start();
    let said: Vec<i64> = (0..5).map(|_| fake.say(ALICE, GROUP, "/status")).collect();
    let first = Listening::start(settings(&fake), 2);
    soon("two are handed on", || (first.heard.len() == 2).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(fake.unconfirmed(), 5, "nothing is confirmed before all is handed on");
    drop(first);
    let mut second = Listening::to(&fake);
    for id in said {
        assert_eq!(second.hear().await.key, format!("message:{GROUP}:{id}"));
    }
    soon("all is confirmed", || (fake.unconfirmed() == 0).then_some(())).await;
    second.hear_nothing().await;
}

#[tokio::test]
async fn what_comes_again_or_in_disorder_is_heard_once() {
    let fake = fake::Telegram::start();
    fake.give_backwards();
    fake.lose_confirmations(3);
    let said: Vec<i64> = (0..4).map(|_| fake.say(ALICE, GROUP, "/queue")).collect();
    let mut bridge = Listening::to(&fake);
    for id in said.iter().rev() {
        assert_eq!(bridge.hear().await.key, format!("message:{GROUP}:{id}"));
    }
    soon("all is confirmed", || (fake.unconfirmed() == 0).then_some(())).await;
    bridge.hear_nothing().await;
}

#[tokio::test]
async fn a_flood_is_heard_whole_and_in_order() {
    let fake = fake::Telegram::start();
    let said: Vec<i64> = (0..300).map(|_| fake.say(BOB, GROUP, "/queue")).collect();
    let mut bridge = Listening::start(settings(&fake), 1);
    for id in said {
        assert_eq!(bridge.hear().await.key, format!("message:{GROUP}:{id}"));
    }
}

#[tokio::test]
async fn more_than_is_read_at_once_is_asked_for_in_parts() {
    let fake = fake::Telegram::start();
    // As when many people answer to long messages: all together are longer than an answer may be, and three are.
    let long = json!({ "reply_to_message": {
        "message_id": 1, "date": 0, "chat": { "id": GROUP }, "text": "é".repeat(200_000),
    } });
    let said: Vec<i64> = (0..9).map(|_| fake.write(ALICE, GROUP, "/queue", &long)).collect();
    let mut bridge = Listening::to(&fake);
    for id in said {
        assert_eq!(bridge.hear().await.key, format!("message:{GROUP}:{id}"));
    }
    soon("all is confirmed", || (fake.unconfirmed() == 0).then_some(())).await;
    fake.say(ALICE, GROUP, "/status");
    assert_eq!(bridge.hear().await.wants, command(&["status"]));
    let last = || fake.calls("getUpdates").last().and_then(|call| call["limit"].as_u64());
    soon("as many as ever are asked for", || {
        fake.say(ALICE, GROUP, "x");
        (last() == Some(50)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn bad_weather_is_survived() {
    let fake = fake::Telegram::start();
    for fault in [Fault::Drop, Fault::Page(502), Fault::TooMany(0)] {
        fake.fail("getMe", fault);
    }
    fake.fail("setMyCommands", Fault::Drop);
    for fault in [
        Fault::Drop,
        Fault::TooMany(1),
        Fault::Says(500, "Internal Server Error"),
        Fault::Page(502),
        Fault::Garbage,
        Fault::Says(
            409,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
        ),
        Fault::Lost,
    ] {
        fake.fail("getUpdates", fault);
    }
    let started = Instant::now();
    fake.say(ALICE, GROUP, "/status");
    let mut bridge = Listening::to(&fake);
    assert_eq!(bridge.hear().await.wants, command(&["status"]));
    assert!(started.elapsed() >= Duration::from_secs(1), "the rest that was asked for is kept");
    assert_eq!(fake.calls("getMe").len(), 4);
    fake.say(ALICE, GROUP, "/queue");
    assert_eq!(bridge.hear().await.wants, command(&["queue"]));
}

#[tokio::test]
async fn another_poller_is_told_of_clearly() {
    let fake = fake::Telegram::start();
    for _ in 0..3 {
        fake.fail("getUpdates", Fault::Says(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"));
    }
    let failure = Listening::to(&fake).end().await;
    let Failure::Now(why) = failure else { panic!("{failure:?}") };
    assert!(why.contains("another program hears this bot"), "{why}");
}

#[tokio::test]
async fn a_webhook_that_was_left_is_removed_before_polling() {
    let fake = fake::Telegram::start();
    fake.set_webhook("https://old.example/x");
    fake.say(ALICE, GROUP, "/status");
    let mut bridge = Listening::to(&fake);
    assert_eq!(bridge.hear().await.wants, command(&["status"]));
    assert_eq!(fake.webhook(), None);
    assert_eq!(fake.calls("deleteWebhook")[0]["drop_pending_updates"], false);
}

#[tokio::test]
async fn a_bad_token_is_not_tried_again() {
    let fake = fake::Telegram::start();
    let bad = Settings { token: Secret::new("7000001:WRONG"), ..settings(&fake) };
    let failure = Listening::start(bad, 1).end().await;
    let Failure::Never(why) = failure else { panic!("{failure:?}") };
    assert!(why.contains("@BotFather") && !why.contains("WRONG"), "{why}");
}

#[tokio::test]
async fn who_listens_no_more_confirms_nothing() {
    let fake = fake::Telegram::start();
    let mut bridge = Listening::to(&fake);
    fake.say(ALICE, GROUP, "/status");
    bridge.hear().await;
    bridge.heard.close();
    fake.say(ALICE, GROUP, "/queue");
    assert!(matches!(bridge.end().await, Failure::Now(_)));
    assert_eq!(fake.unconfirmed(), 1);
}

#[tokio::test]
async fn what_opens_is_not_done_long_after_it_was_said() {
    let fake = fake::Telegram::start();
    let mut bridge = Listening::to(&fake);
    let said = fake.write(ALICE, GROUP, "/resume", &json!({ "date": 1_000_000 }));
    let told = soon("that is said", || fake.last(GROUP)).await;
    assert_eq!(told.reply_to, Some(said));
    assert!(told.text.contains("late and was not done"), "{}", told.text);
    bridge.hear_nothing().await;
}

#[tokio::test]
async fn it_is_said_that_people_are_heard_when_they_are() {
    let fake = fake::Telegram::start();
    for _ in 0..3 {
        fake.fail("getUpdates", Fault::Page(502));
    }
    let listening = Listening::to(&fake);
    soon("a failure", || (!fake.calls("getUpdates").is_empty()).then_some(())).await;
    assert!(!listening.standing.state().listens);
    soon("people to be heard", || listening.standing.state().listens.then_some(())).await;
    assert!(fake.calls("getUpdates").len() > 3, "only then, and before anything comes");
}
