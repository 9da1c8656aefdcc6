//! A supervised tool on a terminal: it has one of its own that behaves as the caller's, and the caller's is left as it
//! was.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clawrden_protocol::frame::Status;
use clawrden_protocol::runner::{Plan, Streams};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use support::{PATIENCE, Runner, Warden, plan, shims, until};

/// A terminal with somebody before it.
struct Screen {
    ours: std::fs::File,
    theirs: OwnedFd,
    shown: mpsc::Receiver<Vec<u8>>,
    all: String,
}

impl Screen {
    fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags).unwrap();
        let size = Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        let ours = std::fs::File::from(ours);
        let (send, shown) = mpsc::channel();
        let mut reading = ours.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut room = [0; 4096];
            while let Ok(n) = reading.read(&mut room) {
                if n == 0 || send.send(room[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { ours, theirs, shown, all: String::new() }
    }

    /// A command whose standard descriptors are this terminal, which controls it.
    fn command(&self, warden: &Warden, args: &[&str]) -> Child {
        let end = || Stdio::from(self.theirs.try_clone().unwrap());
        Command::new("setsid")
            .args(["--ctty", "--wait"])
            .args(args)
            .env("CLAWRDEN_SOCKET", warden.socket())
            .env("PS1", "$ ")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap()
    }

    fn type_in(&mut self, text: &str) {
        self.ours.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until `text` has been shown behind what was waited for before. Gives what was shown between.
    fn shows(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.all.find(text) {
                let before = self.all[..at].to_owned();
                self.all.drain(..at + text.len());
                return before;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.all.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{text:?} was not shown; there is {:?}", self.all),
            }
        }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.theirs).unwrap().local_modes.contains(LocalModes::ICANON)
    }
}

/// The child's exit code once it has ended.
fn ended(child: &mut Child) -> Option<i32> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < end, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn on_terminal(argv: &[&str]) -> Plan {
    Plan { tty: Some((0b111, 33, 77)), ..plan(argv) }
}

fn started(warden: &Warden, shim: &Path, plan: &Plan, executable: &str) -> Runner {
    let (client, request) = warden.asked();
    let tty = request.tty.unwrap();
    assert_eq!((tty.rows, tty.cols), (33, 77));
    let mut runner = Runner::start(shim, client.stream, plan, executable);
    runner.started();
    runner
}

#[test]
fn the_tool_has_a_terminal_of_its_own_with_the_callers_size_and_its_changes() {
    for shim in shims() {
        for streams in [Streams::Descriptors, Streams::Frames] {
            let warden = Warden::new();
            let mut screen = Screen::new();
            let script = "trap 'stty size' WINCH; test -t 0 && test -t 1 && test -t 2 && echo all; tty; \
                          stty size; while :; do sleep 0.05; done";
            let plan = Plan { streams, ..on_terminal(&["sh", "-c", script]) };
            let mut child = screen.command(&warden, &[shim.to_str().unwrap()]);
            let mut runner = started(&warden, &shim, &plan, "/bin/sh");
            screen.shows("all\r\n");
            let own = rustix::termios::ttyname(&screen.theirs, Vec::new()).unwrap();
            let tools = screen.shows("\r\n");
            assert!(tools.starts_with("/dev/pts/"), "{tools:?}");
            assert_ne!(tools, own.to_str().unwrap());
            screen.shows("33 77\r\n");
            let size = Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&screen.ours, size).unwrap();
            screen.shows("40 100\r\n");
            assert!(screen.is_raw());
            screen.type_in("\x03");
            assert_eq!(runner.finished().0, Status::Killed(2));
            assert_ne!(ended(&mut child), Some(0));
            assert!(!screen.is_raw());
        }
    }
}

#[test]
fn ctrl_c_runs_the_tools_own_trap() {
    for shim in shims() {
        let warden = Warden::new();
        let mut screen = Screen::new();
        let script = "trap 'echo trapped; exit 6' INT; echo ready; while :; do sleep 0.05; done";
        let mut child = screen.command(&warden, &[shim.to_str().unwrap()]);
        let mut runner = started(&warden, &shim, &on_terminal(&["sh", "-c", script]), "/bin/sh");
        screen.shows("ready");
        screen.type_in("\x03");
        screen.shows("trapped");
        assert_eq!(runner.finished().0, Status::Exited(6));
        assert_eq!(ended(&mut child), Some(6));
    }
}

