//! History over a long past: a ledger of a million requests, its index, and the first page of every kind of filter.

use std::time::{Duration, Instant};

use clawrden_api::HistoryQuery;
use clawrden_warden::index::Index;
use clawrden_warden::ledger::{
    Answered, Argv, Caller, Container, Decided, Finished, Id, Ledger, Method, Options, Record,
    Requested, Started,
};

use crate::Outcome;
use crate::house::Bench;
use crate::machine;
use crate::pairs::Spread;
use crate::report::{Budget, Report, Row, Unit};

/// Requests, and in a quick run.
const REQUESTS: u64 = 1_000_000;
const QUICK: u64 = 50_000;

/// Requests that are written at once.
const AT_ONCE: usize = 2000;

/// How often each filter is asked; the median counts.
const TIMES: usize = 5;

const TOOLS: [&str; 16] = [
    "git",
    "npm",
    "ls",
    "cat",
    "cargo",
    "/usr/bin/python3",
    "pip",
    "docker",
    "make",
    "rg",
    "sed",
    "curl",
    "kubectl",
    "rm",
    "node",
    "bash",
];
const WORDS: [&str; 20] = [
    "status",
    "push",
    "install",
    "build",
    "--release",
    "origin",
    "main",
    "test",
    "run",
    "-rf",
    "--force",
    "apply",
    "get",
    "pods",
    "add",
    "commit",
    "-m",
    "checkout",
    "src",
    "deploy",
];

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let requests = if bench.quick() { QUICK } else { REQUESTS };
    let path = bench.dir().join("history").join("ledger.jsonl");
    let (ledger, _) = Ledger::open(&path, &Options::default())?;
    let began = Instant::now();
    fill(&ledger, requests)?;
    eprintln!("         {requests} requests written in {:.0} s", began.elapsed().as_secs_f64());
    let index = Index::of(&ledger);
    let (before, began) = (peak()?, Instant::now());
    let mut bytes = 0;
    index.build(&ledger, |_, all| bytes = all)?;
    let (took, grown) = (began.elapsed(), peak()? - before);
    let size = std::fs::metadata(index.status().path)?.len();
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let note = format!(
        "from a ledger of {:.0} MB, with at most {grown:.0} MB of memory",
        megabytes(bytes)
    );
    let mut rows = vec![
        Row::value("the index is built", Unit::Millis, Spread::only(millis(took))).note(note),
        Row::value("its size", Unit::Megabytes, Spread::only(megabytes(size))),
    ];
    let mut pages = Vec::new();
    for (name, query) in queries(requests) {
        let (mut times, mut entries) = (Vec::new(), 0);
        for _ in 0..TIMES {
            let start = Instant::now();
            entries = index.history(&ledger, &query)?.entries.len();
            times.push(millis(start.elapsed()));
        }
        times.sort_by(f64::total_cmp);
        pages.push((times[TIMES / 2], name, entries));
    }
    if index.status().error.is_some() {
        return Err("the index was given up: what was measured is the ledger".into());
    }
    pages.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = pages[pages.len() / 2].0;
    let what = format!("first page, the median of {} filters", pages.len());
    rows.push(Row::value(what, Unit::Millis, Spread::only(median)));
    for (at, (time, name, entries)) in pages.iter().rev().take(5).enumerate() {
        let what = if at == 0 { "first page, the worst filter" } else { "… and the next" };
        let row = Row::value(what, Unit::Millis, Spread::only(*time));
        rows.push(row.budget(Budget::UpTo(50.0)).note(format!("{name}: {entries} found")));
    }
    let query = HistoryQuery { exit_code: Some(77), ..HistoryQuery::default() };
    let start = Instant::now();
    ledger.history(&query)?;
    let row = Row::value(
        "the same without an index",
        Unit::Millis,
        Spread::only(millis(start.elapsed())),
    );
    rows.push(row.note("the whole ledger is read"));
    report.group(&format!("history of {requests} requests"), rows);
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The most memory that this process ever had, in megabytes.
fn peak() -> Outcome<f64> {
    let text = machine::field("/proc/self/status", "VmHWM").ok_or("no VmHWM")?;
    let kilobytes: f64 = text.trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
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
        let at = usize::try_from(self.below(all.len() as u64)).unwrap_or(0);
        all[at]
    }
}

