//! `clawrden bridge`: a channel apart from the warden, at the control API with a token that speaks for a chat.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use clawrden_bridge::api::OverApi;
use clawrden_bridge::bridge::{Bridge, Options};
use clawrden_bridge::channel::{Channel, Kind};
use clawrden_bridge::service::Step;
use clawrden_bridge::standing::Standing;
use clawrden_bridge::trial;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::bounded::read_bounded;
use crate::connection::{Connection, places};
use crate::elsewhere;
use crate::failure::{Failure, Outcome, chain, done};
use crate::output::print_answer;
use crate::verbs::notify::show_steps;

/// Bytes of the longest file of settings.
const MAX_CONFIG: u64 = 256 * 1024;

const EXAMPLES: &str = "\
It tells a chat what waits at a warden, and takes answers there, with a token that can do no more than that:

  clawrden token create --role approver --speaks-for slack --name slack-bridge > token && chmod 600 token

The file is one channel, as in the section `notify` of the warden's settings:

  name: ops
  kind: slack
  token_file: /etc/clawrden/slack-bot
  app_token_file: /etc/clawrden/slack-app
  to: C0123456789

It stays in the foreground and logs to standard error (CLAWRDEN_LOG sets how much); SIGTERM ends it. docs/chat.md says
all of it.

Examples:
  clawrden bridge slack --config ops.yaml --host https://warden.example:8080 --token-file token
  clawrden bridge telegram --config chat.yaml --host http://127.0.0.1:8080 --token-file token
  clawrden bridge webhook --config hook.yaml --host http://127.0.0.1:8080 --token-file token --test";

/// Tell a chat what waits, and take answers there, apart from the warden
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The service
    #[arg(value_enum, value_name = "SERVICE")]
    service: Service,
    /// The channel, as a YAML file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where it remembers its messages; without one, beside this user's own state
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Only try the whole way, step by step, with a message there
    #[arg(long)]
    test: bool,
    /// With --test: answer in JSON
    #[arg(long, requires = "test")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Service {
    Slack,
    Telegram,
    Webhook,
}

impl Service {
    fn kind(self) -> Kind {
        match self {
            Self::Slack => Kind::Slack,
            Self::Telegram => Kind::Telegram,
            Self::Webhook => Kind::Webhook,
        }
    }
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    if elsewhere::client().is_none() {
        let text = "a bridge asks with a token of its own: give --host URL and --token-file FILE";
        return Err(Failure::Usage(text.to_owned()));
    }
    let filter = EnvFilter::try_from_env("CLAWRDEN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log that cannot be written is no reason to end: complaining of it would be a panic.
    log.with_ansi(colours).log_internal_errors(false).init();
    let channel = read(&args.config, args.service.kind())?;
    let (service, secrets) = channel.open().map_err(|error| Failure::Usage(chain(&error)))?;
    let (service, standing) = (Arc::new(service), Standing::new(secrets));
    let state = match &args.state {
        Some(folder) => folder.clone(),
        None => places()?.state().join("bridges"),
    };
    let warden = Arc::new(OverApi::new(Connection::new(control)?.client, &standing));
    let options = Options {
        // Another than that of the warden's own channel of this name, which may lie in the same folder.
        name: format!("{}-apart", channel.name),
        state,
        routes: channel.routes(),
        flood: channel.flood,
        page: channel.page.clone(),
        tail: channel.tail,
    };
    let places = channel.routes().all();
    let bridge = Bridge::open(Arc::clone(&service), warden, standing.clone(), options);
    let bridge = bridge.map_err(|error| Failure::Refused(chain(&error)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|e| Failure::Refused(format!("the event loop cannot be started: {e}")))?;
    runtime.block_on(async {
        let unwatched = |e| Failure::Refused(format!("signals cannot be watched: {e}"));
        let mut term = signal(SignalKind::terminate()).map_err(unwatched)?;
        let mut int = signal(SignalKind::interrupt()).map_err(unwatched)?;
        let tried = async {
            if !args.test {
                std::future::pending::<()>().await;
            }
            trial::steps(Some(&*service), &standing, &places).await
        };
        tokio::select! {
            () = bridge.run() => Err(Failure::Refused("the bridge has ended".to_owned())),
            _ = term.recv() => done(),
            _ = int.recv() => done(),
            steps = tried => told(&steps, args.json),
        }
    })
}

fn told(steps: &[Step], json: bool) -> Outcome {
    print_answer(&steps, json, |steps| show_steps(steps))?;
    if steps.iter().all(|step| step.failed.is_none()) {
        return done();
    }
    Err(Failure::Code { code: crate::failure::REFUSED, text: String::new() })
}

fn read(path: &Path, kind: Kind) -> Result<Channel, Failure> {
    let bad = |why: String| Failure::Usage(format!("--config {}: {why}", path.display()));
    let text = read_bounded(path, MAX_CONFIG).map_err(|e| bad(e.to_string()))?;
    let channel: Channel = serde_saphyr::from_str(&text).map_err(|error| {
        let place = error.location();
        let said = error.without_snippet().to_string();
        let why = said.split(" at line ").next().unwrap_or(&said).trim();
        match place {
            Some(at) => bad(format!("line {}: {why}", at.line())),
            None => bad(why.to_owned()),
        }
    })?;
    if channel.kind != kind {
        let text = format!("it is a channel of kind {}", channel.kind.as_str());
        return Err(bad(text));
    }
    Ok(channel)
}
