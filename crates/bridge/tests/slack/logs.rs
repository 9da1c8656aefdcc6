//! What is logged while everything goes wrong.

use clawrden_bridge::service::Service as _;

use crate::fake::{self, Fault};
use crate::{Listening, card, logged, slack};

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_in_any_log() {
    logged::start();
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
    let logged = logged::text();
    assert!(logged.contains("a message of slack is left out"), "{logged}");
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
