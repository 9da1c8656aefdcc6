//! One command from its start to its end: native, by way of the warden, and by way of peers.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::house::{Bench, House, LOCAL, MIRROR, find, run};
use crate::pairs::{Rounds, Spread, alternate, timed};
use crate::report::{Budget, Report, Row, Unit};
use crate::{Outcome, client};

/// The ledger's promise to commands with authority is the one to all others: on the disk soon, not before they start. What
/// is left is what we cost; the disk's part is told by a row of its own.
const SOON: &str = "ledger: {durability: {authority: 50ms}}";

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let soon = bench.dir().join("soon.yaml");
    fs::write(&soon, SOON)?;
    let settings = ["--config", soon.to_str().ok_or("the folder's name is no text")?];
    let mirror = bench.house("spawn-mirror", MIRROR)?;
    let local = bench.house_with("spawn-local", LOCAL, &settings)?;
    let durable = bench.house("spawn-durable", LOCAL)?;
    let rounds = bench.rounds(20, 25);
    let mut rows = governed(bench, "true", &[], "mirror by handoff", &mirror, Some(1.5))?;
    rows.extend(governed(bench, "sh", &["-c", ":"], "mirror by handoff", &mirror, None)?);
    rows.extend(governed(bench, "true", &[], "local, supervised", &local, Some(2.0))?);
    rows.extend(governed(bench, "sh", &["-c", ":"], "local, supervised", &local, None)?);
    rows.push(version_1(bench, &local.socket(), rounds)?);
    rows.extend(governed(bench, "true", &[], "local, on the disk first", &durable, None)?);
    report.group("one command", rows);
    let written = mirror.ledger_bytes() + local.ledger_bytes() + durable.ledger_bytes();
    if written == 0 {
        return Err(
            "the ledgers stayed empty, so this was no measurement of governed commands".into()
        );
    }
    let peers = vec![
        peer(bench, &["sudo", "-n", "true"])?,
        peer(bench, &["bwrap", "--dev-bind", "/", "/", "true"])?,
        peer(bench, &["nsenter", "-t", SELF, "-m", "-u", "-i", "-n", "true"])?,
    ];
    report.group("peers, for comparison", peers);
    Ok(())
}

/// A tool by way of its shim, and, where a budget rests on it, how much of the time the warden works.
fn governed(
    bench: &Bench,
    tool: &str,
    args: &[&str],
    how: &str,
    house: &House,
    budget: Option<f64>,
) -> Outcome<Vec<Row>> {
    let rounds = bench.rounds(20, 25);
    let mut native = bench.native(tool, args)?;
    let mut ours = bench.shimmed(tool, args, &house.socket())?;
    let (before, mut runs) = (house.used(), 0.0);
    let pair = alternate(
        rounds,
        || run(&mut native),
        || {
            runs += 1.0;
            run(&mut ours)
        },
    )?;
    let used = (house.used() - before) / runs;
    let words = [&[tool], args].concat().join(" ");
    let row = Row::pair(format!("{words}, {how}"), Unit::Micros, &pair);
    Ok(match budget {
        None => vec![row],
        Some(most) => vec![
            row.budget(Budget::RatioUpTo(most)),
            Row::value("  the warden's processor time for it", Unit::Micros, Spread::only(used)),
        ],
    })
}

fn version_1(bench: &Bench, socket: &Path, rounds: Rounds) -> Outcome<Row> {
    let mut native = bench.native("true", &[])?;
    let request = client::version_1("true", &[], bench.dir())?;
    let pair = alternate(rounds, || run(&mut native), || timed(|| client::ask(socket, &request)))?;
    Ok(Row::pair("true, version 1 client, local by frames", Unit::Micros, &pair)
        .note("no shim is started"))
}

/// Stands for this process's id.
const SELF: &str = "self";

/// A peer that starts `true`.
fn peer(bench: &Bench, words: &[&str]) -> Outcome<Row> {
    let what = words.join(" ");
    let (Some((&name, args)), rounds) = (words.split_first(), bench.rounds(10, 10)) else {
        return Err("a peer has a name".into());
    };
    let path = match find(name) {
        Ok(path) => path,
        Err(why) => return Ok(Row::skipped(what, why.to_string())),
    };
    let own = std::process::id().to_string();
    let args: Vec<&str> =
        args.iter().map(|&arg| if arg == SELF { &own[..] } else { arg }).collect();
    let mut command = Command::new(path);
    command.args(&args).stdin(std::process::Stdio::null());
    let tried = command.output()?;
    if !tried.status.success() {
        let said = String::from_utf8_lossy(&tried.stderr);
        let said = said.lines().next().unwrap_or("it fails here").to_owned();
        return Ok(Row::skipped(what, said));
    }
    let mut native = bench.native("true", &[])?;
    let mut command = bench.command(&find(name)?, name, &args, Path::new("/nonexistent"))?;
    // The peer's own `true` is to be the real one.
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let pair = alternate(rounds, || run(&mut native), || run(&mut command))?;
    Ok(Row::pair(what, Unit::Micros, &pair))
}
