//! `clawrden history`: what was asked, decided and done, from the ledger, newest first.

use std::path::Path;

use clawrden_api::{History, HistoryEntry, HistoryQuery, display};

use crate::connection::{Connection, block_on};
use crate::failure::{Failure, Outcome, done};
use crate::output::{Tone, cell, paint, print_json, print_table, table};
use crate::when;

/// Entries of one page when all are wanted: the most that the warden gives at once.
const WHOLE_PAGE: usize = 1000;

const EXAMPLES: &str = "\
Examples:
  clawrden history
  clawrden history --decision deny --since 1h
  clawrden history --command 'npm*' --jail ci --limit 200
  clawrden history --text 'left-pad lockfile' --outcome approved
  clawrden history --since 2026-05-04 --until '2026-05-04 12:00' --all --json";

/// Show what was asked, decided and done
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A glob on the tool's name, or a part of the command line
    #[arg(long, value_name = "PATTERN")]
    command: Option<String>,
    /// A request's id, or its first 4 digits or more
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// What was decided, or what came of an ask
    #[arg(long, value_name = "DECISION", value_parser = ["allow", "ask", "deny", "approved", "denied", "expired"])]
    decision: Option<String>,
    /// A uid, `pid:N`, `container:NAME` (or the start of its id), or a prisoner's id
    #[arg(long, value_name = "WHO")]
    caller: Option<String>,
    /// A jail
    #[arg(long, value_name = "NAME")]
    jail: Option<String>,
    /// Words, each of which stands somewhere: in the command line, the folder, the rule, the reason, the answer …
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// What came of an ask
    #[arg(long, value_name = "OUTCOME", value_parser = ["approved", "denied", "expired", "caller_left"])]
    outcome: Option<String>,
    /// Where it ran
    #[arg(long, value_name = "EXECUTOR", value_parser = ["mirror", "ghost", "local"])]
    executor: Option<String>,
    /// A part of the rule's name, such as `policy.yaml:12`
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// An exit code
    #[arg(long, value_name = "CODE", allow_negative_numbers = true)]
    exit_code: Option<i32>,
    /// A container's name, or the start of its id
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// Not before: a span back from now, or a moment
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not after: a span back from now, or a moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = limit)]
    limit: usize,
    /// Go on behind a page: the cursor that it ended with
    #[arg(long, value_name = "N")]
    cursor: Option<u64>,
    /// Every page, one after the other; in JSON, one document a page
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=WHOLE_PAGE) => Ok(n),
        _ => Err(format!("a number from 1 to {WHOLE_PAGE}; `--all` gives everything")),
    }
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    let (all, json, in_detail) = (args.all, args.json, args.id.is_some());
    let mut query = query(args, when::now_ms())?;
    let connection = Connection::new(control)?;
    block_on(async {
        loop {
            let page = connection.client.history(&query).await;
            let page = page.map_err(Connection::failure)?;
            let is_next = query.cursor.is_some();
            match json {
                true => print_json(&page)?,
                false => show(&page, is_next, all, in_detail),
            }
            query.cursor = page.next;
            if !all || page.next.is_none() {
                return Ok::<(), Failure>(());
            }
        }
    })??;
    done()
}

fn query(args: Args, now_ms: u64) -> Result<HistoryQuery, Failure> {
    let time = |flag: &str, text: Option<String>| {
        text.map(|t| when::parse(&t, now_ms))
            .transpose()
            .map_err(|e| Failure::Usage(format!("{flag}: {e}")))
    };
    Ok(HistoryQuery {
        id: args.id,
        command: args.command,
        decision: args.decision,
        caller: args.caller,
        jail: args.jail,
        text: args.text,
        outcome: args.outcome,
        executor: args.executor,
        rule: args.rule,
        exit_code: args.exit_code,
        container: args.container,
        since_ms: time("--since", args.since)?,
        until_ms: time("--until", args.until)?,
        limit: Some(if args.all { WHOLE_PAGE } else { args.limit }),
        cursor: args.cursor,
        jails: Vec::new(),
    })
}

