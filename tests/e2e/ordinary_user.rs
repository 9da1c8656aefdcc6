//! `clawrden run` by a user who is not root: it starts a warden of its own, in that user's places, and everything goes
//! through it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::other::{UID, is_root, places, set_user};
use crate::support::{clawrden, events, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: echo, action: allow}
  - {command: touch, action: ask, reason: 'it writes'}
  - {command: id, action: allow, executor: local}
";

/// A user with places of its own. Where the tests run as root, one that nobody has heard of.
struct Person {
    dir: TempDir,
    uid: u32,
}

impl Person {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
        let uid = if is_root() { UID } else { rustix::process::getuid().as_raw() };
        let person = Self { dir, uid };
        // Where the tests are built, another user may not look.
        fs::copy(clawrden().get_program(), person.path("cli")).unwrap();
        fs::write(person.path("policy.yaml"), POLICY).unwrap();
        for name in ["run", "state", "config"] {
            fs::create_dir(person.path(name)).unwrap();
            fs::set_permissions(person.path(name), fs::Permissions::from_mode(0o700)).unwrap();
        }
        for name in ["", "run", "state", "config"] {
            chown(person.path(name), Some(uid), None).unwrap();
        }
        person
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `clawrden`, by this user, with nothing said about sockets.
    fn cli(&self, args: &[&str]) -> Command {
        self.program(self.path("cli"), args)
    }

