//! The warden is killed at each stage of a request that a person is asked about: nothing that was said is lost, and one
//! approval lets one run, whoever serves by then.

use std::process::{Child, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::points::{asked, doomed};
use crate::support::{House, text, until};
use crate::{POLICY, has_crashed};

fn queue(house: &House) -> Vec<Value> {
    house.json(&["queue", "--json"])["entries"].as_array().unwrap().clone()
}

fn short(entry: &Value) -> String {
    entry["short"].as_str().unwrap().to_owned()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn end(mut child: Child) -> Output {
    until("the shim to end", || child.try_wait().unwrap());
    child.wait_with_output().unwrap()
}

fn is_back(house: &House) {
    house.event("reconnected");
}

/// It ran once, and the very same is asked about again.
fn ran_once(house: &House, tool: &str) {
    assert!(house.path("mark").exists());
    std::fs::remove_file(house.path("mark")).unwrap();
    house.event("finished");
    assert_eq!(house.events("finished").len(), 1);
    let mut again = asked(house, tool);
    until("the next to be asked about", || (!queue(house).is_empty()).then_some(()));
    again.kill().unwrap();
    again.wait().unwrap();
    assert!(!house.path("mark").exists());
    clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).unwrap();
}

#[test]
fn a_request_that_waits_goes_on_with_its_id_its_age_and_its_deadline() {
    for tool in ["tee", "dd"] {
        let mut house = House::with(POLICY, &["--grace", "300ms"]);
        let mut child = asked(&house, tool);
        let before = house.pending();
        for round in 1..=3 {
            house.crash();
            std::thread::sleep(Duration::from_millis(150));
            assert!(child.try_wait().unwrap().is_none(), "it waits for the next warden");
            house.restart();
            let after = house.pending();
            for same in ["id", "short", "since_ms", "argv", "cwd", "reason", "rule", "callers"] {
                assert_eq!(after[same], before[same], "{same}");
            }
            let deadline = |entry: &Value| entry["expires_ms"].as_i64().unwrap();
            assert!((deadline(&after) - deadline(&before)).abs() < 1000, "{before} {after}");
            house.has(round, "reconnected");
        }
        assert!(house.cli(&["approve", &short(&before)]).status.success());
        let output = end(child);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let id = house.event("requested")["id"].clone();
        for event in ["decided", "restored", "reconnected", "approved", "started"] {
            assert!(house.events(event).iter().all(|record| record["id"] == id), "{event}");
        }
        assert_eq!(house.events("requested").len(), 1);
        ran_once(&house, tool);
    }
}

#[test]
fn a_caller_that_was_only_told_to_wait_has_its_place() {
    let Some(mut house) = doomed("after_pending") else { return };
    let child = asked(&house, "tee");
    has_crashed(&mut house);
    house.restart();
    is_back(&house);
    assert!(house.cli(&["approve", &short(&house.pending())]).status.success());
    assert!(end(child).status.success());
    ran_once(&house, "tee");
}

#[test]
fn a_warden_that_is_told_to_go_is_waited_for_as_well() {
    let mut house = House::with(POLICY, &["--grace", "300ms"]);
    let mut child = asked(&house, "tee");
    let before = house.pending();
    signal(&house.warden, Signal::TERM);
    assert!(until("the warden to go", || house.warden.try_wait().unwrap()).success());
    assert!(child.try_wait().unwrap().is_none());
    assert!(house.events("caller_left").is_empty());
    house.restart();
    is_back(&house);
    assert!(house.cli(&["approve", &short(&before)]).status.success());
    assert!(end(child).status.success());
    ran_once(&house, "tee");
}

/// A request that waits and whose shim stands still, under a warden that was restarted meanwhile.
fn away(tool: &str) -> (House, Child, String) {
    let mut house = House::with(POLICY, &["--grace", "300ms"]);
    let child = asked(&house, tool);
    let short = short(&house.pending());
    signal(&child, Signal::STOP);
    house.crash();
    house.restart();
    assert_eq!(short, self::short(&house.pending()));
    (house, child, short)
}

#[test]
fn an_approval_that_is_given_while_the_caller_is_away_holds_over_more_crashes() {
    for tool in ["tee", "dd"] {
        let (mut house, child, short) = away(tool);
        assert!(house.cli(&["approve", &short]).status.success());
        assert_eq!(house.cli(&["deny", &short]).status.code(), Some(1), "the first answer wins");
        for _ in 0..2 {
            house.crash();
            house.restart();
            assert!(queue(&house).is_empty());
            assert_eq!(
                house.cli(&["deny", &short]).status.code(),
                Some(1),
                "over restarts as well"
            );
        }
        // It is for the one that waits, not for whoever asks the same before that is back.
        let mut other = asked(&house, tool);
        house.pending();
        signal(&child, Signal::CONT);
        let output = end(child);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
        ran_once(&house, tool);
    }
}

#[test]
fn a_denial_that_is_given_while_the_caller_is_away_reaches_it() {
    let (mut house, child, short) = away("tee");
    assert!(house.cli(&["deny", &short, "--reason", "use cat"]).status.success());
    house.crash();
    house.restart();
    signal(&child, Signal::CONT);
    let output = end(child);
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("use cat"), "{}", text(&output.stderr));
    // It was for that one.
    let mut again = asked(&house, "tee");
    house.pending();
    again.kill().unwrap();
    again.wait().unwrap();
    assert!(!house.path("mark").exists());
}

