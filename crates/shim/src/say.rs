//! The one line that a shim may say, and the words for what went wrong.
//!
//! Text from elsewhere is made harmless for terminals here, whoever it comes from.

use alloc::string::String;
use alloc::vec::Vec;

use clawrden_protocol::error::ProtocolError;
use rustix::io::Errno;

use crate::sys::{fds, process};

/// Says one line on standard error.
pub(crate) fn line(text: &str) {
    let whole = line_of(text);
    let mut rest = &whole[..];
    while !rest.is_empty() {
        match rustix::io::write(fds::numbered(2), rest) {
            Ok(n) => rest = &rest[n..],
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Says one line and ends the program.
pub(crate) fn fail(code: u8, text: &str) -> ! {
    line(text);
    process::exit(code)
}

/// The line as it is written.
pub(crate) fn line_of(text: &str) -> Vec<u8> {
    let mut whole = String::with_capacity(text.len() + 16);
    whole.push_str("clawrden: ");
    whole.extend(text.trim_ascii_end().chars().map(harmless));
    whole.push('\n');
    whole.into_bytes()
}

/// Bytes as text: as they are where they are UTF-8, else with a question mark for each that is not ASCII. What the
/// standard library has for this is much larger.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match core::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|&b| if b.is_ascii() { char::from(b) } else { '?' }).collect(),
    }
}

/// Control characters, C0 and C1, and those that turn the direction of writing, as something that shows.
fn harmless(c: char) -> char {
    match c {
        '\n' | '\t' | '\r' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => '?',
        c if c.is_control() => '?',
        c => c,
    }
}

/// The kernel's words for an error.
pub(crate) fn words(error: Errno) -> String {
    let known = match error {
        Errno::PERM => "Operation not permitted",
        Errno::NOENT => "No such file or directory",
        Errno::ACCESS => "Permission denied",
        Errno::CONNREFUSED => "Connection refused",
        Errno::NOTDIR => "Not a directory",
        Errno::LOOP => "Too many levels of symbolic links",
        Errno::NAMETOOLONG => "File name too long",
        Errno::NOTSOCK => "Socket operation on non-socket",
        Errno::AFNOSUPPORT => "Address family not supported",
        Errno::MFILE => "Too many open files",
        Errno::NFILE => "Too many open files in system",
        Errno::NOMEM => "Cannot allocate memory",
        Errno::AGAIN => "Resource temporarily unavailable",
        Errno::NOEXEC => "Exec format error",
        Errno::TOOBIG => "Argument list too long",
        Errno::TXTBSY => "Text file busy",
        Errno::PIPE => "Broken pipe",
        Errno::CONNRESET => "Connection reset by peer",
        Errno::TOOMANYREFS => "Too many references",
        Errno::NOSYS => "Function not implemented",
        Errno::INVAL => "Invalid argument",
        Errno::IO => "Input/output error",
        other => return ["error ", &decimal(other.raw_os_error())].concat(),
    };
    known.into()
}

/// A number that is not negative, in decimal digits. With the standard formatting the shim would be half as big again.
pub(crate) fn decimal(n: i32) -> String {
    let mut digits = if n >= 10 { decimal(n / 10) } else { String::new() };
    digits.push(char::from_digit(n.unsigned_abs() % 10, 10).unwrap_or('0'));
    digits
}

/// The number that decimal digits, and nothing else, stand for.
pub(crate) fn number(digits: &[u8]) -> Option<i32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i32, |n, d| {
        let digit = d.checked_sub(b'0').filter(|&d| d < 10)?;
        n.checked_mul(10)?.checked_add(digit.into())
    })
}

/// What is wrong with a message, without its numbers.
pub(crate) fn problem(error: &ProtocolError) -> &'static str {
    match error {
        ProtocolError::RequestTooLong { .. } => "the command is too long for a request",
        ProtocolError::BadBody(problem) | ProtocolError::BadFrame { problem, .. } => problem,
        ProtocolError::UnknownAck(_) => "its first byte is no ack",
        ProtocolError::UnknownFrame(_) => "a frame of a type that is not accepted here",
        ProtocolError::FrameTooLong { .. } => "a frame whose length is over its limit",
        _ => "it is not of the protocol",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(line_of("a\x1b[2Jb\nc\u{9b}d\x7f\u{202e}e\n"), b"clawrden: a?[2Jb c?d??e\n");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        assert_eq!(line_of("déjà vu"), "clawrden: déjà vu\n".as_bytes());
    }

    #[test]
    fn bytes_that_are_no_text_show_what_of_them_is() {
        assert_eq!(shown("déjà".as_bytes()), "déjà");
        assert_eq!(shown(b"a\xffb"), "a?b");
    }

    #[test]
    fn numbers_and_their_digits_agree() {
        for n in [0, 9, 10, 255, 1_000_000, i32::MAX] {
            assert_eq!(decimal(n), n.to_string());
            assert_eq!(number(n.to_string().as_bytes()), Some(n));
        }
        for text in ["", "-1", "1x", "2147483648", " 1"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_error_without_words_has_its_number() {
        assert_eq!(words(Errno::NOENT), "No such file or directory");
        assert_eq!(words(Errno::XFULL), "error 54");
    }
}
