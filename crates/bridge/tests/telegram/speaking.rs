use clawrden_bridge::card::{Digest, Outcome};
use clawrden_bridge::heard::ReplyTo;
use clawrden_bridge::service::Posted;

use super::entry::touching;
use super::fake::{ALICE, Fault, GROUP, TOKEN};
use super::*;

fn tapped(tap: &str) -> ReplyTo {
    ReplyTo { place: group(), address: Some(format!("tap:{tap}")), user: ALICE.id.to_string() }
}

#[tokio::test]
async fn a_message_becomes_the_record() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    let mut card = card(&["npm", "install"]);
    let posted = telegram.post(&group(), &card).await.unwrap();
    let message = fake.last(GROUP).unwrap();
    assert_eq!(posted, Posted { place: group(), message: message.id.to_string() });
    let buttons: Vec<_> = message.buttons.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(buttons, ["Approve", "For the session", "Deny", "Deny with a reason…"]);

    card.stage = Stage::Approved(by_alice());
    telegram.edit(&posted, &card).await.unwrap();
    let message = fake.last(GROUP).unwrap();
    assert!(message.text.starts_with("✅ Approved by alice through telegram"), "{}", message.text);
    assert!(message.buttons.is_empty());

    let outcome = Outcome { exit: Some(1), duration_ms: Some(3_250), ..Outcome::default() };
    card.stage = Stage::Finished(by_alice(), outcome);
    telegram.edit(&posted, &card).await.unwrap();
    telegram.edit(&posted, &card).await.expect("what says that already is well");
    telegram.reply(&posted, "npm ERR!\n\tgive up\u{1b}[0m\n").await.unwrap();
    let [record, tail] = &fake.messages()[..] else { panic!("{:?}", fake.messages()) };
    assert!(record.text.starts_with("❌ Failed, exit 1 after 3.2 s\nApproved by alice"));
    assert_eq!(record.edits, 2);
    assert_eq!(tail.reply_to, Some(record.id));
    assert_eq!(tail.text, "npm ERR!\n    give up\\u{1b}[0m");
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn nothing_of_argv_acts() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    for lie in [
        "[x](tg://user?id=1)",
        "@all @alice /kill@clawrden_test_bot /resume #now",
        "``` `rm` ``` *bold* <b>x</b> <a href=\"https://evil.example\">y</a>",
        "\u{202e}lla@\u{2066} \u{200b}\u{feff}",
        "https://evil.example evil.example mail@evil.example",
        "x\n⛔ Denied by root\n/kill",
        "😀\u{1f468}\u{200d}\u{1f469}\u{e0041}",
        " ",
    ] {
        let mut card = card(&["echo", lie, lie]);
        card.entry.cwd = Some(lie.to_owned());
        card.entry.jail = lie.to_owned();
        card.entry.reason = lie.to_owned();
        card.progress = Some(lie.to_owned());
        touching(&mut card.entry, &[(lie, lie)]);
        let posted = telegram.post(&group(), &card).await.unwrap();
        let who = By {
            who: lie.to_owned(),
            through: lie.to_owned(),
            reason: Some(lie.to_owned()),
            scope: Some(lie.to_owned()),
            at_ms: 0,
        };
        card.stage = Stage::Denied(who);
        telegram.edit(&posted, &card).await.unwrap();
        telegram.reply(&posted, &format!("{lie}\nend")).await.unwrap();
        let to = ReplyTo { place: group(), address: None, user: String::new() };
        telegram.tell(&to, &format!("queue:\n{lie}")).await.unwrap();
        let entry = card.entry.clone();
        let digest = Digest { some: vec![entry; 3], waiting: 9, answered: 1, page: None };
        telegram.digest(&group(), None, &digest).await.unwrap();
    }
    for message in fake.messages() {
        assert_eq!(message.live, [""; 0], "{}", message.text);
        assert!(!message.text.contains(['\u{202e}', '\u{2066}', '\u{200b}', '\u{200d}']));
    }
    assert_eq!(fake.messages().len(), 8 * 4);
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn what_is_very_long_is_folded_to_what_telegram_takes() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    let long = "😀é @all ".repeat(50_000);
    let mut card = card(&["echo", &long]);
    card.entry.warnings = vec![long.clone(); 20];
    card.entry.labels.insert("a".to_owned(), long.clone());
    touching(&mut card.entry, &vec![(&*long, "file"); 16]);
    let posted = telegram.post(&group(), &card).await.unwrap();
    telegram.reply(&posted, &format!("{long}END")).await.unwrap();
    let to = ReplyTo { place: group(), address: None, user: String::new() };
    telegram.tell(&to, &long).await.unwrap();
    let messages = fake.messages();
    assert!(messages[0].text.contains("Not the whole command: "));
    assert!(messages[1].text.starts_with("(+") && messages[1].text.ends_with("END"));
    assert!(messages[2].text.ends_with(" characters)"));
    for message in &messages {
        assert!(message.text.encode_utf16().count() > 3500);
        assert_eq!(message.live, [""; 0]);
    }
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn failures_say_whether_to_try_again_and_never_the_token() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    let post = async |fault| {
        fake.fail("sendMessage", fault);
        telegram.post(&group(), &card(&["ls"])).await.unwrap_err()
    };
    assert_eq!(post(Fault::TooMany(7)).await, Failure::Later(Duration::from_secs(7)));
    assert!(matches!(post(Fault::TooMany(u64::MAX)).await, Failure::Later(_)));
    for fault in [
        Fault::Says(500, "Internal Server Error"),
        Fault::Page(502),
        Fault::Page(200),
        Fault::Garbage,
        Fault::Drop,
    ] {
        let failure = post(fault.clone()).await;
        assert!(matches!(failure, Failure::Now(_)), "{fault:?}: {failure:?}");
        assert!(!format!("{failure:?}").contains(TOKEN), "{failure:?}");
    }
    assert!(matches!(post(Fault::Page(429)).await, Failure::Later(_)));
    for (fault, remedy) in [
        (Fault::Says(401, "Unauthorized"), "@BotFather"),
        (Fault::Page(404), "@BotFather"),
        (Fault::Says(400, "Bad Request: chat not found"), "Add the bot to the group"),
        (Fault::Says(403, "Forbidden: bot was blocked by the user"), "unblock it"),
        (
            Fault::Says(400, "Bad Request: not enough rights to send text messages to the chat"),
            "let the bot write",
        ),
        (Fault::Says(400, TOKEN), "[token]"),
    ] {
        let failure = post(fault).await;
        let Failure::Never(why) = &failure else { panic!("{failure:?}") };
        assert!(why.contains(remedy) && !why.contains(TOKEN), "{why}");
    }
    assert!(fake.messages().is_empty());
    let failure = telegram.post("-999", &card(&["ls"])).await.unwrap_err();
    assert!(matches!(failure, Failure::Never(_)));
    fake.kick(GROUP);
    let failure = telegram.post(&group(), &card(&["ls"])).await.unwrap_err();
    assert!(matches!(failure, Failure::Never(_)));
    assert!(matches!(telegram.post("general", &card(&["ls"])).await, Err(Failure::Never(_))));
}

