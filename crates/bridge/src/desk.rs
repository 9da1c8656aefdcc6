//! Whose turn it is: what people want waits here until there is a seat for it. Nobody takes all seats, and what stops or
//! lets go is done one after the other, as it was said.

use std::collections::{HashMap, VecDeque};

use crate::heard::Heard;

/// What is done at once, of all and of one person, besides what stops or lets go.
const MAX_AT_ONCE: usize = 32;
const MAX_OF_ONE: usize = 4;

/// What waits of one person; and of what stops or lets go. What is more is refused.
const MAX_WAITING_OF_ONE: usize = 32;
const MAX_SWITCHES_OF_ONE: usize = 4;

/// What waits in all. While there is so much, no more is heard.
const MAX_WAITING: usize = 512;

/// What becomes of something that was heard.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It has its turn.
    Waits,
    /// Whoever said it has said too much at once.
    TooMuch(Box<Heard>),
}

/// What is held while something is done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// One of many, of this person.
    Of(String),
    /// The one for what stops or lets go.
    Switch,
}

/// What waits, and who has seats.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// What people want, each in the order in which they said it.
    waiting: HashMap<String, VecDeque<Heard>>,
    /// Those of whom something waits: whose turn it is stands in front.
    turn: VecDeque<String>,
    /// What stops or lets go, in the order in which it was said.
    switches: VecDeque<Heard>,
    seats: HashMap<String, usize>,
    taken: usize,
    is_switching: bool,
}

impl Desk {
    /// Whether more may wait.
    pub(crate) fn has_room(&self) -> bool {
        let waiting: usize = self.waiting.values().map(VecDeque::len).sum();
        waiting + self.switches.len() < MAX_WAITING
    }

    /// Takes up something that was heard.
    pub(crate) fn take(&mut self, heard: Heard) -> Came {
        let user = &heard.user;
        if heard.wants.is_switch() {
            let of_one = self.switches.iter().filter(|other| other.user == *user).count();
            if of_one >= MAX_SWITCHES_OF_ONE {
                return Came::TooMuch(Box::new(heard));
            }
            self.switches.push_back(heard);
            return Came::Waits;
        }
        let waiting = self.waiting.entry(user.clone()).or_default();
        if waiting.len() >= MAX_WAITING_OF_ONE {
            return Came::TooMuch(Box::new(heard));
        }
        if waiting.is_empty() {
            self.turn.push_back(user.clone());
        }
        waiting.push_back(heard);
        Came::Waits
    }

    /// What is to be done next, if there is a seat for it.
    pub(crate) fn next(&mut self) -> Option<(Seat, Heard)> {
        if !self.is_switching
            && let Some(heard) = self.switches.pop_front()
        {
            self.is_switching = true;
            return Some((Seat::Switch, heard));
        }
        if self.taken >= MAX_AT_ONCE {
            return None;
        }
        for _ in 0..self.turn.len() {
            let user = self.turn.pop_front()?;
            let seats = self.seats.get(&user).copied().unwrap_or_default();
            let waiting = self.waiting.get_mut(&user);
            let heard = waiting.filter(|_| seats < MAX_OF_ONE).and_then(VecDeque::pop_front);
            if self.waiting.get(&user).is_some_and(|waiting| !waiting.is_empty()) {
                self.turn.push_back(user.clone());
            } else {
                self.waiting.remove(&user);
            }
            if let Some(heard) = heard {
                self.seats.insert(user.clone(), seats + 1);
                self.taken += 1;
                return Some((Seat::Of(user), heard));
            }
        }
        None
    }

    /// It is done.
    pub(crate) fn free(&mut self, seat: Seat) {
        let Seat::Of(user) = seat else {
            self.is_switching = false;
            return;
        };
        self.taken = self.taken.saturating_sub(1);
        match self.seats.remove(&user) {
            Some(seats) if seats > 1 => drop(self.seats.insert(user, seats - 1)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heard::Wants;
    use crate::testing;

    fn tap(user: &str, number: usize) -> Heard {
        testing::tap(user, &format!("{user}-{number}"))
    }

    fn said(user: &str, words: &str) -> Heard {
        let all = words.split_whitespace().map(str::to_owned).collect();
        Heard { wants: Wants::Command(all), ..testing::tap(user, words) }
    }

    fn keys(desk: &mut Desk) -> Vec<String> {
        std::iter::from_fn(|| desk.next()).map(|(_, heard)| heard.key).collect()
    }

    #[test]
    fn nobody_takes_all_seats_and_who_waits_has_their_turn() {
        let mut desk = Desk::default();
        for number in 0..MAX_WAITING_OF_ONE {
            assert_eq!(desk.take(tap("mallory", number)), Came::Waits);
        }
        assert!(matches!(desk.take(tap("mallory", 99)), Came::TooMuch(_)));
        assert_eq!(desk.take(tap("alice", 0)), Came::Waits);
        let first = keys(&mut desk);
        assert_eq!(first.len(), MAX_OF_ONE + 1, "{first:?}");
        assert!(first.contains(&"alice-0".to_owned()), "{first:?}");
        desk.free(Seat::Of("mallory".into()));
        assert_eq!(keys(&mut desk), ["mallory-4"], "in the order in which it was said");
        assert_eq!(desk.take(tap("mallory", 99)), Came::Waits);
    }

    #[test]
    fn what_waits_and_what_is_done_is_bounded() {
        let mut desk = Desk::default();
        let mut number = 0;
        while desk.has_room() {
            desk.take(tap(&format!("user{}", number % 64), number));
            number += 1;
        }
        assert_eq!(number, MAX_WAITING);
        assert_eq!(keys(&mut desk).len(), MAX_AT_ONCE);
        desk.take(said("alice", "kill"));
        assert_eq!(keys(&mut desk), ["kill"], "there is always a seat for it");
    }

    #[test]
    fn what_stops_and_lets_go_is_done_one_after_the_other() {
        let mut desk = Desk::default();
        for words in ["kill", "resume", "Kill web"] {
            assert_eq!(desk.take(said("alice", words)), Came::Waits);
        }
        assert_eq!(desk.take(said("bob", "status")), Came::Waits);
        assert_eq!(keys(&mut desk), ["kill", "status"]);
        desk.free(Seat::Switch);
        assert_eq!(keys(&mut desk), ["resume"]);
        desk.free(Seat::Switch);
        assert_eq!(keys(&mut desk), ["Kill web"]);
        for words in ["kill 1", "kill 2", "kill 3", "kill 4"] {
            assert_eq!(desk.take(said("mallory", words)), Came::Waits);
        }
        assert!(matches!(desk.take(said("mallory", "kill 5")), Came::TooMuch(_)));
        assert_eq!(desk.take(said("alice", "kill now")), Came::Waits);
    }
}
