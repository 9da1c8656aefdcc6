//! One runner for one run after the other: each finds it as the first one did.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use clawrden_protocol::frame::Status;
use clawrden_protocol::runner::{FromRunner, Plan};
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

/// Whether the bytes lie anywhere in a process's memory.
fn remembers(pid: u32, bytes: &[u8]) -> bool {
    const PAGE: usize = 4096;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    maps.lines().any(|line| {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
        let mut all = vec![0; usize::try_from(to - from).unwrap()];
        for (page, at) in all.chunks_mut(PAGE).zip((from..).step_by(PAGE)) {
            // Pages that were never used, or are the kernel's, cannot be read.
            let _ = memory.read_exact_at(page, at);
        }
        holds(&all, bytes)
    })
}

fn holds(all: &[u8], bytes: &[u8]) -> bool {
    let starts = all.iter().enumerate().filter(|&(_, b)| *b == bytes[0]);
    starts.into_iter().any(|(at, _)| all[at..].starts_with(bytes))
}

#[test]
fn nothing_of_a_run_stays_in_the_runners_memory() {
    let shim = support::raw();
    let warden = Warden::new();
    let mut runner = Runner::bare(shim);
    let maps = |runner: &Runner| fs::read(format!("/proc/{}/maps", runner.child.id())).unwrap();
    support::until(|| runner.waits());
    let before = maps(&runner);
    for fillers in [0, 20] {
        let filler = |n: i32| format!("F{n}={}", "x".repeat(100_000)).into_bytes();
        let mut env: Vec<Vec<u8>> = (0..fillers).map(filler).collect();
        env.push(b"TOKEN=open-sesame-in-env".to_vec());
        let output = played(warden.command(shim, &[]), || {
            let (client, _) = warden.asked();
            let go = warden.folder.path().join(fillers.to_string());
            let script = format!("until [ -e {} ]; do sleep 0.01; done", go.display());
            let argv = ["sh", "-c", &script, "open-sesame-in-argv"];
            let plan = Plan { env, ..plan(&argv) };
            runner.give(client.stream, &plan, "/bin/sh");
            runner.started();
            assert!(remembers(runner.child.id(), b"open-sesame-in-env"));
            fs::write(go, "").unwrap();
            assert_eq!(runner.finished().0, Status::Exited(0));
        });
        assert!(output.status.success(), "{output:?}");
        assert_eq!(runner.message(), Some(FromRunner::Idle));
        support::until(|| runner.waits());
        for secret in ["open-sesame-in-env", "open-sesame-in-argv"] {
            assert!(!remembers(runner.child.id(), secret.as_bytes()), "{secret} {fillers}");
        }
        assert_eq!(text(&maps(&runner)), text(&before));
    }
}
