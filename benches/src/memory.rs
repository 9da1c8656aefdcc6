//! The warden's memory: with nothing to do, and while thousands wait for a person.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::house::{Bench, House};
use crate::pairs::Spread;
use crate::report::{Budget, Report, Row, Unit};
use crate::{Failure, Outcome, breakdown, client, machine};

/// Requests that wait.
pub(crate) const PENDING: u32 = 10_000;
/// Descriptors that this program and the warden need beside one for each request.
pub(crate) const SPARE: u64 = 500;

/// How long nothing is asked before the warden counts as idle, by its own measure: ten seconds, and time to rest.
const QUIET: Duration = Duration::from_secs(12);

const ASK: &str = "default_action: ask\nrules:\n  - {command: \"true\", action: allow}\n";

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let limit = raise_descriptor_limit();
    let house = bench.house("memory", ASK)?;
    let mut rows = vec![answered(bench, &house, "before all of that")?];
    let value = |what: &str, megabytes| {
        Row::value(what.to_owned(), Unit::Megabytes, Spread::only(megabytes))
    };
    rows.push(value("just after those requests", resident(&house)?));
    std::thread::sleep(QUIET);
    rows.push(value("idle, ten seconds after", resident(&house)?).budget(Budget::UpTo(20.0)));
    let own = memory(&house, "RssAnon")?;
    let what = format!("{PENDING} requests pending");
    if limit.is_some_and(|limit| limit < u64::from(PENDING) + SPARE) {
        let why = format!("the limit on open files ({}) is too low", limit.unwrap_or_default());
        rows.push(Row::skipped(what, why));
    } else {
        let (waiting, stopped) = crowd(&house.socket(), bench.dir());
        let full = resident(&house)?;
        let count = u32::try_from(waiting.len())?;
        // Pages of the program, which come and go, are nobody's.
        let each = (memory(&house, "RssAnon")? - own) * 1e6 / f64::from(count.max(1));
        let all_wait = stopped.is_none();
        let note = match stopped {
            None => {
                format!("{each:.0} bytes and {:.2} descriptors each", descriptors(&house, count))
            }
            Some(why) => format!("ended at {count} ({each:.0} bytes each): {why}"),
        };
        let row = Row::value(what, Unit::Megabytes, Spread::only(full));
        rows.push(row.budget(Budget::UpTo(100.0)).missed_if(!all_wait).note(note));
        if all_wait {
            rows.push(answered(bench, &house, "while they wait")?);
        }
        drop(waiting);
    }
    report.group("the warden's memory (VmRSS)", rows);
    Ok(())
}

/// How long an allowed request waits for its answer. This program's own thousands of descriptors make every start of
/// a process slow, so it is not compared with a start.
fn answered(bench: &Bench, house: &House, when: &str) -> Outcome<Row> {
    let stages = breakdown::client_stages(bench, &house.socket())?;
    let [.., whole] = stages;
    Ok(Row::value(format!("an allowed request is answered, {when}"), Unit::Micros, whole))
}

/// As many requests as are to wait, each another one, with this process's environment; and why there are not more.
pub(crate) fn crowd(socket: &Path, cwd: &Path) -> (Vec<UnixStream>, Option<Failure>) {
    let one = |n| {
        let file = format!("build/output-{n}.o");
        let request = client::version_2("sleep", &["-r", &file], cwd, u128::from(n))?;
        client::wait_for_a_person(socket, &request)
    };
    let mut waiting = Vec::new();
    for n in 0..PENDING {
        match one(n) {
            Ok(stream) => waiting.push(stream),
            Err(why) => return (waiting, Some(why)),
        }
    }
    (waiting, None)
}

/// Megabytes that the warden has in memory, pages of its program included.
fn resident(house: &House) -> Outcome<f64> {
    memory(house, "VmRSS")
}

/// What the kernel says of the warden's memory, in megabytes.
fn memory(house: &House, field: &str) -> Outcome<f64> {
    let text = machine::field(&format!("/proc/{}/status", house.pid()), field)
        .ok_or("the warden has gone")?;
    let kilobytes: f64 = text.trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}

/// The warden's descriptors for each of `count` requests.
fn descriptors(house: &House, count: u32) -> f64 {
    let all = std::fs::read_dir(format!("/proc/{}/fd", house.pid())).map_or(0, Iterator::count);
    f64::from(u32::try_from(all).unwrap_or(u32::MAX)) / f64::from(count.max(1))
}

/// The limit that then holds; `None` is none.
pub(crate) fn raise_descriptor_limit() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // What it was before is enough for everything else.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current
}
