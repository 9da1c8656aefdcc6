//! Streams that travel as frames: through shim and runner, and to clients of version 1.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use clawrden_protocol::frame::{FromClient, Status, ToClient, parse_head};
use clawrden_protocol::runner::{FromRunner, Plan, Streams};
use support::{Runner, Warden, alive, open, plan, played, shims, text, until};

fn framed(argv: &[&str]) -> Plan {
    Plan { streams: Streams::Frames, ..plan(argv) }
}

/// Runs a plan through shim and runner with `input` on standard input; gives output and what the runner said.
fn run(shim: &Path, plan: &Plan, executable: &str, input: &[u8]) -> (Output, (Status, u64, bool)) {
    let warden = Warden::new();
    let mut child = warden
        .command(shim, &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (client, _) = warden.asked();
    let mut runner = Runner::start(shim, client.stream, plan, executable);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A tool need not read all of it.
            let _ = stdin.write_all(input);
        });
        let waiting = scope.spawn(|| child.wait_with_output().unwrap());
        runner.started();
        let finished = runner.finished();
        (waiting.join().unwrap(), finished)
    })
}

fn shell(shim: &Path, script: &str, input: &[u8]) -> (Output, (Status, u64, bool)) {
    run(shim, &framed(&["sh", "-c", script]), "/bin/sh", input)
}

#[test]
fn input_output_and_errors_go_their_ways_and_are_counted() {
    for shim in shims() {
        let (output, (status, bytes_out, _)) =
            shell(&shim, "cat; echo err >&2; exit 3", b"in\xff\0");
        assert_eq!(output.stdout, b"in\xff\0");
        assert_eq!(output.stderr, b"err\n");
        assert_eq!((output.status.code(), status, bytes_out), (Some(3), Status::Exited(3), 8));
    }
}

#[test]
fn many_mebibytes_go_both_ways_unharmed() {
    let mut bytes = vec![0; 24 << 20];
    let mut state = 1u32;
    for byte in &mut bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = state.to_be_bytes()[0];
    }
    for shim in shims() {
        let (output, (_, count, _)) = run(&shim, &framed(&["cat"]), "/bin/cat", &bytes);
        assert!(output.stdout == bytes, "{} bytes came", output.stdout.len());
        assert_eq!(count, 24 << 20);
    }
}

#[test]
fn input_that_nobody_reads_holds_nothing_up() {
    for shim in shims() {
        let (output, _) = shell(&shim, "echo done; exit 4", &vec![b'x'; 4 << 20]);
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("done\n", Some(4)));
        let (output, _) = shell(&shim, "exec <&-; sleep 0.1; echo done", &vec![b'x'; 4 << 20]);
        assert_eq!(text(&output.stdout), "done\n");
    }
}

#[test]
fn deaths_by_signal_are_deaths_by_signal() {
    for shim in shims() {
        for signal in [9, 11, 15] {
            let (output, _) = shell(&shim, &format!("kill -{signal} $$"), b"");
            assert_eq!(output.status.signal(), Some(signal));
        }
    }
}

