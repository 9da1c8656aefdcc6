//! `ask` never becomes `allow` but by a person's word: not by time, by a crash, by noise, nor by the asker itself.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::nothing_started;
use crate::support::client::header;
use crate::support::other::Home;
use crate::support::{House, raw, text, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: touch, action: ask}
  - {command: [id, cat], action: ask, executor: local}
  - {command: 'true', action: allow}
";

/// A `touch` that waits for a person.
fn waiting(house: &House) -> (Child, String) {
    let mut touch = house.shimmed("touch");
    let child = touch.arg(house.path("mark")).stderr(Stdio::piped()).spawn().unwrap();
    (child, house.pending()["short"].as_str().unwrap().to_owned())
}

fn ends_without_running(house: &House, child: Child, code: i32) -> String {
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!house.path("mark").exists(), "{said}");
    said
}

/// Says something to the control socket as it is, and gives the status of the answer.
fn control(house: &House, request: &str) -> String {
    let mut stream = UnixStream::connect(house.control()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    if request.contains("content-length: 99") {
        // What is announced never comes.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or("closed").to_owned()
}

fn post(house: &House, path: &str, body: &str) -> String {
    let length = body.len();
    let head = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json";
    control(house, &format!("POST {path} {head}\r\ncontent-length: {length}\r\n\r\n{body}"))
}

#[test]
fn time_that_runs_out_is_a_denial_and_a_late_yes_changes_nothing() {
    let policy = POLICY.replace("default_action", "approval_timeout: 1s\ndefault_action");
    let house = House::new(&policy);
    let (child, short) = waiting(&house);
    ends_without_running(&house, child, 126);
    let late = house.cli(&["approve", &short]);
    assert_eq!(late.status.code(), Some(1), "{}", text(&late.stderr));
    house.event("expired");
    nothing_started(&house);
}

/// Callers that look for a warden that has gone for a second only.
fn impatient() -> House {
    House::new(&format!("jails: {{default: {{commands: [touch], reconnect: 1s}}}}{POLICY}"))
}

#[test]
fn a_warden_that_is_killed_while_somebody_waits_lets_nothing_run() {
    let mut house = impatient();
    let (child, short) = waiting(&house);
    house.crash();
    let said = ends_without_running(&house, child, 125);
    assert!(said.contains("did not come back in time; nothing ran"), "{said}");
    house.restart();
    let parked = house.pending();
    assert_eq!((&parked["short"], &parked["callers"]), (&short.into(), &0.into()));
    assert!(house.cli(&["approve", parked["id"].as_str().unwrap()]).status.success());
    std::thread::sleep(std::time::Duration::from_millis(200));
    nothing_started(&house);
}

#[test]
fn a_warden_that_goes_down_in_order_lets_nothing_run_either() {
    let mut house = impatient();
    let (child, _) = waiting(&house);
    let pid = rustix::process::Pid::from_child(&house.warden);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(house.warden.wait().unwrap().success());
    ends_without_running(&house, child, 125);
    nothing_started(&house);
}

#[test]
fn an_id_is_not_used_again_after_a_restart() {
    let mut house = impatient();
    let (first, short) = waiting(&house);
    house.crash();
    ends_without_running(&house, first, 125);
    house.restart();
    assert!(house.cli(&["deny", &short]).status.success());
    house.crash();
    house.restart();
    let denied = house.shimmed("touch").arg(house.path("mark")).status().unwrap();
    assert_eq!(denied.code(), Some(126));
    let (mut second, other) = waiting(&house);
    assert_ne!(short, other);
    assert_eq!(house.cli(&["approve", &short]).status.code(), Some(1));
    second.kill().unwrap();
    second.wait().unwrap();
    assert!(!house.path("mark").exists());
}

#[test]
fn only_the_process_that_waited_has_its_place_after_a_restart() {
    let mut house = House::new(POLICY);
    let (mut child, short) = waiting(&house);
    // Whoever saw the id of a request of its own user, and says it with the very same words.
    let id = [0x5a; 16];
    let tool = house.bin().join("touch");
    let mark = house.path("mark");
    let words = [b"touch", mark.as_os_str().as_encoded_bytes()];
    let env: Vec<Vec<u8>> = std::env::vars_os()
        .map(|(name, value)| [name.as_encoded_bytes(), b"=", value.as_encoded_bytes()].concat())
        .collect();
    let request = clawrden_protocol::RequestV2::new(
        id,
        None,
        tool.as_os_str().as_encoded_bytes(),
        house.dir.path().as_os_str().as_encoded_bytes(),
        words,
        env.iter().map(Vec::as_slice),
    );
    let request = request.unwrap().encode().unwrap();
    let mut own = raw::connect(&house.socket());
    own.write_all(&request).unwrap();
    let asked = |n: usize| {
        let ledger = house.ledger();
        let count = ledger.iter().filter(|record| record["event"] == "requested").count();
        (count == n).then_some(())
    };
    until("it to be asked about", || asked(2));
    child.kill().unwrap();
    child.wait().unwrap();
    house.crash();
    house.restart();
    // Another process with the same id: a request of its own. This one with another id: the same.
    let script = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; \
                  open my $f, '<', $ARGV[1] or die; local $/; my $request = <$f>; print $s $request; \
                  $s->flush; sysread $s, my $ack, 1; 1 while sysread $s, $ack, 9999";
    std::fs::write(house.path("request"), &request).unwrap();
    let mut perl = std::process::Command::new("perl");
    perl.args(["-e", script]).arg(house.socket()).arg(house.path("request"));
    let mut thief = perl.spawn().unwrap();
    until("the other one to be asked about", || {
        let ledger = house.ledger();
        let count = ledger.iter().filter(|record| record["event"] == "requested").count();
        (count == 3).then_some(())
    });
    assert!(house.ledger().iter().all(|record| record["event"] != "reconnected"));
    let mut again = raw::connect(&house.socket());
    again.write_all(&request).unwrap();
    house.event("reconnected");
    thief.kill().unwrap();
    thief.wait().unwrap();
    assert_eq!(house.cli(&["deny", &short]).status.code(), Some(0), "all of them share the entry");
    assert!(!house.path("mark").exists());
}

#[test]
fn answers_that_are_not_understood_are_no_answers() {
    let house = House::new(POLICY);
    let (mut child, short) = waiting(&house);
    let path = format!("/api/queue/{short}/approve");
    for body in ["[]", "\"yes\"", "true", "{\"reason\":1}", "{\"approve\":true}", "{} {}", "{"] {
        assert_eq!(post(&house, &path, body), "400", "{body}");
    }
    for request in [
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
        format!("PUT {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{{}}"),
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n{{}}"),
        format!("approve {short}\r\n\r\n"),
    ] {
        let status = control(&house, &request);
        assert!(!status.starts_with('2'), "{request}: {status}");
    }
    for path in ["/api/queue//approve", "/api/queue/%2a/approve", "/api/queue/0/approve"] {
        let status = post(&house, path, "{}");
        assert!(matches!(&status[..], "400" | "404"), "{path}: {status}");
    }
    assert_eq!(house.pending()["short"], short.as_str());
    child.kill().unwrap();
    child.wait().unwrap();
    nothing_started(&house);
}

#[test]
fn a_waiting_client_cannot_answer_itself() {
    let house = House::new(POLICY);
    // What a warden says, what a tool's end looks like, and what no one says.
    for noise in [
        &[0u8][..],
        &[0, 0, 0, 0, 0],
        &[33, 0, 0, 0, 4, 0, b'/', b'x', 0],
        &[21, 0, 0, 0, 2, 0, 0],
        &[3, 0, 0, 0, 1, 0],
        &[255, 255, 255, 255, 255],
    ] {
        let mut stream = raw::connect(&house.socket());
        let mark = house.path("mark").display().to_string();
        let request = raw::request(house.dir.path(), &["touch", &mark], &raw::path());
        stream.write_all(&request).unwrap();
        assert_eq!(raw::ack(&mut stream), Some(2));
        stream.write_all(noise).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(raw::ack(&mut stream), None, "{noise:?}");
        until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
    }
    nothing_started(&house);
}

#[test]
fn the_first_answer_stays_whatever_is_said_after_it() {
    let house = House::new(POLICY);
    let (child, short) = waiting(&house);
    assert!(house.cli(&["deny", &short]).status.success());
    assert_eq!(house.cli(&["approve", &short]).status.code(), Some(1));
    ends_without_running(&house, child, 126);
    assert_eq!(house.cli(&["approve", &short]).status.code(), Some(1));
    nothing_started(&house);
}

#[test]
fn one_approval_lets_one_run_although_two_are_said_at_once() {
    let house = House::new(POLICY);
    let (child, short) = waiting(&house);
    let codes: Vec<Option<i32>> = std::thread::scope(|scope| {
        let answers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| house.cli(&["approve", &short]).status.code())).collect();
        answers.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(house.events("approved").len(), 1);
}

#[test]
fn a_prefix_that_fits_two_approves_neither() {
    let house = House::new(POLICY);
    let mut clients = Vec::new();
    // Of so many ids two have the same first four digits, almost surely.
    let prefix = until("two ids that begin alike", || {
        for _ in 0..200 {
            let name = format!("mark-{}", clients.len());
            let mut stream = raw::connect(&house.socket());
            let request = raw::request(house.dir.path(), &["touch", &name], &raw::path());
            stream.write_all(&request).unwrap();
            assert_eq!(raw::ack(&mut stream), Some(2));
            clients.push(stream);
        }
        let queue = house.json(&["queue", "--json"]);
        let ids = queue["entries"].as_array().unwrap().iter();
        let mut prefixes = ids.map(|entry| entry["id"].as_str().unwrap()[..4].to_owned());
        let mut seen = std::collections::HashSet::new();
        prefixes.find(|prefix| !seen.insert(prefix.clone()))
    });
    for answer in ["approve", "deny"] {
        let output = house.cli(&[answer, &prefix]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("more of its digits"), "{}", text(&output.stderr));
    }
    let queue = house.json(&["queue", "--json"]);
    assert_eq!(queue["entries"].as_array().unwrap().len(), clients.len());
    nothing_started(&house);
}

#[test]
fn an_approval_is_for_one_command_and_no_other() {
    let house = House::new(POLICY);
    let (mut child, short) = waiting(&house);
    child.kill().unwrap();
    child.wait().unwrap();
    until("the entry to be parked", || (house.pending()["callers"] == 0).then_some(()));
    assert!(house.cli(&["approve", &short]).status.success());
    let elsewhere = house.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let mark = house.path("mark");
    let mut others = Vec::new();
    let mut other = |change: &dyn Fn(&mut std::process::Command)| {
        let mut touch = house.shimmed("touch");
        change(touch.stderr(Stdio::null()));
        others.push(touch.spawn().unwrap());
    };
    other(&|touch| {
        touch.arg("-c").arg(&mark);
    });
    other(&|touch| {
        touch.arg(&mark).arg("");
    });
    other(&|touch| {
        touch.arg(&mark).current_dir(&elsewhere);
    });
    other(&|touch| {
        touch.arg(&mark).env("LD_PRELOAD", "/nowhere.so");
    });
    until("all of them to wait", || {
        let queue = house.json(&["queue", "--json"]);
        (queue["entries"].as_array()?.len() == others.len()).then_some(())
    });
    assert!(!mark.exists());
    for mut other in others {
        other.kill().unwrap();
        other.wait().unwrap();
    }
    assert!(house.shimmed("touch").arg(&mark).status().unwrap().success());
    assert!(mark.exists());
}

/// What a prisoner's own shell prints and exits with.
fn run(home: &Home, options: &[&str], script: &str) -> std::process::Output {
    let mut command = home.clawrden();
    let command = command.arg("run").args(options).args(["--tools", "touch", "--", "sh", "-c"]);
    // A shell that the warden's user has, not one that this machine's user has put before it.
    command.arg(script).env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).output().unwrap()
}

fn control_refusals(home: &Home) -> Vec<Value> {
    let records = home.house.ledger();
    records.into_iter().filter(|record| record["event"] == "control_refused").collect()
}

#[test]
fn a_prisoner_cannot_approve_itself() {
    let home = Home::new(POLICY);
    let clawrden = home.cli.display().to_string();
    let control = home.house.control().display().to_string();
    // Itself, through a child, through one that has left its session, and through an orphan.
    for leave in ["", "sh -c ", "setsid -w ", "orphan"] {
        let mark = home.house.path("mark").display().to_string();
        let approve = format!("{clawrden} --control {control} approve $ID");
        let approve = match leave {
            "sh -c " => format!("sh -c '{approve}'"),
            // It begins when its parent has gone, and its code comes through a file.
            "orphan" => format!(
                "(setsid sh -c 'sleep 0.5; {approve}; echo $? > {code}.new; mv {code}.new {code}' &); \
                 while ! [ -e {code} ]; do sleep 0.05; done; (exit $(cat {code}))",
                code = home.house.path("code").display()
            ),
            leave => format!("{leave}{approve}"),
        };
        let script = format!(
            "touch {mark} & while ! ID=$(cat {dir}/id 2>/dev/null); do sleep 0.05; done; export ID; \
             {approve}; echo said $?; kill $!",
            dir = home.house.dir.path().display()
        );
        let output = std::thread::scope(|scope| {
            let prisoner = scope.spawn(|| run(&home, &["-q"], &script));
            let id = home.pending()["id"].as_str().unwrap().to_owned();
            let fresh = home.house.path("id.new");
            std::fs::write(&fresh, id).unwrap();
            std::fs::rename(fresh, home.house.path("id")).unwrap();
            prisoner.join().unwrap()
        });
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(out.contains("said 1") && err.contains("prisoner"), "{leave:?}: {out} {err}");
        assert!(!std::path::Path::new(&mark).exists());
        let refused = control_refusals(&home);
        let last = refused.last().unwrap();
        assert!(last["why"].as_str().unwrap().contains("/approve"), "{last}");
        let entry = home.pending()["short"].as_str().unwrap().to_owned();
        let deny = home.clawrden().args(["deny", &entry]).status().unwrap();
        assert!(deny.success());
        // The denial that is kept would answer the next round.
        let _ = run(&home, &["-q"], &format!("touch {mark}"));
        std::fs::remove_file(home.house.path("id")).unwrap();
    }
    nothing_started(&home.house);
}

#[test]
fn a_prisoner_cannot_use_the_control_plane_at_all() {
    let home = Home::new(POLICY);
    let clawrden = home.cli.display().to_string();
    let control = home.house.control().display().to_string();
    let verbs = ["status", "queue", "history", "kill", "resume", "deny 0000", "run -- true"];
    let script: String = verbs
        .iter()
        .map(|verb| format!("{clawrden} --control {control} {verb} >/dev/null; echo $?; "))
        .collect();
    let output = run(&home, &["-q"], &script);
    let codes: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!(codes, vec!["1"; verbs.len()], "{}", text(&output.stderr));
    assert!(control_refusals(&home).len() >= verbs.len());
}

#[test]
fn with_nobody_to_ask_the_answer_is_no() {
    let home = Home::new(POLICY);
    let mark = home.house.path("mark");
    let output = run(&home, &["-q", "--unattended"], &format!("touch {}", mark.display()));
    assert_eq!(output.status.code(), Some(126), "{}", text(&output.stderr));
    assert!(!mark.exists());
    nothing_started(&home.house);
}

#[test]
fn a_peer_that_has_ended_gives_no_answers() {
    let house = House::new(POLICY);
    let (mut child, short) = waiting(&house);
    // Its child goes on with the connection when the process that opened it has gone.
    let script = format!(
        "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; my $old = $$; \
         if (fork) {{ exit 0 }} select undef, undef, undef, 0.01 while getppid == $old; \
         print $s \"POST /api/queue/{short}/approve HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\
         content-length: 2\\r\\n\\r\\n{{}}\"; $s->flush; print <$s>;"
    );
    let mut perl = std::process::Command::new("perl");
    let output = perl.args(["-e", &script]).arg(house.control()).output().unwrap();
    assert!(text(&output.stdout).starts_with("HTTP/1.1 403"), "{output:?}");
    let refused = house.event("control_refused");
    assert!(refused["why"].as_str().unwrap().contains("ended"), "{refused}");
    assert!(child.try_wait().unwrap().is_none() && !house.path("mark").exists());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn a_client_that_leaves_and_comes_back_still_needs_an_answer() {
    let house = House::new(POLICY);
    for _ in 0..20 {
        let request = header("id", &["-u"], house.dir.path());
        drop(crate::support::client::send(&house.socket(), &request));
    }
    let stream =
        crate::support::client::send(&house.socket(), &header("id", &["-u"], house.dir.path()));
    until("one to wait", || (house.pending()["callers"] == 1).then_some(()));
    nothing_started(&house);
    drop(stream);
}
