//! The exit codes are those of the table in docs/cli.md, and the table has all of them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{House, clawrden, text};

const DOCS: &str = include_str!("../../docs/cli.md");

const POLICY: &str = "
default_action: deny
jails: {default: {commands: [echo, id, rm, sh, touch], hold: 1s}}
rules:
  - {command: echo, action: allow}
  - {command: [touch, id], action: ask}
  - {command: sh, action: allow, executor: local, record: output}
";

/// What has an exit code, and how it comes to it.
type Case = (&'static str, i32, fn() -> Vec<i32>);

const CASES: &[Case] = &[
    ("every verb", 0, done),
    ("every verb", 1, refused),
    ("every verb", 2, misused),
    ("every verb", 3, unreachable),
    ("health", 1, || {
        let house = House::new(POLICY);
        fs::remove_file(house.socket()).unwrap();
        vec![code(&house.cli(&["health"]))]
    }),
    ("policy check", 1, || vec![policy(&["check", "bad.yaml"])]),
    ("policy lint", 1, || vec![policy(&["lint", "odd.yaml"])]),
    ("policy test", 1, || vec![policy(&["test", "--policy", "good.yaml", "tests.yaml"])]),
    ("policy simulate", 1, || {
        let house = House::new(POLICY);
        assert!(house.shimmed("echo").output().unwrap().status.success());
        house.event("finished");
        let stricter = house.path("stricter.yaml");
        fs::write(&stricter, "default_action: deny").unwrap();
        let words = ["policy", "simulate", "--policy", stricter.to_str().unwrap()];
        let by_warden = [&words[..], &["--warden"]].concat();
        vec![code(&house.cli(&words)), code(&house.cli(&by_warden))]
    }),
    ("policy explain --exit-code", 75, || explained("touch")),
    ("policy explain --exit-code", 126, || explained("rm")),
    ("audit verify", 1, || {
        let text =
            |text: String| text.replacen("\"decision\":\"allow\"", "\"decision\":\"deny\"", 1);
        vec![verified(text), by_warden(text)]
    }),
    ("audit verify", 4, || {
        let text = |text: String| format!("{text}{{\"seq\":");
        vec![verified(text), by_warden(text)]
    }),
    ("audit verify", 5, || {
        let text = |text: String| {
            let end = text.trim_end().rfind('\n').unwrap();
            text[..=end].to_owned()
        };
        // Behind what a head names a warden that runs has written more.
        let first = |text: String| text.split_inclusive('\n').take(1).collect::<String>();
        vec![verified(text), by_warden(first)]
    }),
    ("audit verify", 6, || {
        let mut command = clawrden();
        let by_files = command.args(["audit", "verify", "/nowhere/ledger.jsonl"]).output().unwrap();
        let house = House::new(POLICY);
        fs::remove_file(house.path("ledger.jsonl")).unwrap();
        vec![code(&by_files), code(&house.cli(&["audit", "verify", "--warden"]))]
    }),
    ("wait", 75, || {
        let house = House::new(POLICY);
        let short = parked(&house, "touch");
        vec![code(&wait(&house, &short)), json_of_wait(&house, &short, "waiting")]
    }),
    ("wait", 126, || {
        let house = House::new(POLICY);
        let short = parked(&house, "touch");
        assert!(house.cli(&["deny", &short]).status.success());
        let first = json_of_wait(&house, &short, "denied");
        vec![first]
    }),
    ("hook", 2, || {
        let house = House::new(POLICY);
        let mut command = clawrden();
        house.governed(command.args(["hook", "claude-code"])).stdin(Stdio::null());
        vec![code(&command.output().unwrap())]
    }),
    ("replay", 1, || {
        let house = House::new(POLICY);
        assert!(house.shimmed("sh").args(["-c", "echo one"]).output().unwrap().status.success());
        let finished = house.event("finished");
        let recording = fs::read_dir(house.path("recordings")).unwrap().next().unwrap().unwrap();
        let changed = fs::read_to_string(recording.path()).unwrap().replace("one", "two");
        fs::write(recording.path(), changed).unwrap();
        let id = finished["id"].as_str().unwrap();
        let told = house.cli(&["replay", id, "--json"]);
        assert!(text(&told.stdout).contains("\"verdict\":\"differs\""), "{}", text(&told.stdout));
        vec![code(&told), code(&house.cli(&["replay", id, "--print"]))]
    }),
    ("attach", 130, || {
        let house = House::new(POLICY);
        let mut command = house.shimmed("sh");
        command.args(["-c", "echo shown; read line"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let started = house.event("started");
        let mut attach = clawrden();
        attach.arg("--control").arg(house.control());
        attach.args(["attach", started["id"].as_str().unwrap()]).stdout(Stdio::piped());
        let mut attach = attach.spawn().unwrap();
        let mut shown = [0; 5];
        attach.stdout.as_mut().unwrap().read_exact(&mut shown).unwrap();
        assert_eq!(&shown, b"shown");
        let pid = Pid::from_raw(i32::try_from(attach.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let ended = attach.wait().unwrap().code().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        vec![ended]
    }),
];

fn code(output: &Output) -> i32 {
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    output.status.code().unwrap_or_else(|| panic!("no exit code: {said}"))
}

fn done() -> Vec<i32> {
    let house = House::new(POLICY);
    let words: [&[&str]; 6] = [
        &["status"],
        &["health"],
        &["whoami"],
        &["config", "--json"],
        &["metrics", "--json"],
        &["policy", "show", "--warden"],
    ];
    words.iter().map(|words| code(&house.cli(words))).collect()
}

/// Whoever may not, what is not there, what was answered before, and what the policy denies by now.
fn refused() -> Vec<i32> {
    let house = House::with(POLICY, &["--api", "127.0.0.1:0"]);
    let url = house.json(&["config", "--json"])["api"].as_str().unwrap().to_owned();
    let made = house.cli(&["token", "create", "--role", "viewer"]);
    let token = house.path("token");
    fs::write(&token, made.stdout).unwrap();
    fs::set_permissions(&token, PermissionsExt::from_mode(0o600)).unwrap();
    let waiting = parked(&house, "touch");
    let mut viewer = clawrden();
    viewer.args(["--host", &url, "--token-file"]).arg(&token).args(["approve", &waiting]);
    let mut codes = vec![code(&viewer.output().unwrap()), code(&house.cli(&["approve", "beef"]))];
    assert!(house.cli(&["deny", &waiting]).status.success());
    codes.push(code(&house.cli(&["approve", &waiting])));
    let waiting = parked(&house, "id");
    let stricter =
        POLICY.replace("{command: [touch, id], action: ask}", "{command: touch, action: ask}");
    fs::write(house.path("policy.yaml"), stricter).unwrap();
    assert!(house.cli(&["policy", "reload"]).status.success());
    codes.push(code(&house.cli(&["approve", &waiting])));
    codes.push(code(&house.cli(&["jails", "show", "nowhere"])));
    codes.push(code(&wait(&house, "beefbeef")));
    codes
}

fn misused() -> Vec<i32> {
    let words: [&[&str]; 5] = [
        &["no-such-verb"],
        &["approve", "xyz"],
        &["--host", "https://warden.example", "status"],
        &["history", "--since", "yesterday"],
        &["run", "--policy", "/nowhere.yaml", "--", "true"],
    ];
    words.iter().map(|words| code(&clawrden().args(*words).output().unwrap())).collect()
}

fn unreachable() -> Vec<i32> {
    let words: [&[&str]; 5] = [
        &["status"],
        &["health", "--live"],
        &["audit", "export", "--warden"],
        &["policy", "explain", "--warden", "--", "ls"],
        &["queue", "--watch"],
    ];
    let asked = |words: &&[&str]| {
        code(
            &clawrden().args(["--control", "/nowhere/control.sock"]).args(*words).output().unwrap(),
        )
    };
    words.iter().map(asked).collect()
}

/// What a verb about policies gives, in a folder with some.
fn policy(words: &[&str]) -> i32 {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("bad.yaml", "rules: [{command: ls, action: maybe}]");
    write("good.yaml", "rules: [{command: ls, action: allow}]");
    write("odd.yaml", "rules: [{command: ls, action: ask}]");
    write("tests.yaml", "tests: [{command: ls, expect: deny}]");
    let mut command = clawrden();
    code(&command.arg("policy").args(words).current_dir(folder.path()).output().unwrap())
}

/// What is said of a command by a file, and by a warden.
fn explained(tool: &str) -> Vec<i32> {
    let house = House::new(POLICY);
    let file = house.path("policy.yaml");
    let by = |words: &[&str]| {
        let words = [&["policy", "explain", "--exit-code"], words, &["--", tool]].concat();
        code(&house.cli(&words))
    };
    vec![by(&["--policy", file.to_str().unwrap()]), by(&["--warden"])]
}

/// What `audit verify` says of the ledger of a warden that has ended, changed so.
fn verified(change: impl FnOnce(String) -> String) -> i32 {
    let house = written();
    let ledger = house.path("ledger.jsonl");
    let verify = || code(&clawrden().args(["audit", "verify"]).arg(&ledger).output().unwrap());
    assert_eq!(verify(), 0, "as it was written");
    fs::write(&ledger, change(fs::read_to_string(&ledger).unwrap())).unwrap();
    verify()
}

/// What a warden says of its own ledger, changed so under its hands; and again when only the last proof is asked for.
fn by_warden(change: impl FnOnce(String) -> String) -> i32 {
    let mut house = written();
    house.restart();
    let verify =
        |more: &[&str]| code(&house.cli(&[&["audit", "verify", "--warden"], more].concat()));
    assert_eq!(verify(&[]), 0, "as it was written");
    let ledger = house.path("ledger.jsonl");
    fs::write(&ledger, change(fs::read_to_string(&ledger).unwrap())).unwrap();
    let found = verify(&[]);
    assert_eq!(verify(&["--last"]), found);
    found
}

/// A ledger whose warden has ended, which signed it.
fn written() -> House {
    let mut house = House::new(POLICY);
    assert!(house.shimmed("echo").output().unwrap().status.success());
    house.event("finished");
    let pid = Pid::from_raw(i32::try_from(house.warden.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    house.warden.wait().unwrap();
    house
}

/// A request whose caller was sent away while it waits.
fn parked(house: &House, tool: &str) -> String {
    let output = house.shimmed(tool).arg("mark").output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    house.pending()["short"].as_str().unwrap().to_owned()
}

fn wait(house: &House, id: &str) -> Output {
    let mut command = clawrden();
    house.governed(command.args(["wait", id])).output().unwrap()
}

fn json_of_wait(house: &House, id: &str, answer: &str) -> i32 {
    let mut command = clawrden();
    let output = house.governed(command.args(["wait", id, "--json"])).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["id"], &told["answer"]), (&id.into(), &answer.into()), "{told}");
    code(&output)
}

/// The rows of the table.
fn documented() -> BTreeSet<(String, i32)> {
    let table = DOCS.split("| code | of | means |").nth(1).unwrap().split("\n\n").next().unwrap();
    let row = |row: &str| {
        let mut cells =
            row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`'));
        let code = cells.next()?.parse().ok()?;
        Some((cells.next()?.to_owned(), code))
    };
    table.lines().filter_map(row).collect()
}

#[test]
fn the_table_of_exit_codes_has_every_case_and_no_other() {
    let tried: BTreeSet<(String, i32)> =
        CASES.iter().map(|(verb, code, _)| ((*verb).to_owned(), *code)).collect();
    assert_eq!(documented(), tried);
    assert_eq!(tried.len(), CASES.len());
}

#[test]
fn each_failure_has_the_exit_code_of_the_table() {
    let mut others = Vec::new();
    for (verb, wanted, of) in CASES {
        let codes = of();
        if codes.is_empty() || codes.iter().any(|code| code != wanted) {
            others.push(format!("{verb}: {codes:?}, not {wanted}"));
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn whatever_a_help_screen_says_of_exit_codes_is_in_the_table() {
    let all = documented();
    let verbs: BTreeSet<&str> = all.iter().map(|(verb, _)| verb.as_str()).collect();
    for verb in verbs.into_iter().filter(|verb| *verb != "every verb" && !verb.contains(" --")) {
        let output = clawrden().args(verb.split(' ')).arg("--help").output().unwrap();
        let help = text(&output.stdout);
        let Some(told) = help.split("Exit codes").nth(1) else { continue };
        let told = told.split("Examples:").next().unwrap();
        let first = |line: &str| line.split_whitespace().next()?.parse::<i32>().ok();
        for code in told.lines().filter_map(first) {
            let is_there = |verb: &str| all.contains(&(verb.to_owned(), code));
            assert!(is_there(verb) || is_there("every verb"), "{verb}: {code}");
        }
    }
}

#[test]
fn an_export_that_cannot_be_written_is_refused() {
    let house = House::new(POLICY);
    let full: PathBuf = Path::new("/dev/full").into();
    let mut command = Command::new(clawrden().get_program());
    command.arg("--control").arg(house.control()).args(["audit", "export", "--warden"]);
    let output = command.stdout(fs::File::create(full).unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
}
