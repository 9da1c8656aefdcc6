//! Commands whose approval is for what they start as well, and finding the one that a process was started by. Who descends
//! from whom is the kernel's word, of one moment in which both lived.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::{Run, Running, Shared, State};
use crate::approvals::{Approval, Bequest, Now};
use crate::ledger::Id;
use crate::plan::Origin;
use crate::process::usage::Tree;
use crate::process::{self, Identity};

/// What is handed down at the moment.
pub(super) type Bequests = Vec<Handed>;

/// What one command hands down.
#[derive(Debug, Clone)]
pub(super) struct Handed {
    by: Arc<Shared>,
    bequest: Arc<Bequest>,
}

/// Who wants to inherit, and what the policy says of where its command is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heir {
    pub(crate) process: Identity,
    pub(crate) uid: u32,
    pub(crate) origin: Origin,
    pub(crate) executor: &'static str,
}

impl Running {
    fn bequests(&self) -> MutexGuard<'_, Bequests> {
        self.bequests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is handed down at the moment.
    pub(crate) fn has_bequests(&self) -> bool {
        !self.bequests().is_empty()
    }

    /// What the nearest command above this process hands down to it: one that was asked for in the same jails and from the
    /// same container, by the same user. What would run elsewhere than in the prisoner has to run where that command
    /// does. See afterwards that the process has not ended: the answer is about whoever has the number. Reads /proc.
    pub(crate) fn inherited(&self, heir: &Heir) -> Option<Arc<Bequest>> {
        let is_kin = |shared: &Shared| {
            let runs_where = shared.card.executor;
            shared.origin == heir.origin
                && shared.card.uid == Some(heir.uid)
                && (heir.executor == "mirror" || heir.executor == runs_where)
        };
        let kin: Bequests =
            self.bequests().iter().filter(|handed| is_kin(&handed.by)).cloned().collect();
        if kin.is_empty() {
            return None;
        }
        // The command itself may have become another one since.
        let above = process::ancestors(heir.process.pid).ok()?;
        let line: Vec<Identity> = std::iter::once(heir.process).chain(above).collect();
        let now = Now::read();
        let found = line.iter().find_map(|&one| {
            let handed = kin.iter().find(|handed| handed.by.is_rooted_in(one))?;
            handed.bequest.holds(now).then_some(handed)
        });
        found.map(|handed| Arc::clone(&handed.bequest))
    }
}

impl Shared {
    fn is_rooted_in(&self, process: Identity) -> bool {
        self.tree.get().and_then(Tree::root) == Some(process)
    }

    /// Whether it runs, and nobody has told it to end.
    fn lives(&self) -> bool {
        State::of(self.state.load(Ordering::Acquire)) != State::Ending
            && self.tree.get().is_some_and(|tree| tree.root().is_some_and(Identity::is_alive))
    }
}

impl Run {
    /// Hands the approval that it runs by down to what it starts, where it is for that as well. Nothing may be below its
    /// process yet: that, and whatever it starts, would count as what the command has started.
    pub(crate) fn bequeath(&mut self, approval: &Approval) {
        let shared = Arc::clone(&self.shared);
        let bequest = Bequest::of(approval, Id(shared.id), Now::read(), move || shared.lives());
        let Some(bequest) = bequest else { return };
        self.bequeaths = true;
        let by = Arc::clone(&self.shared);
        self.registry.bequests().push(Handed { by, bequest });
    }

