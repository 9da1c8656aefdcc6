//! The shim by itself: how large it is, and how long it takes to find out that there is no warden.

use std::fs;

use crate::Outcome;
use crate::house::{Bench, run};
use crate::pairs::{Spread, alternate, timed};
use crate::report::{Budget, Report, Row, Unit};

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let size = fs::metadata(bench.bin().join("clawrden-shim"))?.len();
    #[allow(clippy::cast_precision_loss)] // A file's size is far from 2^52.
    let size = Row::value("size of the binary", Unit::Bytes, Spread::only(size as f64));
    let mut native = bench.native("true", &[])?;
    let missing = bench.dir().join("nobody.sock");
    let mut alone = bench.shimmed("true", &[], &missing)?;
    let start = alternate(
        bench.rounds(20, 25),
        || run(&mut native),
        || {
            timed(|| match alone.status()?.code() {
                Some(125) => Ok(()),
                other => Err(format!("a shim without a warden ended with {other:?}").into()),
            })
        },
    )?;
    report.group(
        "the shim by itself",
        vec![
            size.budget(Budget::UpTo(64.0 * 1024.0)),
            Row::pair("start, and end for want of a warden", Unit::Micros, &start)
                .note("beside native true"),
        ],
    );
    Ok(())
}