#[test]
fn a_background_child_that_writes_on_does_not_hold_up_the_end() {
    for shim in shims() {
        let (output, _) = shell(&shim, "(while :; do echo noise; done) & echo first; exit 0", b"");
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("first\n"));
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_tool_as_it_would_natively() {
    for shim in shims() {
        let warden = Warden::new();
        let line = format!("{} | head -1; echo ${{PIPESTATUS[0]}}", shim.display());
        let mut command = Command::new("bash");
        command.args(["-c", &line]).env("CLAWRDEN_SOCKET", warden.socket()).stdin(Stdio::null());
        let output = played(command, || {
            let (client, _) = warden.asked();
            let mut runner = Runner::start(&shim, client.stream, &framed(&["yes"]), "/usr/bin/yes");
            runner.started();
            assert_eq!(runner.finished().0, Status::Killed(13));
        });
        assert_eq!(text(&output.stdout), "y\n141\n");
    }
}

#[test]
fn signals_arrive_while_output_is_stuck() {
    for shim in shims() {
        let warden = Warden::new();
        let mut child = warden.command(&shim, &[]).stdout(Stdio::piped()).spawn().unwrap();
        let (client, _) = warden.asked();
        let mut runner = Runner::start(&shim, client.stream, &framed(&["yes"]), "/usr/bin/yes");
        runner.started();
        std::thread::sleep(Duration::from_millis(200));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let mut out = child.stdout.take().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let mut all = Vec::new();
        out.read_to_end(&mut all).unwrap();
        assert!(all.len() < 4 << 20, "{} bytes were held", all.len());
        assert_eq!(child.wait().unwrap().signal(), Some(2));
        assert_eq!(runner.finished().0, Status::Killed(2));
    }
}

#[test]
fn a_signal_is_not_held_up_for_long_by_input_that_nobody_reads() {
    for shim in shims() {
        let warden = Warden::new();
        let mut child = warden.command(&shim, &[]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (client, _) = warden.asked();
        let mut runner =
            Runner::start(&shim, client.stream, &framed(&["sleep", "60"]), "/bin/sleep");
        runner.started();
        std::thread::spawn(move || while stdin.write_all(&[b'x'; 65536]).is_ok() {});
        std::thread::sleep(Duration::from_millis(300));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(2));
        assert!(matches!(runner.finished(), (Status::Killed(2 | 15), ..)));
        runner.gone();
    }
}

/// Clock ticks of a process's own work so far.
fn work(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn whoever_waits_does_no_work() {
    let inputs: [fn() -> Stdio; 3] = [Stdio::null, Stdio::piped, pipe_that_ended];
    for shim in shims() {
        for input in inputs {
            let warden = Warden::new();
            let mut child =
                warden.command(&shim, &[]).stdin(input()).stdout(Stdio::piped()).spawn().unwrap();
            let (client, _) = warden.asked();
            let script = "exec <&-; yes | head -c 3000000 & sleep 60";
            let mut runner =
                Runner::start(&shim, client.stream, &framed(&["sh", "-c", script]), "/bin/sh");
            runner.started();
            std::thread::sleep(Duration::from_millis(300));
            let before = (work(child.id()), work(runner.child.id()));
            std::thread::sleep(Duration::from_millis(700));
            let after = (work(child.id()), work(runner.child.id()));
            assert!(after.0 - before.0 < 10, "the shim is busy");
            assert!(after.1 - before.1 < 10, "the runner is busy");
            runner.stop(125, "", true);
            drop(child.stdout.take());
            child.wait().unwrap();
        }
    }
}

fn pipe_that_ended() -> Stdio {
    let (ours, theirs) = std::io::pipe().unwrap();
    drop(theirs);
    Stdio::from(ours)
}

#[test]
fn stop_is_obeyed_while_a_client_reads_nothing() {
    for shim in shims() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut runner = Runner::start(&shim, theirs, &framed(&["yes"]), "/usr/bin/yes");
        let pid = runner.started();
        std::thread::sleep(Duration::from_millis(100));
        runner.stop(124, "time", true);
        until(|| !alive(pid));
        let (status, ..) = runner.finished();
        assert_eq!(status, Status::Killed(9));
        runner.gone();
        drop(ours);
    }
}

#[test]
fn what_a_tool_wrote_before_it_was_stopped_is_still_carried() {
    for shim in shims() {
        let warden = Warden::new();
        let output = played(warden.command(&shim, &[]), || {
            let (client, _) = warden.asked();
            let plan = framed(&["sh", "-c", "echo before; sleep 60"]);
            let mut runner = Runner::start(&shim, client.stream, &plan, "/bin/sh");
            runner.started();
            std::thread::sleep(Duration::from_millis(100));
            runner.stop(124, "timed out", false);
            runner.finished();
        });
        assert_eq!(text(&output.stdout), "before\n");
        assert_eq!(text(&output.stderr), "clawrden: timed out\n");
        assert_eq!(output.status.code(), Some(124));
    }
}

/// A version 1 client: reads the ack, then frames to the end; gives output, errors and code.
fn version_1(stream: &mut UnixStream) -> (String, String, Option<u8>) {
    let mut byte = [9];
    stream.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [0]);
    let (mut out, mut err, mut code) = (Vec::new(), Vec::new(), None);
    let mut head = [0; 5];
    while stream.read_exact(&mut head).is_ok() {
        let (kind, length) = parse_head(head).unwrap();
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).unwrap();
        match ToClient::parse(kind, &payload).unwrap() {
            ToClient::Stdout(bytes) => out.extend_from_slice(bytes),
            ToClient::Stderr(bytes) => err.extend_from_slice(bytes),
            ToClient::Exit(n) => code = Some(n),
            other => panic!("version 1 has no {other:?}"),
        }
    }
    (text(&out), text(&err), code)
}

