//! What happens to containers, told as long as it is asked for, over restarts of the engine.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt};

use super::connection::Call;
use super::error::{EngineError, Kind};
use super::{About, Engine};

/// How long an engine that does not answer is left alone before it is looked for again: the first time and at most.
pub const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The engine answers, for the first time or again. Whatever happened before is not told: list what there is. What
    /// happens from here on is told, some of it perhaps twice.
    Connected(About),
    /// It does not answer, or not any more. Told once until it does.
    Lost(EngineError),
    /// Something happened to a container.
    Container {
        /// Its whole id.
        id: String,
        /// What happened.
        action: Action,
        /// Its name.
        name: String,
        /// Its image, as it was named.
        image: String,
        /// Its labels, with other words of the engine's among them.
        labels: BTreeMap<String, String>,
    },
}

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was made.
    Created,
    /// It runs.
    Started,
    /// It has ended.
    Ended,
    /// It is frozen.
    Paused,
    /// It is thawed.
    Unpaused,
    /// It was given another name.
    Renamed,
    /// It is gone.
    Removed,
}

type Told = Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>;

/// What happens to containers. Made by [`Engine::events`].
pub struct Events {
    engine: Engine,
    told: Option<(Told, String)>,
    /// The loss was told already.
    is_lost: bool,
    wait: Duration,
}

impl Engine {
    /// What happens to containers from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events { engine: self.clone(), told: None, is_lost: false, wait: Duration::ZERO }
    }
}

impl Events {
    /// The next of them; waits as long as there is none, and looks for an engine that is not there in growing distances
    /// ([`RETRY_AFTER`]). When no engine is to be used, it says so once and never returns again. May be given up and
    /// called again.
    pub async fn next(&mut self) -> Event {
        loop {
            let Some((told, address)) = &mut self.told else {
                if let Some(event) = self.connect().await {
                    return event;
                }
                continue;
            };
            match told.next().await {
                Some(Ok(message)) => {
                    if let Some(event) = container(message) {
                        return event;
                    }
                }
                ended => {
                    let call = Call::question("tell what happens", Kind::Engine, "");
                    let error = match ended {
                        Some(Err(error)) => call.error(address, error),
                        _ => EngineError::Absent {
                            address: address.clone(),
                            why: "it broke off".to_owned(),
                        },
                    };
                    self.told = None;
                    // Whatever it was: what is known of this engine may be outdated.
                    *self.engine.known() = super::Known::Lost(error.clone());
                    return self.lost(error);
                }
            }
        }
    }

    async fn connect(&mut self) -> Option<Event> {
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).clamp(RETRY_AFTER.0, RETRY_AFTER.1);
        // The request is made when the answer is first waited for, which is later: what happens until then is asked for
        // by its time. Seconds, as no engine cuts them otherwise.
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        match self.engine.connection().await {
            Ok(connection) => {
                let filters = HashMap::from([("type", vec!["container"])]);
                let options =
                    EventsOptionsBuilder::default().since(&since.to_string()).filters(&filters);
                let told = connection.docker.events(Some(options.build()));
                self.told = Some((Box::pin(told), connection.about.address.clone()));
                self.is_lost = false;
                self.wait = Duration::ZERO;
                Some(Event::Connected(connection.about))
            }
            Err(EngineError::Unwanted) if self.is_lost => std::future::pending().await,
            Err(_) if self.is_lost => None,
            Err(error) => Some(self.lost(error)),
        }
    }

    fn lost(&mut self, error: EngineError) -> Event {
        self.is_lost = true;
        Event::Lost(error)
    }
}

fn container(message: EventMessage) -> Option<Event> {
    let action = match &message.action?[..] {
        "create" => Action::Created,
        "start" | "restart" => Action::Started,
        // Podman's word is `died`.
        "die" | "died" => Action::Ended,
        "pause" => Action::Paused,
        "unpause" => Action::Unpaused,
        "rename" => Action::Renamed,
        "destroy" | "remove" => Action::Removed,
        _ => return None,
    };
    let actor = message.actor?;
    let labels: BTreeMap<String, String> =
        actor.attributes.unwrap_or_default().into_iter().collect();
    let of = |name: &str| labels.get(name).cloned().unwrap_or_default();
    Some(Event::Container { id: actor.id?, action, name: of("name"), image: of("image"), labels })
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    fn message(action: &str) -> EventMessage {
        let attributes = HashMap::from([("name".to_owned(), "agent".to_owned())]);
        let actor = EventActor { id: Some("ab".to_owned()), attributes: Some(attributes) };
        EventMessage {
            action: Some(action.to_owned()),
            actor: Some(actor),
            ..EventMessage::default()
        }
    }

    #[test]
    fn words_of_both_engines_are_understood_and_others_passed_over() {
        let action = |word: &str| match container(message(word)) {
            Some(Event::Container { action, .. }) => Some(action),
            _ => None,
        };
        assert_eq!(action("die"), Some(Action::Ended));
        assert_eq!(action("died"), Some(Action::Ended));
        assert_eq!(action("destroy"), Some(Action::Removed));
        assert_eq!(action("remove"), Some(Action::Removed));
        assert_eq!(action("exec_create: sh -c x"), None);
    }

    #[tokio::test]
    async fn where_no_engine_is_to_be_used_that_is_said_once() {
        let mut events = Engine::new(super::super::EngineAddress::None).events();
        assert_eq!(events.next().await, Event::Lost(EngineError::Unwanted));
        let more = tokio::time::timeout(Duration::from_millis(600), events.next()).await;
        assert!(more.is_err(), "{more:?}");
    }
}
