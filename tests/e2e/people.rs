//! Who people are by now: their file is read anew when it changes, and users of chats become people by codes.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use crate::support::approvers::{Panel, TWO};
use crate::support::{clawrden, text, until};

/// As long as a change takes to be read, and more.
const SETTLED: Duration = Duration::from_millis(800);

const ASK: &str = "rules: [{command: touch, action: ask}]";

fn settings(panel: &Panel, said: &str) {
    fs::write(panel.house.path("warden.yaml"), said).unwrap();
}

fn ledger(panel: &Panel, event: &str) -> Vec<serde_json::Value> {
    panel.house.events(event)
}

fn code(panel: &Panel, words: &[&str]) -> String {
    let made = panel.house.cli(&[&["people", "pair"][..], words].concat());
    assert!(made.status.success(), "{}", text(&made.stderr));
    text(&made.stdout).trim().to_owned()
}

fn redeem(code: &str) -> String {
    format!(r#"{{"code":"{code}"}}"#)
}

#[test]
fn a_code_said_in_a_chat_makes_its_user_that_person_until_it_is_taken_back() {
    let mut panel = Panel::new(ASK);
    let slack = panel.bridge("slack", &["--jail", "default"]);
    let code = code(&panel, &["carol", "--service", "slack"]);
    let (status, said) =
        slack.post(Some("slack:T1/CAROL"), "/api/pairings/redeem", &redeem(&code.to_lowercase()));
    assert_eq!(status, 200, "{said}");
    let paired = panel.house.event("paired");
    assert_eq!((&paired["person"], &paired["user"]), (&"carol".into(), &"slack:T1/CAROL".into()));
    assert!(paired["by"].as_str().unwrap().contains("uid "), "{paired}");
    let shown = panel.here(&["people"]).1;
    assert!(shown.contains("slack:T1/CAROL since"), "{shown}");
    let whole = fs::read_to_string(panel.house.path("ledger.jsonl")).unwrap();
    assert!(!whole.contains(&code) && !whole.contains(&code.replace('-', "")));
    // It outlasts the warden.
    panel.crash_and_restart(&[]);
    let slack = panel.bridge("slack", &[]);
    let (mut child, short) = panel.waiting();
    assert_eq!(slack.tap("slack:T1/CAROL", "approve", &short).0, 200);
    assert!(child.wait().unwrap().success());
    let (code, said) = panel.here(&["people", "unpair", "carol", "slack:T1/CAROL"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(panel.house.event("unpaired")["user"], "slack:T1/CAROL");
    assert_eq!(slack.post(Some("slack:T1/CAROL"), "/api/kill", "{}").0, 403);
    assert_eq!(panel.here(&["people", "unpair", "carol", "slack:T1/CAROL"]).0, Some(1));
    panel.crash_and_restart(&[]);
    let slack = panel.bridge("slack", &[]);
    assert_eq!(slack.post(Some("slack:T1/CAROL"), "/api/kill", "{}").0, 403);
}

#[test]
fn a_user_of_the_settings_is_paired_with_nobody_else_and_nobody_with_who_is_not_there() {
    let panel = Panel::new(ASK);
    let slack = panel.bridge("slack", &[]);
    let code = code(&panel, &["carol"]);
    let (status, said) = slack.post(Some("slack:T1/BOB"), "/api/pairings/redeem", &redeem(&code));
    assert_eq!((status, said.contains("is bob already")), (409, true), "{said}");
    // The code was not used up by it.
    let (status, said) = slack.post(Some("slack:T1/CAROL"), "/api/pairings/redeem", &redeem(&code));
    assert_eq!(status, 200, "{said}");
    let (status, said) = panel.here(&["people", "unpair", "bob", "slack:T1/BOB"]);
    assert!(status == Some(1) && said.contains("by the settings"), "{said}");
    let (status, said) = panel.here(&["people", "pair", "nobody"]);
    assert!(status == Some(1) && said.contains("`people`"), "{said}");
    // What the settings say comes first: she is not carol any more.
    let uid = rustix::process::geteuid().as_raw();
    settings(
        &panel,
        &format!("people: {{alice: ['uid:{uid}'], bob: ['slack:T1/CAROL'], carol: []}}\n"),
    );
    until("the settings to be read", || ledger(&panel, "people_loaded").pop());
    let list: serde_json::Value =
        serde_json::from_str(&panel.here(&["people", "--json"]).1).unwrap();
    assert_eq!(list["idle"][0]["user"], "slack:T1/CAROL", "{list}");
}

#[test]
fn people_who_change_hold_at_once_for_votes_that_were_given_as_well() {
    let panel = Panel::new(TWO);
    panel.token("bob");
    let slack = panel.bridge("slack", &[]);
    let (mut child, short) = panel.waiting();
    assert_eq!(slack.tap("slack:T1/BOB", "approve", &short).0, 200);
    assert_eq!(panel.progress(), "1 of 2 approvals: bob");
    let uid = rustix::process::geteuid().as_raw();
    let without = format!(
        "people: {{alice: ['uid:{uid}'], carol: ['slack:T1/CAROL'], dan: ['slack:T1/DAN']}}\n\
         groups: {{security: [alice, carol]}}\n"
    );
    settings(&panel, &without);
    until("bob to be nobody", || Some(panel.progress()).filter(|it| it == "0 of 2 approvals"));
    assert_eq!(slack.tap("slack:T1/BOB", "approve", &short).0, 403);
    assert_eq!(slack.tap("slack:T1/DAN", "approve", &short).0, 403, "dan is not in security");
    assert_eq!(panel.here(&["approve", &short]).0, Some(0));
    assert!(ledger(&panel, "started").is_empty());
    assert_eq!(slack.tap("slack:T1/CAROL", "approve", &short).0, 200);
    assert!(child.wait().unwrap().success());
    let loaded = ledger(&panel, "people_loaded").pop().unwrap();
    assert_eq!((&loaded["people"], &loaded["groups"]), (&3.into(), &1.into()));
}

#[test]
fn settings_that_do_not_load_change_nothing_and_everybody_can_learn_why() {
    let panel = Panel::new(TWO);
    panel.token("bob");
    let before = fs::read_to_string(panel.house.path("warden.yaml")).unwrap();
    for (broken, why) in [
        ("people: {alice: ['nonsense']}\n", "nonsense"),
        ("people: {alice: ['slack:alice@example.com']}\n", "never a name or an address"),
        ("people: {alice: ['telegram:@alice']}\n", "is a number"),
        (
            "people: {alice: ['slack:T1/U1'], bob: ['slack:T1/U1']}\n",
            "slack:T1/U1 is alice and bob",
        ),
        // The policy in force asks security.
        ("people: {alice: []}\n", "security"),
    ] {
        settings(&panel, broken);
        let refused = until("the settings to be refused", || {
            let last = ledger(&panel, "people_refused").pop()?;
            last["error"].as_str().unwrap().contains(why).then_some(last)
        });
        assert!(refused["source"].as_str().unwrap().ends_with("warden.yaml"));
        let status = panel.here(&["status"]).1;
        assert!(status.contains("go on answering") && status.contains(why), "{status}");
        assert!(panel.here(&["metrics"]).1.contains("clawrden_people_refused 1"));
    }
    let slack = panel.bridge("slack", &[]);
    let (mut child, short) = panel.waiting();
    assert_eq!(slack.tap("slack:T1/BOB", "approve", &short).0, 200, "those before hold");
    settings(&panel, &before);
    let pid = rustix::process::Pid::from_raw(i32::try_from(panel.house.warden.id()).unwrap());
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::HUP).unwrap();
    until("the settings to be right again", || ledger(&panel, "people_loaded").pop());
    assert!(!panel.here(&["status"]).1.contains("go on answering"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn who_has_nothing_but_a_chat_can_answer_while_its_bridge_listens() {
    let policy = "rules: [{command: touch, action: ask, approvers: [dan]}]";
    let panel = Panel::of("people: {dan: ['slack:T1/DAN']}\n", policy);
    let output = panel.house.shimmed("touch").arg(panel.mark()).output().unwrap();
    assert_eq!(output.status.code(), Some(126), "no bridge is there");
    assert!(text(&output.stderr).contains("no approver"), "{}", text(&output.stderr));
    let telegram = panel.bridge("telegram", &[]);
    let _other = listen(&panel, telegram.token(), "?hears=true");
    let slack = panel.bridge("slack", &[]);
    let denied = panel.house.shimmed("touch").arg(panel.mark()).status().unwrap();
    assert_eq!(denied.code(), Some(126), "the bridge to another chat");
    for (query, says) in [
        ("", "does not say whether it hears its service"),
        ("?hears=false&reason=refused", "the service refuses it"),
        ("?asked=true&bridge=b1&reason=unreachable", "the service cannot be reached"),
    ] {
        let _deaf = listen(&panel, slack.token(), query);
        let denied = panel.house.shimmed("touch").arg(panel.mark()).status().unwrap();
        assert_eq!(denied.code(), Some(126), "{query}");
        let status = panel.here(&["status"]).1;
        assert!(status.contains("bridge to slack does not hear it"), "{status}");
        assert!(query.contains("b1") || status.contains(says), "{status}");
        assert!(panel.here(&["metrics"]).1.contains("clawrden_bridges{service=\"slack\"} 0"));
    }
    let _listening = listen(&panel, slack.token(), "?asked=true&bridge=b1&hears=true");
    let (mut child, short) = panel.waiting();
    let status = panel.here(&["status"]).1;
    assert!(status.contains("bridge to slack hears it"), "{status}");
    assert!(panel.here(&["metrics"]).1.contains("clawrden_bridges{service=\"slack\"} 1"));
    assert_eq!(slack.tap("slack:T1/DAN", "approve", &short).0, 200);
    assert!(child.wait().unwrap().success());
    // By a rule that takes no yes by a chat nobody can answer.
    let on_page = "rules: [{command: touch, action: ask, approvers: [dan], confirm: page}]";
    assert_eq!(panel.policy(on_page).0, Some(0));
    let denied = panel.house.shimmed("touch").arg(panel.mark()).status().unwrap();
    assert_eq!(denied.code(), Some(126));
}

/// A bridge that hears events until this is dropped, and says with the query how it is.
fn listen(panel: &Panel, token: &str, query: &str) -> TcpStream {
    use std::io::Write as _;
    let mut stream = TcpStream::connect(panel.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "GET /api/events{query} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    stream
}

#[test]
fn a_yes_by_a_chat_is_confirmed_by_the_same_person_where_the_rule_says_so() {
    let panel = Panel::new("rules: [{command: touch, action: ask, confirm: page}]");
    let slack = panel.bridge("slack", &[]);
    let (mut child, short) = panel.waiting();
    let (status, said) = slack.tap("slack:T1/ALICE", "approve", &short);
    assert_eq!(status, 409, "{said}");
    assert!(said.contains("\"confirm_on_page\"") && said.contains(&panel.url), "{said}");
    assert!(ledger(&panel, "started").is_empty() && ledger(&panel, "approved").is_empty());
    let wish = ledger(&panel, "control_refused").pop().unwrap();
    assert!(wish["why"].as_str().unwrap().contains("alice (slack:T1/ALICE"), "{wish}");
    assert!(panel.here(&["queue"]).1.contains("a yes by a chat is a wish"));
    assert_eq!(panel.here(&["approve", &short]).0, Some(0));
    assert!(child.wait().unwrap().success());
    fs::remove_file(panel.mark()).unwrap();
    let (mut child, short) = panel.waiting();
    assert_eq!(slack.tap("slack:T1/BOB", "deny", &short).0, 200, "a no counts at once");
    assert_eq!(child.wait().unwrap().code(), Some(126));
}

#[test]
fn a_policy_and_settings_that_wait_for_each_other_come_into_force_when_they_fit() {
    let panel = Panel::new(TWO);
    let before = fs::read_to_string(panel.house.path("warden.yaml")).unwrap();
    let asking = |who: &str| {
        format!("rules: [{{command: touch, action: ask, approvers: {{from: [{who}]}}}}]")
    };
    let error = |of: &str| panel.house.json(&["status", "--json"])[of]["error"].clone();
    // A policy that asks for a group which the settings name only later.
    let (code, said) = panel.policy(&asking("night"));
    assert!(code == Some(2) && said.contains("\"night\""), "{said}");
    settings(&panel, &format!("{before}  night: [alice]\n"));
    until("the policy to fit", || error("policy").is_null().then_some(()));
    let (mut child, _) = panel.waiting();
    assert!(panel.house.pending()["approvals"].to_string().contains("night"));
    // Settings without a group that the policy asks for, until another one does not.
    settings(&panel, &before);
    until("the settings to be refused", || error("people").is_string().then_some(()));
    assert_eq!(panel.policy(&asking("security")).0, Some(0));
    until("the settings to fit", || error("people").is_null().then_some(()));
    // And a user of a chat whom only a code makes somebody.
    let (code, said) = panel.policy(&asking("'telegram:7'"));
    assert!(code == Some(2) && said.contains("telegram:7"), "{said}");
    std::thread::sleep(SETTLED);
    let telegram = panel.bridge("telegram", &[]);
    let code = self::code(&panel, &["carol"]);
    assert_eq!(telegram.post(Some("telegram:7"), "/api/pairings/redeem", &redeem(&code)).0, 200);
    until("the policy to fit", || error("policy").is_null().then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A warden that waits at a place, the first time that it comes there, while the file of the path exists.
fn waits_at(panel: &mut Panel, place: &str) -> Option<std::path::PathBuf> {
    if !cfg!(debug_assertions) {
        eprintln!("not tried: only debug builds can be made to wait at a place");
        return None;
    }
    let file = panel.house.path("waits");
    panel.crash_and_restart(&[("CLAWRDEN_WAIT_AT", &format!("{place}:{}", file.display()))]);
    Some(file)
}

/// The policy in force is the one before, and the other is told as one that asks for who is not there.
fn is_refused(panel: &Panel, before: &serde_json::Value, wanted: &str) {
    let status = panel.house.json(&["status", "--json"]);
    assert_eq!(&status["policy"]["fingerprint"], before, "{status}");
    assert!(status["policy"]["error"]["message"].as_str().unwrap().contains(wanted), "{status}");
    assert!(status["people"]["error"].is_null(), "{status}");
}

#[test]
fn a_policy_and_settings_that_change_at_once_never_come_into_force_without_fitting() {
    let uid = rustix::process::geteuid().as_raw();
    let without = format!("people: {{alice: ['uid:{uid}']}}\n");
    let plain = "rules: [{command: touch, action: ask}]";
    // The settings come while a policy that was read is about to.
    let mut panel = Panel::new(plain);
    let before = panel.house.json(&["status", "--json"])["policy"]["fingerprint"].clone();
    let Some(file) = waits_at(&mut panel, "policy_read") else { return };
    fs::write(panel.house.path("policy.yaml"), TWO).unwrap();
    until("the policy to be read", || file.exists().then_some(()));
    settings(&panel, &without);
    until("the settings to be read", || ledger(&panel, "people_loaded").pop());
    fs::remove_file(&file).unwrap();
    until("the policy to be refused", || ledger(&panel, "policy_refused").pop());
    is_refused(&panel, &before, "security");
    // The policy comes while settings that were read are about to.
    let mut panel = Panel::new(plain);
    let Some(file) = waits_at(&mut panel, "people_fit") else { return };
    settings(&panel, &without);
    until("the settings to be read", || file.exists().then_some(()));
    fs::write(panel.house.path("policy.yaml"), TWO).unwrap();
    std::thread::sleep(SETTLED);
    fs::remove_file(&file).unwrap();
    until("the settings to be in force", || ledger(&panel, "people_loaded").pop());
    until("the policy to be refused", || ledger(&panel, "policy_refused").pop());
    is_refused(&panel, &before, "security");
}

#[test]
fn settings_that_fit_to_the_hosts_policy_and_not_to_one_that_a_run_brought_are_refused() {
    let panel = Panel::new("default_action: allow");
    let before = fs::read_to_string(panel.house.path("warden.yaml")).unwrap();
    let own = panel.house.path("own.yaml");
    fs::write(&own, TWO).unwrap();
    let mut run = clawrden();
    run.arg("--control").arg(panel.house.control()).args(["run", "--quiet", "--tools", "touch"]);
    run.arg("--policy").arg(own).args(["--", "sh", "-c", "read -r line; true"]);
    run.current_dir(panel.house.dir.path()).env_remove("CLAWRDEN_SOCKET");
    let mut run = run.stdin(std::process::Stdio::piped()).spawn().unwrap();
    panel.house.event("prisoner_started");
    let uid = rustix::process::geteuid().as_raw();
    settings(&panel, &format!("people: {{alice: ['uid:{uid}']}}\n"));
    let refused = until("the settings to be refused", || ledger(&panel, "people_refused").pop());
    assert!(refused["error"].as_str().unwrap().contains("security"), "{refused}");
    settings(&panel, &before);
    drop(run.stdin.take());
    assert!(run.wait().unwrap().success());
}

#[test]
fn an_unpairing_holds_up_neither_settings_nor_a_stricter_policy_over_a_run() {
    let panel = Panel::new("default_action: allow");
    let telegram = panel.bridge("telegram", &[]);
    let code = code(&panel, &["carol"]);
    assert_eq!(telegram.post(Some("telegram:7"), "/api/pairings/redeem", &redeem(&code)).0, 200);
    let place = panel.house.path("project");
    fs::create_dir(&place).unwrap();
    let narrowed = "rules: [{command: touch, action: ask, approvers: ['telegram:7']}]";
    fs::write(place.join(".clawrden.yaml"), narrowed).unwrap();
    let mut run = clawrden();
    run.arg("--control").arg(panel.house.control()).args(["run", "--quiet", "--tools", "touch"]);
    run.args(["--", "bash", "-c", "read -r line; env touch made"]);
    run.current_dir(&place).env_remove("CLAWRDEN_SOCKET").stderr(std::process::Stdio::piped());
    let mut run = run.stdin(std::process::Stdio::piped()).spawn().unwrap();
    panel.house.event("prisoner_started");
    assert_eq!(panel.here(&["people", "unpair", "carol", "telegram:7"]).0, Some(0));
    // Settings that have nothing to do with it.
    let uid = rustix::process::geteuid().as_raw();
    settings(&panel, &format!("people: {{alice: ['uid:{uid}'], carol: []}}\n"));
    until("the settings to be read", || ledger(&panel, "people_loaded").pop());
    // The host forbids what the run's folder asks nobody for.
    let deny = "default_action: allow\nrules: [{command: touch, action: deny, reason: 'no more'}]";
    assert_eq!(panel.policy(deny).0, Some(0));
    drop(run.stdin.take());
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(text(&output.stderr).contains("no more"), "{}", text(&output.stderr));
}
