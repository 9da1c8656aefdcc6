//! The control API over TCP: nobody gets in without a token, and a token is told to nobody.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::nothing_started;
use crate::support::other::{Home, UID, by, is_root, open_to_others, set_user};
use crate::support::{House, clawrden, text, until};

pub(crate) const POLICY: &str = "
default_action: deny
rules:
  - {command: touch, action: ask}
";

/// The address and the certificate's fingerprint of a house's API.
pub(crate) fn place(house: &House) -> (String, Option<String>) {
    let line = until("the log to say where the API is", || {
        let log = fs::read_to_string(house.path("warden.log")).unwrap();
        log.lines().find(|line| line.contains("served over TCP")).map(str::to_owned)
    });
    let word = |name: &str| {
        let rest = line.split(&format!("{name}=\"")).nth(1)?;
        Some(rest.split('"').next()?.to_owned())
    };
    (word("url").unwrap(), word("fingerprint"))
}

/// A token in a file for its owner alone.
pub(crate) fn token(house: &House, name: &str, words: &[&str]) -> (String, PathBuf) {
    let made = house.cli(&[&["token", "create", "--name", name][..], words].concat());
    assert!(made.status.success(), "{}", text(&made.stderr));
    let (token, file) = (text(&made.stdout).trim().to_owned(), house.path(name));
    fs::write(&file, &token).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    (token, file)
}

