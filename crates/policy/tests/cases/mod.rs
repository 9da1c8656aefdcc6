//! Cases: command lines with the action that is expected, and how one is judged.
//! A line is split at spaces, quotes hold words together, and nothing else is special.

use clawrden_policy::{Decision, Facts, Policy};

/// The words of a command as a case writes it.
pub(crate) fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    for byte in line.bytes() {
        match (quote, byte) {
            (None, b' ') => words.extend(word.take()),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == byte => quote = None,
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

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
