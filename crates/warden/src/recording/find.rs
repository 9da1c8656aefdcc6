//! Finding a recording by the digits of its id.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use super::{Progress, Recordings};
use crate::ledger::{Id, RECORDING_ENDING};

/// A recording, and how far it is.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: Id,
    pub(crate) file: File,
    /// While its command runs.
    pub(crate) progress: Option<Progress>,
}

/// Why there is none to give.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Missing {
    /// Nothing of that id was recorded.
    #[error("there is no recording of {0}; a rule with `record` makes them")]
    Unknown(String),
    /// The digits are those of several.
    #[error("{0} names more than one recording, such as {1} and {2}; give more of its digits")]
    Ambiguous(String, Id, Id),
    /// What the system says.
    #[error("the recordings cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl Recordings {
    /// The recording whose id begins with `prefix`, in small letters. Blocks.
    pub(crate) fn find(&self, prefix: &str) -> Result<Found, Missing> {
        let unknown = || Missing::Unknown(prefix.to_owned());
        let mut ids = Vec::new();
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unknown()),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let name = entry?.file_name();
            let Some(digits) = name.to_str().and_then(|name| name.strip_suffix(RECORDING_ENDING))
            else {
                continue;
            };
            ids.extend(digits.starts_with(prefix).then(|| digits.parse::<Id>().ok()).flatten());
        }
        ids.sort_unstable();
        match ids[..] {
            [] => Err(unknown()),
            [id] => {
                // Asked before it is opened: what ends in between is whole then.
                let progress = self.progress(id.0);
                let mut options = File::options();
                let file =
                    options.read(true).custom_flags(libc::O_NOFOLLOW).open(self.path(id.0))?;
                Ok(Found { id, file, progress })
            }
            [one, other, ..] => Err(Missing::Ambiguous(prefix.to_owned(), one, other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_found_by_the_digits_that_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let recordings = Recordings::beside(&dir.path().join("ledger.jsonl"));
        assert!(matches!(recordings.find("abab"), Err(Missing::Unknown(_))));
        std::fs::create_dir(dir.path().join("recordings")).unwrap();
        for name in ["ab".repeat(16), format!("{}cd", "ab".repeat(15)), "other".to_owned()] {
            std::fs::write(dir.path().join(format!("recordings/{name}.cast")), "x").unwrap();
        }
        assert!(matches!(recordings.find("abab"), Err(Missing::Ambiguous(..))));
        let found = recordings.find(&format!("{}c", "ab".repeat(15))).unwrap();
        assert_eq!(found.id.to_string(), format!("{}cd", "ab".repeat(15)));
        assert!(found.progress.is_none());
        assert!(matches!(recordings.find("other"), Err(Missing::Unknown(_))));
    }
}
