//! What comes over the socket: one JSON object a message.

use serde::Deserialize;
use serde_json::{Value, json};

use super::interaction::{self, Done};

/// A message of Slack's, understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Envelope {
    /// The socket is open.
    Hello,
    /// The socket will be closed.
    Disconnect(Ending),
    /// Something that wants to be acknowledged.
    Delivery(Delivery),
    /// Something that we do not know.
    Other,
}

/// Why the socket will be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Soon, and another one is to be opened before.
    Refresh,
    /// Socket Mode was switched off for the app.
    SwitchedOff,
}

/// Something that a person did.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    /// By what it is acknowledged.
    pub id: String,
    /// `interactive`, `slash_commands` or `events_api`.
    pub kind: String,
    /// What.
    pub payload: Value,
    /// Whether the acknowledgement may say something.
    pub may_say: bool,
}

/// A message that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("slack sent something that is no message of Socket Mode")]
pub struct Malformed;

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    envelope_id: Option<String>,
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    accepts_response_payload: bool,
    #[serde(default)]
    reason: Option<String>,
}

/// Characters of an envelope's id.
const MAX_ID: usize = 128;

impl Envelope {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let raw: Raw = serde_json::from_slice(bytes).map_err(|_| Malformed)?;
        if let Some(id) = raw.envelope_id {
            if id.is_empty() || id.len() > MAX_ID {
                return Err(Malformed);
            }
            let may_say = raw.accepts_response_payload;
            return Ok(Self::Delivery(Delivery {
                id,
                kind: raw.kind,
                payload: raw.payload,
                may_say,
            }));
        }
        Ok(match &raw.kind[..] {
            "hello" => Self::Hello,
            "disconnect" => Self::Disconnect(match raw.reason.as_deref() {
                Some("link_disabled") => Ending::SwitchedOff,
                // A warning, a refresh, or what is not known: another socket does no harm.
                _ => Ending::Refresh,
            }),
            _ => Self::Other,
        })
    }
}

impl Delivery {
    /// What a person did.
    #[must_use]
    pub fn done(&self) -> Done {
        match &self.kind[..] {
            "interactive" => interaction::interactive(&self.payload),
            "slash_commands" => interaction::command(&self.payload),
            _ => Done::Nothing,
        }
    }

    /// What says that it came, and what is answered to a dialog.
    #[must_use]
    pub fn acknowledgement(&self, done: &Done) -> String {
        match done {
            Done::Amend(said) if self.may_say => {
                json!({ "envelope_id": self.id, "payload": said }).to_string()
            }
            _ => json!({ "envelope_id": self.id }).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_socket_are_told_apart() {
        let parse = |text: &str| Envelope::parse(text.as_bytes());
        assert_eq!(parse(r#"{"type":"hello","num_connections":1}"#), Ok(Envelope::Hello));
        for (reason, ending) in [
            ("warning", Ending::Refresh),
            ("refresh_requested", Ending::Refresh),
            ("too_many_websockets", Ending::Refresh),
            ("link_disabled", Ending::SwitchedOff),
        ] {
            let text = format!(r#"{{"type":"disconnect","reason":"{reason}","debug_info":{{}}}}"#);
            assert_eq!(parse(&text), Ok(Envelope::Disconnect(ending)), "{reason}");
        }
        assert_eq!(parse(r#"{"type":"goodbye"}"#), Ok(Envelope::Other));
        for broken in
            ["", "{", "[]", "null", "{}", r#"{"type":1}"#, r#"{"type":"x","envelope_id":""}"#]
        {
            assert_eq!(parse(broken), Err(Malformed), "{broken}");
        }
    }

    #[test]
    fn a_delivery_is_acknowledged_by_its_id() {
        let text =
            r#"{"envelope_id":"e-1","type":"events_api","payload":{"a":1},"retry_attempt":1}"#;
        let Ok(Envelope::Delivery(delivery)) = Envelope::parse(text.as_bytes()) else { panic!() };
        let done = delivery.done();
        assert_eq!(done, Done::Nothing);
        assert_eq!(delivery.acknowledgement(&done), r#"{"envelope_id":"e-1"}"#);
        let amend = Done::Amend(json!({"response_action": "errors"}));
        assert_eq!(delivery.acknowledgement(&amend), r#"{"envelope_id":"e-1"}"#);
        let may = Delivery { may_say: true, ..delivery };
        assert!(may.acknowledgement(&amend).contains(r#""payload":{"response_action":"errors"}"#));
    }
}
