//! `docs/containers.md`: its way to a governed agent, followed as it is written.

use std::process::Command;

use crate::support::{clawrden, text};

#[test]
fn the_way_from_an_image_of_ones_own_to_a_governed_agent_is_as_it_is_written() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/guide");
    if !rustix::process::getuid().is_root() {
        eprintln!("not tried: the guide is followed by root alone");
        return;
    }
    let output = Command::new(script).arg(clawrden().get_program()).output().unwrap();
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}{}", text(&output.stderr));
    // The history has all three, and how each was decided.
    for words in ["git status", "rm -rf /", "npm --version"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}