/// What is written of so many requests. Most are over at once, some are asked about, a few end long after.
fn fill(ledger: &Ledger, requests: u64) -> Outcome<()> {
    let mut chance = Chance(1);
    let mut late = Vec::new();
    for first in (0..requests).step_by(AT_ONCE) {
        let mut records = std::mem::take(&mut late);
        for n in first..(first + AT_ONCE as u64).min(requests) {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            id[8..].copy_from_slice(&n.to_be_bytes());
            let id = Id(id);
            records.push(requested(id, n, &mut chance));
            let decision = match chance.below(10) {
                0 => "deny",
                1 | 2 => "ask",
                _ => "allow",
            };
            let executor = chance.of(&["mirror", "mirror", "mirror", "ghost", "local"]);
            records.push(decided(id, decision, executor, &mut chance));
            let out = if chance.below(20) == 0 { &mut late } else { &mut records };
            if decision == "ask" {
                let approved = chance.below(4) > 0;
                let answer = Answered {
                    id,
                    entry: id,
                    approver: chance.of(&["uid 0", "alice", "bob"]).to_owned(),
                    channel: "cli".to_owned(),
                    reason: Some("looks right".to_owned()),
                    kept_until_ms: None,
                    scope: None,
                    holds_until_ms: None,
                    and_what_it_starts: false,
                    inherited_from: None,
                };
                out.push(if approved { Record::Approved(answer) } else { Record::Denied(answer) });
                if !approved {
                    continue;
                }
            }
            if decision != "deny" {
                out.push(started(id, executor));
                out.push(finished(id, &mut chance));
            }
        }
        ledger.append(&records)?;
    }
    ledger.append(&late)?;
    Ok(())
}

