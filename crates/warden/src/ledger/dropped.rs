//! What retention removed, under the warden's signature: where a ledger may begin that does not begin with its first
//! record. Whoever removes a segment himself has no such word for it.

use serde::{Deserialize, Serialize};

use super::keys::{Key, PublicKey};

/// Payload of [`super::Record::Dropped`]. Every record up to `last` is dropped, by this or by those before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The name of the segment's file.
    pub segment: String,
    /// The sequence number of its first line.
    pub first: u64,
    /// The sequence number of its last line, which is its seal.
    pub last: u64,
    /// How many bytes it had.
    pub bytes: u64,
    /// SHA-256 of its last line, in hex: the first line that is left carries it.
    pub hash: String,
    /// SHA-256 of the signed text of its seal, in hex: the next seal carries it.
    pub before: String,
    /// By which bound.
    pub why: Bound,
    /// When it was signed, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The public key, in base64.
    pub key: String,
    /// The signature of [`Dropped::text`], in base64.
    pub signature: String,
}

/// A bound of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Its newest record is too old.
    Age,
    /// The ledger has too many bytes.
    Bytes,
}

impl Bound {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Bytes => "bytes",
        }
    }
}

impl Dropped {
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
        let Self { first, last, bytes, hash, before, why, at_ms, .. } = self;
        let why = why.word();
        format!(
            "clawrden ledger dropped 1\nsegment {segment}\nfirst {first}\nlast {last}\nbytes {bytes}\nhash {hash}\n\
             before {before}\nwhy {why}\nat_ms {at_ms}\n"
        )
    }

    /// Whether it was signed by this key.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.has_signed(&self.text(), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_of_it_can_be_changed_and_no_head_passes_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::of(folder.path()).unwrap();
        let dropped = Dropped {
            segment: "ledger-000000000001.jsonl".to_owned(),
            first: 1,
            last: 20,
            bytes: 8000,
            hash: "ab".repeat(32),
            before: "cd".repeat(32),
            why: Bound::Age,
            at_ms: 7,
            key: String::new(),
            signature: String::new(),
        };
        let signed = dropped.sign(&key);
        assert!(signed.is_signed_by(&key.public()));
        assert_eq!(signed.text().lines().count(), 9);
        let changes: [fn(&mut Dropped); 8] = [
            |d| d.segment.push('x'),
            |d| d.first = 2,
            |d| d.last = 21,
            |d| d.bytes = 1,
            |d| d.hash = "0".repeat(64),
            |d| d.before = "0".repeat(64),
            |d| d.why = Bound::Bytes,
            |d| d.at_ms = 8,
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert!(!changed.is_signed_by(&key.public()), "{changed:?}");
        }
        let head = key.sign(&signed.text().replace("dropped 1", "head 1"));
        assert!(!Dropped { signature: head, ..signed }.is_signed_by(&key.public()));
    }
}
