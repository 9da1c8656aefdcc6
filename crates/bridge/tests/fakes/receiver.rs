//! Whoever receives a webhook: any program, or a chat service's own, which takes what its documentation allows and notes
//! what is beyond.

// Not every test uses everything.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Characters that Discord takes (Execute Webhook), and Mattermost (a post), as the strictest way of counting has them.
const DISCORD: usize = 2_000;
const MATTERMOST: usize = 16_383;

/// Bytes that ntfy takes for a message. It makes an attachment of a longer one.
const NTFY: usize = 4_096;

/// Bytes of a header that any proxy takes.
const HEADER: usize = 2_000;

/// What Discord calls the first message.
const FIRST: u64 = 1_145_000_000_000_000_001;

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Discord,
    Mattermost,
    Ntfy,
}

/// What goes wrong with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Status(u16),
    /// 429, with so many seconds in Retry-After.
    Limited(u64),
    /// The connection is closed, and nothing is said.
    Cut,
    /// It is taken, and never answered.
    Silent,
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub target: String,
    /// By names of small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    pub at: Instant,
    /// What it was answered; 0: nothing.
    pub status: u16,
}

impl Call {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether this stands in it anywhere.
    pub fn says(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(text)
    }

    /// What people are shown.
    pub fn text(&self) -> String {
        let json = self.json();
        let text = json["content"].as_str().or(json["text"].as_str());
        text.map_or_else(|| String::from_utf8_lossy(&self.body).into_owned(), str::to_owned)
    }
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    faults: VecDeque<Fault>,
    is_down: bool,
    refused: Vec<String>,
    messages: u64,
}

/// The receiver. It ends when it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    pub async fn start(form: Form) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), form).await
    }

    pub async fn at(address: SocketAddr, form: Form) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    // A caller may go at any moment.
                    let _ = connection(stream, form, &shared).await;
                });
            }
        });
        Self { address, state, serving }
    }

    /// Its address, of which a part is a secret where it is a chat service's.
    pub fn url(&self) -> String {
        format!("http://{}/api/webhooks/1/a-secret-that-stands-in-the-address", self.address)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Those that were answered well.
    pub fn taken(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| (200..300).contains(&call.status)).collect()
    }

    /// What goes wrong next, one after the other.
    pub fn fail(&self, faults: &[Fault]) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// Closes every connection, or does so no more.
    pub fn set_down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    /// What was beyond what the service takes.
    pub fn refused(&self) -> Vec<String> {
        self.state.lock().unwrap().refused.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn connection(
    mut stream: TcpStream,
    form: Form,
    shared: &Mutex<State>,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    while let Some(call) = read(&mut stream, &mut bytes).await? {
        let (status, headers, body) = {
            let mut state = shared.lock().unwrap();
            let (status, headers, body) = answer(&mut state, form, &call);
            state.calls.push(Call { status, ..call });
            (status, headers, body)
        };
        match status {
            0 if headers.is_empty() => return Ok(()),
            0 => return std::future::pending().await,
            _ => {}
        }
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    }
    Ok(())
}

/// The status, more headers, and the body. Of status 0 nothing is said: with headers, never.
fn answer(state: &mut State, form: Form, call: &Call) -> (u16, String, String) {
    let nothing = |status| (status, String::new(), String::new());
    if state.is_down {
        return nothing(0);
    }
    match state.faults.pop_front() {
        Some(Fault::Status(status)) => return nothing(status),
        Some(Fault::Limited(seconds)) => {
            return (429, format!("retry-after: {seconds}\r\n"), String::new());
        }
        Some(Fault::Cut) => return nothing(0),
        Some(Fault::Silent) => return (0, "silent".to_owned(), String::new()),
        None => {}
    }
    let taken = match form {
        Form::Json => Ok(json!({})),
        Form::Discord => discord(state, call),
        Form::Mattermost => mattermost(call).map(|()| json!("ok")),
        Form::Ntfy => ntfy(call).map(|()| json!({ "id": "x", "event": "message" })),
    };
    match taken {
        Ok(Value::Null) => nothing(204),
        Ok(body) => (200, String::new(), body.to_string()),
        Err(why) => {
            state.refused.push(why);
            nothing(400)
        }
    }
}

fn discord(state: &mut State, call: &Call) -> Result<Value, String> {
    let json = call.json();
    known(&json, &["content", "allowed_mentions", "flags"])?;
    at_most(&json["content"], DISCORD)?;
    // Everything else calls people.
    if json["allowed_mentions"] != json!({ "parse": [] }) {
        return Err(format!("it mentions people: {}", json["allowed_mentions"]));
    }
    let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
    match (&call.method[..], path.split_once("/messages/")) {
        ("POST", None) if query == "wait=true" => {
            state.messages += 1;
            Ok(json!({ "id": (FIRST + state.messages - 1).to_string() }))
        }
        ("POST", None) => Ok(Value::Null),
        ("PATCH", Some((_, id))) => {
            let id: u64 = id.parse().map_err(|_| format!("{id:?} is no message"))?;
            let is_there = (FIRST..FIRST + state.messages).contains(&id);
            is_there.then(|| json!({ "id": id.to_string() })).ok_or(format!("there is no {id}"))
        }
        _ => Err(format!("there is no {} {}", call.method, call.target)),
    }
}

fn mattermost(call: &Call) -> Result<(), String> {
    let json = call.json();
    known(&json, &["text"])?;
    at_most(&json["text"], MATTERMOST)
}

fn ntfy(call: &Call) -> Result<(), String> {
    let text = std::str::from_utf8(&call.body).map_err(|error| error.to_string())?;
    if text.len() > NTFY || text.is_empty() {
        return Err(format!("{} bytes", text.len()));
    }
    // What stands before it takes no longer heads than most.
    if let Some((name, value)) = call.headers.iter().find(|(_, value)| value.len() > HEADER) {
        return Err(format!("{} bytes of the header {name}", value.len()));
    }
    let odd =
        call.headers.iter().find(|(_, value)| !value.chars().all(|c| (' '..='~').contains(&c)));
    odd.map_or(Ok(()), |(name, value)| Err(format!("the header {name} is {value:?}")))
}

fn known(json: &Value, fields: &[&str]) -> Result<(), String> {
    let object = json.as_object().ok_or("it is no object")?;
    let other = object.keys().find(|key| !fields.contains(&&key[..]));
    other.map_or(Ok(()), |key| Err(format!("there is no field {key}")))
}

fn at_most(text: &Value, most: usize) -> Result<(), String> {
    let units = text.as_str().unwrap_or_default().encode_utf16().count();
    if (1..=most).contains(&units) { Ok(()) } else { Err(format!("{units} of {most} characters")) }
}

/// The next call. What follows it stays in `bytes`.
async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<Option<Call>> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let headers: BTreeMap<String, String> = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers.get("content-length").map_or(0, |n| n.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = bytes[end + 4..end + 4 + length].to_vec();
                bytes.drain(..end + 4 + length);
                let mut words = head.split(' ').map(str::to_owned);
                let (method, target) = (words.next().unwrap(), words.next().unwrap());
                let at = Instant::now();
                return Ok(Some(Call { method, target, headers, body, at, status: 0 }));
            }
        }
        let mut piece = [0; 16 * 1024];
        match stream.read(&mut piece).await? {
            0 => return Ok(None),
            n => bytes.extend_from_slice(&piece[..n]),
        }
    }
}