#[test]
fn a_version_1_client_gets_its_frames_alone() {
    for shim in shims() {
        for (script, expected) in [
            ("cat; echo out; echo err >&2; exit 7", ("out\n", "err\n", 7)),
            ("kill -15 $$", ("", "", 143)),
        ] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            let plan = Plan { version_2: false, ..framed(&["sh", "-c", script]) };
            let mut runner = Runner::start(&shim, theirs, &plan, "/bin/sh");
            runner.started();
            let (out, err, code) = version_1(&mut ours);
            assert_eq!(
                (out.as_str(), err.as_str(), code),
                (expected.0, expected.1, Some(expected.2))
            );
            runner.finished();
            runner.idle();
        }
    }
}

#[test]
fn a_version_1_client_that_closes_its_sending_side_is_still_served() {
    for shim in shims() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let plan = Plan { version_2: false, ..framed(&["sh", "-c", "sleep 0.2; echo here"]) };
        let mut runner = Runner::start(&shim, theirs, &plan, "/bin/sh");
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        runner.started();
        assert_eq!(version_1(&mut ours).0, "here\n");
        assert!(!runner.finished().2);
    }
}

#[test]
fn a_version_1_client_cancels_and_is_told_of_failures_in_its_own_words() {
    for shim in shims() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let plan = Plan { version_2: false, ..framed(&["sleep", "60"]) };
        let mut runner = Runner::start(&shim, theirs, &plan, "/bin/sleep");
        runner.started();
        let mut cancel = Vec::new();
        FromClient::Cancel.encode(&mut cancel);
        ours.write_all(&cancel).unwrap();
        assert_eq!(version_1(&mut ours).2, Some(143));
        assert_eq!(runner.finished(), (Status::Killed(15), 0, true));

        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut runner = Runner::start(&shim, theirs, &plan, "/bin/sleep");
        runner.started();
        runner.stop(124, "timed out", false);
        assert_eq!(
            version_1(&mut ours),
            (String::new(), "clawrden: timed out\n".into(), Some(124))
        );
        runner.finished();
    }
}

#[test]
fn a_client_that_babbles_loses_its_command() {
    for shim in shims() {
        for bytes in
            [&[99, 0, 0, 0, 0][..], &[16, 0xff, 0, 0, 0], &[1, 0, 0, 0, 0], &[19, 0, 0, 0, 0]]
        {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            let mut runner = Runner::start(&shim, theirs, &framed(&["sleep", "60"]), "/bin/sleep");
            let pid = runner.started();
            ours.write_all(bytes).unwrap();
            assert!(runner.finished().2, "{bytes:?}");
            runner.gone();
            assert!(!alive(pid));
        }
    }
}

#[test]
fn a_plan_without_a_working_directory_fails() {
    for shim in shims() {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        let mut runner =
            Runner::start_with(&shim, theirs, &framed(&["true"]), &open("/bin/true"), None);
        assert!(matches!(runner.message(), Some(FromRunner::Failed { code: 125, .. })));
        runner.idle();
    }
}
