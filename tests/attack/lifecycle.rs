//! Ends that reach everything: kill, cancel, disconnect, timeout and shutdown leave nothing of a supervised run, and
//! hit nothing else.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::nothing_started;
use crate::support::client::header;
use crate::support::other::{all_gone, is_alive, is_root, pids_in};
use crate::support::{House, raw, text, until};

const POLICY: &str = "
default_action: allow
on_unparsed: allow
rules:
  - {command: sh, action: allow, executor: local}
  - {command: [sleep, 'true'], action: allow}
  - {command: bash, action: allow, executor: local, timeout: 1s}
  - {command: touch, action: ask}
";

/// Ways to get away, each of which writes its pid: a child, a daemon, a daemon of a daemon, one that hears no SIGTERM.
fn flee(file: &std::path::Path) -> String {
    let file = file.display();
    let stay = "while :; do sleep 0.2; done";
    format!(
        "sh -c 'echo $$ >> {file}; {stay}' & \
         (setsid sh -c 'echo $$ >> {file}; {stay}' </dev/null >/dev/null 2>&1 &); \
         (setsid sh -c '(setsid sh -c \"echo \\$\\$ >> {file}; {stay}\" &) ; exit' &); \
         (setsid sh -c 'trap \"\" TERM HUP INT; echo $$ >> {file}; {stay}' &); \
         trap '' TERM; echo $$ >> {file}; {stay}"
    )
}

/// How many [`flee`] makes.
const FLEEING: usize = 5;

fn with_grace() -> House {
    House::with(POLICY, &["--grace", "300ms"])
}

