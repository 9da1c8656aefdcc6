//! `clawrden policy explain`: what a policy says of one command, which rule says it, and which rules were passed over.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clawrden_api::{ExplainRequest, Explained, ExplainedApprovers, ExplainedLimits, display};
use clawrden_policy::{Facts, Links, size};
use clawrden_protocol::limits::{EXIT_DENIED, EXIT_STILL_WAITING};
use clawrden_warden::what_if::{Asked, explained};
use clawrden_warden::{LinksHere, meant_here};

use super::{Choice, painted, tone};
use crate::connection::ask;
use crate::elsewhere::{self, AskWarden};
use crate::failure::{Failure, Outcome};
use crate::output::{Tone, cell, count, paint, print_answer, print_table, table};

const EXAMPLES: &str = "\
Exit codes, besides those of every verb:
  0    it was explained; with --exit-code, it is allowed
  75   with --exit-code: a person is asked
  126  with --exit-code: it is denied

Examples:
  clawrden policy explain -- git push --force origin main
  clawrden policy explain --policy p.yaml --cwd /app --uid 1000 -- rm -rf build
  clawrden policy explain --profile developer --shell 'cd /tmp && curl x | sh'
  clawrden policy explain --json -- npm ci | jq -r '.action, .rule'
  clawrden policy explain --warden --jail ci --cwd /work -- npm ci    by what is in force at a warden";

/// Explain what a policy says of a command: the rule, its line, what was passed over and why
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    ask: AskWarden,
    /// The working directory; without one, this one, and with --host none
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

/// Runs the verb.
pub(super) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    if args.ask.is_meant() {
        args.ask.refuse(&[
            (args.choice.named().is_some(), args.choice.named().unwrap_or_default()),
            (!args.changed_env.is_empty(), "--changed-env"),
        ])?;
        return by_warden(args, control);
    }
    let chosen = args.choice.load()?;
    let (asked, is_installed) = asked(args)?;
    let argv: Vec<&[u8]> = asked.argv.iter().map(Vec::as_slice).collect();
    let changed: Vec<&[u8]> = args.changed_env.iter().map(|name| name.as_bytes()).collect();
    let links = LinksHere::new().ok();
    let facts = Facts {
        jail: &args.jail,
        name: argv.first().copied().unwrap_or_default(),
        path: asked.path.as_deref(),
        tool: asked.tool.as_deref(),
        argv: &argv,
        cwd: asked.cwd.as_deref(),
        uid: asked.uid,
        gid: None,
        changed_env: &changed,
        links: links.as_ref().map(|links| links as &dyn Links),
        ..Facts::default()
    };
    let explanation = chosen.policy.explain(&facts);
    let report = explained(&explanation, &asked, chosen.source);
    let by_name = (!is_installed).then_some("it is not installed here");
    print_answer(&report, args.json, |report| show(report, by_name))?;
    Ok(exit_code(args, &report))
}

/// By what is in force at a warden. It looks at no file: a tool goes by its bare name.
fn by_warden(args: &Args, control: Option<&Path>) -> Outcome {
    let text = |word: &OsStr| {
        let not_text = || Failure::Usage(format!("{} is no text", word.display()));
        word.to_str().map(str::to_owned).ok_or_else(not_text)
    };
    let is_elsewhere = elsewhere::client().is_some();
    let cwd = match &args.cwd {
        // What is relative is relative to here, wherever the warden is.
        Some(dir) => Some(std::path::absolute(dir)),
        None if is_elsewhere => None,
        None => Some(std::env::current_dir()),
    };
    let cwd = cwd
        .transpose()
        .map_err(|e| Failure::Usage(format!("the working directory is not known: {e}")))?;
    let own = || rustix::process::getuid().as_raw();
    let request = ExplainRequest {
        argv: args.command.iter().map(|word| text(word)).collect::<Result<_, _>>()?,
        line: args.shell.as_deref().map(text).transpose()?,
        jail: Some(args.jail.clone()),
        cwd: cwd.as_deref().map(|cwd| text(cwd.as_os_str())).transpose()?,
        uid: args.uid.or_else(|| (!is_elsewhere).then(own)),
    };
    let report = ask(control, async |client| client.explain(&request).await)?;
    let note = Some("the warden looks at no file for this");
    print_answer(&report, args.json, |report| show(report, note))?;
    Ok(exit_code(args, &report))
}

fn exit_code(args: &Args, report: &Explained) -> ExitCode {
    match &report.action[..] {
        "ask" if args.exit_code => ExitCode::from(EXIT_STILL_WAITING),
        action if args.exit_code && action != "allow" => ExitCode::from(EXIT_DENIED),
        _ => ExitCode::SUCCESS,
    }
}

/// The command as it is judged, and whether its tool is installed here.
fn asked(args: &Args) -> Result<(Asked, bool), Failure> {
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
    let uid = args.uid.unwrap_or_else(|| rustix::process::getuid().as_raw());
    let asked = Asked {
        argv,
        path: meant.path,
        tool: meant.tool.or(by_name),
        cwd: Some(cwd),
        jail: args.jail.clone(),
        uid: Some(uid),
    };
    Ok((asked, is_installed))
}

/// `by_name` says why a tool goes by its name alone, where it does.
fn show(report: &Explained, by_name: Option<&str>) {
    let command = display::command(&report.argv);
    println!("{}  {}", painted(&report.action), paint(Tone::Strong, &command));
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
        (None, Some(tool)) if by_name.is_some() => {
            let why = by_name.unwrap_or_default();
            line("tool", &format!("{tool}, by its name alone: {why}"));
        }
        _ => line("tool", "not found"),
    }
    line("cwd", report.cwd.as_deref().unwrap_or("unknown"));
    let user = report.uid.map_or_else(|| "somebody".to_owned(), |uid| format!("uid {uid}"));
    line("asked", &format!("by {user} in jail {}", report.jail));
    if report.action != "deny" {
        line("runs", &runs(report));
        report.approvers.iter().for_each(|of| line("approvers", &approvers(of)));
        report.limits.iter().flat_map(limits).for_each(|limit| line("limits", &limit));
    }
    line("policy", &report.policy);
    inside(report);
    steps(report);
}

