//! The index against the ledger: whatever is asked, both say the same.

mod counts;
mod files;

use std::fs;
use std::path::PathBuf;

use clawrden_api::HistoryQuery;

use super::*;
use crate::ledger::*;

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn ledger(&self, segment_bytes: u64) -> Ledger {
        let path = self.folder.path().join("ledger.jsonl");
        Ledger::open(&path, &Options { segment_bytes, signed: false, ..Options::default() })
            .unwrap()
            .0
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("ledger.jsonl.index")
    }
}

/// A row of numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

fn id(n: u64) -> Id {
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    Id(bytes)
}

fn requested(n: u64, chance: &mut Chance) -> Record {
    let word = format!("file-{}.txt", chance.below(500));
    let argv = match chance.below(5) {
        0 => vec!["git", chance.of(&["push", "pull", "status"])],
        1 => vec!["/usr/bin/git", "commit", "-m", &word],
        2 => vec!["NPM", "install", &word],
        3 => vec!["ls"],
        _ => vec!["grep", "git push", "übel", &word],
    };
    let long = "y".repeat(5000);
    let argv = if chance.below(200) == 0 { vec!["echo", &long, "hidden"] } else { argv };
    let container = (chance.below(3) == 0).then(|| Container {
        id: format!("{:064x}", chance.below(4)),
        name: chance.of(&["agent", "worker"]).to_owned(),
        image: "node:22".to_owned(),
    });
    Record::Requested(Requested {
        id: id(n),
        jail: chance.of(&["dev", "ci"]).to_owned(),
        caller: Caller {
            uid: Some(1000),
            gid: None,
            pid: Some(u32::try_from(chance.below(50)).unwrap()),
            container,
            prisoner: (chance.below(2) == 0).then(|| "p1".to_owned()),
        },
        argv: Argv::new(&argv),
        cwd: Some(format!("/app/{}", chance.below(9))),
        executable: None,
        version: 2,
    })
}

fn decided(n: u64, decision: &str) -> Record {
    Record::Decided(Decided {
        id: id(n),
        decision: decision.to_owned(),
        rule: Some(format!("/etc/policy.yaml:{}", n % 7)),
        reason: "it Writes".to_owned(),
        suggest: None,
        noticed: Vec::new(),
        let_through: false,
        executor: if n.is_multiple_of(5) { "ghost" } else { "mirror" }.to_owned(),
        run_as: None,
    })
}

fn answered(n: u64, why: &str) -> Answered {
    let (reason, from) = (Some(why.to_owned()), Some("192.0.2.7:4711".to_owned()));
    Answered { reason, from, ..Answered::new(id(n), id(n), "alice", "cli") }
}

fn finished(n: u64, exit_code: i32) -> Record {
    Record::Finished(Finished {
        id: id(n),
        exit_code: Some(exit_code),
        signal: None,
        exit_source: "kernel".to_owned(),
        duration_ms: 3,
        timed_out: false,
        cancelled: false,
        bytes_out: None,
        error: None,
        recording: None,
    })
}

/// Requests `from` to `to`; what comes of one comes soon or hundreds of records later.
fn fill(ledger: &Ledger, from: u64, to: u64) {
    let mut chance = Chance(from + 1);
    let mut late = Vec::new();
    for n in from..to {
        let mut records = vec![requested(n, &mut chance)];
        match chance.below(4) {
            0 => records.push(decided(n, "deny")),
            1 => {
                records.push(decided(n, "ask"));
                late.push(Record::Approved(answered(n, "looks Fine")));
                late.push(finished(n, 2));
            }
            2 => {
                records.push(decided(n, "ask"));
                late.push(Record::Denied(answered(n, "use the cache")));
            }
            _ => records.extend([decided(n, "allow"), finished(n, 0)]),
        }
        ledger.append(&records).unwrap();
        if late.len() > 400 {
            ledger.append(&std::mem::take(&mut late)).unwrap();
        }
    }
    ledger.append(&late).unwrap();
}

