//! Event streams by both doors: who comes back hears what it missed, and who does not read is let go.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use clawrden_warden::control::Limits;
use clawrden_warden::events::{MAX_EVENTS, MAX_LISTENERS};
use support::{Served, token, with_headers};

/// A connection by one of the two doors.
trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// By which door.
#[derive(Debug, Clone, Copy)]
enum Door {
    Socket,
    Tcp,
}

const DOORS: [Door; 2] = [Door::Socket, Door::Tcp];

/// A server, and a token for the door that wants one.
struct Place {
    served: Served,
    token: String,
}

impl Place {
    fn new(limits: Limits) -> Self {
        let served = Served::start(limits);
        let token = token(&served, r#"{"role":"viewer"}"#);
        Self { served, token }
    }

    /// A stream of events, asked for with these bytes of headers besides; and the head of its answer.
    fn listen(&self, door: Door, headers: &[u8]) -> (Box<dyn Wire>, String) {
        let patience = Some(Duration::from_secs(30));
        let mut stream: Box<dyn Wire> = match door {
            Door::Socket => {
                let stream = UnixStream::connect(&self.served.path).unwrap();
                stream.set_read_timeout(patience).unwrap();
                Box::new(stream)
            }
            Door::Tcp => {
                let stream = TcpStream::connect(self.served.address).unwrap();
                stream.set_read_timeout(patience).unwrap();
                Box::new(stream)
            }
        };
        let own = format!("authorization: Bearer {}\r\n", self.token);
        let own = if matches!(door, Door::Tcp) { own } else { String::new() };
        let asked = format!("GET /api/events HTTP/1.1\r\nhost: localhost\r\n{own}");
        stream.write_all(&[asked.as_bytes(), headers, b"\r\n"].concat()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(char::from(byte[0]));
        }
        (stream, head)
    }

    /// The same of one who has heard `last`, and what is said first.
    fn resume(&self, door: Door, last: &[u8]) -> (Box<dyn Wire>, Heard) {
        let header = [&b"last-event-id: "[..], last, b"\r\n"].concat();
        let (mut stream, head) = self.listen(door, &header);
        assert!(head.starts_with("HTTP/1.1 200"), "{door:?}: {head}");
        let first = hear(&mut *stream, 1).remove(0);
        (stream, first)
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    id: String,
    event: String,
    data: String,
}

/// Reads so many events, whatever pieces they come in.
fn hear(stream: &mut dyn Wire, count: usize) -> Vec<Heard> {
    let (mut all, mut line, mut heard) = (Vec::new(), Vec::new(), None::<Heard>);
    let mut byte = [0];
    while all.len() < count {
        stream.read_exact(&mut byte).unwrap();
        if byte[0] != b'\n' {
            line.push(byte[0]);
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut line)).unwrap();
        let empty = || Heard { id: String::new(), event: String::new(), data: String::new() };
        match text.split_once(": ") {
            Some(("id", id)) => heard.get_or_insert_with(empty).id = id.to_owned(),
            Some(("event", event)) => heard.get_or_insert_with(empty).event = event.to_owned(),
            Some(("data", data)) => heard.get_or_insert_with(empty).data = data.to_owned(),
            _ if text.is_empty() => all.extend(heard.take()),
            // The sizes of chunks, and ends of lines around them.
            _ => {}
        }
    }
    all
}

#[test]
fn who_comes_back_hears_what_it_missed_once_and_in_its_order_by_either_door() {
    let place = Place::new(Limits::default());
    for door in DOORS {
        let (mut first, _) = place.listen(door, b"");
        let hello = hear(&mut *first, 1).remove(0);
        assert_eq!(hello.event, "hello", "{door:?}");
        let say = |numbers: std::ops::Range<usize>| {
            for number in numbers {
                place.served.alarm_of(&format!("number {number}."));
            }
        };
        say(0..4);
        let heard = hear(&mut *first, 4);
        drop(first);
        say(4..1000);
        // From any that was heard, and from the beginning that was told.
        for (from, id) in [(0, &hello.id), (2, &heard[1].id), (4, &heard[3].id)] {
            let (mut again, first) = place.resume(door, id.as_bytes());
            assert_eq!((&first.event[..], &first.id), ("hello", id), "{door:?}");
            let missed = hear(&mut *again, 1000 - from);
            for (number, missed) in (from..).zip(&missed) {
                assert!(missed.data.contains(&format!("number {number}.")), "{door:?}: {missed:?}");
            }
            // What comes then is heard behind it, once.
            place.served.alarm_of("and then");
            assert!(hear(&mut *again, 1)[0].data.contains("and then"), "{door:?}");
        }
    }
}

#[test]
fn who_has_heard_what_is_not_kept_any_more_or_never_was_is_told_to_read_everything_anew() {
    let place = Place::new(Limits::default());
    for door in DOORS {
        let (mut listener, _) = place.listen(door, b"");
        let hello = hear(&mut *listener, 1).remove(0);
        let epoch = hello.id.split_once('-').unwrap().0.to_owned();
        let long = "9".repeat(4000);
        for junk in [
            "",
            "-",
            "x",
            "1-1",
            "0-0",
            "null",
            "../../etc/passwd",
            &format!("{epoch}-"),
            &format!("{epoch}--1"),
            &format!("{epoch}-1000000"),
            &format!("{epoch}-18446744073709551616"),
            &format!("{epoch}-{long}"),
            &format!("{epoch}0-0"),
        ] {
            let (_, first) = place.resume(door, junk.as_bytes());
            assert_eq!(first.event, "reset", "{door:?} {junk:?}");
        }
        // Bytes that are no text, and an id that is there twice: which one was heard cannot be told.
        let (_, first) = place.resume(door, b"\xff\xfe");
        assert_eq!(first.event, "reset", "{door:?}");
        let twice = format!("{}\r\nlast-event-id: {}", hello.id, hello.id);
        let (_, first) = place.resume(door, twice.as_bytes());
        assert_eq!(first.event, "reset", "{door:?}");
        for _ in 0..=MAX_EVENTS {
            place.served.alarm_of("one more");
        }
        let (mut late, first) = place.resume(door, hello.id.as_bytes());
        assert_eq!(first.event, "reset", "{door:?}: too old");
        // From there on it misses nothing.
        let (_, again) = place.resume(door, first.id.as_bytes());
        assert_eq!(again.event, "hello", "{door:?}");
        place.served.alarm_of("behind it");
        assert!(hear(&mut *late, 1)[0].data.contains("behind it"), "{door:?}");
    }
}

#[test]
fn who_does_not_read_is_let_go_and_gives_its_place_back() {
    let place = Place::new(Limits { write: Duration::from_secs(1), ..Limits::default() });
    let slow: Vec<_> = (0..MAX_LISTENERS).map(|_| place.listen(Door::Socket, b"")).collect();
    for (_, head) in &slow {
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    for door in DOORS {
        let (_, head) = place.listen(door, b"");
        assert!(head.starts_with("HTTP/1.1 429"), "{door:?}: {head}");
    }
    // More than any of their connections holds.
    for _ in 0..2000 {
        place.served.alarm_of(&"x".repeat(2000));
    }
    let begin = Instant::now();
    let mut others = Vec::new();
    while others.len() < MAX_LISTENERS {
        let (stream, head) = place.listen(DOORS[others.len() % 2], b"");
        match head.starts_with("HTTP/1.1 200") {
            true => others.push(stream),
            false => std::thread::sleep(Duration::from_millis(20)),
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "room for {} others", others.len());
    }
    // So each of them has gone; what was on its way to them is all that they get.
    for (mut stream, _) in slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 2_000_000, "{}", rest.len());
    }
}

#[test]
fn a_revoked_token_resumes_nothing() {
    let place = Place::new(Limits::default());
    let (mut stream, _) = place.listen(Door::Tcp, b"");
    let hello = hear(&mut *stream, 1).remove(0);
    let id = place.token.split('_').nth(1).unwrap();
    let ended = support::ask(&place.served.path, "DELETE", &format!("/api/tokens/{id}"), "");
    assert_eq!(ended.0, 200);
    place.served.alarm_of("what it is not to hear");
    let header =
        format!("authorization: Bearer {}\r\nlast-event-id: {}\r\n", place.token, hello.id);
    let asked = with_headers("GET", "/api/events", &header, "");
    let (head, body) = support::over_tcp(&place.served, &asked);
    assert!(head.starts_with("HTTP/1.1 401") && !body.contains("not to hear"), "{head}{body}");
}
