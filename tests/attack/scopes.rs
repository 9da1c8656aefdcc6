//! An approval for more than one run is for the very same alone, ends when it should, and lets nothing run that the
//! policy or a person stops.

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{House, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: touch, action: ask}
  - {command: [sh, bash], action: ask, executor: local}
";

fn touch(house: &House, file: &str) -> Command {
    let mut touch = house.shimmed("touch");
    touch.arg(file).stderr(Stdio::piped());
    touch
}

fn answer(house: &House, words: &[&str]) -> Output {
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    house.cli(&[&["approve", &short], words].concat())
}

fn approve(house: &House, words: &[&str]) {
    let output = answer(house, words);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn ended(mut child: Child) {
    assert!(child.wait().unwrap().success());
}

/// It is asked about, as if there were no grant; a person says no.
fn is_asked(house: &House, mut command: Command) {
    let mut child = command.spawn().unwrap();
    let output = house.cli(&["deny", house.pending()["short"].as_str().unwrap()]);
    assert!(output.status.success());
    assert_eq!(child.wait().unwrap().code(), Some(126));
}

fn granted_for_an_hour(house: &House) {
    let first = touch(house, "a").spawn().unwrap();
    approve(house, &["--for", "1h", "--reason", "often"]);
    ended(first);
}

fn grants(house: &House) -> Vec<Value> {
    house.json(&["grants", "--json"])["entries"].as_array().unwrap().clone()
}

#[test]
fn a_grant_for_a_time_lets_the_same_run_again_also_after_a_restart_and_nothing_else() {
    let mut house = House::new(POLICY);
    granted_for_an_hour(&house);
    let approved = house.event("approved");
    assert_eq!((&approved["scope"], &approved["reason"]), (&"time".into(), &"often".into()));
    assert!(approved["holds_until_ms"].is_u64());
    assert!(touch(&house, "a").output().unwrap().status.success());
    house.crash();
    house.restart();
    assert!(touch(&house, "a").output().unwrap().status.success());
    let used = house.events("grant_used");
    assert_eq!(used.len(), 2);
    assert!(used.iter().all(|r| r["scope"] == "time" && r["entry"] == approved["entry"]));
    let held = grants(&house);
    assert_eq!((held.len(), &held[0]["uses"], &held[0]["scope"]), (1, &3.into(), &"time".into()));
    assert!(held[0]["last_used_ms"].is_u64());

    is_asked(&house, touch(&house, "b"));
    let mut elsewhere = touch(&house, "a");
    elsewhere.current_dir("/tmp");
    is_asked(&house, elsewhere);
    let mut loaded = touch(&house, "a");
    loaded.env("LD_PRELOAD", "/nowhere.so");
    is_asked(&house, loaded);
    clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).unwrap();
}

