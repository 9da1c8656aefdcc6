//! Bytes as the text that a recording needs, where a character may come in parts.

/// The bytes of a character that has not come whole yet: three at most.
#[derive(Debug, Default)]
pub(super) struct Text {
    tail: Vec<u8>,
}

impl Text {
    /// The text of these bytes, what is none replaced; the beginning of a character at their end is kept for later.
    pub(super) fn take(&mut self, bytes: &[u8]) -> String {
        let joined;
        let bytes = if self.tail.is_empty() {
            bytes
        } else {
            self.tail.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.tail);
            &joined
        };
        let mut out = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            out.push_str(chunk.valid());
            if chunk.invalid().is_empty() {
                continue;
            }
            if chunks.peek().is_none() && is_beginning(chunk.invalid()) {
                self.tail = chunk.invalid().to_vec();
            } else {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
        out
    }

    /// What nothing more comes for.
    pub(super) fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.tail)).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_come_whole_however_they_are_cut() {
        let all = "a\u{e9}\u{20ac}\u{1f600}z";
        for size in 1..5 {
            let mut text = Text::default();
            let got: String = all.as_bytes().chunks(size).map(|part| text.take(part)).collect();
            assert_eq!(got + &text.rest(), all, "in parts of {size}");
        }
    }

    #[test]
    fn what_is_no_text_is_replaced_and_never_kept() {
        let mut text = Text::default();
        assert_eq!(text.take(b"\xff\xfe"), "\u{fffd}\u{fffd}");
        assert_eq!(text.take(b"\xe2\x82"), "");
        assert_eq!(text.take(b"x"), "\u{fffd}x");
        assert_eq!(text.take(b"\xc3"), "");
        assert_eq!(text.rest(), "\u{fffd}");
    }
}