#[test]
fn a_deadline_that_passes_while_no_warden_is_there_is_expired_and_recorded() {
    let policy = "approval_timeout: 4s\nrules: [{command: tee, action: ask}]";
    let mut house = House::new(policy);
    let child = asked(&house, "tee");
    let entry = house.pending();
    house.crash();
    let expires = UNIX_EPOCH + Duration::from_millis(entry["expires_ms"].as_u64().unwrap() + 1);
    until("its deadline to pass", || (SystemTime::now() > expires).then_some(()));
    house.restart();
    let expired = house.event("expired");
    assert_eq!(expired["entry"], entry["id"]);
    assert_eq!(house.cli(&["approve", &short(&entry)]).status.code(), Some(1));
    let output = end(child);
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("nobody answered"), "{}", text(&output.stderr));
    assert!(house.events("caller_left").is_empty() && house.events("denied").is_empty());
    assert!(!house.path("mark").exists());
}

#[test]
fn an_answer_is_acted_on_once_wherever_the_warden_died() {
    let points = [
        "after_answer_kept",
        "after_answer_recorded",
        "after_approved",
        "before_intent",
        "after_intent",
    ];
    for tool in ["tee", "dd"] {
        for point in points {
            let Some(mut house) = doomed(point) else { return };
            let child = asked(&house, tool);
            let short = short(&house.pending());
            // Whether the person hears of it depends on who is faster.
            let _ = house.cli(&["approve", &short]);
            has_crashed(&mut house);
            assert!(!house.path("mark").exists(), "{point}");
            // A local one has been told that it is allowed before its runner is, so it cannot ask again by itself.
            let was_told = tool == "dd" && point.ends_with("_intent");
            let output = if was_told {
                let output = end(child);
                assert_eq!(output.status.code(), Some(125), "{point}: {output:?}");
                house.restart();
                end(asked(&house, tool))
            } else {
                house.restart();
                end(child)
            };
            assert!(output.status.success() && output.stderr.is_empty(), "{point}: {output:?}");
            assert_eq!(house.events("grant_used").len(), usize::from(was_told));
            let restored = house.event("restored");
            assert_eq!(restored["state"], "approved");
            assert!(restored["approver"].as_str().unwrap().contains("uid"), "{restored}");
            ran_once(&house, tool);
        }
    }
}

#[test]
fn an_approval_that_may_have_been_used_is_not_given_back() {
    for tool in ["tee", "dd"] {
        let Some(mut house) = doomed("after_spent") else { return };
        let child = asked(&house, tool);
        let _ = house.cli(&["approve", &short(&house.pending())]);
        has_crashed(&mut house);
        house.restart();
        // A shim says that nothing ran, and that is not for it to say.
        let child = if tool == "dd" {
            assert_eq!(end(child).status.code(), Some(125));
            asked(&house, tool)
        } else {
            child
        };
        let entry = house.pending();
        assert!(!house.path("mark").exists());
        assert!(house.cli(&["approve", &short(&entry)]).status.success());
        assert!(end(child).status.success());
        assert_eq!(house.events("approved").len(), 2);
        ran_once(&house, tool);
    }
}

#[test]
fn a_denial_reaches_its_caller_wherever_the_warden_died() {
    for point in ["after_answer_kept", "after_answer_recorded"] {
        let Some(mut house) = doomed(point) else { return };
        let child = asked(&house, "tee");
        let _ = house.cli(&["deny", &short(&house.pending()), "--reason", "not this"]);
        has_crashed(&mut house);
        house.restart();
        let output = end(child);
        assert_eq!(output.status.code(), Some(126), "{point}: {output:?}");
        assert!(text(&output.stderr).contains("not this"), "{point}: {output:?}");
        assert!(queue(&house).is_empty());
    }
}