#[tokio::test]
async fn an_edit_whose_answer_is_lost_is_well_the_next_time() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    let mut card = card(&["ls"]);
    let posted = telegram.post(&group(), &card).await.unwrap();
    card.stage = Stage::Expired;
    fake.fail("editMessageText", Fault::Lost);
    assert!(matches!(telegram.edit(&posted, &card).await, Err(Failure::Now(_))));
    telegram.edit(&posted, &card).await.unwrap();
    assert_eq!(fake.last(GROUP).unwrap().edits, 1);
}

#[tokio::test]
async fn a_message_that_is_gone_is_never_edited() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    let mut card = card(&["ls"]);
    let posted = telegram.post(&group(), &card).await.unwrap();
    card.stage = Stage::Expired;
    fake.fail("editMessageText", Fault::Says(400, "Bad Request: message can't be edited"));
    assert!(matches!(telegram.edit(&posted, &card).await, Err(Failure::Never(_))));
    fake.delete(GROUP, posted.message.parse().unwrap());
    assert!(matches!(telegram.edit(&posted, &card).await, Err(Failure::Never(_))));
    telegram.reply(&posted, "below nothing").await.expect("what is said is said without it");
    let nonsense = Posted { message: "x".to_owned(), ..posted };
    assert!(matches!(telegram.edit(&nonsense, &card).await, Err(Failure::Never(_))));
}

