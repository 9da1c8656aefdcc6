//! What holds however asking, leaving, answering and time are mixed.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// Process `.1` asks for command `.0`.
    Ask(u8, u8),
    /// A caller goes without looking for an answer.
    Leave(usize),
    /// A caller looks for its answer, and runs if it may.
    Look(usize),
    /// A caller takes its approval, and cannot use it.
    GiveBack(usize),
    /// A person answers one of the entries that are shown, or the n-th that ever was.
    Answer(usize, bool),
    AnswerOld(usize, bool),
    /// Time passes, seconds.
    Pass(u64),
    /// A person answers, and it cannot be recorded; with `.2` it cannot be taken out of the file either.
    Unrecorded(usize, bool, bool),
    /// The warden dies, and another serves. Before callers are back, or have left, a person may answer, and so many
    /// seconds pass.
    Restart {
        back: bool,
        answer: Option<(usize, bool)>,
        seconds: u64,
    },
}

fn steps(with_time: bool) -> impl Strategy<Value = Vec<Step>> {
    let pick = || any::<prop::sample::Index>().prop_map(|i| i.index(1 << 16));
    let time = || if with_time { 0..1200u64 } else { 0..1 };
    // Long enough for an approval to run out.
    let away = if with_time { 0..2400u64 } else { 0..1 };
    let answer = move || (pick(), any::<bool>());
    let restart = (any::<bool>(), prop::option::of(answer()), away)
        .prop_map(|(back, answer, seconds)| Step::Restart { back, answer, seconds });
    let step = prop_oneof![
        6 => (0..3u8, 0..5u8).prop_map(|(c, p)| Step::Ask(c, p)),
        3 => pick().prop_map(Step::Leave),
        3 => pick().prop_map(Step::Look),
        1 => pick().prop_map(Step::GiveBack),
        4 => answer().prop_map(|(n, yes)| Step::Answer(n, yes)),
        1 => answer().prop_map(|(n, yes)| Step::AnswerOld(n, yes)),
        1 => (answer(), any::<bool>()).prop_map(|((n, yes), stays)| Step::Unrecorded(n, yes, stays)),
        1 => time().prop_map(Step::Pass),
        1 => restart,
    ];
    prop::collection::vec(step, 1..120)
}

struct Held {
    ticket: Ticket,
    command: u8,
    process: u8,
    id: Id,
}

/// The queue, and beside it the plainest account of what was said and done.
struct World {
    queue: Approvals,
    clock: Clock,
    now: Now,
    held: Vec<Held>,
    entries: Vec<Id>,
    /// For each command, approvals that were given and runs that were made.
    approved: HashMap<u8, usize>,
    runs: HashMap<u8, usize>,
    /// Requests that were told no: they must never hear yes.
    refused: Vec<Id>,
    next: u128,
    folder: tempfile::TempDir,
}

fn start(folder: &tempfile::TempDir, starts: u128, now: Now) -> Approvals {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&starts.to_be_bytes());
    let path = folder.path().join("approvals");
    let queue = Approvals::open(seed, path, Duration::from_secs(60), |_| true).unwrap();
    // It is tried from the moment on that it was opened.
    let _ = queue.take_up(Now { instant: now.instant.max(Instant::now()), ..now }).unwrap();
    queue
}

