//! What an earlier warden left on the disk is taken up by this one: below `stores` lies what the warden of each version wrote,
//! and each of them is held against what that one told of it. Their keys and tokens are good for nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clawrden_warden::ledger::{Proof, PublicKey, verify_by};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::approvers::{Panel, people};
use crate::support::{House, text, until};

const POLICY: &str = "
default_action: allow
jails: {box: {commands: ['true']}}
rules:
  - {command: touch, action: ask, approvers: {from: [security], count: 2}}
  - {command: [echo, cat, printf], action: ask}
  - {command: rm, action: deny, reason: not here}
";

/// What the settings say beside who people are: segments of which the ledger has several.
const SETTINGS: &str = "ledger: {segment: {bytes: 4KiB}}\n";

fn stores() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/crash/stores")
}

/// What the warden tells of all that it has kept, as far as it is not of this moment.
fn told(house: &House) -> Value {
    let picked = |words: &[&str], list: &str, fields: &[&str]| -> Vec<Value> {
        let told = house.json(words);
        let one =
            |entry: &Value| fields.iter().map(|field| entry.pointer(field).cloned()).collect();
        told[list].as_array().unwrap().iter().map(one).collect()
    };
    // What a pending request is asked for, whoever tells it, is in the history.
    until("the history to be up to date", || {
        let entries = house.json(&["history", "--json"])["entries"].as_array()?.clone();
        entries
            .iter()
            .any(|entry| entry["argv"][0] == "touch" && entry["decision"] == "ask")
            .then_some(())
    });
    json!({
        "queue": picked(&["queue", "--json"], "entries", &["/id", "/argv", "/jail", "/rule", "/approvals/summary"]),
        "grants": picked(&["grants", "--json"], "entries", &["/id", "/argv", "/approver", "/reason", "/scope"]),
        "tokens": picked(&["token", "list", "--json"], "tokens", &["/id", "/name", "/role", "/speaks_for"]),
        "jails": picked(&["jails", "--json"], "jails", &["/name"]),
        "people": house.json(&["people", "--json"]),
        "held": house.json(&["status", "--json"])["held"],
        "history": house.json(&["history", "--json"])["entries"],
    })
}

/// Whether `now` says all that `then` said; it may say more.
fn says(now: &Value, then: &Value) -> bool {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            then.iter().all(|(name, then)| now.get(name).is_some_and(|now| says(now, then)))
        }
        (Value::Array(now), Value::Array(then)) => {
            now.len() == then.len() && now.iter().zip(then).all(|(now, then)| says(now, then))
        }
        _ => now == then,
    }
}

fn ask(house: &House, tool: &str, argument: &str) {
    assert!(house.shimmed(tool).arg(argument).output().unwrap().status.code().is_some());
}

/// A request whose caller has gone; its id.
fn park(house: &House, tool: &str, argument: &str) -> String {
    let mut caller = house.shimmed(tool).arg(argument).spawn().unwrap();
    let of = |entry: &Value| entry["argv"] == json!([tool, argument]);
    let find = |callers: u32| {
        until("the entry", || {
            let queue = house.json(&["queue", "--json"]);
            let entries = queue["entries"].as_array()?;
            entries.iter().find(|entry| of(entry) && entry["callers"] == callers).cloned()
        })
    };
    find(1);
    caller.kill().unwrap();
    caller.wait().unwrap();
    find(0)["id"].as_str().unwrap().to_owned()
}

/// Ends the warden in good order.
fn end(house: &mut House) {
    kill_process(Pid::from_child(&house.warden), Signal::TERM).unwrap();
    assert!(house.warden.wait().unwrap().success());
}

