//! Warden, shim, tool and runner are killed at moments that nobody chose, over and over.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::other::children;
use crate::support::{House, text, until};
use crate::{Chance, books, people, setting};

const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: sh, action: allow}
  - {command: bash, action: allow, executor: local}
  - {command: tee, action: ask}
  - {command: dd, action: ask, executor: local}
";

/// Commands of a round.
const COMMANDS: u64 = 8;

/// One of every kind: each adds a line to a file of its own.
fn command(house: &House, name: &str, kind: u64) -> Child {
    let mark = house.path("marks").join(name).display().to_string();
    let (tool, args): (&str, Vec<String>) = match kind {
        0 => ("sh", vec!["-c".into(), format!("echo x >> {mark}; sleep 0.0$(($$ % 7)); : {mark}")]),
        1 => ("bash", vec!["-c".into(), format!("echo x >> {mark}; sleep 0.02 & wait; : {mark}")]),
        2 => ("tee", vec!["-a".into(), mark]),
        _ => (
            "dd",
            vec![
                "oflag=append".into(),
                "conv=notrunc".into(),
                "status=none".into(),
                format!("of={mark}"),
            ],
        ),
    };
    let mut shim = house.shimmed(tool);
    shim.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = shim.spawn().unwrap();
    // Whoever is killed reads nothing.
    let _ = child.stdin.take().unwrap().write_all(b"x\n");
    child
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// Kills one of them, and says whether that was the warden.
fn strike(house: &House, all: &[Child], chance: &mut Chance) -> bool {
    let any = |pids: &[String], chance: &mut Chance| -> Option<Pid> {
        let at = usize::try_from(chance.below((pids.len() as u64).max(1))).ok()?;
        pid(pids.get(at)?.parse().ok()?)
    };
    let victim = match chance.below(5) {
        0 | 1 => {
            kill_process(Pid::from_child(&house.warden), Signal::KILL).unwrap();
            return true;
        }
        2 => {
            // What was handed off is the tool by then.
            let at = usize::try_from(chance.below(all.len() as u64)).unwrap();
            Some(Pid::from_child(&all[at]))
        }
        3 => any(&children(house.warden.id()), chance),
        _ => {
            let runners = children(house.warden.id());
            let tools: Vec<String> =
                runners.iter().flat_map(|runner| children(runner.parse().unwrap_or(0))).collect();
            any(&tools, chance)
        }
    };
    // It may have ended by itself.
    let _ = victim.map(|victim| kill_process(victim, Signal::KILL));
    false
}

fn kills(rounds: u64, time: Duration) {
    let mut house = House::with(POLICY, &["--grace", "200ms"]);
    fs::create_dir(house.path("marks")).unwrap();
    let (mut chance, began, mut of_wardens) = (Chance(7), Instant::now(), 0);
    let mut done = 0;
    people::answering(&house.control(), || {
        while done < rounds && began.elapsed() < time {
            of_wardens += u64::from(round(&mut house, done, &mut chance));
            done += 1;
        }
    });
    assert!(house.shimmed("true").status().unwrap().success());
    until("nothing to run or to wait", || {
        let status = house.json(&["status", "--json"]);
        (status["running"] == 0 && status["pending"] == 0).then_some(())
    });
    let summary = books::holds(house.dir.path());
    let books = books::read(house.dir.path(), "marks/");
    let mut ran = 0;
    for entry in fs::read_dir(house.path("marks")).unwrap() {
        let entry = entry.unwrap();
        let name = format!("marks/{}", entry.file_name().into_string().unwrap());
        let lines = fs::read_to_string(entry.path()).unwrap().lines().count();
        assert!(lines <= 1, "{name} ran {lines} times");
        let started = books.marks.get(&name).copied().unwrap_or(0);
        assert!(started >= 1, "{name} ran without a record of its intent");
        ran += 1;
    }
    eprintln!(
        "{done} kills in {:.0} s, {of_wardens} of them of the warden; {} requests, {} started, {ran} ran; {} records",
        began.elapsed().as_secs_f64(),
        books.requested,
        books.started,
        summary.last_seq,
    );
}

/// One kill among some commands, all of which end; whether it was the warden's.
fn round(house: &mut House, round: u64, chance: &mut Chance) -> bool {
    let mut all: Vec<Child> = (0..COMMANDS)
        .map(|n| command(house, &format!("round-{round}-number-{n}."), n % 4))
        .collect();
    std::thread::sleep(Duration::from_micros(chance.below(40) * chance.below(40) * 60));
    let is_warden = strike(house, &all, chance);
    if is_warden {
        house.warden.wait().unwrap();
        house.is_silent();
        house.restart();
    }
    for child in &mut all {
        until("the shim to end", || child.try_wait().unwrap());
    }
    for (n, child) in all.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        let code = output.status.code();
        let said = text(&output.stderr);
        // By its tool, the warden's word, or the kill itself.
        assert!(matches!(code, None | Some(0 | 125 | 137)), "{round} {n}: {output:?}");
        assert!(code != Some(125) || said.lines().count() == 1, "{round} {n}: {said}");
        let is_made = house.path("marks").join(format!("round-{round}-number-{n}.")).exists();
        assert!(code != Some(0) || is_made, "{round} {n}: it says that it ran");
    }
    is_warden
}

#[test]
fn thirty_kills_lose_nothing_and_run_nothing_twice() {
    kills(30, Duration::from_secs(3600));
}

#[test]
#[ignore = "long: thousands of kills; `make soak` runs it"]
fn thousands_of_kills_lose_nothing_and_run_nothing_twice() {
    let time = Duration::from_secs(setting("CLAWRDEN_SOAK_SECONDS", 24 * 3600));
    kills(setting("CLAWRDEN_SOAK_KILLS", 5000), time);
}
