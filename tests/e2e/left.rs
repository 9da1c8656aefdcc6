//! What a warden handed off runs on when the warden is killed; the next one finds it, ends it, freezes it, and says how it
//! ended. Nobody of it is a registered prisoner: these have put the shims on PATH themselves.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{House, text, until};

/// `bash` has a cgroup of its own where one can be had, `sh` has none.
const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: bash, action: allow, timeout: 10m}
  - {command: sh, action: allow}
  - {command: sleep, action: allow, timeout: 4s}
";

/// A tool that writes all the time.
struct Beating {
    child: Child,
    beats: PathBuf,
}

impl Beating {
    fn new(house: &House, tool: &str) -> Self {
        let beats = house.path(&format!("beats-{tool}"));
        let script = format!("while :; do echo x >>{}; /bin/sleep 0.01; done", beats.display());
        let child = house.shimmed(tool).args(["-c", &script]).spawn().unwrap();
        let it = Self { child, beats };
        until("a beat", || (it.count() > 0).then_some(()));
        is_written(house, &it.child);
        it
    }

    fn count(&self) -> u64 {
        std::fs::metadata(&self.beats).map_or(0, |about| about.len())
    }

    fn goes_on(&self) {
        let before = self.count();
        until("it to go on", || (self.count() > before).then_some(()));
    }

    /// Whether it wrote nothing for a while in which it would have written often.
    fn stands(&self) -> bool {
        let before = self.count();
        std::thread::sleep(Duration::from_millis(500));
        self.count() == before
    }

    fn was_ended(&mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.signal().is_some(), "{status}");
    }
}

