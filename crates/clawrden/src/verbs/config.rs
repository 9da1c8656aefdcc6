//! `clawrden config`: what the warden was started with.

use std::path::Path;

use clawrden_api::{ConfigInfo, display};

use crate::connection::ask;
use crate::failure::{Outcome, done};
use crate::output::{Tone, paint, print_answer};

const EXAMPLES: &str = "\
What may be set, and where: docs/ledger.md, docs/chat.md and `clawrden warden --help`.

Examples:
  clawrden config
  clawrden config --json | jq -r .ledger";

/// Show what the warden was started with: its places, and where its API is served
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let config = ask(control, async |client| client.config().await)?;
    print_answer(&config, args.json, show)?;
    done()
}

fn show(config: &ConfigInfo) {
    let line = |name: &str, value: &str| {
        println!("{} {}", paint(Tone::Quiet, &format!("{name:<11}")), display::text(value));
    };
    line("intercom", &config.intercom);
    line("control", &config.control);
    line("ledger", &config.ledger);
    line("policy", &config.policy);
    line("grace", &display::duration(config.grace_ms));
    match &config.api {
        Some(url) => line("api", url),
        None => line("api", "on the control socket alone"),
    }
    if let Some(fingerprint) = &config.api_fingerprint {
        line("certificate", &format!("sha256 {fingerprint}"));
    }
    if !config.api_hosts.is_empty() {
        line("called", &config.api_hosts.join(" "));
    }
    if config.ephemeral {
        line("ends", "with its last prisoner");
    }
    if config.dry_run {
        line("dry run", "what the policy asks or denies is recorded and let through");
    }
}
