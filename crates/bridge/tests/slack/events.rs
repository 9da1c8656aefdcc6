//! Being called, instead of a socket: signatures, replays, and the same people doing the same.

use std::net::SocketAddr;

use clawrden_bridge::heard::{Failure, Scope, Wants};
use clawrden_bridge::secret::Secret;
use clawrden_bridge::service::Service as _;
use clawrden_bridge::slack::{Settings, Slack};
use serde_json::json;

use crate::fake::{self, SIGNING_SECRET};
use crate::{ID, Listening, card, http};

async fn started(fake: &fake::Slack) -> (Listening, SocketAddr) {
    let address = free();
    let (bot, secret) = (Secret::new(fake::BOT_TOKEN), Secret::new(SIGNING_SECRET));
    let mut settings = Settings::events(bot, address, secret);
    settings.api = fake.api();
    let slack = Slack::new(http(), settings).unwrap();
    slack.post(fake::CHANNEL, &card(&["ls"])).await.unwrap();
    let listening = Listening::to(slack, 8);
    for _ in 0..200 {
        if std::net::TcpStream::connect(address).is_ok() {
            return (listening, address);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nobody listens at {address}");
}

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_calls_are_heard() {
    let fake = fake::Slack::start();
    let (mut listening, app) = started(&fake).await;
    let tapped = fake.tapped(&fake.message(), "session", fake::ALICE);
    assert_eq!(fake.call(app, &tapped), (200, String::new()));
    let heard = listening.next().await;
    assert_eq!(heard.user, format!("{}/{}", fake::TEAM, fake::ALICE));
    let wants = Wants::Answer {
        request: ID.to_owned(),
        approve: true,
        reason: None,
        scope: Scope::Session,
    };
    assert_eq!(heard.wants, wants);
    assert_eq!(fake.call(app, &fake.typed("queue", fake::BOB)).0, 200);
    assert_eq!(listening.next().await.wants, Wants::Command(vec!["queue".to_owned()]));
    fake.call(app, &fake.tapped(&fake.message(), "more", fake::ALICE));
    let view = fake.view();
    let (status, said) = fake.call(app, &fake.submitted(&view, "", "", fake::ALICE));
    assert!(status == 200 && said.contains(r#""response_action":"errors""#), "{said}");
    assert_eq!(
        fake.call(app, &fake.submitted(&view, "deny", "no", fake::ALICE)),
        (200, String::new())
    );
    assert!(matches!(listening.next().await.wants, Wants::Answer { approve: false, .. }));
    let challenge = json!({ "type": "url_verification", "challenge": "3eZbrw1a" }).to_string();
    let answered = fake.call_signed(app, &challenge, SIGNING_SECRET, fake::now());
    assert_eq!(answered, (200, "3eZbrw1a".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_stale_and_replayed_calls_are_refused() {
    let fake = fake::Slack::start();
    let (mut listening, app) = started(&fake).await;
    let body = |payload: &serde_json::Value| {
        format!(
            "payload={}",
            payload.to_string().replace('%', "%25").replace('&', "%26").replace('+', "%2B")
        )
    };
    let good = body(&fake.tapped(&fake.message(), "approve", fake::ALICE));
    let at = fake::now();
    for (secret, at, signed) in [
        ("another secret of somebody", at, &good),
        (SIGNING_SECRET, at - 600, &good),
        (SIGNING_SECRET, at + 600, &good),
    ] {
        assert_eq!(fake.call_signed(app, signed, secret, at).0, 401, "{secret} {at}");
    }
    for (at, signature) in [("", ""), ("x", "v0=ab"), (&at.to_string()[..], "v0=00")] {
        assert_eq!(fake.call_raw(app, &good, at, signature).0, 401);
    }
    listening.nothing().await;
    assert_eq!(fake.call_signed(app, &good, SIGNING_SECRET, at).0, 200);
    listening.next().await;
    assert_eq!(fake.call_signed(app, &good, SIGNING_SECRET, at).0, 401);
    assert_eq!(fake.call_signed(app, "payload=%7B", SIGNING_SECRET, at).0, 400);
    listening.nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_said() {
    let fake = fake::Slack::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (bot, secret) = (Secret::new(fake::BOT_TOKEN), Secret::new(SIGNING_SECRET));
    let mut settings = Settings::events(bot, address, secret);
    settings.api = fake.api();
    let mut listening = Listening::to(Slack::new(http(), settings).unwrap(), 8);
    let failure = (&mut listening.task).await.unwrap();
    assert!(
        matches!(&failure, Failure::Now(why) if why.contains(&address.to_string())),
        "{failure:?}"
    );
}
