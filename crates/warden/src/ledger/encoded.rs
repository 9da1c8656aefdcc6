//! Records as they are written, but for what says where in the ledger they stand.

use super::books::place;
use super::error::LedgerError;
use super::line::{self, MAX_LINE};
use super::record::Record;

/// Records in JSON, ready to be given their places.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// Where each ends, and what it is counted as.
    pub(super) ends: Vec<(usize, usize)>,
}

/// One of them.
#[derive(Clone, Copy)]
pub(super) struct Body<'a> {
    pub(super) text: &'a [u8],
    pub(super) counts_as: usize,
}

impl Encoded {
    pub(super) fn new(records: &[Record]) -> Result<Self, LedgerError> {
        let mut bytes = Vec::with_capacity(512 * records.len());
        let mut ends = Vec::with_capacity(records.len());
        for record in records {
            line::encode(record, &mut bytes).map_err(|e| LedgerError::Encode(e.to_string()))?;
            ends.push(bytes.len());
        }
        line::mark(records, &mut bytes, &mut ends);
        let mut start = 0;
        for &end in &ends {
            // The parts of a line around the record take less than 512 bytes.
            let long = end - start;
            if long > MAX_LINE - 512 {
                return Err(LedgerError::TooLong { bytes: long, limit: MAX_LINE - 512 });
            }
            start = end;
        }
        let ends = ends.into_iter().zip(records.iter().map(place)).collect();
        Ok(Self { bytes, ends })
    }

    pub(super) fn bodies(&self) -> impl Iterator<Item = Body<'_>> + Clone {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|&(end, _)| end));
        let all = starts.zip(&self.ends);
        all.map(|(from, &(to, counts_as))| Body { text: &self.bytes[from..to], counts_as })
    }
}
