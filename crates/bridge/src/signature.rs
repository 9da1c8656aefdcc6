//! Signatures over a time and a body: whether a call comes from who knows the secret, is young, and came for the first
//! time. A call is judged before anything of it is read.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// Seconds for which a signature is good.
pub const MAX_AGE: u64 = 5 * 60;

/// Seconds that another clock may be ahead of ours. A signature from further on would be good for longer.
pub const MAX_AHEAD: u64 = 5;

/// Seconds before we listened from which on signatures are good, for what was signed while nobody did. What was taken by
/// whoever listened then is known by its key, which is kept.
const BEFORE_START: u64 = 5;

/// Signatures that are remembered. While there are so many, nothing more is taken.
const MAX_SEEN: usize = 10_000;

/// How a service signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// What stands before the signature's hex digits, such as `v0=`.
    pub prefix: &'static str,
    /// What is signed before the time.
    pub before: &'static str,
    /// What is signed between the time and the body.
    pub between: &'static str,
}

/// Why a call is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no signature, or it is none.
    #[error("it is not signed")]
    Unsigned,
    /// It is another's signature, or of other bytes.
    #[error("its signature is wrong; the secret may be another's")]
    Forged,
    /// It was signed too long ago, or in the future, or well before we listened.
    #[error(
        "it was signed at another time, or before this bridge listened; a replay, or a clock that is wrong"
    )]
    Stale,
    /// It came before.
    #[error("the same was taken before")]
    Replayed,
    /// More calls than can be remembered.
    #[error("too much came at once")]
    TooMany,
}

/// Signs.
#[derive(Clone)]
pub struct Signer {
    mac: Hmac<Sha256>,
    form: Form,
}

impl Signer {
    /// Signs with this secret.
    #[must_use]
    pub fn new(secret: &Secret, form: Form) -> Self {
        // A key of any length is one.
        let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
        Self { mac: mac.unwrap_or_else(|_| unreachable!("HMAC takes keys of every length")), form }
    }

    /// The time, and the signature of a body at it.
    #[must_use]
    pub fn sign(&self, now: u64, body: &[u8]) -> (String, String) {
        let timestamp = now.to_string();
        let signature = format!("{}{}", self.form.prefix, hex(&self.over(&timestamp, body)));
        (timestamp, signature)
    }

