//! Many commands at once: each lives until all of them do, so that as many as are named are in flight.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Instant;

use rustix::pipe::{PipeFlags, pipe_with};

use crate::Outcome;
use crate::house::{Bench, LOCAL, MIRROR};
use crate::pairs::alternate;
use crate::report::{Budget, Report, Row, Unit};

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (mirror, local) =
        (bench.house("crowd-mirror", MIRROR)?, bench.house("crowd-local", LOCAL)?);
    let mut rows = Vec::new();
    for (at_once, batches) in [(1, 128), (64, 4), (512, 1)] {
        let row = crowd(bench, "mirror", &mirror.socket(), at_once, batches)?;
        rows.push(if at_once == 512 { row.budget(Budget::RatioFrom(0.5)) } else { row });
    }
    for (at_once, batches) in [(64, 2), (512, 1)] {
        rows.push(crowd(bench, "local", &local.socket(), at_once, batches)?);
    }
    report.group("cat, so many in flight", rows);
    Ok(())
}

fn crowd(bench: &Bench, how: &str, socket: &Path, at_once: usize, batches: usize) -> Outcome<Row> {
    let mut failures = 0;
    let turns = if bench.quick() { 3 } else { 7 };
    let rounds = crate::pairs::Rounds { turns, runs: 1 };
    let pair = alternate(
        rounds,
        || rate(bench.native("cat", &[])?, at_once, batches).map(|(rate, _)| rate),
        || {
            let (rate, failed) = rate(bench.shimmed("cat", &[], socket)?, at_once, batches)?;
            failures += failed;
            Ok(rate)
        },
    )?;
    let runs = (turns + 1) * batches * at_once;
    Ok(Row::pair(format!("{at_once}, {how}"), Unit::PerSecond, &pair)
        .missed_if(failures > 0)
        .note(format!("{failures} of {runs} failed")))
}

/// Commands a second, and how many of them failed.
fn rate(mut command: Command, at_once: usize, batches: usize) -> Outcome<(f64, usize)> {
    let mut failed = 0;
    let start = Instant::now();
    for _ in 0..batches {
        let (input, hold): (OwnedFd, OwnedFd) = pipe_with(PipeFlags::CLOEXEC)?;
        command.stdin(input);
        let children: Vec<Child> =
            (0..at_once).map(|_| command.spawn()).collect::<Result<_, _>>()?;
        drop(hold);
        for mut child in children {
            failed += usize::from(!child.wait()?.success());
        }
    }
    let took = start.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // A few thousand.
    let commands = (at_once * batches) as f64;
    Ok((commands / took, failed))
}
