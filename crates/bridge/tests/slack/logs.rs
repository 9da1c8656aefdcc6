//! What is logged while everything goes wrong.

use std::io::Write;
use std::sync::Mutex;

use clawrden_bridge::service::Service as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::fake::{self, Fault};
use crate::{Listening, card, slack};

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Logged;

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_in_any_log() {
    // Whatever logs by `log`, as the HTTP client does, is caught as well.
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(|| Logged)
        .finish()
        .init();
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let mut failures = Vec::new();
    for fault in [Fault::Cut, Fault::Status(502), Fault::Error(fake::BOT_TOKEN), Fault::Garbage] {
        fake.fail("chat.postMessage", fault.clone());
        fake.fail("apps.connections.open", fault);
        failures.push(slack.post(fake::CHANNEL, &card(&["ls"])).await.unwrap_err());
        let mut listening = Listening::to(crate::slack(&fake), 8);
        failures.push((&mut listening.task).await.unwrap());
    }
    slack.post(fake::CHANNEL, &card(&["ls"])).await.unwrap();
    let steps = slack.test(fake::CHANNEL).await;
    let shown = format!("{slack:?} {steps:?}");
    let mut listening = Listening::to(slack, 8);
    fake.wait("a socket", |state| (state.opened == 2).then_some(()));
    fake.send("nonsense");
    fake.tap(&fake.message_with("approve"), "approve", fake::ALICE);
    listening.next().await;
    let logged = String::from_utf8(LOGGED.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("a message of slack is left out"), "{logged}");
    assert!(logged.contains("TRACE") || logged.contains("DEBUG"), "{logged}");
    for secret in [fake::BOT_TOKEN, fake::APP_TOKEN] {
        assert!(!logged.contains(secret), "{logged}");
        assert!(!shown.contains(secret), "{shown}");
    }
    // What Slack itself says is in its word for why.
    assert!(
        failures.iter().any(|failure| failure.to_string().contains("slack says")),
        "{failures:?}"
    );
}
