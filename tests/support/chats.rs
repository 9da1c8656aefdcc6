//! Bridges to chats: what they say to a warden, for whom.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::approvers::Panel;
use super::{House, text, until};

/// A bridge's token, and the warden's address.
pub struct Bridge {
    token: String,
    address: String,
}

impl House {
    /// Waits until people can answer by a bridge to this service, for the warden.
    pub fn is_heard_in(&self, service: &str) {
        until("a bridge that hears", || {
            let status = self.json(&["status", "--json"]);
            let mut bridges = status["bridges"].as_array()?.iter();
            bridges.any(|it| it["service"] == service && it["reason"].is_null()).then_some(())
        });
    }
}

/// Status and body.
pub type Answered = (u16, String);

impl Panel {
    /// A token that speaks for a service, with these further words to `clawrden token create`.
    pub fn bridge(&self, service: &str, words: &[&str]) -> Bridge {
        let create = ["token", "create", "--role", "approver", "--speaks-for", service];
        let made = self.house.cli(&[&create[..], words].concat());
        assert!(made.status.success(), "{}", text(&made.stderr));
        let address = self.url.strip_prefix("http://").unwrap().to_owned();
        Bridge { token: text(&made.stdout).trim().to_owned(), address }
    }
}

impl Bridge {
    /// The token's id.
    pub fn id(&self) -> &str {
        self.token.split('_').nth(1).unwrap()
    }

    /// The token itself.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What a user did: `approve` or `deny`.
    pub fn tap(&self, user: &str, verb: &str, id: &str) -> Answered {
        self.post(Some(user), &format!("/api/queue/{id}/{verb}"), "{}")
    }

    /// A request that changes something, for a user or for none.
    pub fn post(&self, user: Option<&str>, path: &str, body: &str) -> Answered {
        let behalf =
            user.map_or_else(String::new, |user| format!("clawrden-on-behalf: {user}\r\n"));
        send(&self.address, &self.token, "POST", path, &behalf, body)
    }
}

/// A request with a token, whosever it is, and further headers.
pub fn send(
    address: &str,
    token: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answered {
    let headers = format!("authorization: Bearer {token}\r\n{headers}");
    let (status, _, body) = exchange(address, method, path, &headers, body);
    (status, body)
}

/// A request with these headers and what all have. Gives status, head and body.
pub fn exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String, String) {
    exchange_by(TcpStream::connect(address).unwrap(), method, path, headers, body)
}

/// The same by a connection that is open already.
pub fn exchange_by(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String, String) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let status = said.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (status, head.to_owned(), body.to_owned())
}
