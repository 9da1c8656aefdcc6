//! Proof of a ledger, by its files and a public key: names the first line that does not hold. It changes nothing, and
//! needs neither the warden nor its machine.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::blocks::each_line;
use super::dropped::Dropped;
use super::ends::open_if_kept;
use super::error::LedgerError;
use super::head::{Anchored, SignedHead};
use super::keys::PublicKey;
use super::place::{Place, open_to_read};
pub use super::walk::{Broken, Damage};
use super::walk::{Scan, Walk};

/// How often a ledger that grows or is rotated meanwhile is looked at again.
const TRIES: u32 = 5;

/// How long a write that is under way may take until then.
const UNDER_WAY: Duration = Duration::from_millis(50);

/// Bytes of a file of heads that are read.
const MAX_HEADS: u64 = 256 * 1024 * 1024;

/// By what a ledger is proved.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// The keys that may have signed it. Without one, seals and heads are held against the key that they name
    /// themselves, which finds damage and no forger.
    pub keys: Vec<PublicKey>,
    /// They are from elsewhere than the ledger: something of it must be signed by one of them.
    pub keys_given: bool,
    /// Heads that were kept elsewhere. That beside the ledger counts in any case.
    pub heads: Vec<SignedHead>,
    /// The first and the last record that matter, where not all do.
    pub from: Option<u64>,
    /// The last one.
    pub to: Option<u64>,
}

/// What a ledger that holds is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Summary {
    /// Files.
    pub segments: usize,
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// The first line's sequence number. Over 1: what came before was dropped by retention, lies elsewhere, or is not of
    /// the segment that is proved.
    pub first_seq: u64,
    /// The last line's sequence number; 0 for an empty ledger.
    pub last_seq: u64,
    /// SHA-256 of the last line in hex, 64 zeros for an empty ledger. Kept elsewhere, it proves that no line was cut
    /// off at the end.
    pub head: String,
    /// Seals that hold.
    pub seals: u64,
    /// Signed heads, from beside the ledger and elsewhere, that hold.
    pub heads: u64,
    /// Every line up to this one is covered by a seal or a signed head; 0 for none.
    pub signed_to: u64,
    /// The keys that the ledger names, in base64.
    pub keys: Vec<String>,
    /// Where a torn end was set aside, or the chain was found broken: sequence numbers.
    pub recovered: Vec<u64>,
    /// Where the disk failed for a while: sequence numbers.
    pub disk_failed: Vec<u64>,
    /// What retention dropped last, where it dropped anything.
    pub dropped: Option<Dropped>,
}

/// Why a ledger is not proved.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It does not hold.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// There are no such records in it.
    #[error(
        "records {from} to {to} are not all in this ledger, which has {first} to {last}; ask for what is in it"
    )]
    NoSuchRange {
        /// The first record that was asked for.
        from: u64,
        /// The last one.
        to: u64,
        /// The first record that there is; 0 for none.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] LedgerError),
}

/// Proves a ledger by its chain, and by what is signed as far as it says itself: see [`verify_by`].
///
/// # Errors
/// As [`verify_by`].
pub fn verify(path: &Path) -> Result<Summary, VerifyError> {
    verify_by(path, &Proof::default())
}

/// Proves a ledger: all of its segments, or one closed segment.
///
/// `path` is the ledger's file, a directory that holds a `ledger.jsonl`, or a closed segment, which is then proved
/// alone.
///
/// # Errors
/// [`VerifyError::Broken`] with the first line that does not hold; a last line without its end is one too.
/// [`VerifyError::NoSuchRange`] where the proof is of records that are not there.
pub fn verify_by(path: &Path, proof: &Proof) -> Result<Summary, VerifyError> {
    let path = if path.is_dir() { path.join("ledger.jsonl") } else { path.to_owned() };
    let place = Place::new(&path)?;
    let is_there = || path.exists() || place.segments().is_ok_and(|all| !all.is_empty());
    let mut tries = 0;
    loop {
        tries += 1;
        let files = match Files::open(&place, &path, proof) {
            Ok(files) => files,
            // Retention drops a segment between its being listed and opened, and for a moment of a rotation there is no
            // file that is open.
            Err(error) if tries == TRIES || !is_gone(&error) || !is_there() => {
                return Err(error.into());
            }
            Err(_) => {
                std::thread::sleep(UNDER_WAY);
                continue;
            }
        };
        let result = files.verify(proof);
        // It may have been written, or rotated, while it was read.
        if result.is_ok() || tries == TRIES || !files.has_moved(&place, &path) {
            return result;
        }
    }
}

