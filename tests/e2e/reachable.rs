//! Who has nothing but a chat can answer while their chat is heard, and told: not while the service refuses the bridge or
//! is away. Then what only they could answer is denied at once, and status, `notify` and metrics say why.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::apart::Apart;
use crate::slack;
use crate::support::{House, PATIENCE, text, until};
use crate::taps::{PEOPLE_OF_TELEGRAM, house, people_of_slack, slack_channel, telegram_channel};
use crate::telegram;

const POLICY: &str = "
default_action: deny
rules:
  - {command: touch, action: ask, approvers: [alice]}
";

fn ask(house: &House, word: &str) -> Child {
    let mut command = house.shimmed("touch");
    command.arg(word).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

/// What is asked is denied at once, as nobody can answer it.
fn is_denied(house: &House) {
    let denied = ask(house, "denied").wait_with_output().unwrap();
    assert_eq!(denied.status.code(), Some(126), "{}", text(&denied.stderr));
    assert!(text(&denied.stderr).contains("no approver"), "{}", text(&denied.stderr));
    assert!(!house.path("denied").exists());
}

/// What is asked is told there, and a tap lets it run.
fn is_answered(house: &House, fake: &slack::Slack, word: &str) {
    let child = ask(house, word);
    let message = fake.message_with(word);
    fake.tap(&message, "approve", slack::ALICE);
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(house.path(word).exists());
}

fn metric(house: &House, name: &str) -> String {
    let page = text(&house.cli(&["metrics"]).stdout);
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).trim().to_owned()
}

/// Whether the channel is not connected for this reason, whoever asks.
fn is_down(house: &House, (name, kind): (&str, &str), reason: &str, says: &str) {
    let channel = || house.json(&["notify", "--json"])["channels"][0].clone();
    let now = until(reason, || Some(channel()).filter(|now| now["reason"] == reason));
    assert_eq!((&now["connected"], &now["name"]), (&Value::from(false), &Value::from(name)));
    assert!(now["error"].as_str().unwrap().contains(says), "{now}");
    let listed = text(&house.cli(&["notify"]).stdout);
    assert!(listed.contains("not connected: "), "{listed}");
    let status = text(&house.cli(&["status"]).stdout);
    let line = status.lines().find(|line| line.starts_with(&format!("channel {name} ")));
    assert!(line.unwrap().contains(says), "{status}");
    let labels = format!("{{channel=\"{name}\",kind=\"{kind}\"");
    assert_eq!(metric(house, &format!("clawrden_channel_connected{labels}}}")), "0");
    let all = ["starting", "broken", "warden", "refused", "resting", "unreachable", "untold"];
    for other in all {
        let is_so = if other == reason { "1" } else { "0" };
        let name = format!("clawrden_channel_trouble{labels},reason=\"{other}\"}}");
        assert_eq!(metric(house, &name), is_so, "{other}");
    }
}

/// Waits until a bridge is known to the warden as one by which nobody can answer.
fn is_deaf(house: &House, service: &str, reason: &str) -> Value {
    until(&format!("{reason} to be known"), || {
        let bridge = house.json(&["status", "--json"])["bridges"][0].clone();
        (bridge["service"] == service && bridge["reason"] == reason).then_some(bridge)
    })
}

fn in_slack(fake: &slack::Slack) -> House {
    let house = house(&people_of_slack(), POLICY, &[], |folder| slack_channel(folder, fake));
    house.is_heard_in("slack");
    house
}