/// A verb of the CLI for a warden elsewhere.
pub(crate) fn elsewhere(url: &str, file: &Path, words: &[&str]) -> (Option<i32>, String) {
    let output =
        clawrden().args(["--host", url, "--token-file"]).arg(file).args(words).output().unwrap();
    (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

/// A `touch` that waits for a person.
fn waiting(house: &House) -> (Child, String) {
    let mut touch = house.shimmed("touch");
    let child = touch.arg(house.path("mark")).stderr(Stdio::null()).spawn().unwrap();
    (child, house.pending()["short"].as_str().unwrap().to_owned())
}

#[test]
fn an_approver_elsewhere_answers_by_tls_for_their_jails_alone_and_the_ledger_says_who() {
    let house = House::with(POLICY, &["--api", "127.0.0.1:0", "--api-tls"]);
    let (url, fingerprint) = place(&house);
    let fingerprint = fingerprint.unwrap();
    assert!(url.starts_with("https://"), "{url}");
    let (_, other) = token(&house, "other", &["--role", "approver", "--jail", "elsewhere"]);
    let (_, viewer) = token(&house, "viewer", &["--role", "viewer"]);
    let (_, alice) = token(&house, "alice", &["--role", "approver", "--jail", "default"]);
    let (mut child, short) = waiting(&house);
    let ask = |file: &Path, words: &[&str]| {
        elsewhere(&url, file, &[&["--fingerprint", &fingerprint][..], words].concat())
    };
    assert_eq!(ask(&other, &["approve", &short]).0, Some(1));
    assert!(ask(&other, &["queue"]).1.contains("nothing waits"));
    assert_eq!(ask(&viewer, &["approve", &short]).0, Some(1));
    assert!(ask(&viewer, &["queue"]).1.contains(&short));
    nothing_started(&house);
    let wrong = "ab".repeat(32);
    let (code, said) = elsewhere(&url, &alice, &["--fingerprint", &wrong, "approve", &short]);
    assert_eq!(code, Some(3), "a certificate of somebody else: {said}");
    let (code, said) = elsewhere(&url, &alice, &["approve", &short]);
    assert_eq!(code, Some(3), "a certificate that nobody vouches for: {said}");
    nothing_started(&house);
    let (code, said) = ask(&alice, &["approve", &short]);
    assert_eq!(code, Some(0), "{said}");
    assert!(child.wait().unwrap().success());
    let approved = house.event("approved");
    assert_eq!(approved["channel"], "api");
    assert!(approved["approver"].as_str().unwrap().starts_with("alice (token "), "{approved}");
}

#[test]
fn a_token_is_in_no_log_no_ledger_no_file_of_the_warden_and_no_process_list() {
    let house = House::with(POLICY, &["--api", "127.0.0.1:0"]);
    let (url, _) = place(&house);
    let (secret, file) = token(&house, "bob", &["--role", "admin"]);
    assert_eq!(elsewhere(&url, &file, &["status"]).0, Some(0));
    let (code, said) = elsewhere(&url, &file, &["token", "list"]);
    assert_eq!(code, Some(0), "{said}");
    let secret = secret.splitn(3, '_').nth(2).unwrap();
    assert!(!said.contains(secret), "{said}");
    for entry in fs::read_dir(house.dir.path()).unwrap().flatten() {
        if entry.path() == file || !entry.path().is_file() {
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{}", entry.path().display());
    }
    for name in ["cmdline", "environ"] {
        let shown = fs::read(format!("/proc/{}/{name}", house.warden.id())).unwrap();
        assert!(!text(&shown).contains(secret));
    }
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let (code, said) = elsewhere(&url, &file, &["status"]);
    assert_eq!(code, Some(2), "a token that others may read is not used: {said}");
}

#[test]
fn a_warden_that_others_could_hear_does_not_start_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("policy.yaml"), POLICY).unwrap();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let output = clawrden()
            .args(["warden", "--api", address, "--socket"])
            .arg(path("warden.sock"))
            .arg("--control")
            .arg(path("control.sock"))
            .arg("--policy")
            .arg(path("policy.yaml"))
            .arg("--audit")
            .arg(path("ledger.jsonl"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{address}");
        assert!(text(&output.stderr).contains("in the clear"), "{}", text(&output.stderr));
    }
}

#[test]
fn nobody_is_let_in_by_being_near() {
    let house = House::with(POLICY, &["--api", "127.0.0.1:0"]);
    let (url, _) = place(&house);
    let address = url.strip_prefix("http://").unwrap();
    let (mut child, short) = waiting(&house);
    for path in ["/api/status", "/api/queue", &format!("/api/queue/{short}/approve")] {
        let method = if path.ends_with("approve") { "POST" } else { "GET" };
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "host: localhost\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(format!("{method} {path} HTTP/1.1\r\n{head}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(!answer.contains("touch"), "{answer}");
    }
    nothing_started(&house);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_prisoner_that_comes_by_another_address_of_the_machine_is_refused_whatever_token_it_has() {
    // The address by which others reach this machine, if there is one. Nothing is sent.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = socket.connect("203.0.113.1:9").and_then(|()| socket.local_addr());
    let Some(own) = own.ok().filter(|_| is_root()) else {
        eprintln!("skipped: this needs root, and an address that others reach");
        return;
    };
    let house = House::with(POLICY, &["--api", "0.0.0.0:0", "--api-tls"]);
    open_to_others(&house);
    let (url, fingerprint) = place(&house);
    let port = url.rsplit(':').next().unwrap();
    let url = format!("https://{}:{port}", own.ip());
    let (_, stolen) = token(&house, "stolen", &["--role", "admin"]);
    chown(&stolen, Some(UID), None).unwrap();
    // Where that user can execute it.
    let (program, cli) = (clawrden().get_program().to_owned(), house.path("cli"));
    fs::hard_link(&program, &cli).or_else(|_| fs::copy(&program, &cli).map(|_| ())).unwrap();
    let status = || {
        let mut command = Command::new(&cli);
        command.args(["--host", &url, "--fingerprint", fingerprint.as_ref().unwrap()]);
        command.arg("--token-file").arg(&stolen).arg("status");
        let output = by(&set_user(UID), &command).output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = status();
    assert_eq!(code, Some(0), "a user who is nobody's prisoner: {said}");
    let mut touch = by(&set_user(UID), &house.shimmed("touch"));
    let mut child = touch.arg(house.path("mark")).stderr(Stdio::null()).spawn().unwrap();
    let short = house.pending()["short"].as_str().unwrap().to_owned();
    let (code, said) = status();
    assert_ne!(code, Some(0));
    assert!(said.contains(&format!("prisoners run as uid {UID}")), "{said}");
    let refused = house.event("control_refused");
    assert!(refused["why"].as_str().unwrap().contains("prisoners run as"), "{refused}");
    assert!(house.cli(&["deny", &short]).status.success());
    child.wait().unwrap();
    nothing_started(&house);
}

/// One request on a connection of its own, by somebody whose command line is `by`; head and body of the answer.
fn ask(by: &[&str], address: &str, request: &str) -> String {
    let script = "use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0]) or die; \
                  print $s $ARGV[1]; print while <$s>";
    let mut command = match by {
        [] => Command::new("perl"),
        [program, words @ ..] => {
            let mut command = Command::new(program);
            command.args(words).arg("perl");
            command
        }
    };
    let output = command.args(["-e", script, address, request]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")
}

fn login(body: &str) -> String {
    let kind = "content-type: application/json\r\nconnection: close";
    let length = body.len();
    format!(
        "POST /api/session HTTP/1.1\r\nhost: localhost\r\n{kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[test]
fn who_guesses_is_locked_out_and_no_other_user_of_the_machine_nor_who_has_a_token() {
    if !is_root() {
        eprintln!("skipped: this needs root, who can be somebody else");
        return;
    }
    let house = House::with(POLICY, &["--api", "127.0.0.1:0"]);
    let (url, _) = place(&house);
    let address = url.strip_prefix("http://").unwrap();
    let (secret, _) = token(&house, "alice", &["--role", "viewer"]);
    let bearer = |token: &str| get("/api/status", &format!("authorization: Bearer {token}\r\n"));
    let by_code = |code: &str| login(&format!(r#"{{"code":"{code}"}}"#));
    let by_token = |token: &str| login(&format!(r#"{{"token":"{token}"}}"#));
    let (mallory, mut bob) = (set_user(UID), set_user(UID));
    (bob[2], bob[4]) = ("12346", "12346");
    let mut answers = Vec::new();
    for n in 0..24 {
        let guess = format!("clawrden_{n:08x}_guess");
        let request = [bearer(&guess), by_code(&guess), by_token(&guess)][n % 3].clone();
        answers.push(status(&ask(&mallory, address, &request)));
    }
    assert_eq!(answers[..9], [401; 9], "{answers:?}");
    assert_eq!(answers[9..], [429; 15], "{answers:?}");
    assert_eq!(status(&ask(&bob, address, &by_code("x"))), 401, "another user");
    assert_eq!(status(&ask(&[], address, &bearer("x"))), 401, "root");
    assert_eq!(status(&ask(&mallory, address, &bearer(&secret))), 200, "what opens, opens");
    assert_eq!(status(&ask(&mallory, address, &by_token(&secret))), 200);
    let refused = house.events("control_refused");
    assert_eq!(refused.len(), 12, "{refused:?}");
    let said = refused[9]["why"].as_str().unwrap();
    assert!(said.contains("10th failure within a minute"), "{said}");
    assert!(refused.iter().all(|record| !record.to_string().contains("_guess")), "{refused:?}");
}

#[test]
fn each_line_of_the_log_that_a_request_caused_has_the_id_that_its_answer_tells() {
    let house = House::with(POLICY, &["--api", "127.0.0.1:0"]);
    let (url, _) = place(&house);
    let address = url.strip_prefix("http://").unwrap();
    let (secret, _) = token(&house, "alice", &["--role", "admin"]);
    let own = format!("authorization: Bearer {secret}\r\n");
    let post = |path: &str, body: &str| {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{own}");
        format!("{head}content-length: {length}\r\n\r\n{body}")
    };
    let on_socket = |request: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(house.control()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let (mut child, short) = waiting(&house);
    // What each is answered with, and what its lines say besides that.
    let all = [
        (
            ask(&[], address, &get("/api/status", &own)),
            200,
            "answered method=GET path=\"/api/status\"",
        ),
        (on_socket(&get("/api/queue", "")), 200, "answered method=GET path=\"/api/queue\""),
        (ask(&[], address, &get("/api/status", "")), 401, "answered method=GET"),
        (
            ask(&[], address, &get("/api/jails", "authorization: Bearer x\r\n")),
            401,
            "somebody was refused at the control plane",
        ),
        (ask(&[], address, &login(r#"{"code":"x"}"#)), 401, "somebody was refused"),
        (ask(&[], address, &get("/healthz", "")), 200, "path=\"/healthz\""),
        (ask(&[], address, &post("/api/policy/reload", "{}")), 200, "answered method=POST"),
        (
            ask(&[], address, &post(&format!("/api/queue/{short}/deny"), r#"{"reason":"no"}"#)),
            200,
            "answered method=POST path=\"/api/queue/",
        ),
        (on_socket(&post("/api/queue/dddd/approve", "{}")), 404, "answered method=POST"),
        (on_socket(&get("/api/nothing\u{7f}", "")), 400, ""),
    ];
    child.wait().unwrap();
    let log = fs::read_to_string(house.path("warden.log")).unwrap();
    let mut ids = std::collections::BTreeSet::new();
    for (answer, code, line) in &all {
        assert_eq!(status(answer), *code, "{answer}");
        // What is no request has no id.
        if line.is_empty() {
            continue;
        }
        let named = |line: &str| line.to_ascii_lowercase().starts_with("x-request-id: ");
        let id = answer.lines().find(|line| named(line)).unwrap().split(": ").nth(1).unwrap();
        assert!(ids.insert(id), "each has its own: {id}");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(id)).collect();
        assert!(
            lines.iter().all(|line| line.contains(&format!("control{{request=\"{id}\"}}"))),
            "{lines:?}"
        );
        assert!(lines.iter().any(|said| said.contains(line)), "{line}: {lines:?}");
        let ends = lines.iter().filter(|line| line.contains(": answered "));
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), 1, "{lines:?}");
        assert!(ends[0].contains(&format!("status={code}")), "{ends:?}");
        if *code >= 400 {
            assert!(answer.contains(&format!("\"request_id\":\"{id}\"")), "{answer}");
        }
    }
    // And no line of a request is without one.
    let of_requests = ["answered method=", "somebody was refused at the control plane"];
    for line in log.lines().filter(|line| of_requests.iter().any(|said| line.contains(said))) {
        assert!(line.contains("control{request="), "{line}");
    }
}

#[test]
fn a_prisoner_of_a_run_is_refused_at_loopback_with_any_token_although_its_user_is_the_wardens() {
    let home = Home::with("default_action: allow\n", &["--api", "127.0.0.1:0"]);
    let (url, _) = place(&home.house);
    let made = home.clawrden().args(["token", "create", "--role", "admin"]).output().unwrap();
    let stolen = home.house.path("stolen");
    fs::write(&stolen, text(&made.stdout).trim()).unwrap();
    fs::set_permissions(&stolen, PermissionsExt::from_mode(0o600)).unwrap();
    if is_root() {
        chown(&stolen, Some(UID), Some(UID)).unwrap();
    }
    let status =
        format!("{} --host {url} --token-file {} status", home.cli.display(), stolen.display());
    let outside = home.command("sh").args(["-c", &status]).output().unwrap();
    assert_eq!(outside.status.code(), Some(0), "{}", text(&outside.stderr));
    // Its child, and one that is nobody's child any more.
    let script =
        format!("{status} >/dev/null; echo $?; (setsid {status} >/dev/null; echo $?) & wait");
    let mut run = home.clawrden();
    run.args(["run", "-q", "--tools", "touch", "--", "sh", "-c", &script]);
    // A shell that the warden's user has, not one that this machine's user has put before it.
    let output = run.env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(text(&output.stdout), "1\n1\n", "{said}");
    assert!(said.contains("you belong to a prisoner"), "{said}");
    let refused = home.house.event("control_refused");
    assert!(refused["why"].as_str().unwrap().contains("belong to a prisoner"), "{refused}");
}
