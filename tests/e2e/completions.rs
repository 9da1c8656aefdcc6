//! Completions, in the shells that load them.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::pty::Pty;
use crate::support::{clawrden, text};

/// What is typed, what completes it, and what the command line is then.
const TYPED: [(&str, &str, &str); 4] = [
    ("stat", "us", "status"),
    ("queue --wat", "ch", "queue --watch"),
    ("audit exp", "ort", "audit export"),
    ("audit export --format c", "sv", "audit export --format csv"),
];

/// The completions for a shell, in a file that has the name by which it looks for them.
fn completions(shell: &str, name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = clawrden().args(["completions", shell]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    fs::write(folder.path().join(name), made.stdout).unwrap();
    folder
}

/// Types each of [`TYPED`] at a shell's prompt and a tab behind it, and looks at the arguments that come of it.
fn complete(shell: &mut Command, folder: &TempDir, setup: &str) {
    shell.env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "dumb").env("HOME", folder.path());
    let mut pty = Pty::spawn(shell.current_dir(folder.path()));
    // What is completed is not run, but shown.
    pty.send(&format!("PS1='rea''dy> '; clawrden() {{ echo \"<$*>\"; }}; {setup}\n"));
    pty.expect("ready> ");
    for (typed, completed, whole) in TYPED {
        pty.send(&format!("clawrden {typed}\t"));
        pty.expect(typed);
        pty.expect(completed);
        pty.send("\n");
        pty.expect(&format!("<{whole}>"));
        pty.expect("ready> ");
    }
}

#[test]
fn bash_completes_verbs_flags_and_values() {
    let folder = completions("bash", "clawrden");
    let mut bash = Command::new("bash");
    complete(bash.args(["--norc", "--noprofile", "-i"]), &folder, ". ./clawrden");
}

#[test]
fn zsh_completes_verbs_flags_and_values() {
    let folder = completions("zsh", "_clawrden");
    let setup = "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D";
    complete(Command::new("zsh").args(["-f", "-i"]), &folder, setup);
}

#[test]
fn fish_completes_verbs_flags_and_values() {
    let need = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/need");
    let there = Command::new(need).arg("fish=fish").output().unwrap();
    if !there.status.success() {
        eprintln!("LEFT OUT: completions in fish: {}", text(&there.stderr));
        return;
    }
    let folder = completions("fish", "clawrden.fish");
    for (typed, _, whole) in TYPED {
        let script = format!("source clawrden.fish; complete -C 'clawrden {typed}'");
        let output = Command::new("fish")
            .args(["--no-config", "-c", &script])
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .output()
            .unwrap();
        let offered = text(&output.stdout);
        let wanted = whole.rsplit(' ').next().unwrap();
        let first = offered.lines().map(|line| line.split('\t').next().unwrap_or_default());
        assert_eq!(
            first.collect::<Vec<_>>(),
            [wanted],
            "{typed}: {offered}{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn there_are_completions_for_other_shells_as_well() {
    for shell in ["elvish", "powershell"] {
        let made = clawrden().args(["completions", shell]).output().unwrap();
        let script = text(&made.stdout);
        assert!(made.status.success() && script.contains("whoami"), "{shell}");
    }
    assert_eq!(clawrden().args(["completions", "csh"]).output().unwrap().status.code(), Some(2));
}
