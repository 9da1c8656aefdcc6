//! Random values that open something, and what is kept of them.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Bytes of a secret: too many to be guessed, so that a plain hash is enough to keep.
const BYTES: usize = 32;

/// 256 random bits as text.
///
/// # Errors
/// When the kernel has none to give.
pub(super) fn fresh() -> io::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<BYTES>()?))
}

/// A random name of 8 hex digits. It protects nothing.
///
/// # Errors
/// When the kernel has no random bytes to give.
pub(super) fn fresh_id() -> io::Result<String> {
    Ok(format!("{:08x}", u32::from_be_bytes(random()?)))
}

/// Whether a text could be such a name.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Random bytes.
///
/// # Errors
/// When the kernel has none to give.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let got = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if got == N { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What is kept of a secret.
pub(super) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Whether `secret` is the one of which `kept` is the hash. Takes as long for every wrong one.
pub(super) fn fits(secret: &str, kept: &[u8; 32]) -> bool {
    hash(secret).ct_eq(kept).into()
}

/// Bytes in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 32 bytes from hex.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_fits_its_hash_and_no_other_does() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        assert_eq!(one.len(), 43);
        assert!(fits(&one, &hash(&one)) && !fits(&other, &hash(&one)) && !fits("", &hash(&one)));
        assert_eq!(unhex(&hex(&hash(&one))), Some(hash(&one)));
        assert_eq!(unhex("zz"), None);
    }
}
