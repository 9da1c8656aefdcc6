//! The policy's files change while the warden serves.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::etc::{at_home, etc};
use crate::support::{House, clawrden, text, until};

const DENY: &str = "rules: [{command: echo, action: deny, reason: 'not yet'}]";
const ALLOW: &str = "rules: [{command: echo, action: allow}]";
const BROKEN: &str = "rules:\n  - {command: echo, action: alow}\n";

fn echo(house: &House) -> Output {
    house.shimmed("echo").arg("hi").output().unwrap()
}

fn policy(house: &House) -> Value {
    house.json(&["status", "--json"])["policy"].clone()
}

/// Waits until another policy than the one with this fingerprint is in force.
fn replaced(house: &House, before: &Value) -> Value {
    until("another policy", || {
        let after = policy(house);
        (after["fingerprint"] != before["fingerprint"]).then_some(after)
    })
}

fn loads(house: &House) -> usize {
    house.events("policy_loaded").len()
}

/// A house whose policy denies, with the watches set.
fn watched(policy_text: &str) -> (House, Value) {
    let house = House::new(policy_text);
    let before = until("the watches", || {
        let policy = policy(&house);
        (policy["watched"] == true).then_some(policy)
    });
    (house, before)
}

/// Changes the policy from deny to allow and sees that it holds. `prepare` comes before, and leaves it denying.
fn changed_by(prepare: impl FnOnce(&House), change: impl FnOnce(&House)) {
    let (house, before) = watched(DENY);
    prepare(&house);
    assert_eq!(echo(&house).status.code(), Some(126));
    let before = if policy(&house)["error"].is_null() { policy(&house) } else { before };
    change(&house);
    let after = replaced(&house, &before);
    assert!(after["since_ms"].as_u64() >= before["since_ms"].as_u64());
    let output = echo(&house);
    assert_eq!(text(&output.stdout), "hi\n", "{}", text(&output.stderr));
    let loaded = house.record("the change", |record| {
        record["event"] == "policy_loaded" && record["fingerprint"] == after["fingerprint"]
    });
    assert_eq!(loaded["jail"], "default");
}

#[test]
fn a_file_that_is_written_in_place_is_read() {
    changed_by(|_| (), |house| fs::write(house.path("policy.yaml"), ALLOW).unwrap());
}

#[test]
fn a_file_that_is_renamed_over_the_policy_is_read() {
    let rename = |house: &House| {
        fs::write(house.path("new"), ALLOW).unwrap();
        fs::rename(house.path("new"), house.path("policy.yaml")).unwrap();
    };
    changed_by(|_| (), rename);
}

#[test]
fn a_file_that_is_put_in_place_of_a_deleted_one_is_read() {
    let delete = |house: &House| {
        fs::remove_file(house.path("policy.yaml")).unwrap();
        until("the loss to be noticed", || policy(house)["error"].is_object().then_some(()));
        let refused = house.event("policy_refused");
        assert!(refused["error"].as_str().unwrap().contains("No such file"), "{refused}");
    };
    // In between, the last one that was good holds.
    changed_by(delete, |house| fs::write(house.path("policy.yaml"), ALLOW).unwrap());
}

#[test]
fn a_config_map_that_is_swapped_is_read() {
    let swap = |house: &House, to: &str| {
        symlink(to, house.path("..tmp")).unwrap();
        fs::rename(house.path("..tmp"), house.path("..data")).unwrap();
    };
    let prepare = |house: &House| {
        let denies = "default_action: ask\nrules: [{command: echo, action: deny}]";
        for (name, text) in [("..1", denies), ("..2", ALLOW)] {
            fs::create_dir(house.path(name)).unwrap();
            fs::write(house.path(name).join("policy.yaml"), text).unwrap();
        }
        swap(house, "..1");
        let before = policy(house);
        symlink("..data/policy.yaml", house.path("link")).unwrap();
        fs::rename(house.path("link"), house.path("policy.yaml")).unwrap();
        replaced(house, &before);
    };
    changed_by(prepare, |house| swap(house, "..2"));
}

#[test]
fn sighup_and_the_cli_read_the_policy_anew() {
    let (house, before) = watched(DENY);
    let output = house.json(&["policy", "reload", "--json"]);
    assert_eq!(
        (&output["changed"], &output["fingerprint"]),
        (&false.into(), &before["fingerprint"])
    );
    fs::write(house.path("policy.yaml"), ALLOW).unwrap();
    assert!(house.cli(&["policy", "reload"]).status.success());
    assert_eq!(text(&echo(&house).stdout), "hi\n");
    let before = policy(&house);
    fs::write(house.path("policy.yaml"), DENY).unwrap();
    let pid = rustix::process::Pid::from_child(&house.warden);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    replaced(&house, &before);
    assert_eq!(echo(&house).status.code(), Some(126));
}

