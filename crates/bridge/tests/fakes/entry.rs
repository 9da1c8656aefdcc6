//! A request that waits, as the warden shows it.

use clawrden_api::display::exact;
use clawrden_api::{Caller, QueueEntry, QueueTouch};

/// Its whole id.
pub const ID: &str = "0190f3a1c2d34e5f8a9b0c1d2e3f4a5b";

/// One of this command.
pub fn entry(argv: &[&str]) -> QueueEntry {
    let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    QueueEntry {
        id: ID.to_owned(),
        short: "0190".to_owned(),
        jail: "web".to_owned(),
        caller: Caller { uid: Some(1000), gid: Some(1000), pid: Some(4242), ..Caller::default() },
        exact: Some(exact(&argv)),
        argv,
        cwd: Some("/app".to_owned()),
        executor: "ghost".to_owned(),
        rule: Some("policy.yaml:12".to_owned()),
        reason: "packages are looked at".to_owned(),
        since_ms: 1_793_714_592_045,
        expires_ms: 1_793_714_892_045,
        callers: 1,
        ..QueueEntry::default()
    }
}

/// Has it name these paths, where this stands.
pub fn touching(entry: &mut QueueEntry, paths: &[(&str, &str)]) {
    let touch = |&(path, kind): &(&str, &str)| QueueTouch { path: path.into(), kind: kind.into() };
    entry.context.touches = paths.iter().map(touch).collect();
}