fn show(page: &History, continued: bool, all: bool, in_detail: bool) {
    if page.entries.is_empty() {
        if !continued {
            println!("nothing found");
        }
        return;
    }
    let now = when::now_ms();
    let mut table = table(&["TIME", "ID", "JAIL", "DECISION", "RESULT", "TOOK", "COMMAND"]);
    for entry in &page.entries {
        let (tone, decision) = decision(entry);
        let from = entry.answered_from.as_ref().filter(|_| in_detail);
        let from = from.map_or(String::new(), |from| format!("\nfrom {}", display::text(from)));
        let (result_tone, result) = result(entry);
        table.add_row([
            cell(Tone::Quiet, &when::moment(entry.time_ms, now)),
            cell(Tone::Quiet, &display::text(entry.id.get(..8).unwrap_or(&entry.id))),
            cell(Tone::Quiet, &place(entry)),
            cell(tone, &[decision, from].concat()),
            cell(result_tone, &result),
            cell(Tone::Quiet, &entry.duration_ms.map(display::duration).unwrap_or_default()),
            cell(Tone::Strong, &display::command(&entry.argv)),
        ]);
    }
    print_table(&table);
    if let (Some(next), false) = (page.next, all) {
        println!(
            "{}",
            paint(Tone::Quiet, &format!("more: the same with --cursor {next}, or --all"))
        );
    }
}

/// The jail, and the container where it came from one.
fn place(entry: &HistoryEntry) -> String {
    let container = entry.caller.container.as_ref();
    let inside = container.map(|container| format!("\nin {}", display::text(&container.name)));
    format!("{}{}", display::text(&entry.jail), inside.unwrap_or_default())
}

fn decision(entry: &HistoryEntry) -> (Tone, String) {
    let decided = entry.decision.as_deref().unwrap_or("undecided");
    let tone = match (decided, entry.outcome.as_deref()) {
        ("allow", _) | (_, Some("approved")) => Tone::Good,
        ("deny", _) | (_, Some("denied" | "expired")) => Tone::Bad,
        _ => Tone::Warn,
    };
    let mut text = decided.to_owned();
    if let Some(outcome) = &entry.outcome {
        text = format!("{text}, {}", outcome.replace('_', " "));
    }
    if let Some(approver) = &entry.approver {
        text = format!("{text} by {approver}");
    }
    if let Some(rule) = &entry.rule {
        text = format!("{text}\n{rule}");
    }
    // The lines are ours, what stands in them need not be.
    (tone, text.lines().map(display::text).collect::<Vec<_>>().join("\n"))
}

fn result(entry: &HistoryEntry) -> (Tone, String) {
    let (tone, mut text) = match (entry.exit_code, entry.signal) {
        _ if entry.timed_out => (Tone::Bad, "timed out".to_owned()),
        (Some(0), _) => (Tone::Good, "exit 0".to_owned()),
        (Some(code), _) => (Tone::Warn, format!("exit {code}")),
        (None, Some(signal)) => (Tone::Warn, format!("killed by signal {signal}")),
        (None, None) if !entry.started => (Tone::Quiet, "not started".to_owned()),
        (None, None) => {
            (Tone::Quiet, entry.exit_source.clone().unwrap_or_else(|| "no end recorded".to_owned()))
        }
    };
    if entry.exit_source.as_deref() == Some("shim") {
        text.push_str(" (the shim's word)");
    }
    if let Some(user) = &entry.run_as {
        text = format!("{text}, as {user}");
    }
    if let Some(error) = &entry.error {
        text = format!("{text}: {error}");
    }
    (tone, display::text(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_only_the_shim_tells_is_marked() {
        let entry = HistoryEntry {
            started: true,
            exit_code: Some(0),
            exit_source: Some("shim".into()),
            ..HistoryEntry::default()
        };
        assert_eq!(result(&entry).1, "exit 0 (the shim's word)");
    }

    #[test]
    fn what_never_started_is_said_so() {
        let entry = HistoryEntry { decision: Some("deny".into()), ..HistoryEntry::default() };
        assert_eq!(result(&entry), (Tone::Quiet, "not started".into()));
        assert_eq!(decision(&entry), (Tone::Bad, "deny".into()));
    }

    #[test]
    fn an_approver_cannot_write_to_the_terminal() {
        let entry = HistoryEntry {
            decision: Some("ask".into()),
            outcome: Some("approved".into()),
            approver: Some("eve\u{1b}[31m".into()),
            ..HistoryEntry::default()
        };
        assert!(!decision(&entry).1.contains('\u{1b}'));
    }

    #[test]
    fn a_limit_is_from_one_to_a_thousand() {
        assert_eq!(limit("1000"), Ok(1000));
        for bad in ["0", "1001", "-1", "x"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }
}
