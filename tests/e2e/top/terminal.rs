//! What `clawrden top` takes of its terminal, and how it gives it back.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::LocalModes;

use super::{POLICY, agent, command, end, quit, running, spawn, top, waiting};
use crate::support::House;
use crate::support::screen::Screen;

#[test]
fn the_picture_fits_every_window() {
    let house = House::new(POLICY);
    let asked = agent(&house, "touch mark");
    waiting(&house, 1);
    let mut screen = top(&house);
    screen.shows("touch mark");
    screen.resize(50, 200);
    screen.shows("WHY IT ASKS");
    screen.looks(&house, "queue-wide");
    screen.press("j\r");
    screen.shows("callers");
    for (rows, cols) in [(24, 80), (10, 40), (3, 20), (1, 1), (2, 7), (60, 300), (24, 80)] {
        screen.resize(rows, cols);
        screen.press("?xKxA");
        screen.press("xj");
        if cols >= 80 {
            screen.shows("it makes files");
        }
    }
    screen.press("q");
    screen.shows("AGE");
    let screen = quit(screen);
    drop(screen);
    assert!(house.cli(&["deny", house.pending()["id"].as_str().unwrap()]).status.success());
    end(asked);
}

/// A shell that notes how its terminal is set, before and after.
fn noting(house: &House) -> Screen {
    let script = "stty -g > before; echo shown-before; \"$@\"; echo code-$?-; stty -g > after; echo shown-after";
    let top = command(house, "xterm-256color", "");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script, "sh"]).arg(top.get_program()).args(top.get_args());
    shell.envs(top.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(house.dir.path());
    let mut screen = Screen::of(&mut shell, 24, 80);
    screen.shows("nothing waits");
    screen
}

/// The only child of the shell.
fn inner(screen: &Screen) -> Pid {
    let shell = screen.pty.child.id();
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    Pid::from_raw(children.trim().parse().unwrap()).unwrap()
}

#[test]
fn whatever_ends_it_gives_the_terminal_back_as_it_was() {
    enum By {
        Key(&'static str),
        Signal(Signal),
    }
    let house = House::new(POLICY);
    for (by, code) in [
        (By::Key("q"), 0),
        (By::Key("\u{3}"), 0),
        (By::Signal(Signal::TERM), 143),
        (By::Signal(Signal::INT), 130),
        (By::Signal(Signal::HUP), 129),
        (By::Signal(Signal::QUIT), 131),
    ] {
        let mut screen = noting(&house);
        let modes = screen.pty.modes().local_modes;
        assert!(!modes.intersects(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
        let picture = screen.picture();
        assert!(picture.alternate_screen() && picture.hide_cursor());
        assert!(!picture.contents().contains("shown-before"));
        match by {
            By::Key(key) => screen.press(key),
            By::Signal(signal) => kill_process(inner(&screen), signal).unwrap(),
        }
        screen.shows("shown-after");
        screen.shows(&format!("code-{code}-"));
        let picture = screen.picture();
        assert!(!picture.alternate_screen() && !picture.hide_cursor(), "{code}");
        assert!(picture.contents().contains("shown-before"), "{}", picture.contents());
        assert!(
            !picture.bold() && !picture.inverse() && picture.fgcolor() == vt100::Color::Default
        );
        let noted = |name: &str| std::fs::read_to_string(house.path(name)).unwrap();
        assert_eq!(noted("before"), noted("after"), "{code}");
        assert!(screen.pty.child.wait().unwrap().success());
    }
}

#[test]
fn control_z_goes_back_to_the_shell_and_fg_comes_back() {
    let house = House::new(POLICY);
    let top = command(&house, "xterm-256color", "");
    let mut shell = Command::new("bash");
    shell
        .args(["--norc", "--noprofile", "-i"])
        .env("PS1", "prompt> ")
        .env("TERM", "xterm-256color");
    shell.env("top", top.get_program()).env("control", house.control());
    let mut screen = Screen::of(&mut shell, 24, 80);
    screen.shows("prompt> ");
    screen.press("\"$top\" --control \"$control\" top\r");
    screen.shows("nothing waits");
    screen.press("\u{1a}");
    screen.shows("Stopped");
    screen.until("the shell", |picture| !picture.alternate_screen() && !picture.hide_cursor());
    screen.press("echo here-$((40+2))\r");
    screen.shows("here-42");
    screen.press("fg\r");
    screen.until("it again", |picture| {
        picture.alternate_screen() && picture.contents().contains("nothing waits")
    });
    screen.press("3");
    screen.shows("nothing was asked yet");
    screen.press("q");
    screen.until("the shell", |picture| {
        !picture.alternate_screen() && picture.contents().trim_end().ends_with("\nprompt>")
    });
    screen.press("echo code-$?-\r");
    screen.shows("code-0-");
}

/// A line of the status of a process, in KiB.
fn status(pid: u32, name: &str) -> u64 {
    let all = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = all.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn however_much_a_command_writes_the_line_and_the_memory_bear_it() {
    let house = House::new(POLICY);
    let script = "read -r go; seq 1 1000000; echo all-is-$((1+1)); read -r go";
    let mut child = spawn(&house, "sh", &["-c", script]);
    running(&house, 1);
    let mut screen = top(&house);
    screen.press("2");
    screen.shows("seq 1 1000000");
    screen.press("o");
    screen.shows("nothing yet");
    let (pid, before) = (screen.pty.child.id(), status(screen.pty.child.id(), "VmHWM"));
    let shown = screen.pty.shown.len();
    let start = Instant::now();
    child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    screen.shows("all-is-2");
    let took = start.elapsed();
    // Ten pictures of at most 80 x 24 in a second, whatever comes.
    let pictures = usize::try_from(took.as_millis()).unwrap() / 100 + 10;
    let wrote = screen.pty.shown.len() - shown;
    assert!(wrote < pictures * 6000, "{wrote} bytes in {took:?} for 7 MB");
    let grown = status(pid, "VmHWM") - before;
    assert!(grown < 16 * 1024, "{grown} KiB more are held");
    // Its keys are heard meanwhile and afterwards.
    screen.press("g");
    screen.shows("what was before is not held here");
    screen.press("G");
    screen.shows("all-is-2");
    drop(child.stdin.take());
    end(child);
    screen.shows("ended: exit");
    // A screen on which nothing changes costs a slow line next to nothing.
    screen.press("q");
    screen.shows("nothing runs");
    while screen.pty.read_within(Duration::from_millis(300)) {
        screen.picture();
    }
    let (shown, start) = (screen.pty.shown.len(), Instant::now());
    while start.elapsed() < Duration::from_secs(3) {
        screen.pty.read_within(Duration::from_millis(100));
    }
    let idle = screen.pty.shown.len() - shown;
    assert!(idle < 600, "{idle} bytes in three seconds");
    quit(screen);
}
