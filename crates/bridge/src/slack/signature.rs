//! Whether a call comes from Slack: `X-Slack-Signature`, version `v0`.
//!
//! The signature is over the time and the raw body, so a body is judged before anything of it is read. A call is taken
//! once, while it is young, and never from before we listened: what was seen is forgotten at a restart.

use std::collections::VecDeque;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// How far Slack's clock and ours may be apart; also how old a call may be.
pub const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// How much earlier than our start a call may have been signed, by whole seconds and clocks that are a little apart.
const BEFORE_START: u64 = 5;

/// Calls that are remembered. More in five minutes are refused.
const MAX_SEEN: usize = 4_096;

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no signature, or it is none.
    #[error("it is not signed")]
    Unsigned,
    /// It is another's signature, or of other bytes.
    #[error("its signature is wrong; the signing secret may be another app's")]
    Forged,
    /// It was signed too long ago, or in the future.
    #[error("it was signed at another time; a replay, or a clock that is wrong")]
    Stale,
    /// It came before.
    #[error("it came before")]
    Replayed,
    /// More calls than can be remembered.
    #[error("too many calls came")]
    TooMany,
}

/// Judges calls.
#[derive(Debug)]
pub struct Verifier {
    secret: Secret,
    started: u64,
    seen: VecDeque<(u64, [u8; 32])>,
}

impl Verifier {
    /// One that begins to listen at `now`, in seconds since 1970.
    #[must_use]
    pub fn new(secret: Secret, now: u64) -> Self {
        Self { secret, started: now, seen: VecDeque::new() }
    }

    /// Takes a call at `now`, in seconds since 1970, once.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn take(
        &mut self,
        timestamp: Option<&str>,
        signature: Option<&str>,
        body: &[u8],
        now: u64,
    ) -> Result<(), Refused> {
        let (Some(timestamp), Some(signature)) = (timestamp, signature) else {
            return Err(Refused::Unsigned);
        };
        let is_number = timestamp.len() <= 12 && timestamp.bytes().all(|b| b.is_ascii_digit());
        let signed_at: u64 =
            timestamp.parse().ok().filter(|_| is_number).ok_or(Refused::Unsigned)?;
        let signature = signature.strip_prefix("v0=").and_then(bytes).ok_or(Refused::Unsigned)?;
        let expected = sign(&self.secret, timestamp, body).ok_or(Refused::Forged)?;
        if !bool::from(expected.ct_eq(&signature)) {
            return Err(Refused::Forged);
        }
        let is_old = signed_at + BEFORE_START < self.started;
        if is_old || now.abs_diff(signed_at) > MAX_AGE.as_secs() {
            return Err(Refused::Stale);
        }
        // What is too old to be taken need not be remembered.
        self.seen.retain(|(at, _)| now.abs_diff(*at) <= MAX_AGE.as_secs());
        if self.seen.iter().any(|(_, seen)| *seen == signature) {
            return Err(Refused::Replayed);
        }
        if self.seen.len() >= MAX_SEEN {
            return Err(Refused::TooMany);
        }
        self.seen.push_back((signed_at, signature));
        Ok(())
    }
}

/// The signature of a body at a time, as bytes.
fn sign(secret: &Secret, timestamp: &str, body: &[u8]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).ok()?;
    for part in [b"v0:", timestamp.as_bytes(), b":", body] {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().into())
}

/// The 32 bytes that 64 hex digits say.
fn bytes(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_531_420_618;

    /// The example of Slack's own documentation.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn verifier() -> Verifier {
        Verifier::new(Secret::new(SECRET), NOW - 1_000)
    }

    fn signature(secret: &str, at: u64, body: &str) -> String {
        let signature = sign(&Secret::new(secret), &at.to_string(), body.as_bytes()).unwrap();
        signature.iter().fold("v0=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    #[test]
    fn the_example_of_the_documentation_is_taken_once() {
        let mut verifier = verifier();
        let (at, body) = (NOW.to_string(), BODY.as_bytes());
        assert_eq!(verifier.take(Some(&at), Some(SIGNATURE), body, NOW + 3), Ok(()));
        assert_eq!(
            verifier.take(Some(&at), Some(SIGNATURE), body, NOW + 4),
            Err(Refused::Replayed)
        );
    }

    #[test]
    fn what_is_forged_is_refused() {
        let at = NOW.to_string();
        let (good, other) = (signature(SECRET, NOW, BODY), signature("other", NOW, BODY));
        let take = |at: Option<&str>, signature: Option<&str>, body: &str| {
            verifier().take(at, signature, body.as_bytes(), NOW)
        };
        assert_eq!(take(Some(&at), Some(&good), BODY), Ok(()));
        assert_eq!(take(Some(&at), Some(&good), &format!("{BODY}&x=1")), Err(Refused::Forged));
        let later = (NOW + 1).to_string();
        assert_eq!(take(Some(&later), Some(&good), BODY), Err(Refused::Forged));
        assert_eq!(take(Some(&at), Some(&other), BODY), Err(Refused::Forged));
        let padded = format!("0{at}");
        assert_eq!(take(Some(&padded), Some(&good), BODY), Err(Refused::Forged));
        for (at, signature) in [
            (None, Some(&good[..])),
            (Some(&at[..]), None),
            (Some(""), Some(&good)),
            (Some("-1"), Some(&good)),
            (Some("99999999999999999999"), Some(&good)),
            (Some(&at), Some("")),
            (Some(&at), Some("v0=")),
            (Some(&at), Some(&good[..good.len() - 2])),
            (Some(&at), Some(&good.replace("v0", "v1"))),
            (Some(&at), Some("v0=éa2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b5")),
        ] {
            assert_eq!(take(at, signature, BODY), Err(Refused::Unsigned), "{at:?} {signature:?}");
        }
    }

    #[test]
    fn what_is_stale_or_from_before_the_start_is_refused() {
        let take = |at: u64, now: u64| {
            let (text, signature) = (at.to_string(), signature(SECRET, at, BODY));
            verifier().take(Some(&text), Some(&signature), BODY.as_bytes(), now)
        };
        assert_eq!(take(NOW, NOW + 300), Ok(()));
        assert_eq!(take(NOW, NOW + 301), Err(Refused::Stale));
        assert_eq!(take(NOW + 301, NOW), Err(Refused::Stale));
        let start = NOW - 1_000;
        assert_eq!(take(start - 5, start + 10), Ok(()));
        assert_eq!(take(start - 6, start + 10), Err(Refused::Stale));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten_when_it_is_stale() {
        let mut verifier = verifier();
        let mut take = |number: usize, at: u64| {
            let body = number.to_string();
            let (text, signature) = (at.to_string(), signature(SECRET, at, &body));
            verifier.take(Some(&text), Some(&signature), body.as_bytes(), at)
        };
        for number in 0..MAX_SEEN {
            assert_eq!(take(number, NOW), Ok(()));
        }
        assert_eq!(take(MAX_SEEN, NOW), Err(Refused::TooMany));
        assert_eq!(take(MAX_SEEN, NOW + 301), Ok(()));
    }
}
