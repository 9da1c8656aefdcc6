//! Containers that were made and of which the engine is still asked whose they are. What happens to them meanwhile is
//! heard afterwards, in its order; what happens to others is heard at once.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{Id, JoinSet};

use super::Warden;
use crate::engine::{Action, Event};

/// Containers that are asked about at the same time. Of more, the labels are taken for words to this warden, which makes
/// them governed: that does no harm.
const MOST: usize = 256;

/// Events of one container that are kept. The first and the latest count; what is between them is heard no more.
const MOST_EVENTS: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Lookups {
    tasks: JoinSet<()>,
    /// The container that a task asks about.
    containers: HashMap<Id, String>,
    waiting: HashMap<String, Vec<Event>>,
}

impl Lookups {
    /// Gives what is to be heard at once: the event itself, unless its container is asked about, from here on or already.
    pub(super) fn keep(&mut self, warden: &Arc<Warden>, event: Event) -> Vec<Event> {
        match &event {
            Event::Container { id, action: Action::Created, labels, .. }
                if warden.members.minds(labels) && !self.waiting.contains_key(id) =>
            {
                let (warden, asked) = (Arc::clone(warden), id.clone());
                let id = id.clone();
                self.ask(id, event, async move {
                    if warden.is_anothers(&asked).await {
                        warden.members.is_anothers(&asked);
                    }
                })
            }
            // What there is, is listed then, whatever was told before.
            Event::Connected(_) => {
                self.forget();
                vec![event]
            }
            _ => self.pass(event),
        }
    }

    fn forget(&mut self) {
        self.tasks.abort_all();
        self.containers.clear();
        self.waiting.clear();
    }

    fn pass(&mut self, event: Event) -> Vec<Event> {
        let kept = match &event {
            Event::Container { id, .. } => self.waiting.get_mut(id),
            _ => None,
        };
        let Some(kept) = kept else { return vec![event] };
        if kept.len() >= MOST_EVENTS {
            kept.pop();
        }
        kept.push(event);
        Vec::new()
    }

    fn ask(
        &mut self,
        id: String,
        event: Event,
        asking: impl Future<Output = ()> + Send + 'static,
    ) -> Vec<Event> {
        if self.waiting.len() >= MOST {
            return vec![event];
        }
        let task = self.tasks.spawn(asking);
        self.containers.insert(task.id(), id.clone());
        self.waiting.insert(id, vec![event]);
        Vec::new()
    }

    /// What happened to the next container of which it is known whose it is. Waits for ever while none is asked about. May
    /// be given up and called again.
    pub(super) async fn next(&mut self) -> Vec<Event> {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let task = match ended {
            Ok((task, ())) => task,
            Err(error) => error.id(),
        };
        let id = self.containers.remove(&task);
        id.and_then(|id| self.waiting.remove(&id)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::ready;

    use tokio::sync::oneshot;

    use super::*;

    fn event(id: &str, action: Action) -> Event {
        let (id, name, image) = (id.to_owned(), String::new(), String::new());
        Event::Container { id, action, name, image, labels: BTreeMap::new() }
    }

    fn actions(events: &[Event]) -> Vec<Action> {
        let action = |event: &Event| match event {
            Event::Container { action, .. } => *action,
            other => panic!("{other:?}"),
        };
        events.iter().map(action).collect()
    }

    #[tokio::test]
    async fn a_slow_answer_keeps_the_events_of_its_own_container_alone_and_in_their_order() {
        let mut lookups = Lookups::default();
        let (answer, answered) = oneshot::channel::<()>();
        let created = event("slow", Action::Created);
        let slow = async { drop(answered.await) };
        assert!(lookups.ask("slow".to_owned(), created, slow).is_empty());
        assert!(lookups.pass(event("slow", Action::Started)).is_empty());
        assert_eq!(lookups.pass(event("other", Action::Started)).len(), 1);
        let quick = event("quick", Action::Created);
        assert!(lookups.ask("quick".to_owned(), quick, ready(())).is_empty());
        assert_eq!(lookups.next().await, [event("quick", Action::Created)]);
        answer.send(()).unwrap();
        assert_eq!(actions(&lookups.next().await), [Action::Created, Action::Started]);
        assert_eq!(lookups.pass(event("slow", Action::Ended)).len(), 1);
        assert!(lookups.containers.is_empty() && lookups.waiting.is_empty());
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_ends_with_the_latest() {
        let mut lookups = Lookups::default();
        lookups.ask("a".to_owned(), event("a", Action::Created), std::future::pending());
        for _ in 0..1000 {
            lookups.pass(event("a", Action::Paused));
        }
        lookups.pass(event("a", Action::Removed));
        let kept = actions(&lookups.waiting["a"]);
        assert_eq!(
            (kept.len(), kept.first(), kept.last()),
            (64, Some(&Action::Created), Some(&Action::Removed))
        );
        for n in 1..300 {
            let (id, created) = (n.to_string(), event(&n.to_string(), Action::Created));
            let at_once = lookups.ask(id, created, std::future::pending());
            assert_eq!(at_once.len(), usize::from(n >= MOST));
        }
    }

    #[tokio::test]
    async fn what_is_listed_anew_makes_what_was_kept_outdated() {
        let mut lookups = Lookups::default();
        lookups.ask("a".to_owned(), event("a", Action::Created), std::future::pending());
        lookups.forget();
        assert_eq!(lookups.next().await, []);
        assert_eq!(lookups.pass(event("a", Action::Started)).len(), 1);
    }

    #[tokio::test]
    async fn a_lookup_that_fails_lets_its_events_be_heard() {
        let mut lookups = Lookups::default();
        let fails = async { panic!("it fails") };
        lookups.ask("a".to_owned(), event("a", Action::Created), fails);
        assert_eq!(actions(&lookups.next().await), [Action::Created]);
    }
}
