//! `clawrden policy explain`: what a policy says of one command, which rule says it, and which rules were passed over.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clawrden_api::display;
use clawrden_policy::{Action, Explanation, Facts, Inside, Links, Notice, RuleId, Step, Verdict};
use clawrden_protocol::limits::{EXIT_DENIED, EXIT_STILL_WAITING};
use clawrden_warden::{LinksHere, Meant, meant_here};
use serde::Serialize;

use super::{Choice, painted, tone};
use crate::failure::{Failure, Outcome};
use crate::output::{Tone, cell, paint, print_json, print_table, table};

const EXAMPLES: &str = "\
Exit codes, besides those of every verb:
  0    it was explained; with --exit-code, it is allowed
  75   with --exit-code: a person is asked
  126  with --exit-code: it is denied

Examples:
  clawrden policy explain -- git push --force origin main
  clawrden policy explain --policy p.yaml --cwd /app --uid 1000 -- rm -rf build
  clawrden policy explain --profile developer --shell 'cd /tmp && curl x | sh'
  clawrden policy explain --json -- npm ci | jq -r '.action, .rule'";

/// Explain what a policy says of a command: the rule, its line, what was passed over and why
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    choice: Choice,
    /// The working directory; without one, this one
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// The jail that it would come from
    #[arg(long, value_name = "NAME", default_value = "default")]
    jail: String,
    /// The user that would ask; without one, you
    #[arg(long, value_name = "UID")]
    uid: Option<u32>,
    /// A variable that the prisoner would have changed; may be given again
    #[arg(long, value_name = "NAME")]
    changed_env: Vec<OsString>,
    /// A line for a shell, judged as `bash -c LINE`
    #[arg(
        long,
        value_name = "LINE",
        conflicts_with = "command",
        required_unless_present = "command"
    )]
    shell: Option<OsString>,
    /// Tell the action by the exit code
    #[arg(long)]
    exit_code: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The answer for programs.
#[derive(Serialize)]
struct Report {
    action: &'static str,
    /// `file:line`, and the rule's name if it has one; none for `default_action` and `allowed_paths`.
    rule: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    reason: String,
    executor: &'static str,
    run_as: Option<String>,
    timeout_ms: Option<u64>,
    approval_timeout_ms: u64,
    noticed: Vec<String>,
    steps: Vec<ReportStep>,
    others: usize,
    /// What it would run, and how each fared.
    inside: Vec<ReportInside>,
    policy: String,
    argv: Vec<String>,
    path: Option<String>,
    tool: Option<String>,
    cwd: Option<String>,
    jail: String,
    uid: u32,
}

#[derive(Serialize)]
struct ReportStep {
    rule: String,
    line: u32,
    action: &'static str,
    verdict: &'static str,
    why: String,
}

#[derive(Serialize)]
struct ReportInside {
    command: String,
    through: String,
    depth: usize,
    action: Option<&'static str>,
    rule: Option<String>,
    why: String,
}

