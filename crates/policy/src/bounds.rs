//! Bounds: what a rule's `limits` keep the commands of the rule to. Data from the policy; nothing here counts anything.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::action::RuleId;

/// What one command may use; `None` is no limit of the rule's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub milli_cpus: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes that it may write to its standard output and error, together.
    pub output: Option<u64>,
}

impl Limits {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Itself, and of `usual` what it does not say.
    #[must_use]
    pub(crate) fn or(self, usual: Self) -> Self {
        Self {
            memory: self.memory.or(usual.memory),
            milli_cpus: self.milli_cpus.or(usual.milli_cpus),
            pids: self.pids.or(usual.pids),
            output: self.output.or(usual.output),
        }
    }

    /// What keeps to both.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        Self {
            memory: least(self.memory, other.memory),
            milli_cpus: least(self.milli_cpus, other.milli_cpus),
            pids: least(self.pids, other.pids),
            output: least(self.output, other.output),
        }
    }
}

/// Bytes as policies write them, in the largest unit that says them exactly.
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = [(30, 'g'), (20, 'm'), (10, 'k')];
    let fits = units.into_iter().find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    fits.map_or_else(|| bytes.to_string(), |(bits, unit)| format!("{}{unit}", bytes >> bits))
}

/// The smaller of two limits, either of which may be none.
pub(crate) fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (found, None) | (None, found) => found,
    }
}

/// How often commands may start: so many in any span of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Starts, at least one.
    pub starts: u32,
    /// The span.
    pub within: Duration,
}

impl fmt::Display for Rate {
    /// As policies write it: `10/1m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.starts)?;
        let mut left = self.within.as_millis();
        for (unit, length) in
            [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
        {
            if left >= length {
                write!(f, "{}{unit}", left / length)?;
                left %= length;
            }
        }
        Ok(())
    }
}

/// How many commands of one rule may start and run, counted for each jail by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The rule.
    pub rule: RuleId,
    /// How often they start.
    pub rate: Option<Rate>,
    /// How many run at once.
    pub concurrent: Option<u32>,
}

impl Quota {
    /// Makes it what keeps to both: the same rule may say another one in an earlier policy.
    fn keep_to(&mut self, other: &Self) {
        self.rate = match (self.rate, other.rate) {
            // So few in so long a span are few enough for either.
            (Some(one), Some(other)) => Some(Rate {
                starts: one.starts.min(other.starts),
                within: one.within.max(other.within),
            }),
            (one, other) => one.or(other),
        };
        self.concurrent = least(self.concurrent, other.concurrent);
    }
}

/// Everything that a command is kept to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// What it may use.
    pub limits: Limits,
    /// What it counts towards; of each rule once.
    pub quotas: Vec<Quota>,
}

impl Bounds {
    /// What the commands of `rule` are kept to, of which it says `said` itself and leaves the rest to `usual`.
    #[must_use]
    pub(crate) fn or(said: Option<Arc<Self>>, usual: &Arc<Self>, rule: &RuleId) -> Arc<Self> {
        let Some(said) = said else {
            if usual.quotas.is_empty() {
                return Arc::clone(usual);
            }
            let mut own = Self::clone(usual);
            own.quotas.iter_mut().for_each(|quota| quota.rule = rule.clone());
            return Arc::new(own);
        };
        let counted = |quota: &Quota| (quota.rate, quota.concurrent);
        let (rate, concurrent) = said.quotas.first().map(counted).unwrap_or_default();
        let (usual_rate, usually) = usual.quotas.first().map(counted).unwrap_or_default();
        let quota = Quota {
            rule: rule.clone(),
            rate: rate.or(usual_rate),
            concurrent: concurrent.or(usually),
        };
        let counts = quota.rate.is_some() || quota.concurrent.is_some();
        let quotas = counts.then_some(quota).into_iter().collect();
        Arc::new(Self { limits: said.limits.or(usual.limits), quotas })
    }

    /// What keeps to both. Shared where one of them says it all.
    #[must_use]
    pub fn both(one: Option<Arc<Self>>, other: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let (one, other) = match (one, other) {
            (Some(one), Some(other)) => (one, other),
            (found, None) => return found,
            (None, found) => return found.cloned(),
        };
        if one == *other {
            return Some(one);
        }
        let mut both = Self::clone(&one);
        both.limits = both.limits.both(other.limits);
        for quota in &other.quotas {
            match both.quotas.iter_mut().find(|known| known.rule == quota.rule) {
                Some(known) => known.keep_to(quota),
                None => both.quotas.push(quota.clone()),
            }
        }
        Some(Arc::new(both))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_shown_as_it_is_written() {
        let rate = |starts, ms| Rate { starts, within: Duration::from_millis(ms) }.to_string();
        assert_eq!(rate(10, 60_000), "10/1m");
        assert_eq!(rate(1, 5_430_000), "1/1h30m30s");
        assert_eq!(rate(3, 1_500), "3/1s500ms");
        assert_eq!(rate(7, 86_400_000), "7/1d");
    }

    #[test]
    fn what_keeps_to_both_is_the_smaller_of_each_limit_and_every_quota_once() {
        let rule = |line| crate::rule::rule_id(&"p.yaml".into(), line, 1, line, "");
        let quota = |line| Quota { rule: rule(line), rate: None, concurrent: Some(line) };
        let bounds = |memory, pids, quotas: &[u32]| {
            let limits = Limits { memory, pids, ..Limits::default() };
            Arc::new(Bounds { limits, quotas: quotas.iter().map(|&line| quota(line)).collect() })
        };
        let (one, other) = (bounds(Some(9), None, &[1, 2]), bounds(Some(5), Some(3), &[2, 3]));
        let both = Bounds::both(Some(Arc::clone(&one)), Some(&other)).unwrap();
        assert_eq!(*both, *bounds(Some(5), Some(3), &[1, 2, 3]));
        assert_eq!(Bounds::both(None, Some(&one)), Some(Arc::clone(&one)));
        assert_eq!(Bounds::both(Some(Arc::clone(&one)), None), Some(one));
        assert_eq!(Bounds::both(None, None), None);
    }

    #[test]
    fn a_rule_that_says_two_quotas_is_kept_to_both() {
        let rule = crate::rule::rule_id(&"p.yaml".into(), 1, 1, 1, "");
        let bounds = |starts, secs, concurrent| {
            let rate = Rate { starts, within: Duration::from_secs(secs) };
            let quota = Quota { rule: rule.clone(), rate: Some(rate), concurrent };
            Arc::new(Bounds { limits: Limits::default(), quotas: vec![quota] })
        };
        let both = Bounds::both(Some(bounds(10, 60, Some(3))), Some(&bounds(99, 3_600, Some(2))));
        assert_eq!(both, Some(bounds(10, 3_600, Some(2))));
        let both = Bounds::both(Some(bounds(5, 60, None)), Some(&bounds(9, 60, Some(2))));
        assert_eq!(both, Some(bounds(5, 60, Some(2))));
    }
}
