//! `clawrden grants`: approvals that are kept for a caller that has gone or are for more than one run; taking one back.

use std::path::Path;

use clawrden_api::{GrantEntry, GrantList, GrantScope, RevokeRequest, display};

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::{Tone, cell, count, paint, print_answer, print_table, table};
use crate::verbs::answer::check_id;
use crate::when;

const EXAMPLES: &str = "\
Each lets exactly what was approved run: once, for the prisoner's life, or for a time.

Examples:
  clawrden grants
  clawrden grants --json | jq -r '.entries[].id'
  clawrden grants revoke 7f3a --reason 'approved the wrong one'";

/// List approvals that were not used yet or are for more than one run; take one back
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Take an approval back: nothing more runs by it
    #[command(after_help = "\
Examples:
  clawrden grants revoke 7f3a --reason 'approved the wrong one'")]
    Revoke {
        /// The grant, as `clawrden grants` shows it: at least four digits of its id
        #[arg(value_name = "ID")]
        id: String,
        /// Why; for the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    match args.what {
        Some(What::Revoke { id, reason, json }) => {
            check_id(&id)?;
            let request = RevokeRequest { reason };
            let report = ask(control, async |client| client.revoke(&id, &request).await)?;
            print_answer(&report, json, |report| {
                println!("revoked {}", report.id.get(..8).unwrap_or(&report.id));
            })?;
        }
        None => {
            let list = ask(control, async |client| client.grants().await)?;
            print_answer(&list, args.json, show)?;
        }
    }
    done()
}

fn show(list: &GrantList) {
    if list.entries.is_empty() {
        println!("no approval is kept");
        return;
    }
    let now = when::now_ms();
    let mut table = table(&["ID", "JAIL", "COMMAND", "APPROVED"]);
    for entry in &list.entries {
        table.add_row([
            cell(Tone::Strong, &entry.short),
            cell(Tone::Quiet, &display::text(&entry.jail)),
            cell(Tone::Strong, &command(entry)),
            cell(Tone::Quiet, &approved(entry, now)),
        ]);
    }
    print_table(&table);
    let kept = count(list.entries.len(), "approval is kept", "approvals are kept");
    println!("\n{kept}. {}", paint(Tone::Quiet, "clawrden grants revoke ID takes one back"));
}

fn command(entry: &GrantEntry) -> String {
    let mut text = display::command(&entry.argv);
    if let Some(pattern) = &entry.pattern {
        text = format!("{}\nas {text}", display::text(pattern));
    }
    if let Some(cwd) = &entry.cwd {
        text.push_str(&format!("\nin {}", display::text(cwd)));
    }
    text
}

fn approved(entry: &GrantEntry, now: u64) -> String {
    let holds = match entry.scope {
        GrantScope::Once => "kept",
        GrantScope::Session => "for the prisoner's life, at most",
        GrantScope::Time => "every time",
    };
    let mut text = format!(
        "by {}, through {}\n{holds} for {}",
        display::text(&entry.approver),
        display::text(&entry.channel),
        display::duration(entry.until_ms.saturating_sub(now)),
    );
    if entry.scope != GrantScope::Once {
        text.push_str(&match entry.last_used_ms {
            Some(last) => format!(
                "\nused {}, last {} ago",
                count(usize::try_from(entry.uses).unwrap_or(usize::MAX), "time", "times"),
                display::duration(now.saturating_sub(last))
            ),
            None => "\nnot used yet".to_owned(),
        });
    }
    if entry.and_what_it_starts {
        text.push_str("\nwith what it starts, as long as it runs");
    }
    if let Some(reason) = &entry.reason {
        text.push_str(&format!("\n{}", display::text(reason)));
    }
    if entry.reserved {
        text.push_str("\nfor the caller that a restart cut off");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_somebody_wrote_reaches_the_terminal_raw() {
        let entry = GrantEntry {
            argv: vec!["a\u{1b}[2Jb".into()],
            cwd: Some("/x\u{202e}y".into()),
            approver: "al\u{7}ice".into(),
            reason: Some("because\nof".into()),
            until_ms: 61_000,
            reserved: true,
            ..GrantEntry::default()
        };
        let text = format!("{}\n{}", command(&entry), approved(&entry, 1000));
        let harmless = |c: char| c == '\n' || (!c.is_control() && c != '\u{202e}');
        assert!(text.chars().all(harmless), "{text:?}");
        assert!(text.contains("restart"), "{text}");
    }
}
