//! How answers look: tables and colours for people, JSON for programs. Whatever came from a prisoner has passed
//! through `clawrden_api::display` before it gets here.

use std::io::{IsTerminal, Write};

use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// A colour with a meaning. Nothing is said by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Needs a look.
    Warn,
    /// Refused, stopped, broken.
    Bad,
    /// Less important.
    Quiet,
    /// A heading.
    Strong,
    /// As any other text.
    Plain,
}

/// Whether standard output takes colours: a terminal that has some, and nobody said `NO_COLOR`.
pub(crate) fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let term = std::env::var_os("TERM").unwrap_or_default();
    !refused && !is_monochrome(&term.to_string_lossy()) && std::io::stdout().is_terminal()
}

/// Whether terminals of this kind show no colours: `dumb`, DEC's own such as `vt100`, and what is called so.
fn is_monochrome(term: &str) -> bool {
    let is_of_dec =
        term.strip_prefix("vt").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    term == "dumb" || is_of_dec || term.ends_with("-mono") || term.ends_with("-m")
}

/// `text` in the tone, where colours are wanted.
pub(crate) fn paint(tone: Tone, text: &str) -> String {
    if !colours() || text.is_empty() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "31;1",
        Tone::Quiet => "2",
        Tone::Strong => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// An empty table with these headings, as wide as the terminal.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().map(|h| cell(Tone::Quiet, h)));
    table
}

/// A cell in a tone.
pub(crate) fn cell(tone: Tone, text: &str) -> Cell {
    let cell = Cell::new(text);
    if !colours() {
        return cell;
    }
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(comfy_table::Color::Green),
        Tone::Warn => cell.fg(comfy_table::Color::Yellow),
        Tone::Bad => cell.fg(comfy_table::Color::Red),
        Tone::Quiet => cell.fg(comfy_table::Color::DarkGrey),
        Tone::Strong => cell.add_attribute(comfy_table::Attribute::Bold),
    }
}

/// Prints a table without the blanks that fill its last column.
pub(crate) fn print_table(table: &Table) {
    for line in table.lines() {
        println!("{}", line.trim_end());
    }
}

/// Prints one JSON document, indented on a terminal and on one line otherwise.
///
/// # Errors
/// [`Failure::Refused`] when standard output cannot be written.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = if out.is_terminal() {
        serde_json::to_writer_pretty(&mut out, value)
    } else {
        serde_json::to_writer(&mut out, value)
    };
    written
        .map_err(std::io::Error::from)
        .and_then(|()| writeln!(out))
        .map_err(|e| Failure::Refused(format!("standard output cannot be written: {e}")))
}

/// Prints an answer: for programs as it is, for people as `show` tells it.
///
/// # Errors
/// As [`print_json`].
pub(crate) fn print_answer<T: Serialize>(
    answer: &T,
    json: bool,
    show: impl FnOnce(&T),
) -> Result<(), Failure> {
    if json {
        return print_json(answer);
    }
    show(answer);
    Ok(())
}

/// `1 request`, `2 requests`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_without_colours_are_known_by_name() {
        for term in ["dumb", "vt100", "vt220-w", "xterm-mono", "ansi-m"] {
            assert!(is_monochrome(term), "{term}");
        }
        for term in [
            "",
            "xterm",
            "xterm-256color",
            "screen.xterm",
            "tmux-256color",
            "linux",
            "vte-256color",
        ] {
            assert!(!is_monochrome(term), "{term}");
        }
    }
}
