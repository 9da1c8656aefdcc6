//! Every example of the policy reference and of the cookbook loads, and does what the page says.

#![allow(clippy::expect_used)]

#[path = "cases/words.rs"]
mod words;

use clawrden_policy::{Facts, Policy};

const REFERENCE: &str = include_str!("../../../docs/policy.md");
const COOKBOOK: &str = include_str!("../../../docs/cookbook.md");

/// The fenced blocks of a page with their kind.
fn blocks(page: &'static str) -> Vec<(&'static str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut open = false;
    for line in page.lines() {
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

/// Judges every case of a page by the policy before it, and says how many there were.
fn judged(name: &str, page: &'static str) -> usize {
    let mut policy = None;
    let mut judged = 0;
    for (kind, text) in blocks(page) {
        match kind {
            "yaml" => {
                policy = Some(Policy::from_yaml(name, &text).unwrap_or_else(|e| panic!("{e}")));
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
                    let decision = policy.decide(&facts);
                    let rule = decision.rule.map(|rule| rule.to_string()).unwrap_or_default();
                    let found = decision.action.as_str();
                    assert_eq!(found, expected, "{command}: {rule} {}", decision.reason);
                    judged += 1;
                }
            }
            other => panic!("a block of an unknown kind: {other}"),
        }
    }
    judged
}

#[test]
fn every_example_of_the_reference_does_what_the_page_says() {
    assert!(judged("docs/policy.md", REFERENCE) > 60);
}

#[test]
fn every_recipe_of_the_cookbook_does_what_the_page_says() {
    assert!(judged("docs/cookbook.md", COOKBOOK) > 50);
}
