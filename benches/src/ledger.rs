//! What the ledger costs: its part of one harmless command, requests a second that are on the disk before they start,
//! and bytes a second when it is proved.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clawrden_warden::ledger::{Id, Ledger, Options, Proof, PublicKey, Record, verify_by};

use crate::Outcome;
use crate::house::{Bench, House, MIRROR, find, run};
use crate::pairs::{Spread, alternate, timed};
use crate::records::{self, Chance, fill};
use crate::report::{Budget, Report, Row, Unit};

/// Requests in flight.
const IN_FLIGHT: u64 = 64;

/// Requests of the ledger that is proved, and in a quick run.
const PROVED: u64 = 300_000;
const QUICK: u64 = 50_000;

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let mut rows = one_command(bench)?;
    rows.extend(durable(bench)?);
    rows.push(proof(bench)?);
    report.group("the ledger", rows);
    Ok(())
}

/// There is no warden without a ledger, so its part is what the warden itself measures of its writes, beside the whole
/// command; and a ledger on a real disk beside one in memory, where the disk and its thread cost nothing.
fn one_command(bench: &Bench) -> Outcome<Vec<Row>> {
    let rounds = bench.rounds(20, 25);
    let disk = bench.house("ledger-disk", MIRROR)?;
    let memory = tempfile::Builder::new().prefix("clawrden-bench-").tempdir_in("/dev/shm");
    let mut on_disk = bench.shimmed("true", &[], &disk.socket())?;
    let mut native = bench.native("true", &[])?;
    let (before, mut runs, mut whole) = (written(bench, &disk)?, 0.0, 0.0);
    let pair = alternate(
        rounds,
        || run(&mut native),
        || {
            let took = run(&mut on_disk)?;
            runs += 1.0;
            whole += took;
            Ok(took)
        },
    )?;
    // Sums on both sides: what the machine does meanwhile is in both.
    let used = written(bench, &disk)? - before;
    let part = 100.0 * used / whole;
    let note = format!(
        "{:.1} µs of its writes in {:.0} µs, on average; its thread that waits for the disk is beside",
        used / runs,
        whole / runs
    );
    let mut rows = vec![
        Row::pair("true, mirror by handoff, ledger on a disk", Unit::Micros, &pair),
        Row::value("  the ledger's part of it", Unit::Percent, Spread::only(part))
            .budget(Budget::UpTo(5.0))
            .note(note),
    ];
    let what = "true, ledger on a disk, against one in memory";
    match memory {
        Err(error) => rows.push(Row::skipped(what, format!("/dev/shm: {error}"))),
        Ok(folder) => {
            let ledger = folder.path().join("ledger.jsonl");
            let extra = ["--audit", ledger.to_str().ok_or("/dev/shm is text")?];
            let beside = bench.house_with("ledger-memory", MIRROR, &extra)?;
            let mut in_memory = bench.shimmed("true", &[], &beside.socket())?;
            let pair = alternate(rounds, || run(&mut in_memory), || run(&mut on_disk))?;
            rows.push(Row::pair(what, Unit::Micros, &pair).budget(Budget::RatioUpTo(1.05)));
        }
    }
    Ok(rows)
}

/// Time that a warden has spent on writing its ledger, in microseconds.
fn written(bench: &Bench, house: &House) -> Outcome<f64> {
    let mut metrics = Command::new(bench.clawrden());
    let said = metrics.arg("--control").arg(house.control()).arg("metrics").output()?;
    let text = String::from_utf8(said.stdout)?;
    let line =
        text.lines().find_map(|line| line.strip_prefix("clawrden_ledger_write_seconds_sum "));
    Ok(line.ok_or("the warden does not tell how long it wrote")?.trim().parse::<f64>()? * 1e6)
}

