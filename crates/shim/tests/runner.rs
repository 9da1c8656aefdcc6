//! The runner with the caller's descriptors: what the tool sees, and how it ends.

#![allow(clippy::unwrap_used)]

mod support;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clawrden_protocol::frame::{FromClient, Numbers, Status};
use clawrden_protocol::runner::{FromRunner, Plan};
use support::{Runner, Warden, open, plan, played, send_with, shims, text, until};

/// Runs `argv` of a plan through shim and runner; gives what the shim printed, its status, and what the runner said.
fn supervised(
    shim: &Path,
    plan: &Plan,
    executable: &str,
    command: Command,
) -> (std::process::Output, (Status, u64, bool)) {
    let mut finished = None;
    let warden = &WARDEN.with(Clone::clone);
    let output = played(command, || {
        let (client, _) = warden.asked();
        let mut runner = Runner::start(shim, client.stream, plan, executable);
        runner.started();
        finished = Some(runner.finished());
        runner.idle();
    });
    (output, finished.unwrap())
}

thread_local! {
    static WARDEN: std::rc::Rc<Warden> = std::rc::Rc::new(Warden::new());
}

fn shell(shim: &Path, script: &str) -> (std::process::Output, (Status, u64, bool)) {
    let command = WARDEN.with(|w| w.command(shim, &[]));
    supervised(shim, &plan(&["sh", "-c", script]), "/bin/sh", command)
}

