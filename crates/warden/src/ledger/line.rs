//! The form of one line: `{"seq":…,"time":…,"time_ms":…,"event":…,…,"prev":…,"sum":…}`.
//!
//! `prev` is the SHA-256 of the line before, its newline left out; the first line has 64 zeros. `sum` is the beginning
//! of the SHA-256 of all that stands before it on its own line, so that damage to the newest line shows as well. A line
//! holds nothing that a terminal or a reader of lines could act on: such characters are written as `\u` escapes.

use std::io;

use clawrden_api::display::is_plain;
use serde::Serialize as _;
use serde_json::ser::Formatter;
use sha2::{Digest, Sha256};

use super::id::hex_into;
use super::record::{FIELDS, Record};
use crate::redaction;

/// Bytes of the longest line, its newline left out. A longer record is refused, a longer line is a broken one.
pub const MAX_LINE: usize = 1024 * 1024;

/// A SHA-256 in hex.
pub(super) type Hex = [u8; 64];

/// What stands for the line before the first.
pub(super) const NO_LINE: Hex = [b'0'; 64];

const SUM_KEY: &[u8] = b",\"sum\":\"";
const SUM_DIGITS: usize = 16;
const SUM_LEN: usize = SUM_KEY.len() + SUM_DIGITS + 2;
const PREV_KEY: &[u8] = b",\"prev\":\"";
const PREV_LEN: usize = PREV_KEY.len() + 64 + 1;
const SEQ_KEY: &[u8] = b"{\"seq\":";

/// Appends the record's own object to `out`. Its secrets are for [`mark`].
pub(super) fn encode(record: &Record, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    record.serialize(&mut serde_json::Serializer::with_formatter(out, Harmless))
}

/// The last door: marks the secrets that whoever made the records may not have thought of. Their bodies end at `ends`.
pub(super) fn mark(records: &[Record], bodies: &mut Vec<u8>, ends: &mut [usize]) {
    let redactor = redaction::ours();
    if redactor.is_clean(bodies) {
        return;
    }
    let mut marked = Vec::with_capacity(bodies.len());
    let mut start = 0;
    for (record, end) in records.iter().zip(ends) {
        let body = bodies.get(start..*end).unwrap_or_default();
        start = *end;
        // These are the ledger's own: a public key and signatures look like secrets.
        let is_ours = matches!(record, Record::Opened(_) | Record::Sealed(_) | Record::Dropped(_));
        match redactor.json(body, &FIELDS).filter(|_| !is_ours) {
            Some(body) => marked.extend_from_slice(&body),
            None => marked.extend_from_slice(body),
        }
        *end = marked.len();
    }
    *bodies = marked;
}

/// When a line is written, in both of its forms.
pub(super) struct Stamp {
    ms: u64,
    text: String,
    dry_run: bool,
}

impl Stamp {
    pub(super) fn new(ms: u64) -> Self {
        Self { ms, text: clawrden_api::display::rfc3339(ms), dry_run: false }
    }

    /// The same for a warden that enforces nothing but what it always does: the lines say so.
    pub(super) fn of_dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// In milliseconds since the epoch.
    pub(super) fn ms(&self) -> u64 {
        self.ms
    }

    /// In RFC 3339.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Appends the whole line of an encoded record to `out` and gives the hash that the next line carries.
pub(super) fn assemble(seq: u64, stamp: &Stamp, body: &[u8], prev: &Hex, out: &mut Vec<u8>) -> Hex {
    let start = out.len();
    out.extend_from_slice(SEQ_KEY);
    decimal(seq, out);
    out.extend_from_slice(b",\"time\":\"");
    out.extend_from_slice(stamp.text.as_bytes());
    out.extend_from_slice(b"\",\"time_ms\":");
    decimal(stamp.ms, out);
    if stamp.dry_run {
        out.extend_from_slice(b",\"dry_run\":true");
    }
    // The record's braces become part of this line's.
    out.push(b',');
    out.extend_from_slice(body.get(1..body.len().saturating_sub(1)).unwrap_or_default());
    out.extend_from_slice(PREV_KEY);
    out.extend_from_slice(prev);
    out.push(b'"');
    let mut digest = Sha256::new_with_prefix(&out[start..]);
    let sum = sum(&digest);
    let tail = out.len();
    out.extend_from_slice(SUM_KEY);
    out.extend_from_slice(&sum);
    out.extend_from_slice(b"\"}");
    digest.update(&out[tail..]);
    out.push(b'\n');
    hex(digest)
}

fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A remainder of ten is one digit.
        digits[at] = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn hex(digest: Sha256) -> Hex {
    let mut out = [0; 64];
    hex_into(&digest.finalize(), &mut out);
    out
}

fn sum(digest: &Sha256) -> [u8; SUM_DIGITS] {
    let mut out = [0; SUM_DIGITS];
    hex_into(&digest.clone().finalize(), &mut out);
    out
}

/// Where the chain stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// The newest line's sequence number; 0 for none.
    pub(super) seq: u64,
    /// Its hash.
    pub(super) hash: Hex,
}

