//! Redaction: what is a secret, or looks like one, is replaced by a mark before anything is written or shown.
//!
//! It is pure, and never changes what is judged or executed. It errs to the side of marking too much where a name says
//! that a secret follows, and is exact where only the shape tells. What looks like nothing is not found: a secret that a
//! prisoner wants to show can always be shown.

mod begins;
mod declared;
mod fields;
mod names;
mod options;
mod runs;
mod scan;
mod shapes;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod work;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use declared::Declared;
pub(crate) use declared::warning;
pub use fields::Fields;
use options::Options;

/// What every mark begins with. It ends with `]` and names the kind of secret in between.
pub const MARK: &str = "[redacted:";

/// The one of this process: a warden's ledger, queue and status have no other.
pub fn ours() -> &'static Redactor {
    static OURS: LazyLock<Redactor> = LazyLock::new(Redactor::default);
    &OURS
}

/// Finds secrets, and knows those that the policy declares.
#[derive(Debug, Default)]
pub struct Redactor {
    declared: RwLock<Option<Arc<Declared>>>,
    /// Held by who makes another `declared`, which takes long: nobody who looks for secrets waits for that.
    making: Mutex<()>,
}

/// A place that is to be marked.
#[derive(Debug, Clone)]
struct Found {
    range: Range<usize>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Known(&'static str),
    Declared(Arc<str>),
}

/// What is left of an argument vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted<'a> {
    /// The arguments, marks in place.
    pub argv: Vec<Cow<'a, [u8]>>,
    /// How many marks.
    pub count: usize,
    /// Arguments, by their number, of which something is hidden that a shell would act on.
    pub acting: Vec<usize>,
}

