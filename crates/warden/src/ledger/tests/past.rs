//! History: requests put together from their records, page by page.

use clawrden_api::HistoryQuery;

use super::*;

fn all() -> HistoryQuery {
    HistoryQuery::default()
}

fn sequences(ledger: &Ledger, query: &HistoryQuery) -> Vec<u64> {
    ledger.history(query).unwrap().entries.iter().map(|e| e.sequence).collect()
}

/// A decision of a rule that says why.
fn asked_because(n: u64, reason: &str) -> Record {
    let Record::Decided(it) = decided(n, "ask") else { unreachable!() };
    Record::Decided(Decided { reason: reason.to_owned(), ..it })
}

#[test]
fn the_records_of_a_request_are_one_entry() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    let asked = asked_because(1, "pushes are looked at");
    ledger.append(&[requested(1, &["git", "push"]), asked]).unwrap();
    ledger.append(&[requested(2, &["ls"]), decided(2, "allow"), started(2)]).unwrap();
    ledger.append(&[Record::Approved(answered(1, Some("looks right"))), started(1)]).unwrap();
    ledger.append(&[finished(1, 3)]).unwrap();
    let history = ledger.history(&all()).unwrap();
    assert_eq!(history.next, None);
    let [newest, oldest] = &history.entries[..] else { panic!("{history:?}") };
    assert_eq!((newest.sequence, &newest.argv[..]), (3, &["ls".to_owned()][..]));
    assert!(newest.started);
    assert_eq!(newest.exit_code, None);
    assert_eq!(newest.outcome, None);
    assert_eq!(oldest.id, id(1).to_string());
    assert_eq!(oldest.argv, ["git", "push"]);
    assert_eq!(oldest.decision.as_deref(), Some("ask"));
    assert_eq!(oldest.outcome.as_deref(), Some("approved"));
    assert_eq!(oldest.approver.as_deref(), Some("alice"));
    assert_eq!(oldest.reason.as_deref(), Some("pushes are looked at"));
    assert_eq!((oldest.answer.as_deref(), oldest.kept_answer), (Some("looks right"), false));
    assert_eq!((&newest.answer, newest.kept_answer), (&None, false));
    assert_eq!(oldest.rule.as_deref(), Some("policy.yaml:12"));
    assert_eq!(oldest.caller.uid, Some(1000));
    assert_eq!(oldest.exit_code, Some(3));
    assert_eq!(oldest.exit_source.as_deref(), Some("kernel"));
    assert_eq!(oldest.duration_ms, Some(12));
}

#[test]
fn an_outcome_is_what_was_said_last() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    let expired = Record::Expired(Expired { id: id(1), entry: id(7), after_ms: 5 });
    let from = Some("192.0.2.7:4711".to_owned());
    ledger
        .append(&[
            requested(1, &["a"]),
            decided(1, "ask"),
            Record::CallerLeft(CallerLeft { id: id(1) }),
            expired,
            requested(2, &["b"]),
            asked_because(2, "it installs"),
            Record::Denied(Answered { from, ..answered(2, Some("use npm ci")) }),
            requested(3, &["c"]),
            Record::GrantUsed(answered(3, None)),
            requested(4, &["d"]),
            Record::Failed(Failed { id: id(4), error: "no such user".to_owned() }),
        ])
        .unwrap();
    let entries = ledger.history(&all()).unwrap().entries;
    let outcomes: Vec<_> = entries.iter().map(|e| e.outcome.as_deref()).collect();
    assert_eq!(outcomes, [None, Some("approved"), Some("denied"), Some("expired")]);
    assert_eq!(entries[0].error.as_deref(), Some("no such user"));
    assert_eq!(entries[2].reason.as_deref(), Some("it installs"));
    assert_eq!(entries[2].answer.as_deref(), Some("use npm ci"));
    let kept: Vec<bool> = entries.iter().map(|entry| entry.kept_answer).collect();
    assert_eq!(kept, [false, true, false, false]);
    // One of an earlier warden does not say from where.
    let from: Vec<_> = entries.iter().map(|entry| entry.answered_from.as_deref()).collect();
    assert_eq!(from, [None, None, Some("192.0.2.7:4711"), None]);
}

