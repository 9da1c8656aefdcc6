//! A policy that changes while commands are asked for: no half of one ever decides.

use std::fs::{self, File};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{House, text, until};

/// Each beginning of it that ends with a line is a policy as well, and nearly all allow `echo`.
fn policy(n: usize) -> String {
    let mut text =
        format!("# {n}\ndefault_action: allow\nrules:\n  - {{command: ls, action: deny}}\n");
    for other in 0..40 {
        text.push_str(&format!("  - {{command: other-{other}, action: deny}}\n"));
    }
    text.push_str("  - {command: echo, action: deny, reason: whole}\n");
    text
}

fn is_denied(house: &House) {
    let output = house.shimmed("echo").arg("hole").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(126), String::new()));
    assert!(text(&output.stderr).contains("whole"), "{}", text(&output.stderr));
}

fn fingerprint(house: &House) -> String {
    let status = house.json(&["status", "--json"]);
    status["policy"]["fingerprint"].as_str().unwrap().to_owned()
}

fn watched() -> House {
    let house = House::new(&policy(0));
    until("the watches", || {
        (house.json(&["status", "--json"])["policy"]["watched"] == true).then_some(())
    });
    house
}

#[test]
fn a_policy_that_is_written_line_by_line_never_allows_what_it_denies() {
    let house = watched();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=4 {
                let mut file = File::create(house.path("policy.yaml")).unwrap();
                for line in policy(n).lines() {
                    writeln!(file, "{line}").unwrap();
                    file.flush().unwrap();
                    // Longer than the quiet that a file is read after, at one place in each writing.
                    let pause = if line.contains(&format!("other-{n}0,")) { 400 } else { 2 };
                    std::thread::sleep(std::time::Duration::from_millis(pause));
                }
            }
            is_over.store(true, Ordering::Release);
        });
        while !is_over.load(Ordering::Acquire) {
            is_denied(&house);
        }
    });
    let before = fingerprint(&house);
    fs::write(house.path("policy.yaml"), policy(9)).unwrap();
    until("the last one", || (fingerprint(&house) != before).then_some(()));
    is_denied(&house);
}

#[test]
fn a_file_that_is_emptied_cut_or_taken_away_never_allows_what_it_denied() {
    let house = watched();
    let whole = policy(0);
    let file = house.path("policy.yaml");
    let kept = |what: &str| {
        let asked = house.cli(&["policy", "reload"]);
        assert_eq!(asked.status.code(), Some(2), "{what}: {}", text(&asked.stdout));
        is_denied(&house);
    };
    fs::remove_file(&file).unwrap();
    kept("deleted");
    fs::create_dir(&file).unwrap();
    kept("a folder");
    fs::remove_dir(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 9]).unwrap();
    kept("cut in the middle of a rule");
    fs::write(&file, [whole.as_bytes(), b"\xff"].concat()).unwrap();
    kept("no text");
    fs::write(&file, whole.replace("deny", "dény")).unwrap();
    kept("misspelled");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("policy.yaml", &file).unwrap();
    kept("a link to itself");
}

#[test]
fn whoever_keeps_the_policy_open_for_writing_is_named_as_the_reason_and_gains_nothing() {
    let house = watched();
    let file = File::options().append(true).open(house.path("policy.yaml")).unwrap();
    fs::write(house.path("new"), policy(1)).unwrap();
    // A file that is only read is no hindrance.
    let _reader = File::open(house.path("new")).unwrap();
    let before = fingerprint(&house);
    let asked = house.cli(&["policy", "reload"]);
    assert_eq!(asked.status.code(), Some(2), "{}", text(&asked.stdout));
    let shown = until("the reason", || {
        let error = house.json(&["status", "--json"])["policy"]["error"].clone();
        error["message"].as_str().map(str::to_owned)
    });
    assert!(shown.contains("open for writing"), "{shown}");
    is_denied(&house);
    fs::rename(house.path("new"), house.path("policy.yaml")).unwrap();
    until("the renamed one", || (fingerprint(&house) != before).then_some(()));
    is_denied(&house);
    drop(file);
}
