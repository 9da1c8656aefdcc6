//! `clawrden run` against a control plane that says what a warden would: environment, coverage, exit codes, leftovers.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use common::Sandbox;

/// A jail with shims for two tools that every test may call; each shim says its name.
struct Jail {
    sandbox: Sandbox,
    bin: PathBuf,
}

const STATUS: &str = r#"{"version":"0.1.0","pid":1,"uid":0,"started_ms":0,"stopped":null,"jails":[],"pending":0,
    "running":0,"ledger":{"path":"/l","sequence":4,"error":null},"methods":{},"cautions":[]}"#;

impl Jail {
    fn new() -> Self {
        Self::with_bin("jails/default/bin")
    }

    fn with_bin(name: &str) -> Self {
        let sandbox = Sandbox::new();
        let bin = sandbox.path(name);
        for tool in ["git", "pip"] {
            sandbox.script(&bin.join(tool), "echo governed");
            // What lies elsewhere, and what profiles put in front.
            sandbox.script(&sandbox.path("other").join(tool), "echo free");
        }
        let answer = serde_json::json!({
            "id": "p1", "jail": "default", "socket": sandbox.path("warden.sock"), "bin": bin,
            "tools": ["git", "pip"], "ledger": "/ledger.jsonl", "policy": "developer.yaml (stock)",
        });
        sandbox.answer(&[
            ("GET /api/status", 200, STATUS.to_owned()),
            ("POST /api/prisoners", 200, answer.to_string()),
        ]);
        Self { sandbox, bin }
    }

    /// Startup files that put another folder first, as version managers do.
    fn with_hostile_profiles(self) -> Self {
        let line = format!("export PATH='{}':$PATH\n", self.sandbox.path("other").display());
        for name in [".profile", ".bashrc", ".zshenv", ".zshrc", ".zprofile"] {
            std::fs::write(self.sandbox.path(name), &line).unwrap();
        }
        self
    }

    fn run(&self, command: &[&str]) -> Output {
        self.run_with(&[], command)
    }

