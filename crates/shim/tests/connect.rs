//! The runner as a container's engine starts it: it connects to the warden, and may be the first process of all.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use clawrden_protocol::frame::Status;
use clawrden_protocol::runner::{FromRunner, Plan, Streams, ToRunner};
use support::{PATIENCE, Runner, alive, open, plan, send_with, shims, until};

/// A runner that has connected, and the other end of the connection that its client would have.
struct Connected {
    runner: Runner,
    client: UnixStream,
    _folder: tempfile::TempDir,
}

/// Starts `shim` under the runner's name, by `before` if that is not empty, and gives it `plan`.
fn connected(shim: &Path, before: &[&str], plan: &Plan, executable: &OwnedFd) -> Connected {
    let folder = tempfile::tempdir().unwrap();
    let (socket, program) = (folder.path().join("s"), folder.path().join("clawrden-runner"));
    let listener = UnixListener::bind(&socket).unwrap();
    fs::copy(shim, &program).unwrap();
    let mut words: Vec<&std::ffi::OsStr> = before.iter().map(AsRef::as_ref).collect();
    words.extend([program.as_os_str(), "--connect".as_ref(), socket.as_os_str()]);
    let child = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (client, theirs) = UnixStream::pair().unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let cwd = open("/");
    let fds = [theirs.as_fd(), executable.as_fd(), cwd.as_fd()];
    send_with(&socket, &ToRunner::Plan(Box::new(plan.clone())).encode(), &fds);
    Connected { runner: Runner { child, socket }, client, _folder: folder }
}

fn frames(argv: &[&str]) -> Plan {
    Plan { streams: Streams::Frames, ..plan(argv) }
}

/// All that the client was sent.
fn told(client: &mut UnixStream) -> String {
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

fn ended(mut child: Child) -> std::process::ExitStatus {
    let id = child.id();
    until(|| !alive(id));
    child.wait().unwrap()
}

/// As the first process of a pid namespace, with a /proc of its own.
const FIRST: &[&str] = &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

fn may_unshare() -> bool {
    let done = Command::new("unshare").args(&FIRST[1..]).arg("true").stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

#[test]
fn a_runner_that_is_to_tells_the_warden_first_how_it_ended() {
    for shim in shims() {
        for _ in 0..10 {
            let plan = Plan { warden_first: true, ..frames(&["sh", "-c", "exit 7"]) };
            let mut it = connected(&shim, &[], &plan, &open("/bin/sh"));
            it.runner.started();
            told(&mut it.client);
            // What it has not said by now it may never say.
            it.runner.socket.set_nonblocking(true).unwrap();
            assert_eq!(it.runner.finished(), (Status::Exited(7), 0, false));
            drop(it.runner.socket);
            ended(it.runner.child);
        }
    }
}

#[test]
fn a_runner_connects_and_runs_what_it_is_given() {
    for shim in shims() {
        let plan = frames(&["sh", "-c", "echo out; exit 7"]);
        let mut it = connected(&shim, &[], &plan, &open("/bin/sh"));
        it.runner.started();
        assert!(told(&mut it.client).contains("out\n"));
        assert_eq!(it.runner.finished(), (Status::Exited(7), 4, false));
        assert_eq!(it.runner.message(), Some(FromRunner::Idle));
        drop(it.runner.socket);
        ended(it.runner.child);
    }
}

#[test]
fn a_runner_that_is_asked_to_sends_its_root_directory_first() {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    for shim in shims() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("clawrden-runner");
        fs::copy(&shim, &program).unwrap();
        let path = folder.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let child = Command::new(&program)
            .arg("--connect-open")
            .arg(&path)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let (socket, _) = listener.accept().unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [7];
        let mut parts = [std::io::IoSliceMut::new(&mut byte)];
        let got = recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        assert_eq!((got.bytes, byte), (1, [0]));
        let mut rights = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        });
        let root = rights.next().unwrap().next().unwrap();
        let id = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        assert_eq!(id(rustix::fs::fstat(&root).unwrap()), id(rustix::fs::stat("/").unwrap()));
        drop(socket);
        assert_eq!(ended(child).code(), Some(1), "a warden that has gone sends no plan");
    }
}

#[test]
fn a_runner_that_finds_no_socket_ends_at_once() {
    for shim in shims() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("clawrden-runner");
        fs::copy(&shim, &program).unwrap();
        for args in [&["--connect", "/nonexistent/s"][..], &["--connect"]] {
            let child = Command::new(&program).args(args).stdin(Stdio::null()).spawn().unwrap();
            assert_eq!(ended(child).code(), Some(1), "{args:?}");
        }
    }
}

