//! The ring of events, and what is known of what they are about.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use serde_json::json;

/// Events that are kept for who comes back or reads slowly.
pub const MAX_EVENTS: usize = 4096;

/// Bytes of kept events.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Requests and entries whose jails are known.
pub(super) const MAX_KNOWN: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Ring {
    /// Names the time since when every event is kept. Numbers of another one say nothing.
    pub(super) epoch: u64,
    /// The number of the first that is kept.
    pub(super) first: u64,
    pub(super) events: VecDeque<Kept>,
    pub(super) bytes: usize,
    pub(super) last_left: Option<Instant>,
    /// The number of the first event since which none is left out; `None` while some are.
    pub(super) whole_from: Option<u64>,
    /// When the last listener went who wanted all of it.
    pub(super) whole_left: Option<Instant>,
    /// Requests that somebody let run, and that have not ended.
    pub(super) asked: HashSet<String>,
    pub(super) jails: HashMap<String, String>,
    pub(super) known: VecDeque<String>,
}

pub(super) struct Kept {
    /// `None`: it is about all jails.
    pub(super) about: About,
    pub(super) frame: String,
    /// What who is bounded to some jails is told instead, where that is less.
    pub(super) bounded: Option<String>,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.frame.len() + self.bounded.as_ref().map_or(0, String::len)
    }
}

/// Whom an event is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    Everybody,
    Jail(String),
    /// Only for who is bounded to no jails.
    Unknown,
}

impl Ring {
    /// The number of the next event.
    pub(super) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The number at which who heard `last` goes on, if everything since is kept.
    pub(super) fn behind(&self, last: &str) -> Option<u64> {
        let (epoch, number) = last.split_once('-')?;
        let number: u64 = number.parse().ok()?;
        let same = u64::from_str_radix(epoch, 16).ok()? == self.epoch;
        (same && (self.first..=self.end()).contains(&number)).then_some(number)
    }

    pub(super) fn push(&mut self, kept: Kept) {
        self.bytes += kept.bytes();
        self.events.push_back(kept);
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(gone) = self.events.pop_front() else { break };
            self.bytes -= gone.bytes();
            self.first += 1;
        }
    }

    pub(super) fn forget(&mut self) {
        self.first = self.end();
        self.events = VecDeque::new();
        self.bytes = 0;
        self.jails = HashMap::new();
        self.known = VecDeque::new();
        self.whole_from = None;
        self.asked = HashSet::new();
    }

    pub(super) fn note_asked(&mut self, id: String) {
        // So many at once are not under way; what is beyond them has ended without being told.
        if self.asked.len() >= MAX_KNOWN {
            self.asked.clear();
        }
        self.asked.insert(id);
    }

    pub(super) fn know(&mut self, id: String, jail: &str) {
        if self.jails.insert(id.clone(), jail.to_owned()).is_none() {
            self.known.push_back(id);
        }
        while self.jails.len() > MAX_KNOWN {
            let Some(oldest) = self.known.pop_front() else { break };
            self.jails.remove(&oldest);
        }
        if self.known.len() > 2 * MAX_KNOWN {
            let jails = &self.jails;
            self.known.retain(|id| jails.contains_key(id));
        }
    }

    /// What is over makes room for what is open.
    pub(super) fn forget_one(&mut self, id: &str) {
        self.asked.remove(id);
        self.jails.remove(id);
    }

    pub(super) fn about(&self, id: &str) -> About {
        self.jails.get(id).map_or(About::Unknown, |jail| About::Jail(jail.clone()))
    }

    pub(super) fn reset(&self, why: &str) -> String {
        let data = json!({ "why": why });
        format!("id: {:x}-{}\nevent: reset\ndata: {data}\n\n", self.epoch, self.end())
    }
}