#[test]
fn keys_arrive_and_echo_once_and_ctrl_d_ends_the_input() {
    for shim in shims() {
        let warden = Warden::new();
        let mut screen = Screen::new();
        let script = "echo ready; cat; echo ended";
        let mut child = screen.command(&warden, &[shim.to_str().unwrap()]);
        let mut runner = started(&warden, &shim, &on_terminal(&["sh", "-c", script]), "/bin/sh");
        screen.shows("ready\r\n");
        screen.type_in("typed\n");
        screen.shows("typed\r\ntyped\r\n");
        screen.type_in("\x04");
        screen.shows("ended");
        runner.finished();
        assert_eq!(ended(&mut child), Some(0));
        assert!(!screen.is_raw());
    }
}

#[test]
fn ctrl_z_stops_the_job_and_fg_brings_it_back() {
    for shim in shims() {
        let warden = Warden::new();
        let mut screen = Screen::new();
        let mut child = screen.command(&warden, &["bash", "--norc", "--noediting", "-i"]);
        screen.shows("$ ");
        screen.type_in(&format!("{}\n", shim.display()));
        let script = "echo ready; while read line; do echo \"got $line\"; done";
        let mut runner =
            started(&warden, &shim, &on_terminal(&["bash", "-c", script]), "/bin/bash");
        screen.shows("ready\r\n");
        until(|| screen.is_raw());
        screen.type_in("\x1a");
        screen.shows("Stopped");
        screen.shows("$ ");
        assert!(!screen.is_raw());
        screen.type_in("echo in the $((1+1))nd shell\n");
        screen.shows("in the 2nd shell\r\n");
        screen.type_in("fg\n");
        until(|| screen.is_raw());
        screen.type_in("back\n");
        screen.shows("got back\r\n");
        screen.type_in("\x04");
        assert_eq!(runner.finished().0, Status::Exited(0));
        screen.shows("$ ");
        screen.type_in("exit 7\n");
        assert_eq!(ended(&mut child), Some(7));
    }
}

#[test]
fn in_the_background_the_terminal_is_neither_read_nor_changed() {
    for shim in shims() {
        let warden = Warden::new();
        let mut screen = Screen::new();
        let mut child = screen.command(&warden, &["bash", "--norc", "--noediting", "-i"]);
        screen.shows("$ ");
        screen.type_in(&format!("{} &\n", shim.display()));
        let script = "echo ready; read line; echo \"got $line\"";
        let mut runner =
            started(&warden, &shim, &on_terminal(&["bash", "-c", script]), "/bin/bash");
        screen.shows("ready\r");
        std::thread::sleep(Duration::from_millis(300));
        assert!(!screen.is_raw());
        screen.type_in("echo for the shel$((1))\n");
        screen.shows("for the shel1\r\n");
        screen.type_in("fg\n");
        until(|| screen.is_raw());
        screen.type_in("mine\n");
        screen.shows("got mine\r\n");
        assert_eq!(runner.finished().0, Status::Exited(0));
        screen.shows("$ ");
        screen.type_in("exit\n");
        ended(&mut child);
    }
}

#[test]
fn the_tool_has_its_terminal_and_nothing_else_of_the_runners() {
    for shim in shims() {
        for streams in [Streams::Descriptors, Streams::Frames] {
            let warden = Warden::new();
            let mut screen = Screen::new();
            let script = "for n in /proc/self/fd/*; do printf '%s ' \"${n##*/}\"; done; echo end; \
                          ps -o tpgid= -o pgid= $$; sh -c 'echo x >/dev/tty'";
            let plan = Plan { streams, ..on_terminal(&["bash", "-c", script]) };
            let line = format!(
                "for n in /proc/self/fd/*; do n=${{n##*/}}; [ $n -gt 2 ] && eval \"exec $n<&-\"; done; exec {}",
                shim.display()
            );
            let mut child = screen.command(&warden, &["bash", "-c", &line]);
            let mut runner = started(&warden, &shim, &plan, "/bin/bash");
            // 3 is the folder that is being listed.
            screen.shows("0 1 2 3 end\r\n");
            screen.shows("x\r\n");
            assert_eq!(runner.finished().0, Status::Exited(0));
            assert_eq!(ended(&mut child), Some(0));
        }
    }
}

