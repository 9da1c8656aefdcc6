//! What the tests of this module share.

use clawrden_api::{Caller, QueueContext, QueueEntry};

use crate::card::{Card, Stage};

/// A request of a command.
pub(crate) fn entry(argv: &[&str]) -> QueueEntry {
    QueueEntry {
        id: "7f3a".repeat(8),
        short: "7f3a".to_owned(),
        jail: "web".to_owned(),
        caller: Caller { uid: Some(1000), gid: Some(1000), pid: Some(7), ..Caller::default() },
        argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
        cwd: Some("/work".to_owned()),
        executable: argv.first().map(|name| format!("/usr/bin/{name}")),
        sha256: None,
        executor: "mirror".to_owned(),
        only_judged: false,
        run_as: None,
        rule: Some("policy.yaml:12".to_owned()),
        reason: "needs a look".to_owned(),
        suggest: None,
        noticed: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        exact: None,
        warnings: Vec::new(),
        context: QueueContext::default(),
        since_ms: 1_793_714_592_045,
        expires_ms: 1_793_714_592_045 + 1_800_000,
        approvals: None,
        callers: 1,
    }
}

/// The same, waiting.
pub(crate) fn card(argv: &[&str]) -> Card {
    Card { entry: entry(argv), stage: Stage::Waiting, progress: None, page: None }
}
