//! Each promise attacked: whoever tries what is tried here gets nothing by it. `docs/known-attacks.md` has the list.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod asking;
mod environment;
mod exhaustion;
mod fail_open;
mod identity;
mod jails;
mod ledger;
mod lifecycle;
mod matching;
mod places;
mod plan;
mod protocol;

use std::path::Path;
use std::time::{Duration, Instant};

use support::House;

/// Nothing was started for anybody.
pub(crate) fn nothing_started(house: &House) {
    let started: Vec<_> =
        house.ledger().into_iter().filter(|record| record["event"] == "started").collect();
    assert!(started.is_empty(), "{started:?}");
}

/// A program of the test's own, in a folder that a PATH can have.
pub(crate) fn write_tool(folder: &Path, name: &str, script: &str) {
    std::fs::create_dir_all(folder).unwrap();
    // Written elsewhere and moved: a file that another thread's child holds open for writing cannot be executed.
    let fresh = folder.join(format!(".{name}.new"));
    std::fs::write(&fresh, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&fresh, mode).unwrap();
    std::fs::rename(&fresh, folder.join(name)).unwrap();
}
/// A good client is served within two seconds. The house's policy lets everybody run `true`.
pub(crate) fn serves(house: &House) {
    let start = Instant::now();
    let status = house.shimmed("true").status().unwrap();
    let took = start.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(2), "a good client waited for {took:?}");
}
