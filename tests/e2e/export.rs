//! The ledger's records for other programs: from its files and from the warden, they are the same.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{House, clawrden, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: [echo, 'true'], action: allow}
";

/// A house whose ledger has several segments.
fn rotated() -> House {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let settings = dir.path().join("warden.yaml");
    fs::write(&settings, "ledger: {segment: {bytes: 2KiB}}\n").unwrap();
    let extra = ["--config", settings.to_str().unwrap(), "--api", "127.0.0.1:0"];
    let house = House::within(dir, &[], POLICY, &extra);
    for word in ["one", "=two", "thr\u{e9}e", "four"] {
        assert!(house.shimmed("echo").arg(word).output().unwrap().status.success());
    }
    // Each command has its end in it, in whatever segment.
    until("four commands that ended", || {
        let exported = export(Command::Files(&house), &["--event", "finished"]);
        (text(&exported.stdout).lines().count() == 4).then_some(())
    });
    house
}

#[derive(Clone, Copy)]
enum Command<'a> {
    Files(&'a House),
    Warden(&'a House),
    Elsewhere(&'a str, &'a Path),
}

fn export(from: Command<'_>, words: &[&str]) -> Output {
    let mut command = clawrden();
    match from {
        Command::Files(house) => {
            command.args(["audit", "export"]).arg(house.path("ledger.jsonl"));
        }
        Command::Warden(house) => {
            command.arg("--control").arg(house.control()).args(["audit", "export", "--warden"]);
        }
        Command::Elsewhere(url, token) => {
            command.args(["--host", url, "--token-file"]).arg(token).args(["audit", "export"]);
        }
    }
    command.args(words).output().unwrap()
}

fn token(house: &House, name: &str, words: &[&str]) -> std::path::PathBuf {
    let made = house.cli(&[&["token", "create", "--name", name][..], words].concat());
    assert!(made.status.success(), "{}", text(&made.stderr));
    let file = house.path(name);
    fs::write(&file, made.stdout).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    file
}

#[test]
fn a_warden_gives_what_its_files_have_and_a_whole_export_is_proved_like_the_ledger() {
    let house = rotated();
    let admin = token(&house, "admin", &["--role", "admin"]);
    let url = house.json(&["config", "--json"])["api"].as_str().unwrap().to_owned();
    let segments = fs::read_dir(house.dir.path()).unwrap().flatten();
    let segments = segments.filter(|file| file.file_name().to_string_lossy().contains("ledger-"));
    assert!(segments.count() >= 2, "there is one file alone");
    let files = export(Command::Files(&house), &[]);
    assert!(files.status.success() && files.stderr.is_empty(), "{}", text(&files.stderr));
    for from in [Command::Warden(&house), Command::Elsewhere(&url, &admin)] {
        let given = export(from, &[]);
        assert!(given.status.success() && given.stderr.is_empty(), "{}", text(&given.stderr));
        // Something may have been written meanwhile.
        assert!(given.stdout.starts_with(&files.stdout), "{}", text(&given.stdout));
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("ledger.jsonl");
    fs::write(&copy, &files.stdout).unwrap();
    let proved = clawrden().args(["audit", "verify"]).arg(&copy).output().unwrap();
    assert!(proved.status.success(), "{}", text(&proved.stdout));

    for words in [
        &["--event", "requested", "--event", "decided"][..],
        &["--from", "2", "--to", "9", "--format", "csv"],
        &["--since", "1h", "--jail", "default"],
        &["--until", "1h"],
    ] {
        let (files, given) =
            (export(Command::Files(&house), words), export(Command::Warden(&house), words));
        assert_eq!(text(&files.stdout), text(&given.stdout), "{words:?}");
    }
    let csv = text(&export(Command::Warden(&house), &["--format", "csv"]).stdout);
    assert!(
        csv.starts_with("seq,time,event,") && csv.contains("\"[\"\"echo\"\",\"\"=two\"\"]\""),
        "{csv}"
    );
}

#[test]
fn who_is_no_admin_or_has_no_token_exports_nothing() {
    let house = rotated();
    let url = house.json(&["config", "--json"])["api"].as_str().unwrap().to_owned();
    for (name, words) in [
        ("viewer", &["--role", "viewer"][..]),
        ("approver", &["--role", "approver"]),
        ("bounded", &["--role", "approver", "--jail", "default"]),
    ] {
        let refused = export(Command::Elsewhere(&url, &token(&house, name, words)), &[]);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{name}");
        let said = text(&refused.stderr);
        assert!(said.contains("needs the role admin") || said.contains("bounded to"), "{said}");
    }
    let nobody = house.path("nobody");
    fs::write(&nobody, format!("clawrden_00000000_{}", "0".repeat(64))).unwrap();
    fs::set_permissions(&nobody, PermissionsExt::from_mode(0o600)).unwrap();
    let refused = export(Command::Elsewhere(&url, &nobody), &[]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
}

#[test]
fn the_form_is_chosen_by_the_query_or_by_what_is_accepted() {
    let house = rotated();
    let ask = |query: &str, head: &str| {
        let mut stream = UnixStream::connect(house.control()).unwrap();
        let line = format!("GET /api/audit/export{query} HTTP/1.1\r\nhost: clawrden\r\n");
        let rest = format!("{head}connection: close\r\n\r\n");
        stream.write_all((line + &rest).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let lines = ask("", "");
    assert!(lines.contains("content-type: application/x-ndjson"), "{lines}");
    assert!(!lines.contains("x-clawrden-export-end: {"), "nobody has asked for trailers: {lines}");
    assert!(lines.ends_with("\r\n0\r\n\r\n"), "it ends as one that is whole");
    let csv = ask("?event=requested", "accept: text/csv\r\nte: trailers\r\n");
    assert!(csv.contains("content-type: text/csv") && csv.contains("seq,time,event"), "{csv}");
    let (body, end) = csv.rsplit_once("x-clawrden-export-end: ").unwrap();
    assert!(body.contains("x-clawrden-export: {\"first\":1,"), "{body}");
    let end: Value = serde_json::from_str(end.trim()).unwrap();
    assert_eq!((&end["records"], &end["left_out"]), (&4.into(), &0.into()), "{end}");
    assert!(ask("?format=csv", "accept: application/x-ndjson\r\n").contains("text/csv"));
    for bad in ["?format=xml", "?event=,", "?jail=../x", "?from=3&to=1", "?limit=1"] {
        assert!(ask(bad, "").starts_with("HTTP/1.1 400 "), "{bad}");
    }
}

#[test]
fn what_is_damaged_or_was_dropped_is_left_out_and_told() {
    let mut house = rotated();
    house.crash();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut names: Vec<_> = fs::read_dir(house.dir.path()).unwrap().flatten().collect();
    names.retain(|file| file.file_name().to_string_lossy().starts_with("ledger"));
    names.sort_by_key(fs::DirEntry::file_name);
    let is_segment = |name: &str| name.starts_with("ledger-") && name.ends_with(".jsonl");
    let mut dropped = false;
    for file in names {
        let name = file.file_name().to_string_lossy().into_owned();
        // The oldest is gone.
        if is_segment(&name) && !std::mem::replace(&mut dropped, true) {
            continue;
        }
        fs::copy(file.path(), elsewhere.path().join(&name)).unwrap();
    }
    let active = elsewhere.path().join("ledger.jsonl");
    let whole = fs::read_to_string(&active).unwrap();
    let (first, rest) = whole.split_once('\n').unwrap();
    fs::write(&active, format!("{first}\nno record\n{rest}{{\"seq\":")).unwrap();
    let output = clawrden().args(["audit", "export"]).arg(&active).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    for part in [
        "begins with record",
        "1 line is left out: ledger.jsonl, line 2: it is no record",
        "the last line has no end",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let lines = text(&output.stdout);
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
    assert!(lines.contains(first) && !lines.contains("no record"), "{lines}");
    // What was not meant is not missed.
    let from = ["audit", "export", "--from", "1000000"];
    let output = clawrden().args(from).arg(&active).output().unwrap();
    assert!(!text(&output.stderr).contains("begins with record"), "{}", text(&output.stderr));
}
