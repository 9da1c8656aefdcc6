//! Whoever receives a webhook, and calls back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use clawrden_bridge::secret::Secret;
use clawrden_bridge::webhook::signer;
use serde_json::{Value, json};

use super::until;

/// What both sides sign with.
pub const SECRET: &str = "a secret that nobody may see 4711";

/// A receiver, and where it calls back.
pub struct Hook {
    pub address: SocketAddr,
    pub listen: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

/// A call, as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Method and path.
    pub asked: String,
    /// The headers, in small letters.
    pub head: String,
    pub body: String,
}

/// Status and body.
pub type Called = (u16, String);

impl Hook {
    pub fn new() -> Self {
        Self::answering("")
    }

    /// One that says this to whatever comes.
    pub fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let kept = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || take(stream, answer, &kept));
            }
        });
        Self { address, listen: free(), received }
    }

    /// Every call so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The events of our own form that came so far.
    pub fn events(&self) -> Vec<Value> {
        let all = self.received();
        let all = all.iter().filter_map(|call| serde_json::from_str(&call.body).ok());
        all.filter(|event: &Value| event["event"].is_string()).collect()
    }

    /// Waits for an event.
    pub fn event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(what, || self.events().into_iter().find(&wanted))
    }

    /// Waits for the message about something that waits, and gives the whole id of the request.
    pub fn waiting(&self) -> String {
        let event = self.event("a message", |event| event["event"] == "waiting");
        event["card"]["entry"]["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the message of a request says this stage.
    pub fn stage(&self, id: &str, stage: &str) -> Value {
        self.event(&format!("{id} to be {stage}"), |event| {
            event["message"] == id && event["card"]["stage"].get(stage).is_some()
        })
    }

    /// A callback by who knows the secret.
    pub fn call(&self, body: &Value) -> Called {
        self.call_at(now(), SECRET, body)
    }

    /// The same, signed at another time or with another secret.
    pub fn call_at(&self, at: u64, secret: &str, body: &Value) -> Called {
        let body = body.to_string();
        let (timestamp, signature) = signer(&Secret::new(secret)).sign(at, body.as_bytes());
        self.send(&timestamp, &signature, &body)
    }

    /// A callback with these headers.
    pub fn send(&self, timestamp: &str, signature: &str, body: &str) -> Called {
        let mut stream = until("the bridge to listen", || TcpStream::connect(self.listen).ok());
        let length = body.len();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
             clawrden-timestamp: {timestamp}\r\nclawrden-signature: {signature}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        let status = said.split(' ').nth(1).unwrap().parse().unwrap();
        (status, said.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// A user's answer.
    pub fn answer(&self, user: &str, id: &str, answer: &str) -> Called {
        self.call(&json!({"user": user, "request": id, "answer": answer}))
    }
}

/// An address that nobody has at this moment.
pub fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn take(mut stream: TcpStream, answer: &str, received: &Mutex<Vec<Received>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut length, mut head) = (0, String::new());
    let mut asked = String::new();
    if reader.read_line(&mut asked).unwrap_or(0) == 0 {
        return;
    }
    let asked = asked.rsplit_once(" HTTP/").unwrap().0.to_owned();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
        head.push_str(&line);
        head.push('\n');
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_ok() {
        let body = String::from_utf8(body).unwrap();
        received.lock().unwrap().push(Received { asked, head, body });
        let said = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        let _ = stream.write_all(said.as_bytes());
    }
}