    fn run_with(&self, options: &[&str], command: &[&str]) -> Output {
        self.sandbox.clawrden().arg("run").args(options).arg("--").args(command).output().unwrap()
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

#[test]
fn the_command_finds_the_shims_first_and_knows_its_jail() {
    let jail = Jail::new();
    let output = jail.run(&["sh", "-c", "echo $PATH; echo $CLAWRDEN_SOCKET; git"]);
    let text = out(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("{}:/usr/bin:/bin", jail.bin.display()));
    assert_eq!(lines[1..], [jail.sandbox.path("warden.sock").to_str().unwrap(), "governed"]);
    let told = err(&output);
    for part in [
        "governed: 2 tools",
        "developer.yaml (stock)",
        "/ledger.jsonl",
        "approve ID",
        "accident only",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn the_command_itself_is_governed_when_it_is_a_tool() {
    assert_eq!(out(&Jail::new().run(&["git", "status"])), "governed\n");
}

#[test]
fn exit_codes_and_deaths_are_the_commands_own() {
    let jail = Jail::new();
    for code in [0, 1, 75, 126, 255] {
        assert_eq!(jail.run(&["sh", "-c", &format!("exit {code}")]).status.code(), Some(code));
    }
    for signal in [libc::SIGTERM, libc::SIGKILL, libc::SIGSEGV] {
        let status = jail.run(&["sh", "-c", &format!("kill -{signal} $$")]).status;
        assert_eq!(status.signal(), Some(signal));
    }
    assert_eq!(jail.run(&["no-such-command-anywhere"]).status.code(), Some(127));
    assert_eq!(jail.run(&["/etc/passwd"]).status.code(), Some(126));
}

#[test]
fn what_is_left_behind_is_ended_and_counted() {
    let jail = Jail::new();
    let file = jail.sandbox.path("pids");
    let script = format!(
        "setsid sleep 300 & echo $! > {f}; (trap '' TERM; sleep 301 & echo $! >> {f}; wait) & \
         while [ $(wc -l < {f}) -lt 2 ]; do sleep 0.01; done; exit 4",
        f = file.display()
    );
    let output = jail.run(&["sh", "-c", &script]);
    assert_eq!(output.status.code(), Some(4));
    assert!(err(&output).contains("3 processes were left behind"), "{}", err(&output));
    for pid in std::fs::read_to_string(&file).unwrap().lines() {
        let path = Path::new("/proc").join(pid);
        let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
        assert!(!path.exists(), "{pid} lives: {status}");
    }
}

#[test]
fn nothing_is_left_in_the_runtime_folder() {
    let jail = Jail::new();
    jail.run(&["true"]);
    let left = std::fs::read_dir(jail.sandbox.path("")).unwrap().flatten();
    let left = left.filter(|e| e.file_name().to_string_lossy().starts_with("clawrden-run-"));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_signal_that_somebody_sends_is_passed_on() {
    let jail = Jail::new();
    let script = "trap 'echo got it; exit 9' TERM; kill -TERM $PPID; sleep 20 & wait";
    let output = jail.run(&["sh", "-c", script]);
    assert_eq!((output.status.code(), out(&output)), (Some(9), "got it\n".to_owned()));
}

#[test]
fn an_ignored_signal_stays_ignored_and_none_is_blocked() {
    let jail = Jail::new();
    let script = format!(
        "trap '' HUP; exec {} --control {} run -q -- grep -E '^Sig(Blk|Ign)' /proc/self/status",
        assert_cmd::cargo::cargo_bin("clawrden").display(),
        jail.sandbox.control().display()
    );
    let mut command = Command::new("sh");
    jail.sandbox.environment(&mut command);
    let text = out(&command.args(["-c", &script]).output().unwrap());
    let mask = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    assert_eq!((mask("SigBlk"), mask("SigIgn") & 1), (0, 1), "{text}");
}

#[test]
fn shells_that_agents_start_stay_governed_whatever_profiles_say() {
    let jail = Jail::new().with_hostile_profiles();
    let mut shells = vec!["bash -c", "bash -lc", "sh -c", "zsh -c", "zsh -lc"];
    if is_root() {
        shells.extend(["sh -lc", "bash -ic", "env -i bash -lc", "env -i zsh -lc", "env -i sh -lc"]);
    }
    for shell in shells {
        if shell.contains("zsh") && !Path::new("/usr/bin/zsh").exists() {
            continue;
        }
        let mut words: Vec<&str> = shell.split(' ').collect();
        words.push("git; echo \"home ${HOME-unset}\"");
        let output = jail.run(&words);
        let home = jail.sandbox.path("").display().to_string();
        let home = home.trim_end_matches('/');
        let text = out(&output);
        assert!(text.starts_with("governed\n"), "{shell}: {text} {}", err(&output));
        let kept = text.contains(&format!("home {home}\n"));
        assert!(kept || shell.starts_with("env -i"), "{shell}: {text}");
    }
}

#[test]
fn what_startup_files_run_is_not_governed_and_leaves_our_variables_alone() {
    let jail = Jail::new();
    let found = jail.sandbox.path("found");
    // By a bash script too, as version managers do.
    let script = jail.sandbox.path("manager");
    std::fs::write(&script, format!("command -v git >> '{}'\n", found.display())).unwrap();
    let line = format!("command -v git >> '{}'\nbash '{}'\n", found.display(), script.display());
    for name in [".profile", ".bashrc", ".zshenv", ".zshrc"] {
        std::fs::write(jail.sandbox.path(name), &line).unwrap();
    }
    // Only as root do files of ours come before the user's in bash as well.
    let mut shells = vec!["zsh -ic"];
    if is_root() {
        shells.extend(["bash -lc", "bash -ic", "bash -ilc", "sh -lc", "env -i bash -lc"]);
    }
    for shell in shells {
        if shell.contains("zsh") && !Path::new("/usr/bin/zsh").exists() {
            continue;
        }
        std::fs::write(&found, "").unwrap();
        let mut words: Vec<&str> = shell.split(' ').collect();
        words.push(
            "git; echo $BASH_ENV; set | grep -c ^_clawrden_hidden; echo ${PROMPT_COMMAND-none}",
        );
        let output = out(&jail.run_with(&["-q"], &words));
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[0], "governed", "{shell}");
        assert!(lines[1].ends_with("/live/bash_env"), "{shell}: {output}");
        assert_eq!(lines[2..], ["0", "none"], "{shell}");
        // The probes read the files as well: what they found are tools in their twin's place or the system's.
        let text = std::fs::read_to_string(&found).unwrap();
        assert!(!text.is_empty() || shell.starts_with("env"), "{shell}");
        assert!(!text.contains(jail.bin.to_str().unwrap()), "{shell}: {text}");
    }
}

#[test]
fn gaps_are_told_with_what_would_help() {
    let jail = Jail::new().with_hostile_profiles();
    let told = err(&jail.run_with(&["--quiet"], &["true"]));
    assert!(told.contains("not governed in `sh -c in an activated venv`: pip;"), "{told}");
    assert_eq!(told.contains("`sh -lc`"), !is_root(), "{told}");
    assert!(!told.contains("governed: "), "{told}");
}

#[test]
fn reading_the_profile_by_hand_changes_no_home() {
    if !is_root() {
        return;
    }
    let jail = Jail::new();
    let home = jail.sandbox.path("").display().to_string();
    let home = home.trim_end_matches('/');
    let script = jail.sandbox.path("script");
    jail.sandbox.script(&script, ". /etc/profile\necho $HOME");
    for words in [
        &["sh", "-c", ". /etc/profile; echo $HOME"][..],
        &["bash", "-c", ". /etc/profile; echo $HOME"],
        &["sh", "-lc", ". /etc/profile; echo $HOME"],
        &["bash", "-lc", ". /etc/profile; echo $HOME"],
        &["bash", "--noprofile", "-lc", ". /etc/profile; echo $HOME"],
        &["bash", "--posix", "-lc", ". /etc/profile; echo $HOME"],
        &["bash", "-c", "f() { . /etc/profile; }; f; echo $HOME"],
        &["bash", "-lc", "f() { . /etc/bash.bashrc; }; f; echo $HOME"],
        &["bash", "-ic", ". /etc/bash.bashrc; echo $HOME"],
        &["bash", "--norc", "-ic", ". /etc/bash.bashrc; echo $HOME"],
        &["bash", "--rcfile", "/dev/null", "-ic", "echo $HOME"],
        &["bash", "--init-file", "/dev/null", "-ic", "echo $HOME"],
        &[script.to_str().unwrap()],
        &["bash", "-l", script.to_str().unwrap()],
    ] {
        assert_eq!(out(&jail.run(words)), format!("{home}\n"), "{words:?}");
    }
}

#[test]
fn an_environment_that_is_activated_in_a_running_shell_leaves_the_shims_first() {
    let jail = Jail::new();
    let activate = jail.sandbox.path("activate");
    let line = format!(
        "PATH='{}':$PATH; export PATH; hash -r 2> /dev/null",
        jail.sandbox.path("other").display()
    );
    std::fs::write(&activate, line).unwrap();
    for shell in ["bash", "zsh"] {
        if Path::new("/usr/bin").join(shell).exists() {
            let script = format!(". '{}'; git", activate.display());
            assert_eq!(out(&jail.run(&[shell, "-c", &script])), "governed\n", "{shell}");
        }
    }
}

#[test]
fn odd_characters_in_paths_are_only_characters() {
    let jail = Jail::with_bin("it's a $(touch x) `touch y` \"bin\"").with_hostile_profiles();
    for words in [
        &["bash", "-c", "git"][..],
        &["bash", "-lc", "git"],
        &["sh", "-c", "git"],
        &["zsh", "-lc", "git"],
    ] {
        if Path::new("/usr/bin").join(words[0]).exists() {
            let output = jail.run(words);
            assert_eq!(out(&output), "governed\n", "{words:?}: {}", err(&output));
        }
    }
}

#[test]
fn shims_that_cannot_stand_on_path_are_refused() {
    let jail = Jail::with_bin("a:b");
    let output = jail.run(&["true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("colon"), "{}", err(&output));
}

#[test]
fn the_warden_hears_of_the_command_and_of_what_shells_are_pointed_to() {
    let jail = Jail::new();
    let policy = jail.sandbox.path("p.yaml");
    std::fs::write(&policy, "default_action: ask\n").unwrap();
    let options = [
        "--jail",
        "j",
        "--policy",
        policy.to_str().unwrap(),
        "--tools",
        "git,pip",
        "--label",
        "a=b=c",
        "--unattended",
    ];
    jail.run_with(&options, &["true", "x y"]);
    let seen = jail.sandbox.seen.lock().unwrap();
    let (_, body) = seen.iter().find(|(asked, _)| asked == "POST /api/prisoners").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["jail"], "j");
    assert_eq!(body["policy"]["name"], policy.to_str().unwrap());
    assert_eq!(body["policy"]["text"], "default_action: ask\n");
    assert_eq!(body["tools"], serde_json::json!(["git", "pip"]));
    assert_eq!(body["command"], serde_json::json!(["true", "x y"]));
    assert_eq!(body["labels"]["a"], "b=c");
    assert_eq!(body["unattended"], true);
    use base64::Engine;
    let environment = base64::engine::general_purpose::STANDARD;
    let environment = environment.decode(body["environment"].as_str().unwrap()).unwrap();
    let environment = String::from_utf8(environment).unwrap();
    for name in ["BASH_ENV=", "ZDOTDIR=", "HOME="] {
        assert!(environment.split_terminator('\0').any(|entry| entry.starts_with(name)), "{name}");
    }
}

#[test]
fn a_run_inside_a_run_is_refused_with_a_sentence() {
    let sandbox = Sandbox::new();
    let refusal =
        r#"{"code":"forbidden","message":"a prisoner cannot use the control plane"}"#.to_owned();
    sandbox.answer(&[("GET /api/status", 403, refusal)]);
    let mut command = sandbox.clawrden();
    let output = command.args(["run", "--", "true"]).env("CLAWRDEN_SOCKET", "/s").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("governed already"), "{}", err(&output));
}

#[test]
fn the_list_of_tools_can_be_seen_without_a_warden() {
    let sandbox = Sandbox::new();
    sandbox.script(&sandbox.path("bin/kubectl"), "");
    let path = format!("{}:/usr/bin:/bin", sandbox.path("bin").display());
    let mut command = sandbox.clawrden();
    let output = command.args(["run", "--show-tools"]).env("PATH", &path).output().unwrap();
    let text = out(&output);
    assert!(text.lines().any(|l| l == "kubectl") && text.lines().any(|l| l == "rm"), "{text}");
    assert!(!text.lines().any(|l| l == "doctl"), "{text}");
    let output = command.arg("--json").output().unwrap();
    let list: Vec<String> = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(list, text.lines().collect::<Vec<_>>());
}

#[test]
fn a_warden_that_does_not_come_up_is_told_with_its_log() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("control.sock/in/the/way")).unwrap();
    let output = sandbox.clawrden().args(["run", "--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
}
