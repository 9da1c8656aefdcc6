//! What holds of approvals for more than one run, however asking, answering, taking back, time and restarts are mixed.

use proptest::prelude::*;

use super::*;

const TEN_MINUTES: Scope = Scope::Time(Duration::from_secs(600));

/// Requests of this long ago are about to run by an approval that they have in hand.
const FRAME: &str = "frame";

#[derive(Debug, Clone)]
enum Step {
    /// The prisoner `.1` asks for command `.0`, and leaves if it has to wait.
    Ask(u8, u8),
    /// The same, and it keeps its approval in hand.
    Hold(u8, u8),
    /// Whoever has had an approval in hand for longest runs by it.
    Run,
    /// A person approves one of the entries that are shown, for as long as this, and with a pattern.
    Approve(usize, Scope, bool),
    /// A person denies one.
    Deny(usize),
    /// A person takes one of the grants back.
    Revoke(usize),
    /// Time passes, seconds.
    Pass(u64),
    /// This prisoner ends.
    End(u8),
    /// The warden dies, and another serves.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pick = || any::<prop::sample::Index>().prop_map(|i| i.index(1 << 16));
    let scope = prop_oneof![Just(Scope::Once), Just(Scope::Session), Just(TEN_MINUTES)];
    let step = prop_oneof![
        8 => (0..3u8, 0..2u8).prop_map(|(c, p)| Step::Ask(c, p)),
        2 => (0..3u8, 0..2u8).prop_map(|(c, p)| Step::Hold(c, p)),
        2 => Just(Step::Run),
        5 => (pick(), scope, any::<bool>()).prop_map(|(n, s, p)| Step::Approve(n, s, p)),
        1 => pick().prop_map(Step::Deny),
        1 => pick().prop_map(Step::Revoke),
        1 => (0..400u64).prop_map(Step::Pass),
        1 => (0..2u8).prop_map(Step::End),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..80)
}

/// What a person said, as plainly as it can be written down.
#[derive(Debug, Clone)]
struct Said {
    entry: Id,
    command: u8,
    scope: Scope,
    life: u64,
    until: Now,
    /// It is for every command.
    pattern: bool,
    taken_back: bool,
}

struct World {
    queue: Approvals,
    now: Now,
    said: Vec<Said>,
    held: Vec<(Approval, u8, u64)>,
    /// The life that each prisoner lives by now.
    lives: [u64; 2],
    /// One-use approvals that were given for each command, and runs by them.
    once: [(usize, usize); 3],
    next: u128,
    folder: tempfile::TempDir,
}

fn start(folder: &tempfile::TempDir, starts: u128, now: Now) -> Approvals {
    let mut seed = [3; 32];
    seed[..16].copy_from_slice(&starts.to_be_bytes());
    let path = folder.path().join("approvals");
    let queue = Approvals::open(seed, path, Duration::ZERO, |_| true).unwrap();
    let _ = queue.take_up(Now { instant: now.instant.max(Instant::now()), ..now }).unwrap();
    queue
}

fn life(number: u64) -> Life {
    Life::Prisoner(CallerKey { pid: Some(1), start: Some(number) })
}

impl World {
    fn new() -> Self {
        let (folder, now) = (tempfile::tempdir().unwrap(), Now::read());
        let queue = start(&folder, 0, now);
        let (said, held, once) = (Vec::new(), Vec::new(), [(0, 0); 3]);
        Self { queue, now, said, held, lives: [0, 1], once, next: 2, folder }
    }

    fn request(&mut self, command: u8, number: u64) -> Ask {
        self.next += 1;
        let frame = ask(FRAME, 1).identity;
        let it = Ask {
            id: Id(self.next.to_be_bytes()),
            client: None,
            life: Some(life(number)),
            frame: Some(frame),
            ..ask(&command.to_string(), 1)
        };
        let patterns =
            self.queue
                .state()
                .kept
                .repeating
                .patterns(&frame, it.life.as_ref(), self.now, |_| true);
        Ask { by_pattern: patterns.into_iter().map(|(entry, _)| entry).collect(), ..it }
    }

    fn holds(&self, said: &Said, command: u8, number: u64) -> bool {
        let is_alive = self.lives.contains(&said.life);
        said.scope.repeats()
            && !said.taken_back
            && !said.until.has_passed(self.now)
            && (said.command == command || said.pattern)
            && (said.scope != Scope::Session || (said.life == number && is_alive))
    }

    fn ask(&mut self, command: u8, prisoner: u8) -> Option<(Approval, u64)> {
        let number = self.lives[usize::from(prisoner)];
        let request = self.request(command, number);
        let covering = self.said.iter().any(|said| self.holds(said, command, number));
        match self.queue.ask(request, self.now) {
            Asked::Granted(approval) => {
                self.is_meant(&approval, command, number);
                Some((approval, number))
            }
            Asked::Denied(_) => None,
            Asked::Nobody(why) => panic!("{why}"),
            Asked::Wait(ticket) => {
                assert!(!covering, "a person said yes to it, and is asked again");
                drop(ticket);
                None
            }
            Asked::Full(full) => panic!("{full}"),
        }
    }