#[test]
fn a_further_file_of_rules_is_read_when_it_comes_and_when_it_goes() {
    let etc = etc("policy.yaml", "default_action: deny");
    let further = etc.path().join("clawrden/rules.d");
    fs::create_dir(&further).unwrap();
    let Some(house) = at_home(etc.path(), &[]) else { return };
    until("the watches", || (policy(&house)["watched"] == true).then_some(()));
    let is = |code: i32| {
        until("the rules to hold", || (echo(&house).status.code() == Some(code)).then_some(()));
    };
    is(126);
    fs::write(further.join("20-more.yaml"), ALLOW).unwrap();
    is(0);
    fs::write(further.join("10-first.yaml"), DENY).unwrap();
    is(126);
    fs::remove_file(further.join("10-first.yaml")).unwrap();
    is(0);
    fs::write(further.join("30-broken.yaml"), BROKEN).unwrap();
    until("the error", || policy(&house)["error"].is_object().then_some(()));
    is(0);
}

#[test]
fn a_burst_of_writes_is_one_reload_or_a_few() {
    let (house, before) = watched(DENY);
    for n in 0..49 {
        let comment = format!("# {n}\n{ALLOW}\n");
        fs::write(house.path("policy.yaml"), comment).unwrap();
    }
    fs::write(house.path("policy.yaml"), ALLOW).unwrap();
    replaced(&house, &before);
    until("the last one", || (text(&echo(&house).stdout) == "hi\n").then_some(()));
    let output = house.json(&["policy", "reload", "--json"]);
    assert_eq!(output["changed"], false);
    assert!((2..=4).contains(&loads(&house)), "{}", loads(&house));
}

#[test]
fn a_broken_file_leaves_the_last_good_one_in_force_and_is_shown() {
    let (house, before) = watched(ALLOW);
    fs::write(house.path("policy.yaml"), BROKEN).unwrap();
    let broken = until("the error", || {
        let policy = policy(&house);
        policy["error"].is_object().then_some(policy)
    });
    assert_eq!(broken["fingerprint"], before["fingerprint"]);
    let error = &broken["error"];
    assert_eq!((&error["line"], &error["column"]), (&2.into(), &29.into()), "{error}");
    assert!(error["file"].as_str().unwrap().ends_with("policy.yaml"));
    assert_eq!(text(&echo(&house).stdout), "hi\n");
    let shown = text(&house.cli(&["status"]).stdout);
    assert!(shown.contains("policy.yaml:2:29") && shown.contains("stays in force"), "{shown}");
    let refused = house.event("policy_refused");
    assert!(refused["error"].as_str().unwrap().contains(":2:29"), "{refused}");
    assert!(fs::read_to_string(house.path("warden.log")).unwrap().contains("do not load"));
    let asked = house.cli(&["policy", "reload"]);
    assert_eq!(asked.status.code(), Some(2));
    assert!(text(&asked.stderr).contains("stays in force"), "{}", text(&asked.stderr));
    fs::write(house.path("policy.yaml"), ALLOW).unwrap();
    until("the error to go", || policy(&house)["error"].is_null().then_some(()));
}

#[test]
fn a_policy_that_names_another_jail_makes_it() {
    let (house, _) = watched(ALLOW);
    let with = format!("jails: {{made: {{commands: [echo]}}}}\n{ALLOW}");
    fs::write(house.path("policy.yaml"), with).unwrap();
    assert!(house.cli(&["policy", "reload"]).status.success());
    let status = house.json(&["status", "--json"]);
    let made = status["jails"].as_array().unwrap().iter().find(|jail| jail["name"] == "made");
    let made = made.expect("the jail").clone();
    let mut command = Command::new(format!("{}/echo", made["bin"].as_str().unwrap()));
    let output =
        house.governed(&mut command).env("CLAWRDEN_SOCKET", made["socket"].as_str().unwrap());
    assert_eq!(text(&output.arg("in").output().unwrap().stdout), "in\n");
    fs::write(house.path("policy.yaml"), ALLOW).unwrap();
    assert!(house.cli(&["policy", "reload"]).status.success());
    let status = house.json(&["status", "--json"]);
    assert!(status["jails"].to_string().contains("\"made\""), "it stays until the warden ends");
}

#[test]
fn a_file_that_is_written_slowly_is_read_when_it_is_whole() {
    let (house, before) = watched(DENY);
    let mut file = fs::File::create(house.path("policy.yaml")).unwrap();
    // A whole policy by itself, which would allow everything.
    file.write_all(b"default_action: allow\n").unwrap();
    file.flush().unwrap();
    let asked = house.cli(&["policy", "reload"]);
    assert_eq!(asked.status.code(), Some(2));
    assert!(text(&asked.stderr).contains("being written"), "{}", text(&asked.stderr));
    assert_eq!(policy(&house)["fingerprint"], before["fingerprint"]);
    assert_eq!(echo(&house).status.code(), Some(126));
    file.write_all(b"rules: [{command: echo, action: deny, reason: 'for ever'}]\n").unwrap();
    drop(file);
    replaced(&house, &before);
    assert!(text(&echo(&house).stderr).contains("for ever"));
}

