//! `deploy/docker`: the compose file as people use it, brought up on a real engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::engine::{self, Engine};
use crate::support::{clawrden, text, until};

/// Bob has the same image with its tools locked away, and the warden a secret.
const LOCKED: &str = "version: '2.4'
services:
  warden: {volumes: ['./token:/etc/clawrden/token:ro']}
  bob: {image: IMAGE, build: {args: {LOCK: --lock}}}
";

/// Before the rules that are there: numbered lines come from a ghost, which has a secret.
const COUNTED: &str = "secrets:
  token: {from_file: /etc/clawrden/token, as_file: token}
rules:
  - {command: cat, args: [-n], action: ask, executor: ghost, secrets: [token]}
";

/// A project that goes with the test.
struct Project {
    engine: &'static Engine,
    dir: tempfile::TempDir,
    name: String,
}

impl Project {
    fn up() -> Self {
        let engine = engine::get();
        let dir = tempfile::Builder::new().prefix("clawrden-compose-").tempdir().unwrap();
        // A copy, since `prepare` writes beside itself.
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
        let copied = Command::new("cp").arg("-a").arg(deploy).arg(dir.path()).status().unwrap();
        assert!(copied.success());
        let project = Self { engine, dir, name: format!("clawrden-test-{}", std::process::id()) };
        let locked = LOCKED.replace("IMAGE", &format!("{}-locked", project.name));
        fs::write(project.folder().join("docker-compose.override.yml"), locked).unwrap();
        let policy = project.folder().join("policy.yaml");
        let stock = fs::read_to_string(&policy).unwrap();
        assert!(stock.contains("rules:\n"));
        fs::write(&policy, stock.replace("rules:\n", COUNTED)).unwrap();
        fs::write(project.folder().join("token"), "hush").unwrap();
        let prepared =
            Command::new(project.folder().join("prepare")).arg(clawrden().get_program()).output();
        well(&prepared.unwrap(), "prepare");
        well(&project.compose(&["build"]).output().unwrap(), "build");
        well(&project.compose(&["up", "-d"]).output().unwrap(), "up");
        project
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("deploy/docker")
    }

    fn compose(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker-compose");
        let socket = self.engine.address.strip_prefix("unix://").unwrap();
        command.args(["--project-name", &self.name]).args(words).current_dir(self.folder());
        command.env("DOCKER_HOST", &self.engine.address).env("DOCKER_SOCKET", socket);
        command.env("WARDEN_BASE", self.engine.image("debian12"));
        command.env("PRISONER_BASE", self.engine.image("debian13"));
        command.env("WARDEN_IMAGE", format!("{}-warden", self.name));
        command.env("PRISONER_IMAGE", format!("{}-prisoner", self.name));
        command.stdin(Stdio::null());
        command
    }

    /// What a service's container does with these words.
    fn within(&self, service: &str, words: &[&str]) -> Output {
        self.compose(&["exec", "-T", service]).args(words).output().unwrap()
    }

    fn warden(&self, words: &[&str]) -> Value {
        let output = self.within("warden", &[&["clawrden"][..], words].concat());
        well(&output, "the warden's CLI");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Answers the one question that there is, and gives it.
    fn answer(&self, verb: &str, more: &[&str]) -> Value {
        let entry = until("the question", || {
            self.warden(&["queue", "--json"])["entries"].as_array()?.first().cloned()
        });
        let id = entry["id"].as_str().unwrap();
        well(&self.within("warden", &[&["clawrden", verb, id], more].concat()), verb);
        entry
    }

    fn inspect(&self, service: &str) -> Value {
        let ids = text(&self.compose(&["ps", "-q", service]).output().unwrap().stdout);
        let all = self.engine.say(&["inspect", "--type=container", ids.trim()]);
        serde_json::from_str::<Value>(&all).unwrap()[0].clone()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.compose(&["logs", "--no-color"]).output().unwrap();
            eprintln!("--- the project's logs ---\n{}", text(&logs.stdout));
        }
        let _ = self.compose(&["down", "-v", "-t", "2", "--rmi", "all"]).output();
    }
}

#[track_caller]
fn well(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {}{}", text(&output.stdout), text(&output.stderr));
}

