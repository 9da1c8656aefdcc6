//! The whole way of what people say in a chat, through a real warden: a yes for the session, what a command wrote, what is
//! secret of it, a yes that is confirmed elsewhere, two bridges at once, and what goes wrong between the message and the tap.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};

use crate::apart::Apart;
use crate::slack;
use crate::support::approvers::place;
use crate::support::chats::{exchange, send};
use crate::support::{House, clawrden, events, text, until};
use crate::taps::{
    PEOPLE_OF_TELEGRAM, house, people_of_slack, secret, slack_channel, telegram_channel,
};
use crate::telegram;

const POLICY: &str = "
default_action: deny
rules:
  - {command: touch, action: ask}
";

fn ask(house: &House, word: &str) -> Child {
    let mut command = house.shimmed("touch");
    command.arg(word).stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn in_slack(fake: &slack::Slack) -> House {
    let house = house(&people_of_slack(), POLICY, &[], |folder| slack_channel(folder, fake));
    house.is_heard_in("slack");
    house
}

fn in_telegram(fake: &telegram::Telegram) -> House {
    let house = house(PEOPLE_OF_TELEGRAM, POLICY, &[], |folder| telegram_channel(folder, fake));
    house.is_heard_in("telegram");
    house
}

/// What a message in Slack says by now.
fn says(fake: &slack::Slack, ts: &str) -> String {
    let find = |state: &slack::State| {
        let message = state.messages.iter().find(|message| message.ts == ts);
        message.unwrap().payload.to_string()
    };
    fake.state(find)
}

/// The message in Telegram that has this word.
fn message_of(fake: &telegram::Telegram, word: &str) -> telegram::Message {
    until(word, || fake.messages().into_iter().find(|message| message.text.contains(word)))
}

#[test]
fn what_a_command_names_is_in_the_messages_and_further_paths_are_counted() {
    let (slack, telegram) = (slack::Slack::start(), telegram::Telegram::start());
    let both = |folder: &Path| {
        let (first, second) = (slack_channel(folder, &slack), telegram_channel(folder, &telegram));
        // Both keep their bot's secret under the same name.
        let second = second.replace("/bot'", "/bot-of-telegram'");
        secret(folder, "bot", slack::BOT_TOKEN);
        secret(folder, "bot-of-telegram", telegram::TOKEN);
        format!("{first}\n  - {second}")
    };
    let house = house(&people_of_slack(), POLICY, &[], both);
    house.is_heard_in("slack");
    house.is_heard_in("telegram");
    let place = fs::canonicalize(house.dir.path()).unwrap().join("place");
    fs::create_dir_all(place.join("build")).unwrap();
    fs::write(place.join("notes"), "").unwrap();
    let mut touch = house.shimmed("touch");
    touch.args(["build", "notes", "@here", "4", "5", "6", "7", "8"]).current_dir(&place);
    touch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = touch.spawn().unwrap();
    let message = slack.message_with("@here");
    let mut blocks = message.payload["blocks"].as_array().unwrap().iter();
    let facts = blocks.find(|block| block["block_id"] == "facts").unwrap();
    let facts = facts["elements"][0]["elements"].as_array().unwrap();
    let in_slack: String = facts.iter().map(|piece| piece["text"].as_str().unwrap()).collect();
    let in_telegram = message_of(&telegram, "@here").text;
    let at = |name: &str, there: &str| format!("{} ({there})\n", place.join(name).display());
    for (said, label) in [(in_slack + "\n", "may touch "), (in_telegram, "May touch: ")] {
        let paths = [
            at("build", "folder"),
            at("notes", "file"),
            at("@here", "not there yet"),
            at("4", "not there yet"),
            at("5", "not there yet"),
            at("6", "not there yet"),
        ];
        let lines: String = paths.map(|path| format!("{label}{path}")).concat();
        assert!(said.contains(&format!("{lines}and may touch 2 more\n")), "{said}");
    }
    slack.tap(&message, "approve", slack::ALICE);
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(place.join("@here").exists());
    assert_eq!(slack.faults_found(), Vec::<String>::new());
    assert_eq!(telegram.violations(), Vec::<String>::new());
}

/// A `clawrden run` whose shell runs `touch FILE` for each line that it reads.
fn prisoner(house: &House, file: &str) -> Child {
    let mut run = clawrden();
    run.arg("--control").arg(house.control()).args(["run", "--quiet", "--tools", "touch", "--"]);
    run.args(["sh", "-c", &format!("while read line; do touch {file}; echo $? >> codes; done")]);
    run.current_dir(house.dir.path()).env_remove("CLAWRDEN_SOCKET");
    run.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn ran(house: &House, times: usize) {
    until("it to run", || {
        let codes = fs::read_to_string(house.path("codes")).unwrap_or_default();
        (codes == "0\n".repeat(times)).then_some(())
    });
}

/// After the first was approved for the session, the second runs though nobody is asked.
fn goes_on_for_the_session(house: &House, mut prisoner: Child, user: &str) {
    ran(house, 1);
    prisoner.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    ran(house, 2);
    let approved = house.event("approved");
    assert_eq!((&approved["scope"], &approved["chat"]["user"]), (&"session".into(), &user.into()));
    assert_eq!(house.event("grant_used")["scope"], "session");
    assert_eq!(house.json(&["queue", "--json"])["entries"], json!([]));
    drop(prisoner.stdin.take());
    prisoner.wait().unwrap();
}

#[test]
fn a_yes_for_the_session_in_slack_lets_the_next_run_unasked() {
    let fake = slack::Slack::start();
    let house = in_slack(&fake);
    let mut prisoner = prisoner(&house, "made");
    prisoner.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    let message = fake.message_with("made");
    fake.tap(&message, "session", slack::ALICE);
    let user = format!("slack:{}/{}", slack::TEAM, slack::ALICE);
    goes_on_for_the_session(&house, prisoner, &user);
    assert_eq!(fake.state(|state| state.messages.len()), 1, "nobody was asked again");
}

#[test]
fn a_yes_for_the_session_in_telegram_lets_the_next_run_unasked() {
    let fake = telegram::Telegram::start();
    let house = in_telegram(&fake);
    let mut prisoner = prisoner(&house, "made");
    prisoner.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    let message = message_of(&fake, "made");
    fake.tap(telegram::ALICE, &message, "For the session");
    goes_on_for_the_session(&house, prisoner, "telegram:42");
    assert_eq!(fake.messages().len(), 1, "nobody was asked again");
}

/// `sh` is recorded.
const RECORDED: &str = "
default_action: allow
on_unparsed: allow
default_executor: local
rules:
  - {command: sh, action: ask, record: output}
";

const PASSWORD: &str = "hunter2-typed-by-hand";

fn token() -> String {
    format!("ghp_{}", "a1B2".repeat(9))
}

/// A command with secrets in its arguments that writes one.
fn ask_with_secrets(house: &House) -> Child {
    let mut command = house.shimmed("sh");
    let script = format!("echo first; echo got {}; echo the end of it; exit 3", token());
    command.args(["-c", &script, "sh", "--password", PASSWORD]);
    command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

fn wrote_it(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains(&token()), "what runs has it");
}

fn has_no_secret(said: &str) {
    assert!(!said.contains(&token()) && !said.contains(PASSWORD), "{said}");
}

#[test]
fn what_a_command_wrote_stands_in_slack_s_thread_and_no_secret_of_it_anywhere() {
    let fake = slack::Slack::start();
    let house = house(&people_of_slack(), RECORDED, &[], |folder| slack_channel(folder, &fake));
    house.is_heard_in("slack");
    let child = ask_with_secrets(&house);
    let message = fake.message_with("the end of it");
    let asked = message.payload.to_string();
    assert!(asked.contains("[redacted:github-token]") && asked.contains("--password"), "{asked}");
    fake.tap(&message, "approve", slack::ALICE);
    wrote_it(child);
    let tail = fake.wait("the output", |state| state.replies(&message.ts).first().cloned());
    let said = tail.payload.to_string();
    assert!(said.contains("first") && said.contains("the end of it"), "{said}");
    assert!(said.contains("got [redacted"), "{said}");
    fake.wait("the record", |state| {
        let it = state.messages.iter().find(|it| it.ts == message.ts)?;
        it.payload.to_string().contains("exit code 3").then_some(())
    });
    fake.state(|state| state.calls.iter().for_each(|call| has_no_secret(&call.body.to_string())));
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[test]
fn what_a_command_wrote_stands_below_telegram_s_message_by_a_bridge_apart_and_no_secret_of_it_anywhere()
 {
    let fake = telegram::Telegram::start();
    let channel = |folder: &Path| telegram_channel(folder, &fake);
    let apart = Apart::with("telegram", PEOPLE_OF_TELEGRAM, RECORDED, channel);
    apart.house.is_heard_in("telegram");
    let child = ask_with_secrets(&apart.house);
    let message = message_of(&fake, "the end of it");
    assert!(message.text.contains("[redacted:github-token]"), "{}", message.text);
    fake.tap(telegram::ALICE, &message, "Approve");
    wrote_it(child);
    let tail = until("the output", || {
        fake.messages().into_iter().find(|it| it.reply_to == Some(message.id))
    });
    for part in ["first", "the end of it", "got [redacted"] {
        assert!(tail.text.contains(part), "{}", tail.text);
    }
    for method in ["sendMessage", "editMessageText", "answerCallbackQuery"] {
        fake.calls(method).iter().for_each(|call| has_no_secret(&call.to_string()));
    }
    assert_eq!(fake.violations(), Vec::<String>::new());
    // Of another jail's command nobody is told.
    let id = apart.house.event("finished")["id"].as_str().unwrap().to_owned();
    let tail_of = |jail: &str| {
        let create = ["token", "create", "--role", "viewer", "--jail", jail];
        let made = apart.house.cli(&create);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let (address, token) = (apart.url.strip_prefix("http://").unwrap(), text(&made.stdout));
        let path = format!("/api/recordings/{id}/tail");
        send(address, token.trim(), "GET", &path, "", "")
    };
    assert_eq!(tail_of("elsewhere").0, 404);
    let (status, said) = tail_of("default");
    assert!(status == 200 && said.contains("the end of it"), "{said}");
    has_no_secret(&said);
}

#[test]
fn a_yes_in_slack_is_confirmed_on_the_page_also_by_another_where_the_rule_says_so() {
    const POLICY: &str = "rules: [{command: touch, action: ask, confirm: page}]";
    let fake = slack::Slack::start();
    let extra = ["--api", "127.0.0.1:0"];
    let house = house(&people_of_slack(), POLICY, &extra, |folder| slack_channel(folder, &fake));
    let url = place(&house);
    house.is_heard_in("slack");
    let mut child = ask(&house, "made");
    let message = fake.message_with("made");
    fake.tap(&message, "approve", slack::ALICE);
    // Who tapped is told where; a link is no link of markup.
    let told = fake.wait("what came of the tap", |state| {
        let (_, said) = state.responses.last()?;
        Some(said.to_string()).filter(|said| said.contains("confirm at"))
    });
    let id = house.pending()["id"].as_str().unwrap().to_owned();
    assert!(told.contains(&url) && told.contains(&id), "{told}");
    assert!(child.try_wait().unwrap().is_none());
    let ledger = house.path("ledger.jsonl");
    assert!(events(&ledger, "started").is_empty() && events(&ledger, "approved").is_empty());
    // Bob opens the page by his token, and says yes there.
    let made = house.cli(&["token", "create", "--role", "approver", "--name", "bob"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let address = url.strip_prefix("http://").unwrap();
    let login = json!({ "token": text(&made.stdout).trim() }).to_string();
    let (status, head, body) = exchange(address, "POST", "/api/session", "", &login);
    assert_eq!(status, 200, "{body}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let csrf: Value = serde_json::from_str(&body).unwrap();
    let headers = format!(
        "cookie: {}\r\nx-csrf-token: {}\r\n",
        cookie.split(';').next().unwrap(),
        csrf["csrf"].as_str().unwrap()
    );
    let path = format!("/api/queue/{id}/approve");
    let (status, _, body) = exchange(address, "POST", &path, &headers, "{}");
    assert_eq!(status, 200, "{body}");
    assert!(child.wait().unwrap().success() && house.path("made").exists());
    let approved = house.event("approved");
    assert!(approved["approver"].as_str().unwrap().starts_with("bob"), "{approved}");
    assert_eq!((&approved["channel"], &approved["chat"]), (&json!("web"), &Value::Null));
    fake.wait("the record", |state| {
        let it = state.messages.iter().find(|it| it.ts == message.ts)?;
        let said = it.payload.to_string();
        (said.contains("bob") && said.contains("exit code 0")).then_some(())
    });
}

#[test]
fn two_bridges_that_say_yes_and_no_at_the_same_moment_agree() {
    let (slack, telegram) = (slack::Slack::start(), telegram::Telegram::start());
    let people = format!(
        "people: {{alice: ['slack:{}/{}'], bob: ['telegram:{}']}}\n",
        slack::TEAM,
        slack::ALICE,
        telegram::BOB.id
    );
    let apart = Apart::with("slack", &people, POLICY, |folder| slack_channel(folder, &slack));
    let mut other = apart.another("telegram", |folder| telegram_channel(folder, &telegram));
    let house = &apart.house;
    house.is_heard_in("slack");
    house.is_heard_in("telegram");
    for round in 0..6 {
        let word = format!("round-{round}");
        let child = ask(house, &word);
        let (yes, no) = (slack.message_with(&word), message_of(&telegram, &word));
        let moment = Barrier::new(2);
        let tap = std::thread::scope(|scope| {
            scope.spawn(|| {
                moment.wait();
                slack.tap(&yes, "approve", slack::ALICE);
            });
            moment.wait();
            telegram.tap(telegram::BOB, &no, "Deny")
        });
        let code = child.wait_with_output().unwrap().status.code();
        let has_run = house.path(&word).exists();
        let answers: Vec<String> = ["approved", "denied"]
            .into_iter()
            .flat_map(|event| house.events(event))
            .map(|record| {
                format!("{} by {}", record["event"].as_str().unwrap(), record["chat"]["person"])
            })
            .collect();
        assert_eq!(answers.len(), round + 1, "{answers:?}");
        let by = |who: &str, did: &str| {
            // Both messages say the same, and whoever came second is told so.
            until(&format!("{did} in both"), || {
                let there = telegram.message(no.chat, no.id)?.text;
                let said = [says(&slack, &yes.ts), there];
                said.iter().all(|said| said.contains(who) && said.contains(did)).then_some(())
            });
        };
        if has_run {
            assert_eq!(code, Some(0));
            by("alice", "pproved");
            let late = until("who was late to be told", || telegram.answer_of(&tap));
            assert!(late.text.contains("Already approved by alice"), "{late:?}");
        } else {
            assert_eq!(code, Some(126));
            by("bob", "enied");
            slack.wait("who was late to be told", |state| {
                let (_, said) = state.responses.last()?;
                said.to_string().contains("Already denied by bob").then_some(())
            });
        }
    }
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(slack.faults_found(), Vec::<String>::new());
    assert_eq!(telegram.violations(), Vec::<String>::new());
}

#[test]
fn a_slack_that_is_cut_between_message_and_tap_is_heard_again() {
    let fake = slack::Slack::start();
    let house = in_slack(&fake);
    fake.change(|state| state.resend_after = Duration::from_millis(300));
    let child = ask(&house, "one");
    let message = fake.message_with("one");
    fake.cut();
    // Nobody takes it, so it comes again, over another socket.
    let envelope = fake.tap(&message, "approve", slack::ALICE);
    assert!(child.wait_with_output().unwrap().status.success() && house.path("one").exists());
    fake.ack(&envelope);
    assert!(fake.state(|state| state.opened) >= 2);
    let child = ask(&house, "two");
    let message = fake.message_with("two");
    let opened = fake.state(|state| state.opened);
    fake.cut();
    fake.wait("another socket", |state| {
        (state.opened > opened && state.sockets.len() == 1).then_some(())
    });
    fake.tap(&message, "approve", slack::ALICE);
    assert!(child.wait_with_output().unwrap().status.success() && house.path("two").exists());
}

#[test]
fn what_a_killed_bridge_had_not_sent_is_sent_by_the_next() {
    let fake = slack::Slack::start();
    let channel = |folder: &Path| slack_channel(folder, &fake);
    let mut apart = Apart::with("slack", &people_of_slack(), POLICY, channel);
    apart.house.is_heard_in("slack");
    // A message that is answered while nobody can be told, and one that nobody was told of.
    let answered = ask(&apart.house, "one");
    let first = fake.message_with("one");
    apart.remembers(&first.ts);
    fake.change(|state| state.is_away = true);
    let entry = apart.house.pending()["id"].as_str().unwrap().to_owned();
    assert!(apart.house.cli(&["approve", &entry]).status.success());
    assert!(answered.wait_with_output().unwrap().status.success());
    let waits = ask(&apart.house, "two");
    let entry = apart.house.pending()["id"].as_str().unwrap().to_owned();
    let file = apart.house.path("bridges/ops-apart.jsonl");
    until("the bridge to have something to send", || {
        let said = fs::read_to_string(&file).unwrap_or_default();
        (said.contains(&entry) && said.contains("finished")).then_some(())
    });
    apart.kill_the_bridge();
    assert!(!says(&fake, &first.ts).contains("exit code"), "it was not said");
    fake.change(|state| state.is_away = false);
    fake.cut();
    apart.start_the_bridge();
    let second = fake.message_with("two");
    until("the record of the first", || {
        says(&fake, &first.ts).contains("exit code 0").then_some(())
    });
    fake.wait_for_sockets(1);
    fake.tap(&second, "approve", slack::ALICE);
    assert!(waits.wait_with_output().unwrap().status.success());
    assert_eq!(fake.state(|state| state.messages.len()), 2, "each is told once");
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[test]
fn a_message_that_slack_lets_nobody_edit_any_more_keeps_no_other_from_being_told() {
    let fake = slack::Slack::start();
    let house = in_slack(&fake);
    let child = ask(&house, "one");
    let first = fake.message_with("one");
    // For good, whichever of its edits it is.
    for _ in 0..2 {
        fake.fail("chat.update", slack::Fault::Error("edit_window_closed"));
    }
    fake.tap(&first, "approve", slack::ALICE);
    assert!(child.wait_with_output().unwrap().status.success());
    until("the edit to be given up", || {
        let channel = house.json(&["notify", "--json"])["channels"][0].clone();
        (channel["failed"].as_u64()? >= 1 && channel["outbox"] == 0).then_some(())
    });
    let tried = fake.state(|state| state.count("chat.update"));
    fake.change(|state| state.faults.clear());
    let child = ask(&house, "two");
    let second = fake.message_with("two");
    fake.tap(&second, "approve", slack::ALICE);
    assert!(child.wait_with_output().unwrap().status.success());
    until("the record of the second", || {
        says(&fake, &second.ts).contains("exit code 0").then_some(())
    });
    assert!(tried <= 2 && !says(&fake, &first.ts).contains("exit code"));
    house.is_heard_in("slack");
}