/// Requests whose intent is on the disk before they start, many at once, beside what the disk takes one after the other.
fn durable(bench: &Bench) -> Outcome<Vec<Row>> {
    let time = Duration::from_millis(if bench.quick() { 1000 } else { 5000 });
    let folder = bench.dir().join("durable");
    let (ledger, _) = Ledger::open(&folder.join("ledger.jsonl"), &Options::default())?;
    let alone = disk(&folder.join("plain"), time)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rates = Vec::new();
    for turn in 0..3 {
        rates.push(runtime.block_on(requests(&ledger, time, turn))?);
    }
    let rate = Spread::of(rates);
    let ratio = rate.median / alone;
    let what = format!("durable requests a second, {IN_FLIGHT} in flight");
    Ok(vec![
        Row::value(
            "what the disk takes, one line after the other",
            Unit::PerSecond,
            Spread::only(alone),
        )
        .note("4 lines appended, then fdatasync, as the ledger does"),
        Row::value(what, Unit::PerSecond, rate)
            .budget(Budget::From(alone.min(2000.0)))
            .note(format!("{ratio:.1} times what the disk takes one by one")),
    ])
}

/// How often a second a file takes lines of a request and is on the disk.
fn disk(path: &Path, time: Duration) -> Outcome<f64> {
    let mut file = File::options().append(true).create(true).open(path)?;
    let line = [b'x'; 1600];
    let (start, mut times) = (Instant::now(), 0.0);
    while start.elapsed() < time {
        file.write_all(&line)?;
        file.sync_data()?;
        times += 1.0;
    }
    Ok(times / start.elapsed().as_secs_f64())
}

async fn requests(ledger: &Ledger, time: Duration, turn: u64) -> Outcome<f64> {
    let start = Instant::now();
    let one = async |nth: u64| -> Outcome<u64> {
        let mut chance = Chance(nth);
        let mut done = 0_u64;
        while start.elapsed() < time {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(turn << 32 | nth).to_be_bytes());
            id[8..].copy_from_slice(&done.to_be_bytes());
            let id = Id(id);
            let intent: [Record; 3] = [
                records::requested(id, done, &mut chance),
                records::decided(id, "allow", "local", &mut chance),
                records::started(id, "local"),
            ];
            let seq = ledger.append(&intent)?;
            ledger.promised(seq, true).await?;
            ledger.record(&[records::finished(id, &mut chance)])?;
            done += 1;
        }
        Ok(done)
    };
    let mut all: Vec<_> = (0..IN_FLIGHT).map(|nth| Box::pin(one(nth))).collect();
    let mut done = 0_u64;
    // All are polled whenever one may go on: they are few.
    let mut waiting: Vec<bool> = vec![true; all.len()];
    std::future::poll_fn(|context| {
        for (task, waits) in all.iter_mut().zip(&mut waiting).filter(|(_, waits)| **waits) {
            if let std::task::Poll::Ready(count) = task.as_mut().poll(context) {
                *waits = false;
                match count {
                    Ok(count) => done += count,
                    Err(error) => return std::task::Poll::Ready(Err(error)),
                }
            }
        }
        if waiting.contains(&true) {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(Ok(()))
        }
    })
    .await?;
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// The proof of a ledger, beside another tool that hashes the same bytes.
fn proof(bench: &Bench) -> Outcome<Row> {
    let folder = bench.dir().join("proof");
    let path = folder.join("ledger.jsonl");
    let (ledger, _) = Ledger::open(&path, &Options::default())?;
    fill(&ledger, if bench.quick() { QUICK } else { PROVED })?;
    drop(ledger);
    let keys = vec![PublicKey::of(&folder)?];
    let proof = Proof { keys, keys_given: true, ..Proof::default() };
    let bytes = verify_by(&path, &proof)?.bytes as f64;
    let files: Vec<PathBuf> = fs::read_dir(&folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    let mut other = Command::new(find("sha256sum")?);
    other.args(&files).stdin(Stdio::null()).stdout(Stdio::null());
    let rounds = bench.rounds(5, 2);
    let speed = |time: f64| bytes / time;
    let pair = alternate(
        rounds,
        || Ok(speed(run(&mut other)?)),
        || Ok(speed(timed(|| Ok(verify_by(&path, &proof)?))?)),
    )?;
    let note = format!("{:.0} MB; native is sha256sum, on one processor", bytes / 1e6);
    Ok(Row::pair("the ledger is proved", Unit::MegabytesPerSecond, &pair)
        .budget(Budget::From(500.0))
        .note(note))
}
