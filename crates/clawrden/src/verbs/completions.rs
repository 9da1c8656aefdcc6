//! `clawrden completions`: what a shell needs to complete our verbs and flags.

use crate::failure::{Outcome, done};

const EXAMPLES: &str = "\
Examples:
  clawrden completions bash > ~/.local/share/bash-completion/completions/clawrden
  clawrden completions zsh > ~/.zfunc/_clawrden
  clawrden completions fish > ~/.config/fish/completions/clawrden.fish";

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, command: &mut clap::Command) -> Outcome {
    clap_complete::generate(args.shell, command, "clawrden", &mut std::io::stdout());
    done()
}
