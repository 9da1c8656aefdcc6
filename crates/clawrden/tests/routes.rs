//! Every route of the control API is reached by a verb, on this machine and elsewhere, as docs/cli.md says.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use assert_cmd::Command;
use clawrden_warden::control::table::ROUTES;
use common::{SUGGESTED, SUGGESTED_ID, Sandbox};

const DOCS: &str = include_str!("../../../docs/cli.md");

/// The id of a request.
const ID: &str = "7f3a";

/// The rows of the table below this heading: what stands in its two columns.
fn rows(heading: &str) -> Vec<(String, String)> {
    let table = DOCS.split(heading).nth(1).unwrap().split("\n\n").next().unwrap();
    let cells = |row: &str| {
        let mut cells = row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
        Some((cells.next()?, cells.next()?))
    };
    table.lines().filter(|row| row.starts_with("| `")).filter_map(cells).collect()
}

fn unquoted(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

/// Routes, and the verb that asks each.
fn verbs() -> Vec<(String, String)> {
    let rows = rows("| route | verb |");
    rows.iter().map(|(route, verb)| (unquoted(route), unquoted(verb))).collect()
}

/// The words of a verb, with something for each of its places.
fn words(sandbox: &Sandbox, verb: &str) -> Vec<String> {
    let file = sandbox.path("policy.yaml").display().to_string();
    let word = |word: &str| match word {
        "ID" => ID.to_owned(),
        "PATTERN" => "ls *".to_owned(),
        "NAME" => "some".to_owned(),
        "USER" => "slack:T1/U1".to_owned(),
        "FILE" => file.clone(),
        "CMD" => "ls".to_owned(),
        "RULE" => SUGGESTED_ID.to_owned(),
        word => word.to_owned(),
    };
    verb.split(' ').skip(1).map(word).collect()
}

#[test]
fn every_route_has_a_verb_or_a_reason() {
    let there: BTreeSet<String> =
        ROUTES.iter().map(|route| format!("{} {}", route.method.as_str(), route.path)).collect();
    let excused = rows("| route | why it has no verb |");
    let excused = excused.iter().map(|(route, _)| unquoted(route));
    let told: Vec<String> = verbs().into_iter().map(|(route, _)| route).chain(excused).collect();
    let once: BTreeSet<String> = told.iter().cloned().collect();
    assert_eq!(told.len(), once.len(), "a route stands there twice");
    assert_eq!(once, there);
}

#[test]
fn each_verb_asks_its_route_here_and_elsewhere() {
    let rule = serde_json::json!({"looked_at": 1, "complete": true, "answered": 1, "omitted": 0, "rules": [{
        "action": "allow", "rule": SUGGESTED, "before": null, "by_hand": null, "asks": 1, "commands": 1, "by": "alice",
        "examples": [], "wider": "nothing else"}]});
    let added = serde_json::json!({"rule": SUGGESTED, "file": "f", "wider": "nothing", "written": false, "approved": false});
    let answers = [
        ("GET /api/policy/suggestions", 200, rule.to_string()),
        ("POST /api/policy/rules", 200, added.to_string()),
    ];
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("policy.yaml"), "rules: []").unwrap();
    sandbox.answer(&answers);
    let url = format!("http://{}", sandbox.answer_elsewhere(&answers));
    let asks = |mut command: Command, words: &[String], route: &str| {
        sandbox.seen.lock().unwrap().clear();
        let output = command.args(words).output().unwrap();
        let seen = sandbox.seen.lock().unwrap();
        let asked: Vec<String> = seen.iter().map(|(asked, _)| asked.clone()).collect();
        let is_asked = asked.iter().any(|asked| is_for(asked, route));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(is_asked, "{words:?} asks {asked:?}, not {route}: {said}");
    };
    let all = verbs();
    for (route, verb) in &all {
        let words = words(&sandbox, verb);
        asks(sandbox.clawrden(), &words, route);
        // Elsewhere there are no files to look at.
        let implied = !verb.contains("simulate");
        let words: Vec<String> =
            words.into_iter().filter(|word| !(implied && word == "--warden")).collect();
        asks(sandbox.elsewhere(&url), &words, route);
    }
    assert!(all.len() > 40, "{}", all.len());
}

/// Whether this was asked for by that route, whose places in braces stand for anything.
fn is_for(asked: &str, route: &str) -> bool {
    let asked = asked.split('?').next().unwrap_or_default();
    let (asked, route): (Vec<_>, Vec<_>) = (asked.split('/').collect(), route.split('/').collect());
    asked.len() == route.len()
        && asked.iter().zip(&route).all(|(asked, part)| part.starts_with('{') || asked == part)
}

#[test]
fn files_of_this_machine_are_meant_unless_a_warden_is() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("policy.yaml"), "rules: []").unwrap();
    sandbox.answer(&[]);
    let file = sandbox.path("policy.yaml").display().to_string();
    for words in [
        &["policy", "show"][..],
        &["policy", "check", &file],
        &["policy", "explain", "--", "ls"],
        &["audit", "verify"],
        &["audit", "export"],
    ] {
        sandbox.clawrden().args(words).output().unwrap();
        assert!(sandbox.seen.lock().unwrap().is_empty(), "{words:?}");
    }
    sandbox.clawrden().args(["audit", "verify", "--last"]).assert().code(2);
    sandbox.clawrden().args(["policy", "simulate", "--warden"]).assert().code(2);
}
