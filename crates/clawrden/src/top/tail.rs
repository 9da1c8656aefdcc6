//! The last lines of what a command shows, as text that cannot act on a terminal. However much is written, and whatever,
//! so much is held and no more.

use std::collections::VecDeque;

use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};
use clawrden_api::display;

use crate::cast::reader::{Event, What};

/// Lines that are held.
pub(super) const LINES: usize = 2000;

/// Characters of a line. A longer one goes on in the next.
pub(super) const WIDTH: usize = 500;

/// Columns from one tab stop to the next.
const TAB: usize = 8;

/// The end of an output.
#[derive(Default)]
pub(super) struct Tail {
    parser: Parser<DefaultCharAccumulator>,
    page: Page,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("lines", &self.page.lines.len()).finish_non_exhaustive()
    }
}

/// Lines, and a place in them. A terminal's rows and columns are not known here: what moves up and down finds the lines
/// that a progress bar has written, and what is put at a place begins a line.
#[derive(Default)]
struct Page {
    lines: VecDeque<Vec<char>>,
    /// Lines that were let go.
    gone: u64,
    /// So many lines above the last.
    up: usize,
    /// The place in that line.
    at: usize,
}

impl Tail {
    /// Takes what happened.
    pub(super) fn take(&mut self, event: &Event) {
        match &event.what {
            What::Output(text) => self.feed(text),
            What::Marker(text) => self.say(text),
            What::Input(_) | What::Resize(..) => {}
        }
    }

    /// Says something of it, on a line of its own.
    pub(super) fn say(&mut self, text: &str) {
        // What the command has begun and not ended does not reach into it.
        self.parser = Parser::default();
        self.page.fresh();
        self.feed(&format!("[{text}]\n"));
    }

    fn feed(&mut self, text: &str) {
        for byte in text.bytes() {
            self.parser.advance(&mut self.page, byte);
        }
    }

    /// The number of its first line, counted from the beginning of all.
    pub(super) fn first(&self) -> u64 {
        self.page.gone
    }

    /// The number behind its last line.
    pub(super) fn end(&self) -> u64 {
        // The line that nothing was written to yet is none.
        let open = self.page.lines.back().is_some_and(Vec::is_empty);
        self.page.gone + (self.page.lines.len() - usize::from(open)) as u64
    }

    /// The line of this number.
    pub(super) fn line(&self, number: u64) -> Option<String> {
        let at = usize::try_from(number.checked_sub(self.page.gone)?).ok()?;
        Some(self.page.lines.get(at)?.iter().collect())
    }
}

impl Page {
    fn line(&mut self) -> &mut Vec<char> {
        if self.lines.is_empty() {
            self.lines.push_back(Vec::new());
        }
        let at = self.lines.len() - 1 - self.up;
        &mut self.lines[at]
    }

    fn put(&mut self, c: char) {
        if self.at >= WIDTH {
            self.next();
        }
        let at = self.at;
        let line = self.line();
        if line.len() < at {
            line.resize(at, ' ');
        }
        match line.get_mut(at) {
            Some(there) => *there = c,
            None => line.push(c),
        }
        self.at += 1;
    }

    /// Goes to the beginning of the next line.
    fn next(&mut self) {
        self.at = 0;
        if self.up > 0 {
            self.up -= 1;
            return;
        }
        // There is a line that this one follows.
        let _ = self.line();
        self.lines.push_back(Vec::new());
        while self.lines.len() > LINES {
            self.lines.pop_front();
            self.gone += 1;
        }
    }

    /// Goes to a line of its own, behind all.
    fn fresh(&mut self) {
        self.up = 0;
        if self.lines.back().is_some_and(|line| !line.is_empty()) {
            self.next();
        }
        self.at = 0;
    }

    fn go_up(&mut self, by: usize) {
        self.up = (self.up + by).min(self.lines.len().saturating_sub(1));
    }

    fn erase_line(&mut self, how: u16) {
        let at = self.at;
        let line = self.line();
        match how {
            0 => line.truncate(at),
            1 => line.iter_mut().take(at + 1).for_each(|c| *c = ' '),
            _ => line.clear(),
        }
    }
}

