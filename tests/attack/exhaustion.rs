//! Whoever takes all it can get keeps nobody out: memory stays bounded, and a good client is served at once.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::serves;
use crate::support::client::header;
use crate::support::other::{all_gone, children, status_number};
use crate::support::pty::Pty;
use crate::support::{House, raw, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: 'true', action: allow}
  - {command: touch, action: ask}
  - {command: [yes, sh], action: allow, executor: local}
";

/// What the warden may ever take, in KiB.
const MEMORY: u64 = 64 * 1024;

/// What its own code takes of that in a release build. That of any other build is several times larger, and is not counted.
const CODE: u64 = 20 * 1024;

/// More descriptors for this test than usual.
fn many_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, most).unwrap();
}

/// The warden is well: it serves, and has never taken more than it may.
fn is_well(house: &House) {
    serves(house);
    let of = |field| status_number(house.warden.id(), field);
    let peak = of("VmHWM");
    if cfg!(debug_assertions) {
        let peak = peak - of("RssFile");
        assert!(peak < MEMORY - CODE, "the warden took {peak} KiB beside its code");
    } else {
        assert!(peak < MEMORY, "the warden took {peak} KiB");
    }
}

/// The socket of a jail that the policy names.
fn jail_socket(house: &House, jail: &str) -> PathBuf {
    house.path("jails").join(jail).join("warden.sock")
}

/// A connection on which something was said that may already have been refused.
fn said(house: &House, bytes: &[u8]) -> UnixStream {
    let mut stream = raw::connect(&house.socket());
    let _ = stream.write_all(bytes);
    stream
}

#[test]
fn two_thousand_half_open_connections_keep_nobody_out() {
    many_descriptors();
    let house = House::new(POLICY);
    let body = header("touch", &["x"], house.dir.path()).to_string();
    let whole = raw::framed(body.as_bytes());
    let beginnings = [&[][..], &whole[..2], &whole[..4], &whole[..whole.len() - 1]];
    let held: Vec<UnixStream> =
        (0..2000).map(|n| said(&house, beginnings[n % beginnings.len()])).collect();
    is_well(&house);
    drop(held);
    is_well(&house);
}

