//! An approval with what it starts is for what the kernel proves to lie below the approved command while that lives, and
//! for nothing that the policy denies.

mod outside;

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{House, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: git, action: ask}
  - {command: touch, args: denied, action: deny}
  - {command: touch, args: elsewhere, action: ask, executor: local}
  - {command: [touch, dd], action: ask}
";

/// A house with a `git` that runs each line of its input, and a `dd` that does nothing.
fn house(policy: &str) -> House {
    let mut house = House::new(policy);
    let tools = house.path("tools");
    std::fs::create_dir(&tools).unwrap();
    for (name, script) in [
        ("git", "#!/bin/sh\nwhile read -r line; do eval \"$line\"; done\n"),
        ("dd", "#!/bin/sh\nexit 0\n"),
    ] {
        let tool = tools.join(name);
        std::fs::write(&tool, script).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&tool, executable).unwrap();
    }
    // What is run locally has to lie on the PATH that the warden knows.
    house.crash();
    house.restart_with(&[("PATH", &path(&house))]);
    house
}

fn path(house: &House) -> String {
    let (bin, tools) = (house.bin(), house.path("tools"));
    format!("{}:{}:{}", bin.display(), tools.display(), std::env::var("PATH").unwrap())
}

fn governed(house: &House, tool: &str) -> Command {
    let mut command = house.shimmed(tool);
    command.env("PATH", path(house)).stderr(Stdio::null());
    command
}

fn approve(house: &House, words: &[&str]) {
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    let output = house.cli(&[&["approve", &short], words].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// A `git` that was approved with these words, and runs what it is told.
struct Git<'a>(&'a House, Child);

impl<'a> Git<'a> {
    fn start(house: &'a House, words: &[&str]) -> Self {
        let git = governed(house, "git").arg("work").stdin(Stdio::piped()).spawn().unwrap();
        approve(house, words);
        Self(house, git)
    }

    fn tell(&mut self, line: &str) {
        let stdin = self.1.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
    }

    /// The exit code of a line that nobody has to answer.
    fn code_of(&mut self, line: &str) -> i32 {
        self.tell(&format!("{line}; echo $? > code.part; mv code.part code"));
        let code = self.0.path("code");
        let told = until("a line to end", || std::fs::read_to_string(&code).ok());
        std::fs::remove_file(&code).unwrap();
        told.trim().parse().unwrap()
    }

    /// A person is asked about what this line starts, and says no.
    fn is_asked(&mut self, line: &str) {
        self.tell(&format!("{line}; echo $? > code.part; mv code.part code"));
        is_asked_and_denied(self.0);
        let code = self.0.path("code");
        let told = until("a line to end", || std::fs::read_to_string(&code).ok());
        std::fs::remove_file(&code).unwrap();
        assert_eq!(told.trim(), "126", "{line}");
    }

    fn end(mut self) {
        drop(self.1.stdin.take());
        self.1.wait().unwrap();
    }
}

fn is_asked_and_denied(house: &House) {
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    assert!(house.cli(&["deny", &short]).status.success());
}

fn used(house: &House) -> Vec<Value> {
    house.events("grant_used")
}

const ALL: &[&str] = &["--and-what-it-starts"];

#[test]
fn what_an_approved_command_starts_runs_with_it_and_nothing_else_does() {
    let house = house(POLICY);
    let mut git = Git::start(&house, ALL);
    assert_eq!(git.code_of("touch a"), 0);
    assert_eq!(git.code_of("/usr/bin/setsid -w touch b"), 0);
    assert_eq!(git.code_of("(:; (:; touch c; exit $?); exit $?)"), 0, "further below");
    assert!(house.path("a").exists() && house.path("b").exists() && house.path("c").exists());
    let approved = house.event("approved");
    assert_eq!(approved["and_what_it_starts"], true);
    let used = used(&house);
    assert_eq!(used.len(), 3);
    for record in &used {
        assert_eq!(record["entry"], approved["entry"]);
        assert_eq!(record["inherited_from"], approved["id"], "the answer that it inherits");
        assert_eq!(record["approver"], approved["approver"]);
    }
    assert_eq!(git.code_of("touch denied"), 126);
    git.is_asked("touch elsewhere");
    git.is_asked("dd of=/dev/sda");
    let mut outside = governed(&house, "touch").arg("d").spawn().unwrap();
    is_asked_and_denied(&house);
    assert_eq!(outside.wait().unwrap().code(), Some(126));
    git.end();
    assert_eq!(house.events("approval_returned").len(), 0);
    clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).unwrap();
}