impl Redactor {
    /// Remembers the values of declared secrets, so that they are found wherever they stand. Those that were told before
    /// stay, until there are too many: a secret that was replaced is still one. May take long.
    pub fn declare(&self, secrets: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let parts = declared::parts(secrets);
        let knows_all = |known: Option<&Declared>| match known {
            Some(known) => parts.iter().all(|part| known.knows(part)),
            None => parts.is_empty(),
        };
        if knows_all(self.declared().as_deref()) {
            return;
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.declared();
        if let Some(made) = Declared::with(before.as_deref(), parts) {
            let mut place = self.declared.write().unwrap_or_else(PoisonError::into_inner);
            *place = Some(Arc::new(made));
        }
    }

    /// The arguments with every secret marked; `None` where there is none, and nothing is allocated then.
    #[must_use]
    pub fn argv<'a, A: AsRef<[u8]>>(&self, argv: &'a [A]) -> Option<Redacted<'a>> {
        let declared = self.declared();
        let mut options = Options::default();
        let mut result: Option<Redacted<'a>> = None;
        // What a shell is given behind `-c`, and the options that may stand between, is a line: one of so many words.
        let mut lines_next = 0_usize;
        let mut is_value_next = false;
        let mut found = Vec::new();
        for (at, argument) in argv.iter().enumerate() {
            let argument = argument.as_ref();
            let kinds = runs::kinds(argument);
            let is_option = matches!(argument.first(), Some(b'-' | b'+'));
            let is_value = std::mem::replace(&mut is_value_next, is_value_option(argument));
            let is_line =
                lines_next > 0 || !is_value && !has_value(argument) && is_line(argument, kinds);
            let words = if is_line { Words::Shell } else { Words::One };
            lines_next = match is_option {
                true if lines_next > 0 => lines_next + shell_values(argument),
                true if is_line_option(argument) => 1 + shell_values(argument),
                true => 0,
                false => lines_next.saturating_sub(1),
            };
            if let Some((range, kind)) = options.next(argument) {
                let range = if words == Words::Shell { scan::cut(argument, range) } else { range };
                if !range.is_empty() {
                    found.push(Found { range, kind: Kind::Known(kind) });
                }
            }
            let has_signs = words == Words::Shell || may_have_signs(argument, kinds);
            if has_signs || declared.is_some() {
                let words = has_signs.then_some(words);
                find(argument, words, declared.as_deref(), &mut found);
            }
            if found.is_empty() {
                if let Some(result) = &mut result {
                    result.argv.push(Cow::Borrowed(argument));
                }
                continue;
            }
            let result = result.get_or_insert_with(|| Redacted {
                argv: argv[..at].iter().map(|before| Cow::Borrowed(before.as_ref())).collect(),
                count: 0,
                acting: Vec::new(),
            });
            if found.iter().any(|found| acts(argument, &found.range, words)) {
                result.acting.push(at);
            }
            let (marked, count) = mark(argument, std::mem::take(&mut found));
            result.count += count;
            result.argv.push(Cow::Owned(marked));
        }
        result
    }

    /// A text with every secret marked, and how many; the text itself where there is none.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> (Cow<'a, str>, usize) {
        let (marked, count) = self.bytes(text.as_bytes());
        match marked {
            Cow::Borrowed(_) => (Cow::Borrowed(text), 0),
            // Cut at ASCII only, so it is text as before.
            Cow::Owned(marked) => {
                (Cow::Owned(String::from_utf8_lossy(&marked).into_owned()), count)
            }
        }
    }

    /// The same for bytes.
    #[must_use]
    pub fn bytes<'a>(&self, text: &'a [u8]) -> (Cow<'a, [u8]>, usize) {
        let mut found = Vec::new();
        find(text, Some(Words::Line), self.declared().as_deref(), &mut found);
        if found.is_empty() {
            return (Cow::Borrowed(text), 0);
        }
        let (marked, count) = mark(text, found);
        (Cow::Owned(marked), count)
    }

    /// Whether [`Redactor::json`] has nothing to mark in any of the JSON objects that stand one behind the other in `text`.
    #[must_use]
    pub fn is_clean(&self, text: &[u8]) -> bool {
        let mut found = Vec::new();
        find(text, Some(Words::Json), self.declared().as_deref(), &mut found);
        found.is_empty()
    }

    /// A JSON object with every secret in its strings marked; `None` where there is none. What a list of arguments means
    /// is not looked at: that is for [`Redactor::argv`], before there is JSON.
    #[must_use]
    pub fn json(&self, text: &[u8], fields: &Fields) -> Option<Vec<u8>> {
        let declared = self.declared();
        let mut found = Vec::new();
        find(text, Some(Words::Json), declared.as_deref(), &mut found);
        if found.is_empty() {
            return None;
        }
        let strings = fields::strings(text, fields);
        found.retain(|found| {
            let at = strings.partition_point(|(string, _)| string.end <= found.range.start);
            // What is in no string is no text, and found out below.
            strings
                .get(at)
                .is_none_or(|(string, may_mark)| *may_mark || !string.contains(&found.range.start))
        });
        if found.is_empty() {
            return None;
        }
        for found in &mut found {
            // No mark goes beyond the string that it is in.
            let rest = &text[found.range.clone()];
            let quote = (0..rest.len()).find(|&at| {
                // Backslashes are counted at quotes only, and no two have the same.
                rest[at] == b'"' && {
                    let before = rest[..at].iter().rev().take_while(|&&b| b == b'\\').count();
                    runs::looked_at(before);
                    before.is_multiple_of(2)
                }
            });
            found.range.end = quote.map_or(found.range.end, |at| found.range.start + at);
            runs::looked_at(found.range.len());
        }
        found.retain(|found| !found.range.is_empty());
        let (marked, _) = mark(text, found);
        if serde_json::from_slice::<serde::de::IgnoredAny>(&marked).is_ok() {
            return Some(marked);
        }
        // A mark split an escape, or took what is no string.
        let mut value: serde_json::Value = serde_json::from_slice(text).ok()?;
        match &mut value {
            serde_json::Value::Object(all) => {
                let others = all.iter_mut().filter(|(name, _)| fields.may_mark(name));
                others.for_each(|(_, value)| self.value(value));
            }
            other => self.value(other),
        }
        serde_json::to_vec(&value).ok()
    }

    fn value(&self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => {
                let (marked, count) = self.text(text);
                if count > 0 {
                    *text = marked.into_owned();
                }
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(|v| self.value(v)),
            serde_json::Value::Object(fields) => fields.values_mut().for_each(|v| self.value(v)),
            _ => {}
        }
    }

    /// A text of our own or of a person's, for writing and showing.
    #[must_use]
    pub fn clean(&self, text: String) -> String {
        match self.text(&text) {
            (Cow::Owned(marked), _) => marked,
            (Cow::Borrowed(_), _) => text,
        }
    }

    /// Arguments for showing.
    #[must_use]
    pub fn clean_argv(&self, argv: &[String]) -> Vec<String> {
        let Some(redacted) = self.argv(argv) else { return argv.to_vec() };
        let words = redacted.argv.iter();
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    fn declared(&self) -> Option<Arc<Declared>> {
        self.declared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    /// One argument.
    One,
    /// An argument that is a line for a shell: words are told apart, and what the shell would run is no secret.
    Shell,
    /// A line, or a sentence: words are told apart.
    Line,
    /// JSON: strings are told apart.
    Json,
}

impl Words {
    fn is_line(self) -> bool {
        matches!(self, Self::Shell | Self::Line)
    }
}

/// Whether it is an option behind which a shell takes a line: `-c`, `-lc`, `-ce`.
fn is_line_option(argument: &[u8]) -> bool {
    matches!(argument, [b'-', second, ..] if *second != b'-') && argument.contains(&b'c')
}

/// How many values that are no line follow the options of a shell in `argument`: `-o X`, `+O X`, `-co X`.
fn shell_values(argument: &[u8]) -> usize {
    match argument {
        [b'-' | b'+', letters @ ..] if !letters.starts_with(b"-") => {
            letters.iter().filter(|letter| letter.eq_ignore_ascii_case(&b'o')).count()
        }
        _ => 0,
    }
}

/// Options whose value is a header or a variable: whatever a shell would act on there is part of it.
const VALUE_OPTIONS: [&[u8]; 6] =
    [b"-H", b"--header", b"--proxy-header", b"-e", b"--env", b"--build-arg"];

/// Whether the next argument is the value of such an option.
fn is_value_option(argument: &[u8]) -> bool {
    VALUE_OPTIONS.contains(&argument)
}

/// Whether it is such an option and its value: `-HX`, `--header=X`.
fn has_value(argument: &[u8]) -> bool {
    argument.first() == Some(&b'-')
        && VALUE_OPTIONS.iter().any(|option| match argument.strip_prefix(*option) {
            Some(value) => option.len() == 2 || value.first() == Some(&b'='),
            None => false,
        })
}

/// Whether it looks like a line for a shell.
fn is_line(argument: &[u8], kinds: runs::Bytes) -> bool {
    let has = |all: runs::Bytes| kinds & all == all;
    has(runs::SPACE | runs::OPERATOR)
        || kinds & (runs::LINE_FEED | runs::BACKTICK) != 0
        || has(runs::DOLLAR) && runs::find(argument, b"$(").is_some()
}

/// Whether an argument may have what [`scan`] looks for. Names, headers and addresses have a sign behind them, keys have
/// a space, and tokens a digit or, where they are long, a dot.
fn may_have_signs(argument: &[u8], kinds: runs::Bytes) -> bool {
    const LONG: usize = 20;
    kinds & (runs::SIGN | runs::SPACE | runs::DIGIT) != 0
        || argument.len() >= LONG && kinds & runs::DOT != 0
}

/// Whether a shell that is given the argument would act on something that stands in what is hidden of it.
fn acts(argument: &[u8], hidden: &Range<usize>, words: Words) -> bool {
    let kinds = runs::kinds(&argument[hidden.clone()]);
    // What is not known to be a line may be one nonetheless: behind `X=y ` a shell runs what follows. An option, or the
    // value of one, is as good as never a line.
    let is_behind = match argument {
        [b'-', b'-', ..] => false,
        [b'-', _, ..] => hidden.start > 2,
        _ => hidden.start > 0,
    };
    kinds & (runs::OPERATOR | runs::BACKTICK | runs::LINE_FEED) != 0
        || kinds & runs::SPACE != 0 && words == Words::One && is_behind
        || kinds & runs::DOLLAR != 0 && runs::find(&argument[hidden.clone()], b"$(").is_some()
}

/// Everything in `text` that is to be marked, in any order. Without `words` only what is declared.
fn find(text: &[u8], words: Option<Words>, declared: Option<&Declared>, found: &mut Vec<Found>) {
    if let Some(words) = words {
        scan::scan(text, words, &mut |range, kind| {
            found.push(Found { range, kind: Kind::Known(kind) });
        });
    }
    for (range, name) in declared.into_iter().flat_map(|declared| declared.find(text)) {
        found.push(Found { range, kind: Kind::Declared(Arc::clone(name)) });
    }
}

/// Puts the marks in. Places that touch each other become one.
fn mark(text: &[u8], mut found: Vec<Found>) -> (Vec<u8>, usize) {
    found.sort_by_key(|found| (found.range.start, usize::MAX - found.range.end));
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut count) = (0, 0);
    for Found { range, kind } in found {
        if range.start < at {
            // Within one that is marked, or going on behind it: nothing of it stays.
            at = at.max(range.end);
            continue;
        }
        out.extend_from_slice(&text[at..range.start]);
        out.extend_from_slice(MARK.as_bytes());
        match &kind {
            Kind::Known(kind) => out.extend_from_slice(kind.as_bytes()),
            Kind::Declared(name) => out.extend_from_slice(name.as_bytes()),
        }
        out.push(b']');
        count += 1;
        at = range.end;
    }
    out.extend_from_slice(&text[at..]);
    (out, count)
}