#[test]
fn what_is_said_is_of_whoever_answered_last_and_never_the_rule_s_reason() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    let voted = Record::Voted(Voted {
        id: id(1),
        entry: id(1001),
        approver: "bob".to_owned(),
        person: "bob".to_owned(),
        channel: "web".to_owned(),
        from: Some("192.0.2.7:4711".to_owned()),
        reason: Some("fine by me".to_owned()),
        progress: "1 of 2 approvals: bob".to_owned(),
        chat: None,
    });
    ledger.append(&[requested(1, &["a"]), asked_because(1, "two look"), voted]).unwrap();
    let said = || {
        let entry = ledger.history(&all()).unwrap().entries.remove(0);
        [entry.reason, entry.approver, entry.answered_from, entry.answer]
    };
    let words = |words: [Option<&str>; 4]| words.map(|word| word.map(str::to_owned));
    let by_bob = [Some("two look"), Some("bob"), Some("192.0.2.7:4711"), Some("fine by me")];
    assert_eq!(said(), words(by_bob));
    let restored = Record::Restored(Restored {
        id: id(1),
        entry: id(1001),
        state: "waiting".to_owned(),
        until_ms: Some(9),
        approver: Some("bob".to_owned()),
        channel: Some("web".to_owned()),
        from: None,
    });
    ledger.append(&[restored]).unwrap();
    assert_eq!(said(), words(by_bob));
    ledger.append(&[Record::Denied(answered(1, None))]).unwrap();
    assert_eq!(said(), words([Some("two look"), Some("alice"), None, None]));
}

#[test]
fn pages_give_every_request_once_over_all_files() {
    let fixture = Fixture::new();
    let ledger = fixture.open_small(3000);
    for n in 0..100 {
        ledger.append(&[requested(n, &["ls"]), decided(n, "allow")]).unwrap();
        if n >= 30 {
            ledger.append(&[finished(n - 30, 7)]).unwrap();
        }
    }
    assert!(fixture.files().len() > 10);
    let mut query = HistoryQuery { limit: Some(7), ..all() };
    let mut seen = Vec::new();
    loop {
        let page = ledger.history(&query).unwrap();
        assert!(page.entries.len() <= 7);
        seen.extend(page.entries);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
        // What comes in meanwhile does not move the pages.
        ledger.append(&[requested(1000 + seen.len() as u64, &["ls"])]).unwrap();
    }
    assert_eq!(seen.len(), 100);
    assert!(seen.windows(2).all(|w| w[0].sequence > w[1].sequence));
    assert!(seen[30..].iter().all(|e| e.exit_code == Some(7)), "each with its end, however far");
    assert!(seen[..30].iter().all(|e| e.exit_code.is_none()));
}

#[test]
fn a_full_last_page_has_no_next() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    for n in 0..4 {
        ledger.append(&[requested(n, &["ls"])]).unwrap();
    }
    let page = ledger.history(&HistoryQuery { limit: Some(4), ..all() }).unwrap();
    assert_eq!((page.entries.len(), page.next), (4, None));
    let page = ledger.history(&HistoryQuery { limit: Some(3), ..all() }).unwrap();
    assert_eq!((page.entries.len(), page.next), (3, Some(2)));
}

#[test]
fn limits_are_clamped() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    let many: Vec<Record> = (0..1500).map(|n| requested(n, &["ls"])).collect();
    ledger.append(&many).unwrap();
    for (limit, entries) in [(None, DEFAULT_LIMIT), (Some(0), 1), (Some(usize::MAX), MAX_LIMIT)] {
        assert_eq!(sequences(&ledger, &HistoryQuery { limit, ..all() }).len(), entries);
    }
}