    /// It hands nothing down any more, not even to who has its approval in hand already.
    pub(crate) fn bequeaths_no_more(&mut self) {
        if !std::mem::take(&mut self.bequeaths) {
            return;
        }
        self.shared.state.store(State::Ending as u8, Ordering::Release);
        self.registry.bequests().retain(|handed| !Arc::ptr_eq(&handed.by, &self.shared));
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use super::*;
    use crate::approvals::{self, Approvals, Ask, Asked, CallerKey, Details};
    use crate::jails::JailName;
    use crate::running::Card;

    fn approval(and_what_it_starts: bool) -> Approval {
        let (queue, now) = (Approvals::new([1; 32]), Now::read());
        let ask = || Ask {
            identity: approvals::Identity([1; 32]),
            id: Id([1; 16]),
            client: None,
            key: CallerKey::default(),
            life: None,
            frame: None,
            by_pattern: Vec::new(),
            inherits: None,
            details: Details::default(),
            case: None,
            wants: approvals::Wants::default(),
            nobody: None,
            timeout: Duration::from_secs(60),
        };
        let Asked::Wait(ticket) = queue.ask(ask(), now) else { panic!() };
        let doors = crate::people::Doors::default();
        let mut verdict = approvals::Verdict::new(true, "ann".to_owned(), "cli".to_owned(), doors);
        verdict.and_what_it_starts = and_what_it_starts;
        let entry = ticket.entry.to_string();
        drop(ticket);
        queue.answer(&entry, verdict, now, |_| Ok(())).unwrap();
        match queue.ask(ask(), now) {
            Asked::Granted(approval) => approval,
            other => panic!("{other:?}"),
        }
    }

    fn origin(jail: &str) -> Origin {
        Origin { jails: vec![JailName::new(jail).unwrap()], container: None, is_told: true }
    }

    /// A shell, and a child of it.
    struct Family(Child, Identity, Identity);

    impl Family {
        fn new() -> Self {
            let mut shell = Command::new("sh")
                .args(["-c", "sleep 60 & echo $!; wait"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            let out = shell.stdout.as_mut().unwrap();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
            let child = Identity::of(line.trim().parse().unwrap()).unwrap();
            let root = Identity::of(shell.id()).unwrap();
            Self(shell, root, child)
        }
    }

    impl Drop for Family {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
            if let Ok(child) = process::pidfd::open_identity(self.2) {
                use std::os::fd::AsFd as _;
                let _ = process::pidfd::send_signal(child.as_fd(), rustix::process::Signal::KILL);
            }
        }
    }

    fn heir(process: Identity) -> Heir {
        Heir { process, uid: 1000, origin: origin("web"), executor: "mirror" }
    }

    fn run(running: &Arc<Running>, root: Identity, approval: &Approval) -> Run {
        let mut card = Card::default();
        (card.uid, card.executor) = (Some(1000), "mirror");
        let mut run = running.enter([7; 16], origin("web"), card);
        run.is_in(Some(Tree::of_tool(Some(root), None)));
        run.bequeath(approval);
        run
    }

    #[test]
    fn who_descends_from_the_command_inherits_and_nobody_else_does() {
        let (family, other) = (Family::new(), Family::new());
        let running = Arc::new(Running::default());
        let run = run(&running, family.1, &approval(true));
        let found = running.inherited(&heir(family.2)).unwrap();
        assert_eq!(found.from, Id([7; 16]));
        assert!(running.inherited(&heir(family.1)).is_some(), "it has become another tool");
        assert!(running.inherited(&heir(other.2)).is_none());
        assert!(running.inherited(&heir(Identity::own().unwrap())).is_none(), "what started it");
        assert!(running.inherited(&Heir { uid: 0, ..heir(family.2) }).is_none());
        assert!(running.inherited(&Heir { origin: origin("db"), ..heir(family.2) }).is_none());
        assert!(running.inherited(&Heir { executor: "local", ..heir(family.2) }).is_none());
        let container = Origin { container: Some("c".to_owned()), ..origin("web") };
        assert!(running.inherited(&Heir { origin: container, ..heir(family.2) }).is_none());
        drop(run);
        assert!(running.inherited(&heir(family.2)).is_none());
        assert!(!found.holds(Now::read()), "also not for who has it in hand");
    }

    #[test]
    fn nobody_inherits_from_a_number_that_is_another_process_by_now() {
        let family = Family::new();
        let running = Arc::new(Running::default());
        let before = Identity { start_ticks: family.1.start_ticks - 1, ..family.1 };
        let _run = run(&running, before, &approval(true));
        assert!(running.inherited(&heir(family.2)).is_none());
    }

    #[test]
    fn it_ends_with_an_order_to_end_after_a_day_and_before_a_runner_is_used_again() {
        let family = Family::new();
        let running = Arc::new(Running::default());
        let mut ended = run(&running, family.1, &approval(true));
        let found = running.inherited(&heir(family.2)).unwrap();
        assert!(found.holds(Now::read().after(Duration::from_secs(23 * 3600))));
        assert!(!found.holds(Now::read().after(approvals::MAX_BEQUEST)));
        ended.bequeaths_no_more();
        assert!(!running.has_bequests() && !found.holds(Now::read()));
        let _stopped = run(&running, family.1, &approval(true));
        let found = running.inherited(&heir(family.2)).unwrap();
        running.stop([7; 16], "enough");
        assert!(running.inherited(&heir(family.2)).is_none() && !found.holds(Now::read()));
    }

    #[test]
    fn a_command_that_was_approved_alone_hands_nothing_down() {
        let family = Family::new();
        let running = Arc::new(Running::default());
        let _run = run(&running, family.1, &approval(false));
        assert!(!running.has_bequests());
    }
}
