//! What the corpus does not show: bounds, offsets, the working directory.

use super::super::{MAX_COMMANDS, MAX_DEPTH, MAX_LINE};
use super::{Dialect, bash, commands, parse};

#[test]
fn a_line_longer_than_an_argument_is_an_error() {
    assert!(parse(&vec![b'a'; MAX_LINE], Dialect::Bash).is_ok());
    assert_eq!(parse(&vec![b'a'; MAX_LINE + 1], Dialect::Bash).unwrap_err().at, MAX_LINE);
}

#[test]
fn a_nul_is_an_error_and_other_odd_bytes_are_kept() {
    assert_eq!(parse(b"ls\0-l", Dialect::Bash).unwrap_err().at, 2);
    let script = parse(b"l\x01s \xff\x7f\r", Dialect::Bash).unwrap();
    assert_eq!(script.commands[0].words[0].literal(), Some(&b"l\x01s"[..]));
    assert_eq!(script.commands[0].words[1].literal(), Some(&b"\xff\x7f\r"[..]));
}

#[test]
fn nesting_has_a_bound_and_it_is_an_error_beyond_it() {
    for (open, close) in [
        ("( ", ")"),
        ("$(", ")"),
        ("{ ", ";}"),
        ("${a:-", "}"),
        ("if ", "; then a; fi"),
        ("f() ", ""),
    ] {
        let nested = |depth: usize| format!("{}ls{}", open.repeat(depth), close.repeat(depth));
        assert!(bash(&nested(5)).is_ok(), "{}", nested(5));
        let error = bash(&nested(MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error.why, "the line is nested too deeply", "{open}");
    }
}

#[test]
fn backtracking_ends_long_before_it_is_exponential() {
    let line = format!("{}x{}", "$(( ".repeat(40), " ) )".repeat(40));
    assert!(bash(&line).is_err());
}

#[test]
fn the_number_of_commands_has_a_bound() {
    assert!(bash(&"a;".repeat(MAX_COMMANDS)).is_ok());
    assert!(bash(&"a;".repeat(MAX_COMMANDS + 1)).is_err());
}

#[test]
fn many_braces_make_a_word_that_is_not_known() {
    assert_eq!(commands(&bash(&format!("ls {}", "{a,b}".repeat(7))).unwrap()), ["ls …+"]);
    assert_eq!(commands(&bash(&format!("ls {}", "{".repeat(99))).unwrap()), ["ls …+"]);
    assert_eq!(bash(&format!("ls {}", "{a,b}".repeat(6))).unwrap().commands[0].words.len(), 65);
}

#[test]
fn an_error_says_where() {
    assert_eq!(bash("ls; echo 'a").unwrap_err().at, 11);
    assert_eq!(bash("ls )").unwrap_err().at, 3);
    assert_eq!(bash("echo `echo 'x`").unwrap_err().at, 13, "that of the end of what was read");
}

/// The names of the commands whose working directory is known.
fn placed(line: &str) -> String {
    let script = bash(line).unwrap();
    let known =
        script.commands.iter().filter(|simple| simple.cwd_is_known && !simple.words.is_empty());
    let name =
        |word: &super::Word| String::from_utf8_lossy(word.literal().unwrap_or(b"?")).into_owned();
    known.map(|simple| name(&simple.words[0])).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_working_directory_is_known_until_something_may_change_it() {
    assert_eq!(placed("a; cd /; b"), "a cd");
    assert_eq!(placed("a && pushd x && b"), "a pushd");
    assert_eq!(placed("command cd /; b"), "cd");
    assert_eq!(placed("(cd /); b"), "cd");
    assert_eq!(placed("a $(cd /; b); c"), "cd");
    assert_eq!(placed("$x; b"), "?");
    assert_eq!(placed("eval \"$x\"; b"), "eval");
    assert_eq!(placed("eval 'cd /'; b"), "cd");
    assert_eq!(placed(". ./x; b"), ".");
    assert_eq!(placed("a; b"), "a b");
}

#[test]
fn what_runs_again_or_later_has_the_directory_that_came_after_it() {
    assert_eq!(placed("a; while b; do c; cd ..; done"), "a");
    assert_eq!(placed("for i in 1 2; do c; cd ..; done"), "");
    assert_eq!(placed("f() { a; }; cd /; f; b"), "cd");
    assert_eq!(placed("trap 'a' EXIT; cd /"), "cd");
    assert_eq!(placed("f() { a; }; b; f"), "a b");
}