#[test]
fn filters_must_all_hold() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    ledger.append(&[requested(1, &["/usr/bin/git", "push", "-f"]), decided(1, "ask")]).unwrap();
    ledger.append(&[Record::Denied(answered(1, None))]).unwrap();
    ledger.append(&[requested(2, &["grep", "git push"]), decided(2, "allow")]).unwrap();
    let Record::Requested(mut other) = requested(3, &["npm", "ci"]) else { panic!() };
    other.jail = "ci".to_owned();
    other.caller = Caller {
        uid: Some(0),
        pid: Some(77),
        prisoner: Some("p1".to_owned()),
        ..Caller::default()
    };
    ledger.append(&[Record::Requested(other), decided(3, "deny")]).unwrap();
    let some = |text: &str| Some(text.to_owned());
    for (query, expected) in [
        (HistoryQuery { command: some("git"), ..all() }, vec![4, 1]),
        (HistoryQuery { command: some("g*t"), ..all() }, vec![1]),
        (HistoryQuery { command: some("g*"), ..all() }, vec![4, 1]),
        (HistoryQuery { command: some("git push"), ..all() }, vec![4, 1]),
        (HistoryQuery { command: some("[unclosed"), ..all() }, vec![]),
        (HistoryQuery { decision: some("ask"), ..all() }, vec![1]),
        (HistoryQuery { decision: some("denied"), ..all() }, vec![1]),
        (HistoryQuery { decision: some("deny"), ..all() }, vec![6]),
        (HistoryQuery { caller: some("1000"), ..all() }, vec![4, 1]),
        (HistoryQuery { caller: some("pid:77"), ..all() }, vec![6]),
        (HistoryQuery { caller: some("p1"), ..all() }, vec![6]),
        (HistoryQuery { jail: some("ci"), ..all() }, vec![6]),
        (HistoryQuery { jail: some("ci"), decision: some("ask"), ..all() }, vec![]),
        (HistoryQuery { since_ms: Some(u64::MAX), ..all() }, vec![]),
        (HistoryQuery { until_ms: Some(0), ..all() }, vec![]),
        (HistoryQuery { since_ms: Some(1), until_ms: Some(u64::MAX), ..all() }, vec![6, 4, 1]),
    ] {
        assert_eq!(sequences(&ledger, &query), expected, "{query:?}");
    }
}

#[test]
fn a_filter_that_is_not_understood_is_refused_with_what_would_be() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    for (query, word) in [
        (HistoryQuery { decision: Some("maybe".to_owned()), ..all() }, "approved"),
        (HistoryQuery { caller: Some("pid:x".to_owned()), ..all() }, "pid:N"),
        (HistoryQuery { caller: Some(String::new()), ..all() }, "prisoner"),
    ] {
        let error = ledger.history(&query).unwrap_err();
        assert!(matches!(error, LedgerError::BadFilter { .. }));
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn damaged_lines_are_stepped_over() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    ledger.append(&[requested(1, &["ls"]), requested(2, &["ls"]), requested(3, &["ls"])]).unwrap();
    drop(ledger);
    let text = fixture.text();
    let lines: Vec<&str> = text.lines().collect();
    let overlong = "x".repeat(3 * MAX_LINE);
    let damaged = format!("{}\n\u{0}\u{1b}\n\n{{}}\n{overlong}\n{}\n", lines[0], lines[2]);
    fs::write(fixture.path(), damaged).unwrap();
    assert_eq!(sequences(&fixture.open(), &all()), [3, 1]);
}

#[test]
fn an_empty_ledger_has_an_empty_history() {
    let fixture = Fixture::new();
    let history = fixture.open().history(&all()).unwrap();
    assert_eq!((history.entries.len(), history.next), (0, None));
}

#[test]
fn requests_without_a_beginning_cost_bounded_memory() {
    let fixture = Fixture::new();
    let ledger = fixture.open();
    ledger.append(&[requested(0, &["ls"])]).unwrap();
    let ends: Vec<Record> = (1..=MAX_PARTS as u64 + 10).map(|n| finished(n, 0)).collect();
    ledger.append(&ends).unwrap();
    assert_eq!(sequences(&ledger, &all()), [1]);
}

#[test]
fn a_rotation_while_a_page_is_read_shows_nothing_twice() {
    let fixture = Fixture::new();
    let ledger = fixture.open_small(1000);
    ledger.append(&[requested(1, &["ls"]), requested(2, &["ls"]), requested(3, &["ls"])]).unwrap();
    let view = ledger.writer().view();
    for n in 4..=12 {
        ledger.append(&[requested(n, &["ls"])]).unwrap();
    }
    assert!(fixture.files().len() > 3);
    let seen = history::search(&ledger.shared.place, view, &all()).unwrap().entries;
    assert_eq!(seen.iter().map(|e| e.sequence).collect::<Vec<_>>(), [3, 2, 1]);
}
