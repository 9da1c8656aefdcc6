//! Quotas: how often the commands of a rule start in a jail, and how many of them run. Counted in memory: another warden
//! begins at none.
//!
//! A command takes its seats as the last thing before its start, all of them or none, and holds them until it has ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clawrden_api::display;
use clawrden_policy::{Bounds, Quota, Rate, RuleId};

use crate::jails::JailName;

/// Rules of jails that are counted until those with nothing to count are looked for.
const SWEEP_AT: usize = 1_024;

/// What is counted for every rule of every jail that has a quota.
#[derive(Debug, Default)]
pub(crate) struct Quotas(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    next: u64,
    of: HashMap<Key, Count>,
    sweep_at: usize,
}

/// A rule, as one jail meets it: by its file, and its place and name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    jail: JailName,
    file: Arc<str>,
    rule: Arc<str>,
    /// Of several rules on one line, each is its own.
    column: u32,
}

impl Key {
    fn of(jail: &JailName, quota: &Quota) -> Self {
        let RuleId { file, text, column, .. } = &quota.rule;
        let (file, rule) = (Arc::clone(file), Arc::clone(text));
        Self { jail: jail.clone(), file, rule, column: *column }
    }
}

#[derive(Debug, Default)]
struct Count {
    /// Starts that still count, the oldest first.
    starts: VecDeque<(u64, Instant)>,
    within: Duration,
    running: u32,
}

impl Count {
    fn forget_before(&mut self, now: Instant) {
        let within = self.within;
        let is_over = |&(_, then): &(u64, Instant)| now.saturating_duration_since(then) >= within;
        while self.starts.front().is_some_and(is_over) {
            self.starts.pop_front();
        }
    }
}

/// There is no room for one more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Full {
    /// The rule whose limit it is.
    pub(crate) rule: RuleId,
    /// The limit, and when to try again.
    pub(crate) text: String,
    /// It is so only for as long as others run.
    pub(crate) until_one_ends: bool,
}

/// The seats of one command. Given back when dropped; its start counts on only if it has begun.
#[derive(Debug)]
pub(crate) struct Seats {
    quotas: Arc<Quotas>,
    number: u64,
    keys: Box<[Key]>,
    has_begun: bool,
}

impl Quotas {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a seat of every rule that `bounds` names at this moment. It takes none.
    ///
    /// # Errors
    /// The first limit that leaves no room.
    pub(crate) fn look(&self, jail: &JailName, bounds: &Bounds, now: Instant) -> Result<(), Full> {
        let mut counts = self.counts();
        let mut quotas = bounds.quotas.iter();
        quotas.try_for_each(|quota| counts.has_room(quota, &Key::of(jail, quota), now))
    }

    /// Takes a seat of every rule that `bounds` names, or none.
    ///
    /// # Errors
    /// The first limit that leaves no room.
    pub(crate) fn take(
        self: &Arc<Self>,
        jail: &JailName,
        bounds: &Bounds,
        now: Instant,
    ) -> Result<Seats, Full> {
        let keys: Box<[Key]> = bounds.quotas.iter().map(|quota| Key::of(jail, quota)).collect();
        let mut counts = self.counts();
        for (quota, key) in bounds.quotas.iter().zip(&keys) {
            counts.has_room(quota, key, now)?;
        }
        let number = counts.next;
        counts.next += 1;
        for (quota, key) in bounds.quotas.iter().zip(&keys) {
            let count = counts.of.entry(key.clone()).or_default();
            count.running += 1;
            if let Some(rate) = quota.rate {
                count.within = rate.within;
                count.starts.push_back((number, now));
            }
        }
        counts.sweep(now);
        drop(counts);
        Ok(Seats { quotas: Arc::clone(self), number, keys, has_begun: false })
    }
}

