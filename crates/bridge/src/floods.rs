//! What is too much for one place at once: it is told in one message.

use std::collections::{HashMap, VecDeque};

use serde::Deserialize;

/// How many messages a place gets, and in what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flood {
    /// So many messages of their own.
    pub posts: usize,
    /// In so many seconds. What comes beyond that is folded into a digest until so long nothing comes.
    pub seconds: u64,
}

impl Default for Flood {
    fn default() -> Self {
        Self { posts: 10, seconds: 60 }
    }
}

/// What came lately.
#[derive(Debug, Default)]
pub(crate) struct Floods {
    flood: Flood,
    came: HashMap<String, VecDeque<u64>>,
}

impl Floods {
    pub(crate) fn new(flood: Flood) -> Self {
        Self { flood, came: HashMap::new() }
    }

    /// Something is to be told at a place; whether it is one of too many.
    pub(crate) fn is_one(&mut self, place: &str, now_ms: u64) -> bool {
        let Flood { posts, seconds } = self.flood;
        let came = self.came.entry(place.to_owned()).or_default();
        let old = |at: &u64| now_ms.saturating_sub(*at) > seconds * 1_000;
        while came.front().is_some_and(old) {
            came.pop_front();
        }
        let is_one = came.len() >= posts;
        // Those that are folded keep it a flood, and no more of them are counted than that takes.
        came.push_back(now_ms);
        if came.len() > posts {
            came.pop_front();
        }
        is_one
    }

    /// Whether a digest that last grew then is complete.
    pub(crate) fn is_over(&self, grown_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(grown_ms) > self.flood.seconds * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_folded_until_it_is_calm() {
        let mut floods = Floods::new(Flood { posts: 3, seconds: 60 });
        let mut at = |ms| floods.is_one("C1", ms);
        assert_eq!([at(0), at(1), at(2), at(3), at(50_000)], [false, false, false, true, true]);
        // The last three were folded or nearly so, and are still within the time.
        assert!(!at(60_004), "only two came in the last minute");
        assert!(!at(200_000) && !floods.is_one("C2", 3));
    }
}
