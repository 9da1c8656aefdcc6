//! The end of what a recorded command wrote, from its recording, as plain text.

/// Bytes of a recording's text that are looked at for its end.
const KEPT: usize = 16 * 1024;

/// Lines that are shown.
const LINES: usize = 20;

/// Characters that are shown.
const CHARACTERS: usize = 2_000;

/// Bytes of the longest line of a recording.
const MOST: usize = 1024 * 1024;

/// Reads a recording piece by piece.
#[derive(Debug, Default)]
pub struct TailReader {
    line: Vec<u8>,
    is_behind_header: bool,
    text: String,
    was_cut: bool,
}

impl TailReader {
    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            if self.line.len() + part.len() <= MOST {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.event(&line);
            }
        }
    }

    fn event(&mut self, line: &[u8]) {
        if !std::mem::replace(&mut self.is_behind_header, true) {
            return;
        }
        let Ok((_, kind, data)) = serde_json::from_slice::<(f64, String, String)>(line) else {
            return;
        };
        if kind != "o" {
            return;
        }
        self.text.push_str(&data);
        if self.text.len() > 2 * KEPT {
            let mut from = self.text.len() - KEPT;
            while !self.text.is_char_boundary(from) {
                from += 1;
            }
            self.text.drain(..from);
            self.was_cut = true;
        }
    }

    /// The last lines, without what steers a terminal; empty where nothing was written. `clean` takes out what nobody is to
    /// see, before any of it is cut.
    #[must_use]
    pub fn tail(&self, clean: impl FnOnce(String) -> String) -> String {
        let plain = clean(plain(&self.text));
        let lines: Vec<&str> = plain.trim_end().lines().collect();
        let from = lines.len().saturating_sub(LINES);
        let mut text = lines[from..].join("\n");
        let count = text.chars().count();
        let is_long = count > CHARACTERS;
        if is_long {
            text = text.chars().skip(count - CHARACTERS).collect();
        }
        if !text.is_empty() && (from > 0 || is_long || self.was_cut) {
            text.insert_str(0, "…\n");
        }
        text
    }
}

/// Text without escape sequences and control characters. A carriage return begins its line anew, as a terminal shows it.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut line_start = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut chars),
            '\n' => {
                out.push('\n');
                line_start = out.len();
            }
            '\r' if chars.peek().is_some_and(|next| *next != '\n') => out.truncate(line_start),
            '\t' => out.push(' '),
            c if clawrden_api::display::is_plain(c) => out.push(c),
            // Hidden, or turning the order around.
            _ => {}
        }
    }
    out
}

fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let mut last = ' ';
            for c in chars.by_ref() {
                if c == '\u{7}' || (last == '\u{1b}' && c == '\\') {
                    break;
                }
                last = c;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(events: &[(&str, &str)]) -> String {
        let mut cast = "{\"version\": 2}\n".to_owned();
        for (kind, data) in events {
            cast.push_str(&format!("{}\n", serde_json::json!([0.1, kind, data])));
        }
        let mut reader = TailReader::default();
        for piece in cast.as_bytes().chunks(7) {
            reader.take(piece);
        }
        reader.tail(|text| text)
    }

    #[test]
    fn the_end_is_shown_without_what_steers_a_terminal() {
        let text = tail(&[
            ("o", "\u{1b}[31mred\u{1b}[0m\r\n"),
            ("i", "secret"),
            ("e", ""),
            ("o", "10 %\r50 %\rdone\n\u{1b}]0;title\u{7}\u{202e}x\u{0}\n\n"),
        ]);
        assert_eq!(text, "red\ndone\nx");
        assert_eq!(tail(&[]), "");
    }

    #[test]
    fn a_long_output_is_cut_at_its_beginning_and_says_so() {
        let many: Vec<String> =
            (0..5_000).map(|n| format!("line {n} {}\n", "ä".repeat(9))).collect();
        let events: Vec<(&str, &str)> = many.iter().map(|line| ("o", &line[..])).collect();
        let text = tail(&events);
        assert!(text.starts_with("…\nline 4980 ") && text.contains("line 4999 "), "{text}");
        let text = tail(&[("o", &"y".repeat(100_000))]);
        assert_eq!(text.chars().count(), CHARACTERS + 2);
    }
}
