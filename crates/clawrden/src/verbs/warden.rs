//! `clawrden warden`: the supervisor in the foreground, as a service manager or `clawrden run` starts it.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clawrden_warden::control::ApiConfig;
use clawrden_warden::engine::EngineAddress;
use clawrden_warden::{Config, ExitCodes, run_warden};
use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Outcome, chain, done};

const EXAMPLES: &str = "\
It stays in the foreground and logs to standard error (CLAWRDEN_LOG sets how much); SIGTERM ends it in order,
SIGHUP has it read its policy anew.

Examples:
  clawrden warden --policy ./policy.yaml
  clawrden-warden --socket /run/clawrden/warden.sock --audit /var/log/clawrden/ledger.jsonl";

/// Run the warden in the foreground
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The default jail's intercom socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The policy; without one, the usual place is looked at, then the stock policy holds
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The ledger; without one, where the settings put it, else the usual place
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// The warden's own settings; without one, `warden.yaml` beside the policy in its usual place
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long a command has between SIGTERM and SIGKILL, such as 500ms or 5s
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = clawrden_policy::parse_duration)]
    grace: Duration,
    /// Who tells how a tool ended that ran in the prisoner: the kernel where it can, or the shim
    #[arg(long, value_name = "WHO", default_value = "auto", value_parser = exit_codes)]
    exit_codes: ExitCodes,
    /// The container engine's Unix socket, such as unix:///run/docker.sock; `none` to use none, `auto` for the usual
    /// places of Docker and Podman
    #[arg(long, value_name = "ADDRESS", default_value = "auto")]
    engine: EngineAddress,
    /// Serve the control API over TCP as well, such as 127.0.0.1:8080, for who has a token (`clawrden token create`)
    #[arg(long, value_name = "ADDRESS")]
    api: Option<std::net::SocketAddr>,
    /// The certificate for it, as a PEM file
    #[arg(long, value_name = "FILE", requires = "api", requires = "api_key")]
    api_cert: Option<PathBuf>,
    /// The certificate's key, as a PEM file
    #[arg(long, value_name = "FILE", requires = "api_cert")]
    api_key: Option<PathBuf>,
    /// TLS by a certificate that the warden makes for itself and keeps; its log says the fingerprint
    #[arg(long, requires = "api", conflicts_with = "api_cert")]
    api_tls: bool,
    /// A name by which the API may be called, besides localhost and numbers
    #[arg(long = "api-host", value_name = "NAME", requires = "api")]
    api_hosts: Vec<String>,
    /// End when the last `clawrden run` has ended
    #[arg(long)]
    ephemeral: bool,
    /// Enforce nothing but the denial of disasters: decide and record, and let the rest run in the prisoner
    #[arg(long)]
    dry_run: bool,
}

/// Runs the verb.
pub(crate) fn run(args: Args, control: Option<&Path>) -> Outcome {
    let filter = EnvFilter::try_from_env("CLAWRDEN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log that cannot be written is no reason to end: complaining of it would be a panic.
    log.with_ansi(colours).log_internal_errors(false).init();
    let api = args.api.map(|listen| ApiConfig {
        listen,
        certificate: args.api_cert.zip(args.api_key),
        own_certificate: args.api_tls,
        hosts: args.api_hosts,
    });
    let config = Config {
        intercom: args.socket,
        control: control.map(Path::to_owned),
        policy: args.policy,
        audit: args.audit,
        settings: args.config,
        ephemeral: args.ephemeral,
        dry_run: args.dry_run,
        grace: args.grace,
        exit_codes: args.exit_codes,
        engine: args.engine,
        api,
    };
    run_warden(config).map_err(|e| Failure::Refused(chain(&e)))?;
    done()
}

fn exit_codes(word: &str) -> Result<ExitCodes, String> {
    match word {
        "auto" => Ok(ExitCodes::Auto),
        "shim" => Ok(ExitCodes::Shim),
        other => Err(format!("`{other}` is neither auto nor shim")),
    }
}
