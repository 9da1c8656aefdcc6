//! Hardened jails and containers: the prisoner runs nothing itself.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::prison::{PATH, inside};
use crate::support::engine::{self, Container, Spec};
use crate::support::{House, text};

/// Moves `wc` to where only root goes, and puts the shim into its place.
const LOCK: &str = "mkdir -p /clawrden/locked/usr/bin && chmod 700 /clawrden/locked && mv /usr/bin/wc \
                    /clawrden/locked/usr/bin/ && ln -s /clawrden/bin/clawrden-shim /usr/bin/wc";

fn house(jail: &str) -> House {
    house_at(jail, &engine::get().address)
}

fn house_at(jail: &str, engine: &str) -> House {
    let policy = format!(
        "default_action: allow\non_unparsed: allow\njails:\n  box: {{commands: [wc, id, head]{jail}}}\nrules:\n  \
         - {{command: head, action: ask}}\n"
    );
    let house = House::with(&policy, &["--engine", engine]);
    house.json(&["status", "--json"]);
    house
}

fn prisoner(
    house: &House,
    more: impl FnOnce(Spec<'static>) -> Spec<'static>,
) -> Container<'static> {
    let container = more(inside(house, engine::get().container("debian13"))).start();
    let path = format!("PATH={PATH}");
    let as_root = ["-u", "0", "-e", &path];
    assert!(container.exec_with(&as_root, &["/bin/sh", "-c", LOCK]).status().unwrap().success());
    container
}

fn command(container: &Container<'_>, words: &[&str]) -> Command {
    let path = format!("PATH=/clawrden/bin:{PATH}");
    container.exec_with(&["-u", "1000:1000", "-e", &path], words)
}

fn run(container: &Container<'_>, words: &[&str]) -> Output {
    command(container, words).output().unwrap()
}

#[track_caller]
fn only_what_is_locked_runs(house: &House, container: &Container<'_>) {
    let output = run(container, &["wc", "-c", "/dev/null"]);
    assert_eq!(text(&output.stdout), "0 /dev/null\n", "{output:?}");
    for open in [&["id"][..], &["head", "/dev/null"]] {
        // Nobody is asked for what could not run.
        let output = run(container, open);
        assert_eq!(output.status.code(), Some(126), "{output:?}");
        assert!(text(&output.stderr).contains("is not locked away"), "{output:?}");
    }
    let started = house.events("started");
    assert_eq!((started.len(), &started[0]["method"]), (1, &"exec".into()));
}

#[test]
fn in_a_hardened_jail_only_what_is_locked_away_runs_in_the_prisoner() {
    let house = house(", hardened: true");
    only_what_is_locked_runs(&house, &prisoner(&house, |spec| spec));
}

#[test]
fn a_container_that_says_that_it_is_hardened_is_taken_at_its_word() {
    let house = house("");
    let open = prisoner(&house, |spec| spec);
    assert!(run(&open, &["id"]).status.success());
    drop(open);
    let other = self::house("");
    only_what_is_locked_runs(
        &other,
        &prisoner(&other, |spec| spec.label("clawrden.mode", "hardened")),
    );
}

#[test]
fn a_jail_that_is_hardened_while_a_request_waits_hands_nothing_off_for_an_approval() {
    let house = house("");
    let container = prisoner(&house, |spec| spec);
    let mut asking = command(&container, &["head", "-c", "0", "/dev/null"]);
    let child = asking.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let entry = house.pending();
    let policy = house.path("policy.yaml");
    let text_of = fs::read_to_string(&policy).unwrap();
    let hardened = text_of.replace("head]}", "head], hardened: true}");
    assert_ne!(hardened, text_of);
    fs::write(&policy, hardened).unwrap();
    assert!(house.cli(&["policy", "reload"]).status.success());
    assert!(house.cli(&["approve", entry["short"].as_str().unwrap()]).status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{output:?}");
    assert!(text(&output.stderr).contains("is not locked away"), "{output:?}");
    assert!(house.ledger().iter().all(|one| one["event"] != "started"));
}

#[test]
fn a_hardened_container_stays_so_for_a_warden_that_comes_back_without_its_engine() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("engine.sock");
    let socket = engine::get().address.strip_prefix("unix://").unwrap();
    std::os::unix::fs::symlink(socket, &link).unwrap();
    let mut house = house_at("", &format!("unix://{}", link.display()));
    let hardened = prisoner(&house, |spec| spec.label("clawrden.mode", "hardened"));
    let open = prisoner(&house, |spec| spec);
    let try_both = || {
        let output = run(&hardened, &["id"]);
        assert_eq!(output.status.code(), Some(126), "{output:?}");
        assert!(text(&output.stderr).contains("is not locked away"), "{output:?}");
        let output = run(&open, &["id"]);
        assert!(output.status.success(), "{output:?}");
    };
    try_both();
    fs::remove_file(&link).unwrap();
    house.crash();
    house.restart();
    house.json(&["status", "--json"]);
    try_both();
}

#[test]
fn a_hardened_container_that_asks_before_its_engine_is_heard_again_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("engine.sock");
    let house = house_at("", &format!("unix://{}", link.display()));
    let hardened = prisoner(&house, |spec| spec.label("clawrden.mode", "hardened"));
    let open = prisoner(&house, |spec| spec);
    let socket = engine::get().address.strip_prefix("unix://").unwrap();
    std::os::unix::fs::symlink(socket, &link).unwrap();
    let output = run(&hardened, &["id"]);
    assert_eq!(output.status.code(), Some(126), "{output:?}");
    assert!(text(&output.stderr).contains("is not locked away"), "{output:?}");
    assert!(run(&open, &["id"]).status.success());
}
