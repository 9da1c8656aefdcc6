//! `clawrden ps`: what runs.

use std::path::Path;

use clawrden_api::{RunningEntry, RunningList, display};

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::{Tone, cell, count, paint, print_answer, print_table, table};
use crate::when;

const EXAMPLES: &str = "\
A command marked * runs in the prisoner's own process (by handoff): what it does there is its own.

Examples:
  clawrden ps
  clawrden ps --json | jq '.entries[] | select(.cpu_ms > 60000)'
  clawrden stop 7f3a --reason 'it loops'";

/// Show the commands that run
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let list = ask(control, async |client| client.running().await)?;
    print_answer(&list, args.json, |list| show(list, when::now_ms()))?;
    done()
}

fn show(list: &RunningList, now_ms: u64) {
    if list.entries.is_empty() {
        println!("nothing runs");
        return;
    }
    let headings = ["ID", "AGE", "JAIL", "CALLER", "WHERE", "STATE", "CPU", "MEMORY", "COMMAND"];
    let mut table = table(&headings);
    for entry in &list.entries {
        let tone = if entry.state == "running" { Tone::Good } else { Tone::Warn };
        table.add_row([
            cell(Tone::Strong, &entry.short),
            cell(Tone::Quiet, &display::age(entry.started_ms, now_ms)),
            cell(Tone::Quiet, &display::text(&entry.jail)),
            cell(Tone::Quiet, &caller(entry)),
            cell(Tone::Quiet, &place(entry)),
            cell(tone, &display::text(&entry.state)),
            cell(Tone::Quiet, &entry.cpu_ms.map_or_else(unknown, display::duration)),
            cell(Tone::Quiet, &entry.memory.map_or_else(unknown, size)),
            cell(Tone::Strong, &command(entry)),
        ]);
    }
    print_table(&table);
    let runs = count(list.entries.len(), "command runs", "commands run");
    println!("\n{runs}. {}", paint(Tone::Quiet, "clawrden stop ID ends one"));
}

fn unknown() -> String {
    "?".to_owned()
}

/// The command, and below it the rule that let it run.
fn command(entry: &RunningEntry) -> String {
    let rule = entry.rule.as_deref().unwrap_or("the default action");
    format!("{}\nby {}", display::command(&entry.argv), display::text(rule))
}

fn place(entry: &RunningEntry) -> String {
    let mut place = display::text(&entry.executor);
    if entry.cooperative {
        place.push('*');
    }
    if let Some(user) = &entry.run_as {
        place.push_str(&format!("\nas {}", display::text(user)));
    }
    if let Some(what) = &entry.recording {
        place.push_str(&format!("\nrecorded: {}", display::text(what)));
    }
    place
}

fn caller(entry: &RunningEntry) -> String {
    let known = |name: &str, value: Option<u32>| {
        value.map_or_else(|| format!("{name} unknown"), |value| format!("{name} {value}"))
    };
    let caller = &entry.caller;
    let mut lines = vec![format!("{}, {}", known("uid", caller.uid), known("pid", caller.pid))];
    lines.extend(caller.prisoner.as_ref().map(|id| format!("prisoner {}", display::text(id))));
    lines.extend(
        caller.container.as_ref().map(|found| format!("in {}", display::text(&found.name))),
    );
    lines.join("\n")
}

/// Bytes, as people say them.
fn size(bytes: u64) -> String {
    const STEP: u64 = 1024;
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut whole = bytes / STEP;
    let mut at = 0;
    while whole >= 10 * STEP && at + 1 < units.len() {
        whole /= STEP;
        at += 1;
    }
    format!("{whole} {}", units.get(at).unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0 KiB");
        assert_eq!(size(3 << 20), "3072 KiB");
        assert_eq!(size(100 << 20), "100 MiB");
        assert_eq!(size(100 << 30), "100 GiB");
        assert_eq!(size(u64::MAX), "16777215 TiB");
    }

    #[test]
    fn a_command_in_the_prisoners_own_process_is_marked() {
        let mut entry = RunningEntry { executor: "mirror".to_owned(), ..RunningEntry::default() };
        assert_eq!(place(&entry), "mirror");
        entry.cooperative = true;
        entry.recording = Some("session".to_owned());
        assert_eq!(place(&entry), "mirror*\nrecorded: session");
    }
}
