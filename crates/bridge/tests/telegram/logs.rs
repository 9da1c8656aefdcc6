use std::io::Write;
use std::sync::Mutex;

use super::fake::{ALICE, Fault, GROUP, TOKEN};
use super::*;

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Logged;

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_token_is_in_no_log() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(|| Logged)
        .finish();
    // Whatever logs by `log`, as the HTTP client does, is caught as well.
    tracing_subscriber::util::SubscriberInitExt::init(subscriber);
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
    let logged = String::from_utf8(LOGGED.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("telegram cannot be heard"), "{logged}");
    assert!(logged.contains("TRACE") || logged.contains("DEBUG"), "{logged}");
    let key = TOKEN.split_once(':').unwrap().1;
    assert!(!logged.contains(key), "{logged}");
    assert!(!format!("{steps:?}{:?}", settings(&fake)).contains(key), "{steps:?}");
}
