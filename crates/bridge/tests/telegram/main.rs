//! Telegram against a server that behaves as its documentation says.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fakes/again.rs"]
mod again;
#[path = "../fakes/entry.rs"]
#[allow(unreachable_pub)]
mod entry;
#[path = "../fakes/telegram/mod.rs"]
mod fake;
#[path = "../fakes/house.rs"]
mod house;
#[path = "../fakes/logged.rs"]
#[allow(unreachable_pub)]
mod logged;
#[path = "../fakes/warden.rs"]
mod warden;

mod hearing;
mod limits;
mod logs;
mod settings;
mod speaking;
mod steps;
mod webhook;
mod whole;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_api::Trust;
use clawrden_bridge::card::{By, Card, Stage};
use clawrden_bridge::heard::{Failure, Heard};
use clawrden_bridge::http::Http;
use clawrden_bridge::inbox::Inbox;
use clawrden_bridge::secret::Secret;
use clawrden_bridge::service::Service as _;
use clawrden_bridge::standing::Standing;
use clawrden_bridge::telegram::{Hearing, Settings, Telegram};
use entry::{ID, entry};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(fake: &fake::Telegram) -> Settings {
    Settings {
        api: fake.api(),
        pause: Duration::from_millis(5),
        ..Settings::polling(Secret::new(fake::TOKEN))
    }
}

fn with(settings: Settings) -> Telegram {
    Telegram::new(Http::new(Trust::System).unwrap(), settings).unwrap()
}

fn bot(fake: &fake::Telegram) -> Telegram {
    with(settings(fake))
}

/// A bridge that listens.
struct Listening {
    telegram: Arc<Telegram>,
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<Failure>,
    standing: Standing,
}

impl Listening {
    fn start(settings: Settings, room: usize) -> Self {
        let telegram = Arc::new(with(settings));
        let standing = Standing::default();
        let (inbox, heard) = Inbox::new(room, standing.clone());
        let listens = Arc::clone(&telegram);
        let task = tokio::spawn(async move { listens.listen(inbox).await });
        Self { telegram, heard, task, standing }
    }

    fn to(fake: &fake::Telegram) -> Self {
        Self::start(settings(fake), 64)
    }

    async fn hear(&mut self) -> Heard {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        heard.expect("nothing is heard").expect("nobody listens any more")
    }

    async fn hear_nothing(&mut self) {
        let heard = tokio::time::timeout(Duration::from_millis(150), self.heard.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// Why it listens no more.
    async fn end(mut self) -> Failure {
        tokio::time::timeout(PATIENCE, &mut self.task).await.expect("it listens still").unwrap()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until there is something.
async fn soon<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn group() -> String {
    fake::GROUP.to_string()
}

fn card(argv: &[&str]) -> Card {
    Card { entry: entry(argv), stage: Stage::Waiting, progress: None, page: None }
}

fn by_alice() -> By {
    By { who: "alice".to_owned(), through: "telegram".to_owned(), ..By::default() }
}
