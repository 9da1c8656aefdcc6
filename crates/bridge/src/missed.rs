//! What came of a card that nobody told of, as the history has it.

use clawrden_api::{HistoryEntry, HistoryQuery};

use crate::warden::{Refusal, Warden};

/// Looks up the requests that the answer of a card is for, as far as they are known. `None`: the history has none of them.
pub(crate) async fn find<W: Warden>(
    warden: &W,
    requests: &[String],
) -> Result<Option<HistoryEntry>, Refusal> {
    let mut best = None::<HistoryEntry>;
    for id in requests {
        let query = HistoryQuery { id: Some(id.clone()), ..HistoryQuery::default() };
        let found = warden.history(query).await?.entries.into_iter().find(|of| of.id == *id);
        // The one that was answered and ran tells more than one that has left.
        best = best.into_iter().chain(found).max_by_key(tells);
    }
    Ok(best)
}

/// Whether it was answered, whether it ran, and whether anything came of it.
fn tells(of: &HistoryEntry) -> (bool, bool, bool) {
    let is_answered = of.outcome.as_deref().is_some_and(|outcome| outcome != "caller_left");
    (is_answered, of.started, of.outcome.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeWarden;

    fn asked(id: &str, outcome: &str) -> HistoryEntry {
        let outcome = Some(outcome.to_owned());
        HistoryEntry { id: id.into(), outcome, ..HistoryEntry::default() }
    }

    #[tokio::test]
    async fn it_is_the_request_itself_that_is_looked_up_and_the_one_that_was_answered() {
        let warden = FakeWarden::default();
        let others = (0..20_000).map(|n| asked(&format!("o{n}"), "denied"));
        let left = asked("a", "caller_left");
        *warden.history.lock().unwrap() = others.chain([left.clone()]).collect();
        let found = async |of: &[&str]| {
            let requests: Vec<String> = of.iter().map(|&id| id.to_owned()).collect();
            find(&warden, &requests).await.unwrap()
        };
        assert_eq!(found(&["a"]).await, Some(left.clone()));
        assert_eq!(found(&["b"]).await, None);
        assert_eq!(found(&["b", "a"]).await, Some(left));
        let ran = HistoryEntry { started: true, ..asked("c", "approved") };
        warden.history.lock().unwrap().extend([asked("d", "approved"), ran.clone()]);
        assert_eq!(found(&["a", "c", "d"]).await, Some(ran));
    }
}
