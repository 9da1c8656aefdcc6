//! `clawrden approve`: a person says yes to one request.

use std::io::IsTerminal as _;
use std::path::Path;

use clawrden_api::{
    AnswerRequest, GrantScope, PatternQuery, PatternTaken, PatternTested, RuleAnswer, RuleRequest,
    display,
};

use crate::connection::ask;
use crate::failure::{Failure, Outcome, done};
use crate::output::{count, print_answer, print_json};
use crate::verbs::answer::{Answer, agree, check_id, send};

const EXAMPLES: &str = "\
A yes is for exactly what was shown: the same jail, executable and contents, arguments, folder, dangerous variables and
executor. What the policy denies by the time of a run is denied all the same.

With --and-what-it-starts, whatever a process below the approved command asks for is approved with it, as the kernel
proves whose child it is: in the same jail, by the same user, in the prisoner or where the command itself runs, for as
long as the command lives and 24 hours at most. What the policy or a ceiling denies is denied, and what a ceiling asks,
needs other approvers, gets a secret or runs as another user is asked about. Look at what the command is: a prisoner can
run one that lives long, or that it can trace or write to, and start others below it.

With --pattern, it is for every command that the pattern takes, all else being the same: the tool's bare name and the
arguments as in a rule that allows, matched word by word. What it would have taken of the history is shown by --dry-run, and
on a terminal before a yes is asked for. There is none for shells, interpreters and wrappers, nor one that takes any option.

With --always, the smallest rule that allows it is shown, and written into a file of its own in rules.d: where it is in
force there, which it is not behind a rule of the policy file that asks or denies. It takes an admin over the API.

Examples:
  clawrden approve 7f3a
  clawrden approve 7f3a --session
  clawrden approve 7f3a --and-what-it-starts
  clawrden approve 7f3a --for 2h --pattern 'npm install *'
  clawrden approve 7f3a --session --pattern 'git fetch origin *' --dry-run
  clawrden approve 7f3a --for 2h --reason 'the lock file was reviewed'
  clawrden approve 7f3a --always
  clawrden grants";

/// Approve a request that waits: once, for the prisoner's life, or for a time
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The request, as `clawrden queue` shows it: at least four digits of its id
    #[arg(value_name = "ID")]
    id: String,
    /// For this one run; that is so without it
    #[arg(long, conflicts_with_all = ["session", "time"])]
    once: bool,
    /// For every run of the same by this prisoner, as long as it or its container lives; 30 days at most
    #[arg(long, conflicts_with = "time")]
    session: bool,
    /// For every run of the same within this time, such as `2h` or `1h30m`; 30 days at most
    #[arg(long = "for", id = "time", value_name = "TIME")]
    time: Option<String>,
    /// Also what the command starts and would be asked about, as long as it runs
    #[arg(long)]
    and_what_it_starts: bool,
    /// For every command that this takes, such as 'npm install *'; with --session or --for
    #[arg(long, value_name = "PATTERN")]
    pattern: Option<String>,
    /// With --pattern, show what it would have taken of the history, with --always the rule; approve nothing
    #[arg(long)]
    dry_run: bool,
    /// For always: write the smallest rule that allows it into rules.d, once it was shown and you said yes
    #[arg(long, conflicts_with_all = ["once", "session", "time", "pattern", "and_what_it_starts"])]
    always: bool,
    /// Ask for no further yes
    #[arg(long)]
    yes: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    if args.always {
        return always(&args, control);
    }
    if args.dry_run && args.pattern.is_none() {
        return Err(Failure::Usage("--dry-run goes with --pattern or --always".to_owned()));
    }
    let for_ms = args.time.as_deref().map(milliseconds).transpose()?;
    let scope = match (args.session, for_ms) {
        (true, _) => GrantScope::Session,
        (false, Some(_)) => GrantScope::Time,
        (false, None) => GrantScope::Once,
    };
    if args.pattern.is_some() && scope == GrantScope::Once && !args.dry_run {
        let text = "--pattern takes more than one run: add --session, or --for with a time";
        return Err(Failure::Usage(text.to_owned()));
    }
    let Args { id, reason, and_what_it_starts, pattern, .. } = args;
    if let Some(pattern) = &pattern {
        let is_agreed = test(&id, pattern, (args.dry_run, args.yes, args.json), control)?;
        if !is_agreed {
            return done();
        }
    }
    let request = AnswerRequest { reason, scope, for_ms, and_what_it_starts, pattern };
    send(Answer::Approve, &id, &request, args.json, control)
}

