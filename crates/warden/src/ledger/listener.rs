//! Who hears of every record at once.

use super::record::Record;

/// Hears of records by whoever writes them, so it must be quick and wait for nobody.
pub(crate) trait Listener: Send + Sync {
    /// These are in the ledger, or have happened and will be.
    fn recorded(&self, records: &[Record]);
    /// The ledger cannot be written, for this reason.
    fn alarm(&self, error: &str);
}
