//! The policy's file itself: somebody else's, open to others, or no file at all, at the start and under a warden that
//! serves. What holds so far goes on holding, nobody waits, and the reason is told.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::other::{UID, is_root};
use crate::support::{House, clawrden, text, until};

const DENY: &str = "rules: [{command: echo, action: deny, reason: 'as it was'}]";
const ALLOW: &str = "rules: [{command: echo, action: allow}]";

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn replace(house: &House, with: &Path) {
    fs::rename(with, house.path("policy.yaml")).unwrap();
}

/// A reload is refused with this in its reason, soon, and what held goes on to hold.
fn refused(house: &House, why: &str) {
    let start = Instant::now();
    let asked = house.cli(&["policy", "reload"]);
    let said = text(&asked.stderr);
    assert_eq!(asked.status.code(), Some(2), "{why}: {}", text(&asked.stdout));
    assert!(said.contains(why) && said.contains("stays in force"), "{why}: {said}");
    assert!(start.elapsed() < Duration::from_secs(10), "{why} took {:?}", start.elapsed());
    let output = house.shimmed("echo").arg("hole").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(126), String::new()));
    assert!(text(&output.stderr).contains("as it was"), "{}", text(&output.stderr));
    house.record(why, |record| {
        record["event"] == "policy_refused"
            && record["error"].as_str().is_some_and(|error| error.contains(why))
    });
}

#[test]
fn whatever_is_put_in_the_policys_place_keeps_the_last_good_one_and_nobody_waiting() {
    let house = House::new(DENY);
    let made = Command::new("mkfifo").arg(house.path("pipe")).status().unwrap();
    assert!(made.success());
    replace(&house, &house.path("pipe"));
    refused(&house, "not a regular file");
    symlink("/dev/zero", house.path("link")).unwrap();
    replace(&house, &house.path("link"));
    refused(&house, "not a regular file");
    let _listener = UnixListener::bind(house.path("socket")).unwrap();
    replace(&house, &house.path("socket"));
    refused(&house, "not a regular file");
    fs::File::create(house.path("large")).unwrap().set_len(1 << 40).unwrap();
    replace(&house, &house.path("large"));
    refused(&house, "more than");
    symlink("nowhere", house.path("link")).unwrap();
    replace(&house, &house.path("link"));
    refused(&house, "No such file");
    // After all that a good one is taken.
    fs::write(house.path("good"), ALLOW).unwrap();
    replace(&house, &house.path("good"));
    assert!(house.cli(&["policy", "reload"]).status.success());
    assert_eq!(text(&house.shimmed("echo").arg("hi").output().unwrap().stdout), "hi\n");
}

#[test]
fn a_policy_that_others_could_have_written_is_not_taken_up() {
    let house = House::new(DENY);
    let file = house.path("policy.yaml");
    let write = |bits: u32| {
        fs::write(house.path("new"), ALLOW).unwrap();
        mode(&house.path("new"), bits);
        replace(&house, &house.path("new"));
    };
    write(0o666);
    refused(&house, "mode 0666");
    write(0o644);
    mode(house.dir.path(), 0o777);
    refused(&house, "mode 0777");
    mode(house.dir.path(), 0o700);
    // By a link, every folder on the way counts.
    let open = house.path("open");
    fs::create_dir(&open).unwrap();
    mode(&open, 0o777);
    fs::rename(&file, open.join("real.yaml")).unwrap();
    symlink(open.join("real.yaml"), &file).unwrap();
    refused(&house, "mode 0777");
    if is_root() {
        mode(&open, 0o755);
        chown(open.join("real.yaml"), Some(UID), None).unwrap();
        refused(&house, "belongs to uid");
        // A group of several may write.
        chown(open.join("real.yaml"), Some(0), Some(UID)).unwrap();
        mode(&open.join("real.yaml"), 0o664);
        refused(&house, "mode 0664");
        chown(open.join("real.yaml"), None, Some(0)).unwrap();
        mode(&open.join("real.yaml"), 0o664);
    } else {
        mode(&open, 0o755);
    }
    assert!(house.cli(&["policy", "reload"]).status.success());
    assert_eq!(text(&house.shimmed("echo").arg("hi").output().unwrap().stdout), "hi\n");
}

/// What a warden says instead of starting with the policy in this folder.
fn refusal(dir: &Path) -> String {
    let at = |name: &str| dir.join(name);
    let mut command = clawrden();
    command.arg("warden").arg("--policy").arg(at("policy.yaml"));
    command.arg("--audit").arg(at("ledger.jsonl")).arg("--socket").arg(at("warden.sock"));
    command.arg("--control").arg(at("control.sock")).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let status = until("the warden to refuse", || child.try_wait().unwrap());
    let said = text(&child.wait_with_output().unwrap().stderr);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(!at("warden.sock").exists() && !at("ledger.jsonl").exists());
    assert!(said.contains("policy.yaml"), "{said}");
    said
}

#[test]
fn a_warden_does_not_start_with_a_policy_that_others_could_have_written_or_that_is_being_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.yaml");
    fs::write(&file, ALLOW).unwrap();
    mode(&file, 0o646);
    assert!(refusal(dir.path()).contains("chmod go-w"));
    mode(&file, 0o644);
    let _writer = fs::File::options().append(true).open(&file).unwrap();
    assert!(refusal(dir.path()).contains("open for writing"));
}
