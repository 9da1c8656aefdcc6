//! Each promise attacked: whoever tries what is tried here gets nothing by it. `docs/known-attacks.md` has the list.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod asking;
mod bequests;
mod chats;
mod clock;
mod conditions;
mod door;
mod door_tls;
mod environment;
mod exhaustion;
mod fail_open;
mod given_back;
mod half_written;
mod held_back;
mod identity;
mod jails;
mod ledger;
mod lifecycle;
mod limits;
mod links;
mod matching;
mod mixed;
mod places;
mod plan;
mod policy_file;
mod protocol;
mod run_as;
mod scopes;
mod streams;
mod variables;
mod voters;
mod wrappers;

use std::path::Path;
use std::time::{Duration, Instant};

use support::House;

/// Nothing was started for anybody.
pub(crate) fn nothing_started(house: &House) {
    let started = house.events("started");
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

#[test]
fn every_test_that_the_table_of_attacks_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let table = std::fs::read_to_string(root.join("docs/known-attacks.md")).unwrap();
    let is_test = |word: &&str| word.matches("::").count() >= 2;
    let named: Vec<&str> = table.split('`').filter(is_test).collect();
    assert!(named.len() > 60, "{}", named.len());
    for name in named {
        let (module, test) = name.rsplit_once("::").unwrap();
        let file = root.join("tests").join(module.replace("::", "/")).with_extension("rs");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("#[test]\nfn {test}()")), "there is no test {name}");
    }
}
