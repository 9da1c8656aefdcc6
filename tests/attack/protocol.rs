//! Noise on the intercom: thousands of broken requests, and the warden serves on.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use serde_json::json;

use crate::support::client::header;
use crate::support::other::status_number;
use crate::support::{House, raw};
use crate::{nothing_started, serves};

/// Nothing that a mutation becomes may run, but for what says nothing.
const POLICY: &str = "
default_action: deny
rules:
  - {command: 'true', action: allow}
";

const ROUNDS: u64 = 3000;

/// Numbers that are the same in every run (xorshift64*, Vigna 2016).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        let favourites = [0, 1, 2, 4, 34, 92, 123, 125, 127, 128, 255];
        match self.below(3) {
            0 => favourites[self.below(favourites.len())],
            _ => u8::try_from(self.roll() & 0xff).unwrap(),
        }
    }

    /// Changes a request at one to four places. The length before it is mostly made to fit again.
    fn mutate(&mut self, request: &[u8]) -> Vec<u8> {
        let mut body = request[4..].to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(body.len());
            match self.below(7) {
                0 if at < body.len() => body[at] = self.byte(),
                1 => body.insert(at, self.byte()),
                2 if at < body.len() => drop(body.remove(at)),
                3 => body.truncate(at),
                4 => {
                    let part = body[at..body.len().min(at + 20)].to_vec();
                    let to = self.below(body.len());
                    body.splice(to..to, part);
                }
                5 => {
                    let number = self.roll().to_string();
                    body.splice(at..at, number.into_bytes());
                }
                _ => body.extend((0..self.below(40)).map(|n| n.to_le_bytes()[0])),
            }
        }
        let mut bytes = raw::framed(&body);
        if self.below(8) == 0 {
            bytes[self.below(4)] = self.byte();
        }
        bytes
    }
}

#[test]
fn three_thousand_broken_requests_change_nothing() {
    let house = House::new(POLICY);
    let dir = house.dir.path();
    let v1 = header("touch", &["mark", "é"], dir).to_string();
    let seeds = [
        raw::framed(v1.as_bytes()),
        raw::request(dir, &["touch", "mark"], &raw::path()),
        raw::framed(json!({"v": 2, "wait": "7f3a"}).to_string().as_bytes()),
    ];
    let mut dice = Dice(0x1995_0604);
    for round in 0..ROUNDS {
        let seed = &seeds[usize::try_from(round % 3).unwrap()];
        let bytes = dice.mutate(seed);
        let mut stream = raw::connect(&house.socket());
        // The warden may have closed it already: what came in was enough to refuse it.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_ne!(answer.first(), Some(&0), "round {round} was allowed: {bytes:?}");
    }
    nothing_started(&house);
    assert!(!house.path("mark").exists());
    serves(&house);
    clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).unwrap();
    assert!(status_number(house.warden.id(), "VmHWM") < 64 * 1024);
}

#[test]
fn frames_that_nobody_expects_are_the_end_of_a_waiting_client_and_of_nothing_else() {
    let house = House::new(&format!("{POLICY}  - {{command: touch, action: ask}}\n"));
    let mut dice = Dice(7);
    let request = raw::request(house.dir.path(), &["touch", "mark"], &raw::path());
    for _ in 0..300 {
        let mut stream = raw::connect(&house.socket());
        stream.write_all(&request).unwrap();
        assert_eq!(raw::ack(&mut stream), Some(2));
        let length = dice.below(64);
        let noise: Vec<u8> = (0..length).map(|_| dice.byte()).collect();
        let _ = stream.write_all(&noise);
    }
    nothing_started(&house);
    serves(&house);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_a_request() {
    let house = House::new("rules: [{command: echo, action: allow, executor: local}]");
    let body = header("echo", &["hi"], house.dir.path()).to_string();
    let mut stream = raw::connect(&house.socket());
    for byte in raw::framed(body.as_bytes()) {
        stream.write_all(&[byte]).unwrap();
    }
    let said = raw::finish(&mut stream);
    assert_eq!(said.frames, [(1, b"hi\n".to_vec()), (3, vec![0])]);
    drop(stream);
    // And one that is followed by a second one is cancelled by what is no frame, not served twice.
    let mut stream = raw::connect(&house.socket());
    let twice = [raw::framed(body.as_bytes()), raw::framed(body.as_bytes())].concat();
    stream.write_all(&twice).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = raw::finish(&mut stream);
    assert_eq!(house.events("requested").len(), 2);
}
