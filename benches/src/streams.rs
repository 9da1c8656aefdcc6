//! Bytes through a command's standard output and input: natively, with descriptors riding along, and by frames.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::frames::Frames;
use crate::house::{Bench, LOCAL, MIRROR};
use crate::pairs::{Rounds, alternate};
use crate::report::{Budget, Report, Row, Unit};
use crate::{Outcome, client};

/// Bytes of the file that is read several times: small enough to stay in memory.
const FILE: usize = 64 * 1024 * 1024;
/// Bytes that are written at a time.
const PIECE: usize = 64 * 1024;
/// By frames, ours to native.
const BY_FRAMES: Budget = Budget::RatioFrom(0.4);
/// With the descriptors riding along.
const BY_DESCRIPTORS: Budget = Budget::RatioFrom(0.95);

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (mirror, local) =
        (bench.house("streams-mirror", MIRROR)?, bench.house("streams-local", LOCAL)?);
    let (mirror, local) = (mirror.socket(), local.socket());
    let load = Load::new(bench)?;
    let (cat, files) = ("cat", load.files());
    let rounds = Rounds { turns: if bench.quick() { 2 } else { 5 }, runs: 1 };
    let row = |what: &str,
               native: &mut dyn FnMut() -> Outcome<f64>,
               ours: &mut dyn FnMut() -> Outcome<f64>| {
        Ok::<_, crate::Failure>(Row::pair(
            what,
            Unit::MegabytesPerSecond,
            &alternate(rounds, native, ours)?,
        ))
    };
    let mut out = || load.read(bench.native(cat, &files)?);
    let mut rows = vec![
        row("stdout, mirror", &mut out, &mut || load.read(bench.shimmed(cat, &files, &mirror)?))?
            .budget(BY_DESCRIPTORS),
        row("stdout, local, descriptors", &mut out, &mut || {
            load.read(bench.shimmed(cat, &files, &local)?)
        })?
        .budget(BY_DESCRIPTORS),
    ];
    let request = client::version_1(cat, &files, bench.dir())?;
    rows.push(
        row("stdout, frames, version 1 client", &mut out, &mut || {
            load.rate(|| client::ask(&local, &request))
        })?
        .budget(BY_FRAMES),
    );
    let frames = Frames::new(bench)?;
    rows.push(
        row("stdout, frames, shim", &mut out, &mut || load.read_by_frames(bench, &frames))?
            .budget(BY_FRAMES),
    );
    let mut input = || load.write(bench.native("wc", &["-c"])?);
    rows.push(row("stdin, mirror", &mut input, &mut || {
        load.write(bench.shimmed("wc", &["-c"], &mirror)?)
    })?);
    rows.push(row("stdin, local, descriptors", &mut input, &mut || {
        load.write(bench.shimmed("wc", &["-c"], &local)?)
    })?);
    rows.push(
        row("stdin, frames, shim", &mut input, &mut || load.write_by_frames(bench, &frames))?
            .budget(BY_FRAMES),
    );
    let title = format!("{} MiB through a pipe", load.bytes >> 20);
    report.group(&title, rows);
    Ok(())
}

/// Megabytes a second of so many bytes; `carry` says how many came through.
fn rate(bytes: usize, carry: impl FnOnce() -> Outcome<u64>) -> Outcome<f64> {
    let start = Instant::now();
    let carried = carry()?;
    let took = start.elapsed().as_secs_f64();
    if carried != bytes as u64 {
        return Err(format!("{carried} bytes came through instead of {bytes}").into());
    }
    #[allow(clippy::cast_precision_loss)] // A few gigabytes.
    Ok(bytes as f64 / took / 1e6)
}

/// Reads what the command writes, which must be so many bytes; megabytes a second.
pub(crate) fn read_rate(bytes: usize, mut command: Command) -> Outcome<f64> {
    rate(bytes, || {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let read = child.stdout.take().map_or(Ok(0), drain);
        ended_well(child.wait()?)?;
        Ok(read?)
    })
}

/// What is carried.
struct Load {
    file: PathBuf,
    bytes: usize,
}

impl Load {
    fn new(bench: &Bench) -> Outcome<Self> {
        let file = bench.dir().join("load");
        let bytes: Vec<u8> = (0..FILE).map(|n| (n % 251).to_le_bytes()[0]).collect();
        std::fs::write(&file, bytes)?;
        Ok(Self { file, bytes: if bench.quick() { 4 * FILE } else { 16 * FILE } })
    }

    /// The file as often as the whole load takes.
    fn files(&self) -> Vec<&str> {
        vec![self.file.to_str().unwrap_or_default(); self.bytes / FILE]
    }

    /// Megabytes a second; `carry` says how many bytes came through.
    fn rate(&self, carry: impl FnOnce() -> Outcome<u64>) -> Outcome<f64> {
        rate(self.bytes, carry)
    }

    /// Reads what the command writes.
    fn read(&self, command: Command) -> Outcome<f64> {
        read_rate(self.bytes, command)
    }

    /// Writes to the command, which counts.
    fn write(&self, mut command: Command) -> Outcome<f64> {
        self.rate(|| {
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let fed = child.stdin.take().map_or(Ok(()), |to| self.feed(to));
            let counted = child.wait_with_output()?;
            ended_well(counted.status)?;
            fed?;
            count(&counted.stdout)
        })
    }

    fn feed(&self, mut to: impl Write) -> Outcome<()> {
        let piece = vec![b'x'; PIECE];
        for _ in 0..self.bytes / PIECE {
            to.write_all(&piece)?;
        }
        Ok(())
    }

    fn read_by_frames(&self, bench: &Bench, frames: &Frames) -> Outcome<f64> {
        let files = self.files();
        let mut command = bench.shimmed("cat", &files, frames.socket())?;
        self.rate(|| {
            let mut child = command.stdout(Stdio::piped()).spawn()?;
            let run = frames.serve("cat", &files)?;
            let read = child.stdout.take().map_or(Ok(0), drain);
            ended_well(child.wait()?)?;
            run.end()?;
            Ok(read?)
        })
    }

    fn write_by_frames(&self, bench: &Bench, frames: &Frames) -> Outcome<f64> {
        let mut command = bench.shimmed("wc", &["-c"], frames.socket())?;
        self.rate(|| {
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let run = frames.serve("wc", &["-c"])?;
            let fed = child.stdin.take().map_or(Ok(()), |to| self.feed(to));
            let counted = child.wait_with_output()?;
            ended_well(counted.status)?;
            run.end()?;
            fed?;
            count(&counted.stdout)
        })
    }
}

fn drain(from: impl Into<OwnedFd>) -> std::io::Result<u64> {
    let mut from = std::fs::File::from(from.into());
    let mut piece = vec![0; 4 * PIECE];
    let mut all = 0;
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(all),
            n => all += n as u64,
        }
    }
}

fn count(said: &[u8]) -> Outcome<u64> {
    Ok(String::from_utf8_lossy(said).trim().parse()?)
}

fn ended_well(status: std::process::ExitStatus) -> Outcome<()> {
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}").into()) }
}
