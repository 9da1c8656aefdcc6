//! What a person sees on a terminal, and pictures of it that are kept as text.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use regex::{Captures, Regex};

use super::pty::Pty;
use super::{House, PATIENCE};

/// Set to `1`, the pictures that are kept are made anew instead of compared: look at the difference before it is kept.
const RENEW: &str = "CLAWRDEN_RENEW_SCREENS";

/// Where they are kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/e2e/screens");

/// A terminal, and its picture.
pub struct Screen {
    pub pty: Pty,
    parser: vt100::Parser,
    drawn: usize,
}

impl Screen {
    /// Runs `command` on a terminal of so many rows and columns.
    pub fn of(command: &mut Command, rows: u16, cols: u16) -> Self {
        let parser = vt100::Parser::new(size(rows), size(cols), 0);
        Self { pty: Pty::spawn_sized(command, rows, cols), parser, drawn: 0 }
    }

    /// The picture as far as it was read.
    pub fn picture(&mut self) -> &vt100::Screen {
        self.parser.process(&self.pty.shown[self.drawn..]);
        self.drawn = self.pty.shown.len();
        self.parser.screen()
    }

    /// Its rows, without the blanks at their ends.
    pub fn rows(&mut self) -> String {
        let picture = self.picture();
        let width = picture.size().1.get();
        let rows = picture.rows(0, width).map(|row| row.trim_end().to_owned());
        rows.collect::<Vec<_>>().join("\n")
    }

    /// Waits until the picture is as it is wanted.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) {
        let start = Instant::now();
        while !wanted(self.picture()) {
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain for {what}; shown:\n{}",
                self.rows()
            );
            self.pty.read_within(Duration::from_millis(50));
        }
    }

    /// Waits until it shows this.
    pub fn shows(&mut self, wanted: &str) {
        self.until(wanted, |picture| picture.contents().contains(wanted));
    }

    /// Waits until it shows this no longer.
    pub fn hides(&mut self, unwanted: &str) {
        self.until(&format!("{unwanted} to go"), |picture| !picture.contents().contains(unwanted));
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.pty.send(keys);
    }

    /// Gives the window another size.
    pub fn resize(&mut self, rows: u16, cols: u16) {
        // What was drawn for the old one has its place there.
        self.picture();
        self.parser.screen_mut().set_size(size(rows), size(cols));
        self.pty.resize(rows, cols);
    }

    /// Waits until the picture is the one that is kept by this name, or keeps it, when pictures are renewed.
    pub fn looks(&mut self, house: &House, name: &str) {
        let path = PathBuf::from(KEPT).join(format!("{name}.txt"));
        if std::env::var_os(RENEW).is_some_and(|value| value == "1") {
            while self.pty.read_within(Duration::from_millis(1500)) && !self.is_still() {}
            std::fs::create_dir_all(KEPT).unwrap();
            std::fs::write(&path, masked(house, &self.rows())).unwrap();
            return;
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let start = Instant::now();
        loop {
            let shown = masked(house, &self.rows());
            if shown == kept {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{} is kept ({RENEW}=1 makes it anew):\n{kept}\nbut this is shown:\n{shown}",
                path.display()
            );
            self.pty.read_within(Duration::from_millis(50));
        }
    }

    /// Whether nothing more comes for a while.
    fn is_still(&mut self) -> bool {
        !self.pty.read_within(Duration::from_millis(300))
    }

    /// The parameters of every sequence that sets how characters look.
    pub fn looks_set(&self) -> Vec<u16> {
        let text = String::from_utf8_lossy(&self.pty.shown);
        let found = regex(r"\x1b\[([0-9;:]*)m");
        let each = found.captures_iter(&text).flat_map(|found| {
            let all: Vec<u16> =
                found[1].split([';', ':']).map(|one| one.parse().unwrap_or(0)).collect();
            all
        });
        each.collect()
    }

    /// Whether any of them is a colour, be it the usual one.
    pub fn is_coloured(&self) -> bool {
        self.looks_set().iter().any(|set| matches!(set, 30..=49 | 90..=107))
    }
}

fn size(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

/// The rows with what differs from run to run and from machine to machine replaced: ids, times, sizes, users, places.
/// A column stays as wide as it is.
fn masked(house: &House, rows: &str) -> String {
    let mut text = rows.replace(house.dir.path().to_str().unwrap(), "/house");
    for (pattern, mask) in [
        (r"\b[0-9a-f]{64}\b", "SHA256"),
        (r"\b[0-9a-f]{32}\b", "ID"),
        (r"\b(approve|deny|stop|approved|denied|stopped|replay) [0-9a-f]{4,8}\b", "$1 ID"),
        (r"(?m)^(> |  )[0-9a-f]{4,6}\b( +)(just now|\d+ [smhd] ago)", "${1}ID     $3"),
        (r"(just now|\d+ [smhd] ago)( *)", "# ago"),
        (r"\b\d+(\.\d)? (ms|s|m|h)( \d+ [smh])?\b( *)", "# s"),
        (r"\b\d+ MB\b( *)", "# MB"),
        (r"\b(uid|pid) \d+", "$1 #"),
        (r"\d\d:\d\d:\d\d", "##:##:##"),
        (r"(by|answered by|caller)( +)[a-z][-a-z0-9_]* \(uid #\)", "$1${2}USER (uid #)"),
        (r"(?m)^( +runs  ).*$", "${1}FILE"),
    ] {
        text = regex(pattern)
            .replace_all(&text, |found: &Captures<'_>| {
                let mut new = String::new();
                found.expand(mask, &mut new);
                // Only what ends with blanks is a column.
                let width = if found[0].ends_with(' ') { found[0].chars().count() } else { 0 };
                format!("{new:<width$}")
            })
            .into_owned();
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}
