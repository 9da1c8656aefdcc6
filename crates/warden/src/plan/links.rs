//! Where paths lead in the world that a request runs in: the caller's root, or the warden's own for what runs there.

use std::cell::OnceCell;

use clawrden_policy::Links;

use super::Plan;
use super::root::Root;

/// The world of one request. Its root is opened when something asks for it.
#[derive(Debug)]
pub(super) struct Ways {
    /// `None` where the caller's process is not seen: then nothing leads anywhere.
    pid: Option<u32>,
    on_host: bool,
    root: OnceCell<Option<Root>>,
}

impl Ways {
    pub(super) fn of(plan: &Plan) -> Self {
        Self { pid: plan.caller.pid, on_host: plan.on_host.is_some(), root: OnceCell::new() }
    }
}

impl Links for Ways {
    fn follow(&self, path: &[u8]) -> Option<Vec<u8>> {
        let open = || if self.on_host { Root::own().ok() } else { Root::of(self.pid?).ok() };
        self.root.get_or_init(open).as_ref()?.follow(path)
    }
}
