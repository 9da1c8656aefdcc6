//! Ghosts: a tool in a container of its own, made for it and gone afterwards.

mod attacks;
mod builds;
mod ends;
mod fetched;
mod gives;

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::cell::{Cell, Plan, USER, put};
use crate::support::pty::Pty;
use crate::support::{text, until};

#[test]
fn a_ghost_runs_where_its_caller_is_as_its_caller_and_leaves_nothing_behind() {
    let cell = Cell::new(&Plan::default());
    let output = cell.ghost("id -u; id -g; pwd; echo made > made; hostname; echo lost >&2");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[..3], ["1000", "1000", "/work"]);
    assert_ne!(lines[3], text(&cell.container.sh("hostname").stdout).trim());
    assert_eq!(text(&output.stderr), "lost\n");
    let made = std::fs::metadata(cell.work.path().join("made")).unwrap();
    assert_eq!(made.uid(), USER);
    let started = &cell.records("started")[0];
    assert_eq!((&started["executor"], &started["method"]), (&"ghost".into(), &"runner".into()));
    assert_eq!(started["ghost"]["shared"][0], "/work");
    let finished = cell.house.event("finished");
    assert_eq!((&finished["exit_code"], &finished["exit_source"]), (&0.into(), &"runner".into()));
    cell.is_clean();
}

#[test]
fn a_ghost_has_no_more_than_it_needs() {
    let cell = Cell::new(&Plan::default());
    let script = "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs):' /proc/self/status
        touch /x /etc/x 2>&1; ls /sys/class/net; touch /tmp/x $HOME/x && echo scratch; echo $HOME
        ls /clawrden /run/clawrden 2>&1; env | sort";
    let output = cell
        .command(&["-e", "TOKEN=hush", "-e", "LANG=C"], &["sh", "-c", script])
        .output()
        .unwrap();
    let told = text(&output.stdout);
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(told.contains(&format!("{name}:\t0000000000000000")), "{told}");
    }
    assert!(told.contains("NoNewPrivs:\t1"), "{told}");
    assert_eq!(told.matches("Read-only file system").count(), 2, "{told}");
    assert!(told.contains("\nlo\nscratch\n/home/ghost\n"), "{told}");
    assert!(told.contains("/run/clawrden: No such file"), "{told}");
    assert!(told.contains("LANG=C\n") && !told.contains("TOKEN"), "{told}");
    assert!(!told.contains("CLAWRDEN"), "{told}");
}

#[test]
fn bytes_pass_exactly_both_ways() {
    let cell = Cell::new(&Plan::default());
    let bytes: Vec<u8> =
        (0..750_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut child = cell.start("tee copy; echo done >&2");
    let mut stdin = child.stdin.take().unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());
    assert_eq!(text(&output.stderr), "done\n");
    assert!(std::fs::read(cell.work.path().join("copy")).unwrap() == bytes);
    assert_eq!(cell.house.event("finished")["bytes_out"], bytes.len() + 5);
}

#[test]
fn input_that_ends_is_ended_and_none_is_none() {
    let cell = Cell::new(&Plan::default());
    let mut child = cell.start("cat; echo end");
    drop(child.stdin.take());
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told, "end\n");
    child.wait().unwrap();
    // docker exec without -i has an input that is at its end.
    assert_eq!(text(&cell.ghost("cat; echo end").stdout), "end\n");
}

#[test]
fn exit_codes_and_signals_are_the_tools_own() {
    let cell = Cell::new(&Plan::default());
    for code in [0, 1, 42, 75, 124, 125, 126, 127, 255] {
        assert_eq!(cell.ghost(&format!("exit {code}")).status.code(), Some(code));
    }
    // docker exec tells the shim's death by a signal as 128 and its number.
    for signal in [2, 6, 9, 15] {
        assert_eq!(cell.ghost(&format!("kill -{signal} $$")).status.code(), Some(128 + signal));
    }
    let ends = cell.records("finished");
    let known =
        |record: &serde_json::Value| (record["exit_code"].as_i64(), record["signal"].as_i64());
    assert_eq!(known(&ends[7]), (Some(127), None));
    assert_eq!(known(&ends[11]), (None, Some(9)));
    cell.is_clean();
}