#[test]
fn nobody_answers_by_a_slack_that_takes_no_message_until_it_does_again() {
    let fake = slack::Slack::start();
    let house = in_slack(&fake);
    is_answered(&house, &fake, "one");
    fake.change(|state| state.revoked.insert(slack::BOT_TOKEN));
    // That is learnt by the first who asks, whom nobody is told of; people are heard all the while.
    let untold = ask(&house, "untold");
    is_down(&house, ("ops", "slack"), "refused", "token_revoked");
    assert_eq!(fake.state(|state| state.sockets.len()), 1);
    is_deaf(&house, "slack", "refused");
    is_denied(&house);
    assert_eq!(metric(&house, "clawrden_no_approver_total"), "1");
    assert_eq!(metric(&house, "clawrden_bridges{service=\"slack\"}"), "0");
    let status = text(&house.cli(&["status"]).stdout);
    assert!(status.contains("bridge to slack does not hear it"), "{status}");
    assert!(status.contains("1 request denied"), "{status}");
    // Put right, it is told what waits, once somebody tries it.
    fake.change(|state| state.revoked.clear());
    let tried = house.cli(&["notify", "test", "ops"]);
    assert!(tried.status.success(), "{}", text(&tried.stdout));
    house.is_heard_in("slack");
    let message = fake.message_with("untold");
    fake.tap(&message, "approve", slack::ALICE);
    assert!(untold.wait_with_output().unwrap().status.success());
    is_answered(&house, &fake, "two");
    assert_eq!(metric(&house, "clawrden_no_approver_total"), "1");
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[test]
fn nobody_answers_by_a_slack_that_lets_nobody_be_heard_until_it_does_again() {
    let fake = slack::Slack::start();
    let house = in_slack(&fake);
    fake.change(|state| state.revoked.insert(slack::APP_TOKEN));
    fake.cut();
    is_down(&house, ("ops", "slack"), "refused", "token_revoked");
    is_deaf(&house, "slack", "refused");
    is_denied(&house);
    fake.change(|state| state.revoked.clear());
    let tried = house.cli(&["notify", "test", "ops"]);
    assert!(tried.status.success(), "{}", text(&tried.stdout));
    house.is_heard_in("slack");
    is_answered(&house, &fake, "one");
}

#[test]
fn a_slack_that_is_away_counts_for_a_blink_and_is_back_by_itself() {
    let fake = slack::Slack::start();
    let house = in_slack(&fake);
    fake.change(|state| state.is_away = true);
    fake.cut();
    // A connection that is made again denies nothing.
    let mut waits = ask(&house, "w-1");
    house.pending();
    is_down(&house, ("ops", "slack"), "unreachable", "");
    is_deaf(&house, "slack", "unreachable");
    let mut tries = 0;
    let denied = until("what is asked to be denied", || {
        tries += 1;
        let mut child = ask(&house, &format!("try-{tries}"));
        let moment = Instant::now() + Duration::from_millis(500);
        while Instant::now() < moment {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        None
    });
    assert_eq!(denied.code(), Some(126));
    is_denied(&house);
    fake.change(|state| state.is_away = false);
    let back = Instant::now();
    while !house.json(&["notify", "--json"])["channels"][0]["connected"].as_bool().unwrap() {
        assert!(back.elapsed() < 2 * PATIENCE, "it does not come back");
        std::thread::sleep(Duration::from_millis(50));
    }
    house.is_heard_in("slack");
    let message = fake.within(2 * PATIENCE, |state| {
        state.messages.iter().find(|it| it.payload.to_string().contains("w-1")).cloned()
    });
    let message = message.expect("what waits is told");
    fake.tap(&message, "approve", slack::ALICE);
    assert!(waits.wait().unwrap().success());
}

#[test]
fn nobody_answers_by_a_telegram_whose_token_is_none_any_more_until_it_is_again() {
    let fake = telegram::Telegram::start();
    let house = house(PEOPLE_OF_TELEGRAM, POLICY, &[], |folder| telegram_channel(folder, &fake));
    house.is_heard_in("telegram");
    fake.fail("getUpdates", telegram::Fault::Says(401, "Unauthorized"));
    // The call that waits ends with whatever comes.
    fake.say(telegram::BOB, telegram::GROUP, "hello");
    is_down(&house, ("phone", "telegram"), "refused", "@BotFather");
    is_deaf(&house, "telegram", "refused");
    is_denied(&house);
    let tried = house.cli(&["notify", "test", "phone"]);
    assert!(tried.status.success(), "{}", text(&tried.stdout));
    house.is_heard_in("telegram");
    let child = ask(&house, "one");
    let message = until("a message", || {
        fake.messages().into_iter().find(|message| message.text.contains("one"))
    });
    fake.tap(telegram::ALICE, &message, "Approve");
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[test]
fn a_telegram_that_wants_rest_or_is_away_is_told_apart() {
    let fake = telegram::Telegram::start();
    for _ in 0..40 {
        fake.fail("getUpdates", telegram::Fault::Page(502));
    }
    let house = house(PEOPLE_OF_TELEGRAM, POLICY, &[], |folder| telegram_channel(folder, &fake));
    is_down(&house, ("phone", "telegram"), "unreachable", "not understood (status 502)");
    is_deaf(&house, "telegram", "unreachable");
    is_denied(&house);
    drop(house);
    let fake = telegram::Telegram::start();
    fake.fail("getUpdates", telegram::Fault::TooMany(3_600));
    let house =
        self::house(PEOPLE_OF_TELEGRAM, POLICY, &[], |folder| telegram_channel(folder, &fake));
    // An hour is too long to be deaf.
    is_down(&house, ("phone", "telegram"), "resting", "it asks for 600 s of rest");
    is_deaf(&house, "telegram", "resting");
    is_denied(&house);
}

#[test]
fn a_slack_that_wants_rest_has_ten_minutes_at_most() {
    let fake = slack::Slack::start();
    fake.fail("apps.connections.open", slack::Fault::Limited(3_600));
    let house = house(&people_of_slack(), POLICY, &[], |folder| slack_channel(folder, &fake));
    is_down(&house, ("ops", "slack"), "resting", "it asks for 600 s of rest");
    is_deaf(&house, "slack", "resting");
    is_denied(&house);
    let log = std::fs::read_to_string(house.path("warden.log")).unwrap();
    assert!(
        log.contains("nobody is heard there; it is tried again") && log.contains("seconds=600")
    );
}

#[test]
fn a_bridge_apart_tells_the_warden_how_its_service_is() {
    let fake = slack::Slack::start();
    let channel = |folder: &std::path::Path| slack_channel(folder, &fake);
    let apart = Apart::with("slack", &people_of_slack(), POLICY, channel);
    apart.house.is_heard_in("slack");
    is_answered(&apart.house, &fake, "one");
    fake.change(|state| state.revoked.insert(slack::APP_TOKEN));
    fake.cut();
    let bridge = is_deaf(&apart.house, "slack", "refused");
    assert!(bridge["token"].is_string(), "{bridge}");
    is_denied(&apart.house);
    let status = text(&apart.house.cli(&["status"]).stdout);
    let says = format!("the service refuses it, token {}", bridge["token"].as_str().unwrap());
    assert!(
        status.contains("bridge to slack does not hear it") && status.contains(&says),
        "{status}"
    );
    assert_eq!(metric(&apart.house, "clawrden_bridges{service=\"slack\"}"), "0");
}

#[test]
fn a_channel_whose_secret_cannot_be_read_is_broken_and_says_so() {
    let fake = slack::Slack::start();
    let house = house(&people_of_slack(), POLICY, &[], |folder| {
        slack_channel(folder, &fake).replace("bot'", "none'")
    });
    is_down(&house, ("ops", "slack"), "broken", "cannot be read");
    is_denied(&house);
    let status = house.json(&["status", "--json"]);
    assert!(status["bridges"].as_array().is_none_or(Vec::is_empty), "{status}");
}
