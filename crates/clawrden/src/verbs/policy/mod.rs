//! `clawrden policy …`: what a policy says, before anything depends on it. Nothing here changes a policy that is in
//! force, and nothing is executed.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use clawrden_policy::{Layer, LoadError, Policy, Source};
use clawrden_warden::layers;

use crate::connection::places;
use crate::failure::{Failure, Outcome};
use crate::output::{Tone, paint};
use crate::run::profiles;

mod check;
mod explain;
mod lint;
mod of_warden;
mod past;
mod reload;
mod schema;
mod show;
mod simulate;
mod suggest;
mod test;

const EXAMPLES: &str = "\
Examples:
  clawrden policy check policy.yaml
  clawrden policy explain -- git push --force
  clawrden policy explain --warden -- git push --force
  clawrden policy lint
  clawrden policy test
  clawrden policy show --profile ci > policy.yaml
  clawrden policy simulate --policy candidate.yaml
  clawrden policy suggest --since 7d
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
    Test(test::Args),
    Show(show::Args),
    Suggest(suggest::Args),
    Schema(schema::Args),
}

impl Args {
    /// Whether a warden can be asked, and not files of this machine alone.
    pub(crate) fn asks_a_warden(&self) -> bool {
        !matches!(self.verb, Verb::Lint(_) | Verb::Test(_) | Verb::Schema(_))
    }
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    match args.verb {
        Verb::Check(args) => check::run(&args, control),
        Verb::Explain(args) => explain::run(&args, control),
        Verb::Reload(args) => reload::run(&args, control),
        Verb::Lint(args) => lint::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Show(args) => show::run(&args, control),
        Verb::Schema(args) => schema::run(&args),
        Verb::Simulate(args) => simulate::run(&args, control),
        Verb::Suggest(args) => suggest::run(&args, control),
    }
}

/// The files that a verb looks at.
#[derive(Debug, clap::Args)]
struct Files {
    /// The files; without one, the policy that a warden started here would use
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Files {
    /// Those that were named, or the usual one; none is the stock policy.
    ///
    /// # Errors
    /// [`Failure::Usage`] when the environment does not tell where that is.
    fn named(&self) -> Result<Vec<PathBuf>, Failure> {
        match self.files.as_slice() {
            [] => Ok(usual()?.into_iter().collect()),
            files => Ok(files.to_vec()),
        }
    }
}

/// Which policy is meant.
#[derive(Debug, clap::Args)]
struct Choice {
    /// The policy; without one, the one that a warden started here would use
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    policy: Option<PathBuf>,
    /// A stock profile instead of a file
    #[arg(long, value_name = "NAME", value_parser = profiles())]
    profile: Option<String>,
}

/// A policy with what to call its source.
struct Chosen {
    policy: Policy,
    source: String,
}

impl Choice {
    /// Loads it, under the ceiling where there is one.
    ///
    /// # Errors
    /// [`Failure::Usage`] with every error that its files have.
    fn load(&self) -> Result<Chosen, Failure> {
        let (source, files) = self.files()?;
        let policy = Policy::from_sources(&under_ceiling(files)?);
        let policy = policy.map_err(|e| Failure::Usage(said(&e)))?;
        Ok(Chosen { policy, source })
    }

    /// What was named, if something was.
    fn named(&self) -> Option<&'static str> {
        let profile = self.profile.as_ref().map(|_| "--profile");
        self.policy.as_ref().map(|_| "--policy").or(profile)
    }

    /// Its files, but for the ceiling, and what to call them.
    ///
    /// # Errors
    /// [`Failure::Usage`] when one cannot be read.
    fn files(&self) -> Result<(String, Vec<Source>), Failure> {
        if let Some(profile) = self.profile.as_deref().and_then(Policy::profile) {
            return Ok((profile.name.clone(), vec![profile]));
        }
        if let Some(file) = &self.policy {
            let file = Source::read(Layer::Host, file).map_err(|e| Failure::Usage(said(&e)))?;
            return Ok((file.name.clone(), vec![file]));
        }
        let places = places()?;
        let host = layers::host(None, &places.policy(), &places.rules());
        let host = host.map_err(|error| Failure::Usage(error.to_string()))?;
        Ok((if host.is_stock { STOCK.to_owned() } else { host.name }, host.files))
    }
}

/// These files, and the ceiling where there is one.
///
/// # Errors
/// [`Failure::Usage`] when there is one that is not to be trusted.
fn under_ceiling(mut files: Vec<Source>) -> Result<Vec<Source>, Failure> {
    files.extend(layers::ceiling().map_err(|error| Failure::Usage(error.to_string()))?);
    Ok(files)
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
