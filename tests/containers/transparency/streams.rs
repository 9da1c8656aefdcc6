//! Standard input, output, error and other descriptors.

use sha2::{Digest, Sha256};

use super::{Stage, same};
use crate::prison::IMAGES;

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

/// The checksum as `sha256sum` writes it.
fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn standard_input_arrives_with_every_byte_it_has() {
    let every: Vec<u8> = (0..=255).collect();
    for image in IMAGES {
        let stage = Stage::new(image);
        for input in [&b"one\r\ntwo without an end"[..], b"", &every] {
            assert_eq!(stage.same(&[], "cat", input).stdout, input, "{image}");
        }
    }
}

#[test]
fn sixty_four_mebibytes_arrive_unharmed() {
    let input = noise(64 * MIB);
    let wanted = sum(&input) + "  -\n";
    for image in IMAGES {
        let stage = Stage::new(image);
        let output = stage.same(&[], "cat | cat | sha256sum", &input);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted, "{image}");
    }
}

#[test]
fn sixty_four_mebibytes_leave_the_container_unharmed() {
    for image in IMAGES {
        let stage = Stage::new(image);
        stage.same(
            &[],
            "head -c 67108864 /dev/urandom >/tmp/noise; sha256sum /tmp/noise >/tmp/sum; true",
            b"",
        );
        let wanted = stage.same(&[], "cat /tmp/sum", b"").stdout;
        let output = stage.same(&[], "cat /tmp/noise", b"");
        let sum = sum(&output.stdout) + "  /tmp/noise\n";
        assert_eq!(sum.as_bytes(), wanted, "{image}");
    }
}

#[test]
fn files_pipes_and_what_is_closed() {
    same(&[
        ("printf 'a\\nb\\nc\\n' >f; { read -r x; echo $x; cat; } <f", Some("a\nb\nc\n")),
        ("cat <&- 2>/dev/null; echo $?", Some("1\n")),
        ("ls /nonexistent >&- 2>&-; echo $?", None),
        ("ls /nonexistent; echo $?", None),
        (
            "sh -c 'for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done' 2>&1",
            Some("out1\nerr1\nout2\nerr2\nout3\nerr3\nout4\nerr4\nout5\nerr5\n"),
        ),
        ("sh -c 'echo to the error >&2'", Some("")),
        ("echo kept >>log; sh -c 'echo more' >>log; cat log; rm log", Some("kept\nmore\n")),
        ("yes | head -n 1", Some("y\n")),
        ("(yes; echo $? >&2) | head -n 1; sleep 0.2", Some("y\n")),
        ("echo a | tee copy | wc -c; cat copy", Some("2\na\n")),
        ("dd if=/dev/zero bs=1000 count=3 2>/dev/null | wc -c", Some("3000\n")),
    ]);
}

#[test]
fn descriptors_beyond_the_three() {
    same(&[
        ("exec 7</etc/passwd; sh -c 'read -r x <&7; echo $x' ; read -r y <&7; echo $y", None),
        ("exec 5</dev/null 9>/tmp/nine; sh -c 'ls /proc/self/fd | head -n 5'", None),
        ("exec 9>/tmp/nine; sh -c 'echo through nine >&9'; cat /tmp/nine", Some("through nine\n")),
        // What comes by a fifo has no end but that of its writer.
        ("rm -f p; mkfifo p; (echo by a fifo >p &) ; cat p", Some("by a fifo\n")),
    ]);
}

#[test]
fn process_substitution() {
    for image in ["debian12", "debian13"] {
        let stage = Stage::new(image);
        let script = "exec bash -c 'cat <(echo one) <(echo two); echo in | tee >(cat >copy) >/dev/null; sleep 0.2; cat copy'";
        assert_eq!(stage.same(&[], script, b"").stdout, b"one\ntwo\nin\n", "{image}");
    }
}

#[test]
fn two_hundred_descriptors_and_more_than_can_ride_along() {
    for image in ["debian12", "debian13"] {
        let stage = Stage::new(image);
        let script = "exec bash -c 'ulimit -n 1024; for i in $(seq 10 409); do eval \"exec $i</dev/null\"; done; ls /proc/self/fd | grep -c \"^[0-9][0-9][0-9]$\"'";
        assert_eq!(stage.same(&[], script, b"").stdout, b"310\n", "{image}");
    }
}
