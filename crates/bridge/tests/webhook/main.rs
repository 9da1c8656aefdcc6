//! Webhooks and the desktop, opened from settings: against receivers that fail, and that take no more than they document.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fakes/again.rs"]
mod again;
#[path = "../fakes/entry.rs"]
#[allow(unreachable_pub)]
mod entry;
#[path = "../fakes/house.rs"]
mod house;
#[path = "../fakes/logged.rs"]
#[allow(unreachable_pub)]
mod logged;
#[path = "../fakes/receiver.rs"]
mod receiver;
#[path = "../fakes/warden.rs"]
mod warden;

mod desktop;
mod failing;
mod logs;
mod settings;
mod templates;

use serde_json::{Value, json};

use house::{House, soon};
use receiver::{Call, Form, Receiver};

/// What both sides sign with.
const SECRET: &str = "0123456789abcdef-both-sides-have-it";

/// A bridge to a receiver of this form, with more settings.
fn house(receiver: &Receiver, form: Form, more: Value) -> House {
    let mut settings = json!({ "kind": "webhook" });
    let Value::Object(more) = more else { panic!("{more}") };
    more.into_iter().for_each(|(key, value)| settings[key] = value);
    match form {
        Form::Json => {}
        Form::Discord => settings["template"] = "discord".into(),
        Form::Mattermost => settings["template"] = "mattermost".into(),
        Form::Ntfy => settings["template"] = "ntfy".into(),
    }
    let mut house = House::new(&[("webhook:alice", "alice")], settings);
    house.secret("url_file", &receiver.url());
    if form == Form::Json {
        house.secret("secret_file", SECRET);
    }
    house
}

/// The first call that was taken and is such a one.
async fn taken(receiver: &Receiver, what: &str, wanted: impl Fn(&Call) -> bool) -> Call {
    soon(what, || receiver.taken().into_iter().find(|call| wanted(call))).await
}

/// Of this kind and about this request.
fn is_event(call: &Call, event: &str, id: &str) -> bool {
    let json = call.json();
    json["event"] == event && json["message"] == id
}
