//! What the warden hears of its container engine.

use std::collections::BTreeSet;
use std::sync::Arc;

use clawrden_api::EngineStatus;

use super::Warden;
use super::containers::mounts;
use super::lookups::Lookups;
use crate::caller::Caller;
use crate::containers::ENABLED_LABEL;
use crate::engine::{Action, EngineError, Event, Running};
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

    /// Whether it matters in which container a caller of `jail` is, which `is_here` where it has the warden's own root. On a
    /// machine without an engine no more needs to be read for that, of another one its pid namespace, unless an earlier
    /// warden knew hardened containers.
    pub(crate) fn wants_container(&self, jail: &Jail, caller: &Caller, is_here: bool) -> bool {
        let policies = jail.policies();
        let named =
            || policies.all().any(|one| one.policy.names_containers() || one.policy.runs_ghosts());
        self.containers.may_have_engine()
            || named()
            || self.holds.has_containers()
            || self.members.may_be_hardened()
            || !is_here && self.containers.may_be_back_for(caller)
    }

    /// Follows what happens at the engine: which containers there are, and in which jails. Never ends.
    pub(super) async fn follow_engine(self: Arc<Self>) {
        let mut events = self.engine.events();
        let mut lookups = Lookups::default();
        loop {
            let due = tokio::select! {
                biased;
                due = lookups.next() => due,
                event = events.next() => {
                    self.containers.hear(&event);
                    self.neighbours.changed();
                    self.hear_of_ends(&event).await;
                    lookups.keep(&self, event)
                }
            };
            for event in due {
                self.hear(&event).await;
            }
        }
    }

    /// Ends what was granted for the session of a container that ended.
    async fn hear_of_ends(self: &Arc<Self>, event: &Event) {
        if let Event::Container { id, action: Action::Ended | Action::Removed, .. } = event {
            let id = id.clone();
            self.end_containers(move |one| one == id).await;
        }
    }

    async fn hear(self: &Arc<Self>, event: &Event) {
        let touched = match event {
            Event::Connected(_) => self.take_stock().await,
            Event::Container { .. } => self.members.hear(event).into_iter().collect(),
            Event::Lost(error) => {
                tracing::info!(%error, "no container engine");
                BTreeSet::new()
            }
        };
        if touched.is_empty() {
            return;
        }
        let warden = Arc::clone(self);
        let fitted = tokio::task::spawn_blocking(move || {
            for jail in touched {
                warden.fit_jail(&jail);
            }
        });
        if let Err(error) = fitted.await {
            tracing::error!(%error, "the jails of containers could not be made");
        }
    }

    /// Ends what was granted for the sessions of containers. It may be written to a disk.
    async fn end_containers(self: &Arc<Self>, is_over: impl Fn(&str) -> bool + Send + 'static) {
        let warden = Arc::clone(self);
        let ended = tokio::task::spawn_blocking(move || warden.approvals.end_containers(is_over));
        if let Err(error) = ended.await {
            tracing::error!(%error, "sessions of containers could not be ended");
        }
    }

    /// Learns which containers want to be governed.
    async fn take_stock(self: &Arc<Self>) -> BTreeSet<JailName> {
        let found = async {
            let listed = self.engine.list_containers(&[], true).await?;
            let ways = self.ways(mounts(&listed)).await?;
            Ok::<_, EngineError>((listed, ways))
        };
        match found.await {
            Ok((listed, ways)) => {
                // Those that ended while nobody listened.
                let there = listed.iter().filter(|one| one.running != Running::No);
                let there: BTreeSet<String> = there.map(|one| one.id.clone()).collect();
                self.end_containers(move |one| !there.contains(one)).await;
                let labelled = listed.iter().filter(|one| self.members.minds(&one.labels));
                let anothers = labelled.filter(|one| ways.is_anothers(&one.mounts));
                let anothers = anothers.map(|one| one.id.clone()).collect();
                self.members.replace(&listed, anothers)
            }
            Err(error) => {
                let label = ENABLED_LABEL;
                tracing::warn!(%error, label, "which containers there are is not known");
                BTreeSet::new()
            }
        }
    }

    /// Finds out whether a container that wants to be governed has the door of another warden, before its labels are
    /// taken for words to this one.
    pub(super) async fn is_anothers(&self, id: &str) -> bool {
        let found = async {
            let container = self.engine.inspect_container(id).await?;
            let ways = self.ways(container.mounts.iter()).await?;
            Ok::<_, EngineError>(ways.is_anothers(&container.mounts))
        };
        match found.await {
            Ok(is_anothers) => is_anothers,
            // It has gone already, or nothing can be asked: its labels make it governed, which does no harm.
            Err(error) => {
                tracing::debug!(%error, id, "what is mounted into a container is not known");
                false
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
