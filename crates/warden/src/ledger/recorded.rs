//! What the ledger says of a recording.

use super::backward::Backward;
use super::error::LedgerError;
use super::id::Id;
use super::place::Place;
use super::record::{Record, Recorded};
use super::writer::View;

/// Looks from the newest record backward, until the one that asks for the command.
pub(super) fn find(place: &Place, view: View, id: Id) -> Result<Option<Recorded>, LedgerError> {
    let mut lines = Backward::new(place, view)?;
    let digits = id.digits();
    let about_it = |line: &[u8]| {
        if !line.windows(digits.len()).any(|part| part == digits) {
            return None;
        }
        serde_json::from_slice::<Record>(line).ok()
    };
    while let Some(record) = lines.next_line(about_it)? {
        match record {
            Some(Record::Finished(finished)) if finished.id == id => return Ok(finished.recording),
            Some(Record::Requested(requested)) if requested.id == id => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}