impl World {
    fn new() -> Self {
        let clock = Clock::new();
        let folder = tempfile::tempdir().unwrap();
        Self {
            queue: start(&folder, 0, clock.0),
            folder,
            clock,
            now: clock.0,
            held: Vec::new(),
            entries: Vec::new(),
            approved: HashMap::new(),
            runs: HashMap::new(),
            refused: Vec::new(),
            next: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Ask(command, process) => self.ask(command, process),
            Step::Leave(n) => {
                if let Some(held) = self.take(n) {
                    drop(held.ticket);
                }
            }
            Step::Look(n) => self.look(n, true),
            Step::GiveBack(n) => self.look(n, false),
            Step::Answer(n, approve) => self.answer_one(n, approve, true),
            Step::AnswerOld(n, approve) => {
                if !self.entries.is_empty() {
                    self.answer(self.entries[n % self.entries.len()], approve, true);
                }
            }
            Step::Unrecorded(n, approve, stays) => self.unrecorded(n, approve, stays),
            Step::Restart { back, answer, seconds } => self.restart(back, answer, seconds),
            Step::Pass(seconds) => self.pass(seconds),
        }
        for entry in self.queue.queue() {
            let id = entry.id.parse().unwrap();
            if !self.entries.contains(&id) {
                self.entries.push(id);
            }
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        for expired in self.queue.expire(self.now) {
            self.refused.extend(expired.requests);
        }
    }

    fn unrecorded(&self, n: usize, approve: bool, stays: bool) {
        let shown = self.queue.queue();
        if shown.is_empty() {
            return;
        }
        let other = rusqlite::Connection::open(self.folder.path().join("approvals")).unwrap();
        let refused =
            self.queue.answer(&shown[n % shown.len()].id, verdict(approve), self.now, |_| {
                if stays {
                    other.execute_batch("BEGIN IMMEDIATE").unwrap();
                }
                Err("disk full".to_owned())
            });
        // One whose time is up is not even tried.
        assert!(
            matches!(
                refused,
                Err(AnswerError::NotRecorded(_) | AnswerError::AlreadyAnswered { .. })
            ),
            "{refused:?}"
        );
        assert_eq!(self.queue.queue(), shown);
    }

    fn restart(&mut self, back: bool, answer: Option<(usize, bool)>, seconds: u64) {
        // A warden that cannot write tries again each second; it dies after that.
        self.queue.state().write(&[]).unwrap();
        let held: Vec<(u8, u8, Id)> = std::mem::take(&mut self.held)
            .into_iter()
            .map(|held| {
                held.ticket.stay();
                (held.command, held.process, held.id)
            })
            .collect();
        self.next += 1;
        self.queue = start(&self.folder, self.next, self.now);
        if let Some((n, approve)) = answer {
            self.answer_one(n, approve, false);
        }
        self.pass(seconds);
        for (command, process, id) in held.into_iter().filter(|_| back) {
            let it = Ask { id, client: Some(id), ..ask(&command.to_string(), process) };
            // One whose answer was taken by nobody has it still, and one that expired was told so.
            let known = self.queue.known(&it.identity, id, it.key);
            let is_known = known.is_some_and(|(request, _)| request == id);
            assert!(is_known || seconds > 0, "its place is not lost");
            match self.queue.ask(it, self.now) {
                Asked::Granted(approval) => {
                    assert!(!approval.kept || !is_known);
                    assert!(!self.refused.contains(&id));
                    self.ran_with_kept(command, approval);
                }
                Asked::Denied(denial) => {
                    self.refused.push(id);
                    self.queue.told(&denial);
                }
                Asked::Wait(ticket) => self.held.push(Held { ticket, command, process, id }),
                Asked::Full(full) => panic!("{full}"),
                Asked::Nobody(why) => panic!("{why}"),
            }
        }
        // Counted from when it was taken up, which may be later than the clock of this world.
        let taken_up = Now { instant: self.now.instant.max(Instant::now()), ..self.now };
        let lapsed = self.queue.lapse(taken_up.after(Duration::from_secs(61)));
        assert!(self.queue.state().away.is_empty(), "nobody is waited for any more");
        assert!(!back || lapsed.is_empty(), "everybody is back");
    }

    fn ran_with(&mut self, command: u8, approval: Approval) {
        let _ = self.queue.lend(approval).spend().unwrap();
        self.ran(command);
    }

    /// Runs with an approval that was kept until somebody came for it.
    fn ran_with_kept(&mut self, command: u8, approval: Approval) {
        assert!(approval.until.instant > self.now.instant, "it has run out");
        self.ran_with(command, approval);
    }

    fn take(&mut self, n: usize) -> Option<Held> {
        (!self.held.is_empty()).then(|| self.held.swap_remove(n % self.held.len()))
    }

    fn ask(&mut self, command: u8, process: u8) {
        self.next += 1;
        let id = Id(self.next.to_be_bytes());
        let ask = Ask { id, client: Some(id), ..ask(&command.to_string(), process) };
        match self.queue.ask(ask, self.now) {
            Asked::Granted(approval) => {
                assert!(approval.kept);
                self.ran_with_kept(command, approval);
            }
            Asked::Denied(denial) => assert!(matches!(denial.why, Refusal::Person { .. })),
            Asked::Wait(ticket) => self.held.push(Held { ticket, command, process, id }),
            Asked::Full(full) => panic!("{full}"),
            Asked::Nobody(why) => panic!("{why}"),
        }
    }

    fn ran(&mut self, command: u8) {
        *self.runs.entry(command).or_default() += 1;
        let runs = self.runs[&command];
        let approved = self.approved.get(&command).copied().unwrap_or(0);
        assert!(runs <= approved, "command {command}: {runs} runs, {approved} approvals");
    }

    fn look(&mut self, n: usize, uses_it: bool) {
        let Some(mut held) = self.take(n) else { return };
        match held.ticket.try_answer() {
            None => self.held.push(held),
            Some(Answer::Denied(denial)) => {
                assert!(denial.why != Refusal::Superseded, "nobody asked twice");
                self.refused.push(held.id);
                self.queue.told(&denial);
            }
            Some(Answer::Approved(approval)) => {
                assert!(!self.refused.contains(&held.id), "it was told no before");
                if uses_it {
                    self.ran_with(held.command, approval);
                } else {
                    self.queue.give_back(approval, self.now);
                }
            }
        }
    }

    fn answer_one(&mut self, n: usize, approve: bool, all_are_here: bool) {
        let shown = self.queue.queue();
        if !shown.is_empty() {
            let id = shown[n % shown.len()].id.parse().unwrap();
            self.answer(id, approve, all_are_here);
        }
    }

    fn answer(&mut self, id: Id, approve: bool, all_are_here: bool) {
        let shown = self.queue.queue();
        let entry = shown.iter().find(|e| e.id == id.to_string());
        match answer(&self.queue, id, approve, self.now) {
            Ok(answered) => {
                let entry = entry.expect("only what is open is answered");
                let command: u8 = entry.argv[0].parse().unwrap();
                let callers = entry.callers as usize;
                let told = if approve { callers.min(1) } else { callers };
                assert_eq!(answered.told.len(), told);
                assert_eq!(answered.kept_until_ms.is_some(), callers == 0 || !all_are_here);
                assert_eq!(answered.reopened.is_some(), approve && callers > 1);
                if approve {
                    *self.approved.entry(command).or_default() += 1;
                } else {
                    self.refused.extend(answered.told);
                }
            }
            Err(AnswerError::AlreadyAnswered { .. }) => assert!(entry.is_none()),
            Err(other) => panic!("{other}"),
        }
        assert!(self.queue.queue().iter().all(|e| e.id != id.to_string()), "answered is closed");
    }

    /// Everybody leaves; then each command is asked for until nothing is kept.
    fn settle(&mut self) {
        for held in std::mem::take(&mut self.held) {
            drop(held.ticket);
        }
        for command in 0..3 {
            loop {
                self.next += 1;
                let id = Id(self.next.to_be_bytes());
                let ask = Ask { id, ..ask(&command.to_string(), 9) };
                match self.queue.ask(ask, self.now) {
                    Asked::Granted(approval) => self.ran_with_kept(command, approval),
                    Asked::Denied(_) => {}
                    Asked::Wait(_) => break,
                    Asked::Full(full) => panic!("{full}"),
                    Asked::Nobody(why) => panic!("{why}"),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn no_approval_makes_two_runs_and_none_is_lost(steps in steps(false)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        for (command, approved) in &world.approved {
            let runs = world.runs.get(command).copied().unwrap_or(0);
            prop_assert_eq!(runs, *approved, "command {}", command);
        }
    }

    #[test]
    fn time_makes_no_runs(steps in steps(true)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        world.now = world.clock.after(1 << 24);
        let _ = world.queue.expire(world.now);
        prop_assert!(world.queue.is_empty());
        prop_assert_eq!(world.queue.next_expiry(), None);
        prop_assert_eq!(world.queue.state().kept.len(), 0);
        let path = world.folder.path().join("approvals");
        drop(world.queue);
        let rows = store::Store::open(&path).unwrap().rows;
        let left = rows.iter().filter(|row| row.kind != store::Kind::Past as u8).count();
        prop_assert_eq!(left, 0, "nothing lasts but what was answered");
    }
}