#[test]
fn half_open_connections_of_many_processes_keep_nobody_out() {
    let house = House::new(POLICY);
    let script = "use IO::Socket::UNIX; my @all; for (1..400) { my $s = IO::Socket::UNIX->new(Peer => \
                  $ARGV[0]); syswrite $s, qq(\\0\\0\\1) if $s; push @all, $s } \
                  syswrite STDOUT, qq(held\\n); sleep 60";
    let mut crowd: Vec<Child> = (0..6)
        .map(|_| {
            let mut perl = Command::new("perl");
            perl.args(["-e", script]).arg(house.socket()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for one in &mut crowd {
        one.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    }
    is_well(&house);
    for mut one in crowd {
        one.kill().unwrap();
        one.wait().unwrap();
    }
    is_well(&house);
}

#[test]
fn a_length_of_four_gibibytes_is_refused_before_a_byte_of_it_is_read() {
    let house = House::new(POLICY);
    for length in [u32::MAX, 10 * 1024 * 1024 + 1, 0x8000_0000] {
        let mut held: Vec<UnixStream> =
            (0..100).map(|_| said(&house, &length.to_be_bytes())).collect();
        for stream in &mut held {
            // Closed, with or without a reset.
            assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
        }
    }
    is_well(&house);
}

#[test]
fn a_request_that_comes_a_byte_at_a_time_is_given_up_after_its_time() {
    let house = House::new(POLICY);
    let body = header("touch", &["x"], house.dir.path()).to_string();
    let bytes = raw::framed(body.as_bytes());
    let mut slow: Vec<UnixStream> = (0..300).map(|_| said(&house, &bytes[..1])).collect();
    let start = Instant::now();
    for byte in &bytes[1..] {
        slow.retain_mut(|stream| stream.write_all(&[*byte]).is_ok());
        if slow.is_empty() {
            break;
        }
        is_well(&house);
        thread::sleep(Duration::from_secs(1));
        assert!(start.elapsed() < Duration::from_secs(20), "{} are still held", slow.len());
    }
    assert!(slow.is_empty() && start.elapsed() > Duration::from_secs(9), "{:?}", start.elapsed());
}

#[test]
fn requests_that_stop_one_byte_short_cost_bounded_memory() {
    let house = House::new(POLICY);
    let length = 10 * 1024 * 1024_u32;
    let held: Vec<UnixStream> = thread::scope(|scope| {
        let writers: Vec<_> = (0..24)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = said(&house, &length.to_be_bytes());
                    let chunk = vec![b' '; 64 * 1024];
                    let mut left = length as usize - 1;
                    while left > 0 && stream.write_all(&chunk[..left.min(chunk.len())]).is_ok() {
                        left -= left.min(chunk.len());
                    }
                    stream
                })
            })
            .collect();
        for _ in 0..5 {
            is_well(&house);
        }
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    is_well(&house);
    drop(held);
}

#[test]
fn a_million_brackets_are_no_deep_water() {
    let house = House::new(POLICY);
    let deep = 1_000_000;
    for body in [
        "[".repeat(deep),
        "{\"a\":".repeat(deep),
        format!("{{\"command\":\"true\",\"cwd\":\"/\",\"x\":{}", "[".repeat(deep)),
        format!(
            "{{\"command\":\"true\",\"cwd\":\"/\",\"x\":{}{}}}",
            "[".repeat(deep),
            "]".repeat(deep)
        ),
    ] {
        let mut stream = said(&house, &raw::framed(body.as_bytes()));
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_ne!(rest.first(), Some(&0));
    }
    is_well(&house);
}

#[test]
fn millions_of_empty_arguments_cost_no_more_than_their_bytes() {
    let house = House::new(POLICY);
    let args = format!("\"\"{}", ",\"\"".repeat(3_400_000));
    let v1 = format!("{{\"command\":\"touch\",\"cwd\":\"/\",\"args\":[{args}]}}");
    let v1_env = format!("{{\"command\":\"touch\",\"cwd\":\"/\",\"env\":[{args}]}}");
    let argc = 4_000_000;
    let mut v2 = format!(
        "{{\"v\":2,\"id\":\"00112233445566778899aabbccddeeff\",\"argc\":{argc},\"envc\":0}}\0touch\0/\0"
    );
    v2.push_str(&"\0".repeat(argc));
    for body in [&v1, &v1_env, &v2] {
        let request = raw::framed(body.as_bytes());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut stream = said(&house, &request);
                    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                    let _ = stream.read(&mut [0; 16]);
                });
            }
        });
        is_well(&house);
    }
}

#[test]
fn large_requests_that_wait_for_a_person_cost_bounded_memory() {
    let house = House::new(POLICY);
    let large = "x".repeat(100_000);
    let mut waiting = Vec::new();
    for n in 0..40 {
        let number = n.to_string();
        let mut argv = vec!["touch", &number];
        argv.extend(std::iter::repeat_n(&large[..], 50));
        let request = raw::request(house.dir.path(), &argv, &raw::path());
        let mut stream = said(&house, &request);
        // It waits, or is told that there is no room for it.
        assert!(matches!(raw::ack(&mut stream), Some(1 | 2)));
        waiting.push(stream);
    }
    is_well(&house);
}

