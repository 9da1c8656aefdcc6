//! `clawrden run`, from the command line to the ledger.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{clawrden, events, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: echo, action: allow}
  - {command: touch, action: ask, reason: 'it writes'}
  - {command: sleep, action: allow}
  - {command: id, action: allow, executor: local}
";

/// A folder in which `clawrden run` starts its own warden.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
        std::fs::write(dir.path().join("policy.yaml"), POLICY).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, options: &[&str], script: &str) -> Command {
        let mut command = clawrden();
        command.arg("--control").arg(self.path("control.sock")).arg("run");
        command
            .args(["--tools", "echo,touch,sleep,ls,id", "--policy"])
            .arg(self.path("policy.yaml"));
        command.args(options).args(["--", "sh", "-c", script]);
        command.stdin(Stdio::null()).current_dir(self.dir.path());
        // Whoever runs the tests may itself be governed.
        command.env_remove("CLAWRDEN_SOCKET");
        command
    }

    fn spawn(&self, options: &[&str], script: &str) -> Child {
        let mut command = self.run(options, script);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn cli(&self, args: &[&str]) -> Output {
        clawrden().arg("--control").arg(self.path("control.sock")).args(args).output().unwrap()
    }

    fn pending(&self) -> serde_json::Value {
        until("a pending request", || {
            let output = self.cli(&["queue", "--json"]);
            let queue: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
            queue["entries"].as_array()?.first().cloned()
        })
    }

    fn events(&self, event: &str) -> Vec<serde_json::Value> {
        events(&self.path("ledger.jsonl"), event)
    }
}

#[test]
fn a_command_runs_governed_and_its_exit_code_comes_back() {
    let scene = Scene::new();
    let output =
        scene.run(&[], "/bin/echo bare; env echo governed; env ls; exit 7").output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "bare\ngoverned\n");
    let said = text(&output.stderr);
    assert!(said.contains("accident") && said.contains("approve ID"), "{said}");
    assert!(said.contains("denied"), "ls is denied: {said}");
    assert_eq!(scene.events("prisoner_started").len(), 1);
    let asked = scene.events("requested");
    assert!(
        asked.iter().any(|r| r["argv"] == serde_json::json!(["echo", "governed"])),
        "{asked:?}"
    );
    until("the warden to end with its last run", || {
        (scene.events("warden_stopped").len() == 1).then_some(())
    });
}

#[test]
fn an_ask_waits_for_a_second_terminal() {
    let scene = Scene::new();
    let child = scene.spawn(&["--label", "ticket=A-17"], "env touch made && env echo done");
    let entry = scene.pending();
    assert_eq!(entry["labels"]["ticket"], "A-17");
    assert!(!scene.path("made").exists());
    let approved = scene.cli(&["approve", entry["short"].as_str().unwrap()]);
    assert!(approved.status.success(), "{}", text(&approved.stderr));
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("done\n", Some(0)));
    assert!(scene.path("made").exists());
}

#[test]
fn a_local_rule_works_in_the_mount_table_that_run_made() {
    let scene = Scene::new();
    let output = scene.run(&["--quiet"], "env id -u").output().unwrap();
    let own = rustix::process::getuid().as_raw().to_string();
    assert_eq!(text(&output.stdout).trim(), own, "{}", text(&output.stderr));
    let started = scene.events("started");
    assert!(started.iter().any(|record| record["executor"] == "local"), "{started:?}");
}

#[test]
fn unattended_denies_every_ask_at_once() {
    let scene = Scene::new();
    let output = scene.run(&["--unattended"], "env touch made").output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stderr));
    assert!(!scene.path("made").exists());
}

#[test]
fn a_prisoner_cannot_answer_for_itself_and_the_attempt_is_recorded() {
    let scene = Scene::new();
    let program = env!("CARGO_BIN_EXE_clawrden");
    let control = scene.path("control.sock");
    let script = format!(
        "env touch made & waiting=$!; sleep 1; {program} --control {0} queue; echo queue-$?; \
         setsid {program} --control {0} kill; echo kill-$?; kill $waiting; wait",
        control.display()
    );
    let output = scene.run(&[], &script).output().unwrap();
    let said = text(&output.stdout);
    assert!(said.contains("queue-1") && said.contains("kill-1"), "{said}{}", text(&output.stderr));
    assert!(!scene.path("made").exists());
    assert!(scene.events("control_refused").len() >= 2);
    assert!(scene.events("stopped").is_empty());
}

/// Waits until it is a child of `$1`, which it was not born to, and asks then.
const ORPHAN: &str = r#"
tries=0
while [ "$parent" != "$1" ] && [ $tries -lt 200 ]; do
  while read -r key value; do [ "$key" != PPid: ] || parent=$value; done < "/proc/$$/status"
  /bin/sleep 0.05
  tries=$((tries + 1))
done
"$2" --control "$3" kill 2> said; echo "$? $parent" > left
"#;

#[test]
fn who_has_lost_its_parent_is_a_prisoner_still() {
    let scene = Scene::new();
    std::fs::write(scene.path("orphan"), ORPHAN).unwrap();
    let program = env!("CARGO_BIN_EXE_clawrden");
    let control = scene.path("control.sock");
    let script = format!(
        "(/bin/setsid /bin/sh ./orphan $PPID {program} {} &); while [ ! -s left ]; do sleep 0.05; done; echo $PPID",
        control.display()
    );
    let output = scene.run(&["--quiet"], &script).output().unwrap();
    let left = std::fs::read_to_string(scene.path("left")).unwrap();
    let said = std::fs::read_to_string(scene.path("said")).unwrap();
    let (code, parent) = left.trim().split_once(' ').unwrap();
    assert_eq!(code, "1", "{said}");
    // It came back to the run, as its subreaper, and not to the machine's first process.
    assert_eq!(parent, text(&output.stdout).trim(), "{}", text(&output.stderr));
    assert!(said.contains("prisoner"), "{said}");
    assert_eq!(scene.events("control_refused").len(), 1);
    assert!(scene.events("stopped").is_empty());
}

