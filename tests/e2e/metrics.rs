//! What the warden counts, as a collector of metrics sees it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::support::{House, text, until};

const POLICY: &str = "default_action: deny\nrules:\n  \
    - {command: echo, action: allow}\n  \
    - {command: cat, action: ask}\n  \
    - {command: 'true', action: allow, executor: local, name: 'a \"quoted\" name'}\n";
const BROKEN: &str = "rules:\n  - {command: echo, action: alow}\n";
const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// Every sample, by its name and labels as they are written.
fn metrics(house: &House) -> BTreeMap<String, f64> {
    let output = house.cli(&["metrics"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let samples = text(&output.stdout);
    let lines = samples.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    let found: Vec<(String, f64)> = lines.map(parse).collect();
    let count = found.len();
    let found: BTreeMap<String, f64> = found.into_iter().collect();
    assert_eq!(found.len(), count, "a sample came twice: {samples}");
    found
}

/// Waits until a sample is that.
fn becomes(house: &House, name: &str, wanted: f64) {
    until(&format!("{name} {wanted}"), || {
        let found = metrics(house).get(name).copied();
        (found == Some(wanted)).then_some(())
    });
}

/// Status and body of a request at the control socket.
fn get(house: &House, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(house.control()).unwrap();
    let asked = format!("GET {path} HTTP/1.1\r\nhost: warden\r\nconnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let status = said.split(' ').nth(1).unwrap().parse().unwrap();
    (status, said.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn a_policy_that_does_not_load_is_shown_until_it_is_mended() {
    let house = House::new(POLICY);
    becomes(&house, "clawrden_policy_watched", 1.0);
    let before = metrics(&house);
    assert_eq!(before["clawrden_policy_refused"], 0.0);
    assert_eq!(before["clawrden_policy_rules"], 3.0);
    assert_eq!(before["clawrden_policy_loads_total{result=\"refused\"}"], 0.0);
    assert_eq!(before["clawrden_policy_loads_total{result=\"accepted\"}"], 1.0);

    fs::write(house.path("policy.yaml"), BROKEN).unwrap();
    becomes(&house, "clawrden_policy_refused", 1.0);
    becomes(&house, "clawrden_policy_loads_total{result=\"refused\"}", 1.0);
    let (status, said) = get(&house, "/readyz");
    assert!(status == 200 && said.contains("note: the policy's files do not load"), "{said}");
    // The last good one is in force.
    assert!(house.shimmed("echo").arg("hi").output().unwrap().status.success());
    let loaded = metrics(&house)["clawrden_policy_loaded_time_seconds"];
    assert_eq!(loaded, before["clawrden_policy_loaded_time_seconds"]);

    fs::write(house.path("policy.yaml"), POLICY).unwrap();
    becomes(&house, "clawrden_policy_refused", 0.0);
    becomes(&house, "clawrden_policy_loads_total{result=\"accepted\"}", 2.0);
    assert_eq!(metrics(&house)["clawrden_policy_loads_total{result=\"refused\"}"], 1.0);
    assert_eq!(get(&house, "/readyz").1, "ready\n");

    // Another one comes into force by way of another refusal.
    fs::write(house.path("policy.yaml"), BROKEN.replace("alow", "alloww")).unwrap();
    becomes(&house, "clawrden_policy_refused", 1.0);
    fs::write(house.path("policy.yaml"), BROKEN.replace("alow", "allow")).unwrap();
    becomes(&house, "clawrden_policy_refused", 0.0);
    becomes(&house, "clawrden_policy_rules", 1.0);
    let after = metrics(&house);
    assert_eq!(after["clawrden_policy_loads_total{result=\"refused\"}"], 2.0);
    assert_eq!(after["clawrden_policy_loads_total{result=\"accepted\"}"], 3.0);
}

#[test]
fn commands_are_counted_by_what_became_of_them() {
    let house = House::new(POLICY);
    assert!(house.shimmed("echo").arg("a secret word").output().unwrap().status.success());
    assert!(house.shimmed("true").output().unwrap().status.success());
    assert_eq!(house.shimmed("ls").output().unwrap().status.code(), Some(126));
    let jail = "jail=\"default\"";
    becomes(&house, &format!("clawrden_running{{{jail},executor=\"local\"}}"), 0.0);
    becomes(
        &house,
        &format!("clawrden_commands_finished_total{{{jail},executor=\"mirror\",outcome=\"ok\"}}"),
        1.0,
    );
    let found = metrics(&house);
    for (name, wanted) in [
        (format!("clawrden_requests_total{{{jail}}}"), 3.0),
        (format!("clawrden_decisions_total{{{jail},decision=\"allow\"}}"), 2.0),
        (format!("clawrden_decisions_total{{{jail},decision=\"deny\"}}"), 1.0),
        (format!("clawrden_decision_seconds_count{{{jail},decision=\"allow\"}}"), 2.0),
        ("clawrden_rule_decisions_total{rule=\"policy.yaml:3\",decision=\"allow\"}".into(), 1.0),
        (
            "clawrden_rule_decisions_total{rule=\"policy.yaml:5 (a \\\"quoted\\\" name)\",decision=\"allow\"}"
                .into(),
            1.0,
        ),
        ("clawrden_rule_decisions_total{rule=\"(none)\",decision=\"deny\"}".into(), 1.0),
        ("clawrden_rule_decision_seconds_count{rule=\"policy.yaml:3\"}".into(), 1.0),
        ("clawrden_rule_decision_seconds_bucket{rule=\"(none)\",le=\"+Inf\"}".into(), 1.0),
        (format!("clawrden_commands_started_total{{{jail},executor=\"local\"}}"), 1.0),
        (format!("clawrden_command_seconds_count{{{jail},executor=\"local\"}}"), 1.0),
        ("clawrden_ledger_records_total{event=\"requested\"}".into(), 3.0),
        ("clawrden_ledger_lag_seconds".into(), 0.0),
    ] {
        assert_eq!(found.get(&name), Some(&wanted), "{name}: {found:#?}");
    }
    let lines = house.ledger().len();
    assert_eq!(found["clawrden_ledger_sequence"], f64::from(u32::try_from(lines).unwrap()));
    let told = house.json(&["metrics", "--json"]);
    let named = |name: &str| told.as_array().unwrap().iter().find(|m| m["name"] == name).cloned();
    let rules = named("clawrden_rule_decisions_total").or_else(|| named("clawrden_rule_decisions"));
    let rules = rules.unwrap();
    assert_eq!(rules["type"], "counter");
    let quoted = |sample: &serde_json::Value| {
        sample["labels"]["rule"] == "policy.yaml:5 (a \"quoted\" name)"
            && sample["value"].as_f64() == Some(1.0)
    };
    assert!(rules["samples"].as_array().unwrap().iter().any(quoted), "{rules}");
    let samples = told.as_array().unwrap().iter().map(|m| m["samples"].as_array().unwrap().len());
    assert!(samples.sum::<usize>() >= found.len(), "{told}");
    let page = house.cli(&["metrics"]).stdout;
    assert!(!text(&page).contains("secret"), "{}", text(&page));
}

#[test]
fn the_queue_is_counted_while_people_are_asked() {
    let house = House::new(POLICY);
    let waiting = house.shimmed("cat").arg("/dev/null").spawn().unwrap();
    let id = house.pending()["id"].as_str().unwrap().to_owned();
    becomes(&house, "clawrden_pending{jail=\"default\"}", 1.0);
    until("the age", || (metrics(&house)["clawrden_pending_oldest_seconds"] > 0.0).then_some(()));
    assert!(house.cli(&["approve", &id]).status.success());
    assert!(waiting.wait_with_output().unwrap().status.success());
    becomes(&house, "clawrden_pending_oldest_seconds", 0.0);
    let found = metrics(&house);
    assert_eq!(found.get("clawrden_pending{jail=\"default\"}"), None);
    assert_eq!(found["clawrden_approval_wait_seconds_count{answer=\"approved\"}"], 1.0);
    assert_eq!(found["clawrden_approval_wait_seconds_count{answer=\"denied\"}"], 0.0);
}

#[test]
fn a_warden_that_cannot_serve_is_not_ready_and_says_why() {
    let house = House::new(POLICY);
    assert_eq!(get(&house, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(&house, "/readyz"), (200, "ready\n".to_owned()));
    fs::rename(house.path("ledger.jsonl"), house.path("away")).unwrap();
    fs::write(house.path("ledger.jsonl"), "").unwrap();
    fs::rename(house.socket(), house.path("hidden")).unwrap();
    fs::remove_file(house.path("away")).unwrap();
    let (status, said) = get(&house, "/readyz");
    assert_eq!(status, 503, "{said}");
    assert!(said.contains("the socket of jail default is not in its place"), "{said}");
    assert!(said.contains("the ledger cannot be written"), "{said}");
    assert_eq!(get(&house, "/healthz").0, 200);

    fs::rename(house.path("hidden"), house.socket()).unwrap();
    assert_eq!(house.shimmed("echo").output().unwrap().status.code(), Some(125));
    let found = metrics(&house);
    assert!(found["clawrden_ledger_errors_total"] >= 1.0, "{found:#?}");
    until("the lag", || (metrics(&house)["clawrden_ledger_lag_seconds"] > 0.0).then_some(()));
}

/// Name, type and labels of a metric.
type Told = (String, String, String);

#[test]
fn the_metrics_of_the_documentation_are_those_that_are_served() {
    let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    let config = dir.path().join("warden.yaml");
    // Nobody is there, which is what is counted.
    let channel = "notify: [{name: hook, kind: webhook, url: 'http://127.0.0.1:1/'}]\n";
    std::fs::write(&config, channel).unwrap();
    let config = config.to_str().unwrap().to_owned();
    let house = House::within(dir, &[], POLICY, &["--config", &config]);
    assert!(house.shimmed("echo").output().unwrap().status.success());
    let waiting = house.shimmed("cat").arg("/dev/null").spawn().unwrap();
    let id = house.pending()["id"].as_str().unwrap().to_owned();
    let page = text(&house.cli(&["metrics"]).stdout);
    assert!(house.cli(&["deny", &id]).status.success());
    assert_eq!(waiting.wait_with_output().unwrap().status.code(), Some(126));

    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut served: Vec<Told> = types
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            (name.to_owned(), kind.to_owned(), labels(&page, name))
        })
        .collect();
    let (_, table) = OPERATIONS.split_once("\n## Metrics\n").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `clawrden_"));
    let mut documented: Vec<Told> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [name, kind, labels, meaning] = cells[..] else { panic!("{row}") };
            assert!(meaning.len() > 10, "{row}");
            (name.replace('`', ""), kind.to_owned(), labels.replace('`', ""))
        })
        .collect();
    served.sort();
    documented.sort();
    assert_eq!(documented, served);
}

/// The names of the labels that a metric's first sample has.
fn labels(page: &str, name: &str) -> String {
    let of = |line: &&str| {
        let rest = line.strip_prefix(name).map(|rest| rest.trim_start_matches("_bucket"));
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    };
    let sample = page.lines().find(of).unwrap_or_else(|| panic!("no sample of {name}: {page}"));
    let Some((_, labels)) = sample.split_once('{') else { return String::new() };
    let names = labels.split("\",").filter_map(|label| label.split_once('='));
    let names: Vec<&str> = names.map(|(name, _)| name).filter(|name| *name != "le").collect();
    names.join(", ")
}
