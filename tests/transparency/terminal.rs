//! Terminals: job control, keys, window size.

use crate::support::pty::Pty;
use crate::support::until;
use crate::{Stage, WAYS};

/// An interactive shell on a terminal, in which `$tool` stands for `tool`.
fn shell(stage: &Stage, tool: &str) -> Pty {
    let mut command = std::process::Command::new("bash");
    command.args(["--norc", "--noprofile", "-i"]).env("PS1", "prompt> ").env("TERM", "dumb");
    command.env("CLAWRDEN_SOCKET", stage.house.socket()).env("tool", stage.path(tool));
    command.current_dir(stage.house.dir.path());
    let mut pty = Pty::spawn(&mut command);
    pty.expect("prompt> ");
    pty
}

#[test]
fn the_tool_sees_a_terminal_where_there_is_one() {
    for way in WAYS {
        let stage = Stage::new(way);
        let mut pty = shell(&stage, "sh");
        pty.send("$tool -c 'test -t 0 && test -t 1 && test -t 2 && echo all-are-$((1+1))'\n");
        pty.expect("all-are-2");
        pty.expect("prompt> ");
        pty.send("$tool -c 'test -t 1 || echo not-a-t$((2))ty' | cat\n");
        pty.expect("not-a-t2ty");
    }
}

#[test]
fn the_window_has_its_size_and_its_changes_arrive() {
    for way in WAYS {
        let stage = Stage::new(way);
        let mut pty = shell(&stage, "bash");
        pty.send("$tool -c 'stty size; trap \"stty size; exit\" WINCH; echo rea''dy; while :; do sleep 0.05; done'\n");
        pty.expect("30 100");
        pty.expect("ready");
        pty.resize(40, 120);
        pty.expect("40 120");
        pty.expect("prompt> ");
    }
}

#[test]
fn every_command_has_its_terminal_however_many_came_before() {
    for way in WAYS {
        let stage = Stage::new(way);
        let mut pty = shell(&stage, "bash");
        // More than there are runners that wait, so that each of these has more than one run.
        for n in 1..=12 {
            pty.send(&format!("$tool -c 'stty size; echo to-the-$((40+{n})) >/dev/tty'\n"));
            pty.expect("30 100");
            pty.expect(&format!("to-the-{}", 40 + n));
            pty.expect("prompt> ");
        }
        for _ in 0..6 {
            pty.send("$tool -c 'echo rea''dy; sleep 1000'\n");
            pty.expect("ready");
            pty.send("\x03");
            pty.expect("prompt> ");
            pty.send("echo code-$?-\n");
            pty.expect("code-130-");
            pty.expect("prompt> ");
        }
    }
}

#[test]
fn control_c_ends_the_tool_and_not_the_shell() {
    for way in WAYS {
        let stage = Stage::new(way);
        let mut pty = shell(&stage, "sleep");
        pty.send("$tool 1000\n");
        std::thread::sleep(std::time::Duration::from_millis(500));
        pty.send("\x03");
        pty.expect("prompt> ");
        pty.send("echo code-$?-\n");
        pty.expect("code-130-");
    }
}

#[test]
fn control_c_runs_the_tools_own_trap() {
    for way in WAYS {
        let stage = Stage::new(way);
        let mut pty = shell(&stage, "bash");
        pty.send("$tool -c 'trap \"echo cleaned-u\"\"p; exit 5\" INT; echo rea''dy; while :; do sleep 0.05; done'\n");
        pty.expect("ready");
        pty.send("\x03");
        pty.expect("cleaned-up");
        pty.expect("prompt> ");
        pty.send("echo code-$?-\n");
        pty.expect("code-5-");
    }
}

#[test]
fn control_c_reaches_the_children_of_a_tool_whose_streams_are_no_terminal() {
    for way in WAYS {
        let stage = Stage::new(way);
        let mut pty = shell(&stage, "bash");
        let child =
            "trap \"echo child; exit\" INT; echo ready; until [ -e never ]; do sleep 0.02; done";
        let script = format!("trap \"echo tool; exit 5\" INT; sh -c '\\''{child}'\\''");
        pty.send(&format!("$tool -c '{script}' </dev/null >out 2>&1\n"));
        let out = stage.house.path("out");
        let shown = || std::fs::read_to_string(&out).unwrap_or_default();
        until("the child to run", || (shown() == "ready\n").then_some(()));
        pty.send("\x03");
        pty.expect("prompt> ");
        assert_eq!(shown(), "ready\nchild\ntool\n", "{way:?}");
        pty.send("echo code-$?-\n");
        pty.expect("code-5-");
    }
}

#[test]
fn control_z_stops_and_fg_goes_on() {
    for way in WAYS {
        let stage = Stage::new(way);
        let mut pty = shell(&stage, "sh");
        pty.send("$tool -c 'echo rea''dy; read line; echo got-$line-$((1+1))'\n");
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
}

#[test]
fn what_is_typed_is_echoed_once_and_read_as_a_line() {
    for way in WAYS {
        let stage = Stage::new(way);
        let mut pty = shell(&stage, "cat");
        pty.send("$tool\n");
        std::thread::sleep(std::time::Duration::from_millis(500));
        pty.send("a line\n");
        let shown = pty.expect("a line\r\na line\r\n");
        assert!(!shown.contains("a line\r\na line\r\na line"), "{way:?}: {shown:?}");
        pty.send("\x04");
        pty.expect("prompt> ");
    }
}
