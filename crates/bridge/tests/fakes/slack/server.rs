//! HTTP by hand: what is asked is read whole, answered, and the connection kept, as long as nothing is to go wrong.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::methods::{self, Reply};
use super::{Fault, Shared, socket};

/// Bytes of a call.
const MAX_CALL: usize = 4 * 1024 * 1024;

pub(super) async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut start = [0; 9];
            while let Ok(n) = stream.peek(&mut start).await {
                if n == 0 {
                    return;
                }
                if n == start.len() {
                    break;
                }
                sleep(Duration::from_millis(1)).await;
            }
            if &start == b"GET /link" {
                if shared.lock().is_away {
                    return;
                }
                socket::accept(stream, shared).await;
            } else {
                connection(stream, &shared).await;
            }
        });
    }
}

struct Asked {
    path: String,
    head: String,
    body: Vec<u8>,
}

async fn connection(mut stream: TcpStream, shared: &Shared) {
    let mut buffer = Vec::new();
    while let Some(asked) = read(&mut stream, &mut buffer).await {
        let Some(answer) = answer(shared, &asked).await else { return };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Asked> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = header(&head, "content-length").map_or(0, |n| n.parse().unwrap());
            let whole = end + 4 + length;
            assert!(whole <= MAX_CALL, "a call is too long");
            if buffer.len() >= whole {
                let body = buffer[end + 4..whole].to_vec();
                buffer.drain(..whole);
                let path = head.split(' ').nth(1)?.to_owned();
                return Some(Asked { path, head, body });
            }
        }
        let mut piece = [0; 16 * 1024];
        match stream.read(&mut piece).await {
            Ok(n) if n > 0 => buffer.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// What is answered; `None` closes the connection.
async fn answer(shared: &Shared, asked: &Asked) -> Option<Vec<u8>> {
    if shared.lock().is_away {
        return None;
    }
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or(Value::Null);
    if let Some(path) = asked.path.strip_prefix("/hook/") {
        let path = path.to_owned();
        let used = shared.change(|state| {
            let used = state.responses.iter().filter(|(before, _)| *before == path).count();
            if let Err(problem) = super::check_message(&body) {
                state.problems.push(problem);
            }
            state.responses.push((path, body));
            used
        });
        // An address is good for five answers.
        let status = if used < 5 { 200 } else { 404 };
        return Some(http(status, "", &json!({ "ok": used < 5 })));
    }
    let Some(method) = asked.path.strip_prefix("/api/") else {
        return Some(http(404, "", &Value::Null));
    };
    let fault = shared.change(|state| {
        let at = state.faults.iter().position(|(of, _)| of == method);
        at.and_then(|at| state.faults.remove(at)).map(|(_, fault)| fault)
    });
    let delay = shared.lock().delay;
    sleep(delay).await;
    let refused = match fault {
        Some(Fault::Limited(seconds)) => {
            let rest = format!("retry-after: {seconds}\r\n");
            Some(Some(http(429, &rest, &json!({ "ok": false, "error": "ratelimited" }))))
        }
        Some(Fault::Error(error)) => {
            Some(Some(http(200, "", &json!({ "ok": false, "error": error }))))
        }
        Some(Fault::Status(status)) => Some(Some(http(status, "", &"<html>".into()))),
        Some(Fault::Garbage) => Some(Some(http(200, "", &json!(["?"])))),
        Some(Fault::Cut) => Some(None),
        Some(Fault::Slow(time)) => {
            sleep(time).await;
            None
        }
        Some(Fault::Lost) | None => None,
    };
    if let Some(refused) = refused {
        shared.change(|state| state.note(method, &body));
        return refused;
    }
    let token =
        header(&asked.head, "authorization").and_then(|value| value.strip_prefix("Bearer "));
    let is_json = header(&asked.head, "content-type")
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
    let reply = shared.change(|state| {
        state.note(method, &body);
        if is_json {
            methods::call(state, shared.address, method, token, &body)
        } else {
            Err("invalid_form_data".into())
        }
    });
    if matches!(fault, Some(Fault::Lost)) {
        return None;
    }
    Some(http(200, "", &said(reply)))
}

fn said(reply: Reply) -> Value {
    match reply {
        Ok(mut answer) => {
            answer["ok"] = true.into();
            answer
        }
        Err(refused) => {
            let mut answer = json!({ "ok": false, "error": refused.error });
            if let Some(needed) = refused.needed {
                answer["needed"] = needed.into();
                answer["provided"] = "identify".into();
            }
            answer
        }
    }
}

fn http(status: u16, headers: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

impl super::State {
    fn note(&mut self, method: &str, body: &Value) {
        let at = std::time::Instant::now();
        self.calls.push(super::Call { method: method.to_owned(), body: body.clone(), at });
    }
}