    /// Any program, by this user.
    fn program(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Command {
        let mut command = if is_root() {
            let [first, words @ ..] = set_user(UID);
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(args).envs(places(self.dir.path())).env_remove("CLAWRDEN_SOCKET");
        command.stdin(Stdio::null()).current_dir(self.dir.path());
        command
    }

    fn said(&self, args: &[&str]) -> Output {
        self.cli(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Option<Value> {
        serde_json::from_slice(&self.said(args).stdout).ok()
    }

    fn pending(&self) -> Value {
        until("a pending request", || {
            self.json(&["queue", "--json"])?["entries"].as_array()?.first().cloned()
        })
    }

    fn events(&self, event: &str) -> Vec<Value> {
        events(&self.path("state/clawrden/ledger.jsonl"), event)
    }
}

#[test]
fn a_user_runs_a_command_under_a_warden_of_their_own_and_answers_it_from_elsewhere() {
    let person = Person::new();
    let script = "env echo hello; env ls; echo ls-$?; env id -u; env touch made && env echo made; \
                  env touch never; echo never-$?; exit 7";
    let run =
        ["run", "--tools", "echo,ls,id,touch", "--policy", "policy.yaml", "--", "sh", "-c", script];
    let running = person.cli(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    // Asked, waited for as the prisoner does, and approved by another process of the same user.
    let entry = person.pending();
    let short = entry["short"].as_str().unwrap().to_owned();
    assert_eq!((&entry["caller"]["uid"], &entry["argv"][0]), (&person.uid.into(), &"touch".into()));
    let status = person.json(&["status", "--json"]).unwrap();
    assert_eq!((&status["pending"], &status["uid"]), (&1.into(), &person.uid.into()), "{status}");
    let jail =
        status["jails"].as_array().unwrap().iter().find(|jail| {
            jail["prisoners"].as_array().is_some_and(|prisoners| !prisoners.is_empty())
        });
    let jail = jail.unwrap()["name"].as_str().unwrap();
    let socket = person.path("run/clawrden/jails").join(jail).join("warden.sock");
    let waiting = person.cli(&["wait", &short]).env("CLAWRDEN_SOCKET", &socket).spawn().unwrap();
    assert!(!person.path("made").exists());
    let approved = person.said(&["approve", &short]);
    assert!(approved.status.success(), "{}", text(&approved.stderr));
    let waited = waiting.wait_with_output().unwrap();
    assert_eq!(waited.status.code(), Some(0), "{waited:?}");

    // The next one is refused with a reason, which the agent reads.
    let next = until("the next request", || {
        let next = person.pending();
        (next["argv"][1] == "never").then_some(next)
    });
    let denied = person.said(&["deny", next["short"].as_str().unwrap(), "--reason", "not today"]);
    assert!(denied.status.success(), "{}", text(&denied.stderr));

    let output = running.wait_with_output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(7), "{err}");
    assert_eq!(out, format!("hello\nls-126\n{}\nmade\nnever-126\n", person.uid), "{err}");
    assert!(err.contains("not today") && err.contains("denied"), "{err}");
    assert_eq!(fs::metadata(person.path("made")).unwrap().uid(), person.uid);
    assert!(!person.path("never").exists());

    // It ends with its last run, and what has happened is written down, for this user alone.
    let count = |event| person.events(event).len();
    until("the warden to end", || (count("warden_stopped") == 1).then_some(()));
    assert_eq!((count("prisoner_started"), count("approved"), count("denied")), (1, 1, 1));
    let ledger = fs::metadata(person.path("state/clawrden/ledger.jsonl")).unwrap();
    assert_eq!((ledger.uid(), ledger.mode() & 0o777), (person.uid, 0o600));
    until("nobody to answer any more", || {
        (person.said(&["status"]).status.code() == Some(3)).then_some(())
    });
}

#[test]
fn without_a_policy_the_stock_one_holds() {
    let person = Person::new();
    // Nothing is lost by any of it, should it run after all.
    let script = "env ls policy.yaml; echo ls-$?; env rm -rf /etc/clawrden-is-not-there; echo rm-$?; \
                  env git push; echo git-$?";
    let run = ["run", "--tools", "ls,rm,git", "--", "sh", "-c", script];
    let running = person.cli(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let entry = person.pending();
    assert_eq!(entry["argv"], serde_json::json!(["git", "push"]));
    let rule = entry["rule"].as_str().unwrap_or_default();
    assert!(rule.starts_with("pack:git:"), "{entry}");
    assert!(person.said(&["deny", entry["short"].as_str().unwrap()]).status.success());
    let output = running.wait_with_output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(out, "policy.yaml\nls-0\nrm-126\ngit-126\n", "{err}");
    let started = person.events("started");
    assert_eq!(started.len(), 1, "{started:?}");
}

#[test]
fn what_a_users_warden_has_seen_is_in_its_history() {
    let person = Person::new();
    let script = "env echo hello; env ls; env touch made; true";
    let run = [
        "run",
        "-q",
        "--tools",
        "echo,ls,touch",
        "--policy",
        "policy.yaml",
        "--",
        "sh",
        "-c",
        script,
    ];
    let mut running = person.cli(&run).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let short = person.pending()["short"].as_str().unwrap().to_owned();
    let history = person.json(&["history", "--json"]).unwrap();
    let entries = history["entries"].as_array().unwrap();
    let decisions: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| (entry["argv"][0].as_str().unwrap(), entry["decision"].as_str().unwrap()))
        .collect();
    for wanted in [("echo", "allow"), ("ls", "deny"), ("touch", "ask")] {
        assert!(decisions.contains(&wanted), "{wanted:?}: {decisions:?}");
    }
    assert!(person.said(&["deny", &short]).status.success());
    assert!(running.wait().unwrap().success());
}

#[test]
fn the_scripted_session_ends_well_and_answers_nothing_of_anybody_elses() {
    let person = Person::new();
    // Another run of the same user, whose warden serves already.
    let words = ["run", "--policy", "policy.yaml", "--tools", "touch", "--", "touch", "theirs"];
    let mut theirs =
        person.cli(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let waits = person.pending()["id"].clone();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/demo");
    fs::copy(script, person.path("demo")).unwrap();
    let played = person.program("bash", &["demo", "cli"]).output().unwrap();
    let (said, told) = (text(&played.stdout), text(&played.stderr));
    assert!(played.status.success(), "{said}{told}");
    assert!(said.contains("(ended with 126)") && told.contains("destructive"), "{said}{told}");
    assert_eq!(person.pending()["id"], waits, "it still waits");
    assert!(!person.path("theirs").exists());
    theirs.kill().unwrap();
    theirs.wait().unwrap();
}
