//! The record: whole, in order, one line each, whatever is asked and whoever leaves.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use clawrden_warden::ledger::verify;

use crate::support::client::header;
use crate::support::{House, raw, read_ledger, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: [echo, 'true'], action: allow}
  - {command: id, action: allow, executor: local}
  - {command: touch, action: ask}
";

fn text(house: &House) -> String {
    String::from_utf8(fs::read(house.path("ledger.jsonl")).unwrap()).unwrap()
}

#[test]
fn hostile_arguments_and_directories_stay_one_harmless_line() {
    let house = House::new(POLICY);
    let forged = "x\n{\"seq\":1,\"event\":\"approved\",\"approver\":\"root\"}\n";
    let hostile = [
        forged,
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\r\u{202e}gnp.exe",
        "\u{2028}\u{9b}31m",
        "\"},{\"",
    ];
    for word in hostile {
        let odd = house.path("d").join(word.replace('/', "_"));
        fs::create_dir_all(&odd).unwrap();
        let mut echo = house.shimmed("echo");
        let status = echo.arg(word).current_dir(&odd).stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
        let denied = house.shimmed("rm").arg(word).stderr(Stdio::null()).status().unwrap();
        assert_eq!(denied.code(), Some(126));
    }
    let bytes = OsStr::from_bytes(b"\xff\xfe\n\x80");
    assert!(house.shimmed("echo").arg(bytes).stdout(Stdio::null()).status().unwrap().success());
    house.has(hostile.len() + 1, "finished");
    let text = text(&house);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), text.matches('\n').count());
    for line in lines {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_ne!(record["event"], "approved");
        let bad = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
        assert!(!line.contains(bad), "{line}");
    }
    let asked: Vec<String> = house
        .ledger()
        .iter()
        .filter(|r| r["event"] == "requested" && r["argv"][0] == "echo")
        .map(|r| r["argv"][1].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(asked[..hostile.len()], hostile, "what was asked is told as it was");
    verify(&house.path("ledger.jsonl")).unwrap();
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let house = House::new(POLICY);
    assert!(house.shimmed("echo").stdout(Stdio::null()).status().unwrap().success());
    house.event("finished");
    let path = house.path("ledger.jsonl");
    verify(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let copy = house.path("copy.jsonl");
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&copy, &bytes).unwrap();
        assert!(verify(&copy).is_err(), "byte {at}");
    }
    let lines: Vec<&[u8]> = whole.split_inclusive(|&b| b == b'\n').collect();
    for gone in 0..lines.len() - 1 {
        let rest: Vec<&[u8]> =
            lines.iter().enumerate().filter(|(n, _)| *n != gone).map(|(_, line)| *line).collect();
        fs::write(&copy, rest.concat()).unwrap();
        assert!(verify(&copy).is_err(), "line {gone}");
    }
}

#[test]
fn a_torn_last_line_is_set_aside_and_recorded() {
    let mut house = House::new(POLICY);
    assert!(house.shimmed("echo").stdout(Stdio::null()).status().unwrap().success());
    house.event("finished");
    house.crash();
    let path = house.path("ledger.jsonl");
    let before = read_ledger(&path).len();
    let torn = b"{\"seq\":999,\"event\":\"appro";
    fs::File::options().append(true).open(&path).unwrap().write_all(torn).unwrap();
    assert!(verify(&path).is_err());
    house.restart();
    let recovered = house.event("recovered");
    assert_eq!(recovered["torn_bytes"], torn.len());
    assert_eq!(fs::read(recovered["file"].as_str().unwrap()).unwrap(), torn);
    assert!(house.ledger().len() > before);
    verify(&path).unwrap();
    crate::serves(&house);
}

#[test]
fn a_chain_that_was_broken_is_told_and_not_mended() {
    let mut house = House::new(POLICY);
    house.event("policy_loaded");
    house.crash();
    let path = house.path("ledger.jsonl");
    let changed = text(&house).replacen("warden_started", "warden_stopped", 1);
    fs::write(&path, &changed).unwrap();
    house.restart();
    let recovered = house.event("recovered");
    assert!(recovered["broken"].as_str().unwrap().contains("line 2"), "{recovered}");
    assert!(text(&house).starts_with(&changed), "what was there stays as it was");
    assert!(verify(&path).is_err());
}

/// Whether each request has an end, or a cause for having none.
fn all_have_an_end(house: &House) -> bool {
    let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in house.ledger() {
        if let Some(id) = record["id"].as_str() {
            let event = record["event"].as_str().unwrap();
            let event =
                if event == "decided" && record["decision"] == "deny" { "denied" } else { event };
            events.entry(id.to_owned()).or_default().push(event.to_owned());
        }
    }
    let ends = ["finished", "failed", "denied", "expired", "caller_left", "parked"];
    events.values().all(|events| events.iter().any(|event| ends.contains(&event.as_str())))
}

#[test]
fn a_client_that_vanishes_at_any_moment_leaves_an_end_in_the_ledger() {
    let house = House::new(POLICY);
    let dir = house.dir.path();
    let v1 = |command: &str| raw::framed(header(command, &["mark"], dir).to_string().as_bytes());
    let v2 = |command: &str| raw::request(dir, &[command, "mark"], &raw::path());
    let mut whole = 0;
    // Not among them is a handoff: who was told to become the tool is followed to its own end.
    let tools =
        [(1, "id"), (1, "touch"), (1, "rm"), (1, "echo"), (2, "id"), (2, "touch"), (2, "rm")];
    for (version, tool) in tools {
        // Each is a request of its own: one that comes again under its id would go on as the same.
        let request = || if version == 1 { v1(tool) } else { v2(tool) };
        let long = request().len();
        let send = |cut: usize| {
            let mut stream = raw::connect(&house.socket());
            stream.write_all(&request()[..cut]).unwrap();
            stream
        };
        for cut in [0, 3, 4, 5, long / 2, long - 1, long] {
            drop(send(cut));
            // The same with the reading end left open.
            let half = send(cut);
            half.shutdown(Shutdown::Write).unwrap();
            whole += 2 * usize::from(cut == long);
            // After the first words of the answer.
            let mut stream = send(cut);
            if cut == long {
                assert!(raw::ack(&mut stream).is_some());
                whole += 1;
            }
        }
    }
    house.has(whole, "requested");
    until("every request to have an end", || all_have_an_end(&house).then_some(()));
    verify(&house.path("ledger.jsonl")).unwrap();
}

#[test]
fn records_are_numbered_without_a_gap_and_requests_are_told_apart() {
    let house = House::new(POLICY);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let mut echo = house.shimmed("echo");
                    assert!(echo.stdout(Stdio::null()).status().unwrap().success());
                }
            });
        }
    });
    house.has(64, "finished");
    let numbers: Vec<u64> = house.ledger().iter().map(|r| r["seq"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=u64::try_from(numbers.len()).unwrap()), "{numbers:?}");
    let mut ids: Vec<String> =
        house.events("requested").iter().map(|r| r["id"].to_string()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 64);
}
