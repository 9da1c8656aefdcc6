//! What a table remembers, and what is more than that.

use super::*;
use crate::floods::Flood;
use crate::testing::entry;
use crate::weights::MAX_BYTES;

fn table(memory: Memory) -> Table {
    let routes = Routes { routes: vec![], default: vec!["C1".to_owned()] };
    Table::new(memory, routes, Floods::new(Flood { posts: 10_000, seconds: 60 }), None)
}

/// A request that weighs so many bytes.
fn heavy(id: &str, bytes: usize) -> QueueEntry {
    QueueEntry { argv: vec!["git".into(), "x".repeat(bytes)], ..entry(id) }
}

fn asks(table: &mut Table, entry: QueueEntry) {
    table.told(Told::Waiting(Box::new(entry)), 1);
    table.changes();
}

/// How many the open digest tells of.
fn told_beyond(table: &Table) -> Option<usize> {
    let digests = &table.memory().digests;
    digests.values().find(|digest| !digest.closed).map(|digest| table.digest(digest).waiting)
}

#[test]
fn cards_are_bounded_in_bytes_and_what_is_more_is_counted_where_people_are() {
    let mut table = table(Memory::default());
    let most = MAX_BYTES / (900 * 1024);
    for n in 0..most + 7 {
        asks(&mut table, heavy(&n.to_string(), 900 * 1024));
    }
    assert!((most - 1..=most).contains(&table.len().saturating_sub(1)), "{}", table.len());
    assert!(table.weights.all() <= MAX_BYTES);
    let beyond = most + 7 - (table.len() - 1);
    assert_eq!(told_beyond(&table), Some(beyond));
    table.tidy(10_000_000);
    assert_eq!(told_beyond(&table), Some(beyond), "as long as they wait");
    // One that is answered makes room for what comes.
    let denied = Told::Answered {
        entry: "0".into(),
        request: "r".into(),
        approved: false,
        by: By::default(),
    };
    assert!(table.told(denied, 2), "the queue is to be read");
    asks(&mut table, heavy("new", 900 * 1024));
    assert!(table.card("new").is_some() && table.card("0").is_none());
    assert!(table.weights.all() <= MAX_BYTES);
}

#[test]
fn so_many_cards_are_remembered_and_what_is_more_is_counted_until_there_is_room() {
    let mut table = table(Memory::default());
    for n in 0..MAX_CARDS + 7 {
        asks(&mut table, entry(&format!("{n:032x}")));
    }
    let cards = |table: &Table| table.memory().cards.len();
    assert_eq!((MAX_CARDS, cards(&table)), (2_000, 2_000), "as docs/chat.md says");
    assert_eq!(told_beyond(&table), Some(7));
    // One more that waits takes nobody's place.
    let last = entry(&format!("{:032x}", MAX_CARDS + 7));
    asks(&mut table, last.clone());
    assert_eq!((cards(&table), told_beyond(&table)), (2_000, Some(8)));
    assert!(table.card(&format!("{:032x}", 0)).is_some());
    // What is answered gives its place to what waits, once the queue is read.
    let by = By::default();
    let (entry, request) = (format!("{:032x}", 0), "r".to_owned());
    assert!(table.told(Told::Answered { entry: entry.clone(), request, approved: false, by }, 2));
    assert_eq!(table.queue(vec![last.clone()], 3).len(), 1_999);
    assert!(table.card(&last.id).is_some() && table.card(&entry).is_none());
    assert_eq!(cards(&table), 2_000);
    assert_eq!(told_beyond(&table), None, "it is told of by itself");
}

#[test]
fn one_that_is_too_heavy_takes_no_other_s_room() {
    let mut table = table(Memory::default());
    asks(&mut table, heavy("a", 6 * 1024 * 1024));
    asks(&mut table, entry("b"));
    assert!(table.card("a").is_none() && table.card("b").is_some());
    assert_eq!(told_beyond(&table), Some(1));
}

#[test]
fn of_what_another_left_so_much_is_kept() {
    let mut memory = Memory::default();
    for n in 0..40_u64 {
        let mut kept = crate::testing::kept(&n.to_string());
        (kept.card.entry, kept.changed_ms) = (heavy(&n.to_string(), 900 * 1024), n);
        memory.cards.insert(n.to_string(), kept);
    }
    let table = table(memory);
    assert!(table.weights.all() <= MAX_BYTES && table.card("39").is_some());
}

#[test]
fn what_means_nothing_is_not_written() {
    let mut table = table(Memory::default());
    for n in 0..100 {
        table.heard(&format!("1-{n}"));
        let outcome = Outcome::default();
        table.told(Told::Finished { request: n.to_string(), outcome, is_recorded: false }, 1);
        assert_eq!(table.changes(), []);
    }
    table.heard("1-100");
    table.told(Told::Waiting(Box::new(entry("a"))), 1);
    assert!(matches!(&table.changes()[..], [Line::Card(..), Line::Heard(id)] if id == "1-100"));
    table.heard("1-101");
    table.tidy(2);
    assert_eq!(table.changes(), [Line::Heard("1-101".into())], "now and then it is");
    table.tidy(3);
    assert_eq!(table.changes(), []);
}
