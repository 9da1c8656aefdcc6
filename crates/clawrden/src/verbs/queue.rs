//! `clawrden queue`: what waits for a person. Whole commands are shown: nobody approves what they cannot see.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use clawrden_api::{Queue, QueueEntry, display};

use crate::connection::{Connection, block_on};
use crate::failure::{Failure, Outcome, done};
use crate::output::{Tone, cell, count, paint, print_json, print_table, table};
use crate::verbs::approvals;
use crate::verbs::follow::{Change, Follow};
use crate::when;

/// How often `--watch` draws the ages anew.
const PERIOD: Duration = Duration::from_secs(1);
/// Clears the screen and goes to its top.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// Digits of a container's id that are shown.
const SHOWN_DIGITS: usize = 12;

const EXAMPLES: &str = "\
Examples:
  clawrden queue
  clawrden queue --watch
  clawrden queue --json | jq -r '.entries[].id'";

/// Show the requests that wait for an answer
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Keep showing, until Ctrl-C; with --json, a line whenever something has changed
    #[arg(long)]
    watch: bool,
    /// Show every argument whole, however long it is
    #[arg(long)]
    full: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let connection = Connection::new(control)?;
    block_on(async {
        if args.watch {
            return watch(&connection, args).await;
        }
        let queue = connection.client.queue().await.map_err(Connection::failure)?;
        show(&queue, args)
    })??;
    done()
}

async fn watch(connection: &Connection, args: &Args) -> Result<(), Failure> {
    let screen = !args.json && std::io::stdout().is_terminal();
    let mut follow = Follow::new(connection);
    let mut shown: Option<Queue> = None;
    loop {
        // On a screen the ages go on, whether something changes or not.
        let change = match screen && shown.is_some() {
            true => tokio::time::timeout(PERIOD, follow.next()).await.ok(),
            false => Some(follow.next().await),
        };
        match change.transpose()? {
            Some(Change::Queue(queue, _)) if screen || shown.as_ref() != Some(&queue) => {
                shown = Some(queue);
            }
            Some(Change::Queue(..)) => continue,
            Some(Change::Gone(why)) => return Err(Failure::Unreachable(why)),
            None => {}
        }
        if screen {
            print!("{CLEAR}");
        }
        if let Some(queue) = &shown {
            show(queue, args)?;
        }
    }
}

/// One request, whole, for whoever is about to answer it.
pub(crate) fn told(entry: &QueueEntry, now_ms: u64) -> String {
    format!("{}\n{}", what(entry, true), why(entry, now_ms))
}

fn show(queue: &Queue, args: &Args) -> Result<(), Failure> {
    if args.json {
        return print_json(queue);
    }
    if queue.entries.is_empty() {
        println!("nothing waits");
        return Ok(());
    }
    let now = when::now_ms();
    let mut table = table(&["ID", "AGE", "JAIL", "COMMAND", "WHY IT ASKS"]);
    for entry in &queue.entries {
        table.add_row([
            cell(Tone::Strong, &entry.short),
            cell(Tone::Warn, &display::age(entry.since_ms, now)),
            cell(Tone::Quiet, &display::text(&entry.jail)),
            cell(Tone::Strong, &what(entry, args.full)),
            cell(Tone::Quiet, &why(entry, now)),
        ]);
    }
    print_table(&table);
    let hint = "clawrden approve ID, or: clawrden deny ID --reason 'what to do instead'";
    let waiting = count(queue.entries.len(), "request waits", "requests wait");
    println!("\n{waiting}. {}", paint(Tone::Quiet, hint));
    Ok(())
}

/// The command, and on lines below what else decides about it.
fn what(entry: &QueueEntry, full: bool) -> String {
    let (folded, whole) = (display::command(&entry.argv), display::exact(&entry.argv));
    let mut lines = Vec::new();
    if full || folded == whole {
        lines.push(whole);
    } else {
        lines.push(folded);
        lines.push("! folded: `clawrden queue --full` shows all of it".to_owned());
    }
    if let Some(cwd) = &entry.cwd {
        lines.push(format!("in {}", display::text(cwd)));
    }
    if let Some(executable) = &entry.executable {
        let user = entry.run_as.as_ref().map(|user| format!(", as {}", display::text(user)));
        let how = format!("{}{}", entry.executor, user.unwrap_or_default());
        lines.push(format!("runs {} ({how})", display::text(executable)));
    }
    lines.extend(beside(entry));
    lines.join("\n")
}

/// What helps to judge a command besides the command itself, one harmless line each.
pub(crate) fn beside(entry: &QueueEntry) -> Vec<String> {
    let mut lines = Vec::new();
    let context = &entry.context;
    if !context.parent.is_empty() {
        lines.push(format!("started by {} (its word)", display::command(&context.parent)));
    }
    let git = [("git remote", &context.git_remote), ("branch", &context.git_branch)];
    let git = git.iter().filter_map(|(name, value)| {
        value.as_ref().map(|value| format!("{name} {}", display::text(value)))
    });
    let git: Vec<String> = git.collect();
    if !git.is_empty() {
        lines.push(format!("{} (its files say so)", git.join(", ")));
    }
    if !context.touches.is_empty() {
        let touches = context.touches.iter();
        let mut touches: Vec<String> = touches
            .map(|it| format!("{} ({})", display::text(&it.path), display::text(&it.kind)))
            .collect();
        touches.extend(context.touches_more.then(|| "…".to_owned()));
        lines.push(format!("names {}", touches.join(", ")));
    }
    if entry.argv.iter().any(|argument| argument.contains("[redacted:")) {
        lines.push("! secrets are replaced by marks here; what runs has them".to_owned());
    }
    lines.extend(entry.warnings.iter().map(|odd| format!("! {}", display::text(odd))));
    lines.extend(entry.noticed.iter().map(|fact| format!("! {}", display::text(fact))));
    lines
}

