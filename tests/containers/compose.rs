//! `deploy/docker`: the compose file as people use it, brought up on a real engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::engine::{self, Engine};
use crate::support::{clawrden, text, until};

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

#[test]
fn two_prisoners_are_governed_and_apart() {
    let project = Project::up();

    // The agent's three tasks: allowed, allowed, denied.
    let logs = until("the agents to have tried all", || {
        let logs =
            text(&project.compose(&["logs", "--no-color", "alice"]).output().unwrap().stdout);
        (logs.matches("it ended with").count() == 3).then_some(logs)
    });
    assert!(logs.contains("it would delete everything"), "{logs}");
    assert_eq!(logs.matches("it ended with 0").count(), 2, "{logs}");
    assert_eq!(logs.matches("it ended with 126").count(), 1, "{logs}");

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

    // What is asked waits for a person.
    let asked = project.compose(&["exec", "-T", "bob", "git", "--version"]).spawn().unwrap();
    let entry = until("the question", || {
        project.warden(&["queue", "--json"])["entries"].as_array()?.first().cloned()
    });
    assert_eq!(entry["jail"], "bob", "{entry}");
    let id = entry["id"].as_str().unwrap();
    well(&project.within("warden", &["clawrden", "deny", id, "--reason", "no git here"]), "deny");
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
    let compose = fs::read_to_string(project.folder().join("docker-compose.yml")).unwrap();
    assert!(!compose.contains("privileged:"), "nothing is privileged");
}