#[test]
fn what_is_not_there_and_what_is_denied_are_told_apart_from_the_tools_own_codes() {
    let cell = Cell::new(&Plan::default());
    let missing = cell.command(&[], &["no-such-tool"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(127));
    assert!(
        text(&missing.stderr).contains("no such tool in the ghost's image"),
        "{}",
        text(&missing.stderr)
    );
    let elsewhere = Cell::new(&Plan::default());
    let output = elsewhere.command(&["-w", "/etc"], &["sh", "-c", "pwd"]).output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    let told = text(&output.stderr);
    assert!(told.contains("/etc is not shared with a ghost") && told.contains("/work"), "{told}");
    assert!(elsewhere.records("started").is_empty());
    cell.is_clean();
}

#[test]
fn a_missing_image_is_a_clear_error_and_a_missing_network_too() {
    let cell = Cell::new(&Plan { ghost: "'clawrden-test/no-such:1'", ..Plan::default() });
    let output = cell.ghost("true");
    assert_eq!(output.status.code(), Some(125));
    let told = text(&output.stderr);
    assert!(told.contains("clawrden-test/no-such:1"), "{told}");
    let cell = Cell::new(&Plan { rule: ", network: no-such-net", ..Plan::default() });
    let output = cell.ghost("true");
    assert_eq!(output.status.code(), Some(125));
    let told = text(&output.stderr);
    assert!(told.contains("network no-such-net is not there"), "{told}");
    cell.is_clean();
}

#[test]
fn a_policy_that_never_fetches_says_where_the_image_should_be() {
    let ghost = "{image: 'clawrden-test/no-such:1', pull: never}";
    let cell = Cell::new(&Plan { ghost, ..Plan::default() });
    let output = cell.ghost("true");
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("`pull: never`"), "{}", text(&output.stderr));
}

#[test]
fn a_terminal_is_a_terminal_and_takes_keys_and_sizes() {
    let cell = Cell::new(&Plan::default());
    let script = "tty; trap 'stty size; exit 5' WINCH; stty size; read x; echo \"got $x\"; while :; do sleep 0.1; done";
    let mut pty = Pty::spawn(&mut cell.command(&["-i", "-t"], &["sh", "-c", script]));
    pty.expect("/dev/pts/");
    pty.send("key\r");
    pty.expect("got key");
    pty.resize(41, 99);
    pty.expect("41 99");
    assert_eq!(pty.child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_signal_reaches_the_tool() {
    let cell = Cell::new(&Plan::default());
    let mut child =
        cell.start("trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done");
    let mut out = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"ready\n") {
        out.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    cell.container.exec(&["/bin/busybox", "pkill", "-INT", "sh"]).status().unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "caught\n");
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert!(child.wait().unwrap().signal().is_none());
}

#[test]
fn many_ghosts_at_once_all_run() {
    let cell = Cell::new(&Plan { rule: ", limits: {memory: 64m, pids: 32}", ..Plan::default() });
    let script = "i=0; while [ $i -lt 64 ]; do (PATH=/clawrden/bin:$PATH sh -c \"echo $i > out.$i; exit 0\" || echo failed $i) & \
                  i=$((i+1)); done; wait";
    let output =
        cell.command(&[], &["/bin/sh", "-c", script]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
    for n in 0..64 {
        let path = cell.work.path().join(format!("out.{n}"));
        assert_eq!(std::fs::read_to_string(path).unwrap().trim(), n.to_string());
    }
    until("64 ends", || (cell.records("finished").len() == 64).then_some(()));
    cell.is_clean();
}

#[test]
fn a_tool_of_the_workspace_runs_from_there() {
    let cell = Cell::new(&Plan::default());
    put(&cell.work, "build", "#!/bin/sh\necho \"built by $0 $*\"\n", 0o755);
    let output = cell
        .command(&[], &["/bin/sh", "-c", "ln -s /clawrden/bin/sh own; ./build x"])
        .output()
        .unwrap();
    // A script of its own is no governed tool: it runs natively, and says so by its name.
    assert_eq!(text(&output.stdout), "built by ./build x\n");
    let output = cell.ghost("./build y");
    assert_eq!(text(&output.stdout), "built by ./build y\n");
}
