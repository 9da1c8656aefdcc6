//! `clawrden audit` over what a real warden wrote, and the settings by which it writes.

use std::fs;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::{House, clawrden, text};

const POLICY: &str = "
default_action: deny
rules:
  - {command: [echo, 'true'], action: allow}
  - {command: id, action: allow, executor: local}
";

fn audit(house: &House, words: &[&str]) -> Output {
    let mut command = clawrden();
    command.arg("audit").args(words).arg(house.path("ledger.jsonl")).output().unwrap()
}

fn run(house: &House, tool: &str) {
    let status = house.shimmed(tool).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let _ = status;
}

#[test]
fn a_warden_s_ledger_is_proved_without_it_and_a_change_is_named() {
    let mut house = House::new(POLICY);
    run(&house, "echo");
    run(&house, "id");
    house.has(2, "finished");
    assert!(audit(&house, &["verify"]).status.success(), "while it is written");
    house.crash();
    let key = text(&audit(&house, &["key"]).stdout).trim().to_owned();
    let told = audit(&house, &["key", "--json"]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["key"], key.as_str());
    assert!(told["pem"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY"), "{told}");
    let proved = audit(&house, &["verify", "--json", "--key", &key]);
    let answer: Value = serde_json::from_slice(&proved.stdout).unwrap();
    assert_eq!((&answer["holds"], &answer["key_given"]), (&true.into(), &true.into()), "{answer}");
    let path = house.path("ledger.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen("\"decision\":\"allow\"", "\"decision\":\"deny\"", 1)).unwrap();
    let found = audit(&house, &["verify"]);
    assert_eq!(found.status.code(), Some(1));
    let said = text(&found.stdout);
    assert!(said.contains("it was changed") && said.contains(", byte "), "{said}");
    fs::write(&path, &whole[..whole.len() - 4]).unwrap();
    assert_eq!(audit(&house, &["verify"]).status.code(), Some(4), "a torn end");
    assert_eq!(audit(&house, &["verify", "--key", "nonsense"]).status.code(), Some(2));
}

#[test]
fn what_was_recorded_is_exported_followed_and_counted() {
    let house = House::new(POLICY);
    run(&house, "echo");
    run(&house, "rm");
    house.event("finished");
    let lines = text(&audit(&house, &["export", "--event", "decided"]).stdout);
    let decisions: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(decisions.len(), 2, "{lines}");
    let csv = text(&audit(&house, &["export", "--format", "csv"]).stdout);
    assert!(csv.starts_with("seq,time,event,id,") && csv.contains(",requested,"), "{csv}");
    let stats = audit(&house, &["stats", "--json"]);
    let stats: Value = serde_json::from_slice(&stats.stdout).unwrap();
    assert_eq!((&stats["decisions"]["deny"], &stats["tools"]["echo"]), (&1.into(), &1.into()));
    let tail = text(&audit(&house, &["tail", "-n", "2"]).stdout);
    assert_eq!(tail.lines().count(), 2, "{tail}");
    assert!(!tail.contains('\u{1b}'), "no colours for what is no terminal");
}

#[test]
fn settings_are_followed_and_those_that_nobody_knows_refused() {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let settings = dir.path().join("warden.yaml");
    let heads = dir.path().join("heads");
    let anchor =
        format!("ledger: {{segment: {{bytes: 2KiB}}, anchor: [{{file: {}}}]}}\n", heads.display());
    fs::write(&settings, anchor).unwrap();
    let extra = ["--config", settings.to_str().unwrap()];
    let house = House::within(dir, &[], POLICY, &extra);
    for _ in 0..4 {
        run(&house, "echo");
    }
    // The file is made before its first line is written.
    crate::support::until("an anchored head", || {
        fs::read_to_string(&heads).is_ok_and(|text| text.contains('\n')).then_some(())
    });
    let proved = audit(&house, &["verify", "--json", "--anchor", heads.to_str().unwrap()]);
    let answer: Value = serde_json::from_slice(&proved.stdout).unwrap();
    assert!(answer["summary"]["seals"].as_u64().unwrap() > 0, "{answer}");
    fs::write(&settings, "ledgre: {}\n").unwrap();
    let mut warden = clawrden();
    let refused =
        warden.arg("warden").args(extra).arg("--control").arg(house.path("x/control.sock"));
    let refused = refused.output().unwrap();
    assert!(!refused.status.success());
    let said = text(&refused.stderr);
    assert!(said.contains("warden.yaml:1") && said.contains("ledgre"), "{said}");
}
