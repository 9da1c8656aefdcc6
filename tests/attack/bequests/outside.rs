//! Whoever is outside of an approved command's tree and wants to inherit: by a connection, a number, a namespace, another
//! jail's door, or by what was there before.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::FdFlags;

use super::{ALL, Git, POLICY, WAITS, approve, house, is_asked_and_denied, is_late, path, used};
use crate::support::other::is_root;
use crate::support::{House, raw, until};

const PYTHON: &str = "/usr/bin/python3";

fn has_python() -> bool {
    let has = Path::new(PYTHON).exists();
    if !has {
        eprintln!("not tried: {PYTHON} is not there");
    }
    has
}

/// What a prisoner starts by its path.
fn within(house: &House, program: &str) -> Command {
    let mut command = Command::new(program);
    house.governed(&mut command).env("PATH", path(house));
    command
}

/// What asks for `touch NAME` on a connection.
fn request(house: &House, name: &str) -> Vec<u8> {
    raw::request(house.dir.path(), &["touch", name], &raw::path())
}

/// A process of the approved command's that sleeps until it is ended.
fn sleeper(git: &mut Git<'_>, how: &str) -> u32 {
    git.tell(&format!(
        "{how} /bin/sh -c 'echo $$ >pid.part; /bin/mv pid.part pid; exec /bin/sleep 98' &"
    ));
    let file = git.0.path("pid");
    let told = until("the sleeper's number", || std::fs::read_to_string(&file).ok());
    let pid = told.trim().parse().unwrap();
    until("it to sleep", || {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name == "sleep\n").then_some(())
    });
    pid
}

