//! What the warden hears of its container engine.

use std::collections::BTreeSet;
use std::sync::Arc;

use clawrden_api::EngineStatus;

use super::Warden;
use crate::containers::ENABLED_LABEL;
use crate::engine::Event;
use crate::jails::{Jail, JailName};

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

    /// Whether it matters in which container a caller of `jail` is. On a machine without an engine nothing needs to be
    /// read for that.
    pub(crate) fn wants_container(&self, jail: &Jail) -> bool {
        let policies = jail.policies();
        let named =
            || policies.all().any(|one| one.policy.names_containers() || one.policy.runs_ghosts());
        self.containers.has_engine() || named() || self.holds.has_containers()
    }

    /// Follows what happens at the engine: which containers there are, and in which jails. Never ends.
    pub(super) async fn follow_engine(self: Arc<Self>) {
        let mut events = self.engine.events();
        loop {
            let event = events.next().await;
            self.containers.hear(&event);
            let touched = match &event {
                Event::Connected(_) => self.take_stock().await,
                Event::Container { .. } => self.members.hear(&event).into_iter().collect(),
                Event::Lost(error) => {
                    tracing::info!(%error, "no container engine");
                    BTreeSet::new()
                }
            };
            if touched.is_empty() {
                continue;
            }
            let warden = Arc::clone(&self);
            let fitted = tokio::task::spawn_blocking(move || {
                for jail in touched {
                    warden.fit_jail(&jail);
                }
            });
            if let Err(error) = fitted.await {
                tracing::error!(%error, "the jails of containers could not be made");
            }
        }
    }

    /// Learns which containers want to be governed.
    async fn take_stock(&self) -> BTreeSet<JailName> {
        match self.engine.list_containers(&[], true).await {
            Ok(listed) => self.members.replace(&listed),
            Err(error) => {
                let label = ENABLED_LABEL;
                tracing::warn!(%error, label, "which containers there are is not known");
                BTreeSet::new()
            }
        }
    }

    /// A jail that containers are in is there and has its shims; one that they have left, and that was made for them
    /// alone, stays until somebody deletes it.
    fn fit_jail(self: &Arc<Self>, name: &JailName) {
        let wanted = self.members.inside(name).iter().any(|member| member.is_labelled);
        if wanted || self.jails.get(name).is_some() {
            self.ensure_jail(name);
        }
    }
}