/// A plain `PATH`: what flees here is not governed tool by tool.
fn plain(house: &House, shell: &str) -> Command {
    let mut command = house.shimmed(shell);
    command.env("PATH", std::env::var("PATH").unwrap()).stdout(Stdio::null());
    command
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn the_kill_switch_takes_daemons_and_their_daemons() {
    let house = with_grace();
    let file = house.path("pids");
    let mut child =
        plain(&house, "sh").args(["-c", &flee(&file)]).stderr(Stdio::null()).spawn().unwrap();
    let pids = pids_in(&file, FLEEING);
    assert!(house.cli(&["kill"]).status.success());
    assert_eq!(child.wait().unwrap().code(), Some(125));
    all_gone(&pids);
    let finished = house.event("finished");
    assert_eq!(finished["id"], house.event("started")["id"]);
}

#[test]
fn a_timeout_takes_them_too() {
    let house = with_grace();
    let file = house.path("pids");
    let output = plain(&house, "bash").args(["-c", &flee(&file)]).output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
    all_gone(&pids_in(&file, FLEEING));
}

#[test]
fn a_client_that_is_killed_takes_them_along() {
    let house = with_grace();
    let file = house.path("pids");
    let mut child =
        plain(&house, "sh").args(["-c", &flee(&file)]).stderr(Stdio::null()).spawn().unwrap();
    let pids = pids_in(&file, FLEEING);
    child.kill().unwrap();
    child.wait().unwrap();
    all_gone(&pids);
    assert_eq!(house.event("finished")["cancelled"], true);
}

#[test]
fn a_version_1_client_that_cancels_or_hangs_up_takes_them_along() {
    for cancel in [true, false] {
        let house = with_grace();
        let file = house.path("pids");
        let request = header("sh", &["-c", &flee(&file)], house.dir.path());
        let mut stream = raw::connect(&house.socket());
        stream.write_all(&raw::framed(request.to_string().as_bytes())).unwrap();
        let pids = pids_in(&file, FLEEING);
        if cancel {
            stream.write_all(&[4, 0, 0, 0, 0]).unwrap();
        }
        let held = cancel.then_some(stream);
        all_gone(&pids);
        assert_eq!(house.event("finished")["cancelled"], true);
        drop(held);
    }
}

#[test]
fn a_tool_that_hears_no_sigterm_is_killed_after_the_grace_and_not_before() {
    let house = House::with(POLICY, &["--grace", "1s"]);
    let file = house.path("pids");
    let script = format!(
        "trap 'echo heard >> {0}' TERM; echo $$ >> {0}; while :; do sleep 0.05; done",
        file.display()
    );
    let mut child =
        plain(&house, "sh").args(["-c", &script]).stderr(Stdio::null()).spawn().unwrap();
    let pids = pids_in(&file, 1);
    let start = Instant::now();
    child.kill().unwrap();
    child.wait().unwrap();
    until("SIGTERM to be heard", || {
        fs::read_to_string(&file).unwrap().contains("heard").then_some(())
    });
    all_gone(&pids);
    let took = start.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    assert_eq!(house.event("finished")["signal"], 9);
}

#[test]
fn a_shutdown_ends_in_bounded_time_whatever_is_under_way() {
    let mut house = House::with(POLICY, &["--grace", "500ms"]);
    let file = house.path("pids");
    let supervised =
        plain(&house, "sh").args(["-c", &flee(&file)]).stderr(Stdio::piped()).spawn().unwrap();
    let pids = pids_in(&file, FLEEING);
    let mut mirrored = house.shimmed("sleep").arg("300").spawn().unwrap();
    until("both to run", || (house.json(&["status", "--json"])["running"] == 2).then_some(()));
    let waiting = house.shimmed("touch").arg("mark").stderr(Stdio::piped()).spawn().unwrap();
    house.pending();
    let half_open = raw::connect(&house.socket());
    let start = Instant::now();
    signal(house.warden.id(), Signal::TERM);
    let status = house.warden.wait().unwrap();
    assert!(
        status.success() && start.elapsed() < Duration::from_secs(8),
        "{status}, {:?}",
        start.elapsed()
    );
    all_gone(&pids);
    let output = supervised.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(!house.path("mark").exists());
    assert!(mirrored.try_wait().unwrap().is_none(), "what was handed off is the prisoner's own");
    mirrored.kill().unwrap();
    mirrored.wait().unwrap();
    drop(half_open);
    assert_eq!(house.ledger().last().unwrap()["event"], "warden_stopped");
}

#[test]
fn the_kill_switch_is_thrown_for_those_who_come_while_it_works() {
    let house = with_grace();
    let file = house.path("pids");
    let mut child =
        plain(&house, "sh").args(["-c", &flee(&file)]).stderr(Stdio::null()).spawn().unwrap();
    let pids = pids_in(&file, FLEEING);
    let (mut waiting, short) = {
        let child = house.shimmed("touch").arg("mark").stderr(Stdio::null()).spawn().unwrap();
        (child, house.pending()["short"].as_str().unwrap().to_owned())
    };
    std::thread::scope(|scope| {
        let kill = scope.spawn(|| house.cli(&["kill"]));
        until("the switch", || {
            (house.json(&["status", "--json"])["stopped"].is_object()).then_some(())
        });
        // A yes while it is thrown runs nothing either.
        let _ = house.cli(&["approve", &short]);
        assert_eq!(house.shimmed("true").stderr(Stdio::null()).status().unwrap().code(), Some(126));
        assert!(kill.join().unwrap().status.success());
    });
    child.wait().unwrap();
    all_gone(&pids);
    until("the waiting one to end", || waiting.try_wait().unwrap());
    assert!(!house.path("mark").exists());
    assert_eq!(house.events("started").len(), 1);
}

#[test]
fn a_number_that_belongs_to_another_process_by_now_is_not_hit() {
    let house = with_grace();
    let last = fs::read_to_string("/proc/sys/kernel/ns_last_pid");
    let mut child = house.shimmed("sleep").arg("300").spawn().unwrap();
    house.event("started");
    let pid = child.id();
    child.kill().unwrap();
    child.wait().unwrap();
    house.event("finished");
    // The next process gets the number, where the kernel lets one say so and nobody else is faster.
    let set = || fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_ok();
    let other = if is_root() && last.is_ok() {
        (0..200).find_map(|_| {
            let mut other = set().then(|| Command::new("sleep").arg("300").spawn().unwrap())?;
            if other.id() == pid {
                return Some(other);
            }
            other.kill().unwrap();
            other.wait().unwrap();
            None
        })
    } else {
        None
    };
    let Some(mut other) = other else {
        eprintln!("not tried: the number could not be had again");
        return;
    };
    assert!(house.cli(&["kill"]).status.success());
    assert!(is_alive(&pid.to_string()), "a stranger was hit");
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn an_approval_for_a_caller_whose_number_is_anothers_by_now_runs_nothing() {
    let house = House::new(POLICY);
    let mut child = house.shimmed("touch").arg("mark").stderr(Stdio::null()).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    // Stopped, it cannot say that it goes; killed and reaped at the moment of the answer, it is nobody.
    signal(child.id(), Signal::STOP);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let _ = house.cli(&["approve", &short]);
    until("its end to be known", || {
        house
            .ledger()
            .into_iter()
            .find(|r| matches!(r["event"].as_str(), Some("caller_left" | "failed" | "parked")))
    });
    assert!(!house.path("mark").exists());
    nothing_started(&house);
}

#[test]
fn a_client_that_leaves_before_it_sends_its_descriptors_starts_nothing() {
    let house = House::new(POLICY);
    let mark = house.path("mark");
    let script = format!(": > {}", mark.display());
    let mut stream = raw::connect(&house.socket());
    let request = raw::request(house.dir.path(), &["sh", "-c", &script], &raw::path());
    stream.write_all(&request).unwrap();
    assert_eq!(raw::ack(&mut stream), Some(0));
    drop(stream);
    let finished = house.event("finished");
    assert!(finished["exit_code"].is_null(), "{finished}");
    assert!(!mark.exists());
}

#[test]
fn a_signal_from_a_client_reaches_no_process_but_its_own_tool() {
    let house = House::new(POLICY);
    let mut bystander = Command::new("sleep").arg("300").spawn().unwrap();
    let mut stream = raw::connect(&house.socket());
    let request = raw::request(house.dir.path(), &["sh", "-c", "sleep 300"], &raw::path());
    stream.write_all(&request).unwrap();
    assert_eq!(raw::ack(&mut stream), Some(0));
    assert_eq!(raw::frame(&mut stream).unwrap().0, 37);
    let dir = fs::File::open(house.dir.path()).unwrap();
    raw::send_descriptors(&stream, std::os::fd::AsFd::as_fd(&dir));
    // Every number there is, and some that are none; KILL and STOP are nobody's to pass on.
    for number in (0..=255).rev() {
        if stream.write_all(&[19, 0, 0, 0, 1, number]).is_err() {
            break;
        }
    }
    house.event("finished");
    assert!(bystander.try_wait().unwrap().is_none());
    assert!(is_alive(&house.warden.id().to_string()));
    crate::serves(&house);
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
