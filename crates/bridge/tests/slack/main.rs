//! Slack, as the bridge speaks to it and hears it, against a Slack on loopback that behaves as its documentation says.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fakes/slack/mod.rs"]
#[allow(unreachable_pub)]
mod fake;

mod events;
mod hearing;
mod logs;
mod speaking;
mod steps;

use std::time::Duration;

use clawrden_api::{Caller, QueueEntry, Trust};
use clawrden_bridge::card::{Card, Stage};
use clawrden_bridge::http::Http;
use clawrden_bridge::secret::Secret;
use clawrden_bridge::service::{Failure, Heard, Service as _};
use clawrden_bridge::slack::{Settings, Slack};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A request's id.
const ID: &str = "7f3a7f3a7f3a7f3a7f3a7f3a7f3a7f3a";

fn slack(fake: &fake::Slack) -> Slack {
    let bot = Secret::new(fake::BOT_TOKEN);
    let mut settings = Settings::socket(bot, Secret::new(fake::APP_TOKEN));
    settings.api = fake.api();
    Slack::new(http(), settings).unwrap()
}

fn http() -> Http {
    Http::new(Trust::System).unwrap()
}

fn card(argv: &[&str]) -> Card {
    let entry = QueueEntry {
        id: ID.to_owned(),
        short: "7f3a".to_owned(),
        jail: "web".to_owned(),
        caller: Caller { uid: Some(1000), gid: Some(1000), pid: Some(4711), ..Caller::default() },
        argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
        cwd: Some("/work".to_owned()),
        executable: Some(format!("/usr/bin/{}", argv[0])),
        executor: "mirror".to_owned(),
        rule: Some("policy.yaml:12".to_owned()),
        reason: "needs a look".to_owned(),
        since_ms: 1_793_714_592_045,
        expires_ms: 1_793_716_392_045,
        callers: 1,
        ..QueueEntry::default()
    };
    Card { entry, stage: Stage::Waiting, progress: None, page: None }
}

/// Somebody who listens.
struct Listening {
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<Failure>,
}

impl Listening {
    fn to(slack: Slack, room: usize) -> Self {
        let (sender, heard) = mpsc::channel(room);
        let task = tokio::spawn(async move { slack.listen(sender).await });
        Self { heard, task }
    }

    async fn next(&mut self) -> Heard {
        let next = tokio::time::timeout(Duration::from_secs(20), self.heard.recv()).await;
        next.expect("nothing is heard").expect("nobody listens any more")
    }

    /// Nothing more comes within a moment.
    async fn nothing(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(300), self.heard.recv()).await;
        assert!(next.is_err(), "{next:?}");
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}