/// The command as it is judged.
struct Asked {
    argv: Vec<Vec<u8>>,
    meant: Meant,
    cwd: Vec<u8>,
    is_installed: bool,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> Outcome {
    let chosen = args.choice.load()?;
    let asked = asked(args)?;
    let argv: Vec<&[u8]> = asked.argv.iter().map(Vec::as_slice).collect();
    let changed: Vec<&[u8]> = args.changed_env.iter().map(|name| name.as_bytes()).collect();
    let uid = args.uid.unwrap_or_else(|| rustix::process::getuid().as_raw());
    let links = LinksHere::new().ok();
    let facts = Facts {
        jail: &args.jail,
        name: argv.first().copied().unwrap_or_default(),
        path: asked.meant.path.as_deref(),
        tool: asked.meant.tool.as_deref(),
        argv: &argv,
        cwd: Some(&asked.cwd),
        uid: Some(uid),
        gid: None,
        changed_env: &changed,
        links: links.as_ref().map(|links| links as &dyn Links),
        ..Facts::default()
    };
    let explanation = chosen.policy.explain(&facts);
    let report = report(&explanation, &asked, (&args.jail, uid), chosen.source);
    if args.json {
        print_json(&report)?;
    } else {
        show(&report, asked.is_installed);
    }
    Ok(match explanation.decision.action {
        Action::Ask if args.exit_code => ExitCode::from(EXIT_STILL_WAITING),
        Action::Deny if args.exit_code => ExitCode::from(EXIT_DENIED),
        _ => ExitCode::SUCCESS,
    })
}

fn asked(args: &Args) -> Result<Asked, Failure> {
    let argv: Vec<Vec<u8>> = match &args.shell {
        Some(line) => ["bash".as_ref(), "-c".as_ref(), line.as_os_str()]
            .map(|word| word.as_bytes().to_vec())
            .into(),
        None => args.command.iter().map(|word| word.as_bytes().to_vec()).collect(),
    };
    let name = argv.first().cloned().unwrap_or_default();
    if name.is_empty() {
        return Err(Failure::Usage("the command has no name".to_owned()));
    }
    let cwd = match &args.cwd {
        Some(dir) => std::path::absolute(dir),
        None => std::env::current_dir(),
    };
    let cwd =
        cwd.map_err(|e| Failure::Usage(format!("the working directory is not known: {e}")))?;
    let cwd = cwd.as_os_str().as_bytes();
    let path = std::env::var_os("PATH");
    let meant = meant_here(&name, path.as_deref().map(OsStrExt::as_bytes), cwd)
        .map_err(|e| Failure::Refused(format!("the tool cannot be looked for: {e}")))?;
    let is_installed = meant.path.is_some();
    // What is not installed here, the policy may still have a word about.
    let by_name = (!is_installed && !name.contains(&b'/')).then_some(name);
    let cwd = meant.cwd.clone().unwrap_or_else(|| cwd.to_vec());
    Ok(Asked { argv, meant: Meant { tool: meant.tool.or(by_name), ..meant }, cwd, is_installed })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ms(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn report(
    explanation: &Explanation,
    asked: &Asked,
    (jail, uid): (&str, u32),
    policy: String,
) -> Report {
    let Explanation { decision, steps, others, inside } = explanation;
    let rule = decision.rule.as_ref();
    Report {
        action: decision.action.as_str(),
        rule: rule.map(ToString::to_string),
        file: rule.map(|rule| rule.file.to_string()),
        line: rule.map(|rule| rule.line),
        column: rule.map(|rule| rule.column),
        reason: decision.reason.clone(),
        executor: decision.executor.as_str(),
        run_as: decision.run_as.as_ref().map(ToString::to_string),
        timeout_ms: decision.timeout.duration().map(ms),
        approval_timeout_ms: ms(decision.approval_timeout),
        noticed: decision.noticed.iter().map(noticed).collect(),
        steps: steps.iter().map(step).collect(),
        others: *others,
        inside: inside.iter().map(run_inside).collect(),
        policy,
        argv: asked.argv.iter().map(|word| lossy(word)).collect(),
        path: asked.meant.path.as_deref().map(lossy),
        tool: asked.meant.tool.as_deref().map(lossy),
        cwd: Some(lossy(&asked.cwd)),
        jail: jail.to_owned(),
        uid,
    }
}

fn noticed(notice: &Notice) -> String {
    match notice {
        Notice::ChangedVariable(name) => {
            format!("{} differs from what the prisoner was started with", lossy(name))
        }
        Notice::Overmatched(rule) => format!("{rule} matches only if its pattern is read widely"),
    }
}

fn run_inside(found: &Inside) -> ReportInside {
    ReportInside {
        command: found.command.clone(),
        through: found.through.clone(),
        depth: found.depth,
        action: found.action.map(Action::as_str),
        rule: found.rule.as_ref().map(ToString::to_string),
        why: found.why.clone(),
    }
}

fn step(step: &Step) -> ReportStep {
    let RuleId { text, line, .. } = &step.rule;
    ReportStep {
        rule: text.to_string(),
        line: *line,
        action: step.action.as_str(),
        verdict: match step.verdict {
            Verdict::Matched => "matched",
            Verdict::Overmatched => "overmatched",
            Verdict::Passed => "passed",
        },
        why: step.why.clone(),
    }
}

fn show(report: &Report, is_installed: bool) {
    let command = display::command(&report.argv);
    println!("{}  {}", painted(report.action), paint(Tone::Strong, &command));
    let line = |key: &str, value: &str| {
        println!("  {} {}", paint(Tone::Quiet, &format!("{key:<7}")), display::text(value));
    };
    match (&report.rule, &report.file, report.line, report.column) {
        (Some(rule), Some(file), Some(at), Some(column)) => {
            let name = rule.split_once(" (").map_or("", |(_, name)| name.trim_end_matches(')'));
            let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
            line("rule", &format!("{file}:{at}:{column}{name}"));
        }
        _ => line("rule", "none"),
    }
    if !report.reason.is_empty() {
        line("because", &report.reason);
    }
    for notice in &report.noticed {
        line("noticed", notice);
    }
    match (&report.path, &report.tool) {
        (Some(path), Some(tool)) => line("tool", &format!("{tool}, which is {path}")),
        (Some(path), None) => line("tool", &format!("{path}, which is no tool on PATH")),
        (None, Some(tool)) if !is_installed => {
            line("tool", &format!("{tool}, by its name alone: it is not installed here"));
        }
        _ => line("tool", "not found"),
    }
    line("cwd", report.cwd.as_deref().unwrap_or("unknown"));
    line("asked", &format!("by uid {} in jail {}", report.uid, report.jail));
    if report.action != "deny" {
        line("runs", &runs(report));
    }
    line("policy", &report.policy);
    inside(report);
    steps(report);
}

fn runs(report: &Report) -> String {
    let mut text = report.executor.to_owned();
    if let Some(user) = &report.run_as {
        text = format!("{text} as {user}");
    }
    if let Some(limit) = report.timeout_ms {
        text = format!("{text}, for {} at most", display::duration(limit));
    }
    if report.action == "ask" {
        let wait = display::duration(report.approval_timeout_ms);
        text = format!("{text}, once a person has approved it within {wait}");
    }
    text
}

/// What the command would run.
fn inside(report: &Report) {
    if report.inside.is_empty() {
        return;
    }
    println!();
    let mut table = table(&["  INSIDE", "BY", "ACTION", "WHY"]);
    for found in &report.inside {
        let command =
            if found.command.is_empty() { "not understood" } else { found.command.as_str() };
        let action = found.action.unwrap_or("-");
        let why = found.rule.as_deref().filter(|_| found.why.is_empty()).unwrap_or(&found.why);
        table.add_row([
            cell(Tone::Strong, &format!("{}{}", "  ".repeat(found.depth), display::text(command))),
            cell(Tone::Quiet, &display::text(&found.through)),
            cell(tone(action), action),
            cell(Tone::Quiet, &display::text(why)),
        ]);
    }
    print_table(&table);
}

fn steps(report: &Report) {
    if !report.steps.is_empty() {
        println!();
        let mut table = table(&["  RULE", "ACTION", "", "WHY"]);
        for step in &report.steps {
            let (shade, verdict) = match step.verdict {
                _ if Some(&step.rule) == report.rule.as_ref() => (tone(step.action), "decides"),
                "passed" => (Tone::Quiet, "passed over"),
                "matched" => (Tone::Warn, "matches"),
                _ => (Tone::Warn, "may match"),
            };
            table.add_row([
                cell(Tone::Strong, &format!("  {}", display::text(&step.rule))),
                cell(tone(step.action), step.action),
                cell(shade, verdict),
                cell(Tone::Quiet, &display::text(&step.why)),
            ]);
        }
        print_table(&table);
    }
    let others = report.others;
    if others > 0 {
        let text = match others {
            1 => "1 other rule does not speak of this command".to_owned(),
            _ => format!("{others} other rules do not speak of this command or come later"),
        };
        println!("\n{}", paint(Tone::Quiet, &text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clawrden_policy::Policy;

    fn explained(yaml: &str, argv: &[&str]) -> Report {
        let policy = Policy::from_yaml("p.yaml", yaml).unwrap();
        let asked = Asked {
            argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
            meant: Meant { tool: Some(argv[0].into()), ..Meant::default() },
            cwd: b"/app".to_vec(),
            is_installed: false,
        };
        let words: Vec<&[u8]> = asked.argv.iter().map(Vec::as_slice).collect();
        let facts = Facts {
            name: words[0],
            tool: Some(words[0]),
            argv: &words,
            cwd: Some(b"/app"),
            ..Facts::default()
        };
        report(&policy.explain(&facts), &asked, ("default", 0), "p.yaml".to_owned())
    }

    #[test]
    fn the_report_names_rule_line_and_what_was_passed_over() {
        let yaml = "rules:\n  - {command: git, args: push, action: deny, reason: no}\n  - {command: git, args: status, action: allow, name: look}\n";
        let report = explained(yaml, &["git", "status"]);
        assert_eq!((report.action, report.line), ("allow", Some(3)));
        assert_eq!(report.rule.as_deref(), Some("p.yaml:3 (look)"));
        let told: Vec<_> = report.steps.iter().map(|s| (s.line, s.verdict)).collect();
        assert_eq!(told, [(2, "passed"), (3, "matched")]);
    }

    #[test]
    fn without_a_rule_there_is_no_line() {
        let report = explained("default_action: ask\n", &["git"]);
        assert_eq!((report.action, report.rule, report.line), ("ask", None, None));
        assert!(report.reason.contains("default_action"));
    }
}