/// Run it by hand where a version is to be released, or where its stores have changed before that: it writes what lies below
/// `stores` by the name of this version anew. What lies there of released versions stays as it is.
#[test]
#[ignore = "it writes into the tests' own folder, when a version is released"]
fn the_stores_of_this_version_are_written() {
    let mut panel = Panel::of(&format!("{}{SETTINGS}", people()), POLICY);
    for name in ["bob", "carol"] {
        panel.token(name);
    }
    let slack = panel.bridge("slack", &["--name", "slack-bridge"]);
    let code = text(&panel.house.cli(&["people", "pair", "carol", "--service", "slack"]).stdout);
    let code = json!({ "code": code.trim() }).to_string();
    assert_eq!(slack.post(Some("slack:T1/CAROL"), "/api/pairings/redeem", &code).0, 200);
    for n in 0..20 {
        ask(&panel.house, if n % 4 == 0 { "rm" } else { "true" }, &format!("argument-{n}"));
    }
    let touch = park(&panel.house, "touch", "pending");
    assert_eq!(panel.by("bob", &["approve", &touch, "--reason", "seen"]).0, Some(0));
    for (tool, words) in [
        ("echo", &["approve", "--reason", "once"][..]),
        ("cat", &["approve", "--for", "30d", "--reason", "for long"]),
        ("printf", &["deny", "--reason", "not like this"]),
    ] {
        let id = park(&panel.house, tool, "kept");
        assert_eq!(panel.here(&[words, &[&id]].concat()).0, Some(0));
    }
    for words in [
        &["jails", "create", "made", "--command", "true"][..],
        &["kill", "--jail", "box", "--reason", "for the record"],
    ] {
        assert_eq!(panel.here(words).0, Some(0), "{words:?}");
    }
    end(&mut panel.house);
    panel.restart(&[]);
    let expected = told(&panel.house);
    end(&mut panel.house);
    let folder = stores().join(env!("CARGO_PKG_VERSION"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("key")).unwrap();
    for name in kept_in(panel.house.dir.path()) {
        fs::copy(panel.house.path(&name), folder.join(&name)).unwrap();
    }
    fs::write(folder.join("expected.json"), format!("{expected:#}\n")).unwrap();
}

/// The files of a folder that a warden goes on with.
fn kept_in(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for (prefix, below) in [("", folder.to_owned()), ("key/", folder.join("key"))] {
        for entry in fs::read_dir(below).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let is_kept = prefix == "key/"
                || name.starts_with("ledger") && !name.ends_with(".lock")
                || name.starts_with("token-")
                || name.ends_with(".yaml")
                || name == "expected.json";
            if is_kept && entry.file_type().unwrap().is_file() {
                names.push(format!("{prefix}{name}"));
            }
        }
    }
    names
}