#[test]
fn large_requests_of_one_jail_that_wait_leave_room_for_another_jails() {
    let house = House::new(
        "jails: {greedy: {commands: [tee]}, modest: {commands: [tee]}}\n\
         rules: [{command: tee, action: ask, executor: local}]",
    );
    // It listens before it is ready, and answers after.
    house.json(&["status", "--json"]);
    let large = "x".repeat(100_000);
    let ask = |jail: &str, number: usize| {
        let number = number.to_string();
        let mut argv = vec!["tee", &number];
        argv.extend(std::iter::repeat_n(&large[..], 10));
        let mut stream = raw::connect(&jail_socket(&house, jail));
        let cwd = house.dir.path();
        stream.write_all(&raw::request(cwd, &argv, &raw::path())).unwrap();
        (raw::ack(&mut stream), stream)
    };
    let greedy: Vec<_> = (0..20).map(|n| ask("greedy", n)).collect();
    let waiting = greedy.iter().filter(|(ack, _)| *ack == Some(2)).count();
    assert!((2..20).contains(&waiting), "{waiting}");
    assert!(greedy.iter().all(|(ack, _)| matches!(ack, Some(1 | 2))));
    let (ack, modest) = ask("modest", 0);
    assert_eq!(ack, Some(2), "another jail finds room");
    drop(greedy);
    until("the room to be given back", || (ask("greedy", 21).0 == Some(2)).then_some(()));
    drop(modest);
}

#[test]
fn a_burst_of_one_jail_lets_another_jails_request_pass() {
    many_descriptors();
    let house = House::new(
        "jails: {greedy: {commands: [touch]}, modest: {commands: ['true']}}\n\
         rules: [{command: touch, action: ask}, {command: 'true', action: allow}]",
    );
    // It listens before it is ready, and answers after.
    house.json(&["status", "--json"]);
    let warden = rustix::process::Pid::from_child(&house.warden);
    let signal = |signal| rustix::process::kill_process(warden, signal).unwrap();
    let ask = |jail: &str, argv: &[&str]| {
        let mut stream = raw::connect(&jail_socket(&house, jail));
        stream.write_all(&raw::request(house.dir.path(), argv, &raw::path())).unwrap();
        stream
    };
    // What is known of the tool: looking it up for the first time is a worker's business, and takes no turn.
    assert_eq!(raw::ack(&mut ask("modest", &["true"])), Some(0));
    // All of them are there before the warden looks at the first.
    signal(rustix::process::Signal::STOP);
    let burst: Vec<UnixStream> =
        (0..500).map(|n| ask("greedy", &["touch", &n.to_string()])).collect();
    let mut good = ask("modest", &["true"]);
    signal(rustix::process::Signal::CONT);
    assert_eq!(raw::ack(&mut good), Some(0));
    until("all of them to wait", || {
        (house.json(&["status", "--json"])["pending"] == burst.len()).then_some(())
    });
    let requested = house.events("requested").into_iter();
    let jails: Vec<String> = requested.map(|r| r["jail"].as_str().unwrap().to_owned()).collect();
    let before = jails.iter().rposition(|jail| jail == "modest").unwrap() - 1;
    // Four turns in each round of the loop, and few rounds from its arrival to its turn.
    assert!(before <= 40, "{before} of {} were served before it", burst.len());
}

#[test]
fn two_thousand_requests_that_wait_keep_nobody_out() {
    many_descriptors();
    let house = House::new(POLICY);
    let waiting: Vec<UnixStream> = (0..2000)
        .map(|n| {
            let file = n.to_string();
            let request = raw::request(house.dir.path(), &["touch", &file], &raw::path());
            said(&house, &request)
        })
        .collect();
    until("all of them to wait", || {
        (house.json(&["status", "--json"])["pending"] == waiting.len()).then_some(())
    });
    is_well(&house);
}

fn limit_descriptors(house: &House, spare: usize) {
    let pid = house.warden.id();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let limit = format!("--nofile={}:", open + spare);
    let mut prlimit = Command::new("prlimit");
    assert!(prlimit.args(["--pid", &pid.to_string(), &limit]).status().unwrap().success());
}

#[test]
fn a_warden_whose_descriptors_are_used_up_by_half_open_connections_serves_on() {
    let house = House::new(POLICY);
    serves(&house);
    limit_descriptors(&house, 60);
    let held: Vec<UnixStream> = (0..300).map(|_| said(&house, &[0, 0, 0])).collect();
    is_well(&house);
    assert!(house.cli(&["status"]).status.success());
    drop(held);
    is_well(&house);
}

