//! The section `ledger`: where it lies, when its files are closed, what is on the disk when, who is told its heads.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::values::{Bytes, Span, absolute, span};
use crate::ledger::{Anchor, Durability, Keep, Options, Promise};

/// Where the system's log listens.
const SYSLOG: &str = "/dev/log";

/// Segments of which what is kept is made, where nobody says how long they are.
const PARTS: u64 = 8;

/// Bytes of the smallest segment that is chosen so.
const SMALLEST: u64 = 64 * 1024;

/// Longest time that anything may stay off the disk by its settings.
const LONGEST: Duration = Duration::from_secs(60);

/// What `warden.yaml` says about the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerSettings {
    /// The file that is written.
    #[serde(deserialize_with = "place")]
    pub path: Option<PathBuf>,
    segment: Segment,
    keep: Kept,
    durability: Promises,
    heads: Option<Span>,
    anchor: Vec<AnchorAt>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Segment {
    bytes: Option<Bytes>,
    age: Option<Span>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Kept {
    bytes: Option<Bytes>,
    age: Option<Span>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Promises {
    authority: Option<Authority>,
    harmless: Option<Harmless>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Authority(Promise);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Harmless(Promise);

#[derive(Debug, Clone, PartialEq, Eq)]
struct AnchorAt(Anchor);

impl LedgerSettings {
    /// How a ledger is opened by these settings.
    #[must_use]
    pub fn options(&self) -> Options {
        let usual = Options::default();
        let usually = usual.durability;
        let Self { segment, keep, durability, heads, anchor, .. } = self;
        let keep = Keep { bytes: keep.bytes.map(|bytes| bytes.0), age: keep.age.map(|age| age.0) };
        // Only whole segments are dropped: unless they are told to be longer, they are an eighth of what is kept.
        let part = keep.bytes.map_or(u64::MAX, |bytes| (bytes / PARTS).max(SMALLEST));
        let part_age = keep.age.map(|age| age / u32::try_from(PARTS).unwrap_or(1));
        Options {
            segment_bytes: segment.bytes.map_or(usual.segment_bytes.min(part), |bytes| bytes.0),
            segment_age: segment.age.map(|age| age.0).or(part_age),
            keep,
            durability: Durability {
                authority: durability.authority.map_or(usually.authority, |promise| promise.0),
                harmless: durability.harmless.map_or(usually.harmless, |promise| promise.0),
            },
            heads: heads.map_or(usual.heads, |heads| heads.0),
            anchors: anchor.iter().map(|at| at.0.clone()).collect(),
            ..usual
        }
    }
}

fn place<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = Option::<PathBuf>::deserialize(deserializer)?;
    path.map(absolute).transpose().map_err(D::Error::custom)
}

impl<'de> Deserialize<'de> for Authority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let promise = match &text[..] {
            "sync" => Promise::BeforeStart,
            time => within(time).map_err(|_| {
                let why = format!(
                    "`{time}` is no promise; write `sync`, or a time up to 1m such as `50ms`"
                );
                D::Error::custom(why)
            })?,
        };
        Ok(Self(promise))
    }
}

impl<'de> Deserialize<'de> for Harmless {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let promise = match &text[..] {
            "sync" => Promise::BeforeStart,
            "never" => Promise::Never,
            time => within(time).map_err(|_| {
                let why = format!(
                    "`{time}` is no promise; write `sync`, `never`, or a time up to 1m such as `50ms`"
                );
                D::Error::custom(why)
            })?,
        };
        Ok(Self(promise))
    }
}

fn within(text: &str) -> Result<Promise, ()> {
    let time = span(text).ok().filter(|time| *time <= LONGEST);
    time.map(Promise::Within).ok_or(())
}

/// One of its keys.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    File(PathBuf),
    Command(Vec<String>),
    Syslog(Socket),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Socket {
    Usual(bool),
    At(PathBuf),
}

impl<'de> Deserialize<'de> for AnchorAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let anchor = match Written::deserialize(deserializer)? {
            Written::File(path) => Anchor::File(absolute(path).map_err(D::Error::custom)?),
            Written::Command(words) => {
                let program = words.first().map(PathBuf::from);
                let program = program.ok_or_else(|| {
                    D::Error::custom("the command is empty; name a program and its arguments")
                })?;
                absolute(program).map_err(D::Error::custom)?;
                Anchor::Command(words)
            }
            Written::Syslog(Socket::Usual(true)) => Anchor::Syslog(SYSLOG.into()),
            Written::Syslog(Socket::Usual(false)) => {
                let why = "leave `syslog` out where it is not wanted";
                return Err(D::Error::custom(why));
            }
            Written::Syslog(Socket::At(path)) => {
                Anchor::Syslog(absolute(path).map_err(D::Error::custom)?)
            }
        };
        Ok(Self(anchor))
    }
}
