//! An approval with which nothing was started is not lost, and however often it goes back it lets one run happen.

use std::io::Write;
use std::net::Shutdown;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{House, raw, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: sh, action: ask}
  - {command: bash, action: ask, executor: local}
";

/// What is asked for: each run of it leaves a line.
fn script(house: &House) -> String {
    format!("echo run >> {}", house.path("count").display())
}

fn shell(house: &House, tool: &str) -> Command {
    let mut shell = house.shimmed(tool);
    shell.args(["-c", &script(house)]).stderr(Stdio::piped());
    shell
}

fn request(house: &House, tool: &str) -> Vec<u8> {
    raw::request(house.dir.path(), &[tool, "-c", &script(house)], &raw::path())
}

fn approve(house: &House, entry: &Value) {
    let output = house.cli(&["approve", entry["short"].as_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Asks, leaves and is approved: the next one who asks the same may run.
fn parked_and_approved(house: &House, tool: &str) {
    let mut first = shell(house, tool).spawn().unwrap();
    house.pending();
    first.kill().unwrap();
    first.wait().unwrap();
    let parked =
        until("the entry to be parked", || Some(house.pending()).filter(|e| e["callers"] == 0));
    approve(house, &parked);
}

/// How long the files may be that the warden writes.
fn limit(house: &House, bytes: &str) {
    let pid = house.warden.id().to_string();
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &pid, &format!("--fsize={bytes}:")]);
    assert!(prlimit.status().unwrap().success());
}

/// Several ask at once: one runs, and the others wait for a person.
fn lets_one_run(house: &House, tool: &str) {
    const CALLERS: usize = 6;
    let mut callers: Vec<Child> =
        (0..CALLERS).map(|_| shell(house, tool).spawn().unwrap()).collect();
    until("all but one to wait", || {
        let queue = house.json(&["queue", "--json"]);
        let waiting = queue["entries"].as_array()?.first()?["callers"].as_u64()?;
        (waiting == CALLERS as u64 - 1).then_some(())
    });
    let done =
        until("one to end", || callers.iter_mut().position(|c| c.try_wait().unwrap().is_some()));
    assert!(callers.swap_remove(done).wait().unwrap().success());
    for mut caller in callers {
        assert_eq!(caller.try_wait().unwrap(), None);
        caller.kill().unwrap();
        caller.wait().unwrap();
    }
    assert_eq!(std::fs::read_to_string(house.path("count")).unwrap(), "run\n");
}

#[test]
fn an_approval_whose_use_cannot_be_recorded_lets_one_run_once_it_can() {
    for tool in ["sh", "bash"] {
        let house = House::new(POLICY);
        parked_and_approved(&house, tool);
        // There is room for what is asked and decided, and none for what was to be started.
        let ledger = std::fs::read_to_string(house.path("ledger.jsonl")).unwrap();
        let is_asking = |l: &&str| l.contains("\"requested\"") || l.contains("\"decided\"");
        let asking: usize = ledger.lines().filter(is_asking).map(|line| line.len() + 1).sum();
        limit(&house, &(ledger.len() + asking + 150).to_string());
        let output = shell(&house, tool).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(said.contains("ledger cannot be written, so nothing runs"), "{said}");
        assert!(!house.path("count").exists());
        limit(&house, "unlimited");
        lets_one_run(&house, tool);
        assert_eq!((house.events("grant_used").len(), house.events("started").len()), (1, 1));
        clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).unwrap();
    }
}

#[test]
fn an_approval_that_cannot_be_marked_as_used_lets_one_run_once_it_can() {
    for tool in ["sh", "bash"] {
        let house = House::new(POLICY);
        parked_and_approved(&house, tool);
        let file = house.path("ledger.jsonl.approvals");
        let other = rusqlite::Connection::open(file).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let output = shell(&house, tool).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(said.contains("that its approval is used cannot be kept"), "{said}");
        assert!(!house.path("count").exists());
        let (failed, returned) = (house.event("failed"), house.event("approval_returned"));
        assert_eq!(failed["id"], returned["id"]);
        other.execute_batch("ROLLBACK").unwrap();
        lets_one_run(&house, tool);
        clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).unwrap();
    }
}