/// What a line, its newline left out, says about its place in the chain.
pub(super) struct Link {
    /// Its sequence number, where it can be read.
    pub(super) seq: Option<u64>,
    /// The hash that it carries of the line before, where it can be read.
    pub(super) prev: Option<Hex>,
    /// Its own hash.
    pub(super) hash: Hex,
    /// Whether it is whole: of the right form, its sum right.
    pub(super) is_whole: bool,
}

/// Takes a line apart as far as the chain is concerned.
pub(super) fn link(line: &[u8]) -> Link {
    let (head, tail) = line.split_at(line.len().saturating_sub(SUM_LEN));
    let mut digest = Sha256::new_with_prefix(head);
    let given = tail.strip_prefix(SUM_KEY).and_then(|t| t.strip_suffix(b"\"}"));
    let is_whole = given == Some(&sum(&digest)[..]);
    digest.update(tail);
    let prev = head
        .get(head.len().saturating_sub(PREV_LEN)..)
        .and_then(|p| p.strip_prefix(PREV_KEY)?.strip_suffix(b"\"")?.try_into().ok());
    Link { seq: seq(line), prev, hash: hex(digest), is_whole }
}

/// The events that are about the ledger itself.
const OWN: [&[u8]; 5] = [b"opened", b"sealed", b"dropped", b"recovered", b"disk_failed"];

/// The record of a whole line that is about the ledger itself; `None` for every other line.
pub(super) fn own(line: &[u8]) -> Option<Box<Record>> {
    const EVENT: &[u8] = b",\"event\":\"";
    // The record's own fields, which may hold anything, come later.
    let start = &line[..line.len().min(160)];
    let at = memchr::memmem::find(start, EVENT)? + EVENT.len();
    let name = &line[at..];
    let is_own = OWN.iter().any(|own| name.starts_with(own) && name.get(own.len()) == Some(&b'"'));
    is_own.then(|| serde_json::from_slice(line).ok()).flatten().map(Box::new)
}

/// When a line was written, in milliseconds since the epoch, as far as it says.
pub(super) fn time_ms(line: &[u8]) -> Option<u64> {
    const TIME: &[u8] = b",\"time_ms\":";
    let at = memchr::memmem::find(&line[..line.len().min(160)], TIME)? + TIME.len();
    let digits = line[at..].iter().position(|b| !b.is_ascii_digit())?;
    std::str::from_utf8(&line[at..at + digits]).ok()?.parse().ok()
}

