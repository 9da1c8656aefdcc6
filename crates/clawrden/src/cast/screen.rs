//! What a recording may do to the terminal of whoever looks at it: show text, move, clear and colour. What asks the
//! terminal something, names its window, fills its clipboard or changes its keys is left out: it was written by a
//! prisoner, and a terminal's answer would be typed into the shell behind.

use std::fmt::Write as _;

use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};

/// Final bytes of control sequences that only show something.
const HARMLESS: &str = "ABCDEFGHJKLMPXSfd`aemrsu@";

/// Private modes that only show something: wrapping, the cursor, the other screen.
const MODES: [u16; 7] = [6, 7, 12, 25, 47, 1047, 1049];

/// Puts back what a recording may have changed: colours, margins, the cursor, the screen.
pub(crate) const RESTORE: &str =
    "\u{1b}[?1049l\u{1b}[r\u{1b}[m\u{1b}(B\u{f}\u{1b}[?7h\u{1b}[?6l\u{1b}[?25h";

/// A terminal's bytes, made harmless as they come.
#[derive(Default)]
pub(crate) struct Screen {
    parser: Parser<DefaultCharAccumulator>,
    out: Shown,
}

#[derive(Default)]
struct Shown {
    text: String,
    /// Nothing but text and lines.
    is_plain: bool,
}

impl Screen {
    /// One that lets nothing but text through.
    pub(crate) fn plain() -> Self {
        Self { out: Shown { is_plain: true, ..Shown::default() }, ..Self::default() }
    }

    /// What of this may be shown.
    pub(crate) fn show(&mut self, text: &str) -> String {
        for byte in text.bytes() {
            self.parser.advance(&mut self.out, byte);
        }
        std::mem::take(&mut self.out.text)
    }
}

impl Perform for Shown {
    fn print(&mut self, c: char) {
        if !c.is_control() {
            self.text.push(c);
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' | b'\t' => self.text.push(char::from(byte)),
            b'\r' | 0x08 | 0x0b | 0x0c | 0x0e | 0x0f if !self.is_plain => {
                self.text.push(char::from(byte));
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if ignore || self.is_plain {
            return;
        }
        let first = params.iter().next().and_then(|param| param.first()).copied().unwrap_or(0);
        let is_let = match intermediates {
            [] => HARMLESS.contains(char::from(action)),
            b"?" => {
                let known =
                    params.iter().all(|param| matches!(param, [mode] if MODES.contains(mode)));
                (known && matches!(action, b'h' | b'l'))
                    || (first <= 2 && matches!(action, b'J' | b'K'))
            }
            _ => false,
        };
        if !is_let {
            return;
        }
        self.text.push_str("\u{1b}[");
        self.text.extend(intermediates.iter().map(|&byte| char::from(byte)));
        for (at, param) in params.iter().enumerate() {
            if at > 0 {
                self.text.push(';');
            }
            for (at, part) in param.iter().enumerate() {
                let colon = if at > 0 { ":" } else { "" };
                // It goes into memory.
                let _ = write!(self.text, "{colon}{part}");
            }
        }
        self.text.push(char::from(action));
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], ignore: bool, byte: u8) {
        if ignore || self.is_plain {
            return;
        }
        let is_let = match intermediates {
            [] => b"78DEHM".contains(&byte),
            b"(" | b")" => b"AB0".contains(&byte),
            _ => false,
        };
        if is_let {
            self.text.push('\u{1b}');
            self.text.extend(intermediates.iter().map(|&byte| char::from(byte)));
            self.text.push(char::from(byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Screen::default().show(text)
    }

    #[test]
    fn text_colours_and_moves_are_shown_as_they_are() {
        for text in [
            "gr\u{fc}n \u{1f600}\r\n\ttab",
            "\u{1b}[1;31mred\u{1b}[m",
            "\u{1b}[38:2:1:2:3mx",
            "\u{1b}[2J\u{1b}[10;20H\u{1b}[K",
            "\u{1b}[?1049h\u{1b}[?25l\u{1b}[5;10r\u{1b}7\u{1b}8\u{1b}M",
            "\u{1b}(0lqk\u{1b}(B",
        ] {
            let again = shown(text);
            // A parameter that is left out is zero.
            assert_eq!(again.replace("\u{1b}[0m", "\u{1b}[m").replace("[0K", "[K"), text);
        }
    }

    #[test]
    fn what_does_more_than_show_is_left_out() {
        for text in [
            "\u{1b}]52;c;ZXZpbA==\u{7}",
            "\u{1b}]0;title\u{1b}\\",
            "\u{1b}]8;;file:///etc/passwd\u{1b}\\",
            "\u{1b}[6n",
            "\u{1b}[c",
            "\u{1b}[>c",
            "\u{1b}[?1000h",
            "\u{1b}[?2004h",
            "\u{1b}[?25;1000h",
            "\u{1b}[21t",
            "\u{1b}[?1$p",
            "\u{1b}P+q544e\u{1b}\\",
            "\u{1b}_Gpayload\u{1b}\\",
            "\u{1b}c",
            "\u{1b}=",
            "\u{7}\u{5}\u{0}",
            "\u{9b}6n",
        ] {
            assert_eq!(shown(&format!("a{text}b")).replace("6n", ""), "ab", "{text:?}");
        }
    }

    #[test]
    fn a_sequence_that_comes_in_parts_is_one() {
        let mut screen = Screen::default();
        assert_eq!(screen.show("a\u{1b}[3"), "a");
        assert_eq!(screen.show("1mb\u{1b}]52;c;"), "\u{1b}[31mb");
        assert_eq!(screen.show("ZXZpbA==\u{7}c"), "c");
    }

    #[test]
    fn plain_text_has_no_sequences_at_all() {
        assert_eq!(Screen::plain().show("\u{1b}[31mred\u{1b}[m\r\n\u{1b}(0ok\u{8}"), "red\nok");
    }
}
