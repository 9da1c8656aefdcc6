//! What each fuzz target does with its bytes, as plain functions: the fuzzer calls them on nightly, and
//! `tests/fuzz_replay` calls them with the corpus and mutations of it on stable. They panic when a promise is broken.

#![forbid(unsafe_code)]

mod ledger;
mod slack;
mod telegram;
mod wrapped;

use std::sync::OnceLock;

use clawrden_api::display::{self, is_plain};
use clawrden_policy::{Facts, MAX_POLICY_BYTES, Policy};
use clawrden_protocol::frame::HEAD;
use clawrden_protocol::runner::{FromRunner, ToRunner};
use clawrden_protocol::{FrameBuffer, FromClient, Request, RequestV2, ToClient, note};

use clawrden_warden::redaction::{self, Fields, Redactor};

pub use ledger::ledger;
pub use slack::slack;
pub use telegram::telegram;
pub use wrapped::wrapped;

/// One thing to do with any bytes.
pub type Entry = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
pub const ENTRIES: [(&str, Entry); 12] = [
    ("request", request),
    ("frames", frames),
    ("runner", runner),
    ("note", note),
    ("policy", policy),
    ("shell", shell),
    ("wrapped", wrapped),
    ("display", display),
    ("ledger", ledger),
    ("redaction", redaction),
    ("slack", slack),
    ("telegram", telegram),
];

/// Bytes of the longest policy that is tried; a longer one only takes longer.
const MAX_POLICY: usize = 64 * 1024;

