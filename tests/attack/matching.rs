//! Rules are matched against the argument vector: no way of writing a denied command gets it through, and nothing that
//! only looks like one is stopped. Over the real socket, with the real shim and tools that do nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{House, text};
use crate::write_tool;

const POLICY: &str = "
default_action: deny
rules:
  - {command: git, args: ['push --force', 'push --delete'], action: deny, reason: rewrites}
  - {command: rm, args: ['-rf /'], action: deny, reason: disaster}
  - {command: kubectl, args: ['delete', '--context=prod'], action: deny, reason: production}
  - {command: cargo, args: ['install *'], action: allow}
  - {command: [git, rm, kubectl], action: allow}
";

/// A house whose tools only say that they ran.
struct Stage {
    house: House,
    real: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let house = House::new(POLICY);
        let real = house.path("real");
        let names = ["git", "rm", "kubectl", "cargo"];
        for name in names {
            write_tool(&real, name, "#!/bin/sh\necho ran\n");
        }
        let made = house.cli(&[&["shims", house.bin().to_str().unwrap()][..], &names].concat());
        assert!(made.status.success(), "{}", text(&made.stderr));
        Self { house, real }
    }

    fn command<A: AsRef<OsStr>>(&self, argv: &[A]) -> Command {
        let mut command = self.house.shimmed(argv[0].as_ref().to_str().unwrap());
        // The harmless tools come first: were a rule got around, nothing would be deleted.
        let path = format!("{}:{}", self.house.bin().display(), self.real.display());
        command.args(&argv[1..]).env("PATH", path).stdin(Stdio::null());
        command
    }

    fn denied<A: AsRef<OsStr> + std::fmt::Debug>(&self, argv: &[A]) {
        let output = self.command(argv).output().unwrap();
        assert_eq!(output.status.code(), Some(126), "{argv:?} {}", text(&output.stdout));
        assert_eq!(text(&output.stdout), "", "{argv:?}");
    }

    fn runs<A: AsRef<OsStr> + std::fmt::Debug>(&self, argv: &[A]) {
        let output = self.command(argv).output().unwrap();
        assert_eq!(text(&output.stdout), "ran\n", "{argv:?} {}", text(&output.stderr));
    }
}

#[test]
fn a_forced_push_is_denied_however_it_is_written() {
    let stage = Stage::new();
    for argv in [
        &["git", "push", "--force"][..],
        &["git", "push", "-f"],
        &["git", "push", "-fu", "origin", "main"],
        &["git", "push", "-uf", "origin", "main"],
        &["git", "push", "--force=true"],
        &["git", "push", "--forc"],
        &["git", "push", "origin", "+main"],
        &["git", "push", "origin", "+refs/heads/main:refs/heads/main"],
        &["git", "push", "origin", ":main"],
        &["git", "push", "origin", "main", "--force"],
        &["git", "-C", "/x", "push", "--force"],
        &["git", "-c", "a.b=c", "--no-pager", "push", "-f"],
        &["git", "--git-dir=/x", "push", "-f"],
        &["git", "push", "--no-verify", "-f", "--", "origin"],
    ] {
        stage.denied(argv);
    }
}

#[test]
fn a_recursive_removal_of_the_root_is_denied_however_it_is_written() {
    let stage = Stage::new();
    for argv in [
        &["rm", "-rf", "/"][..],
        &["rm", "-fr", "/"],
        &["rm", "-r", "-f", "/"],
        &["rm", "--recursive", "--force", "/"],
        &["rm", "--recu", "--forc", "/"],
        &["rm", "-Rf", "//"],
        &["rm", "-rvf", "/."],
        &["rm", "-rf", "/usr/.."],
        &["rm", "-rf", "--", "/"],
        &["rm", "/", "-rf"],
        &["rm", "-rf", "x", "/"],
        &["rm", "-rf", "--no-preserve-root", "/"],
        &["rm", "-rf", "///"],
    ] {
        stage.denied(argv);
    }
}