#[test]
fn bytes_go_straight_to_the_callers_descriptors() {
    for shim in shims() {
        let (output, (status, bytes_out, cancelled)) = shell(&shim, "echo out; echo err >&2");
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
        assert_eq!((status, bytes_out, cancelled), (Status::Exited(0), 0, false));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn exit_codes_and_signal_deaths_are_the_tools() {
    for shim in shims() {
        for code in [1, 42, 255] {
            let (output, (status, ..)) = shell(&shim, &format!("exit {code}"));
            assert_eq!(output.status.code(), Some(code.into()));
            assert_eq!(status, Status::Exited(code));
        }
        for signal in [2, 9, 11, 15] {
            let (output, (status, ..)) = shell(&shim, &format!("kill -{signal} $$"));
            assert_eq!(output.status.signal(), Some(signal.into()));
            assert_eq!(status, Status::Killed(signal));
        }
    }
}

#[test]
fn descriptors_of_any_number_arrive_and_closed_ones_stay_closed() {
    for shim in shims() {
        let warden = Warden::new();
        let out = warden.folder.path().join("out");
        for redirections in
            ["", "0<&-", "7</dev/null 9>/dev/null", "255</dev/null 300</dev/null 999</dev/null"]
        {
            let script = "for n in /proc/self/fd/*; do printf '%s ' \"${n##*/}\"; done >$OUT";
            let list = warden.folder.path().join("list");
            std::fs::write(&list, script).unwrap();
            let line = format!("exec bash {} {redirections}", list.display());
            let mut native = Command::new("bash");
            native.args(["-c", &line]).env("OUT", &out);
            assert!(native.status().unwrap().success());
            let native = std::fs::read(&out).unwrap();

            let line = format!("exec {} {redirections}", shim.display());
            let mut command = Command::new("bash");
            command.args(["-c", &line]).env("CLAWRDEN_SOCKET", warden.socket());
            let mut plan = plan(&["bash", list.to_str().unwrap()]);
            plan.env.push(format!("OUT={}", out.display()).into_bytes());
            let mut child = command.spawn().unwrap();
            let (client, _) = warden.asked();
            let mut runner = Runner::start(&shim, client.stream, &plan, "/bin/bash");
            runner.started();
            assert_eq!(runner.finished().0, Status::Exited(0));
            assert!(child.wait().unwrap().success());
            assert_eq!(text(&native), text(&std::fs::read(&out).unwrap()), "{redirections}");
        }
    }
}

#[test]
fn the_tool_has_what_the_plan_says_and_nothing_of_the_runners() {
    for shim in shims() {
        let mut plan =
            plan(&["sh", "-c", "umask; ulimit -n; nice; ps -o pgid= $$ | tr -d ' '; echo $$"]);
        plan.umask = 0o27;
        plan.nice = 7;
        plan.limits = vec![(7, 333, 444)];
        let command = || WARDEN.with(|w| w.command(&shim, &[]));
        let (output, _) = supervised(&shim, &plan, "/bin/sh", command());
        let output = text(&output.stdout);
        let lines: Vec<_> = output.lines().collect();
        assert_eq!(lines[..3], ["0027", "333", "7"]);
        assert_eq!(lines[3], lines[4], "a group of its own");

        plan.argv = vec![b"env".to_vec()];
        plan.env = vec![b"Z=1".to_vec(), b"A=2".to_vec(), b"ODD".to_vec()];
        let (output, _) = supervised(&shim, &plan, "/usr/bin/env", command());
        assert_eq!(text(&output.stdout), "Z=1\nA=2\nODD\n");

        plan.argv = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"].map(Into::into).to_vec();
        plan.ignored = 1 << 9;
        plan.blocked = 1 << 11;
        let (output, _) = supervised(&shim, &plan, "/bin/grep", command());
        assert_eq!(text(&output.stdout), "SigBlk:\t0000000000000800\nSigIgn:\t0000000000000200\n");
    }
}

#[test]
fn root_runs_the_tool_as_the_user_of_the_plan_alone() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    for shim in shims() {
        let mut plan = plan(&["sh", "-c", "id -u; id -g; id -G; grep CapEff /proc/self/status"]);
        (plan.uid, plan.gid, plan.groups) = (65_534, 65_533, vec![65_532, 65_533]);
        let command = WARDEN.with(|w| w.command(&shim, &[]));
        let (output, _) = supervised(&shim, &plan, "/bin/sh", command);
        let output = text(&output.stdout);
        let lines: Vec<_> = output.lines().collect();
        assert_eq!(lines[..2], ["65534", "65533"]);
        let mut groups: Vec<_> = lines[2].split(' ').collect();
        groups.sort_unstable();
        assert_eq!(groups, ["65532", "65533"]);
        assert_eq!(lines[3], "CapEff:\t0000000000000000");
    }
}

/// The kernel tells everybody who has the same memory when it is told how much one of them is worth to it.
#[test]
fn a_child_has_a_copy_of_the_runners_memory_where_it_becomes_somebody_else_and_otherwise_that_itself()
 {
    if !rustix::process::getuid().is_root() {
        return;
    }
    for (shim, is_raw) in shims().into_iter().zip([false, true]) {
        for (uid, gid, is_copy) in [(0, 0, !is_raw), (65_534, 0, true), (0, 65_534, true)] {
            let mut plan = plan(&["true"]);
            (plan.uid, plan.gid) = (uid, gid);
            // The child waits for its descriptors.
            let (client, theirs) = UnixStream::pair().unwrap();
            let mut runner = Runner::start(&shim, theirs, &plan, "/bin/true");
            until(|| !runner.children().is_empty());
            let worth = |pid: u32| PathBuf::from(format!("/proc/{pid}/oom_score_adj"));
            std::fs::write(worth(runner.children()[0]), "7").unwrap();
            let told = std::fs::read_to_string(worth(runner.pid())).unwrap();
            assert_eq!(told != "7\n", is_copy, "{} {uid} {gid}", shim.display());
            drop(client);
            while runner.message().is_some() {}
        }
    }
}

#[test]
fn a_working_directory_that_was_swapped_is_refused() {
    for shim in shims() {
        let warden = Warden::new();
        let mut plan = plan(&["true"]);
        plan.cwd = Some((1, 1));
        let output = played(warden.command(&shim, &[]), || {
            let (client, _) = warden.asked();
            let mut runner = Runner::start(&shim, client.stream, &plan, "/bin/true");
            assert!(matches!(runner.message(), Some(FromRunner::Failed { code: 125, .. })));
            runner.idle();
        });
        assert_eq!(output.status.code(), Some(125));
        assert!(text(&output.stderr).contains("changed after the decision"), "{output:?}");
    }
}

#[test]
fn a_file_that_cannot_be_executed_is_told_to_both_sides() {
    for shim in shims() {
        let warden = Warden::new();
        let folder = warden.folder.path();
        let gone = folder.join("gone");
        std::fs::write(&gone, "#!/bin/sh\n").unwrap();
        let held = open(gone.to_str().unwrap());
        std::fs::remove_file(&gone).unwrap();
        for (executable, script, code) in [
            (open("/etc/passwd"), String::new(), 125),
            (held, gone.to_str().unwrap().to_string(), 127),
            (open("/bin/sh"), "/bin/true".to_string(), 125),
        ] {
            let mut plan = plan(&["tool"]);
            plan.script = script.into_bytes();
            let output = played(warden.command(&shim, &[]), || {
                let (client, _) = warden.asked();
                let mut runner = Runner::start_with(&shim, client.stream, &plan, &executable, None);
                let Some(FromRunner::Failed { code: told, text: why }) = runner.message() else {
                    panic!("not failed")
                };
                assert_eq!(told, code, "{}", text(&why));
                runner.idle();
            });
            assert_eq!(output.status.code(), Some(code.into()));
            assert!(text(&output.stderr).starts_with("clawrden: "));
        }
    }
}

#[test]
fn a_script_is_executed_by_its_path() {
    for shim in shims() {
        let warden = Warden::new();
        let script = warden.folder.path().join("script");
        for content in ["#!/bin/sh\necho $0 $1\n", "echo $0 $1\n"] {
            std::fs::write(&script, content).unwrap();
            std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
            let mut plan = plan(&["tool", "x"]);
            plan.script = script.to_str().unwrap().into();
            let output = played(warden.command(&shim, &[]), || {
                let (client, _) = warden.asked();
                let mut runner =
                    Runner::start(&shim, client.stream, &plan, script.to_str().unwrap());
                runner.started();
                runner.finished();
            });
            assert_eq!(text(&output.stdout), format!("{} x\n", script.display()));
        }
    }
}

#[test]
fn signals_reach_the_tools_group_and_its_traps_run() {
    for shim in shims() {
        for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("USR1", 10)] {
            let warden = Warden::new();
            let script =
                format!("trap 'echo got; exit 5' {signal}; echo on; while :; do sleep 0.01; done");
            let plan = plan(&["sh", "-c", &script]);
            let mut child = warden.command(&shim, &[]).stdout(Stdio::piped()).spawn().unwrap();
            let (client, _) = warden.asked();
            let mut runner = Runner::start(&shim, client.stream, &plan, "/bin/sh");
            runner.started();
            let mut room = [0; 3];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut room).unwrap();
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(
                pid,
                rustix::process::Signal::from_named_raw(number).unwrap(),
            )
            .unwrap();
            let output = child.wait_with_output().unwrap();
            assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("got\n", Some(5)));
            runner.finished();
        }
    }
}

