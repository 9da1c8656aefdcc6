//! The secrets that a policy declares: their values, in every form in which they may stand in a text.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use clawrden_api::display::is_plain;

/// Bytes of a declared secret, at least: shorter ones stand in too much that is none.
pub(super) const LEAST: usize = 5;

/// Bytes below which a secret stands in much that is none.
const FEW: usize = 8;

/// What is looked for at once, at most; values that were replaced go first.
const MAX_PARTS: usize = 1000;

/// Lines of one value that are looked for on their own.
const MAX_LINES: usize = 64;

/// One thing that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Part {
    bytes: Arc<[u8]>,
    name: Arc<str>,
    is_line: bool,
}

/// All that is looked for.
#[derive(Debug)]
pub(super) struct Declared {
    /// Oldest first, in the order of the search.
    parts: Vec<(Part, u64)>,
    known: HashSet<Arc<[u8]>>,
    /// Which telling of each secret was the last.
    newest: HashMap<Arc<str>, u64>,
    search: AhoCorasick,
}

/// What is to be looked for of these secrets: each value and its lines, also as JSON writes them.
pub(super) fn parts(secrets: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<Part> {
    let mut all = Vec::new();
    for (name, value) in secrets {
        let name: Arc<str> = name.into();
        let whole = value.trim_ascii();
        let lines = value.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
        let lines = lines.filter(|line| line.len() >= LEAST && *line != whole).take(MAX_LINES);
        let of = std::iter::once((whole, false)).chain(lines.map(|line| (line, true)));
        for (part, is_line) in of.filter(|(part, _)| part.len() >= LEAST) {
            for bytes in forms(part) {
                all.push(Part { bytes: bytes.into(), name: Arc::clone(&name), is_line });
            }
        }
    }
    all
}

/// What a person should know of a secret whose value is too short to be told from other text.
pub(crate) fn warning(name: &str, value: &[u8]) -> Option<String> {
    match value.trim_ascii().len() {
        LEAST..FEW => Some(format!(
            "the secret {name} has fewer than {FEW} bytes: whatever is like it is marked as well; take a longer one"
        )),
        0..LEAST => Some(format!(
            "the secret {name} has fewer than {LEAST} bytes: it is not marked where it is written; take a longer one"
        )),
        _ => None,
    }
}

/// The bytes, and what becomes of them in text, in JSON, and in JSON of which every character can be seen.
fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(bytes);
    let json = json(&text, |c| c >= ' ');
    let harmless = self::json(&text, is_plain);
    let mut forms = vec![bytes.to_vec()];
    for form in [&*text, &json, &harmless] {
        if !forms.iter().any(|other| other == form.as_bytes()) {
            forms.push(form.as_bytes().to_vec());
        }
    }
    forms
}

/// The text within a string of JSON; `stays` says which characters are not escaped without need.
fn json(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut json = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            c if stays(c) => json.push(c),
            c => {
                let escapes = c
                    .encode_utf16(&mut [0; 2])
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}"))
                    .collect::<String>();
                json.push_str(&escapes);
            }
        }
    }
    json
}

impl Declared {
    pub(super) fn knows(&self, part: &Part) -> bool {
        self.known.contains(&part.bytes)
    }

    /// Those before and these.
    pub(super) fn with(before: Option<&Self>, parts: Vec<Part>) -> Option<Self> {
        let mut all = before.map(|before| before.parts.clone()).unwrap_or_default();
        let mut newest = before.map(|before| before.newest.clone()).unwrap_or_default();
        let telling = newest.values().max().map_or(0, |last| last + 1);
        let told: HashSet<Arc<[u8]>> = parts.iter().map(|part| Arc::clone(&part.bytes)).collect();
        all.retain(|(part, _)| !told.contains(&part.bytes));
        let mut seen = HashSet::new();
        for part in parts {
            newest.insert(Arc::clone(&part.name), telling);
            if seen.insert(Arc::clone(&part.bytes)) {
                all.push((part, telling));
            }
        }
        drop_some(&mut all, &newest);
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(all.iter().map(|(part, _)| &part.bytes));
        let search = match search {
            Ok(search) => search,
            Err(error) => {
                tracing::error!(%error, "declared secrets cannot be looked for; only those before are marked");
                return None;
            }
        };
        let known = all.iter().map(|(part, _)| Arc::clone(&part.bytes)).collect();
        Some(Self { parts: all, known, newest, search })
    }

