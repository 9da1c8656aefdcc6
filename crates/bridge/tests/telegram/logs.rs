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
    let logged = logged::text();
    assert!(logged.contains("telegram cannot be heard"), "{logged}");
    let key = TOKEN.split_once(':').unwrap().1;
    assert!(!logged.contains(key), "{logged}");
    assert!(!format!("{steps:?}{:?}", settings(&fake)).contains(key), "{steps:?}");
}