#[test]
fn a_tool_that_writes_more_than_it_may_is_ended() {
    for shim in shims() {
        let plan = Plan { most_out: 100_000, ..frames(&["sh", "-c", "trap '' TERM; yes"]) };
        let mut it = connected(&shim, &[], &plan, &open("/bin/sh"));
        it.runner.started();
        let told = told(&mut it.client);
        assert!(told.contains("more than it may"), "{}", told.len());
        let (status, bytes_out, cancelled) = it.runner.finished();
        assert_eq!((status, cancelled), (Status::Killed(9), false));
        assert_eq!(bytes_out, 100_001);
        assert!(ended(it.runner.child).success());
    }
}

#[test]
fn as_much_as_it_may_write_is_written() {
    for shim in shims() {
        let plan = Plan { most_out: 3, ..frames(&["sh", "-c", "printf abc"]) };
        let mut it = connected(&shim, &[], &plan, &open("/bin/sh"));
        it.runner.started();
        assert!(told(&mut it.client).contains("abc"));
        assert_eq!(it.runner.finished(), (Status::Exited(0), 3, false));
        drop(it.runner.socket);
        ended(it.runner.child);
    }
}

#[test]
fn a_script_whose_folder_is_closed_is_executed_by_its_descriptor() {
    for shim in shims() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("tool");
        fs::write(&script, "#!/bin/sh\necho \"ran $*\"\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let file = open(script.to_str().unwrap());
        // Nothing can open it by its path any more.
        fs::rename(&script, folder.path().join("elsewhere")).unwrap();
        let path = script.to_str().unwrap().as_bytes().to_vec();
        let plan = Plan { script: path, keep_open: true, ..frames(&["tool", "a b"]) };
        let mut it = connected(&shim, &[], &plan, &file);
        it.runner.started();
        assert!(told(&mut it.client).contains("ran a b\n"));
        assert_eq!(it.runner.finished().0, Status::Exited(0));
    }
}

#[test]
fn the_first_process_reaps_what_its_tool_leaves() {
    if !may_unshare() {
        return;
    }
    for shim in shims() {
        // The grandchild outlives the tool, and is nobody's but the first process's.
        let plan = frames(&["sh", "-c", "(sh -c 'sleep 0.3; kill -0 1' &) ; echo $$"]);
        let mut it = connected(&shim, FIRST, &plan, &open("/bin/sh"));
        it.runner.started();
        told(&mut it.client);
        assert_eq!(it.runner.finished().0, Status::Exited(0));
        assert_eq!(it.runner.message(), Some(FromRunner::Idle));
        drop(it.runner.socket);
        assert_eq!(ended(it.runner.child).code(), Some(1));
    }
}

#[test]
fn the_first_process_ends_its_tree_when_it_is_told_to() {
    if !may_unshare() {
        return;
    }
    for shim in shims() {
        let script = "trap 'echo polite; exit 3' TERM; echo ready; sleep 60 & wait";
        let mut it = connected(&shim, FIRST, &frames(&["sh", "-c", script]), &open("/bin/sh"));
        it.runner.started();
        let mut seen = Vec::new();
        let mut byte = [0];
        while !seen.ends_with(b"ready\n") {
            it.client.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
        let children = format!("/proc/{0}/task/{0}/children", it.runner.child.id());
        let first = fs::read_to_string(children).unwrap();
        let first = rustix::process::Pid::from_raw(first.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(first, rustix::process::Signal::TERM).unwrap();
        assert!(told(&mut it.client).contains("polite\n"));
        assert_eq!(it.runner.finished().0, Status::Exited(3));
        assert!(ended(it.runner.child).success());
    }
}

#[test]
fn a_warden_that_goes_away_takes_the_first_process_with_it() {
    if !may_unshare() {
        return;
    }
    for shim in shims() {
        let plan = frames(&["sh", "-c", "trap '' TERM; sleep 60; sleep 60"]);
        let mut it = connected(&shim, FIRST, &plan, &open("/bin/sh"));
        it.runner.started();
        drop(it.runner.socket);
        assert!(told(&mut it.client).contains("the warden went away"));
        ended(it.runner.child);
    }
}

#[test]
fn what_a_client_types_reaches_a_tool_under_the_first_process() {
    if !may_unshare() {
        return;
    }
    for shim in shims() {
        let mut it = connected(&shim, FIRST, &frames(&["cat"]), &open("/bin/cat"));
        it.runner.started();
        let mut bytes = Vec::new();
        clawrden_protocol::frame::FromClient::Stdin(b"typed").encode(&mut bytes);
        clawrden_protocol::frame::FromClient::StdinEnd.encode(&mut bytes);
        it.client.write_all(&bytes).unwrap();
        assert!(told(&mut it.client).contains("typed"));
        assert_eq!(it.runner.finished().0, Status::Exited(0));
    }
}
