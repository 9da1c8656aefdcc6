//! `clawrden audit tail`: the newest records, and those that come.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clawrden_api::display;
use serde_json::Value;

use super::{each_line, ledger};
use crate::failure::{Failure, Outcome, done};
use crate::output::{Tone, paint};
use crate::when;

/// How often it is looked whether something came.
const EVERY: Duration = Duration::from_millis(200);

const EXAMPLES: &str = "\
Examples:
  clawrden audit tail
  clawrden audit tail -f
  clawrden audit tail -f --json | jq 'select(.event == \"denied\")'";

/// Show the newest records, and with -f those that come
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The ledger, or its folder; without one, this user's ledger
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
    /// Wait for what comes
    #[arg(long, short)]
    follow: bool,
    /// At most so many of those that are there
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    lines: usize,
    /// The ledger's own lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let path = ledger(args.path.as_deref())?;
    let failed = |e: std::io::Error| Failure::Refused(format!("{}: {e}", path.display()));
    // Opened first: what is written meanwhile is shown by following.
    let mut file = File::open(&path).map_err(failed)?;
    let mut at = file.metadata().map_err(failed)?.len();
    let mut newest: VecDeque<Vec<u8>> = VecDeque::with_capacity(args.lines.min(10_000));
    let mut last = 0;
    each_line(&path, |line| {
        last = seq(line).unwrap_or(last);
        if newest.len() == args.lines {
            newest.pop_front();
        }
        if args.lines > 0 {
            newest.push_back(line.to_vec());
        }
        Ok(())
    })?;
    for line in newest {
        show(&line, args.json)?;
    }
    if !args.follow {
        return done();
    }
    let mut rest = Vec::new();
    loop {
        let before = rest.len();
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        at += file.read_to_end(&mut rest).map_err(failed)? as u64;
        while let Some(end) = rest.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line = &line[..end];
            // What was there already was shown.
            if seq(line).is_none_or(|seq| seq > last) {
                show(line, args.json)?;
            }
        }
        if rest.len() == before {
            std::thread::sleep(EVERY);
        }
        let is_same = |a: &File, b: &File| matches!((a.metadata(), b.metadata()), (Ok(a), Ok(b)) if a.ino() == b.ino());
        // Rotated: when nothing more is in the old file, the next one begins.
        if let Ok(current) = File::open(&path)
            && !is_same(&file, &current)
            && file.metadata().is_ok_and(|about| about.len() == at)
        {
            (file, at, rest) = (current, 0, Vec::new());
        }
    }
}

fn seq(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(line).ok()?["seq"].as_u64()
}

fn show(line: &[u8], json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = if json {
        out.write_all(line).and_then(|()| out.write_all(b"\n"))
    } else {
        writeln!(out, "{}", row(line))
    };
    written
        .and_then(|()| out.flush())
        .map_err(|e| Failure::Refused(format!("standard output cannot be written: {e}")))
}

/// One record for a person.
fn row(line: &[u8]) -> String {
    let Ok(record) = serde_json::from_slice::<Value>(line) else {
        return paint(Tone::Bad, &display::text(&String::from_utf8_lossy(line)));
    };
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    let event = text("event");
    let tone = match (event, text("decision")) {
        (
            "denied" | "expired" | "failed" | "killed" | "stopped" | "disk_failed" | "recovered",
            _,
        )
        | ("decided", "deny") => Tone::Bad,
        ("decided", "ask") => Tone::Warn,
        ("approved" | "grant_used", _) => Tone::Good,
        _ => Tone::Strong,
    };
    let time = record["time_ms"].as_u64().unwrap_or_default();
    let id = text("id").get(..8).unwrap_or_default();
    let row = format!(
        "{} {} {} {} {}",
        paint(Tone::Quiet, &when::moment(time, when::now_ms())),
        paint(Tone::Quiet, &format!("{:>7}", record["seq"].as_u64().unwrap_or_default())),
        paint(tone, &format!("{:<14}", display::text(event))),
        paint(Tone::Quiet, &display::text(id)),
        details(&record)
    );
    row.trim_end().to_owned()
}

/// What is told of a record beside its event.
fn details(record: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(argv) = record["argv"].as_array() {
        let argv: Vec<String> =
            argv.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect();
        parts.push(display::command(&argv));
    }
    for key in [
        "decision",
        "rule",
        "executor",
        "approver",
        "by",
        "reason",
        "exit_code",
        "signal",
        "duration_ms",
        "timed_out",
        "error",
        "source",
        "segment",
        "version",
    ] {
        match &record[key] {
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => parts.push(format!("{key}={}", display::text(text))),
            other => parts.push(format!("{key}={}", display::text(&other.to_string()))),
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_harmless_row() {
        let line = br#"{"seq":7,"time_ms":1,"event":"requested","id":"07070707","argv":["ls","\u001b[2J\n"]}"#;
        let text = row(line);
        assert!(text.contains("requested") && text.contains("07070707 ls"), "{text}");
        assert!(text.chars().all(display::is_plain), "{text:?}");
        assert!(row(b"\x1b[2J").chars().all(display::is_plain));
    }
}
