//! The same by the engine's exec API, where the warden stays with the tool: what the tool sees and gives is the same.

use sha2::{Digest, Sha256};

use super::Stage;
use crate::prison::IMAGES;
use crate::support::text;

fn same(cases: &[&str]) {
    for image in IMAGES {
        let stage = Stage::by_exec(image);
        for script in cases {
            stage.same(&[], script, b"");
        }
    }
}

#[test]
fn every_kind_of_end_is_told_as_it_was() {
    same(&[
        "for code in 0 1 2 42 75 124 125 126 127 128 137 255; do sh -c \"exit $code\"; echo $?; done",
        "for signal in TERM KILL SEGV HUP INT; do sh -c \"kill -$signal \\$\\$\"; echo $?; done 2>/dev/null",
        "env true && env false || echo neither",
    ]);
}

#[test]
fn words_and_environment_arrive_byte_by_byte() {
    same(&[
        "env printf '%s|' '' ' ' 'a b' -- \"'\\\"\\\\\" '\t' 'ünï' \"$(printf '\\377\\376\\200')\"",
        "export A='one\ntwo' EMPTY= BYTES=\"$(printf '\\377=\\376')\"; env -u PATH | grep -v ^_= | sort",
        "sh -c 'echo $0 $#' name 1 2 3",
    ]);
}

#[test]
fn directory_user_and_limits_are_the_callers() {
    same(&[
        "mkdir -p a/real; ln -sfn real a/link; cd a/link; env pwd; sh -c 'pwd -P'",
        "id; id -G",
        "umask 027; sh -c umask; ulimit -n 99; sh -c 'ulimit -n; ulimit -Hn'",
        "ulimit -c 0; ulimit -t 1000; sh -c 'ulimit -c; ulimit -t'",
    ]);
}

#[test]
fn streams_are_the_callers_own() {
    same(&[
        "sh -c 'echo out; echo err >&2; echo out' 2>&1",
        "yes | head -n 1",
        "echo a | cat | cat | tr a b",
        "printf 'no newline'; env printf 'nor here'",
        "printf 'a\\r\\nb' | cat; echo of a file > f; cat < f",
        "sh -c 'echo to three >&3' 3>&1; cat <&- 2>/dev/null; echo $?",
        "sh -c 'for n in 0 1 2; do [ -t $n ] && echo $n; done'; echo none",
    ]);
}

#[test]
fn what_is_large_arrives_whole_both_ways() {
    for image in IMAGES {
        let stage = Stage::by_exec(image);
        let mut seed = 88_172_645_463_325_252_u64;
        let input: Vec<u8> = std::iter::repeat_with(|| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_le_bytes()[3]
        })
        .take(8 << 20)
        .collect();
        let sum: String = Sha256::digest(&input).iter().map(|byte| format!("{byte:02x}")).collect();
        let output = stage.same(&[], "cat | sha256sum", &input);
        assert!(text(&output.stdout).starts_with(&sum), "{image}");
        let output = stage.same(&[], "cat", &input);
        assert!(output.stdout == input, "{image}");
    }
}
