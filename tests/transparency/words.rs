//! Arguments, environment and working directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::{Stage, Way, same};

const SHOW_ARGV: &str =
    "import os,sys; sys.stdout.buffer.write(b'|'.join(map(os.fsencode, sys.argv[1:])))";

#[test]
fn arguments_of_any_bytes() {
    let output = same("argv bytes", |stage| {
        stage
            .tool("python3")
            .args(["-c", SHOW_ARGV, "", " ", "a b", "--", "'\"\\", "\n\t\x1b", "ünï"])
            .arg(OsStr::from_bytes(b"\xff\xfe\x80"))
            .output()
            .unwrap()
    });
    assert!(output.stdout.ends_with(b"\xff\xfe\x80"), "{output:?}");
}

#[test]
fn an_argv_of_one_and_a_half_megabytes() {
    let output = same("large argv", |stage| {
        let args = (0..15).map(|n| OsString::from_vec(vec![b'a' + n; 100_000]));
        stage.tool("printf").arg("%s").args(args).output().unwrap()
    });
    assert_eq!(output.stdout.len(), 1_500_000);
}

#[test]
fn ten_thousand_environment_entries() {
    let output = same("large environment", |stage| {
        let mut command = stage.tool("env");
        for n in 0..10_000 {
            command.env(format!("VARIABLE_{n}"), format!("value {n}"));
        }
        let mut output = command.output().unwrap();
        let lines = output.stdout.split_inclusive(|&b| b == b'\n');
        let mut ours: Vec<&[u8]> = lines.filter(|line| line.starts_with(b"VARIABLE_")).collect();
        ours.sort();
        output.stdout = ours.concat();
        output
    });
    assert_eq!(output.stdout.split(|&b| b == b'\n').count(), 10_001);
}

#[test]
fn mirror_keeps_the_environment_byte_by_byte() {
    let show = |way: Way| {
        let stage = Stage::new(way);
        let mut command = stage.tool("env");
        command.env_clear().env("PATH", "/usr/bin:/bin").env("B", "2").env("A", "one\ntwo");
        command.env("BYTES", OsStr::from_bytes(b"\xff=\xfe")).env("EMPTY", "");
        if way == Way::Mirror {
            command.env("PATH", format!("{}:/usr/bin:/bin", stage.house.bin().display()));
            command.env("CLAWRDEN_SOCKET", stage.house.socket());
        }
        let mut lines: Vec<Vec<u8>> = command
            .output()
            .unwrap()
            .stdout
            .split(|&b| b == b'\n')
            .filter(|line| !line.starts_with(b"PATH=") && !line.starts_with(b"CLAWRDEN_SOCKET="))
            .map(<[u8]>::to_vec)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(show(Way::Mirror), show(Way::Native));
}

#[test]
fn argv_zero_is_the_callers_choice() {
    same("exec -a", |stage| {
        stage.script("exec -a other {sh} -c 'echo $0'", &["sh"]).output().unwrap()
    });
    let output = same("ps", |stage| {
        let show = "tr '\\0' ' ' < /proc/$$/cmdline";
        stage
            .script(
                &format!("exec -a chosen {{sh}} -c \"{}; :\"", show.replace('$', "\\$")),
                &["sh"],
            )
            .output()
            .unwrap()
    });
    assert!(output.stdout.starts_with(b"chosen "), "{output:?}");
}

#[test]
fn the_working_directory_is_the_callers_links_included() {
    same("cwd", |stage| {
        std::fs::create_dir_all(stage.house.path("real/inner")).unwrap();
        let _ = std::os::unix::fs::symlink("real/inner", stage.house.path("link"));
        let mut output = stage
            .script("cd link && {pwd} && {sh} -c 'pwd; pwd -P'", &["pwd", "sh"])
            .output()
            .unwrap();
        // Every house has its own folder.
        let own = stage.house.dir.path().display().to_string();
        output.stdout =
            String::from_utf8(output.stdout).unwrap().replace(&own, "HOUSE").into_bytes();
        output
    });
}

#[test]
fn a_deleted_working_directory() {
    same("deleted cwd", |stage| {
        let script = "mkdir gone && cd gone && rmdir ../gone && {sh} -c 'echo ran' 2>/dev/null; \
                      {readlink} /proc/self/cwd | grep -o '(deleted)'";
        stage.script(script, &["sh", "readlink"]).output().unwrap()
    });
}