/// What stands behind the length of a request: what parses is the same when it is encoded and parsed again.
pub fn request(data: &[u8]) {
    let Ok(request) = Request::parse(data.to_vec()) else { return };
    let encoded = match &request {
        Request::V1(v1) => v1.encode(),
        Request::V2(v2) => {
            rebuilt(v2);
            v2.encode()
        }
        Request::Wait(wait) => wait.encode(),
    };
    // Escapes may make a version 1 request longer than it came.
    let Ok(encoded) = encoded else { return };
    let (length, body) = encoded.split_at(4);
    assert_eq!(length, u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    assert_eq!(Request::parse(body.to_vec()), Ok(request));
}

fn rebuilt(v2: &RequestV2) {
    let mut again = RequestV2::new(v2.id, v2.tty, v2.exec(), v2.cwd(), v2.argv(), v2.env());
    if let Ok(again) = &mut again {
        again.judge = v2.judge;
    }
    assert_eq!(again.as_ref(), Ok(v2), "a request is not made of its parts");
    let mut short = v2.clone();
    short.forget_words();
    assert_eq!(short.env().count(), 0);
    assert_eq!(short.argv().count(), 0);
    assert_eq!(short.exec(), v2.exec());
}

/// Bytes of a connection in pieces whose size the first byte says: frames do not depend on the pieces, and a frame
/// that either side understands is encoded as it came.
pub fn frames(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else { return };
    let whole = taken([data].into_iter());
    let pieces = taken(data.chunks(usize::from(size) + 1));
    assert_eq!(whole, pieces, "frames depend on how their bytes arrive");
    for (kind, payload) in whole.0 {
        let mut came = vec![kind];
        came.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
        came.extend(&payload);
        assert_eq!(came.len(), HEAD + payload.len());
        let mut encoded = Vec::new();
        if let Ok(frame) = FromClient::parse(kind, &payload) {
            if let FromClient::Descriptors(numbers) = frame {
                assert_eq!(numbers.iter().count() * 4, payload.len());
            }
            frame.encode(&mut encoded);
            assert_eq!(encoded, came);
        }
        encoded.clear();
        if let Ok(frame) = ToClient::parse(kind, &payload) {
            frame.encode(&mut encoded);
            assert_eq!(encoded, came);
        }
    }
}

type Taken = (Vec<(u8, Vec<u8>)>, bool);

/// The frames of a connection, and whether one was refused.
fn taken<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Taken {
    let (mut buffer, mut frames) = (FrameBuffer::new(), Vec::new());
    for piece in pieces {
        buffer.push(piece);
        loop {
            match buffer.next_frame() {
                Ok(Some((kind, payload))) => frames.push((kind, payload.to_vec())),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

/// A message between warden and runner; the first byte is its type.
pub fn runner(data: &[u8]) {
    let Some((&kind, payload)) = data.split_first() else { return };
    if let Ok(message) = ToRunner::parse(kind, payload) {
        let encoded = message.encode();
        assert_eq!(ToRunner::parse(encoded[0], &encoded[HEAD..]), Ok(message));
    }
    if let Ok(message) = FromRunner::parse(kind, payload) {
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        assert_eq!(FromRunner::parse(encoded[0], &encoded[HEAD..]), Ok(message));
    }
}

/// The head of a file that may be a shim. What lies behind a note that was found hides it from nobody.
pub fn note(data: &[u8]) {
    let found = note::is_shim(data);
    let longer = [data, &[0xff; 64]].concat();
    assert!(!found || note::is_shim(&longer));
}

/// The text of a policy, a byte that is not UTF-8, and the strings of a command, each ended by a NUL: name, working
/// directory, jail, then argv.
pub fn policy(data: &[u8]) {
    if data.len() > MAX_POLICY || data.len() as u64 > MAX_POLICY_BYTES {
        return;
    }
    let mut parts = data.splitn(2, |&b| b == 0xff);
    let (text, facts) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match Policy::from_yaml("policy.yaml", &String::from_utf8_lossy(text)) {
        Ok(policy) => judge(&policy, facts),
        Err(error) => {
            let told = error.to_string();
            assert!(!told.trim().is_empty());
            assert!(told.chars().all(|c| c == '\n' || !c.is_control()), "{told:?}");
        }
    }
}

fn judge(policy: &Policy, facts: &[u8]) {
    let words: Vec<&[u8]> = facts.split(|&b| b == 0).collect();
    let word = |at: usize| words.get(at).copied();
    let name = word(0).unwrap_or_default();
    let jail = String::from_utf8_lossy(word(2).unwrap_or_default());
    let path = [b"/usr/bin/", name].concat();
    let argv = words.get(3..).unwrap_or_default();
    let facts = Facts {
        jail: &jail,
        name,
        path: Some(&path),
        tool: Some(name),
        argv,
        cwd: word(1),
        uid: Some(1000),
        gid: Some(1000),
        changed_env: &[],
        ..Facts::default()
    };
    let (decision, explained) = (policy.decide(&facts), policy.explain(&facts));
    assert_eq!(decision, explained.decision, "explain and decide disagree");
    // Not so for the working directory: without one, a relative pattern speaks of no file.
    let unknown = policy.decide(&Facts { path: None, tool: None, ..facts });
    assert!(unknown.action >= decision.action, "milder for a tool that is not known");
    assert!(policy.commands().windows(2).all(|pair| pair[0] < pair[1]));
}

/// A line that a shell is given, whose first byte says which shell: it is judged, and explained as it is judged.
pub fn shell(data: &[u8]) {
    const RULES: &str = "default_action: ask\nrules:\n- {command: rm, args: [\"-rf /\"], action: deny}\n\
                         - {command: [ls, echo, cat, sh, bash, zsh], action: allow}\n";
    let Some((&which, line)) = data.split_first() else { return };
    let name: &[u8] = [&b"sh"[..], b"bash", b"zsh"][usize::from(which) % 3];
    let path = [b"/usr/bin/", name].concat();
    let argv = [name, b"-c", line];
    let facts = Facts {
        name,
        path: Some(&path),
        tool: Some(name),
        argv: &argv,
        cwd: Some(b"/work"),
        uid: Some(1000),
        gid: Some(1000),
        ..Facts::default()
    };
    let policy = POLICY_OF_LINES.get_or_init(|| Policy::from_yaml("policy.yaml", RULES).ok());
    let Some(policy) = policy else { panic!("the rules of the target do not load") };
    let (decision, explained) = (policy.decide(&facts), policy.explain(&facts));
    assert_eq!(decision, explained.decision, "explain and decide disagree");
}

static POLICY_OF_LINES: OnceLock<Option<Policy>> = OnceLock::new();

/// What a prisoner may put before the eyes of the person who answers: strings ended by a NUL.
pub fn display(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let argv: Vec<String> = text.split('\0').map(str::to_owned).collect();
    for shown in [display::command(&argv), display::exact(&argv)] {
        assert!(shown.chars().all(is_plain), "{shown:?}");
    }
    for shown in [display::text(&text), display::argument(&text)] {
        assert!(shown.chars().all(is_plain), "{shown:?}");
    }
    let number = |at: usize| {
        let bytes = data.get(at..).and_then(|rest| rest.first_chunk().copied());
        bytes.map_or(u64::MAX, u64::from_le_bytes)
    };
    let offset = i32::from_le_bytes(data.first_chunk().copied().unwrap_or_default());
    for shown in [
        display::duration(number(0)),
        display::age(number(0), number(8)),
        display::short_time(number(0), number(8), offset),
        display::rfc3339(number(0)),
    ] {
        assert!(shown.is_ascii() && shown.chars().all(is_plain), "{shown:?}");
    }
}

/// What is not marked stays byte by byte, text stays text and JSON stays JSON, and no mark is marked again.
pub fn redaction(data: &[u8]) {
    let redactor = Redactor::default();
    let words: Vec<&[u8]> = data.split(|&b| b == 0).collect();
    if let Some(redacted) = redactor.argv(&words) {
        assert_eq!(redacted.argv.len(), words.len());
        assert!(redacted.count > 0);
        assert!(redacted.argv.iter().zip(&words).any(|(marked, word)| **marked != **word));
        for (marked, word) in redacted.argv.iter().zip(&words) {
            assert!(is_within(marked, word), "{marked:?} is made of something else than {word:?}");
        }
    }
    let text = String::from_utf8_lossy(data);
    let (marked, count) = redactor.text(&text);
    assert_eq!(count == 0, marked == text);
    assert!(is_within(marked.as_bytes(), text.as_bytes()), "{marked:?}");
    let again = redactor.text(&marked).0.into_owned();
    let is_broken = |kind: &str| kind.split(']').next().is_some_and(|kind| kind.contains('['));
    if !text.contains(redaction::MARK) {
        let mut kinds = again.split(redaction::MARK).skip(1);
        assert!(!kinds.any(is_broken), "{marked:?} became {again:?}");
    }
    let json = serde_json::json!({ "a": text, "b": [text, 1], "ours": text });
    let bytes = json.to_string();
    let fields = Fields { ours: &["ours"], ..Fields::default() };
    if let Some(marked) = redactor.json(bytes.as_bytes(), &fields) {
        let Ok(marked) = serde_json::from_slice::<serde_json::Value>(&marked) else {
            panic!("what was JSON is none any more")
        };
        assert_eq!(marked["b"][1], 1);
        assert_eq!(marked["ours"], json["ours"]);
    }
}

/// Whether what stands outside of the marks of `marked` stands in `text`, in its order.
fn is_within(marked: &[u8], text: &[u8]) -> bool {
    const MARK: &[u8] = redaction::MARK.as_bytes();
    let mut rest = text.iter();
    let mut at = 0;
    while let Some(b) = marked.get(at) {
        let mark = marked[at..].starts_with(MARK);
        let end = marked[at..].iter().position(|&b| b == b']').filter(|_| mark);
        // A text may have had marks of its own.
        if let Some(end) = end
            && !rest.as_slice().starts_with(&marked[at..=at + end])
        {
            at += end + 1;
            continue;
        }
        if !rest.any(|other| other == b) {
            return false;
        }
        at += 1;
    }
    true
}
