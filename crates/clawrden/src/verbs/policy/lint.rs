//! `clawrden policy lint`: what loads and is most likely not meant.

use std::path::Path;
use std::process::ExitCode;

use clawrden_api::display;
use clawrden_policy::{Diagnostic, Lint, MAX_POLICY_BYTES, Policy};
use serde::Serialize;

use super::check::coloured;
use super::{Files, STOCK, said};
use crate::bounded::read_bounded;
use crate::failure::{Failure, Outcome, REFUSED};
use crate::output::{Tone, count, paint, print_json};

const EXAMPLES: &str = "\
Exit codes, besides those of every verb:
  0  nothing to say
  1  something to look at
  2  a file does not load: `clawrden policy check` says why

Examples:
  clawrden policy lint
  clawrden policy lint policy.yaml
  clawrden policy lint --json policy.yaml | jq '.[] | select(.kind == \"unreachable\")'";

/// Look for rules that are never reached, that contradict each other, or let more through than they say
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    of: Files,
}

/// One piece of advice, for programs.
#[derive(Serialize)]
struct Entry {
    file: String,
    line: u32,
    column: u32,
    rule: String,
    kind: &'static str,
    message: String,
    help: String,
}

/// A policy, and its text to show lines of.
struct Read {
    policy: Policy,
    name: String,
    text: String,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> Outcome {
    let files = args.of.named()?;
    let mut all: Vec<Read> = files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    if all.is_empty() {
        let text = Policy::stock_source().text;
        all.push(Read { policy: Policy::stock(), name: STOCK.to_owned(), text });
    }
    let found: Vec<(&Read, Vec<Lint>)> =
        all.iter().map(|read| (read, read.policy.lint())).collect();
    let clean = found.iter().all(|(_, lints)| lints.is_empty());
    if args.of.json {
        let entries = found.iter().flat_map(|(read, lints)| lints.iter().map(|l| entry(read, l)));
        print_json(&entries.collect::<Vec<Entry>>())?;
    } else {
        found.iter().for_each(|(read, lints)| show(read, lints));
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn read(file: &Path) -> Result<Read, Failure> {
    let name = file.display().to_string();
    let text = read_bounded(file, MAX_POLICY_BYTES)
        .map_err(|e| Failure::Usage(format!("the policy {name:?} cannot be read: {e}")))?;
    let policy = Policy::from_yaml(&name, &text).map_err(|e| Failure::Usage(said(&e)))?;
    Ok(Read { policy, name, text })
}

/// The name and the text of the file that the rule stands in: the policy's own, or a pack's.
fn place<'r>(read: &'r Read, lint: &'r Lint) -> (&'r str, &'r str) {
    let pack = lint.rule.file.strip_prefix("pack:").and_then(Policy::pack);
    pack.map_or((&read.name, &read.text), |text| (&lint.rule.file, text))
}

fn entry(read: &Read, lint: &Lint) -> Entry {
    Entry {
        file: place(read, lint).0.to_owned(),
        line: lint.rule.line,
        column: lint.rule.column,
        rule: lint.rule.to_string(),
        kind: lint.kind.as_str(),
        message: lint.message.clone(),
        help: lint.help.clone(),
    }
}

fn show(read: &Read, lints: &[Lint]) {
    for lint in lints {
        let at = usize::try_from(lint.rule.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let (file, text) = place(read, lint);
        let text = Diagnostic {
            file: file.to_owned(),
            line: lint.rule.line,
            column: lint.rule.column,
            width: 1,
            message: lint.message.clone(),
            help: lint.help.clone(),
            source_line: text.lines().nth(at).unwrap_or_default().to_owned(),
            skipped: 0,
        }
        .to_string();
        let text = text.replacen("error:", "warning:", 1);
        println!("{}\n", coloured(&text, Tone::Warn));
    }
    let name = display::text(&read.name);
    match lints.len() {
        0 => println!("{} {name}: nothing to say", paint(Tone::Good, "ok")),
        n => println!("{name}: {}", count(n, "warning", "warnings")),
    }
}
