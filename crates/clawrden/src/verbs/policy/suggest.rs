//! `clawrden policy suggest`: the rules that would have answered what people had to answer, from the history.

use std::path::{Path, PathBuf};

use clawrden_api::display;
use clawrden_policy::{Action, Suggestion, Suggestions};
use clawrden_warden::what_if::past;
use serde::Serialize;

use super::past::Past;
use super::{Choice, Chosen, of_warden, painted};
use crate::connection::{ask, places};
use crate::elsewhere;
use crate::failure::{Failure, Outcome, done};
use crate::output::{Tone, cell, count, paint, print_json, print_table, table};
use crate::run::profiles;

/// Most rules, and most commands of the lists below them, that people are shown.
const SHOWN: usize = 20;

const EXAMPLES: &str = "\
A rule is suggested where people gave the same answer every time. It takes what was seen: the same words, one operand \
out of those that were given, or, where that does no harm, any file of the working directory; and only in the folders \
that it was asked from. Each one was tried: it was put into the policy, the history was judged again, and nothing else \
came out otherwise. Shells, interpreters, wrappers and whatever else runs other programs get no rule.

Nothing is changed. Paste what is right below `rules:`, at the place that is named, and run `clawrden policy check`.

With --warden, and with --host where no policy is named, the warden suggests: by the policy in force there and its newest 5,000
requests, under an id for each rule. --accept has it write one into its rules.d, where nothing else of the history comes out
otherwise, and put it in force. Both take an admin.

Exit codes: those of every verb; 0 also where there is nothing to suggest.

Examples:
  clawrden policy suggest
  clawrden policy suggest --since 7d --min 5
  clawrden policy suggest --shell-lines
  clawrden policy suggest --jail ci --policy candidate.yaml
  clawrden policy suggest --json | jq -r '.rules[].yaml'
  clawrden policy suggest --warden
  clawrden policy suggest --accept 22fb0cb7 --reason 'asked every day' --yes";

/// Suggest the rules that would have answered what people had to answer
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// How many asks of people a rule must have answered at least
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    min: u64,
    /// The policy to add to; without one, that of the warden
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    policy: Option<PathBuf>,
    /// A stock profile to add to
    #[arg(long, value_name = "NAME", value_parser = profiles())]
    profile: Option<String>,
    /// Take a command that stands alone in a shell line, as agents' hooks ask (`bash -c 'git fetch'`), for that command
    #[arg(long)]
    shell_lines: bool,
    #[command(flatten)]
    past: Past,
    /// Have the warden suggest, by what is in force there
    #[arg(long, conflicts_with_all = ["policy", "profile"])]
    warden: bool,
    /// Have the warden write the suggested rule of this id, and put it in force
    #[arg(long, value_name = "ID", conflicts_with_all = ["policy", "profile"])]
    accept: Option<String>,
    /// With --accept: ask for no further yes
    #[arg(long, requires = "accept")]
    yes: bool,
    /// With --accept: why, for the record
    #[arg(long, value_name = "TEXT", requires = "accept")]
    reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// The answer for programs.
#[derive(Serialize)]
struct Report {
    policy: String,
    /// Requests that were looked at.
    requests: usize,
    /// Those that people answered.
    answered: usize,
    /// Those of them that the policy answers by itself by now.
    settled: usize,
    rules: Vec<Rule>,
    both_ways: Vec<BothWays>,
    left: Vec<Left>,
}

#[derive(Serialize)]
struct Rule {
    action: &'static str,
    /// As an item of the list `rules`.
    yaml: String,
    /// The rule that it has to stand before; null is behind all others.
    before: Option<String>,
    asks: usize,
    commands: usize,
    by: Vec<By>,
    examples: Vec<Example>,
    /// What else it takes.
    wider: String,
}

#[derive(Serialize)]
struct By {
    who: String,
    times: usize,
}

#[derive(Serialize)]
struct Example {
    argv: Vec<String>,
    times: usize,
}

#[derive(Serialize)]
struct BothWays {
    argv: Vec<String>,
    approved: usize,
    denied: usize,
}

#[derive(Serialize)]
struct Left {
    argv: Vec<String>,
    answers: usize,
    why: String,
}

/// Runs the verb.
pub(super) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let is_named = args.policy.is_some() || args.profile.is_some();
    let is_elsewhere = elsewhere::client().is_some() && !is_named;
    if args.warden || args.accept.is_some() || is_elsewhere {
        return by_warden(args, control);
    }
    let entries = args.past.entries(control)?;
    let chosen = match (&args.policy, &args.profile) {
        (None, None) => served(control)?,
        (policy, profile) => Choice { policy: policy.clone(), profile: profile.clone() }.load()?,
    };
    let past: Vec<clawrden_policy::Past> = entries.iter().filter_map(past).collect();
    let min = usize::try_from(args.min).unwrap_or(usize::MAX);
    let found = chosen.policy.suggest(&past, min, args.shell_lines);
    if args.json {
        print_json(&report(chosen.source, entries.len(), found))?;
    } else {
        show(&chosen.source, entries.len(), &found);
    }
    done()
}

/// What the warden suggests, or the one of it that is accepted.
fn by_warden(args: &Args, control: Option<&Path>) -> Outcome {
    let shell = args.shell_lines.then_some("--shell-lines");
    if let Some(flag) = args.past.narrowed().or(shell) {
        return Err(Failure::Usage(format!(
            "{flag} is not for what the warden suggests by itself; name the policy to add to with --policy FILE"
        )));
    }
    let request = of_warden::Request {
        min: usize::try_from(args.min).unwrap_or(usize::MAX),
        accept: args.accept.as_deref(),
        yes: args.yes,
        reason: args.reason.clone(),
        json: args.json,
    };
    of_warden::run(request, control)
}

