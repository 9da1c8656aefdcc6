//! What was found out about containers, until the engine says that something has changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::cgroup::Place;
use super::namespace;
use crate::engine::{Action, Container, Event};
use crate::process::Identity;
use crate::process::namespaces::Namespace;

/// Of each kind so many are remembered. Of more, all are asked about anew.
const MOST: usize = 4096;

/// A container that the engine told of, and where its first process is.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) container: Arc<Container>,
    /// Nothing, where no cgroup names it.
    pub(super) place: Place,
    pub(super) namespace: Namespace,
    /// Its first process: while that lives, nobody else has its pid namespace.
    pub(super) first: Identity,
}

impl Known {
    /// Whether a process in this pid namespace is in its own, or in one below.
    pub(super) fn has(&self, namespace: Namespace, pid: u32) -> bool {
        namespace::is_below(self.namespace, namespace, pid)
    }
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    by_id: HashMap<String, Arc<Known>>,
    /// By the number of a cgroup of theirs, which no other one ever has.
    by_cgroup: HashMap<u64, Arc<Known>>,
    /// Pid namespaces that are no container's.
    of_none: HashSet<Namespace>,
    /// Pid namespaces of callers for whom the engine was looked for in vain. Until something is heard of it that is not done
    /// again: looking takes time, and what it starts by then has a namespace of its own.
    unreached: HashSet<Namespace>,
    /// Counts what was forgotten.
    generation: u64,
}

/// When something was asked: what is forgotten meanwhile makes the answer one that is not remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked(u64);

impl Cache {
    pub(super) fn asked(&self) -> Asked {
        Asked(self.generation)
    }

    pub(super) fn named(&self, id: &str) -> Option<Arc<Known>> {
        self.by_id.get(id).cloned()
    }

    pub(super) fn in_cgroup(&self, number: u64) -> Option<Arc<Known>> {
        self.by_cgroup.get(&number).cloned()
    }

    /// One that no cgroup names, with this property.
    pub(super) fn unnamed(&self, holds: impl Fn(&Known) -> bool) -> Option<Arc<Known>> {
        let holds = |known: &&Arc<Known>| known.place == Place::default() && holds(known);
        self.by_id.values().find(holds).cloned()
    }

    pub(super) fn is_of_none(&self, namespace: Namespace) -> bool {
        self.of_none.contains(&namespace)
    }

    pub(super) fn is_unreached(&self, namespace: Namespace) -> bool {
        self.unreached.contains(&namespace)
    }

    pub(super) fn learn(&mut self, known: &Arc<Known>, asked: Asked) {
        if self.asked() != asked {
            return;
        }
        if self.by_id.len() >= MOST {
            self.by_id.clear();
        }
        self.by_id.insert(known.container.id.clone(), Arc::clone(known));
    }

    /// That a cgroup of this number is one of `known`'s, as far as that is what is known of it still.
    pub(super) fn learn_cgroup(&mut self, number: u64, known: &Arc<Known>) {
        let now = self.by_id.get(&known.container.id);
        if now.is_none_or(|now| !Arc::ptr_eq(now, known)) {
            return;
        }
        if self.by_cgroup.len() >= MOST {
            self.by_cgroup.clear();
        }
        self.by_cgroup.insert(number, Arc::clone(known));
    }

    pub(super) fn learn_none(&mut self, namespace: Namespace, asked: Asked) {
        if self.asked() == asked && self.of_none.len() < MOST {
            self.of_none.insert(namespace);
        }
    }

    pub(super) fn learn_unreached(&mut self, namespace: Namespace, asked: Asked) {
        if self.asked() == asked && self.unreached.len() < MOST {
            self.unreached.insert(namespace);
        }
    }

    /// Forgets what an event makes doubtful. While the engine does not answer, what is known holds: an id is never given
    /// twice.
    pub(super) fn hear(&mut self, event: &Event) {
        if matches!(event, Event::Container { action: Action::Created, .. }) {
            return;
        }
        self.of_none.clear();
        self.unreached.clear();
        match event {
            Event::Connected(_) => {
                self.by_id.clear();
                self.by_cgroup.clear();
            }
            Event::Lost(_) => {}
            Event::Container { id, .. } => {
                // What has started may have the namespace of one that was alone in it.
                self.by_id.retain(|known, at| known != id && at.place != Place::default());
                self.by_cgroup.retain(|_, at| at.container.id != *id);
            }
        }
        self.generation += 1;
    }
}
