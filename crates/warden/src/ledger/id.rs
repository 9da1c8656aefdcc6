//! Ids of requests and of queue entries: sixteen random bytes, written as 32 lowercase hex digits.
//! An id says nothing about who made it and is never a permission by itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Sixteen bytes that name a request, or an entry of the queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 16]);

/// A request's id in queue and ledger, before it is written: 16 random bytes of the warden's own.
pub(crate) type RequestId = [u8; 16];

/// Text that is no [`Id`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no id; an id has 32 lowercase hex digits")]
pub struct BadId(pub String);

impl Id {
    /// The 32 hex digits, without an allocation.
    #[must_use]
    pub fn digits(&self) -> [u8; 32] {
        let mut out = [0; 32];
        hex_into(&self.0, &mut out);
        out
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

impl FromStr for Id {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let digits = text.as_bytes();
        let mut id = [0; 16];
        if digits.len() != 32 {
            return Err(BadId(text.to_owned()));
        }
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            match (digit(pair[0]), digit(pair[1])) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return Err(BadId(text.to_owned())),
            }
        }
        Ok(Self(id))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Writes `bytes` as lowercase hex into `out`, as far as `out` goes.
pub(crate) fn hex_into(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_and_read_the_same() {
        let id = Id([0, 1, 2, 0xfe, 0xff, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x7f]);
        assert_eq!(id.to_string(), "000102feff05060708090a0b0c0d0e7f");
        assert_eq!(id.to_string().as_bytes(), id.digits());
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<Id>(&json).unwrap(), id);
    }

    #[test]
    fn only_32_lowercase_digits_are_an_id() {
        for text in
            ["", "7f3a", "000102feff05060708090a0b0c0d0e7F", "g00102feff05060708090a0b0c0d0e7f"]
        {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
        assert!("000102feff05060708090a0b0c0d0e7f0".parse::<Id>().is_err());
    }
}
