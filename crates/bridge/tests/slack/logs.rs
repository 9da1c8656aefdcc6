//! What is logged while everything goes wrong.

use clawrden_bridge::secret::Secret;
use clawrden_bridge::service::Service as _;
use clawrden_bridge::slack::{Settings, Slack};

use crate::fake::{self, Fault, SIGNING_SECRET};
use crate::house::{free, soon};
use crate::{Listening, card, http, logged, slack};

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
    // And while it is called, by who knows the secret and by who does not.
    let app = free();
    let (bot, secret) = (Secret::new(fake::BOT_TOKEN), Secret::new(SIGNING_SECRET));
    let mut settings = Settings::events(bot, app, secret);
    settings.api = fake.api();
    let shown = format!("{shown} {settings:?}");
    let mut listening = Listening::to(Slack::new(http(), settings).unwrap(), 8);
    soon("it listens", || listening.standing.state().listens.then_some(())).await;
    let typed = fake.typed("status", fake::ALICE);
    assert_eq!(
        fake.call_signed(app, "payload=1", "another secret of somebody", fake::now()).0,
        401
    );
    assert_eq!(fake.call(app, &typed).0, 200);
    listening.next().await;
    let logged = logged::text();
    for says in ["a message of slack is left out", "a call that should be slack's is refused"] {
        assert!(logged.contains(says), "{says}: {logged}");
    }
    for secret in [fake::BOT_TOKEN, fake::APP_TOKEN, SIGNING_SECRET] {
        assert!(!logged.contains(secret), "{logged}");
        assert!(!shown.contains(secret), "{shown}");
    }
    // What Slack itself says is in its word for why.
    assert!(
        failures.iter().any(|failure| failure.to_string().contains("slack says")),
        "{failures:?}"
    );
}
