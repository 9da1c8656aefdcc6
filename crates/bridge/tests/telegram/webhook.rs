use std::net::SocketAddr;

use clawrden_bridge::heard::Wants;
use clawrden_bridge::telegram::Webhook;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::fake::{ALICE, Fault, GROUP};
use super::*;

const URL: &str = "https://bridge.example/telegram/in";

/// A place that nobody listens at.
fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn hooked(fake: &fake::Telegram, listen: SocketAddr) -> Settings {
    let hook = Webhook { url: URL.to_owned(), listen, secret: None };
    Settings { hearing: Hearing::Webhook(hook), ..settings(fake) }
}

async fn call(to: SocketAddr, head: &str, body: &str) -> u16 {
    let call = format!(
        "{head}host: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(call.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn updates_come_in_by_a_webhook() {
    let fake = fake::Telegram::start();
    for fault in [Fault::Drop, Fault::TooMany(0), Fault::Page(502)] {
        fake.fail("setWebhook", fault);
    }
    let listen = free();
    let mut bridge = Listening::start(hooked(&fake, listen), 8);
    let (url, secret) = soon("the webhook is set", || fake.webhook()).await;
    assert_eq!((&*url, secret.unwrap().len()), (URL, 64));
    fake.deliver_to(listen);
    bridge.telegram.post(&group(), &card(&["ls"])).await.unwrap();
    let tap = fake.tap(ALICE, &fake.last(GROUP).unwrap(), "Approve");
    let heard = bridge.hear().await;
    assert_eq!(heard.key, format!("tap:{tap}"));
    assert!(matches!(heard.wants, Wants::Answer { approve: true, .. }));
    soon("it is confirmed", || (fake.unconfirmed() == 0).then_some(())).await;
    assert_eq!(fake.deliveries(), [200]);
    assert_eq!(fake.violations(), [""; 0]);
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_not_heard() {
    let fake = fake::Telegram::start();
    let listen = free();
    let mut bridge = Listening::start(hooked(&fake, listen), 8);
    let (_, secret) = soon("the webhook is set", || fake.webhook()).await;
    let secret = secret.unwrap();
    let body = r#"{"update_id":1,"message":{"message_id":1,"date":1,"text":"/status",
        "chat":{"id":1,"type":"private"},"from":{"id":42,"is_bot":false,"first_name":"A"}}}"#;
    let header = "x-telegram-bot-api-secret-token: ";
    let short = &secret[1..];
    for head in [
        "POST /telegram/in HTTP/1.1\r\n".to_owned(),
        format!("POST /telegram/in HTTP/1.1\r\n{header}\r\n"),
        format!("POST /telegram/in HTTP/1.1\r\n{header}{short}\r\n"),
        format!("POST /telegram/in HTTP/1.1\r\n{header}{secret}0\r\n"),
        format!("POST /telegram/in?{secret} HTTP/1.1\r\n"),
    ] {
        assert_eq!(call(listen, &head, body).await, 401, "{head}");
    }
    let elsewhere = format!("POST /telegram HTTP/1.1\r\n{header}{secret}\r\n");
    assert_eq!(call(listen, &elsewhere, body).await, 404);
    let get = format!("GET /telegram/in HTTP/1.1\r\n{header}{secret}\r\n");
    assert_eq!(call(listen, &get, "").await, 404);
    let known = format!("POST /telegram/in HTTP/1.1\r\n{header}{secret}\r\n");
    assert_eq!(call(listen, &known, "no json").await, 200, "it would come for ever");
    bridge.hear_nothing().await;
    assert_eq!(call(listen, &known, body).await, 200);
    assert_eq!(bridge.hear().await.user, "42");
    assert_eq!(call(listen, &known, body).await, 200);
    bridge.hear_nothing().await;
}

#[tokio::test]
async fn an_update_is_delivered_again_until_it_was_handed_on() {
    let fake = fake::Telegram::start();
    let listen = free();
    fake.deliver_to(listen);
    let first = Listening::start(hooked(&fake, listen), 1);
    soon("the webhook is set", || fake.webhook()).await;
    let said: Vec<i64> = (0..3).map(|_| fake.say(ALICE, GROUP, "/status")).collect();
    soon("one is handed on", || (fake.deliveries() == [200]).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(fake.unconfirmed(), 2, "the second waits for a free place");
    drop(first);
    soon("nobody answers", || fake.deliveries().contains(&0).then_some(())).await;
    let mut second = Listening::start(hooked(&fake, listen), 8);
    for id in &said[1..] {
        assert_eq!(second.hear().await.key, format!("message:{GROUP}:{id}"));
    }
    soon("all is confirmed", || (fake.unconfirmed() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_place_that_is_taken_is_said() {
    let fake = fake::Telegram::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bridge = Listening::start(hooked(&fake, taken.local_addr().unwrap()), 1);
    let failure = bridge.end().await;
    assert!(failure.to_string().contains("calls cannot come in at"), "{failure}");
    assert_eq!(fake.webhook(), None);
}
