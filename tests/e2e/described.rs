//! The control API against its own description: schemathesis makes requests of it, good and bad ones, and looks whether
//! the warden answers as it says that it does.

use std::process::{Command, Stdio};

use crate::support::{House, left_out, text, tried_without_tools};

/// What every operation is tried with: always the same.
const SEED: &str = "1";
const EXAMPLES: &str = "15";

/// The tester's program, or why there is none.
fn tester() -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/schemathesis");
    let said = Command::new(script).output().map_err(|error| error.to_string())?;
    if !said.status.success() {
        return Err(text(&said.stderr));
    }
    Ok(text(&said.stdout).trim().to_owned())
}

#[test]
fn the_warden_answers_as_its_description_says() {
    let tester = match tester() {
        Ok(tester) => tester,
        Err(why) => {
            left_out(&format!("the API is not held against its description: {why}"));
            return;
        }
    };
    let house = House::with("default_action: ask", &["--api", "127.0.0.1:0"]);
    let made = house.cli(&["token", "create", "--role", "admin", "--name", "tester"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let link = house.cli(&["dashboard"]);
    let link = text(&link.stdout);
    let address = link.split("/login").next().unwrap();
    // Streams do not end, and a session is opened by what nobody guesses. That what is valid by its shape may mean nothing
    // (a policy that does not load, a command that is none) and that who guesses is locked out (429) the checks that
    // are left out take for faults; other tests try every route without a token.
    let said = Command::new(tester)
        .args(["run", &format!("{address}/api/openapi.json")])
        .args(["-H", &format!("Authorization: Bearer {}", text(&made.stdout).trim())])
        .args(["--seed", SEED, "--max-examples", EXAMPLES, "--continue-on-failure", "--no-color"])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--exclude-checks", "positive_data_acceptance,ignored_auth"])
        .args(["--exclude-path", "/api/events", "--exclude-path", "/api/session"])
        .args(["--request-timeout", "30"])
        .current_dir(house.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = text(&said.stdout);
    assert!(said.status.success(), "{told}{}", text(&said.stderr));
    let tried = told.lines().find_map(|line| line.trim().strip_prefix("Tested: "));
    let tried: usize = tried.expect("how many were tried").parse().unwrap();
    assert!(tried >= 35, "only {tried} operations were tried");
}

#[test]
fn without_the_tester_this_is_left_out_aloud_and_fails_where_nothing_may_be() {
    let test = "described::the_warden_answers_as_its_description_says";
    let (passes, said) = tried_without_tools(test, "0");
    assert!(passes && said.contains("LEFT OUT: "), "{said}");
    let (passes, said) = tried_without_tools(test, "1");
    assert!(!passes && said.contains("CLAWRDEN_TEST_ALL=1"), "{said}");
}
