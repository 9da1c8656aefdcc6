//! Channels as settings describe them, each in a real warden: how they are called, what they look like, and which places are
//! told of what.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::apart::Apart;
use crate::slack;
use crate::support::hook::{Hook, Received, free};
use crate::support::{House, text, until};
use crate::taps::{PEOPLE_OF_TELEGRAM, house, people_of_slack, says_no_secret, secret};
use crate::telegram;

const POLICY: &str = "
default_action: deny
rules:
  - {command: touch, action: ask, reason: look first}
  - {command: rm, action: ask, approvers: [alice]}
";

/// How long Slack waits for an answer to a call.
const SLACK_WAITS: Duration = Duration::from_secs(3);

fn ask(house: &House, tool: &str, word: &str) -> Child {
    ask_in(house, "default", tool, word)
}

fn ask_in(house: &House, jail: &str, tool: &str, word: &str) -> Child {
    let mut command = house.shimmed(tool);
    if jail != "default" {
        command.env("CLAWRDEN_SOCKET", house.path("jails").join(jail).join("warden.sock"));
    }
    command.args(["--", word]).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

/// A Slack that calls.
fn called_by_slack(folder: &Path, fake: &slack::Slack, listen: SocketAddr) -> String {
    format!(
        "{{name: ops, kind: slack, token_file: '{}', secret_file: '{}', listen: '{listen}', api: '{}', to: {}}}",
        secret(folder, "bot", slack::BOT_TOKEN),
        secret(folder, "signing", slack::SIGNING_SECRET),
        fake.api(),
        slack::CHANNEL
    )
}

#[test]
fn a_slack_that_calls_is_heard_by_what_the_settings_say() {
    let (fake, listen) = (slack::Slack::start(), free());
    let house =
        house(&people_of_slack(), POLICY, &[], |folder| called_by_slack(folder, &fake, listen));
    house.is_heard_in("slack");
    let mut child = ask(&house, "rm", "one");
    let message = fake.message_with("one");
    fs::write(house.path("one"), "").unwrap();
    let tap = fake.tapped(&message, "approve", slack::ALICE);
    let encoded = tap.to_string().replace('%', "%25").replace('&', "%26").replace('+', "%2B");
    let forged =
        fake.call_signed(listen, &format!("payload={encoded}"), "another secret", slack::now());
    assert_eq!(forged.0, 401);
    assert!(child.try_wait().unwrap().is_none());
    let start = Instant::now();
    assert_eq!(fake.call(listen, &tap), (200, String::new()));
    assert!(start.elapsed() < SLACK_WAITS, "{:?}", start.elapsed());
    assert!(child.wait().unwrap().success() && !house.path("one").exists());
    fake.wait("the record", |state| {
        let said = state.messages.iter().find(|it| it.ts == message.ts)?.payload.to_string();
        (said.contains("alice") && said.contains("exit code 0")).then_some(())
    });
    let tried = house.cli(&["notify", "test", "ops"]);
    assert!(tried.status.success(), "{}", text(&tried.stdout));
    assert_eq!(fake.state(|state| state.opened), 0, "no socket was wanted");
    assert_eq!(fake.faults_found(), Vec::<String>::new());
    says_no_secret(&house, &[slack::BOT_TOKEN, slack::SIGNING_SECRET]);
}

#[test]
fn a_slack_that_calls_is_answered_in_time_while_the_warden_is_away() {
    let (fake, listen) = (slack::Slack::start(), free());
    let mut apart = Apart::with("slack", &people_of_slack(), POLICY, |folder| {
        called_by_slack(folder, &fake, listen)
    });
    apart.house.is_heard_in("slack");
    let child = ask(&apart.house, "touch", "one");
    let message = fake.message_with("one");
    apart.house.crash();
    let start = Instant::now();
    let tap = fake.tapped(&message, "approve", slack::ALICE);
    assert_eq!(fake.call(listen, &tap), (200, String::new()));
    assert!(start.elapsed() < SLACK_WAITS, "{:?}", start.elapsed());
    apart.house.restart();
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(apart.house.path("one").exists());
}

#[test]
fn a_telegram_that_calls_is_heard_by_what_the_settings_say() {
    const URL: &str = "https://bridge.example/telegram/in";
    const SECRET: &str = "a_secret-of_our_own";
    let (fake, listen) = (telegram::Telegram::start(), free());
    fake.deliver_to(listen);
    let house = house(PEOPLE_OF_TELEGRAM, POLICY, &[], |folder| {
        format!(
            "{{name: phone, kind: telegram, token_file: '{}', secret_file: '{}', url: '{URL}', listen: '{listen}', \
             api: '{}', to: {}}}",
            secret(folder, "bot", telegram::TOKEN),
            secret(folder, "hook", SECRET),
            fake.api(),
            telegram::GROUP
        )
    });
    house.is_heard_in("telegram");
    assert_eq!(fake.webhook(), Some((URL.to_owned(), Some(SECRET.to_owned()))));
    fs::write(house.path("one"), "").unwrap();
    let mut child = ask(&house, "rm", "one");
    let message = until("a message", || fake.last(telegram::GROUP));
    let mut stream = TcpStream::connect(listen).unwrap();
    let forged = "POST /telegram/in HTTP/1.1\r\nhost: x\r\nx-telegram-bot-api-secret-token: another\r\n\
                  connection: close\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(forged.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(child.try_wait().unwrap().is_none());
    fake.tap(telegram::ALICE, &message, "Approve");
    assert!(child.wait().unwrap().success() && !house.path("one").exists());
    until("the record", || {
        let says = fake.message(telegram::GROUP, message.id)?.text;
        (says.contains("alice") && says.contains("exit 0")).then_some(())
    });
    assert!(fake.deliveries().iter().all(|status| *status == 200), "{:?}", fake.deliveries());
    assert!(fake.calls("getUpdates").is_empty());
    let tried = house.cli(&["notify", "test", "phone"]);
    assert!(tried.status.success(), "{}", text(&tried.stdout));
    assert_eq!(fake.violations(), Vec::<String>::new());
    says_no_secret(&house, &[telegram::TOKEN, SECRET]);
}

/// A house that tells this receiver in this form, by these further settings; what it was told about a `touch` that was
/// approved, up to its end.
fn told(hook: &Hook, template: &str, more: impl Fn(&Path) -> String) -> Vec<Received> {
    let house = house("people: {alice: ['webhook:alice']}\n", POLICY, &[], |folder| {
        format!(
            "{{name: chat, kind: webhook, template: {template}, url: 'http://{}/hooks/1'{}}}",
            hook.address,
            more(folder)
        )
    });
    until("it to connect", || {
        let channel = house.json(&["notify", "--json"])["channels"][0].clone();
        (channel["connected"] == true).then_some(())
    });
    // Who is told by it cannot answer by it.
    assert_eq!(ask(&house, "rm", "x").wait().unwrap().code(), Some(126));
    let child = ask(&house, "touch", "`one` @all <!here>");
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    until("a message", || hook.received().first().cloned());
    assert!(house.cli(&["approve", &short]).status.success());
    assert!(child.wait_with_output().unwrap().status.success());
    until("what came of it", || {
        let all = hook.received();
        // A title may be a header.
        let says = |text: &str| text.contains("it ended well");
        all.iter().any(|call| says(&call.body) || says(&call.head)).then_some(all)
    })
}

fn json(call: &Received) -> Value {
    serde_json::from_str(&call.body).unwrap()
}

#[test]
fn a_webhook_with_the_template_discord_posts_and_edits() {
    let all = told(&Hook::answering(r#"{"id": "42"}"#), "discord", |_| String::new());
    assert_eq!(all[0].asked, "POST /hooks/1?wait=true");
    assert!(all[1..].iter().all(|call| call.asked == "PATCH /hooks/1/messages/42"), "{all:?}");
    for call in &all {
        let said = json(call);
        assert_eq!(said["allowed_mentions"], serde_json::json!({"parse": []}));
        let content = said["content"].as_str().unwrap();
        assert!(content.contains("touch") && content.chars().count() <= 2_000, "{content}");
        assert_eq!(content.matches('`').count(), 6, "nothing ends the code: {content}");
    }
    assert!(json(&all[0])["content"].as_str().unwrap().contains("A command waits for an answer"));
}

#[test]
fn a_webhook_with_the_template_mattermost_says_what_came_of_it_in_another_message() {
    let all = told(&Hook::new(), "mattermost", |_| String::new());
    assert!(all.iter().all(|call| call.asked == "POST /hooks/1"), "{all:?}");
    let said: Vec<String> =
        all.iter().map(|call| json(call)["text"].as_str().unwrap().to_owned()).collect();
    assert!(said[0].contains("A command waits for an answer"), "{said:?}");
    assert!(said.last().unwrap().contains("Approved by"), "{said:?}");
    assert!(said.iter().all(|text| text.matches('`').count() == 6), "{said:?}");
}

#[test]
fn a_webhook_with_the_template_ntfy_says_title_text_and_the_token_of_its_file() {
    let token = "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2";
    let all = told(&Hook::new(), "ntfy", |folder| {
        format!(
            ", token_file: '{}', page: 'https://warden.example/'",
            secret(folder, "ntfy", token)
        )
    });
    let bearer = format!("authorization: bearer {}", token.to_ascii_lowercase());
    for call in &all {
        assert_eq!(call.asked, "POST /hooks/1");
        for header in [
            &bearer[..],
            "content-type: text/plain; charset=utf-8",
            "x-click: https://warden.example/",
        ] {
            assert!(call.head.contains(header), "{}", call.head);
        }
        assert!(call.body.contains("touch") && call.body.len() <= 4_096, "{}", call.body);
    }
    assert!(all[0].head.contains("x-title: a command waits for an answer"), "{}", all[0].head);
    assert!(all.last().unwrap().head.contains("x-title: approved by"), "{:?}", all.last());
}

#[test]
fn a_desktop_shows_what_waits_and_is_no_way_to_answer() {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let tools = dir.path().join("tools");
    fs::create_dir(&tools).unwrap();
    let (program, shown) = (tools.join("notify-send"), dir.path().join("shown"));
    fs::write(&program, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\n", shown.display()))
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let config = dir.path().join("warden.yaml");
    let people = "people: {alice: ['webhook:alice']}\n";
    fs::write(&config, format!("{people}notify:\n  - {{name: desk, kind: desktop}}\n")).unwrap();
    let path = format!("PATH={}:{}", tools.display(), std::env::var("PATH").unwrap());
    let extra = ["--config", config.to_str().unwrap()];
    let house = House::within(dir, &["env", &path], POLICY, &extra);
    until("it to connect", || {
        let channel = house.json(&["notify", "--json"])["channels"][0].clone();
        (channel["connected"] == true).then_some(())
    });
    assert_eq!(ask(&house, "rm", "x").wait().unwrap().code(), Some(126), "nobody can answer");
    let status = house.json(&["status", "--json"]);
    assert!(status["bridges"].as_array().is_none_or(Vec::is_empty), "{status}");
    let child = ask(&house, "touch", "<b>one");
    let said = until("a notification", || {
        let said = fs::read_to_string(&shown).ok()?;
        said.contains("clawrden approve").then_some(said)
    });
    for part in ["--app-name=clawrden\n--\n", "A command waits for an answer\n", "&lt;b&gt;one"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("rm"), "of what was denied nobody is told: {said}");
    assert!(house.cli(&["approve", house.pending()["short"].as_str().unwrap()]).status.success());
    assert!(child.wait_with_output().unwrap().status.success());
    let tried = house.cli(&["notify", "test", "desk"]);
    assert!(tried.status.success(), "{}", text(&tried.stdout));
    assert!(fs::read_to_string(&shown).unwrap().contains("this is a test"));
}

const OTHER: &str = "C0000000002";
const THIRD: &str = "C0000000003";

/// The channels in which something is said of this word.
fn places(fake: &slack::Slack, word: &str) -> Vec<String> {
    let mut places: Vec<String> = fake.state(|state| {
        let about = state.messages.iter().filter(|it| it.payload.to_string().contains(word));
        about.map(|message| message.channel.clone()).collect()
    });
    places.sort();
    places
}

#[test]
fn routes_tell_by_jail_and_rule_one_place_or_two_or_nobody() {
    const POLICY: &str = "default_action: deny
jails: {web: {commands: [touch, rm]}, quiet: {commands: [touch, rm]}}
rules:
  - {command: touch, action: ask}
  - {command: rm, action: ask}
";
    let fake = slack::Slack::start();
    fake.change(|state| {
        for channel in [OTHER, THIRD] {
            let here = slack::Channel { is_member: true, is_archived: false };
            state.channels.insert(channel.to_owned(), here);
        }
    });
    let house = house(&people_of_slack(), POLICY, &[], |folder| {
        format!(
            "{{name: ops, kind: slack, token_file: '{}', app_token_file: '{}', api: '{}', to: {}, routes: [\
             {{jail: quiet, to: []}}, {{jail: web, rule: 'policy.yaml:5', to: [{OTHER}, {THIRD}, {OTHER}]}}, \
             {{rule: 'policy.yaml:*', jail: web, to: {OTHER}}}, {{rule: 'policy.yaml:5', to: {THIRD}}}]}}",
            secret(folder, "bot", slack::BOT_TOKEN),
            secret(folder, "app", slack::APP_TOKEN),
            fake.api(),
            slack::CHANNEL
        )
    });
    house.is_heard_in("slack");
    // It listens before it has made its jails, and answers after.
    house.json(&["status", "--json"]);
    for name in ["of-two", "of-quiet"] {
        fs::write(house.path(name), "").unwrap();
    }
    let quiet = ask_in(&house, "quiet", "rm", "of-quiet");
    house.pending();
    let all = [
        ask_in(&house, "default", "touch", "by-default"),
        ask_in(&house, "web", "touch", "of-web"),
        ask_in(&house, "default", "rm", "of-rule"),
    ];
    let two = ask_in(&house, "web", "rm", "of-two");
    for (word, wanted) in [
        ("by-default", vec![slack::CHANNEL]),
        ("of-web", vec![OTHER]),
        ("of-rule", vec![THIRD]),
        ("of-two", vec![OTHER, THIRD]),
    ] {
        until(word, || (places(&fake, word) == wanted).then_some(()));
    }
    // One tap in either place answers, and both become the record.
    let message = fake.wait("the message in the third", |state| {
        let mut all = state.messages.iter();
        let is_it = |it: &&slack::Message| it.payload.to_string().contains("of-two");
        all.find(|it| is_it(it) && it.channel == THIRD).cloned()
    });
    fake.tap(&message, "approve", slack::ALICE);
    assert!(two.wait_with_output().unwrap().status.success() && !house.path("of-two").exists());
    fake.wait("both records", |state| {
        let about = state.messages.iter().map(|it| it.payload.to_string());
        let ended = about.filter(|said| said.contains("of-two") && said.contains("exit code 0"));
        (ended.count() == 2).then_some(())
    });
    assert_eq!(places(&fake, "of-quiet"), Vec::<String>::new());
    let queue = house.json(&["queue", "--json"]);
    for entry in queue["entries"].as_array().unwrap() {
        assert!(house.cli(&["deny", entry["id"].as_str().unwrap()]).status.success());
    }
    for mut child in all.into_iter().chain([quiet]) {
        assert_eq!(child.wait().unwrap().code(), Some(126));
    }
    assert_eq!(places(&fake, "of-quiet"), Vec::<String>::new());
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[test]
fn several_chats_are_told_and_a_tap_in_one_is_the_record_in_all() {
    const OTHER: i64 = -1_001_000_000_002;
    let fake = telegram::Telegram::start();
    fake.add_chat(OTHER, "supergroup");
    let house = house(PEOPLE_OF_TELEGRAM, POLICY, &[], |folder| {
        format!(
            "{{name: phone, kind: telegram, token_file: '{}', api: '{}', to: [{}, {OTHER}]}}",
            secret(folder, "bot", telegram::TOKEN),
            fake.api(),
            telegram::GROUP
        )
    });
    house.is_heard_in("telegram");
    let child = ask(&house, "touch", "one");
    let [first, second] =
        [telegram::GROUP, OTHER].map(|chat| until("a message", || fake.last(chat)));
    fake.tap(telegram::ALICE, &second, "Approve");
    assert!(child.wait_with_output().unwrap().status.success());
    for message in [first, second] {
        until("the record", || {
            let says = fake.message(message.chat, message.id)?;
            let is_record = says.text.contains("alice") && says.text.contains("exit 0");
            (is_record && says.buttons.is_empty()).then_some(())
        });
    }
    assert_eq!(fake.messages().len(), 2);
    assert_eq!(fake.violations(), Vec::<String>::new());
}
