//! The answers of real shells: whatever one of them runs of a line that is understood is among what was found.
//! The only programs that the lines can run write down how they were called.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Dialect, Script, Simple, Word, parse};

/// How often it was given operands, its own name and they, each ended by a NUL. Half of them fail, for `&&` and `||`.
const RECORDER: &str = r#"#!/bin/sh
name=${0##*/}
printf '%s\0' "$#" "$name" "$@" >> "$RECORD"
case $name in a|c) exit 0;; *) exit 1;; esac
"#;

struct Recorded {
    folder: TempDir,
    runs: Cell<usize>,
}

impl Recorded {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join("tools");
        fs::create_dir(&tools).unwrap();
        for name in ["a", "b", "c", "d"] {
            fs::write(tools.join(name), RECORDER).unwrap();
            fs::set_permissions(tools.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        // What runs in the background is waited for.
        fs::write(folder.path().join("start"), "trap wait EXIT\n").unwrap();
        Self { folder, runs: Cell::new(0) }
    }

    /// What `shell` runs of the line.
    fn run(&self, shell: &str, line: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let path = |name: &str| self.folder.path().join(name);
        let place = path("place");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        // What is left of an earlier line must not be taken for this one's.
        self.runs.set(self.runs.get() + 1);
        let record = path(&format!("record-{}", self.runs.get()));
        fs::write(&record, "").unwrap();
        let line = std::ffi::OsStr::new(std::str::from_utf8(line).unwrap());
        Command::new(shell)
            .arg("-c")
            .arg(line)
            .current_dir(&place)
            .env_clear()
            .envs([
                ("PATH", path("tools")),
                ("BASH_ENV", path("start")),
                ("RECORD", record.clone()),
                ("HOME", path("home")),
            ])
            .env("FUNCNEST", "20")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let record = fs::read(record).unwrap();
        let mut strings = record.split(|byte| *byte == 0);
        let mut calls = Vec::new();
        while let Some(count) =
            strings.next().and_then(|text| std::str::from_utf8(text).ok()?.parse::<usize>().ok())
        {
            calls.push(strings.by_ref().take(count + 1).map(<[u8]>::to_vec).collect());
        }
        calls
    }
}

/// Whether `text` may be what the parts of a word become.
fn may_be(parts: &[Option<Vec<u8>>], text: &[u8]) -> bool {
    match parts.split_first() {
        None => text.is_empty(),
        Some((Some(known), rest)) => {
            text.strip_prefix(known.as_slice()).is_some_and(|text| may_be(rest, text))
        }
        Some((None, rest)) => (0..=text.len()).any(|at| may_be(rest, &text[at..])),
    }
}

/// Whether the words may become these.
fn fits(words: &[Word], argv: &[Vec<u8>]) -> bool {
    match words.split_first() {
        None => argv.is_empty(),
        Some((word, rest)) if word.may_be_many => {
            (0..=argv.len()).any(|at| fits(rest, &argv[at..]))
        }
        Some((word, rest)) => argv
            .split_first()
            .is_some_and(|(first, argv)| may_be(&word.parts, first) && fits(rest, argv)),
    }
}

fn missing(script: &Script, calls: &[Vec<Vec<u8>>]) -> Vec<String> {
    let found = |argv: &Vec<Vec<u8>>| {
        script.commands.iter().any(|simple: &Simple| fits(&simple.words, argv))
    };
    let text = |argv: &Vec<Vec<u8>>| {
        argv.iter().map(|word| format!("[{}]", word.escape_ascii())).collect::<String>()
    };
    calls.iter().filter(|argv| !found(argv)).map(text).collect()
}

/// Lines that are straight enough to be run.
const LINES: &str = include_str!("real.txt");

#[test]
fn what_bash_runs_of_the_lines_is_what_was_found() {
    let recorded = Recorded::new();
    let mut wrong = Vec::new();
    for line in LINES.lines().filter(|line| !line.is_empty()) {
        let line = line.replace('␤', "\n");
        let calls = recorded.run("/bin/bash", line.as_bytes());
        let script = parse(line.as_bytes(), Dialect::Bash)
            .unwrap_or_else(|error| panic!("{line:?}: {error:?}"));
        let missing = missing(&script, &calls);
        if calls.is_empty() || !missing.is_empty() {
            wrong.push(format!("{line:?} of {} calls: {}", calls.len(), missing.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn piece() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "a",
        "b ",
        "c x",
        " d ",
        "a 'y z' ",
        "; ",
        " && ",
        " || ",
        " | ",
        " & ",
        "\n",
        "(",
        ")",
        " $(",
        "$(",
        "`",
        "\\`",
        "\"",
        "'",
        "\\",
        "\\\n",
        "{ ",
        "; }",
        "{x,y}",
        "{",
        ",",
        "}",
        "${x",
        ":-",
        "$x",
        "#",
        " #",
        "$'",
        "\\x61",
        "!",
        " ! ",
        "[[ ",
        " ]]",
        "$((",
        "))",
        "((",
        "1",
        "+",
        "x=",
        "x+=",
        "x[",
        "]",
        "=",
        "x=(",
        " > f",
        "2>",
        "&>",
        " < f",
        "<<E\n",
        "<<-E\n",
        "<<'E'\n",
        "E\n",
        "\nE\n",
        "<<< ",
        "<(",
        ">(",
        "if ",
        "\nthen ",
        "else ",
        "\nfi",
        "for i in ",
        "\ndo ",
        "\ndone",
        "case a in ",
        "esac",
        ";; ",
        "a) ",
        "eval ",
        "command ",
        "exec ",
        "f() ",
        "f",
        "function f ",
        " time ",
        "~",
        "*",
        "[",
        "$",
        "\t",
        "set -- ",
        "trap ",
        " EXIT",
        "export ",
        "shopt -s extglob\n",
        "@(",
        "coproc ",
    ])
}

/// A line that the shell may run anything of, and what of it was not found.
fn soup_is_found(shell: &str, dialect: Dialect, pieces: &[&str]) -> Result<(), TestCaseError> {
    let line = pieces.concat();
    let Ok(script) = parse(line.as_bytes(), dialect) else { return Ok(()) };
    // A function that calls itself twice at once is nothing to run here.
    let defines = line.contains("f()") || line.contains("function f");
    let forks = ["&", "|", "`", "$(", "<(", ">(", "coproc"].iter().any(|text| line.contains(text));
    if !script.doubts.is_empty() || (defines && forks) {
        return Ok(());
    }
    thread_local! { static RECORDED: Recorded = Recorded::new(); }
    let calls = RECORDED.with(|recorded| recorded.run(shell, line.as_bytes()));
    let missing = missing(&script, &calls);
    prop_assert!(missing.is_empty(), "{line:?}: {missing:?}\n{script:?}");
    Ok(())
}

proptest! {
    #[test]
    fn what_bash_runs_is_found(pieces in proptest::collection::vec(piece(), 1..14)) {
        soup_is_found("/bin/bash", Dialect::Bash, &pieces)?;
    }

    #[test]
    fn what_sh_runs_is_found(pieces in proptest::collection::vec(piece(), 1..14)) {
        soup_is_found("/bin/sh", Dialect::Posix, &pieces)?;
    }

    #[test]
    fn what_zsh_runs_is_found_where_there_is_one(pieces in proptest::collection::vec(piece(), 1..14)) {
        if Path::new("/usr/bin/zsh").exists() {
            soup_is_found("/usr/bin/zsh", Dialect::Zsh, &pieces)?;
        }
    }
}
