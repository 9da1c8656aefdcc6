//! One pass over a text for whatever says that a secret is near, and a closer look where something does.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::Words;
use super::names::{HEADERS, NAMES, Name};
use super::options::Options;
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
    automaton.ok().map(|automaton| Search { automaton, signs })
});

/// Tells `found` every place that is a secret by its shape, its name or its place. See
/// [`Words`].
pub(super) fn scan(text: &[u8], words: Words, found: &mut impl FnMut(Range<usize>, &'static str)) {
    let Some(search) = &*SEARCH else { return found(0..text.len(), "unsearched") };
    let mut has_signs = false;
    let mut at = 0;
    for hit in search.automaton.find_iter(text) {
        has_signs = true;
        // What is marked already says nothing more.
        if hit.start() < at {
            continue;
        }
        let Some(&sign) = search.signs.get(hit.pattern().as_usize()) else { continue };
        if let Some((range, kind)) = look(text, hit.start(), hit.end(), sign, words != Words::One) {
            at = range.end;
            found(range, kind);
        }
    }
    // Options have names that are among the signs, or belong to tools, which are no signs.
    if words == Words::Line && (has_signs || text.contains(&b'-')) {
        by_word(text, found);
    }
}

fn look(
    text: &[u8],
    start: usize,
    end: usize,
    sign: Sign,
    is_line: bool,
) -> Option<(Range<usize>, &'static str)> {
    match sign {
        Sign::Shape(shape) => {
            // The beginning of an address says where; what follows is the secret.
            let from =
                if shape.begin.ends_with('/') || shape.begin.ends_with('=') { end } else { start };
            shape.end(text, start, end).map(|to| (from..to, shape.kind))
        }
        Sign::Name(name) => value(text, start, end, name, is_line).map(|range| (range, name.kind)),
        Sign::Header => header(text, end).map(|range| (range, "header")),
        Sign::Bearer => {
            let rest = text.get(end..)?;
            let is_of = |b: &&u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b);
            let length = rest.iter().take_while(is_of).count();
            let has_digit = rest[..length].iter().any(u8::is_ascii_digit);
            (length >= 12 && has_digit).then_some((end..end + length, "token"))
        }
        Sign::Url => password(text, end).map(|range| (range, "password")),
        Sign::WebToken => {
            let is_exact = &text[start..end] == b"eyJ";
            web_token(text, start).filter(|_| is_exact).map(|to| (start..to, "jwt"))
        }
        Sign::PrivateKey => private_key(text, start).map(|to| (start..to, "private-key")),
    }
}

/// The value of the name that ends with the word at `start..end`.
fn value(
    text: &[u8],
    start: usize,
    end: usize,
    name: &Name,
    is_line: bool,
) -> Option<Range<usize>> {
    let of_name = |b: &u8| b.is_ascii_alphanumeric() || b"_-.".contains(b);
    let begin = text[..start].iter().rposition(|b| !of_name(b)).map_or(0, |before| before + 1);
    if !name.fits(&text[begin..end], start - begin) {
        return None;
    }
    let mut at = end + text[end..].iter().take_while(|b| b.is_ascii_digit()).count();
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
    let is_whole = !is_line && sign == b'=' && text[..begin].iter().all(|&b| b == b'-');
    let from = at;
    let to = if is_whole { text.len() } else { value_end(text, &mut at) };
    let from = if is_whole { from } else { at };
    let range = from..to;
    name.holds(text.get(range.clone())?).then_some(range)
}

/// Where a value ends that begins at `at`, which is moved behind a quote.
fn value_end(text: &[u8], at: &mut usize) -> usize {
    let escaped = skip(text, at, b"\\");
    let quote = text.get(*at).copied().filter(|b| b"\"'`".contains(b));
    if quote.is_some() {
        *at += 1;
    } else {
        *at -= escaped;
    }
    let ends = |b: &u8| match quote {
        Some(quote) => *b == quote || *b == b'\\' && escaped > 0,
        None => b.is_ascii_whitespace() || b"&;,\"'`)}|<>\\".contains(b),
    };
    text[*at..].iter().position(ends).map_or(text.len(), |length| *at + length)
}

/// Moves `at` over any of `bytes`, and gives how many there were.
fn skip(text: &[u8], at: &mut usize, bytes: &[u8]) -> usize {
    let count =
        text.get(*at..).map_or(0, |rest| rest.iter().take_while(|b| bytes.contains(b)).count());
    *at += count;
    count
}

/// What a header says, its scheme left out.
fn header(text: &[u8], mut at: usize) -> Option<Range<usize>> {
    const SCHEMES: [&[u8]; 7] =
        [b"bearer", b"basic", b"token", b"digest", b"apikey", b"negotiate", b"aws4-hmac-sha256"];
    skip(text, &mut at, b" ");
    let rest = text.get(at..)?;
    let word = rest.iter().take_while(|b| !b.is_ascii_whitespace()).count();
    if rest.len() > word && SCHEMES.iter().any(|scheme| rest[..word].eq_ignore_ascii_case(scheme)) {
        at += word;
        skip(text, &mut at, b" ");
    }
    let ends = |b: &u8| b"\"'\r\n\\".contains(b);
    let to = text[at..].iter().position(ends).map_or(text.len(), |length| at + length);
    let value = &text[at..to];
    let is_worth =
        !value.is_empty() && value[0] != b'$' && !value.starts_with(super::MARK.as_bytes());
    is_worth.then_some(at..to)
}

/// The password of an address whose authority begins at `at`; or its user, where that is a token.
fn password(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let ends = |b: &u8| b.is_ascii_whitespace() || b"/?#\"'`\\<>".contains(b);
    let authority = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
    let user = &authority[..authority.iter().rposition(|&b| b == b'@')?];
    let range = match user.iter().position(|&b| b == b':') {
        Some(colon) => at + colon + 1..at + user.len(),
        None if user.len() >= 20 && user.iter().any(u8::is_ascii_digit) => at..at + user.len(),
        None => return None,
    };
    let value = &text[range.clone()];
    let is_worth =
        !value.is_empty() && value[0] != b'$' && !value.starts_with(super::MARK.as_bytes());
    is_worth.then_some(range)
}

/// Looks at a line word by word, as far as spaces and quotes tell.
fn by_word(text: &[u8], found: &mut impl FnMut(Range<usize>, &'static str)) {
    let mut options = Options::default();
    let mut at = 0;
    loop {
        skip(text, &mut at, b" \t\r\n");
        let Some(&first) = text.get(at) else { return };
        let quote = Some(first).filter(|b| b"\"'".contains(b));
        let (from, to) = match quote {
            Some(quote) => {
                let from = at + 1;
                let length = text[from..].iter().position(|&b| b == quote);
                (from, length.map_or(text.len(), |length| from + length))
            }
            None => {
                let ends = |b: &u8| b.is_ascii_whitespace() || b"\"'\\;|&".contains(b);
                let length = text[at..].iter().position(ends).unwrap_or(text.len() - at);
                (at, at + length)
            }
        };
        if let Some((range, kind)) = options.next(&text[from..to]) {
            found(from + range.start..from + range.end, kind);
        }
        // At least one byte, whatever it is.
        at = to.max(at) + usize::from(to == at || quote.is_some());
    }
}
