//! The same for ghosts of the prisoner's own image: what of a tool's world holds there. What does not is told in
//! docs/containers.md.

use sha2::{Digest, Sha256};

use super::Stage;
use super::terminal::{
    echoes_once, has_its_size, on, sees_a_terminal, stops_and_goes_on, takes_control_c,
};
use crate::prison::IMAGES;
use crate::support::text;

fn same(cases: &[&str]) {
    for image in IMAGES {
        let stage = Stage::by_ghost(image);
        for script in cases {
            stage.same(&[], script, b"");
        }
    }
}

#[test]
fn every_kind_of_end_is_told_as_it_was() {
    same(&[
        "for code in 0 1 75 125 126 127 137 255; do sh -c \"exit $code\"; echo $?; done",
        "for signal in TERM KILL SEGV INT; do sh -c \"kill -$signal \\$\\$\"; echo $?; done 2>/dev/null",
    ]);
}

#[test]
fn words_directory_user_and_mask_arrive() {
    same(&[
        "env printf '%s|' '' ' ' 'a b' -- \"'\\\"\\\\\" '\t' 'ünï' \"$(printf '\\377\\376\\200')\"",
        "sh -c 'echo $0 $#' name 1 2 3",
        "mkdir -p a/real; ln -sfn real a/link; cd a/link; sh -c 'pwd -P'",
        "id -u; id -G",
        "umask 027; sh -c 'umask; echo x >made'; ls -n made | { read -r mode links uid gid rest; echo $mode $uid $gid; }",
    ]);
}

#[test]
fn streams_arrive_each_in_its_order() {
    same(&[
        "sh -c 'echo out; echo more' 2>&1; sh -c 'echo err >&2; echo more >&2'",
        "yes | head -n 1",
        "echo a | cat | cat | sed s/a/b/",
        "env printf 'nor here'; printf 'a\\r\\nb' | cat; echo of a file > f; cat < f",
        "cat </dev/null; sh -c 'for n in 0 1 2; do [ -t $n ] && echo $n; done'; echo none",
    ]);
}

#[test]
fn what_is_large_arrives_whole_both_ways() {
    let input: Vec<u8> =
        (0..2_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let sum: String = Sha256::digest(&input).iter().map(|byte| format!("{byte:02x}")).collect();
    for image in IMAGES {
        let stage = Stage::by_ghost(image);
        let output = stage.same(&[], "cat | sha256sum", &input);
        assert!(text(&output.stdout).starts_with(&sum), "{image}");
        assert!(stage.same(&[], "cat", &input).stdout == input, "{image}");
    }
}

#[test]
fn a_terminal_is_one_with_its_size_and_its_keys() {
    for image in IMAGES {
        let stage = Stage::by_ghost(image);
        on(&stage, sees_a_terminal);
        on(&stage, has_its_size);
        on(&stage, takes_control_c);
        on(&stage, echoes_once);
    }
}

#[test]
fn control_z_stops_and_fg_goes_on() {
    for image in IMAGES {
        on(&Stage::by_ghost(image), stops_and_goes_on);
    }
}