    /// Where any of them stands, and the secret's name.
    pub(super) fn find(&self, text: &[u8]) -> impl Iterator<Item = (Range<usize>, &Arc<str>)> {
        self.search.find_iter(text).filter_map(|hit| {
            let (part, _) = self.parts.get(hit.pattern().as_usize())?;
            Some((hit.range(), &part.name))
        })
    }
}

/// Makes room: what was replaced goes first, then lines of what was not, the oldest first.
fn drop_some(all: &mut Vec<(Part, u64)>, newest: &HashMap<Arc<str>, u64>) {
    let is_old = |(part, telling): &(Part, u64)| newest.get(&part.name) != Some(telling);
    let is_line = |(part, _): &(Part, u64)| part.is_line;
    for kind in 0..3 {
        let goes = |entry: &(Part, u64)| match kind {
            0 => is_old(entry),
            1 => is_line(entry),
            _ => true,
        };
        let mut surplus = all.len().saturating_sub(MAX_PARTS);
        if surplus == 0 {
            return;
        }
        let mut names = HashSet::new();
        all.retain(|entry| {
            let stays = surplus == 0 || !goes(entry);
            if !stays {
                surplus -= 1;
                names.insert(Arc::clone(&entry.0.name));
            }
            stays
        });
        for name in names {
            tracing::warn!(
                secret = &*name,
                "too many secrets were declared: some older values or lines of this one are not marked any more"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fields, Redactor};
    use super::*;

    fn secret(name: &str, value: &str) -> (String, Vec<u8>) {
        (name.to_owned(), value.as_bytes().to_vec())
    }

    #[test]
    fn a_value_of_many_lines_is_found_whole_and_keeps_no_other_out() {
        let redactor = Redactor::default();
        let lines: Vec<String> = (0..5000).map(|n| format!("line number {n}")).collect();
        let whole = lines.join("\n");
        redactor.declare([secret("long", &whole), secret("short", "correct horse")]);
        assert_eq!(redactor.text("a correct horse").0, "a [redacted:short]");
        assert_eq!(redactor.text(&format!("a {whole} b")).0, "a [redacted:long] b");
        assert_eq!(redactor.text("a line number 63").0, "a [redacted:long]");
    }

    #[test]
    fn what_was_replaced_makes_room_for_what_is_told() {
        let redactor = Redactor::default();
        redactor.declare([secret("stays", "battery staple")]);
        for n in 0..=MAX_PARTS {
            redactor.declare([secret("turns", &format!("value-{n:05}"))]);
        }
        assert_eq!(redactor.text("battery staple").0, "[redacted:stays]", "it was not replaced");
        assert_eq!(redactor.text("value-01000").0, "[redacted:turns]");
        assert_eq!(redactor.text("value-00500").0, "[redacted:turns]", "there is room for it");
        assert_eq!(redactor.text("value-00000").0, "value-00000", "the oldest");
    }

    #[test]
    fn nothing_is_made_anew_for_what_is_known() {
        let redactor = Redactor::default();
        redactor.declare([secret("a", "correct horse"), secret("b", "x")]);
        let before = redactor.declared().unwrap();
        redactor.declare([secret("a", "correct horse\n")]);
        assert!(Arc::ptr_eq(&before, &redactor.declared().unwrap()));
        redactor.declare([secret("a", "battery staple")]);
        assert!(!Arc::ptr_eq(&before, &redactor.declared().unwrap()));
    }

    #[test]
    fn a_value_is_found_as_json_writes_it() {
        let redactor = Redactor::default();
        for value in ["pass\"word\\x", "two\nlines", "b\u{1b}ell\u{202e}", "ta\tb é"] {
            redactor.declare([secret("odd", value)]);
            let json = serde_json::json!({ "reason": format!("a {value} b") }).to_string();
            let harmless = json.replace('\u{202e}', "\\u202e");
            for json in [json, harmless] {
                let marked = redactor.json(json.as_bytes(), &Fields::default()).unwrap();
                let marked: serde_json::Value = serde_json::from_slice(&marked).unwrap();
                assert_eq!(marked["reason"], "a [redacted:odd] b", "{value:?}");
            }
        }
    }

    #[test]
    fn short_values_are_warned_of() {
        assert_eq!(warning("a", b"long enough"), None);
        assert!(warning("a", b"default\n").unwrap().contains("the secret a has fewer than 8"));
        assert!(warning("a", b"abc").unwrap().contains("not marked"));
    }
}
