//! `clawrden health`: whether the warden can serve, for probes and for people.

use std::path::Path;

use clawrden_api::{ClientError, ErrorCode, display};
use serde::Serialize;

use crate::connection::ask;
use crate::failure::{Failure, Outcome, REFUSED, done};
use crate::output::{Tone, paint, print_answer};

const EXAMPLES: &str = "\
Exit codes, besides those of every verb:
  0  requests can be served; with --live, the warden lives
  1  something is missing for that, and it is said what

Examples:
  clawrden health
  clawrden health --live
  HEALTHCHECK CMD [\"clawrden\", \"health\"]          in a Dockerfile";

/// Tell whether the warden can serve requests, and else what is missing
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only whether it lives
    #[arg(long)]
    live: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// The answer for programs.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Health {
    /// It lives, which is all that `--live` asks.
    live: bool,
    /// Requests can be served; null where that was not asked.
    ready: Option<bool>,
    /// What is missing for that.
    missing: Option<String>,
    /// What else should be known.
    notes: Vec<String>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let lives = Health { live: true, ready: None, missing: None, notes: Vec::new() };
    let health = ask(control, async |client| {
        if args.live {
            return client.alive().await.map(|_| lives);
        }
        match client.ready().await {
            Ok(text) => Ok(ready(&text)),
            Err(ClientError::Api(body)) if body.code == ErrorCode::NotReady => {
                Ok(Health { ready: Some(false), missing: Some(body.message), ..lives })
            }
            Err(error) => Err(error),
        }
    })?;
    print_answer(&health, args.json, show)?;
    match health.ready {
        Some(false) => Err(Failure::Code { code: REFUSED, text: String::new() }),
        _ => done(),
    }
}

/// `ready`, and a line for each note.
fn ready(text: &str) -> Health {
    let notes = text.lines().filter_map(|line| line.strip_prefix("note: ")).map(str::to_owned);
    Health { live: true, ready: Some(true), missing: None, notes: notes.collect() }
}

fn show(health: &Health) {
    match (health.ready, &health.missing) {
        (None, _) => println!("{}", paint(Tone::Good, "live")),
        (Some(true), _) => println!("{}", paint(Tone::Good, "ready")),
        (Some(false), missing) => {
            let missing = display::text(missing.as_deref().unwrap_or_default());
            println!("{}", paint(Tone::Bad, &format!("NOT READY: {missing}")));
        }
    }
    for note in &health.notes {
        println!("{}", paint(Tone::Warn, &format!("note: {}", display::text(note))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_told_apart_from_being_ready() {
        let health = ready("ready\nnote: a\nnote: b: c\n");
        assert_eq!((health.ready, health.notes), (Some(true), vec!["a".into(), "b: c".into()]));
    }
}