fn queries() -> Vec<HistoryQuery> {
    let all = HistoryQuery::default;
    let some = |text: &str| Some(text.to_owned());
    let mut queries = vec![
        all(),
        HistoryQuery { limit: Some(1000), ..all() },
        HistoryQuery { cursor: Some(9000), ..all() },
        HistoryQuery { cursor: Some(1), ..all() },
        HistoryQuery { decision: some("ask"), outcome: some("approved"), ..all() },
        HistoryQuery { decision: some("denied"), exit_code: Some(2), ..all() },
        HistoryQuery { exit_code: Some(2), executor: some("ghost"), rule: some(":5"), ..all() },
        HistoryQuery { exit_code: Some(77), ..all() },
        HistoryQuery { until_ms: Some(0), ..all() },
        HistoryQuery { since_ms: Some(1), until_ms: Some(u64::MAX), ..all() },
        HistoryQuery { since_ms: Some(u64::MAX), ..all() },
        HistoryQuery { jail: some("ci"), text: some("fine FILE-77"), ..all() },
    ];
    for n in [0, 3, 3999, 5000, 99_999] {
        let whole = id(n).to_string();
        queries.push(HistoryQuery { id: some(&whole), jail: some("ci"), ..all() });
        queries.push(HistoryQuery { id: some(&whole[..31]), limit: Some(5), ..all() });
        queries.push(HistoryQuery { id: some(&whole), ..all() });
    }
    queries.push(HistoryQuery { id: some("0707"), cursor: Some(7000), ..all() });
    for command in [
        "git",
        "g*",
        "N?M",
        "git push",
        "push",
        "l",
        "ls",
        "hidden",
        "file-77.txt",
        "",
        "[x",
        "übel",
    ] {
        queries.push(HistoryQuery { command: some(command), ..all() });
        queries.push(HistoryQuery { command: some(command), cursor: Some(7000), ..all() });
    }
    for caller in ["1000", "pid:7", "p1", "container:agent", "container:0000", "container:none"] {
        queries.push(HistoryQuery { caller: some(caller), ..all() });
    }
    for container in ["worker", "00", "x"] {
        queries.push(HistoryQuery { container: some(container), ..all() });
    }
    for text in
        ["writes", "use cache", "policy.yaml:3", "a", "ÜBEL", "übel", "/app/4", "zz", "yyy hidden"]
    {
        queries.push(HistoryQuery { text: some(text), limit: Some(300), ..all() });
    }
    queries
}

fn assert_same(index: &Index, ledger: &Ledger) {
    for query in queries() {
        let found = index.ask(ledger, |store| store.search(&query)).unwrap().unwrap();
        let truth = ledger.history(&query).unwrap();
        let short = |history: &History| {
            history.entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>()
        };
        assert_eq!(short(&found), short(&truth), "{query:?}");
        assert_eq!(found, truth, "{query:?}");
    }
}

#[test]
fn the_index_says_what_the_ledger_says_to_every_query() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(700_000);
    fill(&ledger, 0, 4000);
    let index = Index::of(&ledger);
    let mut steps = 0;
    index
        .build(&ledger, |read, all| {
            assert!(read <= all);
            steps += 1;
        })
        .unwrap();
    assert!(steps > 1, "progress is told");
    assert_same(&index, &ledger);
    let oldest = HistoryQuery { id: Some(id(0).to_string()), ..HistoryQuery::default() };
    for found in [index.history(&ledger, &oldest), ledger.history(&oldest)] {
        let found = found.unwrap();
        assert_eq!((found.entries.len(), found.next), (1, None));
        assert_eq!(found.entries[0].id, id(0).to_string());
    }
    // Led on in small steps, over the ends of blocks, with late news of requests in blocks that are closed.
    fill(&ledger, 4000, 4010);
    ledger.append(&[finished(3, 77), Record::Approved(answered(11, "zz after all"))]).unwrap();
    assert_same(&index, &ledger);
    fill(&ledger, 4010, 5500);
    assert_same(&index, &ledger);
}

