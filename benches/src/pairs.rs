//! Two things measured in turn, so that whatever else the machine does falls on both. Numbers only; it judges nothing.

use std::time::{Duration, Instant};

use crate::Outcome;

/// Middle, least and greatest of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of these numbers; all zero when there are none.
    pub(crate) fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (numbers.first(), numbers.last()) else {
            return Self::only(0.0);
        };
        let half = numbers.len() / 2;
        let median = if numbers.len().is_multiple_of(2) {
            f64::midpoint(numbers[half - 1], numbers[half])
        } else {
            numbers[half]
        };
        Self { median, min, max }
    }

    /// Of one number.
    pub(crate) fn only(number: f64) -> Self {
        Self { median: number, min: number, max: number }
    }
}

/// How often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    /// Turns of A and B.
    pub(crate) turns: usize,
    /// Runs in a row in each of them. More than one, so that what A leaves to be done falls on A as well.
    pub(crate) runs: usize,
}

/// What two things measured in turn gave.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The one that is compared with.
    pub(crate) native: Spread,
    pub(crate) ours: Spread,
    /// Ours to native, of the turns' medians.
    pub(crate) ratio: Spread,
    /// Ours to native, of the times that a tenth of all runs stayed under: what is left when nothing else disturbs.
    /// `None` for too few runs.
    pub(crate) calm: Option<f64>,
    /// Whether native held still, which is what makes a ratio mean anything. See [`STEADY`].
    pub(crate) steady: bool,
}

/// The upper quartile of native's turns to the lower one, at most, for a run to count. It looks at native alone, so
/// that it favours no result: on a busy machine native is slowed down as well, and a ratio comes out too good.
const STEADY: f64 = 1.3;

/// Whether the middle half of these lies close together.
fn is_steady(mut turns: Vec<f64>) -> bool {
    turns.sort_by(f64::total_cmp);
    let last = turns.len().saturating_sub(1);
    let at = |quarters: usize| turns.get((last * quarters + 2) / 4).copied();
    at(1).zip(at(3)).is_some_and(|(low, high)| high <= low * STEADY)
}

/// Runs from which on a tenth of them says something.
const ENOUGH: usize = 50;

/// The number that a tenth of these stay under.
fn lowest_tenth(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    if numbers.len() < ENOUGH { None } else { numbers.get(numbers.len() / 10).copied() }
}

/// Measures A and B in turn, after one unmeasured run of each.
pub(crate) fn alternate(
    rounds: Rounds,
    mut native: impl FnMut() -> Outcome<f64>,
    mut ours: impl FnMut() -> Outcome<f64>,
) -> Outcome<Pair> {
    native()?;
    ours()?;
    let (mut natives, mut all, mut ratios, mut turns) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.turns {
        let a = repeat(rounds.runs, &mut native)?;
        let b = repeat(rounds.runs, &mut ours)?;
        ratios.push(Spread::of(b.clone()).median / Spread::of(a.clone()).median);
        turns.push(Spread::of(a.clone()).median);
        natives.extend(a);
        all.extend(b);
    }
    let tenths = lowest_tenth(all.clone()).zip(lowest_tenth(natives.clone()));
    let calm = tenths.map(|(ours, native)| ours / native);
    Ok(Pair {
        native: Spread::of(natives),
        ours: Spread::of(all),
        ratio: Spread::of(ratios),
        calm,
        steady: is_steady(turns),
    })
}

fn repeat(runs: usize, measured: &mut impl FnMut() -> Outcome<f64>) -> Outcome<Vec<f64>> {
    (0..runs).map(|_| measured()).collect()
}

/// How long `work` takes, in microseconds.
pub(crate) fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<f64> {
    let start = Instant::now();
    work()?;
    Ok(micros(start.elapsed()))
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 100.0]);
        assert_eq!(spread, Spread { median: 3.5, min: 1.0, max: 100.0 });
        assert_eq!(Spread::of(vec![2.0, 9.0, 1.0]).median, 2.0);
        assert_eq!(Spread::of(Vec::new()), Spread::only(0.0));
    }

    #[test]
    fn a_ratio_is_taken_turn_by_turn() {
        // The machine is three times as slow in the second turn: native and ours suffer alike.
        let (mut a, mut b) = (vec![9.0, 3.0, 1.0], vec![18.0, 6.0, 2.0]);
        let pair = alternate(
            Rounds { turns: 2, runs: 1 },
            || Ok(a.pop().unwrap_or_default()),
            || Ok(b.pop().unwrap_or_default()),
        );
        assert_eq!(pair.unwrap().ratio, Spread::only(2.0));
    }

    #[test]
    fn what_disturbs_most_runs_does_not_reach_the_calm_ones() {
        let mut n = 0.0;
        // Four runs of five are disturbed.
        let next = |count: &mut f64, time: f64| {
            *count += 1.0;
            Ok(if *count % 5.0 == 0.0 { time } else { 1000.0 * *count })
        };
        let rounds = Rounds { turns: 10, runs: 10 };
        let pair = alternate(rounds, || next(&mut n, 2.0), || Ok(3.0)).unwrap();
        assert_eq!(pair.calm, Some(1.5));
        let few = alternate(Rounds { turns: 1, runs: 3 }, || Ok(1.0), || Ok(1.0)).unwrap();
        assert_eq!(few.calm, None);
    }

    #[test]
    fn native_that_does_not_hold_still_is_not_steady() {
        assert!(is_steady(vec![1.0, 1.1, 1.2, 1.05, 9.0]), "one outlier does no harm");
        assert!(!is_steady(vec![1.0, 3.0, 1.0, 3.0, 3.0, 1.0]));
        assert!(!is_steady(Vec::new()));
    }

    #[test]
    fn a_failure_ends_the_measurement() {
        let rounds = Rounds { turns: 1, runs: 1 };
        assert!(alternate(rounds, || Ok(1.0), || Err("no".into())).is_err());
    }
}
