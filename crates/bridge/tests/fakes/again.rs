//! A test that goes on in a process of its own, whose environment has what the test wants.

// Not every test uses it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

/// That it is that process.
const MARK: &str = "CLAWRDEN_TEST_IN_A_PROCESS_OF_ITS_OWN";

/// Whether this is that process. If not, it is started for the test of this name, and has to end well.
pub fn is_there(test: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--nocapture"]).env(MARK, "1").envs(variables.iter().copied());
    let output = again.output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    // None of a name that no test has ends well too.
    assert!(said.contains("1 passed"), "{said}");
    false
}
