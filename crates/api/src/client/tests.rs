//! The client against a socket that speaks as a warden does, and as none should.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::error::{ErrorBody, ErrorCode};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("api-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Answers one connection with `answer` and gives back what was asked.
fn serve_once(folder: &Folder, answer: Vec<u8>) -> tokio::task::JoinHandle<String> {
    let listener = UnixListener::bind(folder.socket()).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let n = stream.read(&mut buffer).await.unwrap();
            asked.extend_from_slice(&buffer[..n]);
            if n == 0 || is_whole(&asked) {
                break;
            }
        }
        let _ = stream.write_all(&answer).await;
        String::from_utf8(asked).unwrap()
    })
}

fn is_whole(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
    length.is_none_or(|n| body.len() >= n.parse().unwrap())
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn an_approval_is_posted_with_its_reason() {
    let folder = Folder::new("approve");
    let answer = r#"{"id":"7f3a","answer":"approved","delivered":true,"kept_until_ms":null}"#;
    let server = serve_once(&folder, http("200 OK", answer));
    let reason =
        AnswerRequest { reason: Some("looks right".to_owned()), ..AnswerRequest::default() };
    let answered = Client::unix(folder.socket()).approve("7f3a", &reason).await.unwrap();
    assert!(answered.delivered);
    let asked = server.await.unwrap();
    assert!(asked.starts_with("POST /api/queue/7f3a/approve HTTP/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("{\"reason\":\"looks right\"}"), "{asked}");
}

#[tokio::test]
async fn an_id_cannot_reach_another_route() {
    let folder = Folder::new("route");
    let server =
        serve_once(&folder, http("404 Not Found", r#"{"code":"not_found","message":"no"}"#));
    let error = Client::unix(folder.socket())
        .deny("../kill?x=\r\nHost: y", &AnswerRequest::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Api(ErrorBody { code: ErrorCode::NotFound, .. })));
    let asked = server.await.unwrap();
    let line = asked.lines().next().unwrap();
    assert_eq!(line, "POST /api/queue/..%2Fkill%3Fx%3D%0D%0AHost%3A%20y/deny HTTP/1.1");
}

#[tokio::test]
async fn filters_become_a_query_and_absent_ones_do_not() {
    let folder = Folder::new("history");
    let server = serve_once(&folder, http("200 OK", r#"{"entries":[],"next":null}"#));
    let query = HistoryQuery {
        command: Some("git push & co".to_owned()),
        limit: Some(7),
        ..HistoryQuery::default()
    };
    Client::unix(folder.socket()).history(&query).await.unwrap();
    let asked = server.await.unwrap();
    let line = asked.lines().next().unwrap();
    assert_eq!(line, "GET /api/history?command=git%20push%20%26%20co&limit=7 HTTP/1.1");
}

#[tokio::test]
async fn the_wardens_no_is_given_with_its_code_and_sentence() {
    let folder = Folder::new("conflict");
    let body = r#"{"code":"conflict","message":"request 7f3a was denied before, by root"}"#;
    let _server = serve_once(&folder, http("409 Conflict", body));
    let error = Client::unix(folder.socket()).queue().await.unwrap_err();
    assert_eq!(error.to_string(), "request 7f3a was denied before, by root");
    let ClientError::Api(body) = error else { panic!("{error:?}") };
    assert_eq!(body.code, ErrorCode::Conflict);
}

#[tokio::test]
async fn a_socket_that_is_not_there_says_how_to_start_a_warden() {
    let folder = Folder::new("absent");
    let error = Client::unix(folder.socket()).status().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }));
    assert!(error.to_string().contains("clawrden run"), "{error}");
}

#[tokio::test]
async fn a_socket_whose_warden_ended_says_so() {
    let folder = Folder::new("stale");
    drop(UnixListener::bind(folder.socket()).unwrap());
    let error = Client::unix(folder.socket()).status().await.unwrap_err();
    assert!(error.to_string().contains("has ended"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_a_protocol_error_and_never_a_yes() {
    for (status, body) in
        [("200 OK", "yes"), ("200 OK", ""), ("500 Oops", "<html>"), ("302 Found", "{}")]
    {
        let folder = Folder::new("nonsense");
        let _server = serve_once(&folder, http(status, body));
        let error =
            Client::unix(folder.socket()).resume(&ResumeRequest::default()).await.unwrap_err();
        assert!(matches!(error, ClientError::Protocol(_)), "{status} {body}: {error:?}");
    }
}

#[tokio::test]
async fn a_connection_that_closes_in_the_middle_is_an_error() {
    for answer in ["", "HTTP/1.1 200 OK\r\nconte", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"]
    {
        let folder = Folder::new("cut");
        let _server = serve_once(&folder, answer.as_bytes().to_vec());
        let error =
            Client::unix(folder.socket()).resume(&ResumeRequest::default()).await.unwrap_err();
        assert!(matches!(error, ClientError::BrokenOff { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_stream_whose_warden_dies_is_broken_off_and_not_misunderstood() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    const HELLO: &str = "event: hello\ndata: {}\n\n";
    // Between two chunks, in one, before one, and before the end that was promised.
    let length = HELLO.len();
    for answer in [
        format!("{CHUNKED}{length:x}\r\n{HELLO}\r\n"),
        format!("{CHUNKED}{:x}\r\n{HELLO}event: ha", length + 20),
        format!("{CHUNKED}{length:x}\r\n{HELLO}\r\n1"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{HELLO}"),
    ] {
        let folder = Folder::new("stream-cut");
        let _server = serve_once(&folder, answer.clone().into_bytes());
        let mut events = Client::unix(folder.socket()).events().await.unwrap();
        assert_eq!(events.next().await.unwrap().unwrap().name, "hello", "{answer:?}");
        let error = events.next().await.unwrap_err();
        let ClientError::BrokenOff { path } = &error else { panic!("{answer:?}: {error:?}") };
        assert_eq!(*path, folder.socket());
        assert!(error.to_string().contains("broke off"), "{error}");
    }
    for answer in
        ["", "HTTP/1.1 200 OK\r\ntrans", "HTTP/1.1 500 Oops\r\ncontent-length: 9\r\n\r\n{}"]
    {
        let folder = Folder::new("stream-cut");
        let _server = serve_once(&folder, answer.as_bytes().to_vec());
        let error = Client::unix(folder.socket()).events().await.unwrap_err();
        assert!(matches!(error, ClientError::BrokenOff { .. }), "{answer:?}: {error:?}");
    }
    let folder = Folder::new("stream-odd");
    let _server = serve_once(&folder, format!("{CHUNKED}what?\r\n").into_bytes());
    let error = Client::unix(folder.socket()).events().await.unwrap().next().await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused() {
    let folder = Folder::new("huge");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_ANSWER + 1);
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + MAX_ANSWER + 1, b' ');
    let _server = serve_once(&folder, answer);
    let error = Client::unix(folder.socket()).queue().await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn a_warden_that_never_answers_is_given_up() {
    let folder = Folder::new("silent");
    let listener = UnixListener::bind(folder.socket()).unwrap();
    let client = Client::unix(folder.socket()).with_timeout(Duration::from_millis(50));
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    drop(listener);
}
