//! Changes that could not be written and are to be: the file knows of them before it knows of anything later.
//!
//! At most one for each row, so that what is owed is bounded by what was there to be changed.

use std::collections::BTreeMap;

use super::store::{Change, Kind};

/// What is owed to the file, by the row that it is about.
///
/// A change of all rows below a key has that key, which comes before theirs: in the order of the map it is written
/// before what came after it.
#[derive(Debug, Default)]
pub(super) struct Owed(BTreeMap<(u8, Vec<u8>), Change>);

impl Owed {
    /// Takes note of these, which come after all that is owed.
    pub(super) fn add(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            let key = match &change {
                Change::Put(kind, key, _) | Change::Remove(kind, key) => place(*kind, key),
                Change::RemoveBelow(kind, id) => {
                    let first = place(*kind, &id.0);
                    let below = self.0.range(first.clone()..);
                    let below =
                        below.take_while(|(at, _)| at.0 == first.0 && at.1.starts_with(&id.0));
                    let below: Vec<_> = below.map(|(at, _)| at.clone()).collect();
                    for at in below {
                        self.0.remove(&at);
                    }
                    first
                }
            };
            self.0.insert(key, change);
        }
    }

    /// In the order in which they are to be made.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.0.values()
    }

    /// They were made.
    pub(super) fn paid(&mut self) {
        self.0.clear();
    }
}

fn place(kind: Kind, key: &[u8]) -> (u8, Vec<u8>) {
    (kind as u8, key.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Id;

    fn shown(owed: &Owed) -> Vec<String> {
        let show = |change: &Change| match change {
            Change::Put(kind, key, text) => format!("put {} {key:?} {text}", *kind as u8),
            Change::Remove(kind, key) => format!("remove {} {key:?}", *kind as u8),
            Change::RemoveBelow(kind, id) => format!("below {} {}", *kind as u8, id.0[0]),
        };
        owed.changes().map(show).collect()
    }

    #[test]
    fn of_several_changes_of_one_row_the_last_is_owed() {
        let mut owed = Owed::default();
        let put = |text: &str| Change::Put(Kind::Grant, vec![1], text.to_owned());
        owed.add([put("a"), Change::Remove(Kind::Grant, vec![1]), put("b")]);
        owed.add([Change::Remove(Kind::Denial, vec![1])]);
        assert_eq!(shown(&owed), ["put 3 [1] b", "remove 4 [1]"]);
        owed.paid();
        assert_eq!(owed.changes().count(), 0);
    }

    #[test]
    fn what_goes_with_all_below_a_row_is_not_owed_and_what_comes_after_is() {
        let mut owed = Owed::default();
        let caller = |row: u8, ask: u8| {
            Change::Put(Kind::Caller, [[row; 16], [ask; 16]].concat(), format!("{row} {ask}"))
        };
        owed.add([caller(1, 1), caller(1, 2), caller(2, 1)]);
        owed.add([Change::RemoveBelow(Kind::Caller, Id([1; 16])), caller(1, 3)]);
        let shown = shown(&owed);
        assert_eq!(shown[0], "below 2 1");
        assert!(shown[1].ends_with("1 3") && shown[2].ends_with("2 1"), "{shown:?}");
        assert_eq!(shown.len(), 3);
    }
}