/// Approves for always, once the rule was shown and agreed to.
fn always(args: &Args, control: Option<&Path>) -> Outcome {
    check_id(&args.id)?;
    let add = |rule: Option<String>| {
        let (id, reason) = (args.id.clone(), args.reason.clone());
        let request = RuleRequest { id, dry_run: rule.is_none(), reason, rule };
        ask(control, async |client| client.add_rule(&request).await)
    };
    let found = add(None)?;
    if args.dry_run && args.json {
        print_json(&found)?;
        return done();
    }
    let RuleAnswer { rule, file, wider, .. } = &found;
    let rule: Vec<String> =
        rule.lines().map(display::text).map(|line| format!("  {line}")).collect();
    let (rule, file) = (rule.join("\n"), display::text(file));
    let shown = format!("{file} would get the rule\n{rule}\nwhich takes {}", display::text(wider));
    if args.dry_run {
        println!("{shown}");
        return done();
    }
    let may_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !args.yes && !may_ask {
        let text = format!("{shown}\nsay --yes to have it written");
        return Err(Failure::Usage(text));
    }
    eprintln!("{shown}");
    if !args.yes {
        agree("write it?", "nothing is approved")?;
    }
    let written = add(Some(found.rule.clone()))?;
    print_answer(&written, args.json, |written| {
        let it = if written.approved {
            "approved for always"
        } else {
            "written; the request was answered before"
        };
        println!("{it}: {} is in force; remove it to be asked again", display::text(&written.file));
    })?;
    done()
}

/// Shows what a pattern would have taken of the history. Whether the approval is to be given.
fn test(
    id: &str,
    pattern: &str,
    (dry_run, yes, json): (bool, bool, bool),
    control: Option<&Path>,
) -> Result<bool, Failure> {
    check_id(id)?;
    let asks = !yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !dry_run && !asks {
        return Ok(true);
    }
    let query = PatternQuery { pattern: pattern.to_owned() };
    let tested = ask(control, async |client| client.test_pattern(id, &query).await)?;
    if dry_run && json {
        print_json(&tested)?;
        return Ok(false);
    }
    let text = shown(pattern, &tested);
    if dry_run {
        println!("{text}");
        return Ok(false);
    }
    eprintln!("{text}");
    if tested.why.is_some() {
        return Err(Failure::Refused("nothing is approved".to_owned()));
    }
    let question = format!("approve every command that {} takes?", display::text(pattern));
    agree(&question, "nothing is approved")?;
    Ok(true)
}

/// What a pattern would have taken.
fn shown(pattern: &str, tested: &PatternTested) -> String {
    let mut lines = vec![format!(
        "{} takes, of the last {} in this jail, from this folder and by this user:",
        display::text(pattern),
        count(tested.looked_at, "request", "requests")
    )];
    for PatternTaken { argv, times, denied } in &tested.commands {
        let denied = if *denied > 0 { format!(", denied {denied} times") } else { String::new() };
        let command = display::command(argv);
        lines.push(format!("  {command}  ({}{denied})", count(*times, "time", "times")));
    }
    if tested.commands.is_empty() {
        lines.push("  none of them".to_owned());
    }
    if tested.omitted > 0 {
        lines.push(format!("  and {} more commands", tested.omitted));
    }
    if !tested.complete {
        lines.push("not all of it could be looked at in time".to_owned());
    }
    if let Some(why) = &tested.why {
        lines.push(format!("it cannot be approved for this request: {}", display::text(why)));
    }
    lines.join("\n")
}

fn milliseconds(text: &str) -> Result<u64, Failure> {
    let bad = |why: String| Failure::Usage(format!("--for {text:?}: {why}"));
    let time = clawrden_policy::parse_duration(text).map_err(|error| bad(error.to_owned()))?;
    match u64::try_from(time.as_millis()).unwrap_or(u64::MAX) {
        0 => {
            Err(bad("an approval cannot be for ever, nor for no time; write one such as 2h".into()))
        }
        milliseconds => Ok(milliseconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_some_time_and_not_for_ever() {
        assert_eq!(milliseconds("2h").unwrap(), 7_200_000);
        for bad in ["", "0", "never", "-1h", "2 hours ago"] {
            assert!(matches!(milliseconds(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }
}