#[test]
fn a_shim_stops_with_its_tool_and_both_go_on() {
    use rustix::process::{Pid, Signal, kill_process};
    let state = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().as_bytes()[0]
    };
    for shim in shims() {
        let warden = Warden::new();
        let plan = plan(&["sleep", "60"]);
        let mut child = warden.command(&shim, &[]).spawn().unwrap();
        let (client, _) = warden.asked();
        let mut runner = Runner::start(&shim, client.stream, &plan, "/bin/sleep");
        let tool = runner.started();
        let shim_pid = Pid::from_child(&child);
        let tool_pid = Pid::from_raw(tool.cast_signed()).unwrap();
        for _ in 0..2 {
            kill_process(tool_pid, Signal::STOP).unwrap();
            until(|| state(child.id()) == b'T');
            kill_process(shim_pid, Signal::CONT).unwrap();
            until(|| state(tool) == b'S' && state(child.id()) == b'S');
        }
        kill_process(shim_pid, Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        assert_eq!(runner.finished().0, Status::Killed(15));
    }
}

#[test]
fn a_client_that_sends_nonsense_for_descriptors_is_refused() {
    let numbers = |n: &[u32]| -> Vec<u8> { n.iter().flat_map(|n| n.to_be_bytes()).collect() };
    let frame = |bytes: &[u8]| {
        let mut out = Vec::new();
        FromClient::Descriptors(Numbers::new(bytes).unwrap()).encode(&mut out);
        out
    };
    let null = open("/");
    for shim in shims() {
        let cases: [(Vec<u8>, usize); 7] = [
            (frame(&numbers(&[0, 1])), 2),
            (frame(&numbers(&[1, 1])), 3),
            (frame(&numbers(&[5, 2])), 3),
            (frame(&numbers(&[u32::MAX])), 2),
            (vec![20, 0, 0, 0, 3, 1, 2, 3], 1),
            (vec![1, 0, 0, 0, 0], 0),
            (vec![20, 0xff, 0xff, 0xff, 0xff], 0),
        ];
        for (bytes, count) in cases {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            let mut runner = Runner::start(&shim, theirs, &plan(&["true"]), "/bin/true");
            let mut head = [0; 6];
            std::io::Read::read_exact(&mut ours, &mut head).unwrap();
            assert_eq!(head, [0, 37, 0, 0, 0, 0]);
            let fds: Vec<_> = (0..count).map(|_| std::os::fd::AsFd::as_fd(&null)).collect();
            send_with(&ours, &bytes, &fds);
            assert!(
                matches!(runner.message(), Some(FromRunner::Failed { code: 125, .. })),
                "{bytes:?}"
            );
            runner.idle();
        }
    }
}