fn is_gone(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// The files of the ledger whose open file is `path`: its closed segments, oldest first, and what goes on behind them, as
/// all of them are at one moment. Of a closed segment, that one.
///
/// # Errors
/// When its folder cannot be listed, or the last file cannot be opened.
pub fn files_of(path: &Path) -> Result<(Vec<PathBuf>, Option<File>), LedgerError> {
    let place = Place::new(path)?;
    let mut tries = 0;
    loop {
        tries += 1;
        // Before the others are listed: when it is rotated meanwhile, it is among them.
        let last = open_to_read(path);
        let segments = place.segments()?;
        // While names change, a list may lack one.
        if tries < TRIES && place.segments()? != segments {
            continue;
        }
        let mut closed: Vec<PathBuf> = segments.into_iter().map(|(_, file)| file).collect();
        let last = match last {
            Ok(last) => last,
            Err(_) if !closed.is_empty() && !path.exists() => return Ok((closed, None)),
            Err(_) if tries < TRIES && path.exists() => continue,
            Err(error) => return Err(error),
        };
        let is_last = |name: &PathBuf| is_same(fs::metadata(name), last.metadata());
        if let Some(at) = closed.iter().position(is_last) {
            closed.truncate(at);
        }
        return Ok((closed, Some(last)));
    }
}

fn is_same(a: io::Result<fs::Metadata>, b: io::Result<fs::Metadata>) -> bool {
    matches!((a, b), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// The heads in a text that an anchor has kept: of every line, what begins with the head's brace.
#[must_use]
pub fn heads_in(text: &str) -> Vec<SignedHead> {
    let head = |line: &str| {
        let at = line.find("{\"clawrden_head\":")?;
        let mut values = serde_json::Deserializer::from_str(&line[at..]).into_iter::<Anchored>();
        values.next()?.ok().map(|anchored| anchored.head)
    };
    text.lines().filter_map(head).collect()
}

/// The files of a ledger as they are at one moment.
struct Files {
    files: Vec<(PathBuf, File, u64)>,
    /// The closed segments that there were.
    closed: Vec<(u64, PathBuf)>,
    /// Whether the last one is still written.
    is_open: bool,
    /// It is one closed segment, proved alone.
    is_alone: bool,
    /// Closed segments behind the range, which may say what retention dropped.
    later: Vec<PathBuf>,
    /// The head beside it.
    head: Option<SignedHead>,
}

impl Files {
    fn open(place: &Place, path: &Path, proof: &Proof) -> Result<Self, LedgerError> {
        // First of all, as what it covers is in the files that are opened then.
        let head = read_head(&place.head());
        let segments = place.segments()?;
        let (mut names, mut later) = (Vec::new(), Vec::new());
        for (nth, (first, file)) in segments.iter().enumerate() {
            let next = segments.get(nth + 1).map(|(first, _)| *first);
            let is_before = proof.from.zip(next).is_some_and(|(from, next)| next <= from);
            if proof.to.is_some_and(|to| to < *first) {
                later.push(file.clone());
            } else if !is_before {
                names.push(file.clone());
            }
        }
        let is_named = path.exists() || names.is_empty();
        if is_named {
            names.push(path.to_owned());
        }
        let is_alone = is_named && is_segment(path);
        let is_open = is_named && !is_alone;
        let mut files = Vec::new();
        for name in names {
            let file = open_to_read(&name)?;
            let size = file.metadata().map_err(LedgerError::io("look at", &name))?.len();
            files.push((name, file, size));
        }
        Ok(Self { files, closed: segments, is_open, is_alone, later, head })
    }

    /// Whether the ledger is not what it was when these were opened.
    fn has_moved(&self, place: &Place, path: &Path) -> bool {
        if self.is_alone || !place.is_written() {
            return false;
        }
        std::thread::sleep(UNDER_WAY);
        if place.segments().is_ok_and(|segments| segments != self.closed) {
            return true;
        }
        // For a moment of a rotation nothing is open.
        let Some((_, file, size)) = self.files.last().filter(|_| self.is_open) else {
            return path.exists();
        };
        let now = file.metadata().map(|about| about.len());
        let is_rotated =
            open_to_read(path).is_ok_and(|current| !is_same(file.metadata(), current.metadata()));
        is_rotated || now.is_ok_and(|now| now != *size)
    }

    fn verify(&self, proof: &Proof) -> Result<Summary, VerifyError> {
        let range = proof.from.unwrap_or(0)..=proof.to.unwrap_or(u64::MAX);
        let mut walk = Walk::by(proof.keys.clone(), range);
        for head in proof.heads.iter().chain(&self.head) {
            walk.heads.entry(head.last).or_default().push(head.clone());
        }
        let mut summary = Summary::default();
        let mut lines_of_last = 0;
        let last = self.files.len().saturating_sub(1);
        for (nth, (path, file, size)) in self.files.iter().enumerate() {
            let scan = walk.scan(path, file, *size)?;
            let is_closed = nth < last || !self.is_open;
            ended((path, *size), &scan, &walk, is_closed)?;
            lines_of_last = scan.lines;
            summary.segments += 1;
            summary.lines += scan.lines;
            summary.bytes += scan.bytes;
        }
        let head = walk.head();
        self.begins(&mut walk)?;
        // Also where no file is open any more: a head is read before the files are listed, so they go as far as it says.
        if let Some((path, _, size)) = self.files.last().filter(|_| !self.is_alone) {
            reaches((path, *size), lines_of_last, &walk)?;
        }
        has_range(proof, walk.first.unwrap_or(0), head.seq)?;
        if proof.keys_given && summary.lines > 0 && walk.seen.signed_to == 0 {
            return Err(self.unsigned(walk.first.unwrap_or(0)).into());
        }
        summary.first_seq = walk.first.unwrap_or(0);
        summary.last_seq = head.seq;
        summary.head = String::from_utf8_lossy(&head.hash).into_owned();
        let seen = walk.seen;
        summary.seals = seen.seals;
        summary.heads = seen.heads;
        summary.signed_to = seen.signed_to;
        summary.keys = seen.keys;
        summary.recovered = seen.recovered;
        summary.disk_failed = seen.disk_failed;
        summary.dropped = seen.dropped;
        Ok(summary)
    }

    /// Whether it begins where it should.
    fn begins(&self, walk: &mut Walk) -> Result<(), VerifyError> {
        let first = walk.first.unwrap_or(1);
        if self.is_alone || first <= 1 || !walk.concerns(&(1..=first - 1)) {
            return Ok(());
        }
        // That record may stand behind the range; it is signed by itself.
        for path in &self.later {
            let Some(file) = open_if_kept(path)? else { continue };
            let size = file.metadata().map_err(LedgerError::io("look at", path))?.len();
            let read = each_line(&file, size, |line| {
                if let Some(own) = &line.own {
                    walk.hear_of_dropped(own);
                }
                ControlFlow::Continue(())
            });
            read.map_err(LedgerError::io("read", path))?;
        }
        let Err(why) = walk.begins() else { return Ok(()) };
        let file = self.files.first().map(|(path, ..)| path.clone()).unwrap_or_default();
        Err(Broken { file, line: 1, at: 0, seq: 1, damage: Damage::Missing, why }.into())
    }

    /// What there is was written by whoever wrote it.
    fn unsigned(&self, seq: u64) -> Broken {
        Broken {
            file: self.files.first().map(|(path, ..)| path.clone()).unwrap_or_default(),
            line: 1,
            at: 0,
            seq,
            damage: Damage::Signature,
            why: "nothing of it is signed by the key that was given, neither by a seal nor by a head: \
                  whoever can write the file can have written all of it"
                .to_owned(),
        }
    }
}

/// Whether a file of so many bytes holds, all of which was walked.
pub(super) fn ended(
    (path, size): (&Path, u64),
    scan: &Scan,
    walk: &Walk,
    is_closed: bool,
) -> Result<(), Broken> {
    if scan.torn && scan.broken.is_none() && !is_closed {
        // A head tells a line that was cut from one that was never finished.
        reaches((path, size), scan.lines, walk)?;
    }
    fault(path, scan, walk, is_closed).map_or(Ok(()), Err)
}

/// Whether the ledger goes as far as every head says. Its last file has so many bytes and lines.
pub(super) fn reaches((path, size): (&Path, u64), lines: u64, walk: &Walk) -> Result<(), Broken> {
    let head = walk.head();
    // What a head names before the first line lies elsewhere.
    let Some((_, heads)) = walk.heads.range(head.seq.saturating_add(1)..).next_back() else {
        return Ok(());
    };
    for further in heads {
        let (damage, why) = match walk.is_signed(further) {
            Err(why) => (
                Damage::Signature,
                format!("of the head that names record {}, {why}", further.last),
            ),
            Ok(()) => (
                Damage::CutOff,
                format!(
                    "the ledger ends with record {} and was cut off: a head signed at {} says that record {} was \
                     written",
                    head.seq,
                    clawrden_api::display::rfc3339(further.at_ms),
                    further.last
                ),
            ),
        };
        let seq = head.seq.saturating_add(1);
        if walk.concerns(&(seq..=further.last)) {
            let file = path.to_owned();
            return Err(Broken { file, line: lines + 1, at: size, seq, damage, why });
        }
    }
    Ok(())
}

/// Whether the records that matter are there at all.
fn has_range(proof: &Proof, first: u64, last: u64) -> Result<(), VerifyError> {
    let (from, to) = (proof.from.unwrap_or(first), proof.to.unwrap_or(last));
    // What is asked for from 0 is asked for from the beginning.
    let is_there = (from >= first || from <= 1) && from <= to && to >= first && to <= last;
    match is_there {
        false if proof.from.is_some() || proof.to.is_some() => {
            Err(VerifyError::NoSuchRange { from, to, first, last })
        }
        _ => Ok(()),
    }
}

/// What is wrong with a file.
fn fault(path: &Path, scan: &Scan, walk: &Walk, is_closed: bool) -> Option<Broken> {
    if let Some(broken) = &scan.broken {
        return Some(broken.clone());
    }
    let seq = walk.head().seq.saturating_add(1);
    if !walk.concerns(&(seq..=seq)) {
        return None;
    }
    let at = |damage, why: &str| Broken {
        file: path.to_owned(),
        line: scan.lines + 1,
        at: scan.bytes,
        seq,
        damage,
        why: why.to_owned(),
    };
    if scan.torn {
        return Some(at(Damage::Torn, "it has no end: the write was cut short, or is under way"));
    }
    if is_closed && scan.is_signed && !scan.ends_sealed {
        let why = "this closed segment does not end with its seal: lines were cut off at its end";
        return Some(at(Damage::CutOff, why));
    }
    None
}

/// Whether a file has the name of a closed segment.
fn is_segment(path: &Path) -> bool {
    let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { return false };
    stem.rsplit_once('-')
        .is_some_and(|(_, digits)| digits.len() >= 12 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The newest head beside a ledger. What cannot be read is none.
pub(super) fn read_head(path: &Path) -> Option<SignedHead> {
    let about = fs::symlink_metadata(path).ok()?;
    if !about.is_file() || about.len() > MAX_HEADS {
        return None;
    }
    heads_in(&fs::read_to_string(path).ok()?).pop()
}