#[test]
fn what_is_wider_waits_for_the_next_run_and_what_is_narrower_does_not() {
    const BEFORE: &str = "rules: [{command: echo, action: deny}, {command: printf, action: allow}]";
    const AFTER: &str = "rules: [{command: echo, action: allow}, {command: printf, action: deny}]";
    let (house, before) = watched(BEFORE);
    let run = |script: &str| {
        let mut command = clawrden();
        command.arg("--control").arg(house.control());
        command.args(["run", "--quiet", "--tools", "echo,printf", "--", "sh", "-c", script]);
        command.env_remove("CLAWRDEN_SOCKET").current_dir(house.dir.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut first = run("read go; env echo wide; env printf narrow").spawn().unwrap();
    let held = |count: u64| {
        let jails = house.json(&["status", "--json"])["jails"].clone();
        let mut jails = jails.as_array().unwrap().iter();
        jails.any(|jail| jail["name"] == "run" && jail["policies_held_back"] == count)
    };
    until("the run", || {
        (held(0) && house.ledger().iter().any(|r| r["event"] == "prisoner_started")).then_some(())
    });
    fs::write(house.path("policy.yaml"), AFTER).unwrap();
    replaced(&house, &before);
    assert!(held(1));
    assert!(text(&house.cli(&["status"]).stdout).contains("from the next run on"));

    let second = run("env echo wide").output().unwrap();
    assert_eq!(text(&second.stdout), "wide\n", "{}", text(&second.stderr));

    first.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let output = first.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(text(&output.stdout), "", "{said}");
    assert!(said.contains("next `clawrden run`") && said.contains("denies it"), "{said}");
    let decided = house.events("decided");
    let denied = decided.iter().filter(|record| record["decision"] == "deny").count();
    assert_eq!(denied, 2, "{said}");
}

const ASK: &str = "rules: [{command: echo, action: ask}]";

/// Starts a command that a person has to approve.
fn asking(house: &House) -> (std::process::Child, String) {
    let mut command = house.shimmed("echo");
    let command = command.arg("hi").stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    (child, short)
}

fn reload(house: &House, policy: &str) {
    fs::write(house.path("policy.yaml"), policy).unwrap();
    let output = house.cli(&["policy", "reload"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn what_the_policy_denies_by_now_cannot_be_approved() {
    let (house, _) = watched(ASK);
    let (child, short) = asking(&house);
    reload(&house, "# other\n\nrules: [{command: echo, action: deny, reason: 'no more'}]");
    let refused = raw_answer(&house, &format!("/api/queue/{short}/approve"));
    assert!(refused.starts_with("HTTP/1.1 409"), "{refused}");
    for part in ["denied_by_policy", "policy.yaml:3", "no more"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(126), String::new()));
    let said = text(&output.stderr);
    assert!(said.contains("no more") && said.contains("policy.yaml:3"), "{said}");
    let denied = house.record("the denial", |record| record["decision"] == "deny");
    assert_eq!(denied["rule"], "policy.yaml:3");
    assert!(house.ledger().iter().all(|r| r["event"] != "approved" && r["event"] != "started"));
    let again = house.cli(&["approve", &short]);
    assert_eq!(again.status.code(), Some(1));
    // It was the policy, so that another policy is asked anew.
    reload(&house, ASK);
    let (mut child, short) = asking(&house);
    assert!(house.cli(&["deny", &short]).status.success());
    child.wait().unwrap();
}

#[test]
fn what_the_policy_would_allow_by_now_still_waits_and_can_be_approved() {
    let (house, _) = watched(ASK);
    let (child, short) = asking(&house);
    reload(&house, ALLOW);
    assert_eq!(house.pending()["short"], short.as_str());
    assert!(house.cli(&["approve", &short]).status.success());
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "hi\n");
}

#[test]
fn an_approval_that_is_kept_is_worth_nothing_once_the_policy_denies() {
    let (house, _) = watched(ASK);
    let (mut child, short) = asking(&house);
    child.kill().unwrap();
    child.wait().unwrap();
    until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
    assert!(house.cli(&["approve", &short]).status.success());
    reload(&house, DENY);
    let output = echo(&house);
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("not yet"), "{}", text(&output.stderr));
    assert!(house.ledger().iter().all(|record| record["event"] != "started"));
}

#[test]
fn what_waits_without_a_caller_cannot_be_approved_either() {
    let (house, _) = watched(ASK);
    let (mut child, short) = asking(&house);
    child.kill().unwrap();
    child.wait().unwrap();
    until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
    reload(&house, DENY);
    let refused = house.cli(&["approve", &short]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("not yet"), "{}", text(&refused.stderr));
    house.record("the denial", |record| record["decision"] == "deny");
    reload(&house, ALLOW);
    assert_eq!(text(&echo(&house).stdout), "hi\n");
}

/// What the control socket says to a bare POST.
fn raw_answer(house: &House, path: &str) -> String {
    let mut stream = UnixStream::connect(house.control()).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
