//! `warden.yaml`: the warden's own settings, a section for each of its parts. What is not written there is as usual;
//! a key that nobody reads is refused, as whoever wrote it counts on it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ledger::LedgerSettings;
use super::notify::Notify;
use super::people::{Groups, Persons};
use crate::people::PeopleError;
use crate::policies::{Writable, check_writers};

/// Bytes of the longest file.
const MAX_BYTES: u64 = 1024 * 1024;

/// The sections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// How the ledger is kept.
    pub ledger: LedgerSettings,
    /// Who answers.
    pub people: Persons,
    /// Groups of them.
    pub groups: Groups,
    /// The channels by which people are told of what waits.
    pub notify: Notify,
}

/// Why the settings are not read. No warden starts by half of them.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named is not there, or not readable.
    #[error("the settings {path:?} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Others could have written it.
    #[error("the settings are not read: {0}")]
    Writable(#[from] Writable),
    /// It says who people are in a way that cannot be.
    #[error("the settings are not read: {0}")]
    People(#[from] PeopleError),
    /// It says something that nobody understands.
    #[error("{}:{line}:{column}: {why}; `docs/ledger.md`, `docs/policy.md` and `docs/chat.md` have every setting", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong there.
        why: String,
    },
}

impl File {
    /// Reads the file that was named, or the usual one if it is there.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(named: Option<&Path>, usual: &Path) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(usual);
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let about = match std::fs::metadata(path) {
            Err(e) if named.is_none() && e.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            about => about.map_err(unreadable)?,
        };
        // Before it is opened: a pipe would make us wait for a writer.
        if !about.is_file() || about.len() > MAX_BYTES {
            let why = format!("it is no regular file of at most {MAX_BYTES} bytes");
            return Err(unreadable(std::io::Error::other(why)));
        }
        check_writers(path)?;
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let is_empty = text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        });
        if is_empty {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location();
            let error = error.without_snippet();
            let said = error.to_string();
            // The place is said in front.
            let why = said.split(" at line ").next().unwrap_or(&said).trim().to_owned();
            let (line, column) = place.map_or((1, 1), |at| (at.line(), at.column()));
            ConfigError::Wrong { path: path.to_owned(), line, column, why }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ledger::{Anchor, Keep, Promise};

    fn parse(text: &str) -> Result<File, ConfigError> {
        File::parse(Path::new("/etc/clawrden/warden.yaml"), text)
    }

    #[test]
    fn every_setting_of_the_ledger_is_read() {
        let text = "
ledger:
  path: /srv/audit/ledger.jsonl
  segment: {bytes: 16MiB, age: 24h}
  keep: {bytes: 2GiB, age: 90d}
  durability: {authority: sync, harmless: 200ms}
  heads: 5m
  anchor:
    - file: /mnt/worm/heads.jsonl
    - command: [/usr/local/bin/anchor, --push]
    - syslog: true
    - syslog: /run/log
";
        let settings = parse(text).unwrap().ledger;
        let options = settings.options();
        assert_eq!(settings.path.as_deref(), Some(Path::new("/srv/audit/ledger.jsonl")));
        assert_eq!(options.segment_bytes, 16 << 20);
        assert_eq!(options.segment_age, Some(Duration::from_secs(86_400)));
        let day = Duration::from_secs(86_400);
        assert_eq!(options.keep, Keep { bytes: Some(2 << 30), age: Some(90 * day) });
        assert_eq!(options.durability.authority, Promise::BeforeStart);
        assert_eq!(options.durability.harmless, Promise::Within(Duration::from_millis(200)));
        assert_eq!(options.heads, Duration::from_secs(300));
        let words = ["/usr/local/bin/anchor".to_owned(), "--push".to_owned()];
        assert_eq!(
            options.anchors,
            [
                Anchor::File("/mnt/worm/heads.jsonl".into()),
                Anchor::Command(words.to_vec()),
                Anchor::Syslog("/dev/log".into()),
                Anchor::Syslog("/run/log".into()),
            ]
        );
    }

    #[test]
    fn people_and_groups_are_read() {
        let text = "
people:
  alice: ['uid:1000', 'token:alice']
groups:
  security: [alice, 'token:oncall']
";
        let file = parse(text).unwrap();
        let people = file.people.with(&file.groups).unwrap();
        let by = |token: &str| {
            let token_name = Some(token.to_owned());
            people.voter(&crate::people::Doors { token_name, ..Default::default() })
        };
        assert_eq!(&*by("alice").person, "alice");
        assert!(people.means("security", &by("alice")) && people.means("security", &by("oncall")));
        assert!(!people.means("security", &by("bob")));
        for (text, says) in [
            ("people: {alice: ['1000']}\n", "uid:1000"),
            ("people: {'a b': ['uid:1']}\n", "letters"),
            ("people: {alice: uid:1}\n", "sequence"),
            ("groups: {a/b: [x]}\n", "letters"),
        ] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.contains(says), "{text}: {said}");
        }
        let file = parse("groups: {security: [carol]}\n").unwrap();
        assert!(file.people.with(&file.groups).is_err());
    }

    #[test]
    fn an_empty_file_is_what_is_usual() {
        for text in ["", "# nothing\n", "---\n", "ledger: {}\n"] {
            let options = parse(text).unwrap().ledger.options();
            assert_eq!(options.segment_bytes, 64 << 20, "{text}");
            assert_eq!((options.segment_age, options.keep.drops()), (None, false));
            assert_eq!(options.durability, crate::ledger::Durability::default());
        }
    }

    #[test]
    fn segments_are_a_part_of_what_is_kept_unless_they_are_told_to_be_longer() {
        let options = |text: &str| parse(text).unwrap().ledger.options();
        let small = options("ledger: {keep: {bytes: 80MiB, age: 80d}}\n");
        assert_eq!(small.segment_bytes, 10 << 20);
        assert_eq!(small.segment_age, Some(Duration::from_secs(10 * 86_400)));
        assert_eq!(options("ledger: {keep: {bytes: 999GiB}}\n").segment_bytes, 64 << 20);
        assert_eq!(options("ledger: {keep: {bytes: 1KiB}}\n").segment_bytes, 64 << 10);
        let told =
            options("ledger: {keep: {bytes: 80MiB, age: 80d}, segment: {bytes: 1GiB, age: 90d}}\n");
        assert_eq!(
            (told.segment_bytes, told.segment_age.unwrap().as_secs()),
            (1 << 30, 90 * 86_400)
        );
    }

    #[test]
    fn what_nobody_reads_is_refused_with_its_place_and_what_may_stand_there() {
        let wrong = [
            ("ledgre: {}\n", 1, "ledger"),
            ("ledger:\n  segment: {size: 1}\n", 2, "bytes"),
            ("ledger:\n  keep: {bytes: 1GB}\n", 2, "GiB"),
            ("ledger:\n  keep: {for: 90d}\n", 2, "age"),
            ("ledger:\n  heads: often\n", 2, "30s"),
            ("ledger:\n  segment: {bytes: 1kb}\n", 2, "MiB"),
            ("ledger:\n  durability: {authority: never}\n", 2, "sync"),
            ("ledger:\n  anchor:\n    - {file: relative}\n", 3, "absolute"),
            ("ledger:\n  anchor:\n    - {command: []}\n", 3, "program"),
            ("ledger: {heads: 1m}\nledger: {heads: 2m}\n", 2, "duplicate"),
        ];
        for (text, at, says) in wrong {
            let error = parse(text).unwrap_err();
            let said = error.to_string();
            let ConfigError::Wrong { line, .. } = error else { panic!("{error}") };
            assert!(said.contains(says), "{text}: {said}");
            assert_eq!(line, at, "{text}: {said}");
        }
    }

    #[test]
    fn a_file_that_others_can_write_is_not_read_and_one_that_was_named_must_be_there() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("warden.yaml");
        assert_eq!(File::read(None, &path).unwrap(), File::default());
        assert!(matches!(File::read(Some(&path), &path), Err(ConfigError::Unreadable { .. })));
        std::fs::write(&path, "ledger: {heads: 7m}\n").unwrap();
        assert_eq!(File::read(None, &path).unwrap().ledger.options().heads.as_secs(), 420);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(File::read(None, &path), Err(ConfigError::Writable(_))));
    }
}