fn end(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_process_that_had_started_something_before_it_became_the_command_hands_nothing_down() {
    let house = house(POLICY);
    // As a shell does with the last of its commands.
    let script = format!("( {WAITS} ) & exec git work");
    let shell = within(&house, "/bin/sh").args(["-c", &script]).stdin(Stdio::piped()).spawn();
    approve(&house, ALL);
    let mut git = Git(&house, shell.unwrap());
    git.is_asked("touch a");
    is_late(&house);
    assert!(used(&house).is_empty());
    git.end();
}

#[test]
fn a_connection_from_outside_stays_that_whoever_writes_on_it() {
    let house = house(POLICY);
    let mut stream = raw::connect(&house.socket());
    rustix::io::fcntl_setfd(&stream, FdFlags::empty()).unwrap();
    let number = stream.as_raw_fd();
    std::fs::write(house.path("request"), request(&house, "lent")).unwrap();
    let mut git = Git::start(&house, ALL);
    let line = format!("/bin/bash -c '/bin/cat request >&{number}'");
    assert_eq!(git.code_of(&line), 0);
    is_asked_and_denied(&house);
    assert_eq!((raw::ack(&mut stream), raw::ack(&mut stream)), (Some(2), Some(1)));
    assert_eq!(git.code_of("touch a"), 0);
    assert_eq!(used(&house).len(), 1);
    git.end();
}

/// A connection that a process below the approved command made and gave away. That process ends when `stays` is removed.
fn given_away(git: &mut Git<'_>, stays: &Path) -> UnixStream {
    given(git.0, stays, || git.tell(&format!("{PYTHON} gives.py; echo > gave")))
}

/// The same, of whichever process `start` makes.
fn given(house: &House, stays: &Path, start: impl FnOnce()) -> UnixStream {
    let door = house.path("door");
    let listener = UnixListener::bind(&door).unwrap();
    let script = format!(
        "import os, socket, time\n\
         s = socket.socket(socket.AF_UNIX); s.connect({:?})\n\
         d = socket.socket(socket.AF_UNIX); d.connect({door:?})\n\
         socket.send_fds(d, [b'x'], [s.fileno()])\n\
         while os.path.exists({stays:?}): time.sleep(0.02)\n",
        house.socket()
    );
    std::fs::write(house.path("gives.py"), script).unwrap();
    start();
    let (from, _) = listener.accept().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut into = [std::io::IoSliceMut::new(&mut byte)];
    let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
    rustix::net::recvmsg(from.as_fd(), &mut into, &mut control, flags).unwrap();
    let mut given = control.drain().filter_map(|message| match message {
        rustix::net::RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let stream = UnixStream::from(given.next().unwrap());
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    stream
}

#[test]
fn a_connection_that_outlives_who_made_it_inherits_nothing() {
    if !has_python() {
        return;
    }
    let house = house(POLICY);
    let mut git = Git::start(&house, ALL);
    let stays = house.path("stays");
    let mut stream = given_away(&mut git, &stays);
    until("the one that made it to end", || house.path("gave").exists().then_some(()));
    std::io::Write::write_all(&mut stream, &request(&house, "dead")).unwrap();
    let said = raw::finish(&mut stream);
    assert!(!said.acks.contains(&0), "{said:?}");
    assert_eq!(used(&house).len(), 0);
    git.end();
}

#[test]
fn a_connection_of_one_whose_number_something_below_has_by_now_inherits_nothing() {
    const NEXT: &str = "/proc/sys/kernel/ns_last_pid";
    if !has_python() || std::fs::File::options().write(true).open(NEXT).is_err() {
        eprintln!("not tried: nobody here may choose a number");
        return;
    }
    let house = house(POLICY);
    let mut git = Git::start(&house, ALL);
    let (stays, mut number) = (house.path("stays"), 0);
    let mut stream = given(&house, &stays, || {
        let mut outside = within(&house, PYTHON).arg("gives.py").spawn().unwrap();
        number = outside.id();
        outside.wait().unwrap();
    });
    let before = number - 1;
    let same = (0..200).find_map(|_| {
        git.tell(&format!(
            "echo {before} >{NEXT}; /bin/sleep 98 & echo $! >pid.part; /bin/mv pid.part pid"
        ));
        let file = house.path("pid");
        let told = until("a number", || std::fs::read_to_string(&file).ok());
        std::fs::remove_file(&file).unwrap();
        let found = told.trim().parse().unwrap();
        if found != number {
            end(found);
        }
        (found == number).then_some(found)
    });
    let Some(same) = same else { return eprintln!("not tried: others were always faster") };
    std::io::Write::write_all(&mut stream, &request(&house, "reused")).unwrap();
    let said = raw::finish(&mut stream);
    assert!(!said.acks.contains(&0), "{said:?}");
    assert!(!house.path("reused").exists() && used(&house).is_empty());
    end(same);
    git.end();
}

/// No more than what the one that lends it could do itself: docs/running.md says so.
#[test]
fn a_connection_that_is_lent_is_the_lenders_and_is_recorded_as_its() {
    if !has_python() {
        return;
    }
    let house = house(POLICY);
    let mut git = Git::start(&house, ALL);
    let stays = house.path("stays");
    std::fs::write(&stays, "").unwrap();
    let mut stream = given_away(&mut git, &stays);
    std::io::Write::write_all(&mut stream, &request(&house, "lent")).unwrap();
    assert_eq!(raw::ack(&mut stream), Some(0));
    let used = used(&house);
    assert_eq!(used.len(), 1);
    let asked = house.record("whose it was", |record| {
        record["event"] == "requested" && record["id"] == used[0]["id"]
    });
    let lender = asked["caller"]["pid"].as_u64().unwrap();
    assert_ne!(lender, u64::from(std::process::id()));
    assert!(std::fs::read_to_string(format!("/proc/{lender}/cmdline")).unwrap().contains("gives"));
    drop(stream);
    std::fs::remove_file(&stays).unwrap();
    git.end();
}

#[test]
fn whoever_traces_what_it_has_started_speaks_as_that_and_what_is_denied_stays_so() {
    if !has_python() || !cfg!(target_arch = "x86_64") {
        return;
    }
    let house = house(POLICY);
    let mut git = Git::start(&house, ALL);
    let tracer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/attack/bequests/trace.py");
    let touch = house.bin().join("touch");
    let mut traced = |name: &str| {
        let pid = sleeper(&mut git, "");
        std::fs::remove_file(house.path("pid")).unwrap();
        let mut trace = Command::new(PYTHON);
        trace.arg(&tracer).arg(pid.to_string()).arg(&touch).arg(name);
        assert!(trace.status().unwrap().success());
        pid
    };
    let pid = traced("traced");
    until("its file", || house.path("traced").exists().then_some(()));
    let record = until("its record", || used(&house).pop());
    let asked = house.record("who asked", |record_of| {
        record_of["event"] == "requested" && record_of["id"] == record["id"]
    });
    assert_eq!(asked["caller"]["pid"], pid);
    assert_eq!(record["inherited_from"], house.event("approved")["id"]);
    let pid = traced("denied");
    let asked = house.record("its request", |record| {
        record["event"] == "requested" && record["caller"]["pid"] == pid
    });
    let decided = house.record("what was said of it", |record| {
        record["event"] == "decided" && record["id"] == asked["id"]
    });
    assert_eq!(decided["decision"], "deny", "{decided}");
    until("it to end", || (!crate::support::other::is_alive(&pid.to_string())).then_some(()));
    assert!(!house.path("denied").exists());
    git.end();
}

#[test]
fn who_enters_the_namespaces_of_what_it_has_started_is_not_below_it() {
    if !is_root() || !crate::support::other::can(&["unshare", "--mount"]) {
        eprintln!("not tried: no namespace can be made here");
        return;
    }
    let house = house(POLICY);
    let mut git = Git::start(&house, ALL);
    let pid = sleeper(&mut git, "/usr/bin/unshare --mount");
    let mut outside = within(&house, "/usr/bin/nsenter");
    outside.args(["--mount", "--target", &pid.to_string(), "--"]).arg(house.bin().join("touch"));
    let mut outside = outside.arg("entered").stderr(Stdio::null()).spawn().unwrap();
    is_asked_and_denied(&house);
    assert_eq!(outside.wait().unwrap().code(), Some(126));
    assert!(!house.path("entered").exists() && used(&house).is_empty());
    end(pid);
    git.end();
}

#[test]
fn by_another_jails_door_nothing_is_inherited() {
    let policy = format!("jails: {{other: {{commands: [touch]}}}}\n{POLICY}");
    let house = house(&policy);
    let door = house.path("jails/other/warden.sock");
    let mut git = Git::start(&house, ALL);
    assert_eq!(git.code_of("touch a"), 0);
    git.is_asked(&format!("CLAWRDEN_SOCKET={} touch b", door.display()));
    assert_eq!(used(&house).len(), 1);
    assert!(house.events("requested").iter().any(|record| record["jail"] == "other"));
    git.end();
}

#[test]
fn a_daemon_of_an_ended_command_that_another_approved_one_adopts_inherits_nothing_from_it() {
    if !has_python() {
        return;
    }
    let house = house(POLICY);
    // What it starts later has no parent any more that was there before.
    let daemon = WAITS.replace(
        "touch late; echo $? > late.code",
        "(/bin/sleep 0.3; touch late; echo $? > late.code) &",
    );
    // The process that becomes the second command is the one that orphans fall to.
    let script = format!(
        "import ctypes, os, time\n\
         ctypes.CDLL(None).prctl(36, 1)\n\
         if os.fork() == 0:\n\
         \x20   if os.fork() == 0:\n\
         \x20       os.execv('/bin/sh', ['sh', '-c', {daemon:?}])\n\
         \x20   os._exit(0)\n\
         os.wait()\n\
         os.execv({:?}, ['git', 'work'])\n",
        house.bin().join("git")
    );
    std::fs::write(house.path("adopts.py"), script).unwrap();
    let mut command = within(&house, PYTHON);
    let adopts = command.arg("adopts.py").stdin(Stdio::piped()).spawn().unwrap();
    approve(&house, ALL);
    let mut git = Git(&house, adopts);
    is_late(&house);
    git.is_asked("touch a");
    assert!(used(&house).is_empty());
    git.end();
}