impl Counts {
    fn has_room(&mut self, quota: &Quota, key: &Key, now: Instant) -> Result<(), Full> {
        let Some(count) = self.of.get_mut(key) else { return Ok(()) };
        let full =
            |text, until_one_ends| Err(Full { rule: quota.rule.clone(), text, until_one_ends });
        let jail = &key.jail;
        if let Some(most) = quota.concurrent
            && count.running >= most
        {
            let running = count.running;
            let text = format!(
                "at most {most} of its commands run at once in jail {jail}, and {running} run; try again when one has ended"
            );
            return full(text, true);
        }
        let Some(rate) = quota.rate else { return Ok(()) };
        count.within = rate.within;
        count.forget_before(now);
        let Rate { starts, within } = rate;
        // Where the policy allowed more before, more than one has to grow old.
        let starts = usize::try_from(starts).unwrap_or(usize::MAX);
        let Some(surplus) = count.starts.len().checked_sub(starts) else { return Ok(()) };
        let Some(&(_, then)) = count.starts.get(surplus) else { return Ok(()) };
        let wait = within.saturating_sub(now.saturating_duration_since(then));
        let begun = count.starts.len();
        let text = format!(
            "its rate is {rate}, and {begun} of its commands started in jail {jail} in that time; try again in {}",
            rounded_up(wait)
        );
        full(text, false)
    }

    /// Lets go of what counts nothing, once in a while: what a lookup costs stays the same on average.
    fn sweep(&mut self, now: Instant) {
        if self.of.len() < self.sweep_at.max(SWEEP_AT) {
            return;
        }
        self.of.retain(|_, count| {
            count.forget_before(now);
            count.running > 0 || !count.starts.is_empty()
        });
        self.sweep_at = self.of.len() * 2;
    }
}

impl Seats {
    /// Its command has begun: from here on its start counts, however it ends.
    pub(crate) fn begin(&mut self) {
        self.has_begun = true;
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        let mut counts = self.quotas.counts();
        for key in &self.keys {
            let Some(count) = counts.of.get_mut(key) else { continue };
            count.running = count.running.saturating_sub(1);
            if !self.has_begun {
                count.starts.retain(|(number, _)| *number != self.number);
            }
            if count.running == 0 && count.starts.is_empty() {
                counts.of.remove(key);
            }
        }
    }
}

