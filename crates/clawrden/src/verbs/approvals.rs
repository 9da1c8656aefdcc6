//! Whose yes a request takes and has, as people read it.

use clawrden_api::{QueueEntry, display};

use crate::when;

/// One harmless line for what is wanted, how far it is, and who may answer later; none where anybody's yes will do.
pub(crate) fn lines(entry: &QueueEntry, now_ms: u64) -> Vec<String> {
    let Some(approvals) = &entry.approvals else { return Vec::new() };
    let list = |names: &[String]| display::text(&names.join(", "));
    let mut lines = Vec::new();
    for need in &approvals.needs {
        let given = match &need.given[..] {
            [] => String::new(),
            given => format!(": {}", list(given)),
        };
        let noun = if need.count == 1 { "approval" } else { "approvals" };
        let from = match &need.from[..] {
            [] => String::new(),
            from => format!(" (from {})", list(from)),
        };
        lines.push(format!("{} of {} {noun}{given}{from}", need.given.len(), need.count));
        lines.extend(need.escalation.iter().map(|step| match step.reached {
            true => format!("{} may answer as well by now", list(&step.to)),
            false => {
                format!("{} may answer from {}", list(&step.to), when::moment(step.at_ms, now_ms))
            }
        }));
    }
    if approvals.reason_required {
        lines.push("a yes needs a reason".to_owned());
    }
    if approvals.confirm_on_page {
        lines.push("a yes by a chat is a wish, to be confirmed here or on the web page".to_owned());
    }
    lines
}

/// How far it is, where several people are wanted or some in particular.
pub(crate) fn mark(entry: &QueueEntry) -> String {
    entry.approvals.as_ref().map_or(String::new(), |approvals| display::text(&approvals.summary))
}

/// Whether a yes needs a reason.
pub(crate) fn needs_reason(entry: &QueueEntry) -> bool {
    entry.approvals.as_ref().is_some_and(|approvals| approvals.reason_required)
}

#[cfg(test)]
mod tests {
    use clawrden_api::{QueueApprovals, QueueEscalation, QueueNeed};

    use super::*;

    #[test]
    fn who_is_wanted_and_how_far_it_is_stands_on_harmless_lines() {
        let escalation = |reached| QueueEscalation {
            to: vec!["leads".into()],
            at_ms: 1_777_900_000_000,
            reached,
        };
        let need = |from: &[&str], escalation| QueueNeed {
            from: from.iter().map(|name| (*name).to_owned()).collect(),
            count: 2,
            given: vec!["alice\u{1b}".to_owned()],
            escalation,
        };
        let approvals = QueueApprovals {
            needs: vec![
                need(&["security"], vec![escalation(true), escalation(false)]),
                need(&[], vec![]),
            ],
            reason_required: true,
            ..QueueApprovals::default()
        };
        let entry = QueueEntry { approvals: Some(approvals), ..QueueEntry::default() };
        let lines = lines(&entry, 1_777_900_000_000);
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(
            lines[0].starts_with("1 of 2 approvals: alice")
                && lines[0].ends_with("(from security)")
        );
        assert!(!lines[0].contains('\u{1b}') && needs_reason(&entry));
        assert!(lines[1].contains("by now") && lines[2].contains("leads may answer from"));
        assert!(super::lines(&QueueEntry::default(), 0).is_empty());
    }
}