#[test]
fn a_grant_that_is_taken_back_lets_nothing_run_though_nothing_of_it_can_be_written() {
    let mut house = House::new(POLICY);
    parked_and_approved(&house, "sh");
    let id = house.json(&["grants", "--json"])["entries"][0]["id"].as_str().unwrap().to_owned();
    let other = rusqlite::Connection::open(house.path("ledger.jsonl.approvals")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    limit(&house, "1");
    let done = house.cli(&["grants", "revoke", &id]);
    let said = text(&done.stderr);
    assert!(!done.status.success() && said.contains("nothing runs by it any more"), "{said}");
    other.execute_batch("ROLLBACK").unwrap();
    limit(&house, "unlimited");
    assert_eq!(house.json(&["grants", "--json"])["entries"], serde_json::json!([]));
    // It is written once it can be, and a restart knows of it.
    assert_eq!(house.event("grant_revoked")["entry"], id);
    until("what is owed to be written", || {
        let rows: u32 = other
            .query_row("SELECT count(*) FROM kept WHERE kind = 3", [], |row| row.get(0))
            .ok()?;
        (rows == 0).then_some(())
    });
    house.crash();
    house.restart();
    assert_eq!(house.json(&["grants", "--json"])["entries"], serde_json::json!([]));
    let mut asked = shell(&house, "sh").spawn().unwrap();
    house.pending();
    asked.kill().unwrap();
    asked.wait().unwrap();
    assert!(house.events("started").is_empty() && !house.path("count").exists());
}

#[test]
fn an_approval_whose_caller_has_died_lets_one_run_for_the_next() {
    for tool in ["sh", "bash"] {
        let house = House::new(POLICY);
        std::fs::write(house.path("request"), request(&house, tool)).unwrap();
        // Its child holds the connection when the process that asked has gone.
        let script = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; \
                      open my $f, '<', $ARGV[1] or die; local $/; my $request = <$f>; print $s $request; \
                      $s->flush; sysread $s, my $ack, 1; exit 0 if fork; 1 while sysread $s, $ack, 9999";
        let mut perl = Command::new("perl");
        perl.args(["-e", script]).arg(house.socket()).arg(house.path("request"));
        assert!(perl.status().unwrap().success());
        let entry = house.pending();
        assert_eq!(entry["callers"], 1);
        approve(&house, &entry);
        let returned = house.event("approval_returned");
        let failed = house.event("failed");
        assert_eq!((&returned["id"], &returned["entry"]), (&failed["id"], &entry["id"]));
        assert!(failed["error"].as_str().unwrap().contains("caller ended"), "{failed}");
        crate::nothing_started(&house);
        lets_one_run(&house, tool);
        assert_eq!(house.events("started").len(), 1);
    }
}

#[test]
fn an_approval_whose_caller_stops_listening_is_returned_after_its_end_is_recorded() {
    let house = House::new(POLICY);
    parked_and_approved(&house, "sh");
    for tries in 1..=3 {
        let mut deaf = raw::connect(&house.socket());
        deaf.shutdown(Shutdown::Read).unwrap();
        deaf.write_all(&request(&house, "sh")).unwrap();
        house.has(tries, "approval_returned");
    }
    let (kept, returned) = (house.events("approved"), house.events("approval_returned"));
    for returned in &returned {
        assert_eq!(returned["kept_until_ms"], kept[0]["kept_until_ms"], "it gains no time");
    }
    let ends = house.events("finished");
    assert!(ends.iter().all(|end| end["error"].as_str().unwrap().contains("before its command")));
    lets_one_run(&house, "sh");
}
