//! The command line as people and programs meet it: help, exit codes, output, and how it fails.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use clawrden_protocol::{Ack, ToClient};
use common::Sandbox;

const VERBS: [&str; 26] = [
    "audit",
    "watch",
    "run",
    "warden",
    "status",
    "queue",
    "approve",
    "deny",
    "history",
    "kill",
    "jails",
    "resume",
    "wait",
    "policy",
    "hook",
    "shims",
    "completions",
    "ps",
    "stop",
    "top",
    "grants",
    "attach",
    "replay",
    "token",
    "dashboard",
    "metrics",
];

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

fn failed(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn entry(argv: &str) -> String {
    format!(
        r#"{{"id":"{}","short":"7f3a","jail":"default","caller":{{"uid":1000,"gid":1000,"pid":7,"prisoner":null}},
        "argv":{argv},"cwd":"/work","executable":"/usr/bin/npm","executor":"mirror","rule":"policy.yaml:12",
        "reason":"it reaches the network","noticed":[],"labels":{{}},"since_ms":0,"expires_ms":9999999999999,
        "callers":1}}"#,
        "7f3a".repeat(8)
    )
}

fn status(stopped: &str) -> String {
    format!(
        r#"{{"version":"0.1.0","pid":1,"uid":0,"started_ms":0,"stopped":{stopped},"jails":[{{"name":"default",
        "socket":"/s","bin":"/b","policy":"developer.yaml","policy_fingerprint":"ab","policy_error":null,"policy_since_ms":0,
        "policies_held_back":0,"requests":3,
        "prisoners":[{{"id":"p1","pid":9,"command":["agent","a b"],"labels":{{}},"requests":0,"since_ms":0,
        "unattended":false}}]}}],"pending":0,"running":0,"dry_run":false,
        "people":{{"people":0,"groups":0,"paired":0,"since_ms":0}},
        "policy":{{"source":"","fingerprint":"","since_ms":0,"error":null,"watched":false}},"ledger":{{"path":"/l","sequence":4,"error":null,"on_disk":4,"anchor_error":null}},
        "index":{{"path":"/i","state":"ready","sequence":4,"percent":null,"error":null}},
        "methods":{{"peer_pidfd":"yes"}},"held":[],"engine":{{"address":"unix:///e","version":"Docker Engine 20.10.24","api":"1.41","error":null}},
        "cautions":["same user: against accident only"]}}"#
    )
}

#[test]
fn every_verb_has_help_with_examples() {
    let sandbox = Sandbox::new();
    for verb in VERBS {
        let text = stdout(sandbox.clawrden().args([verb, "--help"]));
        assert!(text.contains("Examples:") && text.contains("--control"), "{verb}: {text}");
    }
    assert!(stdout(sandbox.clawrden().arg("--help")).contains("Exit codes:"));
}

#[test]
fn a_wrong_command_line_gives_2() {
    let sandbox = Sandbox::new();
    for args in [
        &["no-such-verb"][..],
        &[],
        &["approve"],
        &["approve", "xyz"],
        &["deny", "../../x"],
        &["wait", "q"],
        &["history", "--since", "yesterday"],
        &["history", "--limit", "0"],
        &["history", "--decision", "maybe"],
        &["run", "--label", "novalue"],
        &["run", "--tools", "a/b", "--show-tools"],
        &["run", "--policy", "/nonexistent.yaml", "--", "true"],
        &["shims", "/tmp/x", "../evil"],
    ] {
        let (code, text) = failed(sandbox.clawrden().args(args));
        assert_eq!(code, Some(2), "{args:?}: {text}");
        assert!(!text.is_empty());
    }
}

#[test]
fn no_warden_gives_3_and_says_what_to_do() {
    let sandbox = Sandbox::new();
    for args in [
        &["status"][..],
        &["queue"],
        &["queue", "--watch"],
        &["approve", "7f3a"],
        &["deny", "7f3a"],
        &["history"],
        &["kill"],
        &["resume"],
    ] {
        let (code, text) = failed(sandbox.clawrden().args(args));
        assert_eq!(code, Some(3), "{args:?}: {text}");
        assert!(text.contains("clawrden warden"), "{text}");
    }
    let (code, text) = failed(sandbox.clawrden().args(["wait", "7f3a"]));
    assert_eq!(code, Some(3));
    assert!(text.contains("CLAWRDEN_SOCKET"), "{text}");
}

