//! A shim waits, a message is there, somebody taps, the command runs, and the message says so: by the channels of a real
//! warden, at services on loopback that behave as their documentation says.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::slack;
use crate::support::{House, text, until};
use crate::telegram;

const POLICY: &str = "
default_action: deny
rules:
  - {command: touch, action: ask, reason: look first}
";

/// A file that nobody else reads.
pub(crate) fn secret(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A house with this channel, whose warden is started with these further arguments.
pub(crate) fn house(
    people: &str,
    policy: &str,
    extra: &[&str],
    channel: impl Fn(&Path) -> String,
) -> House {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let settings = format!("{people}notify:\n  - {}\n", channel(dir.path()));
    let config = dir.path().join("warden.yaml");
    fs::write(&config, settings).unwrap();
    let config = config.to_str().unwrap().to_owned();
    House::within(dir, &[], policy, &[&["--config", &config], extra].concat())
}

/// Alice by her user of Slack.
pub(crate) fn people_of_slack() -> String {
    format!("people: {{alice: ['slack:{}/{}']}}\n", slack::TEAM, slack::ALICE)
}

/// Alice by her user of Telegram.
pub(crate) const PEOPLE_OF_TELEGRAM: &str = "people: {alice: ['telegram:42']}\n";

/// A channel of this Slack, with its secrets in this folder.
pub(crate) fn slack_channel(folder: &Path, fake: &slack::Slack) -> String {
    format!(
        "{{name: ops, kind: slack, token_file: '{}', app_token_file: '{}', api: '{}', to: {}}}",
        secret(folder, "bot", slack::BOT_TOKEN),
        secret(folder, "app", slack::APP_TOKEN),
        fake.api(),
        slack::CHANNEL
    )
}

/// A channel of this Telegram, with its secret in this folder.
pub(crate) fn telegram_channel(folder: &Path, fake: &telegram::Telegram) -> String {
    format!(
        "{{name: phone, kind: telegram, token_file: '{}', api: '{}', to: {}}}",
        secret(folder, "bot", telegram::TOKEN),
        fake.api(),
        telegram::GROUP
    )
}

fn in_slack(fake: &slack::Slack) -> House {
    house(&people_of_slack(), POLICY, &[], |folder| slack_channel(folder, fake))
}

fn in_telegram(fake: &telegram::Telegram) -> House {
    house(PEOPLE_OF_TELEGRAM, POLICY, &[], |folder| telegram_channel(folder, fake))
}

fn ask(house: &House, word: &str) -> Child {
    let mut command = house.shimmed("touch");
    command.arg(word).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

/// Until what was posted is on the disk, a bridge that is killed posts it again.
pub(crate) fn remembered(house: &House, name: &str, message: &str) {
    until("the message to be remembered", || {
        let file = house.path(&format!("ledger.jsonl.bridges/{name}.jsonl"));
        let posted = format!("\"message\":\"{message}\"");
        fs::read_to_string(file).unwrap_or_default().contains(&posted).then_some(())
    });
}

pub(crate) fn says_no_secret(house: &House, secrets: &[&str]) {
    for file in ["warden.log", "ledger.jsonl"] {
        let said = fs::read_to_string(house.path(file)).unwrap();
        assert!(secrets.iter().all(|secret| !said.contains(secret)), "{file}");
    }
    let status = text(&house.cli(&["status", "--json"]).stdout);
    assert!(secrets.iter().all(|secret| !status.contains(secret)), "{status}");
}

#[test]
fn a_tap_in_slack_runs_the_command_and_the_message_is_its_record() {
    let fake = slack::Slack::start();
    let mut house = in_slack(&fake);
    fake.wait_for_sockets(1);
    let child = ask(&house, "one");
    let message = fake.message();
    let start = Instant::now();
    fake.tap(&message, "approve", slack::ALICE);
    assert!(child.wait_with_output().unwrap().status.success());
    let ran = start.elapsed();
    let record = |ts: &str, house: &House| {
        let says = || {
            fake.state(|state| {
                let message = state.messages.iter().find(|message| message.ts == ts);
                message.unwrap().payload.to_string()
            })
        };
        let start = Instant::now();
        while !(says().contains("alice") && says().contains("xit")) {
            let late = start.elapsed().as_secs() > 10;
            assert!(!late, "{}\n{:#?}", says(), house.ledger());
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    record(&message.ts, &house);
    eprintln!(
        "slack: from the tap to the end of the command {ran:?}, to its record {:?}",
        start.elapsed()
    );
    // The warden, and its bridge with it, is killed in between.
    let child = ask(&house, "two");
    let message = fake.message_with("two");
    remembered(&house, "ops", &message.ts);
    house.crash();
    house.restart();
    fake.wait_for_sockets(1);
    fake.tap(&message, "approve", slack::ALICE);
    assert!(child.wait_with_output().unwrap().status.success());
    record(&message.ts, &house);
    assert!(house.path("one").exists() && house.path("two").exists());
    let tried = house.cli(&["notify", "test", "ops"]);
    assert!(tried.status.success(), "{}", text(&tried.stdout));
    assert_eq!(fake.state(|state| state.problems.clone()), Vec::<String>::new());
    says_no_secret(&house, &[slack::BOT_TOKEN, slack::APP_TOKEN]);
}

#[test]
fn a_tap_in_slack_by_somebody_who_is_nobody_runs_nothing() {
    let fake = slack::Slack::start();
    let house = in_slack(&fake);
    fake.wait_for_sockets(1);
    let mut child = ask(&house, "made");
    let message = fake.message();
    fake.tap(&message, "approve", slack::BOB);
    let told = |says: &str| {
        fake.wait(says, |state| {
            state.responses.iter().any(|(_, said)| said.to_string().contains(says)).then_some(())
        });
    };
    told("pair CODE");
    assert!(child.try_wait().unwrap().is_none() && !house.path("made").exists());
    let made = house.cli(&["people", "pair", "alice", "--json"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let code: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let code = code["code"].as_str().unwrap();
    let said = fake.typed(&format!("pair {code}"), slack::BOB);
    fake.deliver("slash_commands", &said);
    told("You are alice");
    fake.tap(&message, "approve", slack::BOB);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_tap_in_telegram_runs_the_command_and_the_message_is_its_record() {
    let fake = telegram::Telegram::start();
    let mut house = in_telegram(&fake);
    let child = ask(&house, "one");
    let message = until("a message", || fake.last(telegram::GROUP));
    let approve = |message: &telegram::Message| {
        let buttons = fake.message(message.chat, message.id).unwrap().buttons;
        let (text, _) = buttons.into_iter().find(|(text, _)| text.contains("Approve")).unwrap();
        fake.tap(telegram::ALICE, message, &text);
    };
    let start = Instant::now();
    approve(&message);
    assert!(child.wait_with_output().unwrap().status.success());
    let ran = start.elapsed();
    let record = |id: i64| {
        until("the record", || {
            let says = fake.message(telegram::GROUP, id)?.text;
            (says.contains("alice") && says.contains("xit")).then_some(())
        });
    };
    record(message.id);
    eprintln!(
        "telegram: from the tap to the end of the command {ran:?}, to its record {:?}",
        start.elapsed()
    );
    let child = ask(&house, "two");
    let message = until("another message", || {
        fake.messages().into_iter().find(|message| message.text.contains("two"))
    });
    remembered(&house, "phone", &message.id.to_string());
    house.crash();
    house.restart();
    approve(&message);
    assert!(child.wait_with_output().unwrap().status.success());
    record(message.id);
    let tried = house.cli(&["notify", "test", "phone"]);
    assert!(tried.status.success(), "{}", text(&tried.stdout));
    assert_eq!(fake.violations(), Vec::<String>::new());
    says_no_secret(&house, &[telegram::TOKEN]);
}

#[test]
fn a_tap_in_telegram_by_somebody_who_is_called_alike_runs_nothing() {
    let fake = telegram::Telegram::start();
    let house = in_telegram(&fake);
    let mut child = ask(&house, "made");
    let message = until("a message", || fake.last(telegram::GROUP));
    let shown = fake.message(message.chat, message.id).unwrap();
    let (button, _) = shown.buttons.iter().find(|(text, _)| text.contains("Approve")).unwrap();
    let tap = fake.tap(telegram::MALLORY, &message, button);
    until("an answer to the tap", || fake.answer_of(&tap));
    let refused = house.event("control_refused");
    assert!(refused["why"].as_str().unwrap().contains("telegram:66"), "{refused}");
    assert!(child.try_wait().unwrap().is_none() && !house.path("made").exists());
    child.kill().unwrap();
    child.wait().unwrap();
}
