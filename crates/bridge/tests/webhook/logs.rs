//! What is logged of webhooks and their callbacks while everything goes wrong, at the level that logs most.

use clawrden_api::Trust;
use clawrden_bridge::http::{Http, Outgoing};
use clawrden_bridge::secret::Secret;
use clawrden_bridge::service::Service as _;
use clawrden_bridge::trial;
use clawrden_bridge::webhook::{SIGNATURE, TIMESTAMP, signer};
use serde_json::json;

use super::house::{asked, free, id, soon};
use super::receiver::{Fault, Form, Receiver};
use super::{SECRET, house, logged, taken};

/// What stands in the address alone.
const IN_THE_ADDRESS: &str = "a-secret-that-stands-in-the-address";

/// A token for the other side.
const TOKEN: &str = "tk_nobody_else_may_see_it";

#[tokio::test]
async fn no_secret_token_or_address_is_in_any_log() {
    logged::start();
    let mut shown = String::new();
    for form in [Form::Json, Form::Discord, Form::Mattermost, Form::Ntfy] {
        let receiver = Receiver::start(form).await;
        let listen = free();
        let more = if form == Form::Json { json!({ "listen": listen }) } else { json!({}) };
        let mut house = house(&receiver, form, more);
        house.secret("token_file", TOKEN);
        house.open().await;
        receiver.fail(&[Fault::Status(500), Fault::Cut, Fault::Limited(0)]);
        house.warden.ask(&asked(1, &["npm", "install"]));
        taken(&receiver, "what waits", |call| call.says("npm install")).await;
        receiver.fail(&[Fault::Status(404)]);
        house.warden.answer_elsewhere(&id(1), "carol", true);
        soon("the refusal", || (house.standing.state().failed == 4).then_some(())).await;
        shown += &format!("{:?}", house.standing.state());
        if form == Form::Json {
            let body = json!({ "user": "alice", "command": ["status"] }).to_string();
            let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            for secret in [SECRET, "another secret of somebody"] {
                let signed = signer(&Secret::new(secret)).sign(at.as_secs(), body.as_bytes());
                let url = format!("http://{listen}/");
                let call = Outgoing::post(&url, "application/json", body.clone().into_bytes());
                let call = call.header(TIMESTAMP, &signed.0).header(SIGNATURE, &signed.1);
                Http::new(Trust::System).unwrap().send(call).await.unwrap();
            }
        }
        let service = house.service();
        receiver.set_down(true);
        let steps = trial::steps(Some(&service), &house.standing, &["default".to_owned()]).await;
        shown += &format!("{steps:?} {:?}", house.channel());
        shown += &format!("{:?}", service.test("default").await);
    }
    let logged = logged::text();
    for says in ["a message is given up", "a callback is not taken"] {
        assert!(logged.contains(says), "{says}: {logged}");
    }
    for secret in [SECRET, TOKEN, IN_THE_ADDRESS] {
        assert!(!logged.contains(secret), "{secret}: {logged}");
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}
