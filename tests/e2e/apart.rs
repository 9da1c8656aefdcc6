//! A bridge apart from the warden, at a service on loopback: each of the two is killed between the message and the tap, and
//! the command runs once.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::slack;
use crate::support::{House, clawrden, events, text, until};
use crate::taps::{PEOPLE_OF_TELEGRAM, people_of_slack, secret, slack_channel, telegram_channel};
use crate::telegram;

/// `tee` tells how often it ran.
const POLICY: &str = "
default_action: deny
rules:
  - {command: tee, action: ask}
";

/// A warden whose API keeps its address, and a bridge at it.
pub(crate) struct Apart {
    pub(crate) house: House,
    bridge: Child,
    service: &'static str,
    pub(crate) url: String,
}

impl Apart {
    fn new(service: &'static str, people: &str, channel: impl Fn(&Path) -> String) -> Self {
        Self::with(service, people, POLICY, channel)
    }

    pub(crate) fn with(
        service: &'static str,
        people: &str,
        policy: &str,
        channel: impl Fn(&Path) -> String,
    ) -> Self {
        let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
        let config = dir.path().join("warden.yaml");
        fs::write(&config, people).unwrap();
        fs::write(dir.path().join("bridge.yaml"), channel(dir.path())).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let extra = ["--api", &free, "--config", config.to_str().unwrap()];
        let house = House::within(dir, &[], policy, &extra);
        // It is bounded, as bridges should be.
        let create = ["token", "create", "--role", "approver", "--speaks-for", service];
        let made = house.cli(&[&create[..], &["--jail", "default"]].concat());
        assert!(made.status.success(), "{}", text(&made.stderr));
        secret(house.dir.path(), "token", text(&made.stdout).trim());
        let url = format!("http://{free}");
        let bridge = bridge(&house, service, &url, "");
        Self { house, bridge, service, url }
    }

