//! A whole bridge: a warden that asks, the core, and Telegram.

use clawrden_api::QueueEntry;
use clawrden_bridge::bridge::{Bridge, Options};
use clawrden_bridge::floods::Flood;
use clawrden_bridge::routes::Routes;
use clawrden_bridge::standing::Standing;
use serde_json::json;
use tempfile::TempDir;

use super::fake::{ALICE, BOB, Fault, GROUP, MALLORY, Message, TapAnswer};
use super::warden::{CODE, FakeWarden};
use super::*;

struct House {
    fake: fake::Telegram,
    warden: FakeWarden,
    folder: TempDir,
    standing: Standing,
    running: Option<JoinHandle<()>>,
}

/// An id as the warden makes them.
fn id(n: u32) -> String {
    format!("0190f3a1c2d34e5f8a9b0c1d{n:08x}")
}

fn asked(n: u32, argv: &[&str]) -> QueueEntry {
    QueueEntry { id: id(n), callers: 1, expires_ms: u64::MAX / 2, ..card(argv).entry }
}

impl House {
    async fn start() -> Self {
        let warden = FakeWarden::with(&[("telegram:42", "alice")]);
        let (fake, folder) = (fake::Telegram::start(), tempfile::tempdir().unwrap());
        let standing = Standing::default();
        let mut house = Self { fake, warden, folder, standing, running: None };
        house.open().await;
        house
    }

    async fn open(&mut self) {
        let options = Options {
            name: "ops".to_owned(),
            state: self.folder.path().to_owned(),
            routes: Routes { routes: Vec::new(), default: vec![group()] },
            flood: Flood { posts: 1000, ..Flood::default() },
            page: None,
            tail: true,
        };
        self.standing = Standing::default();
        let warden = Arc::new(self.warden.clone());
        let service = Arc::new(bot(&self.fake));
        let bridge = Bridge::open(service, warden, self.standing.clone(), options).unwrap();
        self.running = Some(tokio::spawn(bridge.run()));
        let follows = || self.standing.state().follows.then_some(());
        soon("the bridge follows the warden", follows).await;
    }

    /// As a crash does.
    async fn crash(&mut self) {
        let running = self.running.take().unwrap();
        running.abort();
        let _ = running.await;
    }

    /// The message of a request, once it says this.
    async fn message(&self, n: u32, says: &str) -> Message {
        soon(says, || {
            let mut messages = self.fake.messages().into_iter();
            messages
                .find(|it| it.text.contains(&id(n)) && !it.forces_reply && it.text.contains(says))
        })
        .await
    }

    /// Until what was posted is on the disk, a bridge that is killed posts it again.
    async fn remembers(&self, message: &Message) {
        let posted = format!("\"message\":\"{}\"", message.id);
        let file = self.folder.path().join("ops.jsonl");
        soon("the message to be remembered", || {
            std::fs::read_to_string(&file).is_ok_and(|said| said.contains(&posted)).then_some(())
        })
        .await;
    }

    async fn told(&self, tap: &str) -> TapAnswer {
        soon("the tap is answered", || self.fake.answer_of(tap)).await
    }