#[test]
fn a_command_that_was_approved_alone_hands_nothing_down() {
    let house = house(POLICY);
    let mut git = Git::start(&house, &[]);
    git.is_asked("touch a");
    git.end();
}

const WAITS: &str = "while [ ! -e go ]; do /bin/sleep 0.02; done; touch late; echo $? > late.code";

/// Lets what waits for it go on: it is asked about.
fn is_late(house: &House) {
    std::fs::write(house.path("go"), "").unwrap();
    is_asked_and_denied(house);
    let code = || std::fs::read_to_string(house.path("late.code")).ok();
    let code = until("it to end", || code().filter(|code| code.ends_with('\n')));
    assert_eq!(code, "126\n");
    assert!(!house.path("late").exists());
}

#[test]
fn what_is_left_of_it_after_its_end_is_asked_about() {
    let house = house(POLICY);
    let mut git = Git::start(&house, ALL);
    git.tell(&format!("( {WAITS} ) &"));
    git.end();
    is_late(&house);
}

#[test]
fn what_has_left_its_tree_is_asked_about_while_it_lives() {
    let house = house(POLICY);
    let mut git = Git::start(&house, ALL);
    assert_eq!(git.code_of(&format!("( ( {WAITS} ) & )")), 0);
    is_late(&house);
    assert_eq!(git.code_of("touch a"), 0);
    git.end();
}

#[test]
fn below_a_runner_nothing_leaves_the_tree_and_the_next_command_of_the_runner_inherits_nothing() {
    let policy = POLICY.replacen("git, action: ask", "git, action: ask, executor: local", 1);
    let house = house(&policy);
    let with_socket = |line: &str| {
        let socket = house.socket();
        format!("export CLAWRDEN_SOCKET={}; {line}", socket.display())
    };
    let mut git = Git::start(&house, ALL);
    assert_eq!(git.code_of(&with_socket("touch a")), 0);
    assert_eq!(git.code_of("touch elsewhere"), 0, "where the command itself runs");
    git.tell(&with_socket(&format!("( ( {WAITS} ) & )")));
    assert_eq!(git.code_of("true"), 0);
    std::fs::write(house.path("go"), "").unwrap();
    let code = until("it to end", || {
        let code = std::fs::read_to_string(house.path("late.code")).ok();
        code.filter(|code| code.ends_with('\n'))
    });
    assert_eq!(code, "0\n", "its subreaper proves whose it is");
    git.end();
    let mut next = Git::start(&house, &[]);
    next.is_asked(&with_socket("touch b"));
    next.end();
}

#[test]
fn after_a_restart_of_the_warden_it_is_asked_again() {
    let mut house = house(POLICY);
    let mut git = Git::start(&house, &["--for", "1h", "--and-what-it-starts"]);
    assert_eq!(git.code_of(":"), 0);
    let Git(_, git) = git;
    house.crash();
    house.restart_with(&[("PATH", &path(&house))]);
    let mut git = Git(&house, git);
    git.is_asked("touch a");
    git.end();
    // The grant itself lasts, and what is started by it from here on hands it down.
    let git = governed(&house, "git").arg("work").stdin(Stdio::piped()).spawn().unwrap();
    let mut git = Git(&house, git);
    assert_eq!(git.code_of("touch a"), 0);
    let grants = house.json(&["grants", "--json"]);
    assert_eq!(grants["entries"][0]["and_what_it_starts"], true);
    let id = grants["entries"][0]["id"].as_str().unwrap();
    assert!(house.cli(&["grants", "revoke", id]).status.success());
    assert_eq!(git.code_of("touch a"), 125, "what was taken back starts nothing");
    git.end();
}

#[test]
fn the_kill_switch_and_a_stop_hold_against_it() {
    let house = house(POLICY);
    let mut git = Git::start(&house, ALL);
    assert_eq!(git.code_of("touch a"), 0);
    let ps = house.json(&["ps", "--json"]);
    let id = ps["entries"][0]["id"].as_str().unwrap();
    assert!(house.cli(&["stop", id]).status.success());
    git.1.wait().unwrap();
    assert_eq!(house.json(&["ps", "--json"])["entries"].as_array().unwrap().len(), 0);
}

#[test]
fn what_cannot_be_handed_down_is_refused_with_a_sentence() {
    let house = House::new("rules: [{command: [bash, xargs], action: ask}]");
    let mut bash = house.shimmed("bash");
    let mut bash = bash.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    let refused = house.cli(&["approve", &short, "--and-what-it-starts"]);
    assert!(text(&refused.stderr).contains("a shell"), "{}", text(&refused.stderr));
    assert!(house.cli(&["deny", &short]).status.success());
    bash.wait().unwrap();
}
