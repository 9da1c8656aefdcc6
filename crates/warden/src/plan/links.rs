//! Where paths lead in the world that a request runs in: the caller's root, or the warden's own for what runs there.

use std::cell::{Cell, OnceCell};

use clawrden_policy::Links;

use super::Plan;
use super::root::{Depth, Root};

/// The world of one request. Its root is opened when something asks for it.
#[derive(Debug)]
pub(super) struct Ways {
    /// `None` where the caller's process is not seen: then nothing leads anywhere.
    pid: Option<u32>,
    on_host: bool,
    depth: Depth,
    root: OnceCell<Option<Root>>,
    /// The depth did not suffice for something that was asked.
    blocked: Cell<bool>,
}

impl Ways {
    pub(super) fn of(plan: &Plan, depth: Depth) -> Self {
        Self {
            pid: plan.caller.pid,
            on_host: plan.on_host.is_some(),
            depth,
            root: OnceCell::new(),
            blocked: Cell::new(false),
        }
    }

    /// Whether what was judged by it has to be judged once more, as deep as it takes.
    pub(super) fn were_blocked(&self) -> bool {
        self.blocked.get()
    }
}

impl Links for Ways {
    fn follow(&self, path: &[u8]) -> Option<Vec<u8>> {
        let open = || if self.on_host { Root::own().ok() } else { Root::of(self.pid?).ok() };
        match self.root.get_or_init(open).as_ref()?.follow(path, self.depth) {
            Ok(found) => found,
            Err(_) => {
                self.blocked.set(true);
                None
            }
        }
    }
}
