//! `clawrden hook AGENT`: an agent asks before it uses one of its tools. The warden of the jail judges it by the same
//! policy as everything else; nothing is executed here. Whatever goes wrong is a denial: to the agents any exit code
//! but 0 and 2, and a hook that takes too long, is no objection.

use std::io::{Read, Write};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clawrden_api::display;

use agent::{Agent, Asked};

mod agent;
mod ask;

/// Bytes of a hook's input at most. A tool that writes a file has all of it in there.
const MAX_INPUT: u64 = 32 * 1024 * 1024;

/// The exit code by which a hook blocks, whatever it has printed.
const BLOCKED: u8 = 2;

const EXAMPLES: &str = "\
It reads the agent's JSON on standard input and answers in the agent's format. What the policy
wants to ask about waits in the same queue as everything else; `--timeout` must be below the
agent's own limit for hooks.

Exit codes:
  0  answered
  2  denied, because something went wrong

Examples:
in ~/.claude/settings.json, and in ~/.codex/hooks.json:
  {\"hooks\": {\"PreToolUse\": [{\"matcher\": \"*\", \"hooks\": [{\"type\": \"command\", \"timeout\": 60,
    \"command\": \"clawrden hook claude-code\", \"onFailure\": \"block\"}]}]}}
  {\"hooks\": {\"PreToolUse\": [{\"matcher\": \"*\", \"hooks\": [{\"type\": \"command\", \"timeout\": 60,
    \"command\": \"clawrden hook codex\"}]}]}}";

/// Answer an agent's hook before it uses a tool
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Whose hook it is
    #[arg(value_name = "AGENT")]
    agent: Agent,
    /// How long a person has to answer; then the tool is denied, and an answer that comes later is kept for the next try
    #[arg(long, value_name = "TIME", default_value = "50s", value_parser = clawrden_policy::parse_duration)]
    timeout: Duration,
}

/// What is told to the agent.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It is none of ours.
    NoOpinion,
    /// The policy or a person says yes.
    Allow,
    /// The policy or a person says no, or nobody said yes in time.
    Deny(String),
    /// No answer could be had.
    Broken(String),
}

/// One answer and no more, and what a person was asked meanwhile.
struct Mouth {
    agent: Agent,
    spoken: Mutex<bool>,
    /// What is waited for, once somebody is asked.
    waiting: Mutex<Option<String>>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> ExitCode {
    let mouth =
        Arc::new(Mouth { agent: args.agent, spoken: Mutex::new(false), waiting: Mutex::new(None) });
    let (late, patience) = (Arc::clone(&mouth), args.timeout);
    let watch = std::thread::Builder::new().spawn(move || {
        std::thread::sleep(patience);
        std::process::exit(late.say(&late.too_late(patience)).into());
    });
    let answer = match watch {
        Ok(_) => catch_unwind(|| answer(args.agent, &mouth)).unwrap_or_else(|_| {
            Answer::Broken("clawrden failed; this is a mistake of ours".into())
        }),
        Err(e) => Answer::Broken(format!("no thread can be started: {e}")),
    };
    ExitCode::from(mouth.say(&answer))
}

fn answer(agent: Agent, mouth: &Mouth) -> Answer {
    let mut input = Vec::new();
    let limit = MAX_INPUT + 1;
    if let Err(e) = std::io::stdin().lock().take(limit).read_to_end(&mut input) {
        return Answer::Broken(format!("standard input cannot be read: {e}"));
    }
    if u64::try_from(input.len()).is_ok_and(|length| length >= limit) {
        return Answer::Broken(format!("the input is longer than {MAX_INPUT} bytes"));
    }
    match agent.read(&input) {
        Ok(Asked { argv: None, .. }) => Answer::NoOpinion,
        Ok(Asked { argv: Some(argv), cwd }) => ask::ask(&argv, &cwd, |text| {
            *mouth.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
        }),
        Err(why) => Answer::Broken(why),
    }
}

impl Mouth {
    /// What is said when the time is over.
    fn too_late(&self, patience: Duration) -> Answer {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let limit = display::duration(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
        match waiting {
            Some(what) => Answer::Deny(format!(
                "nobody has answered within {limit}, so nothing ran; {what}. Repeat the same command later: an \
                 answer that comes meanwhile is kept for it"
            )),
            None => Answer::Broken(format!("the warden has not answered within {limit}")),
        }
    }

    /// Says it, unless something was said, and gives the exit code.
    fn say(&self, answer: &Answer) -> u8 {
        let mut spoken = self.spoken.lock().unwrap_or_else(PoisonError::into_inner);
        if *spoken {
            // Whoever spoke first ends the process.
            loop {
                std::thread::park();
            }
        }
        *spoken = true;
        drop(spoken);
        let broken = matches!(answer, Answer::Broken(_));
        let (out, err) = self.agent.words(answer);
        if !err.is_empty() {
            // The exit code says it as well.
            let _ = writeln!(std::io::stderr(), "{err}");
        }
        let mut stdout = std::io::stdout().lock();
        let written = match out.as_str() {
            "" => Ok(()),
            out => writeln!(stdout, "{out}").and_then(|()| stdout.flush()),
        };
        if broken || written.is_err() { BLOCKED } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mouth(waiting: Option<&str>) -> Mouth {
        let waiting = Mutex::new(waiting.map(str::to_owned));
        Mouth { agent: Agent::ClaudeCode, spoken: Mutex::new(false), waiting }
    }

    #[test]
    fn a_warden_that_says_nothing_in_time_is_an_error_and_a_person_a_denial() {
        let patience = Duration::from_secs(50);
        assert!(matches!(mouth(None).too_late(patience), Answer::Broken(_)));
        match mouth(Some("waiting for approval 7f3a")).too_late(patience) {
            Answer::Deny(text) => assert!(text.contains("7f3a") && text.contains("nothing ran")),
            other => panic!("{other:?}"),
        }
    }
}