fn why(entry: &QueueEntry, now_ms: u64) -> String {
    let mut lines = vec![display::text(&entry.reason)];
    lines.extend(entry.suggest.as_ref().map(|text| format!("instead: {}", display::text(text))));
    lines.push(match &entry.rule {
        Some(rule) => display::text(rule),
        None => "the default action".to_owned(),
    });
    lines.push(caller(entry));
    lines.extend(approvals::lines(entry, now_ms));
    lines.extend(before(entry));
    for (name, value) in &entry.labels {
        lines.push(format!("{}={}", display::text(name), display::text(value)));
    }
    let left = display::duration(entry.expires_ms.saturating_sub(now_ms));
    lines.push(if entry.callers == 0 {
        format!("parked: its caller has gone; expires in {left}")
    } else {
        format!("expires in {left}")
    });
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// How often it was approved before, where that is known.
pub(crate) fn before(entry: &QueueEntry) -> Option<String> {
    entry.context.approved_before.map(|times| match times {
        0 => "never approved before".to_owned(),
        1 => "approved once before".to_owned(),
        times => format!("approved {times} times before"),
    })
}

fn caller(entry: &QueueEntry) -> String {
    let known = |name: &str, value: Option<u32>| match value {
        Some(value) => format!("{name} {value}"),
        None => format!("{name} unknown"),
    };
    let c = &entry.caller;
    let mut text = format!("{}, {}", known("uid", c.uid), known("pid", c.pid));
    if let Some(prisoner) = &c.prisoner {
        text.push_str(", prisoner ");
        text.push_str(&display::text(prisoner));
    }
    if let Some(container) = &c.container {
        let id: String = container.id.chars().take(SHOWN_DIGITS).collect();
        text.push_str(&format!(
            "\ncontainer {} ({}), image {}",
            display::text(&container.name),
            display::text(&id),
            display::text(&container.image),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clawrden_api::Caller;

    fn entry() -> QueueEntry {
        QueueEntry {
            approvals: None,
            id: "7f3a".repeat(8),
            short: "7f3a".into(),
            request: None,
            jail: "default".into(),
            caller: Caller { uid: Some(1000), gid: Some(1000), pid: None, ..Caller::default() },
            argv: vec!["npm".into(), "install".into(), "a\u{1b}[2Jb".into()],
            cwd: Some("/work\u{202e}/x".into()),
            executable: Some("/usr/bin/npm".into()),
            sha256: None,
            executor: "mirror".into(),
            only_judged: false,
            run_as: None,
            rule: None,
            reason: "network".into(),
            suggest: Some("use the cache".into()),
            noticed: vec!["NODE_OPTIONS=\u{1b}]0;x\u{7}".into()],
            labels: [("ticket".to_owned(), "A\u{9b}1".to_owned())].into(),
            exact: None,
            warnings: Vec::new(),
            context: clawrden_api::QueueContext::default(),
            since_ms: 0,
            expires_ms: 60_000,
            callers: 0,
        }
    }

    #[test]
    fn nothing_that_a_prisoner_wrote_reaches_the_terminal_raw() {
        let text = format!("{}\n{}", what(&entry(), true), why(&entry(), 0));
        let harmless = |c: char| c == '\n' || (!c.is_control() && c != '\u{202e}');
        assert!(text.chars().all(harmless), "{text:?}");
    }

    #[test]
    fn what_helps_to_judge_is_shown_and_is_harmless() {
        let mut odd = entry();
        odd.argv = vec!["gіt".into(), "--token=[redacted:token]".into()];
        odd.warnings = display::warnings(&odd.argv);
        odd.context = clawrden_api::QueueContext {
            parent: vec!["sh".into(), "-c".into(), "x\u{1b}[2J".into()],
            git_remote: Some("https://h/x\u{202e}".into()),
            git_branch: Some("main".into()),
            approved_before: Some(3),
            touches: vec![clawrden_api::QueueTouch {
                path: "/w/x\u{202e}".into(),
                kind: "missing".into(),
            }],
            touches_more: true,
        };
        let text = format!("{}\n{}", what(&odd, false), why(&odd, 0));
        for part in [
            "started by sh -c",
            "git remote https://h/x",
            "branch main",
            "names /w/x\\u202e (missing), …",
            "looks like `git`",
            "approved 3 times before",
            "replaced by marks",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{text:?}");
    }

    #[test]
    fn the_container_of_a_caller_is_shown() {
        let mut inside = entry();
        inside.caller.container = Some(clawrden_api::CallerContainer {
            id: "ab".repeat(32),
            name: "agent".into(),
            image: "node:22\u{1b}[2J".into(),
        });
        let text = why(&inside, 0);
        assert!(text.contains("container agent (abababababab), image node:22"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }

    #[test]
    fn a_command_that_is_folded_says_so() {
        let mut long = entry();
        long.argv.push("x".repeat(100_000));
        assert!(what(&long, false).contains("--full"));
        assert_eq!(
            what(&long, true).matches('x').count(),
            100_000 + what(&entry(), true).matches('x').count()
        );
    }

    #[test]
    fn an_unknown_caller_and_a_parked_request_are_said() {
        let text = why(&entry(), 0);
        assert!(text.contains("uid 1000, pid unknown"), "{text}");
        assert!(text.contains("parked"), "{text}");
        assert!(text.contains("the default action"), "{text}");
    }
}
