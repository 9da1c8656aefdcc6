//! Standard input, output and error.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Output, Stdio};

use sha2::{Digest, Sha256};

use crate::{Stage, same};

const MIB: usize = 1024 * 1024;

/// Bytes that look random and are the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn fed(stage: &Stage, tool: &str, input: &[u8]) -> Output {
    let mut child = stage
        .tool(tool)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A reader that ends early is part of some cases.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[test]
fn stdin_from_a_pipe() {
    let output = same("pipe", |stage| fed(stage, "cat", b"one\r\ntwo without an end"));
    assert_eq!(output.stdout, b"one\r\ntwo without an end");
}

#[test]
fn stdin_from_a_file_keeps_its_position() {
    same("file", |stage| {
        let path = stage.house.path("input");
        fs::write(&path, "first\nsecond\nthird\n").unwrap();
        let mut file = File::open(&path).unwrap();
        let mut first = [0; 6];
        file.read_exact(&mut first).unwrap();
        stage.tool("cat").stdin(file).output().unwrap()
    });
}

#[test]
fn stdin_that_is_closed() {
    let output = same("closed stdin", |stage| {
        stage.script("{cat} <&- 2>/dev/null; echo $?; {python3} -c 'import os; print(os.path.exists(\"/proc/self/fd/0\"))' <&-", &["cat", "python3"]).output().unwrap()
    });
    assert_eq!(output.stdout, b"1\nFalse\n");
}

#[test]
fn stdout_and_stderr_that_are_closed() {
    same("closed outputs", |stage| {
        stage
            .script(
                "{echo} x >&- 2>&-; echo $?; {echo} y 2>&-; {ls} /nonexistent 2>&-; echo $?",
                &["echo", "ls"],
            )
            .output()
            .unwrap()
    });
}

#[test]
fn stdout_and_stderr_to_the_same_pipe_keep_their_order() {
    let output = same("one pipe", |stage| {
        let script =
            "{sh} -c 'for i in 1 2 3 4 5 6 7 8 9; do echo out$i; echo err$i >&2; done' 2>&1";
        stage.script(script, &["sh"]).output().unwrap()
    });
    assert!(output.stdout.starts_with(b"out1\nerr1\nout2\n"));
}

#[test]
fn sixty_four_mebibytes_of_noise_arrive_unharmed() {
    let input = noise(64 * MIB);
    let wanted = Sha256::digest(&input);
    let output = same("64 MiB", |stage| fed(stage, "cat", &input));
    assert_eq!(Sha256::digest(&output.stdout), wanted);
}

#[test]
fn a_line_of_three_mebibytes() {
    let line = vec![b'x'; 3 * MIB];
    let output = same("long line", |stage| fed(stage, "cat", &line));
    assert_eq!(output.stdout, line);
}

#[test]
fn a_reader_that_leaves_ends_the_writer_by_sigpipe() {
    let output = same("yes | head", |stage| {
        stage.script("{yes} | {head} -1; echo ${PIPESTATUS[*]}", &["yes", "head"]).output().unwrap()
    });
    assert_eq!(output.stdout, b"y\n141 0\n");
}

#[test]
fn output_is_unbuffered_between_tool_and_reader() {
    for stage in Stage::all() {
        let mut child = stage
            .tool("sh")
            .args(["-c", "echo first; read answer; echo got $answer"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut first = [0; 6];
        stdout.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"first\n", "{:?}", stage.way);
        child.stdin.take().unwrap().write_all(b"it\n").unwrap();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "got it\n");
        child.wait().unwrap();
    }
}
