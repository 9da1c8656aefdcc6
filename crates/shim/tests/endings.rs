//! How a runner ends what it has started: all of the tree, politely first, for whatever reason.

#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use clawrden_protocol::frame::Status;
use clawrden_protocol::runner::{FromRunner, Plan};
use support::{Runner, Warden, alive, plan, played, shims, text, until};

#[test]
fn a_background_child_does_not_hold_up_the_end_and_stays_under_the_runner() {
    for shim in shims() {
        let warden = Warden::new();
        let plan = plan(&["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"]);
        let begun = Instant::now();
        let mut runner = None;
        let output = played(warden.command(&shim, &[]), || {
            let (client, _) = warden.asked();
            let mut started = Runner::start(&shim, client.stream, &plan, "/bin/sh");
            started.started();
            assert_eq!(started.finished().0, Status::Exited(0));
            runner = Some(started);
        });
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert_eq!(output.status.code(), Some(0));
        let sleeper: u32 = text(&output.stdout).trim().parse().unwrap();
        assert!(alive(sleeper));
        let mut runner = runner.unwrap();
        runner.stop(125, "", true);
        runner.gone();
        assert!(!alive(sleeper));
    }
}

#[test]
fn stop_ends_daemons_that_were_forked_twice_and_ignore_the_polite_signal() {
    for shim in shims() {
        let warden = Warden::new();
        let pids = warden.folder.path().join("pids");
        let daemon = format!(
            "trap '' TERM HUP; (setsid sh -c 'trap \"\" TERM; echo $$ >>{0}; while :; do sleep 1; done' &); \
             echo $$ >>{0}; while :; do sleep 0.1; done",
            pids.display()
        );
        for now in [false, true] {
            let _ = std::fs::remove_file(&pids);
            let plan = plan(&["sh", "-c", &daemon]);
            let output = played(warden.command(&shim, &[]), || {
                let (client, _) = warden.asked();
                let mut runner = Runner::start(&shim, client.stream, &plan, "/bin/sh");
                runner.started();
                until(|| std::fs::read_to_string(&pids).is_ok_and(|p| p.lines().count() == 2));
                runner.stop(124, "timed out after 1 s", now);
                assert_eq!(runner.finished().0, Status::Killed(9));
                runner.gone();
            });
            assert_eq!(output.status.code(), Some(124));
            assert_eq!(text(&output.stderr), "clawrden: timed out after 1 s\n");
            for pid in std::fs::read_to_string(&pids).unwrap().lines() {
                assert!(!alive(pid.parse().unwrap()), "{pid} lives");
            }
        }
    }
}

#[test]
fn stop_is_polite_first() {
    for shim in shims() {
        let warden = Warden::new();
        let mut plan = plan(&[
            "sh",
            "-c",
            "trap 'echo bye; exit 9' TERM; echo on; while :; do sleep 0.01; done",
        ]);
        plan.grace_ms = 20_000;
        let mut child = warden
            .command(&shim, &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (client, _) = warden.asked();
        let mut runner = Runner::start(&shim, client.stream, &plan, "/bin/sh");
        runner.started();
        let mut room = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut room).unwrap();
        runner.stop(124, "time", false);
        assert_eq!(runner.finished().0, Status::Exited(9));
        let output = child.wait_with_output().unwrap();
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("bye\n", Some(124)));
    }
}

#[test]
fn a_caller_that_goes_away_takes_its_tree_with_it() {
    for shim in shims() {
        let warden = Warden::new();
        let plan = plan(&["sh", "-c", "sleep 60 & echo $!; wait"]);
        let mut child = warden.command(&shim, &[]).stdout(Stdio::piped()).spawn().unwrap();
        let (client, _) = warden.asked();
        let mut runner = Runner::start(&shim, client.stream, &plan, "/bin/sh");
        runner.started();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let (_, _, cancelled) = runner.finished();
        assert!(cancelled);
        runner.gone();
        assert!(!alive(line.trim().parse().unwrap()));
    }
}

#[test]
fn a_warden_that_goes_away_takes_the_tree_with_it_and_the_caller_is_told() {
    for shim in shims() {
        let warden = Warden::new();
        let plan = plan(&["sleep", "60"]);
        let output = played(warden.command(&shim, &[]), || {
            let (client, _) = warden.asked();
            let mut runner = Runner::start(&shim, client.stream, &plan, "/bin/sleep");
            let pid = runner.started();
            runner.socket.shutdown(std::net::Shutdown::Both).unwrap();
            assert!(runner.child.wait().unwrap().success());
            assert!(!alive(pid));
        });
        assert_eq!(output.status.code(), Some(125));
        assert_eq!(text(&output.stderr), "clawrden: the warden went away; the command was ended\n");
    }
}

#[test]
fn stop_ends_a_start_that_waits_for_a_client_that_says_nothing() {
    for shim in shims() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let plan = Plan { grace_ms: 60_000, ..plan(&["true"]) };
        let mut runner = Runner::start(&shim, theirs, &plan, "/bin/true");
        runner.stop(125, "killed", false);
        assert!(matches!(
            runner.message(),
            Some(FromRunner::Failed { code: 125, text }) if text == b"killed"
        ));
        runner.gone();
        drop(ours);
    }
}
