//! `clawrden attach`: watches a recorded command while it runs. Nothing that is typed here reaches it.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clawrden_api::{RECORDING_DROPPED, RecordingQuery};

use crate::cast::player::{Player, interrupted};
use crate::cast::reader::{Reader, What};
use crate::connection::{Connection, block_on};
use crate::failure::{Failure, Outcome, REFUSED, done};
use crate::verbs::answer::check_id;

const EXAMPLES: &str = "\
Only what a rule has recorded (`record`) can be watched. Ctrl-C ends the watching, not the command.

Examples:
  clawrden attach 7f3a
  clawrden attach 7f3a --new
  clawrden attach 7f3a --json | jq -r 'arrays | .[2]'";

/// Watch a recorded command while it runs
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The command, as `clawrden ps` shows it: at least four digits of its id
    #[arg(value_name = "ID")]
    id: String,
    /// Leave out what it has shown before
    #[arg(long)]
    new: bool,
    /// The recording's own lines of JSON, as they come (asciicast)
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    check_id(&args.id)?;
    let connection = Connection::new(control)?;
    block_on(async {
        // Listened to from before the first byte is shown.
        let interrupted = interrupted();
        tokio::select! {
            biased;
            code = interrupted => Ok(ExitCode::from(code)),
            watched = watch(&connection, args) => watched,
        }
    })?
}

async fn watch(connection: &Connection, args: &Args) -> Outcome {
    let query = RecordingQuery { follow: true, new: args.new };
    let stream = connection.client.recording(&args.id, query).await;
    let mut stream = stream.map_err(Connection::failure)?;
    if !stream.facts.live {
        let id = stream.facts.id.get(..8).unwrap_or(&args.id).to_owned();
        return Err(Failure::Refused(format!(
            "{id} has ended; `clawrden replay {id}` plays its recording"
        )));
    }
    let mut reader = Reader::default();
    let mut player = Player::new();
    while let Some(bytes) = stream.next().await.map_err(Connection::failure)? {
        if args.json {
            let mut out = std::io::stdout().lock();
            let written = out.write_all(&bytes).and_then(|()| out.flush());
            written
                .map_err(|e| Failure::Refused(format!("standard output cannot be written: {e}")))?;
        }
        for event in reader.take(&bytes) {
            if !args.json {
                player.show(&event)?;
            }
            if matches!(&event.what, What::Marker(text) if text == RECORDING_DROPPED) {
                return Err(Failure::Code { code: REFUSED, text: String::new() });
            }
        }
    }
    done()
}
