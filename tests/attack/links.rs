//! Links that lead out of the folders that a rule keeps its operands to, or into them.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::{House, text};

const POLICY: &str = "
default_action: deny
rules:
  - {command: cat, args: {inside: ./secret}, action: deny, reason: 'kept'}
  - {command: cat, args: {inside: .}, action: allow}
  - {command: touch, args: {inside: .}, action: allow}
";

/// A house in whose folder there is something inside, and links that lead out and back.
fn house(outside: &std::path::Path) -> House {
    let house = House::new(POLICY);
    for folder in ["work/secret", "work/plain"] {
        fs::create_dir_all(house.path(folder)).unwrap();
    }
    fs::write(house.path("work/plain/file"), "inside\n").unwrap();
    fs::write(house.path("work/secret/key"), "key\n").unwrap();
    fs::write(outside.join("other"), "outside\n").unwrap();
    symlink(outside, house.path("work/out")).unwrap();
    symlink(outside.join("made"), house.path("work/lost")).unwrap();
    symlink("plain", house.path("work/again")).unwrap();
    symlink("secret/key", house.path("work/harmless")).unwrap();
    symlink("../secret", house.path("work/plain/up")).unwrap();
    house
}

fn code(house: &House, argv: &[&str]) -> Option<i32> {
    let mut shimmed = house.shimmed(argv[0]);
    shimmed.args(&argv[1..]).current_dir(house.path("work"));
    shimmed.output().unwrap().status.code()
}

#[test]
fn no_link_leads_out_of_the_folders_of_an_allow() {
    let outside = tempfile::tempdir().unwrap();
    let house = house(outside.path());
    for inside in [["cat", "plain/file"], ["cat", "again/file"], ["touch", "again/new"]] {
        assert_eq!(code(&house, &inside), Some(0), "{inside:?}");
    }
    let written = house.path("work/out/other");
    for outside in [
        ["cat", "out/other"],
        ["cat", "./out/../out/other"],
        ["cat", written.to_str().unwrap()],
        ["touch", "lost"],
        ["touch", "out/new"],
        ["cat", "/proc/self/cwd/plain/file"],
    ] {
        assert_eq!(code(&house, &outside), Some(126), "{outside:?}");
    }
    assert!(!outside.path().join("made").exists() && !outside.path().join("new").exists());
}

#[test]
fn no_link_leads_around_the_folders_of_a_deny() {
    let outside = tempfile::tempdir().unwrap();
    let house = house(outside.path());
    for way in ["secret/key", "harmless", "plain/up/key", "again/up/../secret/key"] {
        let mut cat = house.shimmed("cat");
        let output = cat.arg(way).current_dir(house.path("work")).output().unwrap();
        assert_eq!(output.status.code(), Some(126), "{way}");
        assert_eq!(text(&output.stdout), "", "{way}");
    }
    assert_eq!(code(&house, &["cat", "again/file"]), Some(0));
}
