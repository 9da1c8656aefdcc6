//! Policies that are swapped under load: each request is judged by one of them, whole, and never by none.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{House, raw, until};

/// Both deny `echo` where `WEIGHS` was changed. Whoever takes the names of variables from the first and the rules from
/// the second allows it, and so does whoever has the second without its first line.
const FIRST: &str = "rules: [{command: echo, action: deny}, {command: 'true', action: allow}]";
const SECOND: &str = "env: {dangerous: [WEIGHS]}\nrules: [{command: echo, action: allow, dangerous_env: deny}, \
                      {command: 'true', action: allow}]";

const SWAPS: usize = 400;

/// Points `..data` at `to`, as Kubernetes does for a config map.
fn swap(dir: &Path, to: &str) {
    symlink(to, dir.join("..tmp")).unwrap();
    fs::rename(dir.join("..tmp"), dir.join("..data")).unwrap();
}

/// Has the policy read anew. Whether another one came into force.
fn reload(control: &Path) -> bool {
    let mut stream = UnixStream::connect(control).unwrap();
    let request = "POST /api/policy/reload HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: \
                   application/json\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.contains("\"changed\":true")
}

#[test]
fn a_request_is_judged_by_one_policy_and_no_mixture_of_two() {
    let house = House::new(FIRST);
    let dir = house.dir.path();
    for (name, text) in [("..1", FIRST), ("..2", SECOND)] {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("policy.yaml"), text).unwrap();
    }
    swap(dir, "..1");
    symlink("..data/policy.yaml", dir.join("link")).unwrap();
    fs::rename(dir.join("link"), dir.join("policy.yaml")).unwrap();
    let (is_over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let env = [raw::path(), vec!["WEIGHS=1".to_owned()]].concat();
    let denied = raw::request(dir, &["echo", "mixture"], &env);
    let changed = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    let said = raw::ask(&house.socket(), &denied);
                    assert_eq!(said.acks, [1], "{said:?}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                assert!(house.shimmed("true").status().unwrap().success(), "no policy at all");
            }
        });
        let changed = (0..SWAPS).filter(|n| {
            swap(dir, ["..2", "..1"][n % 2]);
            reload(&house.control())
        });
        let changed = changed.count();
        is_over.store(true, Ordering::Release);
        changed
    });
    // The watches may have been faster here and there.
    assert!(changed > SWAPS / 2 && asked.load(Ordering::Relaxed) > SWAPS, "{changed} {asked:?}");
    let ledger = house.ledger();
    let echo = ledger.iter().filter(|r| r["event"] == "decided" && r["decision"] == "allow");
    let started = ledger.iter().filter(|record| record["event"] == "started");
    assert_eq!(echo.count(), started.count());
    until("the ledger to be whole", || {
        clawrden_warden::ledger::verify(&house.path("ledger.jsonl")).ok()
    });
}
