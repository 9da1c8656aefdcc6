//! The control API: how fast a long queue is listed, how many events reach how many listeners, and how soon a yes reaches
//! who waits for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::house::{Bench, House};
use crate::pairs::Spread;
use crate::report::{Budget, Report, Row, Unit};
use crate::{Outcome, client, memory, released};

/// Listeners at once.
const LISTENERS: usize = 200;
/// Events a second that happen.
const RATE: u32 = 1_000;
/// Who ask at once, so that these come about.
const ASKERS: u32 = 4;
/// How long, in seconds; a quick run takes one.
const SECONDS: u32 = 5;
/// How long after the last event the slowest listener is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

const ASK: &str = "default_action: ask\n";

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let limit = memory::raise_descriptor_limit();
    let mut rows = Vec::new();
    let needed = u64::from(memory::PENDING) + memory::SPARE;
    if limit.is_some_and(|limit| limit < needed) {
        rows.push(Row::skipped("a long queue", "the limit on open files is too low".to_owned()));
    } else {
        let house = bench.house("api-queue", ASK)?;
        let (waiting, stopped) = memory::crowd(&house.socket(), bench.dir());
        if let Some(why) = stopped {
            return Err(why);
        }
        let times = if bench.quick() { 5 } else { 30 };
        for (what, path, most) in [
            ("the queue of 10,000, all of it", "/api/queue", Budget::UpTo(20.0)),
            ("its first page of 100", "/api/queue?limit=100", Budget::UpTo(20.0)),
        ] {
            let mut spent = Vec::new();
            let mut bytes = 0;
            for _ in 0..times {
                let clock = Instant::now();
                bytes = fetch(&house, path)?;
                spent.push(clock.elapsed().as_secs_f64() * 1e3);
            }
            let note = format!("{:.1} MB", f64::from(u32::try_from(bytes)?) / 1e6);
            let row = Row::value(what, Unit::Millis, Spread::of(spent));
            rows.push(row.budget(most).note(note));
        }
        drop(waiting);
    }
    rows.extend(listeners(bench)?);
    rows.extend(released::measure(bench)?);
    report.group("the control API", rows);
    Ok(())
}

/// One request; gives the bytes of the whole answer.
fn fetch(house: &House, path: &str) -> Outcome<usize> {
    let mut stream = UnixStream::connect(house.control())?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    if said.starts_with(b"HTTP/1.1 200") {
        return Ok(said.len());
    }
    Err(format!("{path}: {}", String::from_utf8_lossy(&said[..said.len().min(200)])).into())
}

/// What one listener heard, and when the last of it.
type Heard = (u32, Option<Instant>);

/// Reads events until so many `waiting` have come, or nothing comes any more.
fn listen(control: &Path, wanted: u32) -> Outcome<thread::JoinHandle<Heard>> {
    let mut stream = UnixStream::connect(control)?;
    stream.write_all(b"GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream);
    // The answer has begun: what happens from here on is told.
    let mut line = Vec::new();
    while !line.starts_with(b"event: hello") {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Err("there is no place for this listener".into());
        }
    }
    Ok(thread::spawn(move || {
        let (mut heard, mut last) = (0, None);
        while heard < wanted {
            line.clear();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if line.starts_with(b"event: waiting") {
                heard += 1;
                last = Some(Instant::now());
            }
        }
        (heard, last)
    }))
}

/// Asks for the `n`th time, once that is due, and gives the connection that waits.
fn ask(house: &House, dir: &Path, n: u32, start: Instant) -> Result<UnixStream, String> {
    let due = Duration::from_secs_f64(f64::from(n) / f64::from(RATE));
    thread::sleep(due.saturating_sub(start.elapsed()));
    let asked = client::version_2("sleep", &[&format!("-{n}")], dir, u128::from(n));
    let waits = asked.and_then(|request| client::wait_for_a_person(&house.socket(), &request));
    waits.map_err(|error| error.to_string())
}

fn listeners(bench: &Bench) -> Outcome<Vec<Row>> {
    let house = bench.house("api-events", ASK)?;
    let seconds = if bench.quick() { 1 } else { SECONDS };
    let total = RATE * seconds;
    let all: Vec<_> =
        (0..LISTENERS).map(|_| listen(&house.control(), total)).collect::<Outcome<_>>()?;
    let before = house.used();
    let start = Instant::now();
    // Each waits for an answer before it goes on, as a client does: one alone would be as slow as one answer.
    let waiting = thread::scope(|scope| {
        let (house, dir) = (&house, bench.dir());
        let all = (0..ASKERS).map(|asker| {
            let mine = (asker..total).step_by(ASKERS as usize);
            scope.spawn(move || {
                mine.map(|n| ask(house, dir, n, start)).collect::<Result<Vec<_>, _>>()
            })
        });
        let all: Vec<_> = all.collect();
        let ended =
            all.into_iter().map(|one| one.join().map_err(|_| "an asker failed".to_owned())?);
        ended.collect::<Result<Vec<_>, String>>()
    })?;
    let took = start.elapsed();
    let end = Instant::now();
    let heard: Vec<Heard> = all.into_iter().map(|one| one.join().unwrap_or_default()).collect();
    drop(waiting);
    let used = (house.used() - before) / 1e4 / took.as_secs_f64();
    let whole = heard.iter().filter(|(count, _)| *count == total).count();
    let late = heard.iter().filter_map(|(_, last)| *last);
    let late = late.map(|last| last.saturating_duration_since(end).as_secs_f64() * 1e3);
    let late: Vec<f64> = late.collect();
    let rate = f64::from(total) / took.as_secs_f64();
    let what = format!("events a second to {LISTENERS} listeners");
    let note = format!("{whole} heard all {total}; the warden used {used:.0} % of one processor");
    Ok(vec![
        Row::value(what, Unit::PerSecond, Spread::only(rate))
            .budget(Budget::From(f64::from(RATE) * 0.97))
            .missed_if(whole < LISTENERS)
            .note(note),
        Row::value("the last event comes after its cause by", Unit::Millis, Spread::of(late)),
    ])
}
