//! How ghosts end that do not end by themselves: nothing of them is left, whoever goes away.

use std::time::{Duration, Instant};

use crate::cell::{Cell, Plan};
use crate::support::{engine, text, until};

/// A tool that is hard to end: a daemon in a session of its own, and nobody heeds a signal.
const STUBBORN: &str = "trap '' TERM INT HUP; (trap '' TERM; setsid sleep 1000 &) ; touch ready; while :; do sleep 1; done";

fn running(cell: &Cell, script: &str) -> std::process::Child {
    let child = cell.start(script);
    until("the tool to run", || cell.work.path().join("ready").exists().then_some(()));
    assert_eq!(cell.ghosts().len(), 1);
    child
}

#[test]
fn a_ghost_that_runs_out_of_its_time_ends_whole() {
    let cell = Cell::new(&Plan { rule: ", timeout: 1s", ..Plan::default() });
    let begun = Instant::now();
    let output = cell.ghost(STUBBORN);
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("ran out of its time"));
    assert!(begun.elapsed() < Duration::from_secs(25));
    assert_eq!(cell.house.event("finished")["timed_out"], true);
    cell.is_clean();
}

#[test]
fn a_caller_that_goes_away_takes_its_ghost_along() {
    let cell = Cell::new(&Plan::default());
    let mut child = running(&cell, STUBBORN);
    cell.container.exec(&["/bin/busybox", "pkill", "-KILL", "sh"]).status().unwrap();
    child.wait().unwrap();
    assert_eq!(cell.house.event("finished")["cancelled"], true);
    cell.is_clean();
}

#[test]
fn a_prisoner_that_is_removed_takes_its_ghost_along() {
    let cell = Cell::new(&Plan::default());
    let mut child = running(&cell, STUBBORN);
    engine::get().say(&["rm", "-f", &cell.container.id]);
    child.wait().unwrap();
    cell.house.event("finished");
    cell.is_clean();
}

#[test]
fn the_kill_switch_ends_ghosts() {
    for scope in ["", "--jail", "--container"] {
        let cell = Cell::new(&Plan::default());
        let child = running(&cell, STUBBORN);
        let words: &[&str] = match scope {
            "--jail" => &["kill", scope, "box"],
            "--container" => &["kill", scope, &cell.container.id],
            _ => &["kill"],
        };
        assert!(cell.house.cli(words).status.success());
        let output = child.wait_with_output().unwrap();
        // Its container is ended, too, so who of both tells first is not said.
        assert_ne!(output.status.code(), Some(0), "{scope}: {}", text(&output.stderr));
        cell.house.event("finished");
        cell.is_clean();
        assert_ne!(cell.ghost("true").status.code(), Some(0));
        assert_eq!(cell.records("started").len(), 1);
    }
}

#[test]
fn a_paused_ghost_stands_still_and_goes_on() {
    let cell = Cell::new(&Plan::default());
    let child =
        running(&cell, "touch ready; while [ -e ready ]; do date +%s%N > tick; sleep 0.05; done");
    assert!(cell.house.cli(&["kill", "--pause"]).status.success());
    let tick = || std::fs::read_to_string(cell.work.path().join("tick")).unwrap();
    until("it to stand still", || {
        let before = tick();
        std::thread::sleep(Duration::from_millis(500));
        (before == tick()).then_some(())
    });
    let before = tick();
    assert!(cell.house.cli(&["resume"]).status.success());
    until("it to go on", || (tick() != before).then_some(()));
    std::fs::remove_file(cell.work.path().join("ready")).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    cell.is_clean();
}

#[test]
fn a_warden_that_is_killed_leaves_no_ghost_once_it_is_back() {
    let mut cell = Cell::new(&Plan::default());
    let child = running(&cell, STUBBORN);
    let ghost = cell.ghosts().remove(0);
    cell.house.crash();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("the warden went away"), "{}", text(&output.stderr));
    let there =
        |id: &str| engine::get().docker().args(["inspect", id]).output().unwrap().status.success();
    assert!(there(&ghost), "without a warden nobody removes it");
    cell.house.restart();
    until("the ghost to be reaped", || (!there(&ghost)).then_some(()));
    cell.is_clean();
    assert_eq!(cell.ghost("echo again").stdout, b"again\n");
}

