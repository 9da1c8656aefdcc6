//! Every example of the policy reference loads, and does what the page says.

#[path = "cases/words.rs"]
mod words;

use clawrden_policy::{Facts, Policy};

const PAGE: &str = include_str!("../../../docs/policy.md");

/// The fenced blocks with their kind.
fn blocks() -> Vec<(&'static str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut open = false;
    for line in PAGE.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(kind), false) => {
                blocks.push((kind, String::new()));
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                if let Some((_, text)) = blocks.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            (None, false) => {}
        }
    }
    blocks
}

#[test]
fn every_example_does_what_the_page_says() {
    let mut policy = None;
    let mut judged = 0;
    for (kind, text) in blocks() {
        match kind {
            "yaml" => {
                policy = Some(
                    Policy::from_yaml("docs/policy.md", &text).unwrap_or_else(|e| panic!("{e}")),
                );
            }
            "cases" => {
                let policy = policy.as_ref().expect("a policy before its cases");
                for line in text.lines() {
                    let (expected, command) = line.split_once(' ').expect("an action");
                    let words = words::words(command);
                    let argv: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                    let path = [b"/usr/bin/", argv[0]].concat();
                    let facts = Facts {
                        name: argv[0],
                        path: Some(&path),
                        tool: Some(argv[0]),
                        argv: &argv,
                        cwd: Some(b"/app"),
                        ..Facts::default()
                    };
                    assert_eq!(policy.decide(&facts).action.as_str(), expected, "{command}");
                    judged += 1;
                }
            }
            other => panic!("a block of an unknown kind: {other}"),
        }
    }
    assert!(judged > 30, "only {judged} examples were judged");
}
