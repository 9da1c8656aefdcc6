//! Proving the ledger while the warden runs: one proof at a time, by a thread of its own that nothing waits for.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clawrden_api::{ErrorBody, ErrorCode, ExportQuery, LedgerProof, LedgerProved};

use super::control::Control;
use super::refused;
use crate::approvals::Now;
use crate::control::Auditing;
use crate::ledger::{Export, Proof, PublicKey, Summary, VerifyError, verify_by};

/// Nice: a proof reads everything there is, and requests cannot wait for it.
const NICE: i32 = 10;

/// Sequence numbers that a note names.
const NAMED: usize = 20;

/// The proof that is under way, and the last one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proving(Arc<Mutex<LedgerProof>>);

impl Proving {
    fn told(&self) -> LedgerProof {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins one; `false` while one is under way.
    fn begin(&self) -> bool {
        let mut proof = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = proof.running_since_ms.is_none();
        if is_free {
            proof.running_since_ms = Some(Now::read().ms);
        }
        is_free
    }
}

/// A proof that is under way. However its thread ends, it is over.
struct UnderWay {
    proving: Proving,
    came: LedgerProved,
}

impl UnderWay {
    fn end(mut self, came: LedgerProved) {
        self.came = came;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut proof = self.proving.0.lock().unwrap_or_else(PoisonError::into_inner);
        proof.running_since_ms = None;
        proof.last = Some(std::mem::take(&mut self.came));
    }
}

impl Auditing for Control {
    fn proof(&self) -> LedgerProof {
        self.0.proving.told()
    }

    fn prove(&self) -> Result<LedgerProof, ErrorBody> {
        let proving = &self.0.proving;
        if !proving.begin() {
            let text = "the ledger is being proved; ask in a moment what it came to".to_owned();
            return Err(refused(ErrorCode::Conflict, text));
        }
        let why = Some("it ended before it was done".to_owned());
        let came = LedgerProved { why, unread: true, ..LedgerProved::default() };
        let under_way = UnderWay { proving: proving.clone(), came };
        let path = self.0.ledger.path().to_owned();
        let work = move || {
            // Refused, it is as quick as everything else.
            let _ = rustix::process::setpriority_process(None, NICE);
            under_way.end(prove(&path));
        };
        // A warden that goes down does not wait for it.
        if let Err(error) = thread::Builder::new().name("proof".to_owned()).spawn(work) {
            return Err(refused(ErrorCode::Internal, format!("there is no thread: {error}")));
        }
        Ok(proving.told())
    }

    fn export(&self, query: ExportQuery) -> Result<Export, ErrorBody> {
        Export::open(self.0.ledger.path(), query).map_err(|error| {
            refused(ErrorCode::Internal, format!("the ledger cannot be read: {error}"))
        })
    }
}

fn prove(path: &Path) -> LedgerProved {
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let keys = PublicKey::of(&folder).into_iter().collect();
    let clock = Instant::now();
    let result = verify_by(path, &Proof { keys, ..Proof::default() });
    let took_ms = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
    let came = match result {
        Ok(summary) => held(summary),
        Err(VerifyError::Broken(broken)) => {
            let text =
                format!("{broken} (byte {}, where record {} belongs)", broken.at, broken.seq);
            let damage = Some(broken.damage);
            LedgerProved { why: Some(text), damage, ..LedgerProved::default() }
        }
        Err(error) => {
            let text = format!("it cannot be read: {error}");
            LedgerProved { why: Some(text), unread: true, ..LedgerProved::default() }
        }
    };
    LedgerProved { ended_ms: Now::read().ms, took_ms, ..came }
}

fn held(summary: Summary) -> LedgerProved {
    let mut notes = Vec::new();
    let mut note = |text: &str, all: &[u64]| {
        let named: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
        if !named.is_empty() {
            notes.push(format!("{text}: records {}", named.join(", ")));
        }
    };
    note("damage was set aside or told of", &summary.recovered);
    note("the disk failed for a while", &summary.disk_failed);
    if summary.keys.len() > 1 {
        notes.push("its key was changed: more than one signed it".to_owned());
    }
    if summary.first_seq > 1 {
        notes.push(match &summary.dropped {
            Some(dropped) if dropped.last + 1 >= summary.first_seq => {
                "records before were dropped by retention, signed".to_owned()
            }
            _ => "what came before lies elsewhere".to_owned(),
        });
    }
    LedgerProved {
        holds: true,
        records: summary.lines,
        bytes: summary.bytes,
        first: summary.first_seq,
        last: summary.last_seq,
        signed_to: summary.signed_to,
        head: Some(summary.head),
        notes,
        ..LedgerProved::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_proof_is_under_way_at_a_time_and_one_that_panics_is_over() {
        let proving = Proving::default();
        assert!(proving.begin() && !proving.begin());
        let came = LedgerProved { why: Some("gone".to_owned()), ..LedgerProved::default() };
        let under_way = UnderWay { proving: proving.clone(), came };
        let failed = thread::spawn(move || {
            let _under_way = under_way;
            panic!("it fails");
        });
        assert!(failed.join().is_err());
        let told = proving.told();
        assert_eq!(told.running_since_ms, None);
        assert_eq!(told.last.unwrap().why.as_deref(), Some("gone"));
        assert!(proving.begin());
    }
}
