//! A whole bridge to Telegram, opened from settings.

use clawrden_api::GrantScope;
use clawrden_bridge::http::Outgoing;
use serde_json::{Value, json};

use super::fake::{ALICE, GROUP, Message, TOKEN};
use super::house::{House, asked, free, id};
use super::*;

const URL: &str = "https://bridge.example/telegram/in";

/// What Telegram is to say of itself.
const SECRET: &str = "what-telegram-says_of-itself";

fn house(fake: &fake::Telegram, to: &Value) -> House {
    let settings = json!({ "kind": "telegram", "api": fake.api(), "to": to });
    let mut house = House::new(&[("telegram:42", "alice")], settings);
    house.secret("token_file", TOKEN);
    house
}

/// The message of a request in a chat, once it says this.
async fn message(fake: &fake::Telegram, chat: i64, n: u32, says: &str) -> Message {
    soon(says, || {
        let is_one =
            |it: &Message| it.chat == chat && it.text.contains(&id(n)) && it.text.contains(says);
        fake.messages().into_iter().find(is_one)
    })
    .await
}

#[tokio::test]
async fn every_chat_is_told_and_each_message_becomes_the_record() {
    let fake = fake::Telegram::start();
    fake.add_chat(ALICE.id, "private");
    let mut house = house(&fake, &json!([GROUP, ALICE.id]));
    house.open().await;
    house.warden.ask(&asked(1, &["npm", "install"]));
    let in_group = message(&fake, GROUP, 1, "May this run?").await;
    let alone = message(&fake, ALICE.id, 1, "May this run?").await;
    let tap = fake.tap(ALICE, &alone, "For the session");
    for asked in [&in_group, &alone] {
        let record = message(&fake, asked.chat, 1, "Approved by alice").await;
        assert_eq!((record.id, record.buttons.len()), (asked.id, 0));
    }
    assert_eq!(soon("it is answered", || fake.answer_of(&tap)).await.text, "Approved.");
    // The one in the other chat is late, and its own.
    let late = fake.tap_data(ALICE, &in_group, &format!("d:{}", id(1)));
    let told = soon("it is answered", || fake.answer_of(&late)).await;
    assert!(told.text.contains("Already approved by alice"), "{told:?}");
    let [(_, answer)] = &house.warden.answers()[..] else { panic!() };
    assert_eq!(answer.body.scope, GrantScope::Session);
    house.warden.finish(&id(1), 0);
    for chat in [GROUP, ALICE.id] {
        let record = message(&fake, chat, 1, "Done, exit 0").await;
        soon("the tail stands below each", || {
            fake.messages().into_iter().find(|it| it.reply_to == Some(record.id) && it.chat == chat)
        })
        .await;
    }
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn a_webhook_is_set_with_the_secret_of_its_file_and_taps_come_in_by_it() {
    let fake = fake::Telegram::start();
    let listen = free();
    let mut house = house(&fake, &json!(GROUP));
    house.settings["listen"] = json!(listen);
    house.settings["url"] = URL.into();
    house.secret("secret_file", SECRET);
    house.open().await;
    assert_eq!(fake.webhook(), Some((URL.to_owned(), Some(SECRET.to_owned()))));
    fake.deliver_to(listen);
    house.warden.ask(&asked(1, &["npm", "install"]));
    let asked = message(&fake, GROUP, 1, "May this run?").await;
    // Whoever says another secret, or none, is nobody.
    let local = format!("http://{listen}/telegram/in");
    let update = json!({ "update_id": 1, "message": {
        "message_id": 1, "date": 1, "text": "/kill", "chat": { "id": GROUP, "type": "supergroup" },
        "from": ALICE.json(),
    } });
    for secret in ["", "another"] {
        let header = "x-telegram-bot-api-secret-token";
        let call = Outgoing::json(&local, &update).header(header, secret);
        assert_eq!(Http::new(Trust::System).unwrap().send(call).await.unwrap().status, 401);
    }
    let tap = fake.tap(ALICE, &asked, "Deny");
    message(&fake, GROUP, 1, "Denied by alice").await;
    assert_eq!(soon("it is answered", || fake.answer_of(&tap)).await.text, "Denied.");
    soon("it is confirmed", || (fake.unconfirmed() == 0).then_some(())).await;
    assert!(fake.deliveries().iter().all(|status| *status == 200), "{:?}", fake.deliveries());
    assert_eq!((house.warden.answers().len(), house.warden.stopped_by()), (1, None));
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn token_address_and_secret_can_stand_in_the_environment() {
    let variables = [("OPS_TOKEN", TOKEN), ("OPS_URL", URL), ("OPS_SECRET", SECRET)];
    let this = "settings::token_address_and_secret_can_stand_in_the_environment";
    if !again::is_there(this, &variables) {
        return;
    }
    let (fake, listen) = (fake::Telegram::start(), free());
    let settings = json!({
        "kind": "telegram", "api": fake.api(), "to": GROUP, "listen": listen,
        "token_env": "OPS_TOKEN", "url_env": "OPS_URL", "secret_env": "OPS_SECRET",
    });
    let mut house = House::new(&[("telegram:42", "alice")], settings);
    house.open().await;
    assert_eq!(fake.webhook(), Some((URL.to_owned(), Some(SECRET.to_owned()))));
    fake.deliver_to(listen);
    house.warden.ask(&asked(1, &["ls"]));
    let asked = message(&fake, GROUP, 1, "May this run?").await;
    fake.tap(ALICE, &asked, "Approve");
    message(&fake, GROUP, 1, "Approved by alice").await;
}