fn runs(report: &Explained) -> String {
    let mut text = report.executor.clone();
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

/// Whose yes it takes, on one line.
fn approvers(of: &ExplainedApprovers) -> String {
    let mut text = match &of.from[..] {
        [] if of.count == 1 => "anybody who may answer".to_owned(),
        [] => format!("{} different people", of.count),
        from => format!("{} of {}", of.count, from.join(", ")),
    };
    if of.require_reason {
        text.push_str(", with a reason");
    }
    if of.confirm_on_page {
        text.push_str(", not by a chat alone");
    }
    for step in &of.escalate {
        let (after, to) = (display::duration(step.after_ms), step.to.join(", "));
        text.push_str(&format!("; after {after} {to} as well"));
    }
    text
}

/// What it may use, on one line, and each quota on one of its own.
fn limits(limits: &ExplainedLimits) -> Vec<String> {
    let ExplainedLimits { memory, milli_cpus, pids, output, quotas } = limits;
    let used = [
        memory.map(|bytes| format!("memory {}", size(bytes))),
        milli_cpus.map(|cpus| format!("processors {}.{:03}", cpus / 1_000, cpus % 1_000)),
        pids.map(|pids| format!("processes {pids}")),
        output.map(|bytes| format!("output {}", size(bytes))),
    ];
    let used = used.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let quotas = quotas.iter().map(|quota| {
        let rate = quota.rate_starts.zip(quota.rate_ms).map(|(starts, ms)| {
            format!(
                "{} in any {}",
                count(starts as usize, "start", "starts"),
                display::duration(ms)
            )
        });
        let at_once = quota.concurrent.map(|most| format!("{most} at once"));
        let said = [rate, at_once].into_iter().flatten().collect::<Vec<_>>().join(", ");
        format!("{said} in a jail, by {}", quota.rule)
    });
    Some(used).filter(|used| !used.is_empty()).into_iter().chain(quotas).collect()
}

/// What the command would run.
fn inside(report: &Explained) {
    if report.inside.is_empty() {
        return;
    }
    println!();
    let mut table = table(&["  INSIDE", "BY", "ACTION", "WHY"]);
    for found in &report.inside {
        let command =
            if found.command.is_empty() { "not understood" } else { found.command.as_str() };
        let action = found.action.as_deref().unwrap_or("-");
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

fn steps(report: &Explained) {
    if !report.steps.is_empty() {
        println!();
        let mut table = table(&["  RULE", "ACTION", "", "WHY"]);
        for step in &report.steps {
            let (shade, verdict) = match step.verdict.as_str() {
                _ if Some(&step.rule) == report.rule.as_ref() => (tone(&step.action), "decides"),
                "passed" => (Tone::Quiet, "passed over"),
                "matched" => (Tone::Warn, "matches"),
                _ => (Tone::Warn, "may match"),
            };
            table.add_row([
                cell(Tone::Strong, &format!("  {}", display::text(&step.rule))),
                cell(tone(&step.action), &step.action),
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

    #[test]
    fn whose_yes_it_takes_is_told() {
        let yaml = "rules: [{command: dd, action: ask, approvers: {from: [ann, ops], count: 2}, require_reason: true,
  escalate: {after: 10m, to: leads}}, {command: rm, action: ask, quorum: 2}, {command: ls, action: ask, confirm: page}]";
        let told = |tool| approvers(&judged(yaml, &[tool]).approvers[0]);
        assert_eq!(told("dd"), "2 of ann, ops, with a reason; after 10 m leads as well");
        assert_eq!(told("rm"), "2 different people");
        assert_eq!(told("ls"), "anybody who may answer, not by a chat alone");
    }

    fn judged(yaml: &str, argv: &[&str]) -> Explained {
        let policy = Policy::from_yaml("p.yaml", yaml).unwrap();
        let asked = Asked {
            argv: argv.iter().map(|word| word.as_bytes().to_vec()).collect(),
            tool: Some(argv[0].into()),
            cwd: Some(b"/app".to_vec()),
            jail: "default".to_owned(),
            uid: Some(0),
            path: None,
        };
        let words: Vec<&[u8]> = asked.argv.iter().map(Vec::as_slice).collect();
        let facts = Facts {
            name: words[0],
            tool: Some(words[0]),
            argv: &words,
            cwd: Some(b"/app"),
            ..Facts::default()
        };
        explained(&policy.explain(&facts), &asked, "p.yaml".to_owned())
    }

    #[test]
    fn the_report_names_rule_line_and_what_was_passed_over() {
        let yaml = "rules:\n  - {command: git, args: push, action: deny, reason: no}\n  - {command: git, args: status, action: allow, name: look}\n";
        let report = judged(yaml, &["git", "status"]);
        assert_eq!((report.action.as_str(), report.line), ("allow", Some(3)));
        assert_eq!(report.rule.as_deref(), Some("p.yaml:3 (look)"));
        let told: Vec<_> = report.steps.iter().map(|s| (s.line, s.verdict.as_str())).collect();
        assert_eq!(told, [(2, "passed"), (3, "matched")]);
    }

    #[test]
    fn without_a_rule_there_is_no_line() {
        let report = judged("default_action: ask\n", &["git"]);
        assert_eq!((report.action.as_str(), report.rule, report.line), ("ask", None, None));
        assert!(report.reason.contains("default_action"));
    }
}
