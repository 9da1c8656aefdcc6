//! How much waits, and since when: for whoever only counts.

use std::collections::BTreeMap;

use super::Approvals;

/// What waits in one jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Entries, parked ones included.
    pub(crate) entries: u64,
    /// Since when the oldest waits, in milliseconds since the epoch.
    pub(crate) since_ms: u64,
}

impl Approvals {
    /// What waits, by jail. A jail in which nothing waits is not there.
    pub(crate) fn waiting(&self) -> BTreeMap<String, Waiting> {
        let state = self.state();
        let mut jails: BTreeMap<String, Waiting> = BTreeMap::new();
        for entry in state.entries.values() {
            match jails.get_mut(entry.details.jail()) {
                Some(waiting) => {
                    waiting.entries += 1;
                    waiting.since_ms = waiting.since_ms.min(entry.since_ms);
                }
                None => {
                    let waiting = Waiting { entries: 1, since_ms: entry.since_ms };
                    jails.insert(entry.details.jail().to_owned(), waiting);
                }
            }
        }
        jails
    }
}
