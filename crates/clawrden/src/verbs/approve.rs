//! `clawrden approve`: a person says yes to one request.

use std::path::Path;

use clawrden_api::{AnswerRequest, GrantScope};

use crate::failure::{Failure, Outcome};
use crate::verbs::answer::{Answer, send};

const EXAMPLES: &str = "\
A yes is for exactly what was shown: the same jail, executable and contents, arguments, folder, dangerous variables and
executor. What the policy denies by the time of a run is denied all the same.

With --and-what-it-starts, whatever a process below the approved command asks for is approved with it, as the kernel
proves whose child it is: in the same jail, by the same user, in the prisoner or where the command itself runs, for as
long as the command lives and 24 hours at most. What the policy or a ceiling denies is denied, and what a ceiling asks,
needs other approvers, gets a secret or runs as another user is asked about. Look at what the command is: a prisoner can
run one that lives long, or that it can trace or write to, and start others below it.

Examples:
  clawrden approve 7f3a
  clawrden approve 7f3a --session
  clawrden approve 7f3a --and-what-it-starts
  clawrden approve 7f3a --for 2h --reason 'the lock file was reviewed'
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
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    let for_ms = args.time.as_deref().map(milliseconds).transpose()?;
    let scope = match (args.session, for_ms) {
        (true, _) => GrantScope::Session,
        (false, Some(_)) => GrantScope::Time,
        (false, None) => GrantScope::Once,
    };
    let and_what_it_starts = args.and_what_it_starts;
    let request = AnswerRequest { reason: args.reason, scope, for_ms, and_what_it_starts };
    send(Answer::Approve, &args.id, &request, args.json, control)
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
