use super::fake::{ALICE, Fault, GROUP, TOKEN};
use super::*;

#[tokio::test]
async fn the_token_is_in_no_log() {
    logged::start();
    let fake = fake::Telegram::start();
    for fault in [Fault::Drop, Fault::Page(502), Fault::Says(500, TOKEN), Fault::Garbage] {
        fake.fail("getMe", fault.clone());
        fake.fail("getUpdates", fault.clone());
        fake.fail("sendMessage", fault);
    }
    fake.say(ALICE, GROUP, "/status");
    let mut bridge = Listening::to(&fake);
    bridge.hear().await;
    for _ in 0..5 {
        let _ = bridge.telegram.post(&group(), &card(&["ls"])).await;
    }
    let away = Settings { api: "http://127.0.0.1:1".to_owned(), ..settings(&fake) };
    let steps = with(away).test(&group()).await;
    // And while it is called, by who knows the secret and by who does not.
    let listen = super::house::free();
    let secret = "what-telegram-says_of-itself";
    let hook = clawrden_bridge::telegram::Webhook {
        url: "https://bridge.example/in".to_owned(),
        listen,
        secret: Some(Secret::new(secret)),
    };
    let hooked = Settings { hearing: Hearing::Webhook(hook), ..settings(&fake) };
    let shown = format!("{hooked:?}");
    drop(bridge);
    fake.fail("setWebhook", Fault::Garbage);
    let mut bridge = Listening::start(hooked, 8);
    soon("the webhook is set", || fake.webhook()).await;
    let local = format!("http://{listen}/in");
    let forged = clawrden_bridge::http::Outgoing::json(&local, &serde_json::json!({}));
    let status = Http::new(Trust::System).unwrap().send(forged).await.unwrap().status;
    assert_eq!(status, 401);
    fake.deliver_to(listen);
    fake.say(ALICE, GROUP, "/queue");
    bridge.hear().await;
    let logged = logged::text();
    assert!(logged.contains("telegram cannot be heard"), "{logged}");
    let key = TOKEN.split_once(':').unwrap().1;
    assert!(!logged.contains(key) && !logged.contains(secret), "{logged}");
    assert!(!shown.contains(key) && !shown.contains(secret), "{shown}");
    assert!(!format!("{steps:?}{:?}", settings(&fake)).contains(key), "{steps:?}");
}
