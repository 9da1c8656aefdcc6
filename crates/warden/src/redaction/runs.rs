//! How far bytes of one kind go on. What was found is remembered, so that a text is read once for each kind, however many
//! signs stand in it: who wrote it may have put them there to take our time.

/// What a byte is, or is not: one bit each.
pub(super) type Bytes = u32;

pub(super) const NOT_WORD: Bytes = 1;
pub(super) const NOT_DASHED: Bytes = 1 << 1;
pub(super) const NOT_BASE64: Bytes = 1 << 2;
pub(super) const NOT_CAPITAL: Bytes = 1 << 3;
pub(super) const NOT_HEX: Bytes = 1 << 4;
/// No byte of what looks like chance.
pub(super) const NOT_RANDOM: Bytes = 1 << 5;
/// No byte of a name that has a value.
pub(super) const NOT_NAME: Bytes = 1 << 6;
pub(super) const DIGIT: Bytes = 1 << 7;
pub(super) const LETTER: Bytes = 1 << 8;
pub(super) const SPACE: Bytes = 1 << 9;
pub(super) const LINE_FEED: Bytes = 1 << 10;
pub(super) const RETURN: Bytes = 1 << 11;
pub(super) const DOUBLE: Bytes = 1 << 12;
pub(super) const SINGLE: Bytes = 1 << 13;
pub(super) const BACKTICK: Bytes = 1 << 14;
pub(super) const BACKSLASH: Bytes = 1 << 15;
/// What ends a command of a shell: `;`, `|` and `&`.
pub(super) const OPERATOR: Bytes = 1 << 16;
/// What else ends a value without quotes.
pub(super) const BRACKET: Bytes = 1 << 17;
/// What else ends the authority of an address.
pub(super) const AUTHORITY: Bytes = 1 << 18;
/// `=` or `:`.
pub(super) const SIGN: Bytes = 1 << 19;
pub(super) const DOT: Bytes = 1 << 20;
pub(super) const DOLLAR: Bytes = 1 << 21;

/// No byte is one of these: they tell runs apart that are of the same bytes and looked for at different places.
pub(super) const SECOND: Bytes = 1 << 30;
pub(super) const THIRD: Bytes = 1 << 31;

static TABLE: [Bytes; 256] = table();

const fn table() -> [Bytes; 256] {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = of(b.to_le_bytes()[0]);
        b += 1;
    }
    table
}

const fn of(b: u8) -> Bytes {
    let word = b.is_ascii_alphanumeric();
    let dashed = word || b == b'_' || b == b'-';
    let base64 = dashed || matches!(b, b'+' | b'/' | b'=' | b'.');
    let mut bits = 0;
    let kinds = [
        (!word, NOT_WORD),
        (!dashed, NOT_DASHED),
        (!base64, NOT_BASE64),
        (!(b.is_ascii_uppercase() || b.is_ascii_digit()), NOT_CAPITAL),
        (!(b.is_ascii_digit() || matches!(b, b'a'..=b'f')), NOT_HEX),
        (!(base64 || b == b':' || b == b'%'), NOT_RANDOM),
        (!(dashed || b == b'.'), NOT_NAME),
        (b.is_ascii_digit(), DIGIT),
        (b.is_ascii_alphabetic(), LETTER),
        (b.is_ascii_whitespace(), SPACE),
        (b == b'\n', LINE_FEED),
        (b == b'\r', RETURN),
        (b == b'"', DOUBLE),
        (b == b'\'', SINGLE),
        (b == b'`', BACKTICK),
        (b == b'\\', BACKSLASH),
        (matches!(b, b';' | b'|' | b'&'), OPERATOR),
        (matches!(b, b',' | b')' | b'}' | b'<' | b'>'), BRACKET),
        (matches!(b, b'/' | b'?' | b'#' | b'<' | b'>'), AUTHORITY),
        (matches!(b, b'=' | b':'), SIGN),
        (b == b'.', DOT),
        (b == b'$', DOLLAR),
    ];
    let mut at = 0;
    while at < kinds.len() {
        if kinds[at].0 {
            bits |= kinds[at].1;
        }
        at += 1;
    }
    bits
}

/// All that any byte of `text` is, or is not.
pub(super) fn kinds(text: &[u8]) -> Bytes {
    looked_at(text.len());
    text.iter().fold(0, |kinds, &b| kinds | TABLE[usize::from(b)])
}

/// What is remembered of one text.
pub(super) struct Runs {
    known: [(Bytes, usize, usize); MOST],
    count: usize,
}

/// Kinds of runs that are remembered: all that are asked for.
const MOST: usize = 32;

impl Default for Runs {
    fn default() -> Self {
        Self { known: [(0, 0, 0); MOST], count: 0 }
    }
}

impl Runs {
    /// Where, from `from` on, the first byte of these kinds stands; the end of `text` where none does. Each byte is looked
    /// at once for each `kinds`, if `from` only ever grows.
    pub(super) fn until(&mut self, text: &[u8], from: usize, kinds: Bytes) -> usize {
        let place = self.known[..self.count].iter().position(|known| known.0 == kinds);
        if let Some(&(_, began, end)) = place.and_then(|place| self.known.get(place))
            && (began..=end).contains(&from)
        {
            return end;
        }
        let rest = text.get(from..).unwrap_or_default();
        let end = from + span(rest, |b| TABLE[usize::from(b)] & kinds == 0);
        match place.and_then(|place| self.known.get_mut(place)) {
            Some(known) => *known = (kinds, from, end),
            None => {
                if let Some(free) = self.known.get_mut(self.count) {
                    *free = (kinds, from, end);
                    self.count += 1;
                }
            }
        }
        end
    }
}

/// How many bytes of the beginning are `of` a kind.
pub(super) fn span(text: &[u8], of: impl Fn(u8) -> bool) -> usize {
    let length = text.iter().position(|&b| !of(b)).unwrap_or(text.len());
    looked_at(length + 1);
    length
}

/// Where `part` begins.
pub(super) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    let found = text.windows(part.len()).position(|window| window == part);
    looked_at(found.unwrap_or(text.len()) + part.len());
    found
}

#[cfg(test)]
thread_local! {
    /// Bytes that were looked at, on this thread.
    pub(super) static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// What the tests count of our work.
pub(super) fn looked_at(bytes: usize) {
    #[cfg(test)]
    LOOKED_AT.with(|all| all.set(all.get() + bytes));
    #[cfg(not(test))]
    let _ = bytes;
}
