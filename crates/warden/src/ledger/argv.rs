//! How an argument vector is written down: as text for people, as base64 where the text is not the truth, folded
//! where it is long. A folded vector still proves what it was by its SHA-256; nothing is dropped without a mark. Secrets are
//! marked first, and the hash is over the marked arguments: from a hash of the rest and a secret, a short one is guessed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::id::hex_into;
use crate::redaction;

/// Bytes of an argument vector, one more counted for each argument's end, that a record holds. A longer one is folded:
/// its first so many bytes are kept.
pub const MAX_ARGV: usize = 64 * 1024;

/// An argument vector as it stands in a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argv {
    /// The arguments, `argv[0]` included, each byte that is not UTF-8 shown as U+FFFD.
    pub argv: Vec<String>,
    /// The same arguments' bytes in base64, where one of them is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv_raw: Option<Vec<String>>,
    /// How many secrets were replaced by marks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redacted: usize,
    /// Set where the vector was too long to be kept whole.
    #[serde(flatten)]
    pub fold: Option<Fold>,
}

/// What a folded argument vector was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Always true: the mark of a vector that is not whole here.
    pub folded: bool,
    /// How many arguments there were.
    pub argc: usize,
    /// How many bytes there were, each argument's end counted as one.
    pub argv_bytes: usize,
    /// SHA-256 in hex over every argument, secrets replaced by their marks, each followed by a NUL.
    pub argv_sha256: String,
}

impl Argv {
    /// Takes the arguments as the caller gave them, and marks what is a secret.
    #[must_use]
    pub fn new<A: AsRef<[u8]>>(argv: &[A]) -> Self {
        match redaction::ours().argv(argv) {
            None => Self::of(argv),
            Some(redacted) => Self { redacted: redacted.count, ..Self::of(&redacted.argv) },
        }
    }

    fn of<A: AsRef<[u8]>>(argv: &[A]) -> Self {
        let bytes = argv.iter().map(|a| a.as_ref().len() + 1).sum();
        if bytes <= MAX_ARGV {
            return Self::kept(argv.iter().map(AsRef::as_ref), None);
        }
        let mut digest = Sha256::new();
        for argument in argv {
            digest.update(argument.as_ref());
            digest.update([0]);
        }
        let mut hex = [0; 64];
        hex_into(&digest.finalize(), &mut hex);
        let fold = Fold {
            folded: true,
            argc: argv.len(),
            argv_bytes: bytes,
            argv_sha256: String::from_utf8_lossy(&hex).into_owned(),
        };
        let mut room = MAX_ARGV;
        let head = argv.iter().map_while(|argument| {
            let argument = argument.as_ref();
            let kept = &argument[..argument.len().min(room.checked_sub(1)?)];
            room -= kept.len() + 1;
            Some(kept)
        });
        Self::kept(head, Some(fold))
    }

    fn kept<'a>(argv: impl Iterator<Item = &'a [u8]>, fold: Option<Fold>) -> Self {
        let kept: Vec<&[u8]> = argv.collect();
        let text = kept.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect();
        let is_text = kept.iter().all(|a| std::str::from_utf8(a).is_ok());
        let raw = (!is_text).then(|| kept.iter().map(|a| STANDARD.encode(a)).collect());
        Self { argv: text, argv_raw: raw, redacted: 0, fold }
    }
}

// The attribute that names it gives a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_arguments_are_written_plainly() {
        let json = serde_json::to_string(&Argv::new(&["git", "commit", "-m", "a b"])).unwrap();
        assert_eq!(json, r#"{"argv":["git","commit","-m","a b"]}"#);
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_beside_it() {
        let argv = Argv::new(&[&b"ls"[..], b"a\xffb"]);
        assert_eq!(argv.argv, ["ls", "a\u{fffd}b"]);
        assert_eq!(argv.argv_raw.as_deref(), Some(&["bHM=".to_owned(), "Yf9i".to_owned()][..]));
        assert_eq!(argv.fold, None);
    }

    #[test]
    fn a_vector_at_the_limit_is_whole_and_one_byte_more_is_folded() {
        let whole = Argv::new(&[vec![b'a'; MAX_ARGV - 1]]);
        assert_eq!(whole.fold, None);
        assert_eq!(whole.argv[0].len(), MAX_ARGV - 1);
        let folded = Argv::new(&[vec![b'a'; MAX_ARGV]]);
        assert_eq!(folded.argv[0].len(), MAX_ARGV - 1);
        let fold = folded.fold.unwrap();
        assert!(fold.folded);
        assert_eq!((fold.argc, fold.argv_bytes), (1, MAX_ARGV + 1));
    }

    #[test]
    fn a_folded_vector_keeps_its_head_and_proves_the_whole() {
        let long = vec![b'x'; 2 * MAX_ARGV];
        let argv = Argv::new(&[&b"cp"[..], b"-r", &long, b"/etc"]);
        assert_eq!(argv.argv.len(), 3);
        assert_eq!(argv.argv[..2], ["cp", "-r"]);
        assert_eq!(argv.argv.iter().map(|a| a.len() + 1).sum::<usize>(), MAX_ARGV);
        let mut digest = Sha256::new();
        for part in [&b"cp"[..], b"\0-r\0", &long, b"\0/etc\0"] {
            digest.update(part);
        }
        let expected: String = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
        let fold = argv.fold.clone().unwrap();
        assert_eq!(fold.argv_sha256, expected);
        assert_eq!(fold.argc, 4);
        let json = serde_json::to_string(&argv).unwrap();
        assert!(json.contains(r#""folded":true"#), "the fold stands beside the arguments");
        assert_eq!(serde_json::from_str::<Argv>(&json).unwrap(), argv);
    }

    #[test]
    fn secrets_are_marked_in_every_form_of_the_arguments() {
        let argv = Argv::new(&[&b"mysql"[..], b"-phunter2", b"\xff", b"--token=abc"]);
        assert_eq!(argv.argv[1], "-p[redacted:password]");
        assert_eq!(argv.redacted, 2);
        let raw = argv.argv_raw.clone().unwrap();
        assert_eq!(STANDARD.decode(&raw[1]).unwrap(), b"-p[redacted:password]");
        let json = serde_json::to_string(&argv).unwrap();
        assert!(json.contains(r#""redacted":2"#), "{json}");
        assert_eq!(serde_json::from_str::<Argv>(&json).unwrap(), argv);
    }

    #[test]
    fn the_hash_of_a_folded_vector_does_not_depend_on_its_secrets() {
        let long = vec![b'x'; MAX_ARGV];
        let hash = |secret: &[u8]| {
            let argv = Argv::new(&[&b"tool"[..], b"--password", secret, &long]);
            argv.fold.unwrap().argv_sha256
        };
        assert_eq!(hash(b"hunter2"), hash(b"hunter3"));
    }

    #[test]
    fn very_many_empty_arguments_are_folded_too() {
        let argv = Argv::new(&vec![""; 200_000]);
        assert_eq!(argv.argv.len(), MAX_ARGV);
        assert_eq!(argv.fold.unwrap().argc, 200_000);
    }
}