/// The policy that the warden serves with, read from where it has it.
fn served(control: Option<&Path>) -> Result<Chosen, Failure> {
    let status = ask(control, async |client| client.status().await)?;
    let source = PathBuf::from(status.policy.source);
    // A file that it was given is taken alone; the usual one, or none, with what lies beside it.
    let is_usual = !source.is_absolute() || source == places()?.policy();
    let policy = (!is_usual).then_some(source);
    let advice = |failure: Failure| match failure {
        Failure::Usage(text) => {
            Failure::Usage(format!("{text}\nname the policy to add to with `--policy FILE`"))
        }
        other => other,
    };
    Choice { policy, profile: None }.load().map_err(advice)
}

fn report(policy: String, requests: usize, found: Suggestions) -> Report {
    let Suggestions { rules, both_ways, left, answered, settled } = found;
    let rule = |rule: Suggestion| Rule {
        action: rule.action.as_str(),
        yaml: rule.yaml,
        before: rule.before.map(|rule| rule.to_string()),
        asks: rule.asks,
        commands: rule.commands,
        by: rule.by.into_iter().map(|(who, times)| By { who, times }).collect(),
        examples: rule.examples.into_iter().map(|(argv, times)| Example { argv, times }).collect(),
        wider: rule.wider,
    };
    Report {
        policy,
        requests,
        answered,
        settled,
        rules: rules.into_iter().map(rule).collect(),
        both_ways: both_ways
            .into_iter()
            .map(|both| BothWays { argv: both.argv, approved: both.approved, denied: both.denied })
            .collect(),
        left: left
            .into_iter()
            .map(|left| Left { argv: left.argv, answers: left.answers, why: left.why })
            .collect(),
    }
}

fn show(source: &str, requests: usize, found: &Suggestions) {
    let requests = count(requests, "request", "requests");
    let answered = count(found.answered, "was answered by a person", "were answered by people");
    println!("{requests} looked at; {answered}");
    if found.settled > 0 {
        println!("{} of these {} answers by itself by now", found.settled, display::text(source));
    }
    if found.rules.is_empty() {
        println!("{}", paint(Tone::Good, "nothing to suggest"));
    }
    for (number, rule) in (1..).zip(&found.rules).take(SHOWN) {
        println!();
        show_rule(number, rule);
    }
    if found.rules.len() > SHOWN {
        let more = count(found.rules.len() - SHOWN, "more rule", "more rules");
        println!("\n{more}, which would answer no more than these: `--json` has them all");
    }
    if !found.both_ways.is_empty() {
        println!("\n{}", paint(Tone::Strong, "Answered both ways, so nothing is suggested"));
        let mut table = table(&["APPROVED", "DENIED", "COMMAND"]);
        for both in found.both_ways.iter().take(SHOWN) {
            table.add_row([
                cell(Tone::Good, &both.approved.to_string()),
                cell(Tone::Bad, &both.denied.to_string()),
                cell(Tone::Strong, &display::command(&both.argv)),
            ]);
        }
        print_table(&table);
    }
    if !found.left.is_empty() {
        println!("\n{}", paint(Tone::Strong, "Answered often, and left to people"));
        let mut table = table(&["ANSWERS", "COMMAND", "WHY THERE IS NO RULE"]);
        for left in found.left.iter().take(SHOWN) {
            table.add_row([
                cell(Tone::Quiet, &left.answers.to_string()),
                cell(Tone::Strong, &display::command(&left.argv)),
                cell(Tone::Quiet, &display::text(&left.why)),
            ]);
        }
        print_table(&table);
    }
    if !found.rules.is_empty() {
        let source = display::text(source);
        println!(
            "\nNothing was changed. Paste what is right below `rules:` of {source}, each at its place."
        );
    }
}

fn show_rule(number: usize, rule: &Suggestion) {
    let by: Vec<String> = rule
        .by
        .iter()
        .map(|(who, times)| format!("{} ({})", display::text(who), count(*times, "time", "times")))
        .collect();
    let said = if rule.action == Action::Allow { "approved" } else { "denied" };
    let asks = count(rule.asks, "ask", "asks");
    let (action, by) = (painted(rule.action.as_str()), by.join(", "));
    println!("{number}. {action}  would have answered {asks}, {said} by {by}");
    for (argv, times) in &rule.examples {
        println!("   {}  {}", paint(Tone::Quiet, &format!("{times:>5}")), display::command(argv));
    }
    let more = rule.commands.saturating_sub(rule.examples.len());
    if more > 0 {
        let more = count(more, "other command", "other commands");
        println!("   {}", paint(Tone::Quiet, &format!("       and {more}")));
    }
    let place = match &rule.before {
        Some(before) => format!("before {}", display::text(&before.to_string())),
        None => "behind all other rules".to_owned(),
    };
    println!("   {} {}", paint(Tone::Quiet, "it takes"), display::text(&rule.wider));
    println!("   {} {place}", paint(Tone::Quiet, "it stands"));
    println!();
    // To be pasted as it is; what a terminal would act on is spelled out in it already.
    for line in rule.yaml.lines() {
        println!("  {}", paint(Tone::Strong, line));
    }
}