    /// Another bridge at the same warden, by a token of its own.
    pub(crate) fn another(&self, service: &str, channel: impl Fn(&Path) -> String) -> Child {
        let folder = self.house.dir.path();
        // Its secrets are its own.
        fs::create_dir(self.house.path("2")).unwrap();
        fs::write(folder.join("bridge-2.yaml"), channel(&self.house.path("2"))).unwrap();
        let made =
            self.house.cli(&["token", "create", "--role", "approver", "--speaks-for", service]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        secret(folder, "token-2", text(&made.stdout).trim());
        bridge(&self.house, service, &self.url, "-2")
    }

    pub(crate) fn kill_the_bridge(&mut self) {
        self.bridge.kill().unwrap();
        self.bridge.wait().unwrap();
    }

    pub(crate) fn start_the_bridge(&mut self) {
        self.bridge = bridge(&self.house, self.service, &self.url, "");
    }

    /// A `tee` that waits for a person.
    fn ask(&self) -> Child {
        fs::write(self.house.path("line"), "ran\n").unwrap();
        let mut command = self.house.shimmed("tee");
        let line = fs::File::open(self.house.path("line")).unwrap();
        command.args(["-a", "made"]).stdin(line).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Until what was posted is on the disk, a bridge that is killed posts it again.
    pub(crate) fn remembers(&self, message: &str) {
        let posted = format!("\"message\":\"{message}\"");
        until("the message to be remembered", || {
            let files = fs::read_dir(self.house.path("bridges")).ok()?.flatten();
            let said = files.filter_map(|file| fs::read_to_string(file.path()).ok());
            said.collect::<String>().contains(&posted).then_some(())
        });
    }

    /// It was answered once, by alice, and ran once.
    fn ran_once(&self, child: Child) {
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        assert_eq!(fs::read_to_string(self.house.path("made")).unwrap(), "ran\n");
        let ledger = self.house.path("ledger.jsonl");
        let approved = events(&ledger, "approved");
        assert_eq!(approved.len(), 1, "{approved:?}");
        assert_eq!(approved[0]["chat"]["person"], "alice");
        assert_eq!(approved[0]["channel"], self.service);
        self.house.event("finished");
        assert_eq!(events(&ledger, "started").len(), 1);
    }

    fn says_no_secret(&self, secrets: &[&str]) {
        let token = fs::read_to_string(self.house.path("token")).unwrap();
        for file in ["warden.log", "bridge.log", "ledger.jsonl"] {
            let said = fs::read_to_string(self.house.path(file)).unwrap();
            assert!(secrets.iter().all(|secret| !said.contains(secret)), "{file}");
            assert!(!said.contains(&token), "{file}");
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.bridge.kill();
        let _ = self.bridge.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.house.path("bridge.log")).unwrap_or_default();
            eprintln!("--- the bridge's log ---\n{log}");
        }
    }
}

fn bridge(house: &House, service: &str, url: &str, of: &str) -> Child {
    let log = fs::File::options().create(true).append(true).open(house.path("bridge.log")).unwrap();
    let mut command = clawrden();
    command.args(["--host", url, "--token-file"]).arg(house.path(&format!("token{of}")));
    command.args(["bridge", service, "--config"]).arg(house.path(&format!("bridge{of}.yaml")));
    command.arg("--state").arg(house.path("bridges")).env("CLAWRDEN_LOG", "debug");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

#[test]
fn warden_and_bridge_of_slack_are_killed_in_between_and_the_command_runs_once() {
    let fake = slack::Slack::start();
    let mut apart = Apart::new("slack", &people_of_slack(), |folder| slack_channel(folder, &fake));
    fake.wait_for_sockets(1);
    let child = apart.ask();
    let message = fake.message();
    apart.remembers(&message.ts);
    apart.kill_the_bridge();
    apart.house.crash();
    fake.wait_for_sockets(0);
    apart.start_the_bridge();
    fake.wait_for_sockets(1);
    // Heard by a bridge whose warden is away, and delivered once more.
    let envelope = fake.tap(&message, "approve", slack::ALICE);
    fake.ack(&envelope);
    fake.replay(&envelope);
    apart.house.restart();
    apart.ran_once(child);
    fake.wait("the record", |state| {
        let said = state.messages.iter().find(|it| it.ts == message.ts)?.payload.to_string();
        (said.contains("alice") && said.contains("exit code 0")).then_some(())
    });
    let cards = fake.state(|state| state.messages.iter().filter(|it| it.thread.is_none()).count());
    assert_eq!(cards, 1, "it is the same message");
    assert_eq!(fake.faults_found(), Vec::<String>::new());
    apart.says_no_secret(&[slack::BOT_TOKEN, slack::APP_TOKEN]);
}

#[test]
fn warden_and_bridge_of_telegram_are_killed_in_between_and_the_command_runs_once() {
    let fake = telegram::Telegram::start();
    let channel = |folder: &Path| telegram_channel(folder, &fake);
    let mut apart = Apart::new("telegram", PEOPLE_OF_TELEGRAM, channel);
    // Who has nothing but a chat can answer once its bridge is there.
    until("it to listen", || (!fake.calls("getUpdates").is_empty()).then_some(()));
    let child = apart.ask();
    let message = until("a message", || fake.last(telegram::GROUP));
    apart.remembers(&message.id.to_string());
    apart.kill_the_bridge();
    apart.house.crash();
    // Nobody is there; Telegram keeps it, and tells of it twice.
    fake.tap(telegram::ALICE, &message, "Approve");
    fake.lose_confirmations(1);
    apart.start_the_bridge();
    apart.house.restart();
    apart.ran_once(child);
    until("the record", || {
        let said = fake.message(telegram::GROUP, message.id)?.text;
        (said.contains("alice") && said.contains("exit 0")).then_some(())
    });
    let cards = fake.messages().into_iter().filter(|it| it.reply_to.is_none()).count();
    assert_eq!(cards, 1, "it is the same message");
    assert_eq!(fake.violations(), Vec::<String>::new());
    apart.says_no_secret(&[telegram::TOKEN]);
}
