//! `clawrden audit verify`: whether the ledger is what was written.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clawrden_api::{LedgerDamage, display};
use clawrden_warden::ledger::{
    Broken, Proof, PublicKey, Summary, VerifyError, heads_in, verify_by,
};
use serde::Serialize;

use super::damage::{UNREADABLE, code, what};
use super::{folder, ledger, of_warden};
use crate::bounded::read_bounded;
use crate::elsewhere::AskWarden;
use crate::failure::{Failure, Outcome, chain, done};
use crate::output::{Tone, paint, print_json};

/// Bytes of the longest file of a key, and of heads.
const MAX_KEY: u64 = 4096;
const MAX_HEADS: u64 = 256 * 1024 * 1024;

const HELP: &str = "\
Exit codes:
  0  it holds
  1  it does not hold: the first line that is wrong is named
  2  the command line, or a key or a file of heads, is wrong, or the range is not in the ledger
  4  its last line has no end: a crash left it, or it is written just now
  5  lines were cut off: a seal or a signed head names them
  6  it cannot be read
A warden's proof is told by the same codes; by --last also with 0 where there was none yet.

Examples:
  clawrden audit verify
  clawrden audit verify /srv/copy/ledger.jsonl --key ledger.pub
  clawrden audit verify ledger-000000000001.jsonl --key 'MCow…=' --json
  clawrden audit verify --anchor /mnt/worm/heads.jsonl --from 120000 --to 130000
  clawrden audit verify --warden          have the warden prove it, by its own files and the key beside them
  clawrden audit verify --warden --last   what its last proof came to";

/// Prove that no line of the ledger was changed, removed, added or moved: by its files and the public key alone, or by the warden
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// The ledger, its folder, or one closed segment; without one, this user's ledger
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
    #[command(flatten)]
    ask: AskWarden,
    /// Of the warden: only what its last proof came to; no other is begun
    #[arg(long)]
    last: bool,
    /// The public key, as `audit key` prints it, or a file with it; may be given again. Without one, that beside the
    /// ledger, which whoever changed the ledger may have changed too
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// A file of heads that an anchor kept: lines of JSON, or a system log's; may be given again
    #[arg(long, value_name = "FILE")]
    anchor: Vec<PathBuf>,
    /// The first record that matters
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// The last record that matters
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    holds: bool,
    key_given: bool,
    millis: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<At<'a>>,
}

#[derive(Serialize)]
struct At<'a> {
    file: String,
    line: u64,
    offset: u64,
    seq: u64,
    damage: LedgerDamage,
    why: &'a str,
}

pub(super) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    if args.ask.is_meant() {
        args.ask.refuse(&[
            (args.path.is_some(), "a ledger's path"),
            (!args.key.is_empty(), "--key"),
            (!args.anchor.is_empty(), "--anchor"),
            (args.from.is_some(), "--from"),
            (args.to.is_some(), "--to"),
        ])?;
        return of_warden::run(args.last, args.json, control);
    }
    if args.last {
        let text = "--last is what a warden's last proof came to: add --warden".to_owned();
        return Err(Failure::Usage(text));
    }
    let path = ledger(args.path.as_deref())?;
    let mut proof = Proof { from: args.from, to: args.to, ..Proof::default() };
    for key in &args.key {
        proof.keys.push(read_key(key)?);
    }
    let key_given = !proof.keys.is_empty();
    proof.keys_given = key_given;
    if !key_given {
        proof.keys.extend(PublicKey::of(folder(&path)).ok());
    }
    for file in &args.anchor {
        let text = read_bounded(file, MAX_HEADS)
            .map_err(|e| Failure::Usage(format!("{} cannot be read: {e}", file.display())))?;
        let heads = heads_in(&text);
        if heads.is_empty() {
            let text = format!("{} has no signed head in it", file.display());
            return Err(Failure::Usage(text));
        }
        proof.heads.extend(heads);
    }
    let clock = Instant::now();
    let result = verify_by(&path, &proof);
    let millis = clock.elapsed().as_millis();
    match result {
        Ok(summary) => {
            if args.json {
                let summary = Some(&summary);
                print_json(&Answer { holds: true, key_given, millis, summary, broken: None })?;
                return done();
            }
            say(&summary, &path, key_given, !proof.keys.is_empty());
            done()
        }
        Err(VerifyError::Broken(broken)) => {
            if args.json {
                let at = At {
                    file: broken.file.display().to_string(),
                    line: broken.line,
                    offset: broken.at,
                    seq: broken.seq,
                    damage: broken.damage,
                    why: &broken.why,
                };
                let broken = Some(at);
                print_json(&Answer { holds: false, key_given, millis, summary: None, broken })?;
            } else {
                complain(&broken);
            }
            Ok(ExitCode::from(code(broken.damage)))
        }
        Err(error @ VerifyError::NoSuchRange { .. }) => Err(Failure::Usage(chain(&error))),
        Err(VerifyError::Unreadable(error)) => {
            Err(Failure::Code { code: UNREADABLE, text: chain(&error) })
        }
    }
}