    /// An approval that somebody got is what a person said, for this command and this life.
    fn is_meant(&self, approval: &Approval, command: u8, number: u64) {
        if approval.scope.repeats() {
            let said = self.said.iter().find(|said| said.entry == approval.entry).unwrap();
            assert!(self.holds(said, command, number), "{said:?} is not for {command} {number}");
            assert_eq!(approval.pattern.is_some(), said.pattern);
        }
    }

    fn run(&mut self, approval: &Approval, command: u8, number: u64) {
        let entry = approval.entry;
        let (repeats, has_run_out) = (approval.scope.repeats(), approval.has_run_out(self.now));
        // Its use is looked at by the clock of this process, which stands still meanwhile.
        let used = self.queue.state().use_up(approval, self.now);
        if !repeats {
            used.unwrap();
            let counts = &mut self.once[usize::from(command)];
            counts.1 += 1;
            assert!(counts.1 <= counts.0, "{counts:?}");
            return;
        }
        let said = self.said.iter().find(|said| said.entry == entry).unwrap();
        if used.is_ok() {
            assert!(!said.taken_back && !has_run_out, "{said:?}");
            assert!(self.holds(said, command, number), "{said:?}");
        } else {
            assert!(!self.holds(said, command, number), "{said:?}");
        }
    }

    fn approve(&mut self, n: usize, scope: Scope, pattern: bool) {
        let shown = self.queue.queue();
        let Some(entry) = shown.get(n % shown.len().max(1)) else { return };
        let id: Id = entry.id.parse().unwrap();
        let seen = self.queue.state().entries[&id].life.clone();
        let pattern = pattern && scope.repeats();
        let text = pattern.then(|| "any *".to_owned());
        let verdict = Verdict { scope, pattern: text, ..verdict(true) };
        match self.queue.answer(&entry.id, verdict, self.now, |_| Ok(())) {
            Ok(answered) => {
                let command: u8 = entry.argv[0].parse().unwrap();
                let until = Now { ms: answered.holds_until_ms.unwrap_or(0), ..self.now };
                let until = until
                    .ms
                    .checked_sub(self.now.ms)
                    .map_or(self.now, |left| self.now.after(Duration::from_millis(left)));
                if scope == Scope::Once {
                    self.once[usize::from(command)].0 += 1;
                }
                let life = match seen {
                    Some(Life::Prisoner(key)) => key.start.unwrap(),
                    _ => u64::MAX,
                };
                let taken_back = false;
                self.said.push(Said {
                    entry: id,
                    command,
                    scope,
                    life,
                    until,
                    pattern,
                    taken_back,
                });
            }
            Err(AnswerError::NoSession(_)) => assert!(scope == Scope::Session && seen.is_none()),
            Err(AnswerError::AlreadyAnswered { answer: "expired", .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Ask(command, prisoner) => {
                if let Some((approval, number)) = self.ask(command, prisoner) {
                    self.run(&approval, command, number);
                }
            }
            Step::Hold(command, prisoner) => {
                if let Some((approval, number)) = self.ask(command, prisoner) {
                    self.held.push((approval, command, number));
                }
            }
            Step::Run if !self.held.is_empty() => {
                let (approval, command, number) = self.held.remove(0);
                if approval.scope.repeats() || !approval.has_run_out(self.now) {
                    self.run(&approval, command, number);
                }
            }
            Step::Run => {}
            Step::Approve(n, scope, pattern) => self.approve(n, scope, pattern),
            Step::Deny(n) => {
                let shown = self.queue.queue();
                if let Some(entry) = shown.get(n % shown.len().max(1)) {
                    let _ = self.queue.answer(&entry.id, verdict(false), self.now, |_| Ok(()));
                }
            }
            Step::Revoke(n) => {
                let shown = self.queue.grants(self.now);
                let Some(grant) = shown.get(n % shown.len().max(1)) else { return };
                let id: Id = grant.id.parse().unwrap();
                assert_eq!(self.queue.revoke(&grant.id, |_, _| ()), Ok(Some(id)));
                for said in self.said.iter_mut().filter(|said| said.entry == id) {
                    said.taken_back = true;
                }
            }
            Step::Pass(seconds) => {
                self.now = self.now.after(Duration::from_secs(seconds));
                let _ = self.queue.expire(self.now);
            }
            Step::End(prisoner) => {
                let gone = std::mem::replace(
                    &mut self.lives[usize::from(prisoner)],
                    u64::try_from(self.next).unwrap() + 10,
                );
                self.next += 20;
                self.queue.end_sessions(if gone == 0 { not_0 } else { |_| true });
                self.queue.state().end_lives(&|one| *one == life(gone));
            }
            Step::Restart => {
                // What is in hand goes with the warden that gave it.
                self.held.clear();
                self.queue.state().write(&[]).unwrap();
                self.next += 1;
                self.queue = start(&self.folder, self.next, self.now);
            }
        }
    }
}

fn not_0(key: CallerKey) -> bool {
    key.start != Some(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_runs_but_what_a_person_said_and_nobody_is_asked_twice(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
    }
}
