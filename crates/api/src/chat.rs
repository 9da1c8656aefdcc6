//! Chats: services by which people answer, and who somebody is there.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::channels::Trouble;

/// The header by which a bridge says for whom it asks, such as `slack:T012ABC/U345DEF`.
pub const ON_BEHALF: &str = "clawrden-on-behalf";

/// Bytes of a user's id at most.
pub const MAX_USER: usize = 128;

/// Bytes of the name by which a bridge is known at most.
pub const MAX_BRIDGE: usize = 32;

/// Digits of a user's id in Telegram at most.
const MAX_DIGITS: usize = 19;

/// A service through which people answer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ChatService {
    /// Slack.
    Slack,
    /// Telegram.
    Telegram,
    /// Whatever answers by signed callbacks.
    Webhook,
}

impl ChatService {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Slack, Self::Telegram, Self::Webhook];

    /// Its name, as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Telegram => "telegram",
            Self::Webhook => "webhook",
        }
    }
}

impl fmt::Display for ChatService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChatService {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|service| service.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is none of slack, telegram and webhook"))
    }
}

/// Somebody, by the service's own id: never by a name that they can choose. It is written `slack:T012ABC/U345DEF`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChatUser {
    service: ChatService,
    user: String,
}

impl ChatUser {
    /// Somebody of this id there.
    ///
    /// # Errors
    /// When no id of that service looks like it.
    pub fn new(service: ChatService, user: impl Into<String>) -> Result<Self, String> {
        let user = user.into();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._@/+-=~:".contains(c);
        let is_plain = (1..=MAX_USER).contains(&user.len()) && user.chars().all(plain);
        let (is_one, looks) = match service {
            ChatService::Slack => (
                is_of_slack(&user),
                "one of Slack is the workspace's and the member's, such as slack:T012ABC/U345DEF, never a name or an address",
            ),
            ChatService::Telegram => (
                is_of_telegram(&user),
                "one of Telegram is a number, such as telegram:123456789, never a name; a chat's is not a user's",
            ),
            ChatService::Webhook => (true, "1 to 128 letters, digits and ._@/+-=~: make one"),
        };
        if is_plain && is_one {
            return Ok(Self { service, user });
        }
        let shown: String = user.chars().take(MAX_USER).collect();
        Err(format!("{shown:?} is no user's id: {looks}"))
    }

    /// Where.
    #[must_use]
    pub fn service(&self) -> ChatService {
        self.service
    }

    /// How a user is called who is nobody that the warden knows: as no person can be, who have no colon in their names.
    /// `token` is the one by which it is said who it is, where it is not the warden's own word.
    #[must_use]
    pub fn stranger(&self, token: Option<&str>) -> String {
        token.map_or_else(|| self.to_string(), |token| format!("{self} (token {token})"))
    }

    /// Whether this is how the user is called while they are nobody.
    #[must_use]
    pub fn is_stranger(&self, called: &str) -> bool {
        let rest = called.strip_prefix(&self.to_string()[..]);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" (token "))
    }

    /// The service's id.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

/// The workspace's id, or that of the organisation, and the member's.
fn is_of_slack(user: &str) -> bool {
    let is_id = |id: &str| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    user.split_once('/')
        .is_some_and(|(team, user)| team.starts_with(['T', 'E']) && is_id(team) && is_id(user))
}

fn is_of_telegram(user: &str) -> bool {
    user.len() <= MAX_DIGITS
        && !user.starts_with('0')
        && user.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for ChatUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.user)
    }
}

impl FromStr for ChatUser {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, user) = text.split_once(':').ok_or_else(|| {
            let shown: String = text.chars().take(MAX_USER).collect();
            format!("{shown:?} is no user of a chat; write one as slack:T012ABC/U345DEF")
        })?;
        Self::new(service.parse()?, user)
    }
}

impl TryFrom<String> for ChatUser {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ChatUser> for String {
    fn from(user: ChatUser) -> Self {
        user.to_string()
    }
}

/// It travels as text.
impl PartialSchema for ChatUser {
    fn schema() -> RefOr<Schema> {
        let text = "A user of a chat by the service's own id, such as `slack:T012ABC/U345DEF`.";
        let object = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(None::<SchemaFormat>)
            .description(Some(text));
        object.into()
    }
}

impl ToSchema for ChatUser {
    fn name() -> Cow<'static, str> {
        "ChatUser".into()
    }
}

/// A bridge that follows the warden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BridgeStatus {
    /// To what.
    pub service: ChatService,
    /// The id of its token; absent for one of the warden's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Why nobody can answer by it; absent: people can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Trouble>,
    /// Since when that is so.
    pub since_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_service_and_its_own_id() {
        for text in ["slack:T012ABC/U345DEF", "telegram:123456", "webhook:alice@example:1"] {
            assert_eq!(text.parse::<ChatUser>().unwrap().to_string(), text);
        }
        let long = format!("webhook:{}", "x".repeat(MAX_USER + 1));
        for text in [
            "",
            "webhook",
            "webhook:",
            "irc:bob",
            "webhook:a b",
            "webhook:a\nb",
            "webhook:é",
            &long,
        ] {
            assert!(text.parse::<ChatUser>().is_err(), "{text:?}");
        }
        let user: ChatUser = serde_json::from_str("\"telegram:5\"").unwrap();
        assert_eq!((user.service(), user.user()), (ChatService::Telegram, "5"));
        assert_eq!(serde_json::to_string(&user).unwrap(), "\"telegram:5\"");
        assert!(serde_json::from_str::<ChatUser>("\"5\"").is_err());
    }

    #[test]
    fn what_no_user_of_that_service_can_be_is_refused_with_what_one_is() {
        for text in ["slack:T1/U1", "slack:E012/W345", "telegram:1", "webhook:T1/U1"] {
            assert_eq!(text.parse::<ChatUser>().unwrap().to_string(), text);
        }
        for text in [
            "slack:alice@example.com",
            "slack:alice",
            "slack:U012ABC",
            "slack:T012ABC/alice",
            "slack:T012ABC/@U345DEF",
            "slack:C012ABC/U345DEF",
            "slack:T012ABC/",
            "slack:/U345DEF",
            "slack:T012ABC/U345DEF/U1",
            "slack:123456",
        ] {
            let refused = text.parse::<ChatUser>().unwrap_err();
            assert!(refused.contains("slack:T012ABC/U345DEF"), "{text}: {refused}");
        }
        for text in [
            "telegram:alice",
            "telegram:@alice",
            "telegram:-1001234567890",
            "telegram:042",
            "telegram:+4912345",
            "telegram:T1/U1",
            "telegram:12345678901234567890",
        ] {
            let refused = text.parse::<ChatUser>().unwrap_err();
            assert!(refused.contains("is a number"), "{text}: {refused}");
        }
    }

    #[test]
    fn a_stranger_is_called_by_the_chat_s_id_and_nobody_else_is() {
        let user: ChatUser = "slack:T1/U1".parse().unwrap();
        for token in [None, Some("abcd1234")] {
            assert!(user.is_stranger(&user.stranger(token)));
        }
        for other in
            ["slack:T1/U12", "slack:T1/U12 (token x)", "alice (slack:T1/U1)", "slack:T1/U1x", ""]
        {
            assert!(!user.is_stranger(other), "{other}");
        }
    }
}