fn requested(id: Id, n: u64, chance: &mut Chance) -> Record {
    let file =
        format!("/work/project-{}/src/module_{}.rs", chance.below(40), chance.below(1_000_000));
    let mut argv = vec![chance.of(&TOOLS).to_owned()];
    argv.extend((0..chance.below(5)).map(|_| chance.of(&WORDS).to_owned()));
    argv.push(if n.is_multiple_of(2) { file } else { format!("--id={n:016x}") });
    let container = (chance.below(3) > 0).then(|| {
        let at = chance.below(60);
        Container {
            id: format!("{:064x}", at.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            name: format!("agent-{at}"),
            image: "node:22".to_owned(),
        }
    });
    Record::Requested(Requested {
        id,
        jail: format!("jail-{}", chance.below(12)),
        caller: Caller {
            uid: Some(1000 + u32::try_from(chance.below(8)).unwrap_or(0)),
            gid: Some(1000),
            pid: Some(u32::try_from(chance.below(4_000_000)).unwrap_or(0)),
            container,
            prisoner: Some(format!("{:08x}", chance.below(300))),
        },
        argv: Argv::new(&argv),
        cwd: Some(format!("/work/project-{}", chance.below(40))),
        executable: Some("/usr/bin/tool".to_owned()),
        version: 2,
    })
}

fn decided(id: Id, decision: &str, executor: &str, chance: &mut Chance) -> Record {
    Record::Decided(Decided {
        id,
        decision: decision.to_owned(),
        rule: Some(format!("/etc/clawrden/policy.yaml:{}", chance.below(150))),
        reason: chance.of(&["writes outside", "network", "needs a look", ""]).to_owned(),
        suggest: None,
        noticed: Vec::new(),
        let_through: false,
        executor: executor.to_owned(),
        run_as: None,
    })
}

fn started(id: Id, executor: &str) -> Record {
    Record::Started(Started {
        id,
        executor: executor.to_owned(),
        method: Method::Handoff,
        pid: None,
        stripped: Vec::new(),
        run_as: None,
        ghost: None,
        record: None,
    })
}

fn finished(id: Id, chance: &mut Chance) -> Record {
    let code = if chance.below(8) > 0 { 0 } else { i32::try_from(chance.below(60)).unwrap_or(0) };
    Record::Finished(Finished {
        id,
        exit_code: Some(code),
        signal: None,
        exit_source: "kernel".to_owned(),
        duration_ms: chance.below(5000),
        timed_out: false,
        cancelled: false,
        bytes_out: None,
        error: None,
        recording: None,
    })
}

/// Filters of every kind: what is common, what is rare, what is nowhere; and of two that hold for many requests each
/// and for none together.
fn queries(requests: u64) -> Vec<(String, HistoryQuery)> {
    let none = HistoryQuery::default;
    let some = |text: &str| Some(text.to_owned());
    let mut all = vec![
        none(),
        HistoryQuery { cursor: Some(requests), ..none() },
        HistoryQuery { exit_code: Some(0), ..none() },
        HistoryQuery { exit_code: Some(59), ..none() },
        HistoryQuery { exit_code: Some(77), ..none() },
        HistoryQuery { until_ms: Some(1), ..none() },
        HistoryQuery { since_ms: Some(u64::MAX), ..none() },
        HistoryQuery { decision: some("deny"), exit_code: Some(0), ..none() },
        HistoryQuery { decision: some("allow"), outcome: some("approved"), ..none() },
        HistoryQuery { decision: some("allow"), text: some("alice"), ..none() },
        HistoryQuery {
            executor: some("mirror"),
            outcome: some("denied"),
            exit_code: Some(0),
            ..none()
        },
        HistoryQuery {
            command: some("git push"),
            decision: some("deny"),
            exit_code: Some(3),
            ..none()
        },
        HistoryQuery {
            jail: some("jail-3"),
            container: some("agent-9"),
            rule: some(":77"),
            ..none()
        },
        HistoryQuery {
            jail: some("jail-3"),
            caller: some("1004"),
            exit_code: Some(9),
            text: some("deploy"),
            ..none()
        },
        HistoryQuery { command: some("e"), jail: some("nowhere"), ..none() },
        HistoryQuery { command: some("e"), decision: some("deny"), exit_code: Some(0), ..none() },
        HistoryQuery { text: some("a e i"), decision: some("deny"), exit_code: Some(0), ..none() },
    ];
    for command in [
        "git",
        "g*",
        "*t",
        "kubectl",
        "zz*",
        "git push",
        "push --force main",
        "main push main push main",
        "module_123456",
        "nowhere to be found",
        "qx",
        "~",
        "a",
    ] {
        all.push(HistoryQuery { command: some(command), ..none() });
    }
    for text in [
        "push",
        "deploy apply pods",
        "project-7 project-8 alice",
        "module_99",
        "00000000000f423f",
        "looks",
        "looks wrong",
        "policy.yaml:149",
        "zq",
        "~",
        "e",
    ] {
        all.push(HistoryQuery { text: some(text), ..none() });
    }
    for decision in ["allow", "ask", "deny", "approved", "denied", "expired"] {
        all.push(HistoryQuery { decision: some(decision), ..none() });
    }
    for caller in [
        "1003",
        "9",
        "pid:777",
        "0000012b",
        "container:agent-7",
        "container:9e3779b9",
        "container:none",
    ] {
        all.push(HistoryQuery { caller: some(caller), ..none() });
    }
    for rule in [":149", "policy.yaml:1", "elsewhere"] {
        all.push(HistoryQuery { rule: some(rule), ..none() });
    }
    for executor in ["ghost", "local"] {
        all.push(HistoryQuery { executor: some(executor), ..none() });
    }
    let named = |query: HistoryQuery| {
        let text = serde_json::to_string(&query).unwrap_or_default();
        (text, query)
    };
    all.into_iter().map(named).collect()
}
