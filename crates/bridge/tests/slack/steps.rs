//! `clawrden notify test`: the whole way, and which step fails.

use clawrden_bridge::service::Service as _;

use crate::fake::{self, Fault};
use crate::slack;

async fn failed(fake: &fake::Slack, place: &str) -> (usize, String) {
    let steps = slack(fake).test(place).await;
    let (last, before) = steps.split_last().unwrap();
    assert!(before.iter().all(|step| step.failed.is_none()), "{steps:?}");
    (steps.len(), last.failed.clone().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_is_whole_is_seen_to_be() {
    let fake = fake::Slack::start();
    assert_eq!(failed(&fake, fake::CHANNEL).await, (5, String::new()));
    let message = fake.message();
    assert_eq!(message.edits, 1);
    assert!(message.payload.to_string().contains("posted and edited"));
    // Without the scope to look the channel up, posting tells as well.
    fake.change(|state| state.scopes.remove("channels:read"));
    assert_eq!(failed(&fake, fake::CHANNEL).await, (5, String::new()));
    assert_eq!(failed(&fake, fake::ALICE).await, (5, String::new()));
    assert_eq!(fake.faults_found(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_that_fails_comes_with_what_to_do() {
    let fake = fake::Slack::start();
    let step = async |count: usize, says: &str, place: &str| {
        let (steps, why) = failed(&fake, place).await;
        assert_eq!(steps, count, "{why}");
        assert!(why.contains(says), "{why} does not say {says}");
    };
    fake.fail("auth.test", Fault::Error("invalid_auth"));
    step(1, "copy it again", fake::CHANNEL).await;
    fake.fail("apps.connections.open", Fault::Error("not_allowed_token_type"));
    step(2, "xapp-", fake::CHANNEL).await;
    fake.change(|state| state.scopes.remove("connections:write"));
    step(2, "connections:write", fake::CHANNEL).await;
    fake.change(|state| state.scopes.insert("connections:write"));
    step(3, "no channel's id", "#general").await;
    step(3, "channel_not_found", "C9999999999").await;
    fake.change(|state| state.channels.get_mut(fake::CHANNEL).unwrap().is_member = false);
    step(3, "/invite", fake::CHANNEL).await;
    fake.change(|state| state.channels.get_mut(fake::CHANNEL).unwrap().is_member = true);
    fake.change(|state| state.scopes.remove("chat:write"));
    step(4, "chat:write", fake::CHANNEL).await;
    fake.change(|state| state.scopes.insert("chat:write"));
    fake.fail("chat.update", Fault::Error("cant_update_message"));
    step(5, "another app's", fake::CHANNEL).await;
}
