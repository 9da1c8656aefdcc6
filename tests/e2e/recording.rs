//! Recorded commands: what is recorded, what is not, and what becomes of it.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::pty::Pty;
use crate::support::{House, client, text, until};

/// Local runs, recorded as `record` says.
fn policy(record: &str) -> String {
    format!(
        "default_action: allow
on_unparsed: allow
default_executor: local
rules:
  - {{command: [sh, cat, yes, python3, stty], action: allow, {record}}}
"
    )
}

/// Everything is recorded as it is shown.
fn recorded(record: &str) -> House {
    House::new(&policy(record))
}

/// The path of the only recording.
fn only(house: &House) -> PathBuf {
    let files = std::fs::read_dir(house.path("recordings")).unwrap();
    let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// The events of a recording; a torn last line is none.
fn events(path: &PathBuf) -> Vec<(f64, String, String)> {
    let all = std::fs::read_to_string(path).unwrap();
    let mut lines = all.lines();
    let header: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(header["version"], 2);
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn of(events: &[(f64, String, String)], wanted: &str) -> String {
    events.iter().filter(|(_, code, _)| code == wanted).map(|(.., data)| data.as_str()).collect()
}

fn id(house: &House) -> String {
    house.event("finished")["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_command_shows_is_recorded_and_is_what_the_ledger_has() {
    let house = recorded("record: output");
    let mut child = house
        .shimmed("sh")
        .args(["-c", "read -r line; echo \"got $line\"; echo oh >&2; exit 3"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"given\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("got given\n".into(), "oh\n".into()));
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(house.event("started")["record"], "output");
    let finished = house.event("finished");
    let path = only(&house);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(finished["recording"]["sha256"], clawrden_api_sha256(&bytes));
    assert_eq!(finished["recording"]["bytes"], bytes.len());
    assert_eq!(finished["recording"]["error"], Value::Null);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = path.parent().unwrap();
    assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    let events = events(&path);
    assert_eq!(of(&events, "i"), "", "what was given is nobody's to keep");
    assert!(of(&events, "o").contains("got given\n") && of(&events, "o").contains("oh\n"));
    let at = events.iter().position(|(_, code, _)| code == "e").unwrap();
    assert_eq!(events[at + 1].2, "oh\n", "standard error is told apart");
}

fn clawrden_api_sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_session_on_a_terminal_is_recorded_as_it_was_shown_without_what_was_hidden() {
    let house = recorded("record: session");
    let script = "stty size; printf 'name? '; read -r n; stty -echo; printf 'word? '; read -r w; stty echo; \
                  echo; echo \"${#w} letters, $n\"; read -r x; stty size";
    let mut command = house.shimmed("sh");
    let mut pty = Pty::spawn(command.args(["-c", script]));
    pty.expect("30 100");
    pty.expect("name? ");
    pty.send("ann\r");
    pty.expect("word? ");
    pty.send("hunter2\r");
    pty.expect("7 letters, ann");
    pty.resize(40, 120);
    std::thread::sleep(Duration::from_millis(300));
    pty.send("\r");
    pty.expect("40 120");
    assert!(pty.child.wait().unwrap().success());
    let finished = house.event("finished");
    assert_eq!(finished["recording"]["error"], Value::Null, "{finished}");
    let events = events(&only(&house));
    let shown = text(&pty.shown);
    assert_eq!(of(&events, "o"), shown, "it was shown otherwise");
    assert_eq!(of(&events, "r"), "120x40");
    let typed = of(&events, "i");
    assert!(typed.contains("ann") && !typed.contains("hunter2"), "{typed:?}");
    let all = std::fs::read_to_string(only(&house)).unwrap();
    assert!(!all.contains("hunter2"), "{all}");
}

#[test]
fn a_recording_is_played_printed_and_exported() {
    let house = recorded("record: output");
    let script =
        "printf '\\033[31mred\\033[0m\\n'; sleep 2; printf '\\033]52;c;ZXZpbA==\\007end\\n'";
    assert!(house.shimmed("sh").args(["-c", script]).output().unwrap().status.success());
    let id = id(&house);
    let printed = house.cli(&["replay", &id[..8], "--print"]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    assert_eq!(text(&printed.stdout), "\u{1b}[31mred\u{1b}[0m\nend\n");
    assert!(text(&printed.stderr).contains("is as the ledger has it"), "{}", text(&printed.stderr));
    let took = |words: &[&str]| {
        let start = Instant::now();
        assert!(house.cli(words).status.success());
        start.elapsed()
    };
    let pause = Duration::from_secs(2);
    assert!(took(&["replay", &id]) >= pause, "it went too fast");
    assert!(took(&["replay", &id, "--speed", "100"]) < pause);
    assert!(took(&["replay", &id, "--idle-limit", "0.01"]) < pause);
    for name in ["a.cast", "a.txt"] {
        let path = house.path(name);
        let words = ["replay", &id, "--export", path.to_str().unwrap()];
        assert!(house.cli(&words).status.success());
        assert_eq!(house.cli(&words).status.code(), Some(1), "it is written over");
    }
    assert_eq!(std::fs::read(house.path("a.cast")).unwrap(), std::fs::read(only(&house)).unwrap());
    assert_eq!(std::fs::read_to_string(house.path("a.txt")).unwrap(), "red\nend\n");
    assert_eq!(house.cli(&["replay", "0123abcd"]).status.code(), Some(1));
    // Somebody changes one letter.
    let path = only(&house);
    let changed = std::fs::read_to_string(&path).unwrap().replace("end", "And");
    std::fs::write(&path, changed).unwrap();
    let printed = house.cli(&["replay", &id, "--print"]);
    assert_eq!(printed.status.code(), Some(1));
    let said = text(&printed.stderr);
    assert!(said.contains("NOT WHAT THE LEDGER HAS"), "{said}");
}

#[test]
fn a_hundred_mebibytes_pass_whole_and_the_recording_stops_at_its_limit() {
    let house = recorded("record: output, record_bytes: 1m");
    let mut child = house
        .shimmed("sh")
        .args(["-c", "yes clawrden | head -c 104857600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let (mut total, mut chunk) = (0, vec![0; 1 << 16]);
    loop {
        let n = out.read(&mut chunk).unwrap();
        if n == 0 {
            break;
        }
        assert!(chunk[..n].iter().all(|b| b"clawrden\n".contains(b)));
        total += n;
    }
    assert_eq!(total, 100 << 20);
    assert!(child.wait().unwrap().success());
    let finished = house.event("finished");
    assert!(finished["recording"]["error"].as_str().unwrap().contains("limit"), "{finished}");
    let path = only(&house);
    let length = std::fs::metadata(&path).unwrap().len();
    assert!(length <= 1 << 20 && length > 900_000, "{length}");
    assert!(of(&events(&path), "m").contains("limit of 1048576 bytes"));
    let id = id(&house);
    let printed = house.cli(&["replay", &id, "--print"]);
    assert!(printed.status.success() && text(&printed.stderr).contains("not whole"));
}

#[test]
fn without_its_recording_nothing_runs() {
    let house = recorded("record: output");
    std::fs::write(house.path("recordings"), "in the way").unwrap();
    let output = house.shimmed("sh").args(["-c", "echo ran"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert!(said.contains("recording") && said.lines().count() == 1, "{said}");
    assert!(house.ledger().iter().all(|record| record["event"] != "started"));
}

#[test]
fn what_would_be_handed_off_is_not_run_unrecorded() {
    let house = House::new("rules: [{command: sh, action: allow, record: output}]");
    let output = house.shimmed("sh").args(["-c", "echo ran"]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(126), String::new()));
    assert!(text(&output.stderr).contains("use `executor: local`"), "{}", text(&output.stderr));
}

#[test]
fn a_warden_that_is_killed_leaves_what_was_shown() {
    let mut house = recorded("record: output");
    let mut child = house
        .shimmed("sh")
        .args(["-c", "i=0; while :; do i=$((i+1)); echo line $i; done"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut shown = vec![0; 200_000];
    out.read_exact(&mut shown).unwrap();
    house.crash();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    child.wait().unwrap();
    shown.extend(rest);
    let recorded = of(&events(&only(&house)), "o");
    assert!(recorded.starts_with(&text(&shown)), "what was shown was recorded before");
    let id = only(&house).file_stem().unwrap().to_str().unwrap().to_owned();
    house.restart();
    let printed = house.cli(&["replay", &id, "--print"]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    assert!(text(&printed.stderr).contains("cannot be checked"), "{}", text(&printed.stderr));
    assert!(text(&printed.stdout).starts_with("line 1\nline 2\n"));
}

#[test]
fn a_command_is_watched_while_it_runs_and_a_slow_watcher_holds_nothing_up() {
    let house = recorded("record: output");
    let script =
        "echo first; read -r go; yes clawrden | head -c 20000000; echo last; read -r go; :";
    let mut child = house
        .shimmed("sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let entry = until("it to run", || {
        let all = house.json(&["ps", "--json"]);
        all["entries"].as_array()?.first().filter(|one| one["state"] == "running").cloned()
    });
    assert_eq!(entry["recording"], "output");
    let short = entry["short"].as_str().unwrap();
    let attach = |stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clawrden"));
        command
            .arg("--control")
            .arg(house.control())
            .args(["attach", short])
            .stdout(stdout)
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let (mut watcher, slow) = (attach(Stdio::piped()), attach(Stdio::piped()));
    let mut seen = [0; 6];
    let mut out = watcher.stdout.take().unwrap();
    out.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"first\n");
    let mut stdin = child.stdin.take().unwrap();
    let start = Instant::now();
    stdin.write_all(b"go\n").unwrap();
    let watching = std::thread::spawn(move || {
        let mut all = Vec::new();
        out.read_to_end(&mut all).unwrap();
        all
    });
    until("the end of its output", || {
        let bytes = std::fs::read(only(&house)).unwrap();
        bytes.ends_with(b"last\\n\"]\n").then_some(())
    });
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    // The one that takes nothing is let go meanwhile.
    std::thread::sleep(Duration::from_secs(12));
    drop(stdin);
    assert!(child.wait().unwrap().success());
    let all = watching.join().unwrap();
    assert_eq!(all.len(), 20_000_000 + 5);
    assert!(all.ends_with(b"last\n") && watcher.wait().unwrap().success());
    let slow = slow.wait_with_output().unwrap();
    assert_eq!(slow.status.code(), Some(1), "it saw a part, and that is no success");
    assert!(text(&slow.stderr).contains("you read too slowly"), "{}", text(&slow.stderr));
    assert!(slow.stdout.len() < all.len());
    let ended = house.cli(&["attach", &id(&house)]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("has ended"), "{}", text(&ended.stderr));
}

#[test]
fn a_watcher_that_is_interrupted_puts_the_terminal_back() {
    let house = recorded("record: output");
    let script = "printf '\\033[?1049h\\033[?25lon another screen'; read -r x";
    let mut child = house.shimmed("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
    let entry = until("it to run", || {
        let all = house.json(&["ps", "--json"]);
        all["entries"].as_array()?.first().filter(|one| one["state"] == "running").cloned()
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_clawrden"));
    command.arg("--control").arg(house.control());
    let mut pty = Pty::spawn(command.args(["attach", entry["short"].as_str().unwrap()]));
    pty.expect("on another screen");
    pty.send("\u{3}");
    pty.expect("\u{1b}[?1049l");
    pty.expect("\u{1b}[?25h");
    assert_eq!(pty.child.wait().unwrap().code(), Some(130));
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn a_version_1_client_is_recorded_too() {
    let house = recorded("record: output");
    let header = client::header("sh", &["-c", "echo out; echo err >&2; exit 4"], house.dir.path());
    let answer = client::ask(&house.socket(), &header);
    assert_eq!((answer.stdout, answer.exit), (b"out\n".to_vec(), Some(4)));
    assert_eq!(answer.stderr, b"err\n");
    house.event("finished");
    assert!(of(&events(&only(&house)), "o").contains("out\n"));
}

#[test]
fn a_stopped_recorded_command_has_its_recording_and_tells_its_caller() {
    let house = House::with(&policy("record: output"), &["--grace", "1s"]);
    let child = house
        .shimmed("sh")
        .args(["-c", "echo begun; trap '' TERM; while :; do sleep 0.1; done"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let entry = until("it to run", || {
        let all = house.json(&["ps", "--json"]);
        all["entries"].as_array()?.first().filter(|one| one["state"] == "running").cloned()
    });
    until("it to begin", || of(&events(&only(&house)), "o").contains("begun").then_some(()));
    assert!(house.cli(&["stop", entry["id"].as_str().unwrap()]).status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(125), "begun\n".to_owned()));
    assert!(text(&output.stderr).contains("stopped by"), "{}", text(&output.stderr));
    assert_eq!(house.event("finished")["recording"]["error"], Value::Null);
}