#[test]
fn the_first_of_a_pipeline_has_the_keys_only_if_it_reads_them() {
    for shim in shims() {
        let warden = Warden::new();
        let mut screen = Screen::new();
        let line = format!("{} | cat", shim.display());
        let mut child = screen.command(&warden, &["bash", "-c", &line]);
        let script = "echo ready >&2; read line; echo got $line";
        let plan = Plan { tty: Some((0b101, 33, 77)), ..on_terminal(&["sh", "-c", script]) };
        let mut runner = started(&warden, &shim, &plan, "/bin/sh");
        screen.shows("ready");
        until(|| screen.is_raw());
        screen.type_in("keys\n");
        screen.shows("got keys\r\n");
        runner.finished();
        assert_eq!(ended(&mut child), Some(0));

        let line = format!("{} | cat", shim.display());
        let mut child = screen.command(&warden, &["bash", "-c", &line]);
        let script = "echo ready >&2; sleep 60";
        let plan = Plan { tty: Some((0b101, 33, 77)), ..on_terminal(&["sh", "-c", script]) };
        let mut runner = started(&warden, &shim, &plan, "/bin/sh");
        screen.shows("ready");
        std::thread::sleep(Duration::from_millis(300));
        assert!(!screen.is_raw());
        screen.type_in("\x03");
        assert_eq!(runner.finished().0, Status::Killed(2));
        assert_ne!(ended(&mut child), Some(0));
    }
}

#[test]
fn the_tools_terminal_belongs_to_the_tools_user() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    for shim in shims() {
        let warden = Warden::new();
        let mut screen = Screen::new();
        let mut plan = on_terminal(&["sh", "-c", "stat -c %u $(tty); echo open >/dev/tty"]);
        (plan.uid, plan.gid, plan.groups) = (65_534, 65_534, Vec::new());
        let mut child = screen.command(&warden, &[shim.to_str().unwrap()]);
        let mut runner = started(&warden, &shim, &plan, "/bin/sh");
        screen.shows("65534\r\n");
        screen.shows("open\r\n");
        runner.finished();
        assert_eq!(ended(&mut child), Some(0));
    }
}

#[test]
fn a_pipe_beside_a_terminal_stays_a_pipe() {
    for shim in shims() {
        let warden = Warden::new();
        let mut screen = Screen::new();
        let line = format!("echo piped | {} | cat", shim.display());
        let mut child = screen.command(&warden, &["bash", "-c", &line]);
        let script = "test -t 2 && test ! -t 0 && test ! -t 1 && cat && echo on the terminal >&2";
        let mut plan = on_terminal(&["sh", "-c", script]);
        plan.tty = Some((0b100, 33, 77));
        let mut runner = started(&warden, &shim, &plan, "/bin/sh");
        screen.shows("on the terminal");
        assert_eq!(runner.finished().0, Status::Exited(0));
        assert_eq!(ended(&mut child), Some(0));
    }
}

#[test]
fn a_stop_restores_the_terminal_before_it_says_why() {
    for shim in shims() {
        let warden = Warden::new();
        let mut screen = Screen::new();
        let mut child = screen.command(&warden, &[shim.to_str().unwrap()]);
        let mut runner = started(&warden, &shim, &on_terminal(&["sleep", "60"]), "/bin/sleep");
        until(|| screen.is_raw());
        runner.stop(124, "timed out", true);
        screen.shows("clawrden: timed out\r\n");
        assert_eq!(ended(&mut child), Some(124));
        assert!(!screen.is_raw());
    }
}
