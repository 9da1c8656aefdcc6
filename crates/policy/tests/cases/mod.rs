//! Cases: command lines with the action that is expected, and how one is judged.

mod words;

use clawrden_policy::{Decision, Facts, Policy};

pub(crate) use words::words;

/// The decision for a tool on the PATH, called in `/home/ann/project`.
pub(crate) fn decide(policy: &Policy, words: &[Vec<u8>]) -> Decision {
    let argv: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let path = [b"/usr/bin/", argv[0]].concat();
    let facts = Facts {
        jail: "default",
        name: argv[0],
        path: Some(&path),
        tool: Some(argv[0]),
        argv: &argv,
        cwd: Some(b"/home/ann/project"),
        uid: Some(1000),
        gid: Some(1000),
        ..Facts::default()
    };
    policy.decide(&facts)
}
