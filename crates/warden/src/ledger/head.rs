//! Signed heads: what stood in a segment at one moment, in a few numbers and a hash, under the warden's signature.
//! A head that is kept where the ledger's writer cannot reach proves that no line before it was cut off or replaced.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::id::hex_into;
use super::keys::{Key, PublicKey};

/// What stands for the seal before the first.
pub(super) const NO_SEAL: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a segment held when this was signed. Of a closed segment it is the seal, and stands as the segment's last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// The name of the segment's file: for a seal the one that it has when it is closed.
    pub segment: String,
    /// The sequence number of its first line.
    pub first: u64,
    /// The sequence number of the last line that is covered.
    pub last: u64,
    /// How many lines are covered.
    pub lines: u64,
    /// How many bytes these have, their newlines counted.
    pub bytes: u64,
    /// SHA-256 of the last of them, in hex.
    pub hash: String,
    /// SHA-256 of the signed text of the seal before, in hex; 64 zeros where there is none.
    pub before: String,
    /// When it was signed, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The public key, in base64.
    pub key: String,
    /// The signature of [`SignedHead::text`], in base64.
    pub signature: String,
}

/// A head as it is written outside of the ledger: beside it, and to its anchors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchored {
    /// The version of this form: 1.
    pub clawrden_head: u32,
    /// The ledger's file.
    pub ledger: String,
    /// When it was signed, in RFC 3339.
    pub time: String,
    /// The head.
    #[serde(flatten)]
    pub head: SignedHead,
}

impl SignedHead {
    /// Signs what is filled in already.
    pub(super) fn sign(mut self, key: &Key) -> Self {
        self.key = key.public().to_string();
        self.signature = key.sign(&self.text());
        self
    }

    /// What is signed: a line for each field, the name of the segment as a JSON string.
    #[must_use]
    pub fn text(&self) -> String {
        let segment = serde_json::Value::String(self.segment.clone());
        let Self { first, last, lines, bytes, hash, before, at_ms, .. } = self;
        format!(
            "clawrden ledger head 1\nsegment {segment}\nfirst {first}\nlast {last}\nlines {lines}\nbytes {bytes}\n\
             hash {hash}\nbefore {before}\nat_ms {at_ms}\n"
        )
    }

    /// Whether it was signed by this key.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.has_signed(&self.text(), &self.signature)
    }

    /// What the next seal carries of this one.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hex = [0; 64];
        hex_into(&Sha256::digest(self.text().as_bytes()), &mut hex);
        String::from_utf8_lossy(&hex).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> SignedHead {
        SignedHead {
            segment: "ledger\n.jsonl".to_owned(),
            first: 1,
            last: 20,
            lines: 20,
            bytes: 8000,
            hash: "ab".repeat(32),
            before: NO_SEAL.to_owned(),
            at_ms: 7,
            key: String::new(),
            signature: String::new(),
        }
    }

    #[test]
    fn no_field_of_a_signed_head_can_be_changed() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::of(folder.path()).unwrap();
        let signed = head().sign(&key);
        assert!(signed.is_signed_by(&key.public()));
        let changes: [fn(&mut SignedHead); 8] = [
            |h| h.segment.push('x'),
            |h| h.first = 2,
            |h| h.last = 19,
            |h| h.lines = 19,
            |h| h.bytes = 7999,
            |h| h.hash = NO_SEAL.to_owned(),
            |h| h.before = "1".repeat(64),
            |h| h.at_ms = 8,
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert!(!changed.is_signed_by(&key.public()), "{changed:?}");
        }
    }

    #[test]
    fn the_signed_text_has_a_line_for_each_field_whatever_the_name_is() {
        assert_eq!(head().text().lines().count(), 9);
        assert!(head().text().contains("segment \"ledger\\n.jsonl\"\nfirst 1\n"));
    }
}
