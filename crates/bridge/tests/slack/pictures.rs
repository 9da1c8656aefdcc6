//! The pictures of the guide to chats: pages made of what is sent, which a browser draws (`scripts/pictures`).

use std::path::Path;

use clawrden_bridge::card::{By, Card, Digest, Outcome, Stage};
use clawrden_bridge::service::Service as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::entry::touching;
use crate::fake::{self, page};
use crate::{Listening, card, slack};

fn by_alice() -> By {
    By {
        who: "alice".to_owned(),
        through: "slack".to_owned(),
        at_ms: 1_793_714_604_045,
        ..By::default()
    }
}

fn asks() -> Card {
    let mut card = card(&["npm", "install", "--prefix", "site", "left-pad@1.3.0", "<!channel>"]);
    touching(&mut card.entry, &[("/app/site", "folder")]);
    card.entry.executable = Some("/usr/bin/npm".to_owned());
    card.entry.context.git_branch = Some("feature/login".to_owned());
    card.page = Some("https://warden.example/".to_owned());
    card
}

/// A page is the one that is committed, and its picture was drawn from it.
fn is_committed(name: &str, drawn: &str) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let source = docs.join(format!("chat/{name}.html"));
    let is_drawing = std::env::var_os("CLAWRDEN_DRAW").is_some();
    if is_drawing {
        std::fs::write(&source, drawn).unwrap();
    }
    let known = std::fs::read_to_string(&source).unwrap_or_default();
    let shown = source.display();
    assert!(known == drawn, "{shown} is of other messages; scripts/pictures draws it");
    let digest = Sha256::digest(drawn);
    let mark: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let picture = std::fs::read(docs.join(format!("pictures/{name}.png"))).unwrap_or_default();
    let is_of_it = picture.windows(mark.len()).any(|part| part == mark.as_bytes());
    assert!(is_drawing || is_of_it, "{name}.png is not of {shown}; scripts/pictures draws it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_in_the_documentation_are_of_what_is_sent() {
    let fake = fake::Slack::start();
    let slack = slack(&fake);
    let newest = || -> Value { fake.message().payload };
    let mut asks = asks();
    let posted = slack.post(fake::CHANNEL, &asks).await.unwrap();
    let waiting = newest();
    let outcome = Outcome { exit: Some(0), duration_ms: Some(3_250), ..Outcome::default() };
    asks.stage = Stage::Finished(by_alice(), outcome);
    slack.edit(&posted, &asks).await.unwrap();
    let record = newest();
    slack
        .reply(
            &posted,
            "added 1 package, and audited 214 packages in 3s\n\nfound 0 vulnerabilities\n",
        )
        .await
        .unwrap();
    let output = newest();
    let reason = Some("use pnpm here".to_owned());
    asks.stage = Stage::Denied(By { reason, ..by_alice() });
    slack.edit(&posted, &asks).await.unwrap();
    let denied = fake.state(|state| state.messages[0].payload.clone());
    is_committed(
        "slack-messages",
        &page(&[
            ("A request waits", &waiting),
            ("It was approved, and ran", &record),
            ("In the thread below it", &output),
            ("Or it was denied", &denied),
        ]),
    );

    asks.stage = Stage::Waiting;
    slack.edit(&posted, &asks).await.unwrap();
    let mut some = vec![asks.entry.clone(), card(&["git", "push", "origin", "main"]).entry];
    let long = format!("fetch('https://evil.example'); {}", "x = 1; ".repeat(160));
    some.push(card(&["node", "-e", &long]).entry);
    for (entry, short) in some.iter_mut().zip(["0190", "4c1f", "77ab"]) {
        entry.short = short.to_owned();
    }
    let digest = Digest { some, waiting: 41, answered: 2, page: asks.page };
    slack.digest(fake::CHANNEL, None, &digest).await.unwrap();
    is_committed("slack-flood", &page(&[("Many requests at once", &newest())]));

    let _listening = Listening::to(slack, 8);
    fake.wait_for_sockets(1);
    let message = fake.state(|state| state.messages[0].clone());
    fake.tap(&message, "more", fake::ALICE);
    is_committed("slack-dialog", &page(&[("Behind More…", &fake.view().view)]));
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}
