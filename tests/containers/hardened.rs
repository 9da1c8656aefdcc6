//! Hardened jails and containers: the prisoner runs nothing itself.

use std::process::Output;

use crate::prison::{PATH, inside};
use crate::support::engine::{self, Container, Spec};
use crate::support::{House, text};

/// Moves `wc` to where only root goes, and puts the shim into its place.
const LOCK: &str = "mkdir -p /clawrden/locked/usr/bin && chmod 700 /clawrden/locked && mv /usr/bin/wc \
                    /clawrden/locked/usr/bin/ && ln -s /clawrden/bin/clawrden-shim /usr/bin/wc";

fn house(jail: &str) -> House {
    let policy = format!(
        "default_action: allow\non_unparsed: allow\njails:\n  box: {{commands: [wc, id, head]{jail}}}\nrules:\n  \
         - {{command: head, action: ask}}\n"
    );
    let house = House::with(&policy, &["--engine", &engine::get().address]);
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

fn run(container: &Container<'_>, words: &[&str]) -> Output {
    let path = format!("PATH=/clawrden/bin:{PATH}");
    container.exec_with(&["-u", "1000:1000", "-e", &path], words).output().unwrap()
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
    let started: Vec<_> =
        house.ledger().into_iter().filter(|one| one["event"] == "started").collect();
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
