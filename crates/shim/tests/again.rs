//! One runner for one run after the other: each finds it as the first one did.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use clawrden_protocol::frame::Status;
use clawrden_protocol::runner::FromRunner;
use support::{Runner, Warden, plan, played, shims, text};

/// What a tool can see of the runner that it runs under.
const LOOK: &str = "echo $PPID; ls /proc/self/fd; ulimit -Sn; ulimit -Hn; grep -e '^Sig[PBIC]' -e ^NoNew /proc/self/status";

/// The descriptors of the runner itself, and what each is.
fn held(runner: &Runner) -> Vec<String> {
    let folder = format!("/proc/{}/fd", runner.child.id());
    let mut held: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|fd| format!("{}: {}", fd.display(), fs::read_link(&fd).unwrap().display()))
        .collect();
    held.sort();
    held
}

fn look(shim: &Path, warden: &Warden, runner: &mut Runner) -> String {
    let output = played(warden.command(shim, &[]), || {
        let (client, _) = warden.asked();
        runner.give(client.stream, &plan(&["sh", "-c", LOOK]), "/bin/sh");
        runner.started();
        assert_eq!(runner.finished().0, Status::Exited(0));
    });
    assert!(output.status.success(), "{output:?}");
    assert_eq!(runner.message(), Some(FromRunner::Idle));
    text(&output.stdout)
}

#[test]
fn the_next_run_finds_nothing_of_the_one_before() {
    for shim in shims() {
        let warden = Warden::new();
        let mut runner = Runner::bare(&shim);
        let first = look(&shim, &warden, &mut runner);
        // It waits for its plan again once it has done what a new program does.
        support::until(|| runner.waits());
        let before = held(&runner);
        for _ in 0..20 {
            assert_eq!(look(&shim, &warden, &mut runner), first);
        }
        support::until(|| runner.waits());
        assert_eq!(held(&runner), before);
        drop(runner.socket);
        assert_eq!(runner.child.wait().unwrap().code(), Some(1));
    }
}

#[test]
fn an_idle_runner_that_is_told_to_stop_runs_nothing_more() {
    for shim in shims() {
        let warden = Warden::new();
        let mut runner = Runner::bare(&shim);
        look(&shim, &warden, &mut runner);
        runner.stop(125, "", true);
        runner.child.wait().unwrap();
        assert_eq!(runner.message(), None);
    }
}