    fn check(&self) {
        assert_eq!(self.fake.violations(), [""; 0]);
        for message in self.fake.messages() {
            assert_eq!(message.live, [""; 0], "{}", message.text);
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

#[tokio::test]
async fn from_the_question_to_the_record() {
    let house = House::start().await;
    house.warden.ask(&asked(1, &["npm", "install", "[x](tg://user?id=1)", "@all", "`id`"]));
    let message = house.message(1, "May this run?").await;
    assert!(message.text.contains("npm install '[x](tg://user?id=1)' @all '`id`'"));
    let tap = house.fake.tap(ALICE, &message, "Approve");
    house.message(1, "✅ Approved by alice through telegram").await;
    assert_eq!(house.told(&tap).await.text, "Approved.");
    let [(who, answer)] = &house.warden.answers()[..] else { panic!() };
    assert_eq!((&who[..], &answer.request, answer.approve), ("alice", &id(1), true));
    house.warden.finish(&id(1), 0);
    let record = house.message(1, "✅ Done, exit 0 after 3.2 s").await;
    assert!(record.buttons.is_empty());
    let tail = soon("the tail is said", || {
        house.fake.messages().into_iter().find(|it| it.reply_to == Some(record.id))
    })
    .await;
    assert_eq!(tail.text, "added 1 package\n@all /kill");
    house.check();
}

#[tokio::test]
async fn who_is_not_known_is_told_so_until_they_pair() {
    let house = House::start().await;
    house.warden.ask(&asked(1, &["ls"]));
    let message = house.message(1, "May this run?").await;
    // She has alice's name, which is worth nothing.
    let tap = house.fake.tap(MALLORY, &message, "Approve");
    let told = house.told(&tap).await;
    assert!(told.is_alert && told.text.contains("telegram:66"), "{told:?}");
    house.fake.say(MALLORY, GROUP, "/kill");
    soon("that is refused", || house.fake.last(GROUP).filter(|it| it.text.contains("telegram:66")))
        .await;
    assert_eq!(house.warden.stopped_by(), None);
    assert!(house.warden.answers().is_empty());

    house.fake.add_chat(BOB.id, "private");
    house.fake.say(BOB, BOB.id, "/pair 0000-0000");
    soon("a wrong code is refused", || house.fake.last(BOB.id)).await;
    house.fake.say(BOB, BOB.id, &format!("/pair {CODE}"));
    soon("he is bound", || house.fake.last(BOB.id).filter(|it| it.text.contains("You are bob")))
        .await;
    house.fake.tap(BOB, &message, "Deny");
    house.message(1, "⛔ Denied by bob through telegram").await;
    house.check();
}

#[tokio::test]
async fn a_reason_is_asked_for_and_taken_to_the_warden() {
    let house = House::start().await;
    house.warden.ask(&asked(1, &["rm", "-rf", "/app"]));
    let message = house.message(1, "May this run?").await;
    let tap = house.fake.tap(ALICE, &message, "Deny with a reason…");
    house.told(&tap).await;
    let question = house.fake.last(GROUP).unwrap();
    assert!(question.forces_reply);
    house.fake.answer(ALICE, &question, "use the trash");
    house.message(1, "⛔ Denied by alice").await;
    let (_, answer) = house.warden.answers().remove(0);
    assert_eq!((answer.approve, answer.body.reason.as_deref()), (false, Some("use the trash")));
    house.check();
}

#[tokio::test]
async fn a_late_tap_hears_who_was_faster_and_the_same_tap_counts_once() {
    let house = House::start().await;
    house.warden.ask(&asked(1, &["ls"]));
    let message = house.message(1, "May this run?").await;
    house.warden.answer_elsewhere(&id(1), "carol", false);
    let late = house.fake.tap_data(ALICE, &message, &format!("a:{}", id(1)));
    assert!(house.told(&late).await.text.contains("Already denied by carol"));
    house.fake.lose_confirmations(2);
    house.warden.ask(&asked(2, &["ls"]));
    let message = house.message(2, "May this run?").await;
    house.fake.tap(ALICE, &message, "Approve");
    house.message(2, "Approved by alice").await;
    soon("all is confirmed", || (house.fake.unconfirmed() == 0).then_some(())).await;
    assert_eq!(house.warden.answers().len(), 1);
    house.check();
}

#[tokio::test]
async fn a_crash_of_the_bridge_in_between_loses_nothing() {
    let mut house = House::start().await;
    house.warden.ask(&asked(1, &["ls"]));
    let message = house.message(1, "May this run?").await;
    house.remembers(&message).await;
    house.crash().await;
    house.fake.tap(ALICE, &message, "Approve");
    house.warden.ask(&asked(2, &["pwd"]));
    house.open().await;
    house.message(1, "Approved by alice").await;
    let second = house.message(2, "May this run?").await;
    house.remembers(&second).await;
    house.crash().await;
    house.warden.finish(&id(1), 7);
    house.open().await;
    let record = house.message(1, "❌ Failed, exit 7").await;
    assert_eq!(record.id, message.id, "it is the same message");
    let cards = house.fake.messages().iter().filter(|it| it.reply_to.is_none()).count();
    assert_eq!(cards, 2);
    house.check();
}

#[tokio::test]
async fn a_warden_that_is_away_in_between_loses_no_tap() {
    let house = House::start().await;
    house.warden.ask(&asked(1, &["ls"]));
    let message = house.message(1, "May this run?").await;
    house.warden.set_away(true);
    let tap = house.fake.tap(ALICE, &message, "Approve");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(house.fake.answer_of(&tap), None, "nothing is said before it is so");
    house.warden.set_away(false);
    house.message(1, "Approved by alice").await;
    assert_eq!(house.told(&tap).await.text, "Approved.");
    assert_eq!(house.warden.answers().len(), 1);
}

#[tokio::test]
async fn bad_weather_at_telegram_delays_and_loses_nothing() {
    let house = House::start().await;
    for fault in [Fault::TooMany(1), Fault::Page(502), Fault::Garbage, Fault::Drop] {
        house.fake.fail("sendMessage", fault);
    }
    house.warden.ask(&asked(1, &["ls"]));
    let message = house.message(1, "May this run?").await;
    for fault in [Fault::Drop, Fault::Lost] {
        house.fake.fail("editMessageText", fault);
    }
    house.fake.fail("answerCallbackQuery", Fault::Page(502));
    house.fake.fail("getUpdates", Fault::Garbage);
    let tap = house.fake.tap(ALICE, &message, "For the session");
    house.message(1, "Approved by alice").await;
    house.told(&tap).await;
    assert_eq!(house.fake.messages().len(), 1);
    house.check();
}

#[tokio::test]
async fn commands_do_what_they_say() {
    let house = House::start().await;
    house.warden.ask(&asked(1, &["echo", "@all"]));
    house.message(1, "May this run?").await;
    for (text, says) in [
        ("/status", "1 waiting"),
        ("/queue", "echo @all"),
        ("/help", "resume [JAIL]"),
        ("/kill", "Everything is stopped"),
        ("/status", "STOPPED by alice"),
        ("/resume", "Everything goes on"),
    ] {
        let said = house.fake.write(ALICE, GROUP, text, &json!({}));
        let told = soon("it is answered", || {
            house.fake.messages().into_iter().find(|it| it.reply_to == Some(said))
        })
        .await;
        assert!(told.text.contains(says), "{text}: {}", told.text);
    }
    assert_eq!(house.warden.stopped_by(), None);
    house.check();
}

#[tokio::test]
async fn what_lets_go_and_comes_late_undoes_no_newer_stop() {
    let house = House::start().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    house.warden.stop_elsewhere(u64::try_from(now.as_millis()).unwrap());
    // Said before that, and delivered a minute later.
    let date = json!({ "date": now.as_secs() - 60 });
    let said = house.fake.write(ALICE, GROUP, "/resume", &date);
    let told = soon("it is answered", || {
        house.fake.messages().into_iter().find(|it| it.reply_to == Some(said))
    })
    .await;
    assert!(told.text.contains("after this was said"), "{}", told.text);
    assert_eq!(house.warden.stopped_by().as_deref(), Some("root"));
}

#[tokio::test]
async fn a_tap_that_telegram_need_not_send_again_is_done_though_the_bridge_dies_before_it_is() {
    let mut house = House::start().await;
    house.warden.ask(&asked(1, &["ls"]));
    let message = house.message(1, "May this run?").await;
    house.warden.set_away(true);
    house.fake.tap(ALICE, &message, "Approve");
    soon("it is confirmed", || (house.fake.unconfirmed() == 0).then_some(())).await;
    house.crash().await;
    house.warden.set_away(false);
    house.open().await;
    house.message(1, "Approved by alice").await;
    assert_eq!(house.warden.answers().len(), 1);
    house.check();
}