fn read_key(given: &str) -> Result<PublicKey, Failure> {
    if let Ok(key) = given.parse() {
        return Ok(key);
    }
    let wrong = |why: String| Failure::Usage(format!("--key {given}: {why}"));
    let text = read_bounded(Path::new(given), MAX_KEY).map_err(|e| wrong(e.to_string()))?;
    text.parse().map_err(|e: clawrden_warden::ledger::BadKey| wrong(e.to_string()))
}

fn say(summary: &Summary, path: &Path, key_given: bool, has_key: bool) {
    println!("{}", paint(Tone::Good, "the ledger holds"));
    let path = display::text(&path.display().to_string());
    println!(
        "{path}: {} records ({} to {}), {} bytes in {} files",
        summary.lines, summary.first_seq, summary.last_seq, summary.bytes, summary.segments
    );
    println!("head {}", summary.head);
    if summary.first_seq > 1 {
        let first = summary.first_seq;
        let dropped = summary.dropped.as_ref().filter(|dropped| dropped.last + 1 >= first);
        match dropped {
            Some(dropped) => println!(
                "it begins with record {first}: records before were dropped by retention on {}, signed",
                display::rfc3339(dropped.at_ms)
            ),
            None => println!("it begins with record {first}: what came before lies elsewhere"),
        }
    }
    match summary.signed_to {
        0 => {
            let text =
                "nothing of it is signed: whoever can write the file can rewrite it, or cut it off";
            println!("{}", paint(Tone::Warn, text));
        }
        to => println!(
            "signed up to record {to}: {} seals and {} heads hold",
            summary.seals, summary.heads
        ),
    }
    if (1..summary.last_seq).contains(&summary.signed_to) {
        let text = format!(
            "records {} to {} are proved by the chain alone: whoever can write the file can rewrite them",
            summary.signed_to + 1,
            summary.last_seq
        );
        println!("{}", paint(Tone::Warn, &text));
    }
    if !key_given {
        let text = if has_key {
            "proved by the key beside it; give --key with a copy that its machine cannot change"
        } else {
            "no key was given, and signatures were held against the key that the ledger names itself"
        };
        println!("{}", paint(Tone::Warn, text));
    }
    if summary.keys.len() > 1 {
        println!("{}", paint(Tone::Warn, "its key was changed: more than one signed it"));
    }
    let numbers = |all: &[u64]| {
        let text: Vec<String> = all.iter().take(20).map(ToString::to_string).collect();
        text.join(", ")
    };
    if !summary.recovered.is_empty() {
        let at = numbers(&summary.recovered);
        println!(
            "{}",
            paint(Tone::Warn, &format!("damage was set aside or told of in records {at}"))
        );
    }
    if !summary.disk_failed.is_empty() {
        let at = numbers(&summary.disk_failed);
        println!("{}", paint(Tone::Warn, &format!("the disk failed for a while: records {at}")));
    }
}

fn complain(broken: &Broken) {
    println!("{}", paint(Tone::Bad, what(broken.damage)));
    println!(
        "{}, line {}, byte {}, where record {} belongs: {}",
        display::text(&broken.file.display().to_string()),
        broken.line,
        broken.at,
        broken.seq,
        display::text(&broken.why)
    );
}