/// In whole seconds where it is short: who comes back then is not too early.
fn rounded_up(wait: Duration) -> String {
    let seconds = wait.as_millis().div_ceil(1_000);
    match u64::try_from(seconds).unwrap_or(u64::MAX / 1_000) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => display::duration(seconds.saturating_mul(1_000)),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn jail(name: &str) -> JailName {
        JailName::new(name).unwrap()
    }

    fn quota(line: u32, rate: Option<u32>, concurrent: Option<u32>) -> Quota {
        let text = format!("p.yaml:{line}").into();
        let rule = RuleId { file: "p.yaml".into(), line, column: 1, index: line, text };
        let rate = rate.map(|starts| Rate { starts, within: SECOND * 60 });
        Quota { rule, rate, concurrent }
    }

    fn bounds(quotas: &[Quota]) -> Bounds {
        Bounds { quotas: quotas.to_vec(), ..Bounds::default() }
    }

    fn begun(quotas: &Arc<Quotas>, bounds: &Bounds, now: Instant) -> Result<(), Full> {
        quotas.take(&jail("web"), bounds, now).map(|mut seats| seats.begin())
    }

    #[test]
    fn a_rate_counts_starts_in_any_span_and_says_when_to_try_again() {
        let (quotas, rule) = (Arc::<Quotas>::default(), bounds(&[quota(3, Some(2), None)]));
        let start = Instant::now();
        begun(&quotas, &rule, start).unwrap();
        begun(&quotas, &rule, start + SECOND * 50).unwrap();
        let full = begun(&quotas, &rule, start + SECOND * 55).unwrap_err();
        assert_eq!(&*full.rule.text, "p.yaml:3");
        assert_eq!(
            full.text,
            "its rate is 2/1m, and 2 of its commands started in jail web in that time; try again in 5 s"
        );
        let late = begun(&quotas, &rule, start + SECOND * 60 - Duration::from_millis(1));
        assert!(late.unwrap_err().text.ends_with("try again in 1 s"));
        begun(&quotas, &rule, start + SECOND * 60).unwrap();
        let full = begun(&quotas, &rule, start + SECOND * 60).unwrap_err();
        assert!(full.text.ends_with("try again in 50 s"), "{}", full.text);
        quotas.take(&jail("db"), &rule, start + SECOND * 60).unwrap();
    }

    #[test]
    fn what_is_refused_or_never_begins_does_not_count() {
        let (quotas, rule) = (Arc::<Quotas>::default(), bounds(&[quota(3, Some(1), Some(1))]));
        let now = Instant::now();
        for _ in 0..3 {
            drop(quotas.take(&jail("web"), &rule, now).unwrap());
        }
        begun(&quotas, &rule, now).unwrap();
        for _ in 0..3 {
            begun(&quotas, &rule, now).unwrap_err();
        }
        begun(&quotas, &rule, now + SECOND * 60).unwrap();
    }

    #[test]
    fn only_so_many_run_at_once_and_each_that_ends_makes_room() {
        let (quotas, rule) = (Arc::<Quotas>::default(), bounds(&[quota(3, None, Some(2))]));
        let take = || quotas.take(&jail("web"), &rule, Instant::now());
        let (first, second) = (take().unwrap(), take().unwrap());
        assert_eq!(
            take().unwrap_err().text,
            "at most 2 of its commands run at once in jail web, and 2 run; try again when one has ended"
        );
        drop(first);
        let third = take().unwrap();
        take().unwrap_err();
        drop((second, third));
        assert!(quotas.counts().of.is_empty());
    }

    #[test]
    fn all_seats_are_taken_or_none() {
        let quotas = Arc::<Quotas>::default();
        let (free, tight) = (quota(3, Some(9), Some(9)), quota(4, None, Some(1)));
        let now = Instant::now();
        let held = quotas.take(&jail("web"), &bounds(std::slice::from_ref(&tight)), now).unwrap();
        let full = quotas.take(&jail("web"), &bounds(&[free.clone(), tight]), now).unwrap_err();
        assert_eq!(&*full.rule.text, "p.yaml:4");
        assert_eq!(quotas.counts().of.len(), 1, "nothing is counted of the free one");
        drop(held);
    }

    #[test]
    fn of_many_at_once_no_two_take_the_last_seat() {
        let (quotas, rule) = (Arc::<Quotas>::default(), bounds(&[quota(3, Some(7), Some(7))]));
        let taken: Vec<_> = thread::scope(|scope| {
            let take = || quotas.take(&jail("web"), &rule, Instant::now()).ok();
            let threads: Vec<_> = (0..64).map(|_| scope.spawn(take)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.len(), 7);
    }

    #[test]
    fn a_policy_that_allows_fewer_waits_for_as_many_as_it_has_to() {
        let quotas = Arc::<Quotas>::default();
        let start = Instant::now();
        for n in 0..5 {
            begun(&quotas, &bounds(&[quota(3, Some(5), None)]), start + SECOND * n).unwrap();
        }
        let fewer = bounds(&[quota(3, Some(2), None)]);
        let full = begun(&quotas, &fewer, start + SECOND * 10).unwrap_err();
        assert!(full.text.ends_with("try again in 53 s"), "{}", full.text);
        begun(&quotas, &fewer, start + SECOND * 62).unwrap_err();
        begun(&quotas, &fewer, start + SECOND * 63).unwrap();
    }

    #[test]
    fn rules_on_one_line_are_counted_each_by_itself() {
        let quotas = Arc::<Quotas>::default();
        let (slow, mut quick) = (quota(3, Some(1), None), quota(3, Some(9), None));
        quick.rule.column = 40;
        quick.rate = Some(Rate { starts: 9, within: SECOND });
        let start = Instant::now();
        begun(&quotas, &bounds(std::slice::from_ref(&slow)), start).unwrap();
        begun(&quotas, &bounds(&[quick]), start + SECOND * 2).unwrap();
        begun(&quotas, &bounds(&[slow]), start + SECOND * 3).unwrap_err();
    }

    #[test]
    fn what_still_counts_is_not_forgotten_however_many_there_are() {
        let quotas = Arc::<Quotas>::default();
        let now = Instant::now();
        let rule = |line| bounds(&[quota(line, Some(1), None)]);
        for line in 0..1_100 {
            begun(&quotas, &rule(line), now).unwrap();
        }
        begun(&quotas, &rule(0), now + SECOND).unwrap_err();
        assert!(quotas.look(&jail("web"), &rule(1), now + SECOND).is_err());
        assert!(quotas.look(&jail("web"), &rule(1_100), now).is_ok());
    }

    #[test]
    fn rules_with_nothing_to_count_are_forgotten() {
        let quotas = Arc::<Quotas>::default();
        let start = Instant::now();
        for line in 0..5_000 {
            let now = start + SECOND * line;
            begun(&quotas, &bounds(&[quota(line, Some(1), None)]), now).unwrap();
        }
        assert!(quotas.counts().of.len() <= SWEEP_AT, "{}", quotas.counts().of.len());
    }
}
