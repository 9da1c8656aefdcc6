//! What the control API tells of policies, from a real warden.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::etc::{at_home, etc};
use crate::support::{House, text, until};

const POLICY: &str = "default_action: deny
rules:
  - {command: git, args: push, action: ask, name: pushing}
  - {command: git, action: allow}
  - {command: [ls, 'true', bash], action: allow}
";

fn ask(house: &House, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = UnixStream::connect(house.control()).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let status = said.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, text) = said.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(text).unwrap_or_default())
}

fn post(house: &House, path: &str, body: &Value) -> Value {
    let (status, told) = ask(house, "POST", path, body);
    assert_eq!(status, 200, "{path} {body}: {told}");
    told
}

#[test]
fn the_policy_in_force_is_shown_by_layer_and_by_jail() {
    let house = House::new(POLICY);
    let (status, told) = ask(&house, "GET", "/api/policy", &Value::Null);
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["layers"][0]["layer"], "host");
    assert_eq!(told["layers"][0]["text"], POLICY);
    assert_eq!(told["rules"], 3);
    assert_eq!(told["jails"][0]["jail"], "default");
    assert_eq!(told["jails"][0]["fingerprint"], told["fingerprint"]);
}

#[test]
fn a_command_is_explained_as_the_warden_would_judge_it() {
    let house = House::new(POLICY);
    let told =
        post(&house, "/api/policy/explain", &json!({"argv": ["git", "push"], "cwd": "/app"}));
    assert_eq!((&told["action"], &told["line"]), (&json!("ask"), &json!(3)));
    let told = post(&house, "/api/policy/explain", &json!({"argv": ["git", "pull"]}));
    assert_eq!(told["action"], "allow");
    let steps: Vec<_> = told["steps"].as_array().unwrap().iter().map(|s| &s["verdict"]).collect();
    assert_eq!(steps, ["passed", "matched"]);
    let told = post(&house, "/api/policy/explain", &json!({"line": "ls && git push -f | frob"}));
    assert_eq!(told["action"], "deny", "{told}");
    let inside = told["inside"].as_array().unwrap();
    let found = |word: &str| inside.iter().find(|i| i["command"].as_str().unwrap().contains(word));
    assert_eq!(found("git push").unwrap()["action"], "ask", "{told}");
    assert_eq!(found("frob").unwrap()["action"], "deny", "{told}");
    assert!(house.ledger().iter().all(|record| record["event"] != "requested"));
}

#[test]
fn what_is_no_command_is_refused() {
    let house = House::new(POLICY);
    for (body, wanted) in [
        (json!({}), 400),
        (json!({"argv": [""]}), 400),
        (json!({"argv": ["ls"], "line": "ls"}), 400),
        (json!({"argv": ["ls", "a\u{0}b"]}), 400),
        (json!({"argv": ["ls"], "cwd": "src"}), 400),
        (json!({"argv": ["ls"], "jail": "../x"}), 400),
        (json!({"argv": ["ls"], "jail": "nowhere"}), 404),
    ] {
        let (status, told) = ask(&house, "POST", "/api/policy/explain", &body);
        assert_eq!(status, wanted, "{body}: {told}");
    }
    for limit in [0, 50_001] {
        let body = json!({"text": "rules: []", "limit": limit});
        assert_eq!(ask(&house, "POST", "/api/policy/simulate", &body).0, 400);
    }
}

#[test]
fn a_text_is_checked_with_every_error_and_put_in_force_nowhere() {
    let house = House::new(POLICY);
    let told = post(&house, "/api/policy/check", &json!({"text": POLICY}));
    assert_eq!((&told["ok"], &told["rules"]), (&json!(true), &json!(3)));
    let bad = "default_action: maybe\nrules:\n  - {command: git, action: never}\n";
    let told = post(&house, "/api/policy/check", &json!({"text": bad}));
    let lines: Vec<_> = told["errors"].as_array().unwrap().iter().map(|e| &e["line"]).collect();
    assert_eq!((&told["ok"], lines), (&json!(false), vec![&json!(1), &json!(3)]));
    let (_, now) = ask(&house, "GET", "/api/policy", &Value::Null);
    assert_eq!(now["layers"][0]["text"], POLICY);
}

#[test]
fn a_candidate_is_held_against_what_was_asked() {
    let house = House::new(POLICY);
    for _ in 0..3 {
        assert!(house.shimmed("true").status().unwrap().success());
    }
    assert!(house.shimmed("ls").output().unwrap().status.success());
    let text = "default_action: deny\nrules:\n  - {command: ls, action: allow}\n";
    // The last outcome need not be there yet; its decision is.
    let told = until("four requests in the history", || {
        let told = post(&house, "/api/policy/simulate", &json!({"text": text}));
        (told["judged"] == 4).then_some(told)
    });
    assert_eq!((&told["unchanged"], &told["complete"]), (&json!(1), &json!(true)));
    let change = &told["changes"][0];
    assert_eq!((&change["argv"], &change["times"]), (&json!(["true"]), &json!(3)));
    assert_eq!((&change["was"], &change["now"]), (&json!("allow"), &json!("deny")));
    let told = post(&house, "/api/policy/simulate", &json!({"text": text, "limit": 1}));
    assert_eq!(told["judged"], 1);
    let (status, _) = ask(&house, "POST", "/api/policy/simulate", &json!({"text": "rules: 7"}));
    assert_eq!(status, 422, "a text that does not load is said to be none");
}

