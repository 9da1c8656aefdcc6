//! `record` and `record_bytes`, of a rule and of `defaults`.

use super::ghosts::size;
use super::node::Node;
use super::report::Report;
use crate::recording::Recorded;

/// Least and most bytes of a recording: one has a header, and is looked at as a whole.
const LEAST: u64 = 4 * 1024;
const MOST: u64 = 1024 * 1024 * 1024;

/// What `record` says; `Some(None)` is `none`.
pub(super) fn record(node: &Node, report: &mut Report<'_>) -> Option<Option<Recorded>> {
    let choices =
        [("output", Some(Recorded::Output)), ("session", Some(Recorded::Session)), ("none", None)];
    report.choice(node, "record", &choices)
}

/// What `record_bytes` says.
pub(super) fn bytes(node: &Node, report: &mut Report<'_>) -> Option<u64> {
    let found = size(node, LEAST, "from `4k` to `1g`", report)?;
    if found > MOST {
        report.add(node.at, "the recording is too large", "from `4k` to `1g`");
        return None;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use crate::load::from_text;
    use crate::load::tests::told;
    use crate::{Decision, Facts, Recorded, Recording};

    fn decide(text: &str, tool: &str) -> Decision {
        let policy = from_text("policy.yaml", text).unwrap_or_else(|error| panic!("{error}"));
        let name = tool.as_bytes();
        policy.decide(&Facts { name, tool: Some(name), argv: &[name], ..Facts::default() })
    }

    #[test]
    fn a_rule_says_what_is_recorded_and_defaults_for_those_that_do_not() {
        let text = "defaults: {action: allow, record: output, record_bytes: 1m}
rules:
  - {command: psql, action: ask, record: session}
  - {command: ls, action: allow, record: none}
  - {command: make, action: allow, record_bytes: 2g}
";
        assert!(told(text)[0].contains("too large"));
        let text = text.replace("2g", "8k");
        let of = |tool: &str| decide(&text, tool).record;
        let recording = |what, bytes| Some(Recording { what, bytes });
        assert_eq!(of("psql"), recording(Recorded::Session, 1 << 20));
        assert_eq!(of("ls"), None);
        assert_eq!(of("make"), recording(Recorded::Output, 8 << 10));
        assert_eq!(of("cat"), recording(Recorded::Output, 1 << 20));
        let plain = "rules: [{command: ls, action: allow, record: output}]";
        assert_eq!(decide(plain, "ls").record, recording(Recorded::Output, 64 << 20));
        assert_eq!(decide(plain, "cat").record, None);
    }

    #[test]
    fn values_without_sense_are_refused() {
        for rule in ["record: everything", "record: 1", "record_bytes: 1k", "record_bytes: x"] {
            let found = told(&format!("rules: [{{command: ls, action: allow, {rule}}}]"));
            assert_eq!(found.len(), 1, "{rule}: {found:?}");
        }
    }
}
