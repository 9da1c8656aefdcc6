use clawrden_bridge::service::Step;
use clawrden_bridge::telegram::Webhook;

use super::fake::{Fault, GROUP, NAME};
use super::*;

fn what(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.what.as_str()).collect()
}

/// The last step, which is the only one that failed.
fn failed(steps: &[Step]) -> (String, String) {
    let (last, before) = steps.split_last().unwrap();
    assert!(before.iter().all(|step| step.failed.is_none()), "{steps:?}");
    (last.what.clone(), last.failed.clone().expect("nothing failed"))
}

#[tokio::test]
async fn a_test_goes_the_whole_way() {
    let fake = fake::Telegram::start();
    let steps = bot(&fake).test(&group()).await;
    assert_eq!(
        what(&steps),
        [
            &format!("the token is valid: @{NAME}"),
            "no webhook keeps updates away",
            "the chat can be reached: ops",
            "a message can be sent",
            "a message can be changed",
        ]
    );
    assert!(steps.iter().all(|step| step.failed.is_none()), "{steps:?}");
    assert_eq!(
        fake.last(GROUP).unwrap().text,
        "✅ A test: messages can be sent here, and changed."
    );
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn the_step_that_fails_is_the_last_and_says_what_to_do() {
    let fake = fake::Telegram::start();
    let telegram = bot(&fake);
    for (method, fault, step, remedy) in [
        ("getMe", Fault::Says(401, "Unauthorized"), "the token is valid", "@BotFather"),
        ("getMe", Fault::Drop, "the token is valid", "could not be reached"),
        (
            "getChat",
            Fault::Says(400, "Bad Request: chat not found"),
            "the chat can be reached",
            "Add the bot to the group",
        ),
        (
            "sendMessage",
            Fault::Says(400, "Bad Request: not enough rights to send text messages to the chat"),
            "a message can be sent",
            "let the bot write",
        ),
        ("sendMessage", Fault::TooMany(9), "a message can be sent", "9 s of rest"),
        ("editMessageText", Fault::Page(502), "a message can be changed", "status 502"),
    ] {
        fake.fail(method, fault);
        let (last, why) = failed(&telegram.test(&group()).await);
        assert_eq!(last, step);
        assert!(why.contains(remedy), "{why}");
    }
    let (last, why) = failed(&telegram.test("general").await);
    assert_eq!(last, "the chat can be reached");
    assert!(why.contains("write its number"), "{why}");
    fake.set_webhook("https://old.example/secret-path");
    let (last, why) = failed(&telegram.test(&group()).await);
    assert_eq!(last, "no webhook keeps updates away");
    assert!(why.contains("https://old.example,") && !why.contains("secret-path"), "{why}");
}

#[tokio::test]
async fn a_webhook_that_is_not_called_is_found() {
    let fake = fake::Telegram::start();
    let hook = Webhook {
        url: "https://bridge.example/telegram".to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        secret: None,
    };
    let telegram = with(Settings { hearing: Hearing::Webhook(hook), ..settings(&fake) });
    let (last, why) = failed(&telegram.test(&group()).await);
    assert_eq!(last, "telegram calls the webhook");
    assert!(why.contains("telegram calls nothing; start the bridge"), "{why}");
    fake.set_webhook("https://bridge.example/telegram");
    let steps = telegram.test(&group()).await;
    assert!(steps.iter().all(|step| step.failed.is_none()), "{steps:?}");
}
