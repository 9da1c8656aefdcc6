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
fn the_help_tells_the_exit_codes() {
    assert!(stdout(Sandbox::new().clawrden().arg("--help")).contains("Exit codes:"));
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
fn what_is_made_without_a_warden_is_told_in_json() {
    let sandbox = Sandbox::new();
    let told = |words: &[&str]| {
        let text = stdout(sandbox.clawrden().args(words));
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    };
    let dir = sandbox.path("bin").display().to_string();
    let shims = told(&["shims", &dir, "git", "npm", "--json"]);
    assert_eq!(shims, serde_json::json!({"dir": dir, "tools": ["git", "npm"]}));
    let client = ["--client", "/nowhere/docker", "--json", "--print"];
    let hardened = told(&[&["harden", "agent:1", "--tools", "git"], &client[..]].concat());
    assert!(hardened["dockerfile"].as_str().unwrap().contains("FROM agent:1"), "{hardened}");
    assert_eq!(
        (&hardened["governed"], &hardened["tools"][0]),
        (&serde_json::Value::Null, &"git".into())
    );
}

#[test]
fn a_verb_about_this_machine_is_not_asked_of_another() {
    let sandbox = Sandbox::new();
    for words in [
        &["audit", "tail"][..],
        &["audit", "stats"],
        &["audit", "key"],
        &["audit", "verify", "--key", "k"],
        &["audit", "verify", "/l"],
        &["audit", "export", "/l"],
        &["policy", "lint"],
        &["policy", "test"],
        &["policy", "check"],
        &["policy", "explain", "--profile", "ci", "--", "ls"],
        &["policy", "show", "--list"],
        &["policy", "show", "pack:git"],
        &["policy", "suggest", "--since", "7d"],
        &["wait", "7f3a"],
        &["shims", "bin", "ls"],
        &["completions", "bash"],
    ] {
        let refused = sandbox.elsewhere("https://127.0.0.1:1").args(words).assert().code(2);
        let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        let whys =
            ["the machine that it runs on", "this machine", "--policy FILE", "name the files"];
        assert!(whys.iter().any(|why| said.contains(why)), "{words:?}: {said}");
    }
}

/// What `status` says of a warden that is as `change` makes it.
fn status_of(change: impl Fn(&mut serde_json::Value)) -> String {
    let sandbox = Sandbox::new();
    let mut told = serde_json::from_str(&status("null")).unwrap();
    change(&mut told);
    sandbox.answer(&[("GET /api/status", 200, told.to_string())]);
    stdout(sandbox.clawrden().arg("status"))
}

#[test]
fn status_says_in_its_first_lines_what_whoever_is_called_at_night_must_know() {
    let first = |text: &str, lines: usize| text.lines().take(lines).collect::<Vec<_>>().join("\n");
    let well = status_of(|_| ());
    assert!(well.starts_with("running\nwarden 0.1.0"), "{well}");

    let paused = status_of(|told| {
        told["stopped"] = serde_json::json!({"since_ms": 0, "by": "alice", "paused": true});
    });
    let head = first(&paused, 2);
    assert!(
        head.starts_with("PAUSED since") && head.contains("alice: what ran is frozen"),
        "{head}"
    );
    assert!(head.contains("`clawrden resume` lets it all go on"), "{head}");
    assert!(paused.lines().all(|line| line != "running"), "{paused}");

    let full = status_of(|told| {
        told["ledger"]["error"] = "No space left on device".into();
    });
    let head = first(&full, 2);
    assert!(head.starts_with("NOTHING RUNS: the ledger cannot be written: No space"), "{head}");
    assert!(head.contains("by itself as soon as /l can be written"), "{head}");

    let nobody = status_of(|told| {
        told["no_approver"] = serde_json::json!({"count": 3, "last_ms": 0, "request": "7f3a", "jail": "ci",
            "rule": "policy.yaml:4", "why": "it takes one of ops, and nobody of them can log in"});
    });
    let head = first(&nobody, 2);
    assert!(head.starts_with("running\nNOBODY COULD ANSWER: 3 requests"), "{head}");
    let all = ["in jail ci (policy.yaml:4)", "one of ops", "`clawrden people`"];
    assert!(all.iter().all(|part| head.contains(part)), "{head}");

    let channel = |name: &str, connected: bool, error: Option<&str>| {
        serde_json::json!({"name": name, "kind": "slack", "connected": connected, "error": error, "outbox": 2,
            "sent": 0, "failed": 1, "heard": 0, "refused": 0, "restarts": 0})
    };
    let down = status_of(|told| {
        let channels = [channel("well", true, None), channel("ops", false, Some("invalid_auth"))];
        told["channels"] = channels.into_iter().collect();
    });
    let head = first(&down, 2);
    assert!(head.contains("channel ops (slack) not connected: invalid_auth, 2 to send"), "{head}");
    assert!(down.contains("channel well (slack) connected"), "{down}");

    let refused = status_of(|told| {
        told["policy"] = serde_json::json!({"source": "/etc/p.yaml", "fingerprint": "ab", "since_ms": 0, "watched": true,
            "error": {"since_ms": 0, "message": "p.yaml:3: no such action"}});
    });
    assert!(first(&refused, 2).contains("the policy before stays in force"), "{refused}");
    assert!(refused.contains("p.yaml:3: no such action"), "{refused}");

    let held = status_of(|told| {
        told["held"] = serde_json::json!([{"jail": "web", "stopped": {"since_ms": 0, "by": "bob", "paused": false}}]);
        told["dry_run"] = true.into();
    });
    let head = first(&held, 3);
    assert!(head.contains("DRY RUN") && head.contains("jail web is STOPPED"), "{head}");
    assert!(head.contains("`clawrden resume --jail web`"), "{head}");
}

#[test]
fn what_has_gone_wrong_is_told_in_json_by_health_and_audit_verify_too() {
    let sandbox = Sandbox::new();
    let problem =
        r#"{"code":"not_ready","message":"the ledger cannot be written: full"}"#.to_owned();
    let proof = r#"{"running_since_ms":null,"last":{"ended_ms":1,"took_ms":1,"holds":false,"records":0,"bytes":0,"first":0,
        "last":0,"signed_to":0,"head":null,"notes":[],"why":"line 3: it was changed"}}"#;
    sandbox.answer(&[
        ("GET /readyz", 503, problem),
        ("GET /api/audit/verify", 200, proof.to_owned()),
        ("POST /api/audit/verify", 409, r#"{"code":"conflict","message":"under way"}"#.to_owned()),
    ]);
    let ask = |words: &[&str]| {
        let output = sandbox.clawrden().args(words).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), told)
    };
    let (code, told) = ask(&["health"]);
    assert_eq!(code, Some(1));
    assert!(told.starts_with("NOT READY: the ledger cannot be written"), "{told}");
    let (code, told) = ask(&["health", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["ready"], &told["live"]), (Some(1), &false.into(), &true.into()));
    // Another's proof that is under way is as good.
    let (code, told) = ask(&["audit", "verify", "--warden"]);
    assert!(code == Some(1) && told.contains("line 3: it was changed"), "{told}");
    let (code, told) = ask(&["audit", "verify", "--warden", "--json"]);
    assert_eq!((code, serde_json::from_str::<serde_json::Value>(&told).is_ok()), (Some(1), true));
    // This warden says nothing of it; another one what kind it is of, or that it could not read.
    for (more, wanted, said) in [
        (r#""damage":"changed""#, 1, "does not hold"),
        (r#""damage":"torn""#, 4, "has a torn end"),
        (r#""damage":"cut_off""#, 5, "was cut off"),
        (r#""damage":null,"unread":true"#, 6, "could not be read"),
    ] {
        let proof = proof.replace(r#""notes":[]"#, &format!(r#"{more},"notes":[]"#));
        let sandbox = Sandbox::new();
        sandbox.answer(&[("GET /api/audit/verify", 200, proof)]);
        let words = ["audit", "verify", "--warden", "--last"];
        let output = sandbox.clawrden().args(words).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains(said), "{more}: {told}");
        assert_eq!(output.status.code(), Some(wanted), "{more}");
    }
}
