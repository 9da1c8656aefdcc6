//! Discord, Mattermost and ntfy take what they are sent: each kind of message, however long it is.

use std::collections::BTreeSet;

use clawrden_bridge::card::{By, Card, Digest, Outcome, Stage};
use clawrden_bridge::service::Service as _;
use serde_json::json;

use super::entry::{entry, touching};
use super::house::{asked, id, soon};
use super::receiver::{Fault, Form, Receiver};
use super::{Call, house, taken};

const FORMS: [Form; 3] = [Form::Discord, Form::Mattermost, Form::Ntfy];

/// The one place of a webhook.
const PLACE: &str = "default";

fn by(text: &str) -> By {
    By {
        who: text.to_owned(),
        through: text.to_owned(),
        reason: Some(text.to_owned()),
        scope: Some(text.to_owned()),
        at_ms: 0,
    }
}

/// A card all of whose texts are this.
fn card(text: &str, stage: Stage) -> Card {
    let mut entry = entry(&["echo", text]);
    for field in [&mut entry.jail, &mut entry.reason, &mut entry.short] {
        text.clone_into(field);
    }
    (entry.cwd, entry.rule) = (Some(text.to_owned()), Some(text.to_owned()));
    (entry.warnings, entry.noticed) = (vec![text.to_owned(); 2], vec![text.to_owned(); 2]);
    touching(&mut entry, &vec![(text, "folder"); 16]);
    Card { entry, stage, progress: Some(text.to_owned()), page: Some(page(text)) }
}

/// An address that grows with it.
fn page(text: &str) -> String {
    format!("https://warden.example/{}", "x".repeat(text.chars().count()))
}

#[tokio::test]
async fn everything_of_any_length_is_taken() {
    for form in FORMS {
        let receiver = Receiver::start(form).await;
        let service = house(&receiver, form, json!({})).service();
        for unit in ["x", "😀", "𝐀", "`", "\u{202e}"] {
            for length in [1, 501, 16_400] {
                let text = unit.repeat(length);
                let what = format!("{form:?}, {length} times {unit:?}");
                let outcome = Outcome { error: Some(text.clone()), ..Outcome::default() };
                let posted = service.post(PLACE, &card(&text, Stage::Waiting)).await;
                let posted =
                    posted.unwrap_or_else(|e| panic!("{what}: {e} {:?}", receiver.refused()));
                for stage in [
                    Stage::Approved(by(&text)),
                    Stage::Denied(by(&text)),
                    Stage::Expired,
                    Stage::Finished(by(&text), outcome),
                ] {
                    service.edit(&posted, &card(&text, stage)).await.unwrap();
                }
                service.reply(&posted, &text).await.unwrap();
                let some = vec![card(&text, Stage::Waiting).entry; 10];
                let digest = Digest { some, waiting: 1_000, answered: 7, page: Some(page(&text)) };
                let first = service.digest(PLACE, None, &digest).await.unwrap();
                service.digest(PLACE, Some(&first), &digest).await.unwrap();
            }
        }
        assert_eq!(receiver.refused(), Vec::<String>::new(), "{form:?}");
    }
}

#[tokio::test]
async fn a_request_a_flood_and_an_output_come_in_each_service_s_form() {
    for form in FORMS {
        let receiver = Receiver::start(form).await;
        let flood = json!({ "flood": { "posts": 1, "seconds": 60 } });
        let mut house = house(&receiver, form, flood);
        if form == Form::Ntfy {
            house.secret("token_file", "tk_of_the_topic");
        }
        house.open().await;
        house.warden.ask(&asked(1, &["npm", "install", "@everyone"]));
        let first =
            taken(&receiver, "what waits", |call| call.text().contains("npm install")).await;
        for n in 2..=4 {
            house.warden.ask(&asked(n, &["ls", "-l"]));
        }
        let all = |call: &Call| call.text().contains("ls -l");
        let digest = taken(&receiver, "the flood", all).await;
        house.warden.answer_elsewhere(&id(1), "carol", true);
        house.warden.finish(&id(1), 3);
        taken(&receiver, "how it ended", |call| {
            let title = call.headers.get("x-title").cloned().unwrap_or_default();
            format!("{title}{}", call.text()).contains("exit code 3")
        })
        .await;
        taken(&receiver, "the output", |call| call.text().contains("added 1 package")).await;
        assert_eq!(receiver.refused(), Vec::<String>::new(), "{form:?}");
        let hook = first.target.clone();
        match form {
            Form::Discord => {
                assert!(hook.ends_with("?wait=true") && digest.target == hook, "{hook}");
                let edits = receiver.taken().into_iter().filter(|call| call.method == "PATCH");
                let to: BTreeSet<String> = edits.map(|call| call.target).collect();
                assert!(to.iter().all(|to| to.contains("/messages/")) && !to.is_empty(), "{to:?}");
            }
            Form::Mattermost => assert!(first.text().contains("```"), "{}", first.text()),
            _ => {
                assert_eq!(first.headers["x-title"], "A command waits for an answer");
                assert_eq!(first.headers["content-type"], "text/plain; charset=utf-8");
            }
        }
        let shows = |call: &Call| call.headers.get("authorization").cloned();
        let token = (form == Form::Ntfy).then(|| "Bearer tk_of_the_topic".to_owned());
        assert!(receiver.calls().iter().all(|call| shows(call) == token), "{form:?}");
    }
}

#[tokio::test]
async fn the_receivers_refuse_what_theirs_would() {
    for (form, most) in [(Form::Discord, 2_000), (Form::Mattermost, 16_383), (Form::Ntfy, 4_096)] {
        let receiver = Receiver::start(form).await;
        let send = async |text: String| {
            let body = match form {
                Form::Discord => {
                    json!({ "content": text, "allowed_mentions": { "parse": [] } }).to_string()
                }
                Form::Mattermost => json!({ "text": text }).to_string(),
                _ => text,
            };
            let url = receiver.url();
            let outgoing = clawrden_bridge::http::Outgoing::post(&url, "x/y", body.into_bytes());
            let http = clawrden_bridge::http::Http::new(clawrden_api::Trust::System).unwrap();
            http.send(outgoing).await.unwrap().status
        };
        assert!(
            (200..300).contains(&send("x".repeat(most)).await),
            "{form:?} {:?}",
            receiver.refused()
        );
        assert_eq!(send("x".repeat(most + 1)).await, 400, "{form:?}");
        assert_eq!(send(String::new()).await, 400, "{form:?}");
        receiver.fail(&[Fault::Status(503)]);
        assert_eq!(send("x".to_owned()).await, 503, "{form:?}");
    }
    let receiver = Receiver::start(Form::Discord).await;
    let service = house(&receiver, Form::Discord, json!({})).service();
    let gone = clawrden_bridge::service::Posted { place: PLACE.into(), message: "7".into() };
    let edited = service.edit(&gone, &card("x", Stage::Expired)).await;
    assert!(edited.is_err() && soon("it", || receiver.refused().pop()).await.contains("no 7"));
}
