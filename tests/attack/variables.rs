//! Variables that make a tool run something else, given to an allowed tool in every way that there is: it is asked about.
//! The tools here only say that they ran.

use std::process::{Command, Stdio};

use crate::support::{House, text, until};
use crate::{nothing_started, write_tool};

const POLICY: &str = "
default_action: deny
rules:
  - {command: [cargo, diff, git, ls, make, node, perl, python3, ruby], action: allow}
";

const TOOLS: &[&str] =
    &["bash", "cargo", "diff", "env", "git", "ls", "make", "node", "perl", "python3", "ruby", "sh"];

/// A variable, what it is set to, and whom it leads astray.
const ASTRAY: &[(&str, &str, &str)] = &[
    ("PAGER", "/tmp/evil", "git log"),
    ("GIT_PAGER", "/tmp/evil", "git log"),
    ("GIT_SSH", "/tmp/evil", "git fetch"),
    ("GIT_SSH_COMMAND", "/tmp/evil", "git fetch"),
    ("GIT_CONFIG", "/tmp/evil", "git config --get x.y"),
    ("GIT_CONFIG_COUNT", "1", "git log"),
    ("GIT_CONFIG_KEY_0", "core.pager", "git log"),
    ("GIT_CONFIG_VALUE_0", "/tmp/evil", "git log"),
    ("GIT_CONFIG_PARAMETERS", "core.pager=/tmp/evil", "git log"),
    ("GIT_CONFIG_GLOBAL", "/tmp/evil", "git log"),
    ("GIT_CONFIG_SYSTEM", "/tmp/evil", "git log"),
    ("GIT_EXEC_PATH", "/tmp/evil", "git log"),
    ("GIT_EXTERNAL_DIFF", "/tmp/evil", "git diff"),
    ("NODE_OPTIONS", "--require=/tmp/evil.js", "node --version"),
    ("PYTHONSTARTUP", "/tmp/evil.py", "python3 --version"),
    ("PYTHONPATH", "/tmp/evil", "python3 --version"),
    ("PERL5OPT", "-M/tmp/evil", "perl --version"),
    ("PERL5LIB", "/tmp/evil", "perl --version"),
    ("RUBYOPT", "-r/tmp/evil", "ruby --version"),
    ("RUSTC_WRAPPER", "/tmp/evil", "cargo build"),
    ("MAKEFLAGS", "--eval=evil", "make x"),
    ("JAVA_TOOL_OPTIONS", "-javaagent:/tmp/evil", "make x"),
    ("DOCKER_HOST", "tcp://evil", "make x"),
    ("KUBECONFIG", "/tmp/evil", "make x"),
    ("AWS_ACCESS_KEY_ID", "evil", "make x"),
    ("PS4", "evil", "ls -l"),
    ("SHELLOPTS", "xtrace", "ls -l"),
    ("BASH_ENV", "/tmp/evil", "ls -l"),
    ("ENV", "/tmp/evil", "ls -l"),
    ("LD_PRELOAD", "/tmp/evil.so", "ls -l"),
    ("LD_LIBRARY_PATH", "/tmp/evil", "ls -l"),
    ("LD_AUDIT", "/tmp/evil.so", "ls -l"),
    ("IFS", "x", "ls -l"),
];

struct Stage {
    house: House,
    path: String,
}

impl Stage {
    fn new() -> Self {
        let house = House::new(POLICY);
        let real = house.path("real");
        for name in TOOLS {
            write_tool(&real, name, "#!/bin/echo ran\n");
        }
        let made = house.cli(&[&["shims", house.bin().to_str().unwrap()][..], TOOLS].concat());
        assert!(made.status.success(), "{}", text(&made.stderr));
        let path = format!("{}:{}", house.bin().display(), real.display());
        Self { house, path }
    }

    fn command(&self, argv: &[&str]) -> Command {
        let mut command = self.house.shimmed(argv[0]);
        command.args(&argv[1..]).env("PATH", &self.path).stdin(Stdio::null());
        for (name, ..) in ASTRAY {
            command.env_remove(name);
        }
        command
    }

    fn line(&self, line: &str) -> Command {
        self.command(&["bash", "-c", line])
    }

    fn runs(&self, mut command: Command) {
        let output = command.output().unwrap();
        let said = text(&output.stderr);
        assert!(text(&output.stdout).contains("ran"), "{command:?} {said}");
    }

    /// Each of them waits for a person, who says no, and none has run.
    fn all_are_asked(&self, commands: impl IntoIterator<Item = Command>) {
        self.none_is_let_through(commands, true);
    }