#[test]
fn a_script_that_was_edited_is_no_longer_what_was_approved() {
    let house = House::new(POLICY);
    let tools = house.path("tools");
    std::fs::create_dir(&tools).unwrap();
    let tool = tools.join("touch");
    std::fs::write(&tool, "#!/bin/sh\nexit 0\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&tool, executable).unwrap();
    let own = || {
        let mut own = touch(&house, "a");
        let path = std::env::var("PATH").unwrap();
        own.env("PATH", format!("{}:{}:{path}", house.bin().display(), tools.display()));
        own
    };
    let first = own().spawn().unwrap();
    approve(&house, &["--for", "1h"]);
    ended(first);
    assert!(own().output().unwrap().status.success());
    std::fs::write(&tool, "#!/bin/sh\nexit 1\n").unwrap();
    is_asked(&house, own());
    std::fs::copy("/bin/true", &tool).unwrap();
    is_asked(&house, own());
}

#[test]
fn a_script_that_a_shell_is_given_is_approved_once() {
    let house = House::new(POLICY);
    let script = house.path("script");
    std::fs::write(&script, "exit 0\n").unwrap();
    let mut run = house.shimmed("sh");
    let mut run = run.arg(&script).stderr(Stdio::piped()).spawn().unwrap();
    let refused = answer(&house, &["--for", "1h"]);
    assert!(text(&refused.stderr).contains("by a file"), "{}", text(&refused.stderr));
    approve(&house, &[]);
    assert!(run.wait().unwrap().success());
    assert!(grants(&house).is_empty());
}

#[test]
fn a_policy_that_denies_by_now_and_the_kill_switch_hold_against_a_grant() {
    let house = House::new(POLICY);
    granted_for_an_hour(&house);
    assert!(house.cli(&["kill"]).status.success());
    let stopped = touch(&house, "a").output().unwrap();
    assert_eq!(stopped.status.code(), Some(126), "{}", text(&stopped.stderr));
    assert!(house.cli(&["resume"]).status.success());
    assert!(touch(&house, "a").output().unwrap().status.success());
    let denies = "default_action: deny\nrules: [{command: touch, action: deny, reason: closed}]\n";
    std::fs::write(house.path("policy.yaml"), denies).unwrap();
    until("the policy to be in force", || {
        let denied = touch(&house, "a").output().unwrap();
        text(&denied.stderr).contains("closed").then_some(())
    });
    let uses = grants(&house)[0]["uses"].clone();
    let denied = touch(&house, "a").output().unwrap();
    assert_eq!(denied.status.code(), Some(126));
    assert_eq!(grants(&house)[0]["uses"], uses, "nothing ran by it");
}

#[test]
fn a_grant_that_is_taken_back_lets_nothing_run_also_after_a_restart() {
    let mut house = House::new(POLICY);
    granted_for_an_hour(&house);
    let id = grants(&house)[0]["id"].as_str().unwrap().to_owned();
    assert!(house.cli(&["grants", "revoke", &id]).status.success());
    assert_eq!(house.event("grant_revoked")["entry"], id.as_str());
    is_asked(&house, touch(&house, "a"));
    house.crash();
    house.restart();
    assert!(grants(&house).is_empty());
    is_asked(&house, touch(&house, "a"));
}

#[test]
fn scopes_that_cannot_be_held_to_are_refused_with_a_sentence() {
    let house = House::new(POLICY);
    let mut waiting = touch(&house, "a").spawn().unwrap();
    for (words, wanted) in [
        (&["--session"][..], "there is no session"),
        (&["--for", "31d"], "30 days"),
        (&["--for", "0"], "cannot be for ever"),
        (&["--for", "1h", "--session"], "cannot be used with"),
    ] {
        let refused = answer(&house, words);
        assert!(!refused.status.success());
        assert!(text(&refused.stderr).contains(wanted), "{}", text(&refused.stderr));
    }
    assert_eq!(house.pending()["callers"], 1, "it still waits");
    approve(&house, &["--once"]);
    assert!(waiting.wait().unwrap().success());
    assert!(grants(&house).is_empty());
    let mut bash = house.shimmed("bash");
    let mut bash = bash.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let refused = answer(&house, &["--for", "1h"]);
    assert!(text(&refused.stderr).contains("told by its input"), "{}", text(&refused.stderr));
    approve(&house, &[]);
    assert!(bash.wait().unwrap().success());
}

/// A `clawrden run` whose shell runs `touch FILE` for each line that it reads.
fn prisoner(house: &House, file: &str) -> Child {
    let mut run = crate::support::clawrden();
    run.arg("--control").arg(house.control()).args(["run", "--quiet", "--tools", "touch", "--"]);
    run.args(["sh", "-c", &format!("while read line; do touch {file}; echo $? >> codes; done")]);
    run.current_dir(house.dir.path()).stdin(Stdio::piped()).stderr(Stdio::null());
    run.spawn().unwrap()
}

fn go(prisoner: &mut Child) {
    use std::io::Write as _;
    prisoner.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
}

fn codes(house: &House) -> usize {
    std::fs::read_to_string(house.path("codes")).unwrap_or_default().lines().count()
}

#[test]
fn a_session_is_for_the_prisoner_that_was_shown_and_ends_with_it() {
    let house = House::new(POLICY);
    let [mut one, mut other] = [prisoner(&house, "a"), prisoner(&house, "a")];
    go(&mut one);
    approve(&house, &["--session"]);
    until("it to run", || (codes(&house) == 1).then_some(()));
    go(&mut one);
    until("it to run again", || (codes(&house) == 2).then_some(()));
    assert_eq!(house.event("grant_used")["scope"], "session");
    go(&mut other);
    let waiting = house.pending();
    assert_ne!(waiting["caller"]["prisoner"], grants(&house)[0]["caller"]["prisoner"]);
    assert_eq!(codes(&house), 2);
    drop(one.stdin.take());
    one.wait().unwrap();
    until("its grant to go", || grants(&house).is_empty().then_some(()));
    drop(other.stdin.take());
    let output = house.cli(&["deny", waiting["short"].as_str().unwrap()]);
    assert!(output.status.success());
    other.wait().unwrap();
    assert_eq!(std::fs::read_to_string(house.path("codes")).unwrap(), "0\n0\n126\n");
}

#[test]
fn a_pattern_takes_other_words_of_the_same_tool_and_nothing_beside_them() {
    let mut house = House::new(POLICY);
    let first = touch(&house, "a-1").spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    for (pattern, why) in [
        ("touch **", "any option"),
        ("touch b-*", "does not take"),
        ("cat a-*", "is for `cat`"),
        ("touch", "its arguments"),
    ] {
        let refused = house.cli(&["approve", &short, "--for", "1h", "--pattern", pattern]);
        assert!(text(&refused.stderr).contains(why), "{pattern}: {}", text(&refused.stderr));
    }
    let once = house.cli(&["approve", &short, "--pattern", "touch a-*"]);
    assert!(text(&once.stderr).contains("more than one run"), "{}", text(&once.stderr));
    let tested =
        house.cli(&["approve", &short, "--for", "1h", "--pattern", "touch a-*", "--dry-run"]);
    assert!(text(&tested.stdout).contains("touch a-1  (1 time"), "{}", text(&tested.stdout));
    assert_eq!(house.pending()["callers"], 1, "nothing was approved by that");
    approve(&house, &["--for", "1h", "--pattern", "touch a-*"]);
    ended(first);
    assert!(touch(&house, "a-2").output().unwrap().status.success());
    house.crash();
    house.restart();
    assert!(touch(&house, "a-3").output().unwrap().status.success());
    let used = house.events("grant_used");
    assert_eq!(used.len(), 2);
    assert!(used.iter().all(|record| record["pattern"] == "touch a-*"));
    assert_eq!(grants(&house)[0]["pattern"], "touch a-*");
    for words in [&["b"][..], &["a-1", "b"], &["-r", "/etc/passwd", "a-1"], &["a-1 b"]] {
        let mut other = house.shimmed("touch");
        other.args(words).stderr(Stdio::null());
        if words == ["a-1 b"] {
            // It is one word, and `*` is any of one word.
            assert!(other.output().unwrap().status.success());
            continue;
        }
        is_asked(&house, other);
    }
    let mut elsewhere = touch(&house, "a-1");
    elsewhere.current_dir("/tmp");
    is_asked(&house, elsewhere);
    let id = grants(&house)[0]["id"].as_str().unwrap().to_owned();
    assert!(house.cli(&["grants", "revoke", &id]).status.success());
    is_asked(&house, touch(&house, "a-2"));
}
