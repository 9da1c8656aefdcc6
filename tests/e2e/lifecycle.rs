//! Timeouts, kill and resume, shutdown, and who holds a socket.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::other::{Home, status_number};
use crate::support::{House, clawrden, text, until};

const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: sleep, args: ['500'], action: allow, timeout: 1s}
  - {command: sleep, args: ['600'], action: allow, timeout: 1s, executor: local}
  - {command: sleep, action: allow}
  - {command: sh, action: allow, executor: local, timeout: 1s}
  - {command: echo, action: allow}
";

#[test]
fn a_handed_off_tool_dies_of_its_timeout_by_the_signal() {
    let house = House::new(POLICY);
    let start = Instant::now();
    let status = house.shimmed("sleep").arg("500").status().unwrap();
    assert_eq!(status.signal(), Some(15));
    assert!(start.elapsed() < Duration::from_secs(20));
    let finished = house.event("finished");
    assert_eq!((&finished["timed_out"], &finished["signal"]), (&true.into(), &15.into()));
}

#[test]
fn a_local_tool_that_runs_out_of_time_is_124() {
    let house = House::new(POLICY);
    let output = house.shimmed("sleep").arg("600").output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
    assert_eq!(house.event("finished")["timed_out"], true);
}

#[test]
fn a_warden_with_nothing_to_do_gives_memory_back_and_serves_on_all_the_same() {
    let house = House::new(POLICY);
    let both_ways = || {
        for words in [&["echo", "mirrored"][..], &["sh", "-c", "echo local"]] {
            let output = house.shimmed(words[0]).args(&words[1..]).output().unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        house.json(&["history", "--json"])["entries"].as_array().unwrap().len()
    };
    assert_eq!(both_ways(), 2);
    let pages = || status_number(house.warden.id(), "RssFile");
    let working = pages();
    until("its pages to be given back", || (pages() < working / 2).then_some(()));
    assert_eq!(both_ways(), 4);
    assert!(pages() > 0);
}

#[test]
fn a_clock_starts_when_the_tool_does_however_long_a_person_took() {
    let policy = "
rules:
  - {command: sleep, args: ['1'], action: ask, timeout: 2s}
  - {command: sleep, args: ['1.0'], action: ask, timeout: 2s, executor: local}
";
    let house = House::new(policy);
    let tools = ["1", "1.0"].map(|time| house.shimmed("sleep").arg(time).spawn().unwrap());
    let asked = until("both to wait", || {
        let entries = house.json(&["queue", "--json"])["entries"].as_array()?.clone();
        (entries.len() == 2).then_some(entries)
    });
    std::thread::sleep(Duration::from_secs(3));
    for entry in asked {
        assert!(house.cli(&["approve", entry["id"].as_str().unwrap()]).status.success());
    }
    for mut tool in tools {
        assert_eq!(tool.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_timeout_takes_the_daemonised_grandchildren_too() {
    let house = House::with(POLICY, &["--grace", "500ms"]);
    let pids = house.path("pids");
    let script = format!(
        "(setsid sh -c 'trap \"\" TERM; echo $$ >> {0}; while :; do sleep 1; done' &) ; sleep 700",
        pids.display()
    );
    let status = house.shimmed("sh").args(["-c", &script]).status().unwrap();
    assert_eq!(status.code(), Some(124));
    let pid: i32 = std::fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
    until("the daemon to end", || {
        let gone = !std::path::Path::new(&format!("/proc/{pid}")).exists();
        gone.then_some(())
    });
}

#[test]
fn the_default_timeout_ends_the_tree_as_it_then_stands() {
    let house = House::with("default_timeout: 1s\ndefault_action: allow", &["--grace", "500ms"]);
    let pids = house.path("pids");
    // By their paths: a shim's tool has a timeout of its own, and would now and then end first.
    let script = format!("/bin/sh -c 'echo $$ > {}; /bin/sleep 1000; :'; :", pids.display());
    let status = house.shimmed("bash").args(["-c", &script]).status().unwrap();
    assert_eq!(status.signal(), Some(15), "{status}");
    let inner: i32 = std::fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
    until("the tool's child to end", || (!alive(inner)).then_some(()));
    let finished = house.record("bash", |r| r["event"] == "finished" && r["timed_out"] == true);
    assert_eq!(finished["signal"], 15);
}

#[test]
fn a_rules_own_timeout_reaches_what_has_left_a_handed_off_tools_tree() {
    let policy = "{default_action: allow, on_unparsed: allow, \
                  rules: [{command: sh, action: allow, timeout: 1s}]}";
    let house = House::with(policy, &["--grace", "500ms"]);
    if house.json(&["status", "--json"])["methods"]["cgroup"] == "no" {
        // Without a cgroup the promise is another one: the default timeout's, which has a test of its own.
        return;
    }
    let pids = house.path("pids");
    let script = format!(
        "(/usr/bin/setsid /bin/bash -c 'echo $$ > {}; exec sleep 1000' &) ; exec /bin/sleep 1000",
        pids.display()
    );
    let status = house.shimmed("sh").args(["-c", &script]).status().unwrap();
    assert!(status.signal().is_some(), "{status}");
    let daemon: i32 = std::fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
    until("the daemon to end", || (!alive(daemon)).then_some(()));
}

#[test]
fn a_handed_off_tool_with_a_time_of_its_own_outlives_the_warden() {
    let policy = "rules: [{command: sh, action: allow, timeout: 10m}]";
    let mut house = House::with(policy, &["--grace", "0s"]);
    if house.json(&["status", "--json"])["methods"]["cgroup"] == "no" {
        // Without a cgroup there is nothing that the next warden would find.
        return;
    }
    let mut command = house.shimmed("sh");
    let mut tool =
        command.args(["-c", "read -r line; exit 7"]).stdin(Stdio::piped()).spawn().unwrap();
    house.event("started");
    let group = std::fs::read_to_string(format!("/proc/{}/cgroup", tool.id())).unwrap();
    assert!(group.contains("clawrden."), "{group}");
    let log = house.path("warden.log");
    let sweeps = || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.matches("an earlier warden left cgroups behind").count()
    };
    let before = sweeps();
    house.crash();
    house.restart();
    until("the next warden to clean up", || (sweeps() > before).then_some(()));
    drop(tool.stdin.take());
    assert_eq!(tool.wait().unwrap().code(), Some(7));
}

#[test]
fn kill_ends_what_runs_and_denies_until_resume_also_across_a_restart() {
    let mut house = House::new(POLICY);
    let mut running = house.shimmed("sleep").arg("1000").spawn().unwrap();
    house.event("started");
    let killed = house.cli(&["kill", "--reason", "drill"]);
    assert!(killed.status.success(), "{}", text(&killed.stderr));
    let status = running.wait().unwrap();
    assert!(status.signal().is_some(), "{status}");
    assert_eq!(house.shimmed("echo").status().unwrap().code(), Some(126));
    house.crash();
    house.restart();
    let output = house.shimmed("echo").output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("kill switch"), "{}", text(&output.stderr));
    assert!(house.cli(&["resume"]).status.success());
    assert!(house.shimmed("echo").status().unwrap().success());
}

#[test]
fn pause_freezes_and_resume_lets_go_on() {
    let house = House::new(POLICY);
    let mut running = house.shimmed("sleep").arg("2").spawn().unwrap();
    house.event("started");
    assert!(house.cli(&["kill", "--pause"]).status.success());
    std::thread::sleep(Duration::from_secs(3));
    assert!(running.try_wait().unwrap().is_none(), "it is frozen, and its time does not end it");
    assert!(house.cli(&["resume"]).status.success());
    assert!(running.wait().unwrap().success());
}

/// A warden that is killed while two of its tools stand, one by its cgroup and one by signals; the house, and the tools
/// with what they write.
fn left_standing() -> (House, [(Child, PathBuf); 2]) {
    let policy = "
default_action: allow
on_unparsed: allow
rules:
  - {command: bash, action: allow, timeout: 10m}
  - {command: sh, action: allow}
";
    let mut house = House::new(policy);
    let tools = ["bash", "sh"].map(|tool| {
        let beats = house.path(&format!("beats-{tool}"));
        let script = format!("while :; do echo x >>{}; /bin/sleep 0.01; done", beats.display());
        let child = house.shimmed(tool).args(["-c", &script]).spawn().unwrap();
        until("a beat", || (beat(&beats) > 0).then_some(()));
        (child, beats)
    });
    assert!(house.cli(&["kill", "--pause"]).status.success());
    for (_, beats) in &tools {
        until("it to stand", || stands(beats).then_some(()));
    }
    house.crash();
    house.restart();
    (house, tools)
}

fn beat(beats: &Path) -> u64 {
    std::fs::metadata(beats).map_or(0, |about| about.len())
}

/// Whether it wrote nothing for a while in which it would have written often.
fn stands(beats: &Path) -> bool {
    let before = beat(beats);
    std::thread::sleep(Duration::from_millis(500));
    beat(beats) == before
}

#[test]
fn what_a_killed_warden_had_frozen_goes_on_by_resume() {
    let (house, tools) = left_standing();
    assert!(tools.iter().all(|(_, beats)| stands(beats)), "a restart lets nothing go on");
    let told = house.json(&["resume", "--json"]);
    assert_eq!(told["problems"], serde_json::json!([]), "{told}");
    for (mut child, beats) in tools {
        let before = beat(&beats);
        until("it to go on", || (beat(&beats) > before).then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let kept = std::fs::read_to_string(house.path("ledger.jsonl.held.json")).unwrap();
    assert!(!kept.contains("start_ticks"), "{kept}");
}

#[test]
fn what_a_killed_warden_had_frozen_is_ended_by_kill() {
    let (house, tools) = left_standing();
    let told = house.json(&["kill", "--json"]);
    assert_eq!(told["problems"], serde_json::json!([]), "{told}");
    for (mut child, _) in tools {
        assert!(child.wait().unwrap().signal().is_some());
    }
    assert!(house.cli(&["resume"]).status.success());
}

/// `sh` runs on the warden's side; `bash` in the prisoner, in a cgroup of its own where it may have one.
const STANDING: &str = "
default_action: allow
on_unparsed: allow
jails: {box: {commands: [sh, bash]}}
rules:
  - {command: sh, action: allow, executor: local}
  - {command: bash, action: allow, timeout: 10m}
";

#[test]
fn what_stands_in_its_cgroup_is_ended_by_kill_and_by_stop() {
    let house = House::new(STANDING);
    ends_though_it_stands(&|tool| house.shimmed(tool), &|words| house.cli(words));
}

#[test]
fn what_was_told_to_stand_by_signals_is_ended_by_kill_and_by_stop() {
    // An ordinary user's warden has no cgroups.
    let home = Home::new(STANDING);
    let cli = |words: &[&str]| home.clawrden().args(words).output().unwrap();
    ends_though_it_stands(&|tool| home.shimmed("box", tool), &cli);
}

fn ends_though_it_stands(shimmed: &dyn Fn(&str) -> Command, cli: &dyn Fn(&[&str]) -> Output) {
    for (tool, verb, code) in
        [("sh", "kill", 125), ("sh", "stop", 125), ("bash", "kill", 7), ("bash", "stop", 7)]
    {
        let mut command = shimmed(tool);
        let script = "trap 'exit 7' TERM; echo ready; while :; do /bin/sleep 0.1; done";
        command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let is = |state: &str| {
            until(state, || {
                let told: Value = serde_json::from_slice(&cli(&["ps", "--json"]).stdout).ok()?;
                let one = told["entries"].as_array()?.first()?;
                (one["state"] == state).then(|| one["short"].as_str().unwrap().to_owned())
            })
        };
        is("running");
        assert!(cli(&["kill", "--pause"]).status.success());
        let id = is("paused");
        let said = match verb {
            "stop" => cli(&[verb, &id]),
            _ => cli(&[verb, "--json"]),
        };
        let shown = text(&said.stdout);
        assert!(said.status.success(), "{tool} {verb}: {shown}{}", text(&said.stderr));
        assert!(verb == "stop" || shown.contains("\"problems\":[]"), "{tool}: {shown}");
        assert_eq!(child.wait().unwrap().code(), Some(code), "{tool} {verb}");
        assert!(cli(&["resume"]).status.success());
    }
}

#[test]
fn a_second_warden_on_the_same_socket_refuses_and_says_who_holds_it() {
    let house = House::new(POLICY);
    let mut second = clawrden();
    let output = second
        .arg("warden")
        .arg("--socket")
        .arg(house.socket())
        .arg("--control")
        .arg(house.path("other.sock"))
        .arg("--policy")
        .arg(house.path("policy.yaml"))
        .arg("--audit")
        .arg(house.path("other.jsonl"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains(&house.warden.id().to_string()), "{said}");
    assert!(house.shimmed("echo").status().unwrap().success(), "the first still serves");
}

#[test]
fn a_stale_socket_is_replaced() {
    let mut house = House::new(POLICY);
    house.crash();
    assert!(house.socket().exists());
    house.restart();
    assert!(house.shimmed("echo").status().unwrap().success());
}

#[test]
fn sigterm_drains_cleanly_and_says_so_in_the_ledger() {
    let mut house = House::new(POLICY);
    let pid = i32::try_from(house.warden.id()).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let status = house.warden.wait().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(house.ledger().last().unwrap()["event"], "warden_stopped");
    assert!(!house.socket().exists(), "it leaves no socket behind");
}

#[test]
fn forced_onto_the_shims_report_exit_codes_are_the_same_and_marked() {
    let house =
        House::with("{default_action: allow, on_unparsed: allow}", &["--exit-codes", "shim"]);
    for code in [0, 1, 42, 255] {
        let status = house.shimmed("sh").args(["-c", &format!("exit {code}")]).status().unwrap();
        assert_eq!(status.code(), Some(code));
    }
    let status =
        house.shimmed("sh").args(["-c", "kill -KILL $$"]).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.signal(), Some(9));
    let last = house.record("the killed one", |r| r["event"] == "finished" && r["signal"] == 9);
    assert_eq!(last["exit_source"], "shim");
}

#[test]
fn a_shim_that_is_killed_before_it_reports_leaves_an_end_that_is_unknown() {
    let house =
        House::with("{default_action: allow, on_unparsed: allow}", &["--exit-codes", "shim"]);
    let mut command = house.shimmed("sh");
    command.args(["-c", "echo ready; exec /bin/sleep 2"]).stdin(Stdio::null());
    let mut shim = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(shim.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    shim.kill().unwrap();
    assert_eq!(shim.wait().unwrap().signal(), Some(9));
    let finished = house.event("finished");
    let source = finished["exit_source"].as_str().unwrap();
    assert!(source.starts_with("unknown: the shim"), "{finished}");
    assert!(finished["exit_code"].is_null() && finished["signal"].is_null(), "{finished}");
}

#[test]
fn the_kernel_tells_exit_codes_where_it_can() {
    let house = House::new("rules: [{command: sh, action: allow}]");
    let status = house.json(&["status", "--json"]);
    let kernel = status["methods"]["exit_codes"].as_str().unwrap().contains("kernel");
    assert_eq!(house.shimmed("sh").args(["-c", "exit 9"]).status().unwrap().code(), Some(9));
    let finished = house.event("finished");
    assert_eq!(finished["exit_code"], 9);
    assert_eq!(finished["exit_source"], if kernel { "kernel" } else { "shim" });
}

fn alive(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}
