//! Making changes last: before they are made here, or owed until they can be written.

use std::time::Instant;

use super::AGAIN;
use super::clock::Now;
use super::state::{Lasting, State};
use super::store::Change;

impl State {
    /// Makes these changes last, all or none, and before them all that are owed.
    pub(super) fn write(&mut self, changes: &[Change]) -> Result<(), String> {
        match &mut self.store {
            Lasting::Not => Ok(()),
            Lasting::In(store) => {
                let written = store.write(self.owed.changes().chain(changes));
                written.map_err(|error| error.to_string())?;
                self.owed.paid();
                self.owed_again = None;
                Ok(())
            }
            Lasting::Shut(_) => Err("their file could not be opened".to_owned()),
        }
    }

    /// The same where it cannot be helped: what could not be written is owed.
    pub(super) fn write_if_possible(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        if let Err(error) = self.write(&changes) {
            tracing::warn!(error, "a restart would not know of a change to the approvals");
            self.owe(changes);
        }
    }

    /// Has them written as soon as that can be, and before anything later.
    pub(super) fn owe(&mut self, changes: Vec<Change>) {
        // A file that was not opened yet holds nothing that this queue knows of.
        if let Lasting::In(_) = self.store {
            self.owed.add(changes);
            self.owed_again = Some(Instant::now() + AGAIN);
            if let Some(due) = &self.due {
                due.notify_one();
            }
        }
    }

    /// Writes what is owed, if it is time to try again.
    pub(super) fn pay(&mut self, now: Now) {
        if self.owed_again.is_some_and(|again| again <= now.instant)
            && let Err(error) = self.write(&[])
        {
            tracing::debug!(error, "a change to the approvals cannot be written yet");
            self.owed_again = Some(now.after(AGAIN).instant);
        }
    }
}
