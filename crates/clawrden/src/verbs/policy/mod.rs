//! `clawrden policy …`: what a policy says, before anything depends on it. Nothing here changes a policy that is in
//! force, and nothing is executed.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use clawrden_policy::{LoadError, Policy};

use crate::failure::{Failure, Outcome};
use crate::output::{Tone, paint};
use crate::verbs::places;

mod check;
mod explain;
mod lint;
mod reload;
mod schema;
mod simulate;

/// The stock profiles by name.
const PROFILES: [&str; 1] = ["developer"];

const EXAMPLES: &str = "\
Examples:
  clawrden policy check policy.yaml
  clawrden policy explain -- git push --force
  clawrden policy lint
  clawrden policy simulate --policy candidate.yaml
  clawrden policy explain --profile developer --shell 'rm -rf build && npm ci'";

/// Check, explain and compare policies
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::Args),
    Explain(explain::Args),
    Reload(reload::Args),
    Lint(lint::Args),
    Simulate(simulate::Args),
    Schema(schema::Args),
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    match args.verb {
        Verb::Check(args) => check::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Reload(args) => reload::run(&args, control),
        Verb::Lint(args) => lint::run(&args),
        Verb::Schema(args) => schema::run(&args),
        Verb::Simulate(args) => simulate::run(&args, control),
    }
}

/// Which policy is meant.
#[derive(Debug, clap::Args)]
struct Choice {
    /// The policy; without one, the one that a warden started here would use
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    policy: Option<PathBuf>,
    /// A stock profile instead of a file
    #[arg(long, value_name = "NAME", value_parser = PROFILES)]
    profile: Option<String>,
}

/// A policy with what to call its source.
struct Chosen {
    policy: Policy,
    source: String,
}

impl Choice {
    /// Loads it.
    ///
    /// # Errors
    /// [`Failure::Usage`] with every error that the file has.
    fn load(&self) -> Result<Chosen, Failure> {
        if self.profile.is_some() {
            return Ok(Chosen { policy: Policy::stock(), source: STOCK.to_owned() });
        }
        let file = match &self.policy {
            Some(file) => Some(file.clone()),
            None => usual()?,
        };
        let Some(file) = file else {
            return Ok(Chosen { policy: Policy::stock(), source: STOCK.to_owned() });
        };
        let policy = Policy::load(&file).map_err(|e| Failure::Usage(said(&e)))?;
        Ok(Chosen { policy, source: file.display().to_string() })
    }
}

/// What the stock policy is called.
const STOCK: &str = "the stock policy `developer`";

/// The policy file of this user, if there is one: what a warden that is given none would read.
fn usual() -> Result<Option<PathBuf>, Failure> {
    let usual = places()?.policy();
    Ok(usual.exists().then_some(usual))
}

/// The errors of a policy, on lines of their own.
fn said(error: &LoadError) -> String {
    match error {
        LoadError::Refused(found) => format!("the policy is refused\n{found}"),
        other => other.to_string(),
    }
}

/// The tone of an action.
fn tone(action: &str) -> Tone {
    match action {
        "allow" => Tone::Good,
        "ask" => Tone::Warn,
        _ => Tone::Bad,
    }
}

/// An action in its tone.
fn painted(action: &str) -> String {
    paint(tone(action), action)
}