impl Drop for Beating {
    /// Of a test that fails nothing goes on for ever.
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Waits until it is written down that this tool runs.
fn is_written(house: &House, tool: &Child) {
    let pid = format!("\"pid\":{},", tool.id());
    until("it to be written down", || {
        let kept = std::fs::read_to_string(house.path("ledger.jsonl.handed.jsonl")).ok()?;
        kept.contains(&pid).then_some(())
    });
}

fn running(house: &House) -> Vec<Value> {
    house.json(&["ps", "--json"])["entries"].as_array().unwrap().clone()
}

fn nothing_runs(house: &House) {
    until("nothing to run", || running(house).is_empty().then_some(()));
}

fn ends(house: &House) -> Vec<Value> {
    house.events("finished")
}

/// A warden that was killed, the next one, and two tools of the first.
fn left() -> (House, [Beating; 2]) {
    let mut house = House::new(POLICY);
    let tools = ["bash", "sh"].map(|tool| Beating::new(&house, tool));
    house.crash();
    house.restart();
    tools.iter().for_each(Beating::goes_on);
    (house, tools)
}

#[test]
fn what_a_killed_warden_had_handed_off_is_listed_and_ended_by_kill() {
    let (house, mut tools) = left();
    let listed = running(&house);
    assert_eq!(listed.len(), 2, "{listed:?}");
    for (one, Beating { child, beats }) in listed.iter().zip(&tools) {
        let tool = beats.file_name().unwrap().to_str().unwrap().trim_start_matches("beats-");
        assert_eq!((&one["argv"][0], &one["argv"][1]), (&json!(tool), &json!("-c")), "{one}");
        assert_eq!((&one["caller"]["pid"], &one["state"]), (&json!(child.id()), &json!("running")));
        assert_eq!((&one["executor"], &one["cooperative"]), (&json!("mirror"), &json!(true)));
        assert_eq!(one["jail"], "default");
        assert!(one["rule"].as_str().unwrap().starts_with("policy.yaml:"), "{one}");
        assert!(one["processes"].as_u64() > Some(0), "{one}");
    }
    let told = house.json(&["kill", "--json"]);
    assert_eq!((&told["problems"], &told["processes"]), (&json!([]), &json!(2)), "{told}");
    tools.iter_mut().for_each(Beating::was_ended);
    nothing_runs(&house);
    let mut ended: Vec<String> = ends(&house).iter().map(|end| end["id"].to_string()).collect();
    ended.sort_unstable();
    let mut wanted: Vec<String> = listed.iter().map(|one| one["id"].to_string()).collect();
    wanted.sort_unstable();
    assert_eq!(ended, wanted, "each has one end");
    let kept = std::fs::read_to_string(house.path("ledger.jsonl.handed.jsonl")).unwrap();
    assert_eq!(kept.matches("ended").count(), 2, "{kept}");
}

#[test]
fn it_stands_by_a_pause_goes_on_by_resume_and_is_stopped_alone() {
    let (house, mut tools) = left();
    assert!(house.cli(&["kill", "--pause"]).status.success());
    for tool in &tools {
        until("it to stand", || tool.stands().then_some(()));
    }
    assert!(running(&house).iter().all(|one| one["state"] == "paused"));
    assert_eq!(house.json(&["resume", "--json"])["problems"], json!([]));
    tools.iter().for_each(Beating::goes_on);
    let [first, second] = &mut tools;
    let all = running(&house);
    let of_first = all.iter().find(|one| one["caller"]["pid"] == first.child.id()).unwrap();
    let stopped = house.cli(&["stop", of_first["id"].as_str().unwrap()]);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    first.was_ended();
    second.goes_on();
    second.child.kill().unwrap();
    second.was_ended();
}

#[test]
fn what_was_frozen_when_its_warden_was_killed_is_followed_again_once_it_goes_on() {
    let mut house = House::new(POLICY);
    let mut tool = Beating::new(&house, "sh");
    assert!(house.cli(&["kill", "--pause"]).status.success());
    until("it to stand", || tool.stands().then_some(()));
    for _ in 0..2 {
        house.crash();
        house.restart();
    }
    assert!(tool.stands(), "a restart lets nothing go on");
    assert_eq!(house.json(&["resume", "--json"])["problems"], json!([]));
    tool.goes_on();
    assert_eq!(running(&house).len(), 1);
    assert_eq!(house.json(&["kill", "--json"])["problems"], json!([]));
    tool.was_ended();
}

#[test]
fn the_next_warden_says_how_it_ended_and_after_which_time() {
    let mut house = House::new(POLICY);
    let begun = Instant::now();
    let mut sh = house.shimmed("sh");
    let mut tool = sh.args(["-c", "read -r line; exit 7"]).stdin(Stdio::piped()).spawn().unwrap();
    let started = house.event("started");
    is_written(&house, &tool);
    house.crash();
    let before = begun.elapsed();
    house.restart();
    assert_eq!(running(&house)[0]["id"], started["id"]);
    drop(tool.stdin.take());
    assert_eq!(tool.wait().unwrap().code(), Some(7));
    let finished = house.event("finished");
    assert_eq!(finished["id"], started["id"]);
    let methods = house.json(&["status", "--json"])["methods"].clone();
    if methods["exit_codes"].as_str().unwrap().contains("kernel") {
        let told = (&finished["exit_code"], &finished["exit_source"]);
        assert_eq!(told, (&json!(7), &json!("kernel")));
    } else {
        assert!(finished["exit_source"].as_str().unwrap().starts_with("unknown: "), "{finished}");
    }
    // It began a moment after it was asked for; milliseconds are cut.
    let took = Duration::from_millis(finished["duration_ms"].as_u64().unwrap());
    assert!(took + Duration::from_secs(1) > before, "{took:?} of {before:?}");
    nothing_runs(&house);
    house.crash();
    house.restart();
    nothing_runs(&house);
    assert_eq!(ends(&house).len(), 1);
}

#[test]
fn it_runs_out_of_its_time_also_by_the_next_warden() {
    let mut house = House::new(POLICY);
    let begun = Instant::now();
    let mut tool = house.shimmed("sleep").arg("1000").spawn().unwrap();
    is_written(&house, &tool);
    house.crash();
    house.restart();
    assert_eq!(tool.wait().unwrap().signal(), Some(15));
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(house.event("finished")["timed_out"], true);
}

#[test]
fn after_a_warden_that_went_down_in_good_order_it_is_reached_and_its_end_stays_unknown() {
    let mut house = House::new(POLICY);
    let mut tool = Beating::new(&house, "sh");
    let pid = Pid::from_raw(i32::try_from(house.warden.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(house.warden.wait().unwrap().success());
    house.restart();
    tool.goes_on();
    assert_eq!(running(&house).len(), 1);
    assert_eq!(house.json(&["kill", "--json"])["problems"], json!([]));
    tool.was_ended();
    nothing_runs(&house);
    let ends = ends(&house);
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert_eq!(ends[0]["exit_source"], "unknown: the warden went down");
}