#[test]
fn pages_of_the_index_are_stable_while_requests_come_in() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(1 << 30);
    fill(&ledger, 0, 500);
    let index = Index::of(&ledger);
    index.build(&ledger, |_, _| ()).unwrap();
    let mut query = HistoryQuery { limit: Some(7), ..HistoryQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = index.history(&ledger, &query).unwrap();
        seen.extend(page.entries.iter().map(|entry| entry.id.clone()));
        fill(&ledger, 1000 + seen.len() as u64, 1001 + seen.len() as u64);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    let expected: Vec<String> = (0..500).rev().map(|n| id(n).to_string()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn the_follower_is_behind_by_less_than_a_second() {
    let fixture = Fixture::new();
    let ledger = Arc::new(fixture.ledger(100_000));
    let index = Arc::new(Index::of(&ledger));
    let follower = Follower::start(&index, &ledger);
    for n in 0..5 {
        fill(&ledger, n * 10, n * 10 + 10);
        let written = Instant::now();
        while index.status().sequence != ledger.sequence() {
            assert!(written.elapsed() < Duration::from_secs(20), "{:?}", index.status());
            thread::sleep(Duration::from_millis(5));
        }
    }
    // Asked for, it is made anew.
    let before = fs::metadata(fixture.index()).unwrap().ino();
    index.rebuild(&ledger);
    let began = Instant::now();
    while fs::metadata(fixture.index()).map_or(before, |about| about.ino()) == before {
        assert!(began.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(5));
    }
    drop(follower);
    assert_eq!(Arc::strong_count(&ledger), 1);
    assert_same(&index, &ledger);
}

#[test]
fn requests_of_a_dropped_file_are_no_history_any_more() {
    let fixture = Fixture::new();
    let ledger = fixture.ledger(64 * 1024);
    for n in 0..20_000 {
        ledger.append(&[requested(n, &mut Chance(n))]).unwrap();
    }
    let index = Index::of(&ledger);
    index.keep(&ledger).unwrap();
    let built = fs::metadata(fixture.index()).unwrap().ino();
    let oldest = || {
        let query = HistoryQuery { limit: Some(1000), ..HistoryQuery::default() };
        let first = index.ask(&ledger, |store| {
            let mut query = query.clone();
            loop {
                let page = store.search(&query)?;
                let Some(next) = page.next else {
                    return Ok(page.entries.last().map(|entry| entry.sequence).unwrap());
                };
                query.cursor = Some(next);
            }
        });
        first.unwrap().unwrap()
    };
    let rows = |what: &str| {
        let place = index.store();
        let sql = format!("SELECT count(*) FROM {what}");
        place.as_ref().unwrap().db().query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let before = (oldest(), rows("requests"), rows("postings"), rows("blocks"));
    let closed = fs::read_dir(fixture.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut closed: Vec<_> =
        closed.filter(|path| path.to_string_lossy().contains("ledger-0")).collect();
    closed.sort();
    let many = closed.len() * 3 / 4;
    assert!(many > 20, "{closed:?}");
    for file in &closed[..many] {
        fs::remove_file(file).unwrap();
    }
    let after = oldest();
    assert!(after > before.0, "none of them is shown, taken out or not");
    assert_eq!(rows("requests"), before.1);
    assert_same(&index, &ledger);
    index.keep(&ledger).unwrap();
    assert_eq!(oldest(), after);
    assert!(
        rows("requests") < before.1 && rows("postings") < before.2 && rows("blocks") < before.3
    );
    let sql = "SELECT min(seq) FROM requests";
    let least: i64 =
        index.store().as_ref().unwrap().db().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(least.cast_unsigned(), after);
    assert_eq!(fs::metadata(fixture.index()).unwrap().ino(), built, "it is not made anew");
    assert_same(&index, &ledger);
    // Files that come back are in no index.
    fs::write(&closed[0], "{}\n").unwrap();
    index.keep(&ledger).unwrap();
    assert_ne!(fs::metadata(fixture.index()).unwrap().ino(), built);
}
