//! What the warden hears of its container engine.

use std::sync::Arc;

use clawrden_api::EngineStatus;

use super::Warden;
use crate::engine::Event;

impl Warden {
    /// The engine, for people.
    pub(super) fn engine_status(&self) -> EngineStatus {
        let state = self.engine.state();
        let about = state.about;
        EngineStatus {
            address: about.as_ref().map_or(state.address, |about| about.address.clone()),
            version: about.as_ref().map(|about| format!("{} {}", about.name, about.version)),
            api: about.map(|about| about.api),
            error: state.problem.map(|error| error.to_string()),
        }
    }

    /// Follows what happens at the engine. Never ends.
    pub(super) async fn follow_engine(self: Arc<Self>) {
        let mut events = self.engine.events();
        loop {
            let event = events.next().await;
            self.containers.hear(&event);
            if let Event::Lost(error) = event {
                tracing::info!(%error, "no container engine");
            }
        }
    }
}