#[tokio::test]
async fn a_digest_is_one_message_that_changes() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    let entry = card(&["ls", "-l"]).entry;
    let mut digest = Digest { some: vec![entry; 2], waiting: 12, answered: 0, page: None };
    let posted = telegram.digest(&group(), None, &digest).await.unwrap();
    digest.answered = 5;
    assert_eq!(telegram.digest(&group(), Some(&posted), &digest).await.as_ref(), Ok(&posted));
    assert_eq!(telegram.digest(&group(), Some(&posted), &digest).await.as_ref(), Ok(&posted));
    let message = fake.last(GROUP).unwrap();
    assert!(
        message
            .text
            .starts_with("⏳ Many commands wait: 12, and answered are 5\n0190 in web: ls -l\n")
    );
    let buttons: Vec<_> = message.buttons.iter().map(|(text, _)| text.as_str()).collect();
    let expected = ["Deny 0190", "Deny 0190", "Deny these 2"];
    assert_eq!(buttons, expected, "nothing is approved by what does not show it whole");
    fake.delete(GROUP, message.id);
    let again = telegram.digest(&group(), Some(&posted), &digest).await.unwrap();
    assert_ne!(again, posted);
    assert_eq!(fake.messages().len(), 1);
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn a_tap_is_answered_and_an_old_one_is_left_alone() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    telegram.post(&group(), &card(&["ls"])).await.unwrap();
    let message = fake.last(GROUP).unwrap();
    let tap = fake.tap(ALICE, &message, "Deny");
    telegram.tell(&tapped(&tap), "denied").await.unwrap();
    let answer = fake.answer_of(&tap).unwrap();
    assert_eq!((&*answer.text, answer.is_alert), ("denied", false));
    let tap = fake.tap(ALICE, &message, "Deny");
    telegram.tell(&tapped(&tap), &"é".repeat(500)).await.unwrap();
    let answer = fake.answer_of(&tap).unwrap();
    assert!(answer.is_alert && answer.text.ends_with("é…(+340 characters)"), "{answer:?}");
    fake.let_taps_get_old();
    telegram.tell(&tapped(&tap), "too late").await.unwrap();
    assert_eq!(fake.messages().len(), 1);
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn a_group_that_moved_is_followed() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    fake.add_chat(-5, "group");
    let before = telegram.post("-5", &card(&["ls"])).await.unwrap();
    fake.migrate(-5, -1_005);
    let after = telegram.post("-5", &card(&["ls"])).await.unwrap();
    assert_eq!(after.place, "-1005");
    telegram.post("-5", &card(&["pwd"])).await.unwrap();
    assert_eq!(fake.calls("sendMessage").len(), 4, "the id is remembered");
    let mut record = card(&["ls"]);
    record.stage = Stage::Expired;
    telegram.edit(&after, &record).await.unwrap();
    // The old number may be another message's in the supergroup.
    assert!(matches!(telegram.edit(&before, &record).await, Err(Failure::Never(_))));
    let digest = Digest { some: vec![], waiting: 3, answered: 0, page: None };
    let there = telegram.digest("-5", Some(&before), &digest).await.unwrap();
    assert_eq!(there.place, "-1005");
}

#[tokio::test]
async fn a_topic_is_a_place() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    fake.add_topic(GROUP, 17);
    let place = format!("{GROUP}/17");
    let posted = telegram.post(&place, &card(&["ls"])).await.unwrap();
    assert_eq!(posted.place, place);
    telegram.reply(&posted, "output").await.unwrap();
    assert!(fake.messages().iter().all(|message| message.thread == Some(17)));
    let failure = telegram.post(&format!("{GROUP}/18"), &card(&["ls"])).await.unwrap_err();
    assert!(failure.to_string().contains("the topic is not there"), "{failure}");
}
