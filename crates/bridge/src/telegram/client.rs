//! Calling the Bot API: once, by JSON, and without the token in anything that is said about it.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::text::short;
use super::wire::Answer;
use crate::heard::Failure;
use crate::http::{self, Http, HttpError, MAX_REST, Outgoing};
use crate::secret::Secret;

/// UTF-16 units of what Telegram says of an error.
const MAX_DESCRIPTION: usize = 300;

/// The rest where Telegram asks for one and does not say how long.
const REST: Duration = Duration::from_secs(5);

/// Why a call did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It wants to be left in peace for so long.
    Rest(Duration),
    /// It could not be reached, or could not answer, or nothing that can be understood.
    Away(Failure),
    /// Its answer is longer than we read.
    TooLong(Failure),
    /// It says no.
    No {
        /// As a status of HTTP.
        code: u16,
        /// In Telegram's words.
        description: String,
        /// The id by which the chat goes by now.
        migrated: Option<i64>,
    },
}

impl Refusal {
    /// Whether Telegram says no in words that have this in them, whichever the case.
    pub(super) fn says(&self, words: &str) -> bool {
        let Self::No { description, .. } = self else { return false };
        description.to_ascii_lowercase().contains(words)
    }

    /// Whether the token is none.
    pub(super) fn is_about_the_token(&self) -> bool {
        matches!(self, Self::No { code: 401 | 404, .. })
    }

    /// Whether somebody else hears this bot's users.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::No { code: 409, .. })
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let remedy = remedy(&refusal);
        match refusal {
            Refusal::Rest(rest) => Self::Later(rest),
            Refusal::Away(failure) | Refusal::TooLong(failure) => failure,
            Refusal::No { description, code: 409, .. } => {
                Self::Now(format!("telegram says: {description}{remedy}"))
            }
            Refusal::No { description, .. } => {
                Self::Never(format!("telegram says: {description}{remedy}"))
            }
        }
    }
}

fn remedy(refusal: &Refusal) -> &'static str {
    if refusal.is_about_the_token() {
        return "; the token is not, or no longer, one of a bot: @BotFather tells it by /token";
    }
    if refusal.is_conflict() {
        return "; another program hears this bot: end it, or make a bot for this bridge alone";
    }
    if refusal.says("chat not found") {
        return "; is its id right (a group's begins with -)? Add the bot to the group, or write to it first";
    }
    if matches!(refusal, Refusal::No { code: 403, .. }) {
        return "; add the bot to the chat again, or unblock it there";
    }
    if refusal.says("not enough rights") || refusal.says("have no rights") {
        return "; let the bot write in that chat";
    }
    if refusal.says("thread not found") {
        return "; the topic is not there any more";
    }
    ""
}

/// The Bot API of one bot.
pub(super) struct Client {
    http: Http,
    /// Without a slash at the end.
    api: String,
    token: Secret,
}

impl Client {
    /// `token` is known to be one.
    pub(super) fn new(http: Http, api: &str, token: Secret) -> Self {
        Self { http, api: api.trim_end_matches('/').to_owned(), token }
    }

    /// Calls a method and waits for its result for so long.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        body: &Value,
        timeout: Duration,
    ) -> Result<T, Refusal> {
        let url = format!("{}/bot{}/{method}", self.api, self.token.expose());
        let sent = self.http.send(Outgoing::json(&url, body).timeout(timeout)).await;
        let answer = sent.map_err(|error| match error {
            HttpError::TooLong(_) => Refusal::TooLong(error.into()),
            other => Refusal::Away(other.into()),
        })?;
        self.read(method, &answer)
    }

    fn read<T: DeserializeOwned>(
        &self,
        method: &'static str,
        answer: &http::Answer,
    ) -> Result<T, Refusal> {
        let status = answer.status;
        let not_understood = || {
            Refusal::Away(Failure::Now(format!(
                "the answer to {method} is not understood (status {status})"
            )))
        };
        let Ok(read) = serde_json::from_slice::<Answer<T>>(&answer.body) else {
            // It is not shown: what is no answer of the Bot API may repeat the address, and so the token.
            return Err(match status {
                429 => Refusal::Rest(answer.retry_after.unwrap_or(REST)),
                401 | 404 => self.no(status, "there is no such bot", None),
                _ => not_understood(),
            });
        };
        if read.ok {
            return read.result.ok_or_else(not_understood);
        }
        let parameters = read.parameters.unwrap_or_default();
        let description = read.description.unwrap_or_default();
        match read.error_code.unwrap_or(status) {
            429 => {
                let rest = parameters.retry_after.map(Duration::from_secs);
                Err(Refusal::Rest(rest.or(answer.retry_after).unwrap_or(REST).min(MAX_REST)))
            }
            code @ 400..500 => Err(self.no(code, &description, parameters.migrate_to_chat_id)),
            code => {
                let shown = self.shown(&description);
                let why = format!("telegram has trouble: {shown} (status {code})");
                Err(Refusal::Away(Failure::Now(why)))
            }
        }
    }

    fn no(&self, code: u16, description: &str, migrated: Option<i64>) -> Refusal {
        Refusal::No { code, description: self.shown(description), migrated }
    }

    fn shown(&self, description: &str) -> String {
        short(&description.replace(self.token.expose(), "[token]"), MAX_DESCRIPTION)
    }
}