#[test]
fn the_warden_answers_to_its_own_name_and_the_cli_to_its() {
    let sandbox = Sandbox::new();
    for (name, first) in
        [("clawrden-warden", "Run the warden"), ("clawrden-cli", "Governs the commands")]
    {
        let link = sandbox.path(name);
        std::os::unix::fs::symlink(cargo_bin("clawrden"), &link).unwrap();
        let text = stdout(Command::new(&link).arg("--help"));
        assert!(text.starts_with(first), "{name}: {text}");
    }
}

#[test]
fn the_queue_shows_whole_commands_and_nothing_acts_on_the_terminal() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(300);
    let argv = format!(r#"["npm","install","\u001b[2J\u009b1m","{long}"]"#);
    sandbox.answer(&[("GET /api/queue", 200, format!(r#"{{"entries":[{}]}}"#, entry(&argv)))]);
    let text = stdout(sandbox.clawrden().arg("queue"));
    assert!(
        text.contains("7f3a") && text.contains("npm") && text.contains("policy.yaml:12"),
        "{text}"
    );
    assert_eq!(text.matches('x').count(), 300 + text.matches("expires").count(), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn json_is_what_the_warden_said() {
    let sandbox = Sandbox::new();
    let queue = format!(r#"{{"entries":[{}]}}"#, entry(r#"["npm","\u001b[2J"]"#));
    sandbox.answer(&[
        ("GET /api/queue", 200, queue.clone()),
        ("GET /api/status", 200, status("null")),
        ("GET /api/history", 200, r#"{"entries":[],"next":null}"#.to_owned()),
    ]);
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(parse(&stdout(sandbox.clawrden().args(["queue", "--json"]))), parse(&queue));
    assert_eq!(
        parse(&stdout(sandbox.clawrden().args(["status", "--json"]))),
        parse(&status("null"))
    );
    assert_eq!(
        stdout(sandbox.clawrden().args(["history", "--json"])),
        "{\"entries\":[],\"next\":null}\n"
    );
}

#[test]
fn status_says_first_whether_it_is_stopped() {
    let sandbox = Sandbox::new();
    let stopped = r#"{"since_ms":0,"by":"uid 0","paused":false}"#;
    sandbox.answer(&[("GET /api/status", 200, status(stopped))]);
    let text = stdout(sandbox.clawrden().arg("status"));
    assert!(text.starts_with("STOPPED since 1970-01-01 00:00:00 by uid 0"), "{text}");
    assert!(text.contains("0: idle, or not governed"), "{text}");
    assert!(text.contains("caution: same user"), "{text}");
    assert!(!text.contains("peer_pidfd"), "{text}");
    assert!(stdout(sandbox.clawrden().args(["status", "-v"])).contains("peer_pidfd: yes"));
}

#[test]
fn an_answer_carries_its_reason_and_a_second_one_gives_1() {
    let sandbox = Sandbox::new();
    let answered =
        r#"{"id":"7f3a0000","answer":"denied","delivered":true,"kept_until_ms":null}"#.to_owned();
    let conflict = r#"{"code":"conflict","message":"it was answered before"}"#.to_owned();
    sandbox.answer(&[
        ("POST /api/queue/7f3a/deny", 200, answered),
        ("POST /api/queue/7f3a/approve", 409, conflict),
    ]);
    let text = stdout(sandbox.clawrden().args(["deny", "7f3a", "--reason", "use yarn"]));
    assert!(text.contains("denied 7f3a0000"), "{text}");
    assert_eq!(sandbox.seen.lock().unwrap()[0].1, r#"{"reason":"use yarn"}"#);
    assert_eq!(
        failed(sandbox.clawrden().args(["approve", "7f3a"])),
        (Some(1), "clawrden: it was answered before\n".to_owned())
    );
    let (code, text) = failed(sandbox.clawrden().args(["approve", "beef"]));
    assert_eq!(code, Some(1));
    assert!(text.contains("clawrden queue"), "{text}");
}

#[test]
fn history_sends_its_filters_and_follows_the_pages() {
    let sandbox = Sandbox::new();
    sandbox.answer(&[("GET /api/history", 200, r#"{"entries":[],"next":null}"#.to_owned())]);
    let args =
        ["history", "--command", "npm*", "--decision", "deny", "--since", "1970-01-02T00:00:00Z"];
    stdout(sandbox.clawrden().args(args).args(["--cursor", "9", "--limit", "3"]));
    let asked = sandbox.seen.lock().unwrap()[0].0.clone();
    for part in ["command=npm%2A", "decision=deny", "since_ms=86400000", "cursor=9", "limit=3"] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
}

#[test]
fn what_kill_could_not_do_gives_1() {
    let sandbox = Sandbox::new();
    let report = r#"{"processes":2,"stopped":{"since_ms":0,"by":"me","paused":true},"problems":["pid 7 is stuck"]}"#;
    sandbox.answer(&[("POST /api/kill", 200, report.to_owned())]);
    let (code, text) = failed(sandbox.clawrden().args(["kill", "--pause", "--reason", "why"]));
    assert_eq!((code, text.contains("pid 7 is stuck")), (Some(1), true));
    assert_eq!(sandbox.seen.lock().unwrap()[0].1, r#"{"pause":true,"reason":"why"}"#);
}

#[test]
fn a_reader_that_goes_away_ends_us_quietly() {
    let sandbox = Sandbox::new();
    let entries = vec![entry(r#"["npm"]"#); 2000].join(",");
    sandbox.answer(&[("GET /api/queue", 200, format!(r#"{{"entries":[{entries}]}}"#))]);
    let script = format!(
        "{} --control {} queue 2>&1 | head -1",
        cargo_bin("clawrden").display(),
        sandbox.control().display()
    );
    let text = stdout(Command::new("bash").args(["-c", &script]));
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn wait_speaks_over_the_jails_intercom() {
    let sandbox = Sandbox::new();
    let socket = sandbox.path("warden.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let answer = |frames: Vec<u8>| {
        let listener = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut body = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut body).unwrap();
            stream.write_all(&frames).unwrap();
            String::from_utf8(body).unwrap()
        })
    };
    let mut denied = vec![Ack::Pending as u8, Ack::Denied as u8];
    ToClient::Denial { rule: "", reason: "use yarn" }.encode(&mut denied);
    let server = answer(denied);
    let mut wait = sandbox.clawrden();
    wait.args(["wait", "7f3a"]).env("CLAWRDEN_SOCKET", &socket);
    assert_eq!(failed(&mut wait), (Some(126), "clawrden: denied: use yarn\n".to_owned()));
    assert_eq!(server.join().unwrap(), r#"{"v":2,"wait":"7f3a"}"#);

    let mut approved = vec![Ack::Pending as u8, Ack::Allowed as u8];
    ToClient::Exit(0).encode(&mut approved);
    let server = answer(approved);
    assert_eq!(stdout(&mut wait), "approved: repeat the command\n");
    server.join().unwrap();
}

#[test]
fn shims_are_written_with_a_link_for_every_tool() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("a folder");
    let text = stdout(sandbox.clawrden().arg("shims").arg(&dir).args(["git", "npm"]));
    assert!(text.ends_with("2 tools\n"), "{text}");
    for tool in ["git", "npm"] {
        assert!(dir.join(tool).exists(), "{tool}");
    }
}

#[test]
fn completions_name_the_verbs() {
    let sandbox = Sandbox::new();
    let text = stdout(sandbox.clawrden().args(["completions", "bash"]));
    assert!(VERBS.iter().all(|verb| text.contains(verb)));
}

#[test]
fn a_verb_about_this_machine_is_not_asked_of_another() {
    let sandbox = Sandbox::new();
    let token = sandbox.path("token");
    std::fs::write(&token, "clawrden_0_0").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for words in [
        &["audit", "verify"][..],
        &["audit", "export"],
        &["policy", "check"],
        &["policy", "explain", "--", "ls"],
        &["policy", "show"],
        &["wait", "7f3a"],
        &["shims", "bin", "ls"],
        &["completions", "bash"],
    ] {
        let mut command = Command::new(cargo_bin("clawrden"));
        sandbox.environment(&mut command);
        command.args(["--host", "https://127.0.0.1:1", "--token-file"]).arg(&token).args(words);
        let refused = command.assert().code(2);
        let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(said.contains("the machine that it runs on"), "{words:?}: {said}");
    }
}
