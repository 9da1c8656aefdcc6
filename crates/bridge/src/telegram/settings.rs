//! How a bot is set up.

use std::net::SocketAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::http::{self, HttpError};
use crate::secret::Secret;

/// Where the Bot API is.
pub(super) const API: &str = "https://api.telegram.org";

/// Characters of a webhook's secret.
const MAX_SECRET: usize = 256;

/// How a bot is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The bot's token, as @BotFather tells it.
    pub token: Secret,
    /// Where the Bot API is; a server of one's own answers to the same.
    pub api: String,
    /// How people are heard.
    pub hearing: Hearing,
    /// The first pause after something failed, about; doubled up to a minute.
    pub pause: Duration,
}

/// How people are heard.
#[derive(Debug, Clone)]
pub enum Hearing {
    /// By asking all the time: nothing has to be reachable.
    Polling,
    /// By being called.
    Webhook(Webhook),
}

/// How Telegram calls.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// What Telegram calls, by HTTPS.
    pub url: String,
    /// Where that arrives here, from what ends TLS.
    pub listen: SocketAddr,
    /// What Telegram says of itself; absent: derived from the token.
    pub secret: Option<Secret>,
}

/// Why a bot cannot be set up so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The token has another form.
    #[error("the telegram token is none; @BotFather tells it, as 123456:ABC-DEF…")]
    BadToken,
    /// The Bot API cannot be there.
    #[error("the telegram api cannot be reached there: {0}")]
    BadApi(HttpError),
    /// Telegram calls nothing but HTTPS.
    #[error("telegram calls only https:// addresses; {0:?} is none")]
    BadUrl(String),
    /// The secret has characters that Telegram does not take.
    #[error("the secret of the telegram webhook must be 1 to 256 of A-Z, a-z, 0-9, _ and -")]
    BadSecret,
}

impl Settings {
    /// A bot that asks at the usual place.
    #[must_use]
    pub fn polling(token: Secret) -> Self {
        let pause = Duration::from_secs(1);
        Self { token, api: API.to_owned(), hearing: Hearing::Polling, pause }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if !is_token(self.token.expose()) {
            return Err(SettingsError::BadToken);
        }
        http::check(&self.api).map_err(SettingsError::BadApi)?;
        let Hearing::Webhook(webhook) = &self.hearing else { return Ok(()) };
        if !webhook.url.starts_with("https://") || http::check(&webhook.url).is_err() {
            return Err(SettingsError::BadUrl(webhook.url.clone()));
        }
        match &webhook.secret {
            Some(secret) if !is_secret(secret.expose()) => Err(SettingsError::BadSecret),
            _ => Ok(()),
        }
    }
}

impl Webhook {
    /// What Telegram says of itself. It is the same after a restart, and for another bridge of the same bot.
    pub(super) fn secret(&self, token: &Secret) -> Secret {
        if let Some(secret) = &self.secret {
            return secret.clone();
        }
        // A key may have any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(token.expose().as_bytes()) else {
            return token.clone();
        };
        mac.update(b"clawrden telegram webhook");
        let digits: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        Secret::new(&digits)
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_token(text: &str) -> bool {
    text.split_once(':').is_some_and(|(id, key)| {
        id.bytes().all(|b| b.is_ascii_digit()) && is_word(id) && is_word(key)
    })
}

fn is_secret(text: &str) -> bool {
    is_word(text) && text.len() <= MAX_SECRET
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(url: &str, secret: Option<&str>) -> Settings {
        let hearing = Hearing::Webhook(Webhook {
            url: url.to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            secret: secret.map(Secret::new),
        });
        Settings { hearing, ..Settings::polling(Secret::new("1:a")) }
    }

    #[test]
    fn what_cannot_be_a_token_is_refused() {
        assert_eq!(Settings::polling(Secret::new("123456:ABC-DEF_1")).check(), Ok(()));
        for bad in ["", "123456", ":abc", "123:", "12a:abc", "1:a/../b", "1:a b", "1:é", "1:a?x"] {
            let settings = Settings::polling(Secret::new(bad));
            assert_eq!(settings.check(), Err(SettingsError::BadToken), "{bad}");
        }
    }

    #[test]
    fn a_webhook_is_called_by_https_and_has_a_secret() {
        assert_eq!(webhook("https://bridge.example/telegram", Some("a_-9")).check(), Ok(()));
        assert!(matches!(webhook("http://b.example", None).check(), Err(SettingsError::BadUrl(_))));
        for bad in ["", "a b", "é", &"a".repeat(257)] {
            let settings = webhook("https://b.example", Some(bad));
            assert_eq!(settings.check(), Err(SettingsError::BadSecret), "{bad}");
        }
        let Hearing::Webhook(hook) = webhook("https://b.example", None).hearing else { panic!() };
        let secret = hook.secret(&Secret::new("1:a"));
        assert_eq!(secret.expose().len(), 64);
        assert_eq!(secret, hook.secret(&Secret::new("1:a")));
        assert_ne!(secret, hook.secret(&Secret::new("1:b")));
    }

    #[test]
    fn the_api_is_never_reached_in_the_clear() {
        let mut settings = Settings::polling(Secret::new("1:a"));
        settings.api = "http://api.example".to_owned();
        assert!(matches!(settings.check(), Err(SettingsError::BadApi(_))));
    }
}
