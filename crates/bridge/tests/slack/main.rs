//! Slack, as the bridge speaks to it and hears it, against a Slack on loopback that behaves as its documentation says.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fakes/again.rs"]
mod again;
#[path = "../fakes/entry.rs"]
#[allow(unreachable_pub)]
mod entry;
#[path = "../fakes/slack/mod.rs"]
#[allow(unreachable_pub)]
mod fake;
#[path = "../fakes/house.rs"]
mod house;
#[path = "../fakes/logged.rs"]
#[allow(unreachable_pub)]
mod logged;
#[path = "../fakes/warden.rs"]
mod warden;

mod events;
mod hearing;
mod limits;
mod logs;
mod pictures;
mod speaking;
mod steps;
mod whole;

use std::time::Duration;

use clawrden_api::Trust;
use clawrden_bridge::card::{Card, Stage};
use clawrden_bridge::heard::{Failure, Heard};
use clawrden_bridge::http::Http;
use clawrden_bridge::inbox::Inbox;
use clawrden_bridge::secret::Secret;
use clawrden_bridge::service::Service as _;
use clawrden_bridge::slack::{Settings, Slack};
use clawrden_bridge::standing::Standing;
use entry::{ID, entry};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

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
    Card { entry: entry(argv), stage: Stage::Waiting, progress: None, page: None }
}

/// Somebody who listens.
struct Listening {
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<Failure>,
    standing: Standing,
}

impl Listening {
    fn to(slack: Slack, room: usize) -> Self {
        let standing = Standing::default();
        let (inbox, heard) = Inbox::new(room, standing.clone());
        let task = tokio::spawn(async move { slack.listen(inbox).await });
        Self { heard, task, standing }
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
