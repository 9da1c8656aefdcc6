//! What runs is told, and one of it can be stopped.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{House, text, until};

const POLICY: &str = "default_action: allow
on_unparsed: allow
rules:
  - {command: sh, action: allow, executor: local, name: here}
";

fn spawn(house: &House, tool: &str, args: &[&str]) -> Child {
    let mut command = house.shimmed(tool);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn running(house: &House) -> Vec<Value> {
    house.json(&["ps", "--json"])["entries"].as_array().unwrap().clone()
}

/// Waits for so many running commands that have processes, and gives the newest.
fn begun(house: &House, count: usize) -> Value {
    until("what runs", || {
        let all = running(house);
        let are_there = all.len() == count && all.iter().all(|one| one["state"] == "running");
        let counted = all.iter().all(|one| one["processes"].as_u64() > Some(0));
        (are_there && counted).then(|| all.last().cloned()).flatten()
    })
}

#[test]
fn what_runs_is_listed_with_what_it_uses() {
    let house = House::new(POLICY);
    assert_eq!(text(&house.cli(&["ps"]).stdout), "nothing runs\n");
    let mut handed = spawn(&house, "cat", &[]);
    let first = begun(&house, 1);
    assert_eq!(first["argv"], serde_json::json!(["cat"]));
    assert_eq!((&first["executor"], &first["cooperative"]), (&"mirror".into(), &true.into()));
    assert_eq!(first["processes"], 1, "{first}");
    // In the middle of its exec a process has no memory.
    until("it has memory", || {
        let listed = house.json(&["ps", "--json"]);
        (listed["entries"][0]["memory"].as_u64()? > 100_000).then_some(())
    });
    assert_eq!(first["caller"]["pid"], handed.id());
    // As an interpreter would have it, and with a child that has ended.
    let burn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; (:); read -r line; sleep 0";
    let mut local = spawn(&house, "sh", &["-c", burn]);
    let second = begun(&house, 2);
    assert_eq!((&second["executor"], &second["cooperative"]), (&"local".into(), &false.into()));
    assert_eq!(second["rule"], "policy.yaml:4 (here)");
    let used = until("processor time", || {
        let used = running(&house).last()?["cpu_ms"].as_u64()?;
        (used >= 30).then_some(used)
    });
    assert!(used < 60_000, "{used}");
    let shown = text(&house.cli(&["ps"]).stdout);
    assert!(shown.contains("mirror*") && shown.contains("by policy.yaml:4 (here)"), "{shown}");
    drop((handed.stdin.take(), local.stdin.take()));
    assert!(handed.wait().unwrap().success() && local.wait().unwrap().success());
    until("nothing", || running(&house).is_empty().then_some(()));
}

#[test]
fn a_stopped_run_ends_whole_and_its_caller_is_told_in_one_line() {
    let house = House::with(POLICY, &["--grace", "1s"]);
    // The tool hears no polite signal, and leaves a daemon.
    let script = "trap '' TERM; setsid sleep 1000 & echo $!; while :; do sleep 0.1; done";
    let child = spawn(&house, "sh", &["-c", script]);
    let entry = begun(&house, 1);
    let id = entry["id"].as_str().unwrap();
    let stopped = house.cli(&["stop", entry["short"].as_str().unwrap(), "--reason", "it\nloops"]);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    assert_eq!(text(&stopped.stdout), format!("stopped {}\n", &id[..8]));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let said = text(&output.stderr);
    assert!(said.contains("stopped by") && said.contains("loops"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let daemon = text(&output.stdout).trim().to_owned();
    assert!(!std::path::Path::new(&format!("/proc/{daemon}")).exists(), "its daemon lives");
    let killed = house.event("killed");
    assert_eq!((killed["id"].as_str(), killed["reason"].as_str()), (Some(id), Some("it\nloops")));
    assert!(killed["by"].as_str().unwrap().contains("uid "), "{killed}");
    assert!(killed["processes"].as_u64().unwrap() >= 2, "{killed}");
    let finished = house.event("finished");
    assert!(finished["error"].as_str().unwrap().starts_with("stopped by"), "{finished}");
    let again = house.cli(&["stop", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("has ended already"), "{}", text(&again.stderr));
    let unknown = house.cli(&["stop", "0123abcd"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("nothing runs as 0123abcd"));
    assert_eq!(house.cli(&["stop", "xyz"]).status.code(), Some(2));
}

#[test]
fn a_handed_off_command_is_stopped_with_its_tree() {
    let house = House::new(POLICY);
    let mut child = spawn(&house, "bash", &["-c", "/bin/sleep 1000 & echo $!; wait"]);
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let entry = begun(&house, 1);
    assert_eq!((&entry["cooperative"], &entry["processes"]), (&true.into(), &2.into()), "{entry}");
    let report = house.json(&["stop", entry["short"].as_str().unwrap(), "--json"]);
    assert_eq!((&report["id"], &report["ended"]), (&entry["id"], &true.into()));
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    let sleeper = line.trim().to_owned();
    until("its child to end", || {
        (!std::path::Path::new(&format!("/proc/{sleeper}")).exists()).then_some(())
    });
    assert!(house.event("finished")["error"].as_str().unwrap().starts_with("stopped by"));
}

#[test]
fn the_runner_that_came_back_last_is_the_next_one_at_work() {
    let house = House::new(POLICY);
    let parent = || text(&house.shimmed("sh").args(["-c", "echo $PPID"]).output().unwrap().stdout);
    // One comes back once nothing of its command is left, which may be later than the next command.
    until("the same runner", || {
        let first = parent();
        std::thread::sleep(std::time::Duration::from_millis(50));
        (parent() == first).then_some(())
    });
}
