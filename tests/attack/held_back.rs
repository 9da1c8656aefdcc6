//! A prisoner of the warden's own user can write the policy. It sets itself free with nothing of that: what it widens
//! does not hold for it, whichever door it goes to.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{House, clawrden, text, until};

const BEFORE: &str = "rules: [{command: echo, action: deny}]";
/// What a prisoner would like better.
const AFTER: &str = "jails: {free: {commands: [echo]}}\nrules: [{command: echo, action: allow}]";

/// A run of `script`, which is let go by a line on its standard input.
fn run(house: &House, script: &str) -> Child {
    let mut command = clawrden();
    command.arg("--control").arg(house.control());
    command.args(["run", "--quiet", "--tools", "echo,true", "--", "sh", "-c", script]);
    command.env_remove("CLAWRDEN_SOCKET").current_dir(house.dir.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn status(house: &House) -> Value {
    house.json(&["status", "--json"])
}

fn jail(house: &House, name: &str) -> Value {
    until(name, || {
        let status = status(house);
        status["jails"].as_array()?.iter().find(|jail| jail["name"] == name).cloned()
    })
}

fn go(child: &mut Child) {
    child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
}

#[test]
fn a_prisoner_that_rewrites_the_policy_is_judged_by_the_one_before_at_every_door() {
    let house = House::new(BEFORE);
    until("the watches", || (status(&house)["policy"]["watched"] == true).then_some(()));
    let before = status(&house)["policy"]["fingerprint"].clone();
    fs::write(house.path("wish"), AFTER).unwrap();
    // It writes the policy, and then tries its own door, the default one, that of a jail which it has thought out, and
    // that of the run which came after it; each also as a daemon that has left its session and its parent.
    let script = "cp wish policy.yaml; read go; for socket in \"$CLAWRDEN_SOCKET\" $(cat doors); do
        CLAWRDEN_SOCKET=$socket env -u BASH_ENV -u ZDOTDIR echo free
        daemon=$( (CLAWRDEN_SOCKET=$socket setsid sh -c 'env -u BASH_ENV -u ZDOTDIR echo free' &) )
        test -z \"$daemon\" || exit 9
    done";
    let mut child = run(&house, script);
    until("another policy", || (status(&house)["policy"]["fingerprint"] != before).then_some(()));
    // Another run gets the policy that is in force.
    let mut second = run(&house, "read go; env echo wide");
    let names = ["default", "free", "run-2"];
    let sockets = names.map(|name| jail(&house, name)["socket"].as_str().unwrap().to_owned());
    fs::write(house.path("doors"), sockets.join("\n")).unwrap();
    assert_eq!(jail(&house, "run")["policies_held_back"], 1);
    go(&mut child);
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), String::new()), "{said}");
    assert!(said.contains("belongs to jail run"), "{said}");
    go(&mut second);
    let output = second.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "wide\n", "{}", text(&output.stderr));
    let denied = |record: &&Value| record["decision"] == "deny";
    assert_eq!(house.ledger().iter().filter(denied).count(), 8, "{said}");
}