    fn over(&self, timestamp: &str, body: &[u8]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        let Form { before, between, .. } = self.form;
        for part in [before.as_bytes(), timestamp.as_bytes(), between.as_bytes(), body] {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// Judges calls.
pub struct Verifier {
    signer: Signer,
    /// From when on signatures are taken.
    since: u64,
    seen: HashMap<[u8; 32], u64>,
}

/// A call that may be taken.
#[derive(Debug)]
#[must_use = "it is not used up yet"]
pub struct Checked {
    signature: [u8; 32],
    /// When it was signed, in seconds since 1970.
    pub at: u64,
}

impl Checked {
    /// Names this very call.
    #[must_use]
    pub fn name(&self) -> String {
        hex(&self.signature)
    }
}

impl Verifier {
    /// One that begins to listen at `now`, in seconds since 1970, for what is signed with this secret.
    #[must_use]
    pub fn new(secret: &Secret, form: Form, now: u64) -> Self {
        let (signer, since) = (Signer::new(secret, form), now.saturating_sub(BEFORE_START));
        Self { signer, since, seen: HashMap::new() }
    }

    /// Judges a call at `now`, in seconds since 1970, by the time and the signature that came with it.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(
        &mut self,
        (timestamp, signature): (Option<&str>, Option<&str>),
        body: &[u8],
        now: u64,
    ) -> Result<Checked, Refused> {
        let (Some(timestamp), Some(signature)) = (timestamp, signature) else {
            return Err(Refused::Unsigned);
        };
        let is_number = timestamp.len() <= 12 && timestamp.bytes().all(|b| b.is_ascii_digit());
        let at = timestamp.parse().ok().filter(|_| is_number).ok_or(Refused::Unsigned)?;
        let given = signature.strip_prefix(self.signer.form.prefix).and_then(unhex);
        let given = given.ok_or(Refused::Unsigned)?;
        // Over the text of the time: written in another way it is another signature.
        let signature = self.signer.over(timestamp, body);
        if !bool::from(signature.ct_eq(&given)) {
            return Err(Refused::Forged);
        }
        if at < self.since || at + MAX_AGE < now || at > now + MAX_AHEAD {
            return Err(Refused::Stale);
        }
        // What is too old to be taken need not be remembered.
        self.seen.retain(|_, at| *at + MAX_AGE >= now);
        let checked = Checked { signature, at };
        self.is_fresh(&checked).map(|()| checked)
    }

    fn is_fresh(&self, checked: &Checked) -> Result<(), Refused> {
        if self.seen.contains_key(&checked.signature) {
            return Err(Refused::Replayed);
        }
        if self.seen.len() >= MAX_SEEN { Err(Refused::TooMany) } else { Ok(()) }
    }

    /// Takes a call, once: it is used up from here on.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn use_up(&mut self, checked: &Checked) -> Result<(), Refused> {
        self.is_fresh(checked)?;
        self.seen.insert(checked.signature, checked.at);
        Ok(())
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

    const NOW: u64 = 1_531_420_618;
    const SECRET: &str = "0123456789abcdef";
    const FORM: Form = Form { prefix: "v1=", before: "", between: "." };

    fn signed(secret: &str, at: u64, body: &[u8]) -> (String, String) {
        Signer::new(&Secret::new(secret), FORM).sign(at, body)
    }

    fn verifier() -> Verifier {
        Verifier::new(&Secret::new(SECRET), FORM, NOW - 1_000)
    }

    fn taken(verifier: &mut Verifier, at: u64, body: &[u8], now: u64) -> Result<(), Refused> {
        let (timestamp, signature) = signed(SECRET, at, body);
        let checked = verifier.check((Some(&timestamp), Some(&signature)), body, now)?;
        verifier.use_up(&checked)
    }

    #[test]
    fn what_is_forged_is_refused() {
        let (at, good) = signed(SECRET, NOW, b"a");
        let (later, _) = signed(SECRET, NOW + 1, b"a");
        let (_, other) = signed("another secret!!", NOW, b"a");
        let check = |at: Option<&str>, signature: Option<&str>, body: &[u8]| {
            verifier().check((at, signature), body, NOW).map(drop)
        };
        assert_eq!(check(Some(&at), Some(&good), b"a"), Ok(()));
        let padded = format!("0{at}");
        for (at, signature, body) in
            [(&at, &good, b"b"), (&later, &good, b"a"), (&at, &other, b"a"), (&padded, &good, b"a")]
        {
            assert_eq!(check(Some(at), Some(signature), body), Err(Refused::Forged), "{at}");
        }
        let (short, version) = (&good[..good.len() - 2], good.replace("v1", "v0"));
        let odd = format!("v1=é{}", "a".repeat(62));
        for (at, signature) in [
            (None, Some(&good[..])),
            (Some(&at[..]), None),
            (Some(""), Some(&good)),
            (Some("-1"), Some(&good)),
            (Some("+1531420618"), Some(&good)),
            (Some("99999999999999999999"), Some(&good)),
            (Some(&at), Some("")),
            (Some(&at), Some("v1=")),
            (Some(&at), Some(short)),
            (Some(&at), Some(&good[3..])),
            (Some(&at), Some(&version)),
            (Some(&at), Some(&odd)),
        ] {
            assert_eq!(check(at, signature, b"a"), Err(Refused::Unsigned), "{at:?} {signature:?}");
        }
    }

    #[test]
    fn what_is_of_another_time_or_from_before_the_start_is_refused() {
        let take = |at, now| taken(&mut verifier(), at, b"a", now);
        assert_eq!(take(NOW, NOW + MAX_AGE), Ok(()));
        assert_eq!(take(NOW, NOW + MAX_AGE + 1), Err(Refused::Stale));
        assert_eq!(take(NOW + MAX_AHEAD, NOW), Ok(()));
        assert_eq!(take(NOW + 6, NOW), Err(Refused::Stale));
        let since = NOW - 1_000;
        assert_eq!(take(since - BEFORE_START, since + 10), Ok(()));
        assert_eq!(take(since - BEFORE_START - 1, since + 10), Err(Refused::Stale));
    }

    #[test]
    fn what_is_taken_is_used_up_and_what_is_only_looked_at_is_not() {
        let mut verifier = verifier();
        let (at, signature) = signed(SECRET, NOW, b"a");
        let headers = (Some(&at[..]), Some(&signature[..]));
        let looked_at = verifier.check(headers, b"a", NOW).unwrap();
        let again = verifier.check(headers, b"a", NOW).unwrap();
        assert_eq!(verifier.use_up(&again), Ok(()));
        assert_eq!(verifier.use_up(&looked_at), Err(Refused::Replayed));
        assert_eq!(taken(&mut verifier, NOW, b"a", NOW + MAX_AGE), Err(Refused::Replayed));
        assert_eq!(taken(&mut verifier, NOW + 1, b"a", NOW), Ok(()), "the same at another time");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten_when_it_is_stale() {
        let mut verifier = verifier();
        for number in 0..MAX_SEEN {
            assert_eq!(taken(&mut verifier, NOW, &number.to_be_bytes(), NOW), Ok(()));
        }
        assert_eq!(taken(&mut verifier, NOW, b"a", NOW), Err(Refused::TooMany));
        let later = NOW + MAX_AGE + 1;
        assert_eq!(taken(&mut verifier, later, b"a", later), Ok(()));
    }
}