#[test]
fn a_candidate_stands_in_the_place_of_the_policy_file_with_the_further_rules_behind_it() {
    let policy = "default_action: deny\nrules:\n  - {command: ls, action: allow}\n";
    let etc = etc("policy.yaml", policy);
    let own = etc.path().join("clawrden");
    fs::create_dir(own.join("rules.d")).unwrap();
    let further = own.join("rules.d/10-more.yaml");
    fs::write(&further, "rules:\n  - {command: 'true', action: allow}\n").unwrap();
    let Some(house) = at_home(etc.path(), &[]) else { return };
    assert!(house.shimmed("true").status().unwrap().success());
    assert!(house.shimmed("ls").output().unwrap().status.success());
    let simulate = |text: &str| {
        until("two requests in the history", || {
            let told = post(&house, "/api/policy/simulate", &json!({"text": text}));
            (told["judged"] == 2).then_some(told)
        })
    };
    let told = simulate(policy);
    assert_eq!((&told["unchanged"], &told["changes"]), (&json!(2), &json!([])));
    // What it says first goes before them, as in the policy file.
    let told =
        simulate("rules:\n  - {command: 'true', action: deny}\n  - {command: ls, action: allow}\n");
    assert_eq!(told["changes"][0]["argv"], json!(["true"]), "{told}");
    let told = post(&house, "/api/policy/check", &json!({"text": "rules: 7"}));
    assert_eq!(told["errors"][0]["file"], "candidate.yaml", "{told}");
}

#[test]
fn a_yes_for_always_is_the_smallest_rule_where_it_is_in_force_and_nowhere_else() {
    let etc = etc("policy.yaml", "default_action: ask\nrules:\n  - {command: cat, action: ask}\n");
    let own = etc.path().join("clawrden");
    let Some(mut house) = at_home(etc.path(), &[]) else { return };
    let asked = |house: &House, tool: &str, word: &str| {
        let mut command = house.shimmed(tool);
        command.arg(word).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        (child, house.pending()["short"].as_str().unwrap().to_owned())
    };
    let deny = |house: &House, (mut child, short): (std::process::Child, String)| {
        assert!(house.cli(&["deny", &short]).status.success());
        assert_eq!(child.wait().unwrap().code(), Some(126));
    };
    for (tool, word, why) in [
        ("cat", "/etc/hostname", "would not be in force"),
        ("bash", "x", "approve it once"),
        ("env", "true", "approve it once"),
    ] {
        let waiting = asked(&house, tool, word);
        let refused = house.cli(&["approve", &waiting.1, "--always", "--yes"]);
        assert!(text(&refused.stderr).contains(why), "{tool}: {}", text(&refused.stderr));
        deny(&house, waiting);
    }
    let (mut child, short) = asked(&house, "touch", "made");
    let shown = house.cli(&["approve", &short, "--always", "--dry-run"]);
    let shown = text(&shown.stdout);
    assert!(shown.contains("command: touch") && shown.contains("rules.d/approved-"), "{shown}");
    let unsaid = house.cli(&["approve", &short, "--always"]);
    assert!(text(&unsaid.stderr).contains("say --yes"), "{}", text(&unsaid.stderr));
    let other = json!({"id": short, "rule": "- {command: touch, action: allow}"});
    let (code, told) = ask(&house, "POST", "/api/policy/rules", &other);
    assert_eq!(code, 409, "another rule than was shown: {told}");
    assert!(!own.join("rules.d").exists(), "nothing was written by that");
    let done = house.cli(&["approve", &short, "--always", "--yes", "--reason", "it is harmless"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(child.wait().unwrap().success(), "the request itself runs");
    let added = house.event("rule_added");
    assert_eq!(added["reason"], "it is harmless");
    assert!(added["by"].as_str().unwrap().contains("uid"), "{added}");
    let again = |house: &House, word: &str| {
        let mut command = house.shimmed("touch");
        command.arg(word).stderr(Stdio::null());
        command
    };
    assert!(again(&house, "made").status().unwrap().success(), "nobody is asked again");
    house.crash();
    house.restart();
    assert!(again(&house, "made").status().unwrap().success());
    let mut other = again(&house, "another").spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    assert!(house.cli(&["deny", &short]).status.success());
    assert_eq!(other.wait().unwrap().code(), Some(126), "it takes nothing else");
    let left: Vec<_> = fs::read_dir(own.join("rules.d")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_policy_that_is_read_alone_gets_no_rule() {
    let house = House::new("default_action: ask");
    let mut child = house.shimmed("touch").arg("a").stderr(Stdio::null()).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    let refused = house.cli(&["approve", &short, "--always", "--yes"]);
    assert!(text(&refused.stderr).contains("read alone"), "{}", text(&refused.stderr));
    assert!(house.cli(&["deny", &short]).status.success());
    child.wait().unwrap();
}
