//! `clawrden replay`: plays a recording, or gives it away. It is compared with the ledger first.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clawrden_api::{RecordingFacts, RecordingQuery, display};
use serde::Serialize;

use crate::cast::player::{Pace, Player, interrupted};
use crate::cast::reader::{Event, Reader, What};
use crate::cast::screen::Screen;
use crate::connection::{Connection, ask, block_on};
use crate::failure::{Failure, Outcome, REFUSED, done};
use crate::output::{print_answer, print_json};
use crate::verbs::answer::check_id;

/// Bytes of the largest recording that there can be, and some more.
const MOST: usize = 1100 * 1024 * 1024;

const EXAMPLES: &str = "\
The recording is compared with the ledger first; one that differs is shown all the same, and ends with 1.

Examples:
  clawrden replay 7f3a
  clawrden replay 7f3a --speed 4 --idle-limit 1
  clawrden replay 7f3a --print | less -R
  clawrden replay 7f3a --export session.cast
  clawrden replay 7f3a --export session.txt
  clawrden replay 7f3a --tail
  clawrden replay 7f3a --json | jq -r .verdict";

/// Play what a command has shown, from its recording
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The command, as `clawrden history` shows it: at least four digits of its id
    #[arg(value_name = "ID")]
    id: String,
    /// So many times as fast
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// No pause longer than so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle_limit: Option<f64>,
    /// All at once
    #[arg(long, conflicts_with_all = ["speed", "idle_limit"])]
    print: bool,
    /// Write it to a file instead: the recording itself, or its text where the name ends with `.txt`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["speed", "idle_limit", "print"])]
    export: Option<PathBuf>,
    /// Only the last lines of what it wrote, as plain text, as a chat is told them
    #[arg(long, conflicts_with_all = ["speed", "idle_limit", "print", "export"])]
    tail: bool,
    /// Play nothing, and say in JSON what the recording is and whether the ledger has it so; or its tail
    #[arg(long, conflicts_with_all = ["speed", "idle_limit", "print"])]
    json: bool,
}

/// The answer for programs.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    facts: &'a RecordingFacts,
    /// `same`, `differs` or `unknown`.
    verdict: &'static str,
    text: String,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.01..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.01 to 1000".to_owned()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 86400".to_owned()),
    }
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    check_id(&args.id)?;
    if args.tail {
        let tail = ask(control, async |client| client.recording_tail(&args.id).await)?;
        print_answer(&tail, args.json, |tail| {
            tail.text.lines().for_each(|line| println!("{}", display::text(line)));
        })?;
        return done();
    }
    let connection = Connection::new(control)?;
    block_on(async {
        let (facts, bytes) = fetch(&connection, &args.id).await?;
        let verdict = compare(&facts, &bytes);
        if args.json {
            let (verdict, text) = (verdict.word(), verdict.text());
            print_json(&Told { facts: &facts, verdict, text })?;
        } else {
            eprintln!("clawrden: {}", verdict.text());
        }
        if let Some(path) = &args.export {
            export(path, &bytes)?;
        } else if !args.json {
            let events = Reader::default().take(&bytes);
            let pace = Pace { speed: args.speed, idle_limit: args.idle_limit };
            let interrupted = interrupted();
            tokio::select! {
                biased;
                code = interrupted => return Ok(ExitCode::from(code)),
                played = play(&events, (!args.print).then_some(pace)) => played?,
            }
        }
        if matches!(verdict, Verdict::Differs(_)) {
            return Err(Failure::Code { code: REFUSED, text: String::new() });
        }
        done()
    })?
}

