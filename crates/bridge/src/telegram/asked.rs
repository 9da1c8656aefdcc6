//! Who was asked for a reason lately: anybody in a chat can tap, and nobody may fill it with questions.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Questions of one user in [`LATELY`].
pub(super) const MAX_OF_ONE: usize = 5;

/// Questions of all in [`LATELY`]. Telegram takes some 20 messages a minute for a group.
pub(super) const MAX: usize = 15;

/// For how long a question counts.
pub(super) const LATELY: Duration = Duration::from_secs(60);

/// Questions that were put lately.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<VecDeque<Question>>);

#[derive(Debug)]
struct Question {
    at: Instant,
    user: String,
    /// What is asked of the user: place, answer and request.
    what: String,
}

/// Why somebody is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotAsked {
    /// They were, just that.
    Already,
    /// Too much was asked.
    TooMany,
}

impl Asked {
    /// Notes that somebody is asked something at this moment, where they may be.
    pub(super) fn note(&self, now: Instant, user: &str, what: &str) -> Result<(), NotAsked> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|question| now.duration_since(question.at) < LATELY);
        if all.iter().any(|question| question.user == user && question.what == what) {
            return Err(NotAsked::Already);
        }
        let of_them = all.iter().filter(|question| question.user == user).count();
        if of_them >= MAX_OF_ONE || all.len() >= MAX {
            return Err(NotAsked::TooMany);
        }
        all.push_back(Question { at: now, user: user.to_owned(), what: what.to_owned() });
        Ok(())
    }

    /// Forgets a question that could not be put.
    pub(super) fn forget(&self, user: &str, what: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|question| question.user != user || question.what != what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_the_same_twice_or_too_much() {
        let (asked, now) = (Asked::default(), Instant::now());
        assert_eq!(asked.note(now, "1", "a"), Ok(()));
        assert_eq!(asked.note(now, "1", "a"), Err(NotAsked::Already));
        assert_eq!(asked.note(now, "2", "a"), Ok(()), "another person is another question");
        for what in ["b", "c", "d", "e"] {
            assert_eq!(asked.note(now, "1", what), Ok(()));
        }
        assert_eq!(asked.note(now, "1", "f"), Err(NotAsked::TooMany));
        asked.forget("1", "e");
        assert_eq!(asked.note(now, "1", "f"), Ok(()));
        let taken = (3..100).filter(|n: &u32| asked.note(now, &n.to_string(), "a").is_ok()).count();
        assert_eq!(taken, MAX - MAX_OF_ONE - 1);
        assert_eq!(asked.note(now + LATELY, "1", "a"), Ok(()));
    }
}
