//! Signatures over a time and a body: what is sent, and what is taken. What was signed long ago, or was taken before, is
//! not taken, over a restart either.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// The header with the time, in seconds since 1970.
pub const TIMESTAMP: &str = "clawrden-timestamp";

/// The header with `v1=` and the HMAC-SHA256 in hex over the time, a full stop and the body.
pub const SIGNATURE: &str = "clawrden-signature";

/// Seconds that the time of a signature may lie from ours.
const NEAR: u64 = 5 * 60;

/// Signatures that are remembered. While there are so many, nothing more is taken.
const MAX_SEEN: usize = 10_000;

/// Signs what is sent.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// Signs with this secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        // A key of any length is one.
        let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
        Self(mac.unwrap_or_else(|_| unreachable!("HMAC takes keys of every length")))
    }

    /// The two headers' values.
    #[must_use]
    pub fn sign(&self, now: u64, body: &[u8]) -> (String, String) {
        let timestamp = now.to_string();
        let signature = format!("v1={}", hex(&self.mac(&timestamp, body)));
        (timestamp, signature)
    }

    fn mac(&self, timestamp: &str, body: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        mac.finalize().into_bytes().into()
    }
}

/// Why something is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nobody who knows the secret has signed it.
    #[error("the signature is missing or wrong")]
    Forged,
    /// It was signed long ago, or before this bridge listened, or by a clock that is wrong.
    #[error("the timestamp is too far from the time here, or from before this bridge listened")]
    Stale,
    /// It was taken before.
    #[error("the same was taken before")]
    Replayed,
    /// Too much came at once.
    #[error("too much came at once")]
    TooMany,
}

/// Takes what is signed, once.
pub struct Verifier {
    signer: Signer,
    /// Since when it listens.
    since: u64,
    seen: HashMap<[u8; 32], u64>,
}

impl Verifier {
    /// Takes what is signed with this secret from now on.
    #[must_use]
    pub fn new(secret: &Secret, now: u64) -> Self {
        Self { signer: Signer::new(secret), since: now, seen: HashMap::new() }
    }

    /// Checks the values of the two headers, and gives what names this very callback.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn take(
        &mut self,
        (timestamp, signature): (Option<&str>, Option<&str>),
        body: &[u8],
        now: u64,
    ) -> Result<String, Refused> {
        let (Some(timestamp), Some(signature)) = (timestamp, signature) else {
            return Err(Refused::Forged);
        };
        // One way to write a number: another would be another signature of the same.
        let at: u64 = timestamp.parse().map_err(|_| Refused::Forged)?;
        let given = signature.strip_prefix("v1=").and_then(unhex).ok_or(Refused::Forged)?;
        let wanted = self.signer.mac(timestamp, body);
        if !bool::from(wanted.ct_eq(&given)) {
            return Err(Refused::Forged);
        }
        if now.abs_diff(at) > NEAR || at < self.since {
            return Err(Refused::Stale);
        }
        self.seen.retain(|_, at| now.abs_diff(*at) <= NEAR);
        if self.seen.contains_key(&wanted) {
            return Err(Refused::Replayed);
        }
        if self.seen.len() >= MAX_SEEN {
            return Err(Refused::TooMany);
        }
        self.seen.insert(wanted, at);
        Ok(hex(&wanted))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn house() -> (Signer, Verifier) {
        let secret = Secret::new("0123456789abcdef");
        (Signer::new(&secret), Verifier::new(&secret, NOW - 1_000))
    }

    #[test]
    fn a_signature_is_what_others_compute() {
        let (signer, _) = house();
        let (timestamp, signature) = signer.sign(1_700_000_000, b"{}");
        assert_eq!(timestamp, "1700000000");
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        assert_eq!(
            signature,
            "v1=e4f8e2ecae2295b2ddb2f0b5584c8275e226c0ebe9b3b819e70156bb67122e3e"
        );
    }

    #[test]
    fn what_is_forged_stale_or_replayed_is_not_taken() {
        let (signer, mut verifier) = house();
        let mut take = |at: u64, signed: &[u8], body: &[u8], now: u64| {
            let (timestamp, signature) = signer.sign(at, signed);
            verifier.take((Some(&timestamp), Some(&signature)), body, now)
        };
        assert_eq!(take(NOW, b"a", b"b", NOW), Err(Refused::Forged));
        assert_eq!(take(NOW - NEAR - 1, b"a", b"a", NOW), Err(Refused::Stale));
        assert_eq!(take(NOW + NEAR + 1, b"a", b"a", NOW), Err(Refused::Stale));
        assert!(take(NOW, b"a", b"a", NOW).is_ok());
        assert_eq!(take(NOW, b"a", b"a", NOW + NEAR), Err(Refused::Replayed));
        assert_eq!(take(NOW, b"a", b"a", NOW + NEAR + 1), Err(Refused::Stale));
        assert!(take(NOW + 1, b"a", b"a", NOW).is_ok(), "the same words at another time");
        let (_, signature) = signer.sign(NOW, b"a");
        for headers in [
            (None, None),
            (Some("1000000"), None),
            (Some("1000000"), Some("")),
            (Some("1000000"), Some(&signature[3..])),
            (Some("01000000"), Some(&signature[..])),
            (Some("+1000000"), Some(&signature[..])),
            (Some("-1"), Some("v1=00")),
        ] {
            assert_eq!(verifier.take(headers, b"a", NOW), Err(Refused::Forged), "{headers:?}");
        }
    }

    #[test]
    fn what_was_signed_before_a_restart_is_stale() {
        let secret = Secret::new("0123456789abcdef");
        let (timestamp, signature) = Signer::new(&secret).sign(NOW - 1, b"a");
        let mut verifier = Verifier::new(&secret, NOW);
        let taken = verifier.take((Some(&timestamp), Some(&signature)), b"a", NOW);
        assert_eq!(taken, Err(Refused::Stale));
    }
}