async fn fetch(connection: &Connection, id: &str) -> Result<(RecordingFacts, Vec<u8>), Failure> {
    let stream = connection.client.recording(id, RecordingQuery::default()).await;
    let mut stream = stream.map_err(Connection::failure)?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await.map_err(Connection::failure)? {
        if bytes.len() + piece.len() > MOST {
            return Err(Failure::Refused("the recording is larger than one can be".to_owned()));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((stream.facts.clone(), bytes))
}

/// What the ledger says of a recording.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is as the ledger has it, and why it is not all there is, where it is not.
    Same(Option<String>),
    /// It is another than the ledger has.
    Differs(String),
    /// The ledger has no end of it.
    Unknown(String),
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Same(_) => "same",
            Self::Differs(_) => "differs",
            Self::Unknown(_) => "unknown",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Same(None) => "this recording is as the ledger has it".to_owned(),
            Self::Same(Some(why)) => format!(
                "this recording is as the ledger has it, and not whole: {}",
                display::text(why)
            ),
            Self::Differs(how) => {
                format!("THIS RECORDING IS NOT WHAT THE LEDGER HAS: {}", display::text(how))
            }
            Self::Unknown(why) => {
                format!("this recording cannot be checked: {}", display::text(why))
            }
        }
    }
}

fn compare(facts: &RecordingFacts, bytes: &[u8]) -> Verdict {
    if facts.live {
        return Verdict::Unknown("its command still runs".to_owned());
    }
    let Some(wanted) = &facts.sha256 else {
        let why = match &facts.error {
            Some(error) => format!("the ledger has no end of it: {error}"),
            None => "the ledger has no end of its command; the warden may have ended before it"
                .to_owned(),
        };
        return Verdict::Unknown(why);
    };
    let length = facts.bytes.unwrap_or_default();
    if u64::try_from(bytes.len()) != Ok(length) {
        return Verdict::Differs(format!("it has {} bytes, not {length}", bytes.len()));
    }
    let found = clawrden_api::sha256(bytes);
    if found != *wanted {
        return Verdict::Differs(format!("its SHA-256 is {found}, not {wanted}"));
    }
    Verdict::Same(facts.error.clone())
}

async fn play(events: &[Event], pace: Option<Pace>) -> Result<(), Failure> {
    let mut player = Player::new();
    for event in events {
        if let Some(pace) = pace {
            player.wait_for(event, pace).await;
        }
        player.show(event)?;
    }
    Ok(())
}

fn export(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error| Failure::Refused(format!("{} cannot be written: {error}", path.display()));
    let mut options = std::fs::File::options();
    let mut file = options.write(true).create_new(true).open(path).map_err(failed)?;
    if path.extension().is_some_and(|ending| ending == "txt") {
        let mut screen = Screen::plain();
        for event in Reader::default().take(bytes) {
            if let What::Output(text) = event.what {
                file.write_all(screen.show(&text).as_bytes()).map_err(failed)?;
            }
        }
        return Ok(());
    }
    file.write_all(bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(bytes: &[u8]) -> RecordingFacts {
        RecordingFacts {
            sha256: Some(clawrden_api::sha256(bytes)),
            bytes: Some(bytes.len() as u64),
            ..RecordingFacts::default()
        }
    }

    #[test]
    fn a_recording_is_compared_by_length_and_sum() {
        let known = facts(b"abc");
        assert_eq!(compare(&known, b"abc"), Verdict::Same(None));
        assert!(
            matches!(compare(&known, b"abd"), Verdict::Differs(how) if how.contains("SHA-256"))
        );
        assert!(matches!(compare(&known, b"ab"), Verdict::Differs(how) if how.contains("2 bytes")));
        let none = RecordingFacts::default();
        assert!(matches!(compare(&none, b"abc"), Verdict::Unknown(_)));
        let lost =
            RecordingFacts { error: Some("not in time".to_owned()), ..RecordingFacts::default() };
        assert!(
            matches!(compare(&lost, b"abc"), Verdict::Unknown(why) if why.contains("not in time"))
        );
        let live = RecordingFacts { live: true, ..known };
        assert!(matches!(compare(&live, b"abc"), Verdict::Unknown(_)));
    }

    #[test]
    fn what_cannot_be_a_pace_is_refused() {
        assert!(speed("0").is_err() && speed("nan").is_err() && speed("2").is_ok());
        assert!(seconds("-1").is_err() && seconds("inf").is_err() && seconds("0.5").is_ok());
    }
}
