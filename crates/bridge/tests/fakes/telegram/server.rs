//! HTTP, as much of it as clients of the Bot API use.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::methods::{self, No};
use super::state::Shared;
use super::{Fault, TOKEN};

/// Bytes of a call.
const MAX_CALL: usize = 1024 * 1024;

pub async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A client may go at any moment.
            let _ = connection(stream, shared).await;
        });
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    while let Some((target, body)) = call(&mut stream, &mut bytes).await? {
        let Some((status, answer)) = answered(&target, &body, &shared).await else {
            return Ok(());
        };
        let head = format!(
            "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat()).await?;
    }
    Ok(())
}

/// The target and the body of the next call. What follows it stays in `bytes`.
async fn call(
    stream: &mut TcpStream,
    bytes: &mut Vec<u8>,
) -> std::io::Result<Option<(String, Vec<u8>)>> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, length)| length.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = bytes[end + 4..end + 4 + length].to_vec();
                bytes.drain(..end + 4 + length);
                let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
                return Ok(Some((target, body)));
            }
        }
        assert!(bytes.len() < MAX_CALL, "a call is too long");
        let mut chunk = [0; 16 * 1024];
        match stream.read(&mut chunk).await? {
            0 => return Ok(None),
            read => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

/// The status and the body of the answer; `None`: the connection breaks.
async fn answered(target: &str, body: &[u8], shared: &Arc<Shared>) -> Option<(u16, String)> {
    let method = target.strip_prefix("/bot").and_then(|rest| rest.strip_prefix(TOKEN));
    let Some(method) = method.and_then(|rest| rest.strip_prefix('/')) else {
        let is_bot = target.starts_with("/bot") && target.matches('/').count() == 2;
        let (code, text) = if is_bot { (401, "Unauthorized") } else { (404, "Not Found") };
        return Some(no(&No::new(code, text)));
    };
    let fault = {
        let mut state = shared.state.lock().unwrap();
        let read = serde_json::from_slice(body).unwrap_or(Value::Null);
        state.calls.push((method.to_owned(), read));
        state.fault(method)
    };
    match fault {
        Some(Fault::Drop) => return None,
        Some(Fault::TooMany(rest)) => {
            let why = format!("Too Many Requests: retry after {rest}");
            let mut refusal = No::new(429, &why);
            refusal.parameters = json!({ "retry_after": rest });
            return Some(no(&refusal));
        }
        Some(Fault::Says(code, text)) => return Some(no(&No::new(code, text))),
        Some(Fault::Page(status)) => {
            return Some((status, format!("<html><h1>Bad</h1>{target}</html>")));
        }
        Some(Fault::Garbage) => return Some((200, "{\"ok\":true,\"resu".to_owned())),
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::Lost) | None => {}
    }
    let done = match serde_json::from_slice::<Value>(body) {
        Ok(body) if method == "getUpdates" => methods::get_updates(&body, shared).await,
        Ok(body) => methods::call(method, &body, &mut shared.state.lock().unwrap()),
        Err(_) => Err(No::new(400, "Bad Request: object expected as reply markup")),
    };
    shared.changed.notify_waiters();
    if fault == Some(Fault::Lost) {
        return None;
    }
    Some(match done {
        Ok(result) => (200, json!({ "ok": true, "result": result }).to_string()),
        Err(refusal) => no(&refusal),
    })
}

fn no(refusal: &No) -> (u16, String) {
    let mut body =
        json!({ "ok": false, "error_code": refusal.code, "description": refusal.description });
    if !refusal.parameters.is_null() {
        body["parameters"] = refusal.parameters.clone();
    }
    (refusal.code, body.to_string())
}

/// Calls a webhook, and gives the status of the answer.
pub async fn post(
    address: std::net::SocketAddr,
    path: &str,
    secret: Option<&str>,
    body: &str,
) -> std::io::Result<u16> {
    let secret = secret
        .map(|secret| format!("X-Telegram-Bot-Api-Secret-Token: {secret}\r\n"))
        .unwrap_or_default();
    let call = format!(
        "POST {path} HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n{secret}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = Vec::new();
    let read = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(call.as_bytes()).await?;
        stream.read_to_end(&mut answer).await
    };
    tokio::time::timeout(Duration::from_secs(60), read).await??;
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|s| s.parse().ok());
    status.ok_or_else(|| std::io::Error::other("no answer"))
}