fn seq(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(SEQ_KEY)?;
    let end = rest.iter().position(|&b| b == b',')?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

/// Compact JSON in which every character that is not plainly visible is escaped.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| !is_plain(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::record::{Resumed, Stopped, TokenCreated};

    fn line_of(record: &Record, seq: u64, prev: &Hex) -> (String, Hex) {
        let (mut body, mut out) = (Vec::new(), Vec::new());
        encode(record, &mut body).unwrap();
        let hash = assemble(seq, &Stamp::new(1_793_714_592_045), &body, prev, &mut out);
        (String::from_utf8(out).unwrap(), hash)
    }

    fn resumed(by: &str) -> Record {
        Record::Resumed(Resumed { by: by.to_owned(), jail: None, container: None })
    }

    #[test]
    fn a_line_has_its_place_its_time_its_event_and_its_chain() {
        let (line, hash) = line_of(&resumed("root"), 17, &NO_LINE);
        let start = concat!(
            r#"{"seq":17,"time":"2026-11-03T14:03:12.045Z","time_ms":1793714592045,"#,
            r#""event":"resumed","by":"root","prev":"00000000"#
        );
        assert!(line.starts_with(start), "{line}");
        assert!(line.ends_with("\"}\n"));
        let link = link(line.trim_end().as_bytes());
        assert_eq!((link.seq, link.prev, link.is_whole), (Some(17), Some(NO_LINE), true));
        assert_eq!(link.hash, hash);
    }

    /// The bodies as they are written.
    fn marked(records: &[Record]) -> Vec<serde_json::Value> {
        let (mut bodies, mut ends) = (Vec::new(), Vec::new());
        for record in records {
            encode(record, &mut bodies).unwrap();
            ends.push(bodies.len());
        }
        mark(records, &mut bodies, &mut ends);
        let mut start = 0;
        let each = ends.into_iter().map(|end| {
            let body = serde_json::from_slice(&bodies[start..end]).unwrap();
            start = end;
            body
        });
        each.collect()
    }

    #[test]
    fn secrets_are_marked_in_each_record_and_what_the_warden_says_stays() {
        redaction::ours().declare([("odd".to_owned(), b"token_created".to_vec())]);
        let created = Record::TokenCreated(TokenCreated {
            token: "0123456789abcdef0".to_owned(),
            name: "me".to_owned(),
            role: clawrden_api::Role::Admin,
            jails: Vec::new(),
            rules: Vec::new(),
            speaks_for: None,
            expires_ms: 1,
            by: "token: a-word-that-could-be-one".to_owned(),
        });
        let stopped = Record::Stopped(Stopped {
            by: "root".to_owned(),
            reason: Some("password=hunter2 token_created".to_owned()),
            paused: false,
            jail: None,
            container: None,
        });
        let bodies = marked(&[created.clone(), stopped, resumed("x"), created]);
        for at in [0, 3] {
            assert_eq!(bodies[at]["event"], "token_created");
            assert_eq!(bodies[at]["token"], "0123456789abcdef0", "its id is no secret");
            assert_eq!(bodies[at]["by"], "token: a-word-that-could-be-one");
        }
        assert_eq!(bodies[1]["reason"], "password=[redacted:password] [redacted:odd]");
        assert_eq!(bodies[2]["event"], "resumed");
    }

    #[test]
    fn the_hash_is_that_of_the_line_without_its_newline() {
        let (line, hash) = line_of(&resumed("x"), 1, &NO_LINE);
        let plain = Sha256::digest(line.trim_end().as_bytes());
        let plain: String = plain.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hash, plain.as_bytes());
    }

    #[test]
    fn every_flipped_bit_makes_a_line_unsound() {
        let (line, _) = line_of(&resumed("root"), 17, &NO_LINE);
        let mut bytes = line.trim_end().as_bytes().to_vec();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(!link(&bytes).is_whole, "byte {at} bit {bit}");
                bytes[at] ^= 1 << bit;
            }
        }
        assert!(link(&bytes).is_whole);
    }

    #[test]
    fn no_piece_of_a_line_is_a_line_or_a_panic() {
        let (line, _) = line_of(&resumed("root"), 17, &NO_LINE);
        let bytes = line.trim_end().as_bytes();
        for cut in 0..bytes.len() {
            assert!(!link(&bytes[..cut]).is_whole);
            assert!(!link(&bytes[bytes.len() - cut..]).is_whole);
        }
    }

    #[test]
    fn whatever_is_in_a_string_the_line_stays_one_and_harmless() {
        let hostile =
            "\n\r\u{1b}[2J\u{7f}\u{9b}31m\u{85}\u{2028}\u{202e}\u{200b}\u{feff}\0\"}\u{e0041}é日";
        let record = Record::Stopped(Stopped {
            by: hostile.to_owned(),
            reason: Some("\n{\"seq\":18}\n".to_owned()),
            paused: false,
            jail: None,
            container: None,
        });
        let (line, _) = line_of(&record, 1, &NO_LINE);
        let line = line.strip_suffix('\n').unwrap();
        assert!(line.chars().all(is_plain), "{line}");
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["by"], hostile);
    }
}
