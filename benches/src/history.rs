//! History over a long past: a ledger of a million requests, its index, and the first page of every kind of filter and of
//! every two of them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clawrden_api::HistoryQuery;
use clawrden_warden::index::Index;
use clawrden_warden::ledger::{Ledger, Options};

use crate::Outcome;
use crate::house::Bench;
use crate::machine;
use crate::pairs::Spread;
use crate::queries::{pairs, queries};
use crate::records::fill;
use crate::report::{Budget, Report, Row, Unit};

/// Requests, and in a quick run.
const REQUESTS: u64 = 1_000_000;
const QUICK: u64 = 50_000;

/// How often each filter is asked, and every two of them; the median counts.
const TIMES: usize = 5;
const TIMES_OF_PAIRS: usize = 3;

/// What makes the kernel begin anew with the most memory that a process had.
const RESET_PEAK: &str = "5";

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let requests = if bench.quick() { QUICK } else { REQUESTS };
    let path = bench.dir().join("history").join("ledger.jsonl");
    let (ledger, _) = Ledger::open(&path, &Options::default())?;
    let began = Instant::now();
    let first_ms = now_ms()?;
    fill(&ledger, requests)?;
    let last_ms = now_ms()?;
    let records = ledger.status().sequence;
    eprintln!("         {requests} requests written in {:.0} s", began.elapsed().as_secs_f64());
    let index = Index::of(&ledger);
    // What was measured before may have taken more.
    std::fs::write("/proc/self/clear_refs", RESET_PEAK)?;
    let (before, began) = (peak()?, Instant::now());
    let mut bytes = 0;
    index.build(&ledger, |_, all| bytes = all)?;
    let (took, grown) = (began.elapsed(), peak()? - before);
    let size = std::fs::metadata(index.status().path)?.len();
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let note = format!(
        "from a ledger of {:.0} MB; the process grows by at most {grown:.0} MB",
        megabytes(bytes)
    );
    let rate = records as f64 / took.as_secs_f64();
    let mut rows = vec![
        Row::value("the index is built", Unit::Millis, Spread::only(millis(took))).note(note),
        Row::value("records a second, while it is built", Unit::PerSecond, Spread::only(rate)),
        Row::value("its size", Unit::Megabytes, Spread::only(megabytes(size))),
    ];
    let filters = queries(requests);
    let what = format!("{} filters", filters.len());
    rows.extend(pages(&ledger, &index, filters, &what, TIMES)?);
    let middle = first_ms.midpoint(last_ms);
    let filters = pairs((middle, last_ms))?;
    let what = format!("{} pairs of filters", filters.len());
    rows.extend(pages(&ledger, &index, filters, &what, TIMES_OF_PAIRS)?);
    if index.status().error.is_some() {
        return Err("the index was given up: what was measured is the ledger".into());
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

/// How long the first page takes, and the second where there is one.
fn pages(
    ledger: &Ledger,
    index: &Index,
    filters: Vec<(String, HistoryQuery)>,
    what: &str,
    times: usize,
) -> Outcome<Vec<Row>> {
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for (name, query) in filters {
        let (time, entries, next) = page(ledger, index, &query, times)?;
        if let Some(next) = next {
            let query = HistoryQuery { cursor: Some(next), ..query };
            let (time, entries, _) = page(ledger, index, &query, times)?;
            seconds.push((time, name.clone(), entries));
        }
        firsts.push((time, name, entries));
    }
    let mut rows = Vec::new();
    for (which, mut all) in [("first", firsts), ("second", seconds)] {
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let median = all.get(all.len() / 2).map_or(0.0, |page| page.0);
        let row = format!("{which} page, the median of {what}");
        rows.push(Row::value(row, Unit::Millis, Spread::only(median)));
        for (at, (time, name, entries)) in all.iter().rev().take(3).enumerate() {
            let row = match at {
                0 => format!("{which} page, the worst of them"),
                _ => "… and the next".to_owned(),
            };
            let row = Row::value(row, Unit::Millis, Spread::only(*time));
            rows.push(row.budget(Budget::UpTo(50.0)).note(format!("{name}: {entries} found")));
        }
    }
    Ok(rows)
}

/// The median time of one page, in milliseconds; how much is on it, and where the next begins.
fn page(
    ledger: &Ledger,
    index: &Index,
    query: &HistoryQuery,
    times: usize,
) -> Outcome<(f64, usize, Option<u64>)> {
    let (mut all, mut found) = (Vec::new(), (0, None));
    for _ in 0..times {
        let start = Instant::now();
        let history = index.history(ledger, query)?;
        all.push(millis(start.elapsed()));
        found = (history.entries.len(), history.next);
    }
    Ok((Spread::of(all).median, found.0, found.1))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn now_ms() -> Outcome<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// The most memory that this process ever had, in megabytes.
fn peak() -> Outcome<f64> {
    let text = machine::field("/proc/self/status", "VmHWM").ok_or("no VmHWM")?;
    let kilobytes: f64 = text.trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}