#[test]
fn descriptors_that_come_byte_by_byte_are_taken() {
    for shim in shims() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let (mut out, tools_out) = UnixStream::pair().unwrap();
        let mut runner = Runner::start(&shim, theirs, &plan(&["echo", "slow"]), "/bin/echo");
        let mut head = [0; 6];
        std::io::Read::read_exact(&mut ours, &mut head).unwrap();
        let mut bytes = Vec::new();
        let number = 1u32.to_be_bytes();
        FromClient::Descriptors(Numbers::new(&number).unwrap()).encode(&mut bytes);
        let cwd = open("/");
        let tools_out = OwnedFd::from(tools_out);
        use std::os::fd::AsFd;
        send_with(&ours, &bytes[..1], &[tools_out.as_fd(), cwd.as_fd()]);
        drop(tools_out);
        for byte in &bytes[1..] {
            std::thread::sleep(Duration::from_millis(5));
            send_with(&ours, &[*byte], &[]);
        }
        runner.started();
        assert_eq!(runner.finished().0, Status::Exited(0));
        let mut said = String::new();
        std::io::Read::read_to_string(&mut out, &mut said).unwrap();
        assert_eq!(said, "slow\n");
    }
}

#[test]
fn a_runner_without_a_plan_ends_quietly() {
    for shim in shims() {
        for bytes in [&b""[..], &[1, 0, 0], &[1, 0xff, 0xff, 0xff, 0xff], &[9, 0, 0, 0, 0]] {
            let mut runner = Runner::bare(&shim);
            std::io::Write::write_all(&mut runner.socket, bytes).unwrap();
            runner.socket.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(runner.child.wait().unwrap().code(), Some(1));
        }
    }
}

#[test]
fn too_many_open_descriptors_are_told_and_nothing_runs() {
    for shim in shims() {
        let warden = Warden::new();
        let opens: String = (10..270).map(|n| format!(" {n}</dev/null")).collect();
        let line = format!("exec {} {opens}", shim.display());
        let mut command = Command::new("bash");
        command.args(["-c", &line]).env("CLAWRDEN_SOCKET", warden.socket());
        let output = played(command, || {
            let (client, _) = warden.asked();
            let mut runner = Runner::start(&shim, client.stream, &plan(&["true"]), "/bin/true");
            assert!(matches!(runner.message(), Some(FromRunner::Failed { .. })));
        });
        assert_eq!(output.status.code(), Some(125));
        assert!(text(&output.stderr).contains("263 open descriptors"), "{output:?}");
    }
}