#[test]
fn wherever_a_warden_is_killed_its_ghost_is_recorded_before_it_is_made_and_gone_once_it_is_back() {
    let mut cell = Cell::new(&Plan::default());
    let points = ["before_intent", "after_intent", "ghost_made", "runner_taken", "plan_sent"];
    for (at, point) in points.into_iter().enumerate() {
        cell.house.crash();
        cell.house.restart_with(&[("CLAWRDEN_CRASH_AT", point)]);
        let output = cell.ghost("sleep 1000");
        assert_eq!(output.status.code(), Some(125), "{point}: {}", text(&output.stderr));
        assert!(!cell.house.warden.wait().unwrap().success(), "{point}");
        let intents = cell.records("started").len();
        assert_eq!(intents, at, "{point}: each but the first is in the ledger");
        let ghosts = cell.ghosts().len();
        assert_eq!(ghosts, usize::from(at > 1), "{point}");
        cell.house.restart();
        cell.is_clean();
    }
    assert_eq!(cell.ghost("echo again").stdout, b"again\n");
}

#[test]
fn another_wardens_ghosts_are_left_alone() {
    let cell = Cell::new(&Plan::default());
    let child = running(&cell, "touch ready; while [ -e ready ]; do sleep 0.1; done; echo whole");
    let mut other = Cell::new(&Plan::default());
    other.house.crash();
    other.house.restart();
    assert_eq!(other.ghost("echo one").stdout, b"one\n");
    assert_eq!(cell.ghosts().len(), 1);
    std::fs::remove_file(cell.work.path().join("ready")).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"whole\n");
}

#[test]
fn of_two_wardens_that_are_killed_each_removes_its_own_ghosts_alone() {
    let [mut one, mut other] = [(); 2].map(|()| Cell::new(&Plan::default()));
    let children = [&one, &other].map(|cell| running(cell, STUBBORN));
    for cell in [&mut one, &mut other] {
        cell.house.crash();
    }
    for child in children {
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(125));
    }
    let left = one.ghosts();
    assert_eq!(left.len(), 1);
    other.house.restart();
    other.is_clean();
    assert_eq!(one.ghosts(), left, "it is another warden's");
    one.house.restart();
    one.is_clean();
}

#[test]
fn a_warden_that_goes_down_ends_its_ghosts_first() {
    let mut cell = Cell::new(&Plan::default());
    let child = running(&cell, "touch ready; sleep 1000");
    let warden = rustix::process::Pid::from_child(&cell.house.warden);
    rustix::process::kill_process(warden, rustix::process::Signal::TERM).unwrap();
    cell.house.warden.wait().unwrap();
    assert!(cell.ghosts().is_empty(), "it waited for them");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(125));
    assert_eq!(cell.records("finished").len(), 1);
}

#[test]
fn what_a_tool_leaves_behind_goes_with_its_ghost() {
    let cell = Cell::new(&Plan::default());
    let output = cell.ghost("(setsid sleep 1000 >/dev/null 2>&1 &); echo left");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"left\n"[..]));
    cell.is_clean();
}

#[test]
fn a_reader_that_is_slow_gets_everything_all_the_same() {
    let cell = Cell::new(&Plan::default());
    let script = "sh -c 'head -c 5000000 /dev/zero' | (/bin/sleep 4; /usr/bin/wc -c)";
    let output = cell.command(&[], &["/bin/sh", "-c", script]).output().unwrap();
    assert_eq!(text(&output.stdout).trim(), "5000000");
    cell.is_clean();
}

#[test]
fn an_engine_that_restarts_in_the_middle_ends_its_ghosts_and_serves_again() {
    let mut own = engine::Own::start();
    let alpine = own.engine.image("alpine");
    let work = crate::cell::workspace();
    let policy = format!(
        "default_action: allow\non_unparsed: allow\nghost_images: {{'*': '{alpine}'}}\njails: {{default: {{workspace: {}}}}}\n\
         rules:\n  - {{command: '*', action: allow, executor: ghost}}\n",
        work.path().display()
    );
    let house = crate::support::House::with(&policy, &["--engine", &own.engine.address]);
    let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(house.dir.path(), open).unwrap();
    let ghost = |script: &str| {
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--reuid=1000", "--regid=1000", "--clear-groups"])
            .arg(house.bin().join("sh"));
        command.args(["-c", script]);
        house.governed(&mut command).current_dir(work.path());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let child = ghost("touch ready; while :; do sleep 1; done");
    until("the tool to run", || work.path().join("ready").exists().then_some(()));
    own.stop();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    house.event("finished");
    let denied = ghost("true").wait_with_output().unwrap();
    assert_eq!(denied.status.code(), Some(126), "{}", text(&denied.stderr));
    own.restart();
    until("no ghost to be left", || own.engine.labelled("clawrden.ghost").is_empty().then_some(()));
    let again = ghost("echo again").wait_with_output().unwrap();
    assert_eq!(text(&again.stdout), "again\n", "{}", text(&again.stderr));
    until("no ghost to be left", || own.engine.labelled("clawrden.ghost").is_empty().then_some(()));
}
