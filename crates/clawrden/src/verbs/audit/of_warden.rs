//! The proof of the ledger that a warden makes of its own files, by the key beside them.

use std::path::Path;
use std::time::Duration;

use clawrden_api::{ClientError, ErrorBody, ErrorCode, LedgerProof, LedgerProved, display};

use super::damage;
use crate::connection::ask;
use crate::failure::{Failure, Outcome, REFUSED, done};
use crate::output::{Tone, paint, print_answer};
use crate::when;

/// How often it is asked whether the proof is made.
const EVERY: Duration = Duration::from_millis(250);

/// Has the ledger proved, and waits for what comes of it; with `last`, tells what came of the last one.
pub(super) fn run(last: bool, json: bool, control: Option<&Path>) -> Outcome {
    let proof = ask(control, async |client| {
        if last {
            return client.proof().await;
        }
        match client.prove().await {
            // Somebody else's is as good.
            Ok(_) | Err(ClientError::Api(ErrorBody { code: ErrorCode::Conflict, .. })) => {}
            Err(error) => return Err(error),
        }
        loop {
            let proof = client.proof().await?;
            if proof.running_since_ms.is_none() {
                return Ok(proof);
            }
            tokio::time::sleep(EVERY).await;
        }
    })?;
    print_answer(&proof, json, |proof| show(proof, when::now_ms()))?;
    match proof.last {
        Some(last) if !last.holds => Err(Failure::Code { code: code(&last), text: String::new() }),
        _ => done(),
    }
}

/// The exit code of a ledger that does not hold, as for one that is proved by its files.
fn code(last: &LedgerProved) -> u8 {
    match last.damage {
        Some(damage) => damage::code(damage),
        None if last.unread => damage::UNREADABLE,
        // A warden of another version may not say what is wrong.
        None => REFUSED,
    }
}

fn show(proof: &LedgerProof, now: u64) {
    if let Some(since) = proof.running_since_ms {
        println!("it is being proved since {}", when::moment(since, now));
    }
    let Some(last) = &proof.last else {
        println!("it was not proved since the warden started");
        return;
    };
    let ended = when::moment(last.ended_ms, now);
    let took = display::duration(last.took_ms);
    if !last.holds {
        let what = match last.damage {
            Some(damage) => damage::what(damage),
            None if last.unread => "the ledger could not be read",
            None => "the ledger does not hold",
        };
        println!("{}", paint(Tone::Bad, what));
        println!("{}", display::text(last.why.as_deref().unwrap_or_default()));
        println!("looked at on {ended}, within {took}");
        return;
    }
    println!("{}", paint(Tone::Good, "the ledger holds"));
    let LedgerProved { records, first, last: to, bytes, .. } = last;
    println!(
        "{records} records ({first} to {to}), {bytes} bytes; proved on {ended}, within {took}"
    );
    if let Some(head) = &last.head {
        println!("head {}", display::text(head));
    }
    match last.signed_to {
        0 => println!("{}", paint(Tone::Warn, "nothing of it is signed")),
        to => println!("signed up to record {to}"),
    }
    for note in &last.notes {
        println!("{}", paint(Tone::Warn, &display::text(note)));
    }
    let text =
        "proved by the warden's own files and the key beside them; `--key` proves a copy elsewhere";
    println!("{}", paint(Tone::Quiet, text));
}