#[test]
fn text_that_only_reads_like_a_denied_command_runs() {
    let stage = Stage::new();
    for argv in [
        &["git", "commit", "-m", "push --force"][..],
        &["git", "commit", "-m", "git push -f origin +main"],
        &["git", "commit", "--message=push --force"],
        &["git", "log", "--grep", "push --force"],
        &["git", "push", "origin", "main"],
        &["rm", "-rf", "./build"],
        &["rm", "-r", "/tmp/x"],
        &["rm", "--", "-rf", "x"],
    ] {
        stage.runs(argv);
    }
}

#[test]
fn the_words_of_a_vector_are_never_joined_or_split() {
    let stage = Stage::new();
    // One word with blanks is one operand or one subcommand that nobody has: no flag, and no allowed command.
    stage.runs(&["git", "push --force"]);
    stage.runs(&["rm", "-f", "-r /"]);
    stage.denied(&["cargo", "install x; rm -rf /"]);
    stage.denied(&["cargo", "install", "x", "y"]);
    stage.denied(&["cargo", "install", "--git", "x"]);
    stage.denied(&["cargo", "install", "x", ""]);
    stage.denied(&["cargo", "", "install", "x"]);
    stage.runs(&["cargo", "install", "a  b"]);
}

#[test]
fn flags_with_values_are_found_attached_or_not() {
    let stage = Stage::new();
    for argv in [
        &["kubectl", "--context=prod", "get", "pods"][..],
        &["kubectl", "--context", "prod", "get", "pods"],
        &["kubectl", "get", "pods", "--context=prod"],
        &["kubectl", "delete", "pod", "x"],
        &["kubectl", "-n", "x", "delete", "pod", "y"],
    ] {
        stage.denied(argv);
    }
    stage.runs(&["kubectl", "--context=dev", "get", "pods"]);
}

#[test]
fn look_alikes_are_not_what_they_look_like() {
    let stage = Stage::new();
    // Cyrillic letters, a full-width hyphen, a non-breaking space, an invisible joiner: no allow takes them.
    for argv in [
        &["cargo", "inst\u{430}ll", "x"][..],
        &["cargo", "install\u{a0}x"],
        &["cargo", "in\u{200d}stall", "x"],
        &["cargo", "\u{ff0d}install", "x"],
        &["cargo", "INSTALL", "x"],
    ] {
        stage.denied(argv);
    }
    let bin = stage.house.bin();
    std::os::unix::fs::symlink("git", bin.join("g\u{456}t")).unwrap();
    write_tool(&stage.real, "g\u{456}t", "#!/bin/sh\necho ran\n");
    stage.denied(&["g\u{456}t", "status"]);
}

#[test]
fn bytes_that_are_no_text_are_matched_as_bytes() {
    let stage = Stage::new();
    let odd = OsStr::from_bytes(b"inst\xffall");
    stage.denied(&[OsStr::new("cargo"), odd, OsStr::new("x")]);
    let flag = OsStr::from_bytes(b"--force\xff");
    stage.denied(&[OsStr::new("cargo"), OsStr::new("install"), flag]);
}

#[test]
fn another_name_for_the_shim_is_judged_by_that_name() {
    let stage = Stage::new();
    // A link of the prisoner's own to a governed tool's shim stands for the tool that it is called.
    std::os::unix::fs::symlink(stage.house.bin().join("git"), stage.house.path("rm")).unwrap();
    let mut command = Command::new(stage.house.path("rm"));
    stage.house.governed(command.args(["-rf", "/"]));
    command.env("PATH", format!("{}:{}", stage.house.bin().display(), stage.real.display()));
    assert_eq!(command.output().unwrap().status.code(), Some(126));
}

#[test]
fn what_a_caller_calls_itself_does_not_change_what_is_judged() {
    let stage = Stage::new();
    let mut command = stage.command(&["rm", "-rf", "/"]);
    std::os::unix::process::CommandExt::arg0(&mut command, "git");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stdout));
}