/// Whether it is in the middle of receiving: whatever it had to send is sent.
fn listens(child: &Child) -> bool {
    let syscall = std::fs::read_to_string(format!("/proc/{}/syscall", child.id())).unwrap();
    let number = syscall.split(' ').next().and_then(|number| number.parse().ok());
    [libc::SYS_read, libc::SYS_recvfrom].iter().any(|&receives| Some(receives) == number)
}

#[test]
fn what_is_parked_and_what_is_kept_outlasts_the_warden() {
    let mut house = House::with(POLICY, &["--grace", "300ms"]);
    let mut first = asked(&house, "tee");
    let entry = house.pending();
    first.kill().unwrap();
    first.wait().unwrap();
    house.event("parked");
    house.crash();
    house.restart();
    let parked = house.pending();
    assert_eq!((&parked["id"], &parked["callers"]), (&entry["id"], &serde_json::json!(0)));
    // Who waits for the answer without running anything waits on as well.
    let mut waiting = crate::support::clawrden();
    let waiting = house.governed(waiting.args(["wait", &short(&entry)]));
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it to have said what it waits for", || listens(&waiting).then_some(()));
    house.crash();
    house.restart();
    assert!(house.cli(&["approve", &short(&parked)]).status.success());
    let waited = end(waiting);
    assert!(waited.status.success(), "{waited:?}");
    house.crash();
    house.restart();
    assert!(queue(&house).is_empty());
    let mut told = crate::support::clawrden();
    assert!(house.governed(told.args(["wait", &short(&entry)])).status().unwrap().success());
    let output = end(asked(&house, "tee"));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(house.events("grant_used").len(), 1);
    house.event("finished");
    house.crash();
    house.restart();
    ran_once(&house, "tee");

    let mut second = asked(&house, "tee");
    let entry = house.pending();
    second.kill().unwrap();
    second.wait().unwrap();
    until("it to be parked", || (house.pending()["callers"] == 0).then_some(()));
    assert!(house.cli(&["deny", &short(&entry), "--reason", "never"]).status.success());
    house.crash();
    house.restart();
    let output = end(asked(&house, "tee"));
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("never"));
}

#[test]
fn a_policy_that_denies_or_allows_by_then_makes_no_yes_of_a_question() {
    for (action, code) in [("deny", 126), ("allow", 0)] {
        let mut house = House::with(POLICY, &["--grace", "300ms"]);
        let mut child = asked(&house, "tee");
        let entry = house.pending();
        house.crash();
        let policy = POLICY.replace("tee, action: ask", &format!("tee, action: {action}"));
        std::fs::write(house.path("policy.yaml"), policy).unwrap();
        house.restart();
        is_back(&house);
        if action == "allow" {
            std::thread::sleep(Duration::from_millis(300));
            assert!(child.try_wait().unwrap().is_none(), "a person is still to answer");
            assert!(!house.path("mark").exists());
        }
        let answered = house.cli(&["approve", &short(&entry)]);
        assert_eq!(answered.status.success(), action == "allow", "{}", text(&answered.stderr));
        assert_eq!(end(child).status.code(), Some(code));
        assert_eq!(house.path("mark").exists(), action == "allow");
    }
}

#[test]
fn what_a_policy_asked_is_not_denied_by_the_same_policy_of_another_warden() {
    let user = std::process::Command::new("id").arg("-un").output().unwrap();
    let policy = format!(
        "default_action: deny\nrules:\n  - {{command: tee, caller: {{user: {}}}, env: {{PATH: '?*'}}, action: ask}}\n",
        text(&user.stdout).trim()
    );
    let mut house = House::new(&policy);
    let child = asked(&house, "tee");
    let entry = house.pending();
    house.crash();
    house.restart();
    is_back(&house);
    let answered = house.cli(&["approve", &short(&entry)]);
    assert!(answered.status.success(), "{}", text(&answered.stderr));
    let output = end(child);
    assert!(output.status.success(), "{output:?}");
    assert!(house.path("mark").exists());
}

#[test]
fn a_yes_for_a_mirrored_command_is_none_for_the_same_on_the_wardens_host() {
    for action in ["ask", "allow"] {
        let (mut house, child, before) = away("tee");
        assert!(house.cli(&["approve", &before]).status.success());
        house.crash();
        let local = format!("tee, action: {action}, executor: local");
        let policy = POLICY.replace("tee, action: ask", &local);
        std::fs::write(house.path("policy.yaml"), policy).unwrap();
        house.restart();
        signal(&child, Signal::CONT);
        let entry = house.pending();
        assert_ne!(short(&entry), before);
        assert_eq!(entry["executor"], "local");
        assert!(!house.path("mark").exists());
        assert!(house.cli(&["approve", &short(&entry)]).status.success());
        let output = end(child);
        assert!(output.status.success(), "{output:?}");
        house.event("finished");
    }
}
