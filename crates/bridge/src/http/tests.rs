//! The client against servers that do as they please.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const SECRET: &str = "s3cr3t-t0ken";

fn http() -> Http {
    Http::new(Trust::System).unwrap()
}

/// Answers one connection with `answer` and gives back its address and what was asked.
async fn serve_once(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/bot{SECRET}/x", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 64 * 1024];
        let n = stream.read(&mut asked).await.unwrap();
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
        asked.truncate(n);
        String::from_utf8(asked).unwrap()
    });
    (url, asked)
}

#[tokio::test]
async fn an_answer_of_any_status_comes_back_with_the_rest_it_asks_for() {
    let answer = b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}".to_vec();
    let (url, asked) = serve_once(answer).await;
    let outgoing = Outgoing::json(&url, &serde_json::json!({"a": 1}));
    let answer = http().send(outgoing.bearer(&Secret::new(SECRET))).await.unwrap();
    assert_eq!((answer.status, answer.retry_after), (429, Some(Duration::from_secs(7))));
    assert_eq!(answer.json(), Some(serde_json::json!({})));
    let asked = asked.await.unwrap();
    assert!(asked.contains(&format!("authorization: Bearer {SECRET}\r\n")), "{asked}");
    assert!(asked.ends_with("{\"a\":1}"), "{asked}");
}

#[test]
fn no_answer_asks_for_more_rest_than_ten_minutes() {
    let asked = |seconds: &'static str| {
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, seconds.parse().unwrap())]))
    };
    assert_eq!(asked("3600"), Some(Duration::from_secs(600)));
    assert_eq!(asked("600"), Some(Duration::from_secs(600)));
    assert_eq!(asked("soon"), None);
}

#[tokio::test]
async fn nobody_is_sent_elsewhere() {
    let answer = b"HTTP/1.1 302 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let (url, _) = serve_once(answer.to_vec()).await;
    assert_eq!(http().send(Outgoing::get(&url)).await.unwrap().status, 302);
}

#[tokio::test]
async fn an_answer_without_end_is_refused() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(MAX_ANSWER + 1024, b'x');
    let (url, _) = serve_once(answer).await;
    let error = http().send(Outgoing::get(&url)).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLong(_)), "{error}");
}

#[tokio::test]
async fn no_error_shows_more_of_an_address_than_its_host() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/bot{SECRET}/getMe?x={SECRET}");
    let slow = Outgoing::get(&url).timeout(Duration::from_millis(50));
    let too_slow = http().send(slow).await.unwrap_err();
    assert_eq!(too_slow, HttpError::TooSlow(format!("http://{address}")));
    drop(listener);
    let gone = http().send(Outgoing::get(&url)).await.unwrap_err();
    let broken = serve_once(b"nonsense\r\n\r\n".to_vec()).await.0;
    let broken = http().send(Outgoing::get(&broken)).await.unwrap_err();
    let insecure = format!("http://chat.example/bot{SECRET}/x");
    let clear = http().send(Outgoing::get(&insecure)).await.unwrap_err();
    let user = format!("https://u:{SECRET}@chat.example/");
    let user = http().send(Outgoing::get(&user)).await.unwrap_err();
    let bearer = Outgoing::get("http://localhost:1/").bearer(&Secret::new("s3cr3t-t0ken\r\nx"));
    let header = http().send(bearer).await.unwrap_err();
    assert!(matches!(header, HttpError::BadHeader(_)));
    for error in [too_slow, gone, broken, clear, user, header] {
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    }
    assert_eq!(shown(&url), format!("http://{address}"));
}

#[test]
fn only_addresses_that_keep_secrets_are_taken() {
    for url in ["https://slack.com/api", "wss://x.example/?a", "http://127.0.0.1:1", "ws://[::1]:1"]
    {
        assert_eq!(check(url), Ok(()), "{url}");
    }
    for url in ["http://slack.com", "ws://10.0.0.1:1", "http://localhost.evil.example"] {
        assert!(matches!(check(url), Err(HttpError::InTheClear(_))), "{url}");
    }
    for url in ["", "slack.com", "ftp://x", "https://u@x", "file:///etc/passwd", "unix:/x"] {
        assert_eq!(check(url), Err(HttpError::BadAddress), "{url}");
    }
}

#[test]
fn certificates_that_are_not_there_are_said() {
    let error = Http::new(Trust::Authority(Path::new("/nowhere.pem"))).unwrap_err();
    assert!(error.to_string().contains("/nowhere.pem"), "{error}");
    assert!(matches!(Failure::from(error), Failure::Never(_)));
}

#[tokio::test]
async fn the_other_side_must_have_a_certificate_that_is_trusted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (pem, acceptor) = certificate();
    let server = tokio::spawn(async move {
        for _ in 0..4 {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    let url = format!("https://127.0.0.1:{}/", address.port());
    let stranger = http().send(Outgoing::get(&url)).await.unwrap_err();
    assert!(matches!(stranger, HttpError::Unreachable { .. }), "{stranger}");
    assert!(http().dial(&url).await.is_err());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let known = Http::new(Trust::Authority(&file)).unwrap();
    assert_eq!(known.send(Outgoing::get(&url)).await.unwrap().status, 200);
    let mut stream = known.dial(&url.replace("https", "wss")).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.await.unwrap();
}

fn certificate() -> (String, tokio_rustls::TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (made.cert.pem(), tokio_rustls::TlsAcceptor::from(Arc::new(config)))
}