#[test]
fn kill_ends_the_whole_prisoner_daemons_included() {
    let scene = Scene::new();
    let script = "(setsid sh -c 'echo $$ > daemon; exec sleep 1000' &); exec sleep 1000";
    let mut child = scene.spawn(&["--quiet"], script);
    let daemon: i32 = until("the daemon", || {
        std::fs::read_to_string(scene.path("daemon")).ok()?.trim().parse().ok()
    });
    let killed = scene.cli(&["kill", "--reason", "drill"]);
    assert!(killed.status.success(), "{}", text(&killed.stderr));
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(15), "{status}");
    let gone = || (!std::path::Path::new(&format!("/proc/{daemon}")).exists()).then_some(());
    until("the daemon to end", gone);
    // The stop outlives the warden that this run had; the next one is refused until a person resumes.
    let refused = scene.run(&[], "true").output().unwrap();
    assert_ne!(refused.status.code(), Some(0), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("resume"), "{}", text(&refused.stderr));
}

/// Begins another of itself and ends, again and again, for as long as it lies there; each leaves a sign.
const CHAIN: &str = "printf x >>signs; /bin/sh ./chain & exit";

#[test]
fn kill_ends_a_prisoner_that_begins_another_and_ends_at_once() {
    let scene = Scene::new();
    std::fs::write(scene.path("chain"), CHAIN).unwrap();
    let script = "/bin/sh ./chain & exec sleep 1000";
    let mut child = scene.spawn(&["--quiet"], script);
    let signs = || std::fs::metadata(scene.path("signs")).map_or(0, |signs| signs.len());
    until("it to go on", || (signs() > 100).then_some(()));
    let killed = scene.cli(&["kill", "--reason", "drill"]);
    assert!(killed.status.success(), "{}", text(&killed.stderr));
    assert!(child.wait().unwrap().signal().is_some());
    let left = signs();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(signs(), left, "it goes on");
}

#[test]
fn a_warden_that_goes_down_before_it_has_heard_of_the_run_is_replaced() {
    let scene = Scene::new();
    let path = scene.path("control.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let status = r#"{"version":"0.1.0","pid":1,"uid":0,"started_ms":0,"stopped":null,"jails":[],"pending":0,
        "running":0,"ledger":{"path":"/l","sequence":4,"error":null},"methods":{},"cautions":[]}"#;
    let says = |code: &str, body: &str| {
        format!(
            "HTTP/1.1 {code}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let going = says("503 -", r#"{"code":"going_down","message":"the warden goes down"}"#);
    let serving = says("200 OK", status);
    // It refuses the first registration, breaks the second off, and has gone.
    let going_down = std::thread::spawn(move || {
        let mut registrations = 0;
        while registrations < 2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 64 * 1024];
            let n = stream.read(&mut request).unwrap();
            if request[..n].starts_with(b"GET /api/status") {
                stream.write_all(serving.as_bytes()).unwrap();
                continue;
            }
            assert!(request[..n].starts_with(b"POST /api/prisoners"));
            registrations += 1;
            if registrations == 1 {
                stream.write_all(going.as_bytes()).unwrap();
            } else {
                std::fs::remove_file(&path).unwrap();
            }
        }
    });
    // The new one lives where the run's own mounts are not.
    let pid =
        "test $(readlink /proc/$(cat control.sock.lock)/ns/mnt) = $(readlink /proc/$PPID/ns/mnt)";
    let output = scene.run(&[], &format!("echo ran; {pid} && echo same; true")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    going_down.join().unwrap();
    let own_mounts = rustix::process::getuid().is_root();
    assert_eq!(text(&output.stdout), if own_mounts { "ran\n" } else { "ran\nsame\n" });
    assert_eq!(scene.events("prisoner_started").len(), 1);
}

#[test]
fn another_policy_gets_a_jail_of_its_own() {
    let scene = Scene::new();
    let mut first = scene.spawn(&[], "env touch first");
    let entry = scene.pending();
    let other = scene.path("other.yaml");
    std::fs::write(&other, "default_action: allow").unwrap();
    let mut command = clawrden();
    command
        .arg("--control")
        .arg(scene.path("control.sock"))
        .args(["run", "--tools", "touch", "--policy"]);
    command.arg(&other).args(["--", "env", "touch", "third"]).current_dir(scene.dir.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(scene.path("third").exists(), "its own policy allows it");
    assert!(!scene.path("first").exists(), "the first one's still asks");
    let started = scene.events("prisoner_started");
    let jails: Vec<&serde_json::Value> = started.iter().map(|record| &record["jail"]).collect();
    assert_ne!(jails.first(), jails.last());
    assert!(scene.cli(&["deny", entry["short"].as_str().unwrap()]).status.success());
    first.wait().unwrap();
}

#[test]
fn status_shows_a_prisoner_and_its_requests() {
    let scene = Scene::new();
    let mut child = scene.spawn(&[], "env echo one; env echo two; env touch x");
    let entry = scene.pending();
    let output = scene.cli(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let jails = status["jails"].as_array().unwrap();
    let prisoner = jails.iter().find_map(|jail| jail["prisoners"].as_array()?.first()).unwrap();
    assert_eq!(prisoner["requests"], 3);
    assert_eq!(status["pending"], 1);
    assert!(status["cautions"].to_string().contains("accident"), "{}", status["cautions"]);
    assert!(scene.cli(&["deny", entry["short"].as_str().unwrap()]).status.success());
    child.wait().unwrap();
}
