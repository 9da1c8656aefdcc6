//! Ten thousand who would all hear everything for ever: as many as there is room for do, the others are told no, everybody
//! else is served, and what they took comes back.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::door::{place, token};
use crate::serves;
use crate::support::other::status_number;
use crate::support::{House, until};

const POLICY: &str = "
default_action: deny
rules:
  - {command: 'true', action: allow}
";

/// Who asks for a stream.
const CROWD: usize = 10_000;

/// Those that there is room for, as docs/api.md says.
const ROOM: usize = 256;

/// Connections of those who ask and go.
const SEATS: usize = 64;

/// What the warden may take for all of them beside its own code, in KiB.
const MEMORY: u64 = 48 * 1024;

/// One who asks by either door.
trait Wire: Read + Write {
    fn impatient(&self);
}

impl Wire for UnixStream {
    fn impatient(&self) {
        self.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    }
}

impl Wire for TcpStream {
    fn impatient(&self) {
        self.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    }
}

/// Asks for events, and gives the status and the connection, on which more may come.
fn listen<W: Wire>(mut stream: W, headers: &str) -> (u16, W) {
    stream.impatient();
    let head = format!("GET /api/events HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).unwrap();
    let code = std::str::from_utf8(&begin[9..]).unwrap().parse().unwrap();
    (code, stream)
}

fn descriptors(house: &House) -> usize {
    fs::read_dir(format!("/proc/{}/fd", house.warden.id())).unwrap().count()
}

/// Lets the crowd come by one door, and go.
fn ten_thousand<W: Wire>(house: &House, door: &str, connect: impl Fn() -> W, headers: &str) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    serves(house);
    house.json(&["status", "--json"]);
    let before = descriptors(house);
    let begin = Instant::now();
    let (mut hear, mut refused) = (Vec::new(), Vec::new());
    for n in 0..CROWD {
        let (code, stream) = listen(connect(), headers);
        match code {
            200 => hear.push(stream),
            // Held open by those who asked: whoever is told no is not gone.
            429 => refused.push(stream),
            other => panic!("{door}: {other}"),
        }
        if n % 2500 == 2499 {
            serves(house);
            house.json(&["queue", "--json"]);
        }
    }
    assert_eq!((hear.len(), refused.len()), (ROOM, CROWD - ROOM), "{door}");
    let took = begin.elapsed();
    let of = |field| status_number(house.warden.id(), field);
    let peak = of("VmHWM") - of("RssFile");
    let most = descriptors(house);
    eprintln!(
        "{door}: {CROWD} asked within {took:.1?}; the warden had {peak} KiB and {most} descriptors at most"
    );
    assert!(peak < MEMORY, "{door}: the warden took {peak} KiB");
    // A connection, and at the socket whose it is. Beside those that stand there are 64 seats.
    let bound = before + 2 * (ROOM + SEATS) + 20;
    assert!(most < bound, "{door}: {most} descriptors, {before} before");
    // They hear: something happens that everybody is told.
    assert!(house.cli(&["kill", "--pause"]).status.success());
    assert!(house.cli(&["resume"]).status.success());
    for stream in &mut hear {
        let (mut heard, mut buffer) = (String::new(), [0; 4096]);
        while !heard.contains("event: resumed") {
            let n = stream.read(&mut buffer).unwrap();
            assert_ne!(n, 0, "{door}: {heard}");
            heard.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        assert!(heard.contains("event: stopped"), "{door}: {heard}");
    }
    serves(house);
    drop((hear, refused));
    until("what they took to come back", || (descriptors(house) <= before + 8).then_some(()));
    let (code, _) = listen(connect(), headers);
    assert_eq!(code, 200, "{door}: there is room again");
}

#[test]
fn ten_thousand_event_streams_at_the_control_socket_keep_nobody_out() {
    let house = House::new(POLICY);
    ten_thousand(&house, "the socket", || UnixStream::connect(house.control()).unwrap(), "");
}

#[test]
fn ten_thousand_event_streams_over_tcp_keep_nobody_out() {
    let house = House::with(POLICY, &["--api", "127.0.0.1:0"]);
    let (url, _) = place(&house);
    let address = url.strip_prefix("http://").unwrap();
    let (secret, _) = token(&house, "alice", &["--role", "viewer"]);
    let bearer = format!("authorization: Bearer {secret}\r\n");
    ten_thousand(&house, "TCP", || TcpStream::connect(address).unwrap(), &bearer);
}