/// A copy of what a version left, as if it had been written a moment ago: its clocks and the boot of the kernel are those of
/// today. The stores of 0.1.0 name moments `until` which something holds `{ms, steady_ms}`, and `expires_ms`.
fn as_if_of_today(stores: &Path) -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    fs::create_dir(dir.path().join("key")).unwrap();
    fs::set_permissions(dir.path().join("key"), fs::Permissions::from_mode(0o700)).unwrap();
    for name in kept_in(stores) {
        let to = dir.path().join(&name);
        fs::copy(stores.join(&name), &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let approvals = dir.path().join("ledger.jsonl.approvals");
    let store = rusqlite::Connection::open(&approvals).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(store.execute("UPDATE boot SET id = ?1", [boot.trim()]).unwrap(), 1);
    let rows: Vec<(i64, String)> = store
        .prepare("SELECT rowid, text FROM kept")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (row, text) in rows {
        let mut value: Value = serde_json::from_str(&text).unwrap();
        move_to_today(&mut value);
        store
            .execute("UPDATE kept SET text = ?1 WHERE rowid = ?2", (value.to_string(), row))
            .unwrap();
    }
    store.close().unwrap();
    let tokens = dir.path().join("ledger.jsonl.tokens.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&tokens).unwrap()).unwrap();
    move_to_today(&mut value);
    fs::write(&tokens, value.to_string()).unwrap();
    dir
}

fn move_to_today(value: &mut Value) {
    const LATER: u64 = 600_000;
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap();
    match value {
        Value::Object(fields) => {
            let now = millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
            let steady = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            let steady = u64::try_from(steady.tv_sec).unwrap() * 1000;
            if fields.len() == 2 && fields.contains_key("steady_ms") {
                fields.insert("ms".to_owned(), json!(now + LATER));
                fields.insert("steady_ms".to_owned(), json!(steady + LATER));
            }
            if fields.get("expires_ms").is_some_and(|expires| expires != &json!(0)) {
                fields.insert("expires_ms".to_owned(), json!(now + LATER));
            }
            fields.values_mut().for_each(move_to_today);
        }
        Value::Array(values) => values.iter_mut().for_each(move_to_today),
        _ => {}
    }
}

fn is_taken_up(stores: &Path) {
    let version = stores.file_name().unwrap().to_str().unwrap();
    let dir = as_if_of_today(stores);
    let key = PublicKey::of(dir.path()).unwrap();
    let proof = Proof { keys: vec![key], keys_given: true, ..Proof::default() };
    let ledger = dir.path().join("ledger.jsonl");
    let before = verify_by(&ledger, &proof).unwrap();
    assert!(before.segments > 2 && before.seals > 1, "{before:?}");
    let policy = fs::read_to_string(dir.path().join("policy.yaml")).unwrap();
    let config = dir.path().join("warden.yaml").display().to_string();
    let house = House::within(dir, &[], &policy, &["--api", "127.0.0.1:0", "--config", &config]);
    let mut panel = Panel::around(house);
    let expected: Value =
        serde_json::from_slice(&fs::read(stores.join("expected.json")).unwrap()).unwrap();
    // What was taken up is as it was, and stays so.
    for _ in 0..2 {
        let now = told(&panel.house);
        for (what, then) in expected.as_object().unwrap() {
            assert!(
                says(&now[what], then),
                "{version}: {what} was {then:#}, and is {:#}",
                now[what]
            );
        }
        let exact = &panel.house.json(&["queue", "--json"])["entries"][0]["exact"];
        assert!(exact.is_string(), "{version}: {exact}");
        end(&mut panel.house);
        panel.restart(&[]);
    }
    // The second of two, who has a token of then, lets run what was asked then; what a person takes back is gone.
    let id = expected["queue"][0][0].as_str().unwrap();
    let (code, said) = panel.by("carol", &["approve", id]);
    assert_eq!(code, Some(0), "{version}: {said}");
    let approved = panel.house.event("approved");
    assert!(approved["approver"].to_string().contains("bob"), "{version}: {approved}");
    for grant in expected["grants"].as_array().unwrap() {
        let id = grant[0].as_str().unwrap();
        let (code, said) = panel.here(&["grants", "revoke", id]);
        assert_eq!(code, Some(0), "{version}: {said}");
    }
    assert_eq!(panel.house.json(&["grants", "--json"])["entries"][0]["id"], id, "{version}");
    // What was stopped is let go on, and the jail that was made takes requests.
    assert_eq!(panel.here(&["resume", "--jail", "box"]).0, Some(0), "{version}");
    ask(&panel.house, "true", "of today");
    end(&mut panel.house);
    let after = verify_by(&panel.house.path("ledger.jsonl"), &proof).unwrap();
    assert!(after.last_seq > before.last_seq && after.recovered.is_empty(), "{after:?}");
    assert_eq!(after.keys, before.keys, "{version}: it goes on by the same key");
}

#[test]
fn the_stores_of_every_version_are_taken_up() {
    let found: Vec<PathBuf> =
        fs::read_dir(stores()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let this = stores().join(env!("CARGO_PKG_VERSION"));
    let how = "-- --ignored the_stores_of_this_version_are_written";
    assert!(found.contains(&this), "there are none of this version: cargo test --test crash {how}");
    found.iter().for_each(|stores| is_taken_up(stores));
}
