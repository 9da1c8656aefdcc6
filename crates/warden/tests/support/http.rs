//! Requests as they are written, and answers as they are read.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use clawrden_warden::control::table::{Method, Route};

use super::WAITING;
use super::served::Served;

pub(crate) fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: warden\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// One request on a connection of its own: status and body.
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request(method, path, body).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (
        status,
        if head.contains("transfer-encoding: chunked") { joined(body) } else { body.to_owned() },
    )
}

/// What was told in chunks.
pub(crate) fn joined(mut chunks: &str) -> String {
    let mut whole = String::new();
    loop {
        let (length, rest) = chunks.split_once("\r\n").unwrap();
        let (chunk, rest) = rest.split_at(usize::from_str_radix(length, 16).unwrap());
        whole.push_str(chunk);
        chunks = rest.strip_prefix("\r\n").unwrap();
        if chunk.is_empty() {
            return whole;
        }
    }
}

/// Head and body of a whole answer.
pub(crate) fn whole(socket: &Path, request: &str) -> (String, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// Head and body of an answer over TCP, which closes behind it.
pub(crate) fn over_tcp(served: &Served, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    // A refusal may come before all was read, and the rest is then a reset.
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes);
        // It goes on for ever.
        if text.contains("text/event-stream") && text.contains("\r\n\r\n") {
            break;
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned())
}

/// A token, made over the Unix socket.
pub(crate) fn token(served: &Served, request: &str) -> String {
    let (status, body) = ask(&served.path, "POST", "/api/tokens", request);
    assert_eq!(status, 200, "{body}");
    let made: serde_json::Value = serde_json::from_str(&body).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

/// A request with further headers, each on a line of its own.
pub(crate) fn with_headers(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\
         {headers}\r\n{body}"
    )
}

/// The header by which a token is shown.
pub(crate) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// The status of an answer; 0 for none.
pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A header of an answer's head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A request that a route would carry out, or refuse for what it says.
pub(crate) fn request_to(route: &Route, headers: &str) -> String {
    let path = route.path.replace("{id}", WAITING).replace("{name}", "default");
    let body = if route.method == Method::Post { "{}" } else { "" };
    let kind = "content-type: application/json\r\n";
    with_headers(route.method.as_str(), &path, &format!("{headers}{kind}"), body)
}

/// One answer from a connection that stays open.
pub(crate) fn read_one(stream: &mut UnixStream) -> String {
    let mut text = String::new();
    let mut byte = [0; 1];
    while !text.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    text.push_str(&String::from_utf8(body).unwrap());
    text
}

/// Reads until `what` was said, or the stream has ended.
pub(crate) fn hear(stream: &mut TcpStream, what: &str) -> String {
    let (mut heard, mut buffer) = (String::new(), [0; 4096]);
    while !heard.contains(what) {
        match stream.read(&mut buffer) {
            Ok(n @ 1..) => heard.push_str(&String::from_utf8_lossy(&buffer[..n])),
            _ => break,
        }
    }
    heard
}