    /// Each of them is asked about, or denied at once.
    fn none_is_let_through(&self, commands: impl IntoIterator<Item = Command>, is_asked: bool) {
        let mut through = Vec::new();
        for mut command in commands {
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // One after another, so that whichever is let through is known.
            let waits = until("it to wait or to end", || {
                let waits = || self.house.json(&["queue", "--json"])["entries"][0].is_object();
                child.try_wait().unwrap().map(|_| false).or_else(|| waits().then_some(true))
            });
            if waits {
                let short = self.house.pending()["short"].as_str().unwrap().to_owned();
                assert!(self.house.cli(&["deny", &short]).status.success());
            }
            let status = child.wait().unwrap();
            if status.code() != Some(126) || (is_asked && !waits) {
                let argv: Vec<_> = command.get_args().collect();
                through.push(format!("{status}: {argv:?}"));
            }
        }
        assert!(through.is_empty(), "{through:#?}");
        nothing_started(&self.house);
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[test]
fn a_variable_that_the_prisoner_changed_is_asked_about_before_the_tool_runs() {
    let stage = Stage::new();
    let with = |name: &str, value: &str, line: &str| {
        let mut command = stage.command(&words(line));
        command.env(name, value);
        command
    };
    let mut all: Vec<Command> =
        ASTRAY.iter().map(|(name, value, line)| with(name, value, line)).collect();
    all.push(with("BASH_FUNC_ls%%", "() { evil; }", "ls -a"));
    all.push(with("ls", "() { evil; }", "ls -b"));
    // What a shell or a wrapper passes on is the tool's, too.
    for argv in
        [&["bash", "-c", "git diff"][..], &["env", "git", "diff"], &["sh", "-c", "ls; git diff"]]
    {
        let mut outer = stage.command(argv);
        outer.env("GIT_EXTERNAL_DIFF", "/tmp/evil");
        all.push(outer);
    }
    stage.all_are_asked(all);
    for (_, _, line) in ASTRAY {
        stage.runs(stage.command(&words(line)));
    }
}

/// The ways in which a shell's line gives `NAME` to a command. `CMD` is the command, `VALUE` what is set.
const WAYS: &[&str] = &[
    "NAME=VALUE CMD",
    "A=1 NAME=VALUE B=2 CMD",
    "NAME='VALUE' CMD",
    "NAME=$x CMD",
    "NAME=\"$(ls)\" CMD",
    "NAME+=VALUE CMD",
    "env NAME=VALUE CMD",
    "env -i NAME=VALUE CMD",
    "env -- NAME=VALUE CMD",
    "env A=1 env NAME=VALUE CMD",
    "env -S 'NAME=VALUE CMD'",
    "env \"NAME=$x\" CMD",
    "export NAME=VALUE; CMD",
    "export NAME=VALUE && CMD",
    "export NAME; NAME=VALUE; CMD",
    "NAME=VALUE; export NAME; CMD",
    "NAME=VALUE; CMD",
    "NAME=VALUE\nCMD",
    "export A=1 NAME=VALUE; CMD",
    "export 'NAME'=VALUE; CMD",
    "export \"NAME=VALUE\"; CMD",
    "declare -x NAME=VALUE; CMD",
    "typeset -gx NAME=VALUE; CMD",
    "readonly NAME=VALUE; CMD",
    "set -a; NAME=VALUE; CMD",
    "read NAME <<< VALUE; CMD",
    "export NAME; read -r NAME <<< VALUE; CMD",
    "printf -v NAME VALUE; CMD",
    "mapfile -t NAME <<< VALUE; CMD",
    "for NAME in VALUE; do CMD; done",
    ": ${NAME:=VALUE}; CMD",
    "(export NAME=VALUE; CMD)",
    "{ export NAME=VALUE; CMD; }",
    "if export NAME=VALUE; then CMD; fi",
    "export NAME=VALUE | true; CMD",
    "f() { export NAME=VALUE; }; f; CMD",
    "NAME=VALUE bash -c 'CMD'",
    "bash -c 'NAME=VALUE CMD'",
    "NAME=VALUE sh -c 'ls; CMD'",
    "NAME=VALUE eval CMD",
    "eval NAME=VALUE CMD",
    "NAME=VALUE command CMD",
    "NAME=VALUE exec CMD",
    "exec env NAME=VALUE CMD",
    "NAME=VALUE nice -n 1 CMD",
    "nice env NAME=VALUE CMD",
    "timeout 5 env NAME=VALUE CMD",
    "time NAME=VALUE CMD",
    "! NAME=VALUE CMD",
    "ls | NAME=VALUE CMD",
    "ls $(NAME=VALUE CMD)",
    "NAME=VALUE CMD &",
    ">/dev/null NAME=VALUE CMD",
    "xargs env NAME=VALUE CMD",
    "echo x | NAME=VALUE xargs CMD",
    "f() { CMD; }; export NAME=VALUE; f",
    "trap 'CMD' EXIT; export NAME=VALUE",
    "for x in 1 2; do CMD; export NAME=VALUE; done",
    "while CMD; do NAME=VALUE; done",
    "f() { for x in 1; do CMD; done; }; NAME=VALUE; f",
];

/// Ways that are not understood, or that name something else besides: they are denied here.
const DENIED_WAYS: &[&str] = &[
    "f() { CMD; }; NAME=VALUE f",
    "declare -n x=NAME; x=VALUE; CMD",
    "x=NAME; printf -v $x VALUE; CMD",
    "x=NAME; read -r -p 'a b' $x <<< VALUE; CMD",
    "env $x CMD",
    "export $x; CMD",
    "sudo NAME=VALUE CMD",
    ". /tmp/evil; CMD",
    "source /tmp/evil; CMD",
];

#[test]
fn a_variable_that_a_shells_line_sets_is_asked_about_before_anything_of_the_line_runs() {
    let stage = Stage::new();
    let written = |way: &str, (name, value, line): &(&str, &str, &str)| {
        let line = way.replace("VALUE", value).replace("NAME", name).replace("CMD", line);
        stage.line(&line)
    };
    let git = ("GIT_SSH_COMMAND", "/tmp/evil", "git fetch");
    let loader = ("LD_PRELOAD", "/tmp/evil.so", "ls -l");
    stage.all_are_asked(WAYS.iter().flat_map(|way| [written(way, &git), written(way, &loader)]));
    let denied = DENIED_WAYS.iter().flat_map(|way| [written(way, &git), written(way, &loader)]);
    stage.none_is_let_through(denied, false);
    let usual = ["NAME=VALUE CMD", "env NAME=VALUE CMD", "export NAME=VALUE; CMD"];
    // What a shell runs by itself is not understood where a line sets it.
    let (by_itself, others): (Vec<_>, Vec<_>) = ASTRAY.iter().partition(|astray| astray.0 == "PS4");
    stage.all_are_asked(usual.iter().flat_map(|way| others.iter().map(|it| written(way, it))));
    let by_itself = usual.iter().flat_map(|way| by_itself.iter().map(|it| written(way, it)));
    stage.none_is_let_through(by_itself, false);
    for (_, _, line) in ASTRAY {
        stage.runs(stage.line(line));
    }
    stage.runs(stage.line("FOO=1 git log; export BAR=2; env BAZ=3 ls -l"));
    stage.runs(stage.line("f() { git log; X=1; }; : ${Y:=2}; for x in 1; do f; Z=$x; done"));
}

#[test]
fn a_path_that_a_line_sets_makes_every_bare_name_somebodys_own() {
    let stage = Stage::new();
    let lines = [
        "PATH=/tmp/evil git log",
        "PATH=/tmp/evil:$PATH git log",
        "env PATH=/tmp/evil git log",
        "export PATH=/tmp/evil; git log",
        "PATH=/tmp/evil; git log",
        "PATH+=:/tmp/evil; git log",
        "hash -p /tmp/evil git; git log",
        "git() { /tmp/evil; }; git log",
        "function git { /tmp/evil; }; git log",
        "alias git=/tmp/evil; git log",
        "shopt -s expand_aliases\nalias git=/tmp/evil\ngit log",
        "ls() { /tmp/evil; }; export -f ls; bash -c 'ls -l'",
        "enable -f /tmp/evil.so ls; ls -l",
        "env 'BASH_FUNC_ls%%=() { evil; }' bash -c 'ls -l'",
        "env 'ls=() { evil; }' bash -c 'ls -l'",
        "unset PATH; git log",
        "f() { git log; }; PATH=/tmp/evil; f",
        ": ${PATH:=/tmp/evil}; git log",
    ];
    stage.none_is_let_through(lines.map(|line| stage.line(line)), false);
}

#[test]
fn a_tool_that_the_prisoners_own_path_has_runs_as_the_prisoner_and_never_by_the_warden() {
    let stage = Stage::new();
    let mine = stage.house.path("mine");
    write_tool(&mine, "git", "#!/bin/echo mine\n");
    let path = format!("{}:{}", mine.display(), stage.path);
    let mut git = stage.command(&["git", "log"]);
    let output = git.env("PATH", path).output().unwrap();
    assert!(text(&output.stdout).starts_with("mine"), "{output:?}");
    // An activated virtual environment is nothing else, so it is named in the record, and no more.
    let started = stage.house.event("started");
    assert_eq!(started["executor"], "mirror", "{started}");
}
