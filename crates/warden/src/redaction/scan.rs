//! One pass over a text for whatever says that a secret is near, and a closer look where something does.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::Words;
use super::begins::Begins;
use super::names::{HEADERS, LEAST_RANDOM, NAMES, Name};
use super::options::Options;
use super::runs::{self, Runs, span};
use super::shapes::{SHAPES, Shape, private_key, web_token};

/// What a word of the search means.
#[derive(Clone, Copy)]
enum Sign {
    Shape(&'static Shape),
    Name(&'static Name),
    Header,
    /// `Bearer X`, wherever it stands.
    Bearer,
    /// `://user:password@`.
    Url,
    WebToken,
    PrivateKey,
}

struct Search {
    begins: Begins,
    automaton: AhoCorasick,
    signs: Vec<Sign>,
}

static SEARCH: LazyLock<Option<Search>> = LazyLock::new(|| {
    let mut words: Vec<&str> = Vec::new();
    let mut signs = Vec::new();
    let mut add = |word, sign| {
        words.push(word);
        signs.push(sign);
    };
    SHAPES.iter().for_each(|shape| add(shape.begin, Sign::Shape(shape)));
    NAMES.iter().for_each(|name| add(name.word, Sign::Name(name)));
    HEADERS.iter().for_each(|header| add(header, Sign::Header));
    add("bearer ", Sign::Bearer);
    add("://", Sign::Url);
    add("eyJ", Sign::WebToken);
    add("-----BEGIN ", Sign::PrivateKey);
    let automaton = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(&words);
    // The words are ours and few; the tests build it.
    Some(Search { begins: Begins::new(&words)?, automaton: automaton.ok()?, signs })
});

/// Bytes of a name that are looked at: longer ones are told by their end.
const NAME: usize = 64;

/// Tells `found` every place that is a secret by its shape, its name or its place. See [`Words`].
pub(super) fn scan(text: &[u8], words: Words, found: &mut impl FnMut(Range<usize>, &'static str)) {
    let Some(search) = &*SEARCH else { return found(0..text.len(), "unsearched") };
    runs::looked_at(text.len());
    let mut look: Option<Look<'_>> = None;
    let (mut at, mut in_key) = (0, 0);
    let searched = if search.begins.has_any(text) { text } else { &[] };
    for hit in search.automaton.find_iter(searched) {
        let Some(&sign) = search.signs.get(hit.pattern().as_usize()) else { continue };
        // What is marked already says nothing more; but of a key that a name has only the beginning is its value. What is
        // in a key was read with it: one that begins there is not read to its end again.
        let is_key = matches!(sign, Sign::PrivateKey);
        if if is_key { hit.end() <= in_key } else { hit.start() < at } {
            continue;
        }
        let look = look.get_or_insert_with(|| Look::new(text, words));
        if let Some((range, kind)) = look.at(hit.range(), sign) {
            at = at.max(range.end);
            if is_key {
                in_key = range.end;
            }
            found(range, kind);
        }
    }
    // Options have names that are among the signs, or belong to tools, which are no signs.
    if words.is_line() && (look.is_some() || text.contains(&b'-')) {
        by_word(text, words, found);
    }
}

/// A closer look at a text, from its beginning to its end.
struct Look<'a> {
    text: &'a [u8],
    words: Words,
    runs: Runs,
    quotes: Quotes,
}

/// Which quote of a shell is open.
#[derive(Default)]
struct Quotes {
    at: usize,
    open: Option<u8>,
}

impl Quotes {
    /// Before the byte at `to`, which only ever grows.
    fn before(&mut self, text: &[u8], to: usize) -> Option<u8> {
        while self.at < to {
            runs::looked_at(1);
            let b = text.get(self.at).copied();
            match (self.open, b) {
                (Some(b'\''), Some(b'\'')) | (Some(b'"'), Some(b'"')) => self.open = None,
                (Some(b'\''), _) => {}
                (_, Some(b'\\')) => self.at += 1,
                (None, Some(b'"' | b'\'')) => self.open = b,
                _ => {}
            }
            self.at += 1;
        }
        self.open
    }
}

impl<'a> Look<'a> {
    fn new(text: &'a [u8], words: Words) -> Self {
        Self { text, words, runs: Runs::default(), quotes: Quotes::default() }
    }

    fn at(&mut self, hit: Range<usize>, sign: Sign) -> Option<(Range<usize>, &'static str)> {
        let text = self.text;
        let (range, kind) = match sign {
            Sign::Shape(shape) => {
                // The beginning of an address says where; what follows is the secret.
                let is_place = shape.begin.ends_with('/') || shape.begin.ends_with('=');
                let from = if is_place { hit.end } else { hit.start };
                let to = shape.end(text, hit, &mut self.runs)?;
                return Some((from..to, shape.kind));
            }
            Sign::WebToken => {
                let is_exact = &text[hit.clone()] == b"eyJ";
                let to = web_token(text, hit.start, &mut self.runs).filter(|_| is_exact)?;
                return Some((hit.start..to, "jwt"));
            }
            Sign::PrivateKey => {
                let to = private_key(text, hit.start, self.words == Words::Json)?;
                return Some((hit.start..to, "private-key"));
            }
            Sign::Bearer => {
                let is_of = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
                let rest = text.get(hit.end..)?;
                let length = span(rest, is_of);
                let has_digit = rest[..length].iter().any(u8::is_ascii_digit);
                let is_one = length >= 12 && has_digit;
                return is_one.then_some((hit.end..hit.end + length, "token"));
            }
            Sign::Name(name) => (self.value(hit, name)?, name.kind),
            Sign::Header => (self.header(hit)?, "header"),
            Sign::Url => (self.password(hit)?, "password"),
        };
        let range = if self.words == Words::Shell { cut(text, range) } else { range };
        (!range.is_empty()).then_some((range, kind))
    }

    /// The value of the name that ends with the word at `hit`.
    fn value(&mut self, hit: Range<usize>, name: &Name) -> Option<Range<usize>> {
        let text = self.text;
        let Range { start, end } = hit;
        let least = start.saturating_sub(NAME);
        let of_name = |b: &u8| b.is_ascii_alphanumeric() || b"_-.".contains(b);
        runs::looked_at(start - least);
        let begin = text[least..start].iter().rposition(|b| !of_name(b));
        let begin = begin.map_or(least, |before| least + before + 1);
        if !name.fits(&text[begin..end], start - begin) {
            return None;
        }
        let mut at = end + span(&text[end..], |b| b.is_ascii_digit());
        // `"password": "x"`, also where the quotes of JSON are escaped.
        let quoted = skip(text, &mut at, b"\\\"'");
        skip(text, &mut at, b" ");
        let sign = *text.get(at)?;
        at += 1;
        let spaces = skip(text, &mut at, b" ");
        match sign {
            b'=' if spaces == 0 || quoted > 0 => {}
            b':' if quoted > 0 || spaces > 0 => {}
            _ => return None,
        }
        // All that stands behind `--name=` or `NAME=` in an argument of its own is the value.
        let is_whole = self.words == Words::One
            && sign == b'='
            && self.runs.until(text, 0, runs::NOT_NAME) >= start;
        let range = if is_whole { at..text.len() } else { self.value_at(at) };
        let (runs, value) = (&mut self.runs, text.get(range.clone())?);
        let is_one = name.holds(value, || {
            value.len() >= LEAST_RANDOM
                && runs.until(text, range.start, runs::NOT_RANDOM) >= range.end
                && runs.until(text, range.start, runs::DIGIT) < range.end
                && runs.until(text, range.start, runs::LETTER) < range.end
        });
        is_one.then_some(range)
    }

    /// The value that begins at `at`, its quotes left out.
    fn value_at(&mut self, mut at: usize) -> Range<usize> {
        const BARE: runs::Bytes = runs::SPACE
            | runs::OPERATOR
            | runs::BRACKET
            | runs::DOUBLE
            | runs::SINGLE
            | runs::BACKTICK
            | runs::BACKSLASH;
        let text = self.text;
        let is_shell = self.words == Words::Shell;
        let outer = if is_shell { self.quotes.before(text, at) } else { None };
        let escaped = skip(text, &mut at, b"\\");
        let quote = text.get(at).copied().filter(|&b| quote(b) != 0);
        // To a shell, what stands between backticks is no text.
        let quote = quote.filter(|&b| !(is_shell && b == b'`'));
        match quote {
            Some(_) if quote == outer && escaped == 0 => {
                // It ends what the name stands in, and the value goes on without.
                at += 1;
                at..self.runs.until(text, at, BARE)
            }
            Some(b) => {
                at += 1;
                let escape = if escaped > 0 { runs::BACKSLASH } else { 0 };
                let ends = quote_of(Some(b)) | quote_of(outer) | escape;
                at..self.runs.until(text, at, ends)
            }
            None => {
                at -= escaped;
                at..self.runs.until(text, at, BARE)
            }
        }
    }

    /// Whether a shell takes what stands at `at` for more than text.
    fn is_bare(&mut self, at: usize) -> bool {
        self.words == Words::Shell && self.quotes.before(self.text, at).is_none()
    }

    /// What a header says, its scheme left out.
    fn header(&mut self, hit: Range<usize>) -> Option<Range<usize>> {
        const SCHEMES: [&[u8]; 7] = [
            b"bearer",
            b"basic",
            b"token",
            b"digest",
            b"apikey",
            b"negotiate",
            b"aws4-hmac-sha256",
        ];
        const LONGEST: usize = 16;
        let text = self.text;
        let is_bare = self.is_bare(hit.start);
        let mut at = hit.end;
        skip(text, &mut at, b" ");
        let rest = text.get(at..)?;
        let word = span(&rest[..rest.len().min(LONGEST + 1)], |b| !b.is_ascii_whitespace());
        if rest.len() > word
            && SCHEMES.iter().any(|scheme| rest[..word].eq_ignore_ascii_case(scheme))
        {
            at += word;
            skip(text, &mut at, b" ");
        }
        if !is_worth(text.get(at..)?) {
            return None;
        }
        let ends = runs::DOUBLE | runs::SINGLE | runs::RETURN | runs::LINE_FEED | runs::BACKSLASH;
        let ends = if is_bare { ends | runs::OPERATOR } else { ends };
        Some(at..self.runs.until(text, at, ends))
    }

    /// The password of an address whose authority begins behind `hit`; or its user, where that is a token.
    fn password(&mut self, hit: Range<usize>) -> Option<Range<usize>> {
        let at = hit.end;
        let ends = runs::SPACE
            | runs::DOUBLE
            | runs::SINGLE
            | runs::BACKTICK
            | runs::BACKSLASH
            | runs::AUTHORITY;
        let ends = if self.is_bare(hit.start) { ends | runs::OPERATOR } else { ends };
        // The next address has a slash.
        let authority = &self.text[at..self.runs.until(self.text, at, ends)];
        runs::looked_at(authority.len());
        let user = &authority[..authority.iter().rposition(|&b| b == b'@')?];
        let range = match user.iter().position(|&b| b == b':') {
            // The colon of a mark has no password behind it.
            Some(colon) if user[..=colon].ends_with(super::MARK.as_bytes()) => return None,
            Some(colon) => at + colon + 1..at + user.len(),
            None if user.len() >= 20 && user.iter().any(u8::is_ascii_digit) => at..at + user.len(),
            None => return None,
        };
        is_worth(&self.text[range.clone()]).then_some(range)
    }
}

/// Whether it is neither nothing, nor what a shell puts in, nor marked.
fn is_worth(value: &[u8]) -> bool {
    value.first().is_some_and(|&b| b != b'$') && !value.starts_with(super::MARK.as_bytes())
}

fn quote(b: u8) -> runs::Bytes {
    match b {
        b'"' => runs::DOUBLE,
        b'\'' => runs::SINGLE,
        b'`' => runs::BACKTICK,
        _ => 0,
    }
}

fn quote_of(b: Option<u8>) -> runs::Bytes {
    b.map_or(0, quote)
}

/// As much of the place as holds nothing that a shell runs.
pub(super) fn cut(text: &[u8], range: Range<usize>) -> Range<usize> {
    let value = text.get(range.clone()).unwrap_or_default();
    let runs = |at: usize| value[at] == b'`' || value[at..].starts_with(b"$(");
    let length = (0..value.len()).find(|&at| runs(at)).unwrap_or(value.len());
    runs::looked_at(length);
    range.start..range.start + length
}

/// Moves `at` over any of `bytes`, and gives how many there were.
fn skip(text: &[u8], at: &mut usize, bytes: &[u8]) -> usize {
    let count = text.get(*at..).map_or(0, |rest| span(rest, |b| bytes.contains(&b)));
    *at += count;
    count
}

/// Looks at a line word by word, as far as spaces and quotes tell.
fn by_word(text: &[u8], words: Words, found: &mut impl FnMut(Range<usize>, &'static str)) {
    let is_shell = words == Words::Shell;
    let mut options = Options::default();
    let mut at = 0;
    loop {
        skip(text, &mut at, b" \t\r\n");
        let Some(&first) = text.get(at) else { return };
        if is_shell && first == b'\\' {
            // It is no quote, whatever follows.
            at += 2;
            continue;
        }
        let quote = Some(first).filter(|b| b"\"'".contains(b));
        let (from, to) = match quote {
            Some(quote) => (at + 1, end_of_quoted(text, at + 1, quote, is_shell)),
            None => {
                let ends = |b: u8| {
                    b.is_ascii_whitespace() || b"\"'\\;|&".contains(&b) || is_shell && b == b'`'
                };
                (at, at + span(&text[at..], |b| !ends(b)))
            }
        };
        runs::looked_at(to - from);
        if let Some((range, kind)) = options.next(&text[from..to]) {
            let range = from + range.start..from + range.end;
            let range = if is_shell { cut(text, range) } else { range };
            if !range.is_empty() {
                found(range, kind);
            }
        }
        // At least one byte, whatever it is.
        at = to.max(at) + usize::from(to == at || quote.is_some());
    }
}

/// Where the text ends that is in quotes from `from` on.
fn end_of_quoted(text: &[u8], from: usize, quote: u8, is_shell: bool) -> usize {
    let mut at = from;
    while let Some(&b) = text.get(at).filter(|&&b| b != quote) {
        // A shell takes what is escaped for itself, in double quotes.
        at += 1 + usize::from(is_shell && quote == b'"' && b == b'\\');
    }
    let end = at.min(text.len());
    runs::looked_at(end - from);
    end
}
