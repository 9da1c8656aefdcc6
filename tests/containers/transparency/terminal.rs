//! Terminals: `docker exec -t`, its size, keys and job control.

use std::sync::atomic::Ordering;

use super::{Stage, WAYS, Way};
use crate::prison::IMAGES;
use crate::support::pty::Pty;

/// An interactive shell of the image on a terminal of the container.
fn shell(stage: &Stage, way: Way) -> Pty {
    let options = ["-it", "-w", stage.cwd, "-e", "PS1=prompt> ", "-e", "TERM=dumb"];
    let words: &[&str] = match stage.image {
        "alpine" => &["/bin/ash", "-i"],
        _ => &["/bin/bash", "--norc", "--noprofile", "-i"],
    };
    let mut pty = Pty::spawn(&mut stage.command(way, &options, words));
    pty.expect("prompt> ");
    pty
}

/// Each case on each image, natively and by the shim: handed off, and started by the engine.
fn each(case: impl Fn(&mut Pty)) {
    for stage in IMAGES.iter().flat_map(|image| [Stage::new(image), Stage::by_exec(image)]) {
        on(&stage, &case);
    }
}

/// A case natively and by the shim.
pub(super) fn on(stage: &Stage, case: impl Fn(&mut Pty)) {
    for way in WAYS {
        let asked = stage.asked();
        case(&mut shell(stage, way));
        let what = format!("{} {way:?} {}", stage.image, stage.method);
        assert_eq!(stage.asked() > asked, way == Way::Shimmed, "{what}");
    }
}

#[test]
fn the_tool_sees_a_terminal_where_there_is_one() {
    each(sees_a_terminal);
}

pub(super) fn sees_a_terminal(pty: &mut Pty) {
    pty.send("sh -c 'test -t 0 && test -t 1 && test -t 2 && echo all-are-$((1+1))'\n");
    pty.expect("all-are-2");
    pty.expect("prompt> ");
    pty.send("sh -c 'test -t 1 || echo not-a-t$((2))ty' | cat\n");
    pty.expect("not-a-t2ty");
    pty.expect("prompt> ");
}

/// Only what takes the shim's place is in its session; docs/containers.md says so.
#[test]
fn what_is_handed_off_has_the_terminal_also_where_no_stream_is_one() {
    for image in IMAGES {
        on(&Stage::new(image), |pty| {
            pty.send("sh -c 'echo to-the-$((40+2)) >/dev/tty' >/dev/null 2>&1 </dev/null\n");
            pty.expect("to-the-42");
        });
    }
}

#[test]
fn the_window_has_its_size_and_its_changes_arrive() {
    each(has_its_size);
}

pub(super) fn has_its_size(pty: &mut Pty) {
    // The engine sets the size a moment after the start.
    pty.send("until sh -c 'stty size' | grep -q '30 100'; do sleep 0.1; done; sh -c 'stty size; trap \"stty size; exit\" WINCH; echo rea''dy; while :; do sleep 0.05; done'\n");
    pty.expect("30 100");
    pty.expect("ready");
    pty.resize(40, 120);
    // Docker's client passes on what it was told by a signal, once it listens for it.
    let pid = i32::try_from(pty.child.id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let has_come = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                if has_come.load(Ordering::SeqCst) {
                    return;
                }
                rustix::process::kill_process(pid, rustix::process::Signal::WINCH).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(300));
            }
        });
        pty.expect("40 120");
        has_come.store(true, Ordering::SeqCst);
    });
    pty.expect("prompt> ");
}

#[test]
fn control_c_ends_the_tool_and_runs_its_trap() {
    each(takes_control_c);
}

pub(super) fn takes_control_c(pty: &mut Pty) {
    pty.send("sh -c 'echo rea''dy; exec sleep 1000'\n");
    pty.expect("ready");
    std::thread::sleep(std::time::Duration::from_millis(300));
    pty.send("\x03");
    pty.expect("prompt> ");
    pty.send("echo code-$?-\n");
    pty.expect("code-130-");
    pty.expect("prompt> ");
    pty.send("sh -c 'trap \"echo cleaned-u\"\"p; exit 5\" INT; echo rea''dy; while :; do sleep 0.05; done'\n");
    pty.expect("ready");
    pty.send("\x03");
    pty.expect("cleaned-up");
    pty.expect("prompt> ");
    pty.send("echo code-$?-\n");
    pty.expect("code-5-");
}

#[test]
fn control_z_stops_and_fg_goes_on() {
    each(stops_and_goes_on);
}

pub(super) fn stops_and_goes_on(pty: &mut Pty) {
    pty.send("sh -c 'echo rea''dy; read line; echo got-$line-$((1+1))'\n");
    pty.expect("ready");
    pty.send("\x1a");
    pty.expect("Stopped");
    pty.expect("prompt> ");
    pty.send("echo shell-is-$((40+2))\n");
    pty.expect("shell-is-42");
    pty.expect("prompt> ");
    pty.send("fg\n");
    std::thread::sleep(std::time::Duration::from_millis(300));
    pty.send("it\n");
    pty.expect("got-it-2");
    pty.expect("prompt> ");
}

#[test]
fn what_is_typed_is_echoed_once_and_ends_by_control_d() {
    each(echoes_once);
}

pub(super) fn echoes_once(pty: &mut Pty) {
    pty.send("cat\n");
    std::thread::sleep(std::time::Duration::from_millis(500));
    pty.send("a line\n");
    let shown = pty.expect("a line\r\na line\r\n");
    assert!(!shown.contains("a line\r\na line\r\na line"), "{shown:?}");
    pty.send("\x04");
    pty.expect("prompt> ");
}