/// An allowed mirror, a locked tool, and an approved ghost: right bytes, right codes.
fn every_executor(project: &Project) {
    for service in ["alice", "bob"] {
        let output = project.within(service, &["cat", "/etc/debian_version", "/no-such-file"]);
        assert_eq!(output.status.code(), Some(1), "{service}: {output:?}");
        assert!(text(&output.stdout).starts_with("13."), "{service}: {output:?}");
        // In a ghost of its own, with the workspace and the secret.
        let made = project.within(service, &["sh", "-c", "printf 'a\\nb\\n' >/workspace/two"]);
        well(&made, "a file of the workspace");
        for (words, code, told) in [
            (
                &["cat", "-n", "two", "/run/secrets/token"][..],
                0,
                "     1\ta\n     2\tb\n     3\thush",
            ),
            (&["cat", "-n", "/no-such-file"], 1, ""),
            (&["rm", "two"], 0, ""),
        ] {
            let exec = [&["exec", "-T", service], words].concat();
            let asked = project.compose(&exec).stdout(Stdio::piped()).spawn().unwrap();
            project.answer("approve", &[]);
            let output = asked.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{service} {words:?}: {output:?}");
            assert_eq!(text(&output.stdout), told, "{service} {words:?}");
        }
        let gone = project.within(service, &["sh", "-c", "[ ! -e /workspace/two ]"]);
        well(&gone, "what a ghost has removed");
    }
    let ledger = project.within("warden", &["cat", "/var/lib/clawrden/ledger.jsonl"]);
    let records: Vec<Value> =
        text(&ledger.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let jail_of = |id: &Value| {
        let asked = records.iter().find(|one| one["event"] == "requested" && one["id"] == *id);
        asked.unwrap()["jail"].as_str().unwrap()
    };
    let ways = |jail: &str| {
        let started = records.iter().filter(|one| one["event"] == "started");
        let of_jail = started.filter(|one| jail_of(&one["id"]) == jail);
        let way = |one: &Value| one["method"].as_str().unwrap().to_owned();
        of_jail.map(way).collect::<std::collections::BTreeSet<String>>()
    };
    assert_eq!(ways("alice"), ["handoff", "runner"].map(str::to_owned).into());
    assert_eq!(ways("bob"), ["exec", "runner"].map(str::to_owned).into());
}

#[test]
fn two_prisoners_are_governed_and_apart() {
    let project = Project::up();

    // The agents' three tasks: allowed, allowed, denied.
    for agent in ["alice", "bob"] {
        let logs = until("the agents to have tried all", || {
            let logs =
                text(&project.compose(&["logs", "--no-color", agent]).output().unwrap().stdout);
            (logs.matches("it ended with").count() == 3).then_some(logs)
        });
        assert!(logs.contains("it would delete everything"), "{logs}");
        assert_eq!(logs.matches("it ended with 0").count(), 2, "{logs}");
        assert_eq!(logs.matches("it ended with 126").count(), 1, "{logs}");
    }
    every_executor(&project);

    // Each at its own door, known by its container.
    let history = project.warden(&["history", "--json"]);
    let jails: Vec<&str> = history["entries"]
        .as_array()
        .unwrap_or_else(|| panic!("{history}"))
        .iter()
        .filter_map(|request| request["jail"].as_str())
        .collect();
    assert!(jails.contains(&"alice") && jails.iter().all(|jail| ["alice", "bob"].contains(jail)));
    for jail in ["alice", "bob"] {
        let shown = project.warden(&["jails", "show", jail, "--json"]);
        let one = shown["containers"].as_array().unwrap();
        assert_eq!(one.len(), 1, "{shown}");
        let name = one[0]["name"].as_str().unwrap();
        assert!(name.contains(jail), "{shown}");
    }

    // One's own door is there; the other's, the control plane, the engine and a network are not.
    for (service, other) in [("alice", "bob"), ("bob", "alice")] {
        let script = format!(
            "echo /run/clawrden/*; ls /run/clawrden/jails /run/clawrden/../{other} /var/run/docker.sock; \
             touch /run/clawrden/x /clawrden/bin/x /usr/bin/x; for i in /sys/class/net/*; do echo ${{i##*/}}; done; id -u"
        );
        let output = project.within(service, &["sh", "-c", &script]);
        let out = text(&output.stdout);
        assert_eq!(
            out, "/run/clawrden/warden.sock /run/clawrden/warden.sock.lock\nlo\n1000\n",
            "{service}: {output:?}"
        );
        let facts = project.inspect(service);
        let host = &facts["HostConfig"];
        assert_eq!(host["Privileged"], false);
        assert_eq!(host["NetworkMode"], "none");
        let mounts = facts["Mounts"].to_string();
        assert!(!mounts.contains(".sock") && !mounts.contains(other), "{mounts}");
    }
    let warden = project.inspect("warden");
    assert_eq!(warden["HostConfig"]["Privileged"], false);
    assert!(warden["Mounts"].to_string().contains("docker.sock"));

    // It is healthy because it says that requests can be served, and not where they cannot.
    let health = &warden["State"]["Health"];
    assert_eq!(health["Status"], "healthy", "{health}");
    let said = health["Log"].as_array().unwrap().last().unwrap();
    assert_eq!((&said["ExitCode"], &said["Output"]), (&0.into(), &"ready\n".into()), "{said}");
    let door = "/run/clawrden/jails/bob";
    let (socket, aside) = (&*format!("{door}/warden.sock"), &*format!("{door}/aside"));
    well(&project.within("warden", &["mv", socket, aside]), "a door taken away");
    let ill = project.within("warden", &["clawrden", "health"]);
    assert_eq!(ill.status.code(), Some(1), "{ill:?}");
    assert!(text(&ill.stdout).contains("jail bob"), "{ill:?}");
    well(&project.within("warden", &["mv", aside, socket]), "a door put back");

    // What is asked waits for a person.
    let asked = project.compose(&["exec", "-T", "bob", "git", "--version"]).spawn().unwrap();
    let entry = project.answer("deny", &["--reason", "no git here"]);
    assert_eq!(entry["jail"], "bob", "{entry}");
    let denied = asked.wait_with_output().unwrap();
    assert_eq!(denied.status.code(), Some(126), "{denied:?}");

    // A new task of the agent's own is taken up.
    let tasks =
        project.within("alice", &["sh", "-c", "echo 'ls /etc/hostname' >>/workspace/tasks"]);
    well(&tasks, "a task");
    until("the new task's end", || {
        let logs =
            text(&project.compose(&["logs", "--no-color", "alice"]).output().unwrap().stdout);
        (logs.matches("it ended with 0").count() == 3).then_some(())
    });

    // What it stops is its prisoners, which have its doors by volumes, and not itself.
    let report = project.warden(&["kill", "--jail", "bob", "--json"]);
    assert_eq!(report["containers"], 1, "{report}");
    assert_eq!(project.inspect("bob")["State"]["Running"], false);
    assert_eq!(project.inspect("warden")["State"]["Running"], true);
    let compose = fs::read_to_string(project.folder().join("docker-compose.yml")).unwrap();
    assert!(!compose.contains("privileged:"), "nothing is privileged");
}