impl Perform for Page {
    fn print(&mut self, c: char) {
        // Joiners and selectors choose how the character before them looks, and are none to look at.
        if c.is_control() || c == '\u{200d}' || ('\u{fe00}'..='\u{fe0f}').contains(&c) {
            return;
        }
        if display::is_plain(c) {
            self.put(c);
        } else {
            display::text(c.encode_utf8(&mut [0; 4])).chars().for_each(|c| self.put(c));
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' | 0x0b | 0x0c => self.next(),
            b'\r' => self.at = 0,
            0x08 => self.at = self.at.saturating_sub(1),
            b'\t' => self.at = ((self.at / TAB + 1) * TAB).min(WIDTH),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if ignore || !intermediates.is_empty() {
            return;
        }
        let given = params.iter().next().and_then(|param| param.first()).copied().unwrap_or(0);
        let count = usize::from(given.max(1));
        match action {
            b'A' => self.go_up(count),
            b'B' => self.up = self.up.saturating_sub(count),
            b'C' => self.at = (self.at + count).min(WIDTH),
            b'D' => self.at = self.at.saturating_sub(count),
            b'E' => (self.up, self.at) = (self.up.saturating_sub(count), 0),
            b'F' => {
                self.go_up(count);
                self.at = 0;
            }
            b'G' | b'`' => self.at = (count - 1).min(WIDTH),
            b'H' | b'f' | b'd' => self.fresh(),
            b'K' => self.erase_line(given),
            b'J' if given == 0 => {
                self.erase_line(0);
                self.lines.truncate(self.lines.len() - self.up);
                self.up = 0;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> Event {
        Event { at: 0.0, what: What::Output(text.to_owned()), is_error: false }
    }

    fn lines(tail: &Tail) -> Vec<String> {
        (tail.first()..tail.end()).map(|number| tail.line(number).unwrap()).collect()
    }

    fn shown(text: &str) -> Vec<String> {
        let mut tail = Tail::default();
        tail.take(&output(text));
        lines(&tail)
    }

    #[test]
    fn lines_are_told_apart_as_pipes_and_terminals_do() {
        assert_eq!(shown("a\nb\r\n\r\nc"), ["a", "b", "", "c"]);
        assert_eq!(shown("a\tb\n"), ["a       b"]);
        assert_eq!(shown(""), Vec::<String>::new());
    }

    #[test]
    fn what_is_written_over_is_not_there_any_more() {
        assert_eq!(shown("10%\r20%\r100%\n"), ["100%"]);
        assert_eq!(shown("working...\r\u{1b}[Kdone\n"), ["done"]);
        assert_eq!(shown("abc\u{8}\u{8}\u{8}xy\n"), ["xyc"]);
        assert_eq!(
            shown("one 1\ntwo 1\n\u{1b}[2Aone 2\n\u{1b}[Ktwo 2\nend\n"),
            ["one 2", "two 2", "end"]
        );
        assert_eq!(shown("a\nb\nc\n\u{1b}[2A\u{1b}[Jx\n"), ["a", "x"]);
        assert_eq!(
            shown("\u{1b}[31mred\u{1b}[0m\n\u{1b}[5;5Hthere\u{1b}[7;1Hbelow"),
            ["red", "there", "below"]
        );
    }

    #[test]
    fn nothing_that_acts_on_a_terminal_is_left() {
        for text in [
            "\u{1b}]52;c;ZXZpbA==\u{7}",
            "\u{1b}]0;title\u{1b}\\",
            "\u{1b}]8;;file:///etc/passwd\u{1b}\\",
            "\u{1b}[6n\u{1b}[c\u{1b}[?1000h\u{1b}[21t",
            "\u{1b}P+q544e\u{1b}\\",
            "\u{1b}c\u{1b}=\u{7}\u{5}\u{0}\u{7f}",
        ] {
            assert_eq!(shown(&format!("a{text}b")), ["ab"], "{text:?}");
        }
        assert_eq!(shown("evil\u{202e}txt\u{200b}"), ["evil\\u202etxt\\u200b"]);
        assert_eq!(shown("C:\\new \u{26a0}\u{fe0f} gr\u{fc}n"), ["C:\\new \u{26a0} gr\u{fc}n"]);
        let all: String = (0..0x2_0000).filter_map(char::from_u32).collect();
        let left = shown(&all).concat();
        assert!(left.chars().all(display::is_plain));
    }

    #[test]
    fn however_much_is_written_so_much_is_held_and_no_more() {
        let mut tail = Tail::default();
        for number in 0..50_000 {
            tail.take(&output(&format!("line {number}\n")));
        }
        assert_eq!(tail.line(tail.end() - 1).unwrap(), "line 49999");
        assert_eq!(tail.end(), 50_000);
        assert!(tail.end() - tail.first() <= LINES as u64);
        assert_eq!(tail.line(tail.first() - 1), None);
        for _ in 0..20 {
            tail.take(&output(&"x".repeat(100_000)));
            tail.take(&output(&"\u{1b}[65535C\u{1b}[65535Ay\t\t\t\u{1b}[65535G".repeat(1000)));
        }
        assert!(tail.page.lines.len() <= LINES);
        assert!(tail.page.lines.iter().all(|line| line.capacity() <= 2 * WIDTH));
    }

    #[test]
    fn what_the_recording_says_itself_stands_on_a_line_of_its_own() {
        let mut tail = Tail::default();
        tail.take(&output("half"));
        tail.take(&Event {
            at: 0.0,
            what: What::Marker("the limit\u{1b}[2J".into()),
            is_error: false,
        });
        tail.take(&Event { at: 0.0, what: What::Input("typed".into()), is_error: false });
        assert_eq!(lines(&tail), ["half", "[the limit]"]);
    }
}