#[test]
fn a_warden_whose_descriptors_are_used_up_by_waiting_requests_serves_on() {
    let house = House::new(POLICY);
    serves(&house);
    limit_descriptors(&house, 60);
    let waiting: Vec<UnixStream> = (0..200)
        .map(|n| {
            let file = n.to_string();
            said(&house, &raw::request(house.dir.path(), &["touch", &file], &raw::path()))
        })
        .collect();
    is_well(&house);
    assert!(house.cli(&["queue"]).status.success());
    drop(waiting);
    is_well(&house);
}

#[test]
fn half_open_connections_to_the_control_socket_keep_nobody_out() {
    let house = House::new(POLICY);
    let held: Vec<UnixStream> = (0..600)
        .map(|n| {
            let mut stream = UnixStream::connect(house.control()).unwrap();
            let _ =
                stream.write_all(&b"POST /api/kill HTTP/1.1\r\ncontent-length: 9\r\n"[..n % 40]);
            stream
        })
        .collect();
    let start = Instant::now();
    assert!(house.cli(&["status"]).status.success());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    is_well(&house);
    drop(held);
}

/// The runner that is at work, and its tool.
fn at_work(house: &House) -> (u32, Vec<String>) {
    until("a tool under its runner", || {
        let runners = children(house.warden.id()).into_iter();
        let mut trees = runners.filter_map(|runner| {
            let runner: u32 = runner.parse().ok()?;
            Some((runner, children(runner))).filter(|(_, tools)| !tools.is_empty())
        });
        trees.next()
    })
}

#[test]
fn a_tool_that_prints_for_ever_to_a_version_1_client_that_never_reads() {
    let house = House::new(POLICY);
    let mut stream =
        said(&house, &raw::framed(header("yes", &[], house.dir.path()).to_string().as_bytes()));
    house.event("started");
    let mut first = [0; 64];
    stream.read_exact(&mut first).unwrap();
    let (runner, tool) = at_work(&house);
    // It has filled what may be filled when it writes no more.
    let written = || fs::read_to_string(format!("/proc/{}/io", tool[0])).unwrap();
    let mut before = written();
    until("the tool to be held up", || {
        thread::sleep(Duration::from_millis(100));
        let again = written();
        let stands = again == before;
        before = again;
        stands.then_some(())
    });
    is_well(&house);
    assert!(status_number(runner, "VmHWM") < 8 * 1024, "the runner keeps what nobody takes");
    drop(stream);
    all_gone(&tool);
    until("the end", || house.ledger().into_iter().find(|r| r["event"] == "finished"));
}

#[test]
fn a_tool_that_prints_for_ever_to_a_terminal_that_nobody_reads() {
    let house = House::new(POLICY);
    let terminal = Pty::spawn(&mut house.shimmed("yes"));
    house.event("started");
    let (runner, tool) = at_work(&house);
    thread::sleep(Duration::from_millis(500));
    is_well(&house);
    assert!(status_number(runner, "VmHWM") < 8 * 1024, "the runner keeps what nobody takes");
    assert!(status_number(terminal.child.id(), "VmHWM") < 8 * 1024, "the shim does");
    drop(terminal);
    all_gone(&tool);
}

#[test]
fn clients_that_never_read_their_answer_hold_nothing() {
    let house = House::new(POLICY);
    let body = json!({"command": "rm", "args": ["x"], "cwd": "/", "env": []}).to_string();
    let request = raw::framed(body.as_bytes());
    let held: Vec<UnixStream> = (0..500).map(|_| said(&house, &request)).collect();
    let open = || fs::read_dir(format!("/proc/{}/fd", house.warden.id())).unwrap().count();
    until("the warden to let go of them", || (open() < 100).then_some(()));
    is_well(&house);
    drop(held);
}
