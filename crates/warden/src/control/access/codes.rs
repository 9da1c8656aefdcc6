//! One-time codes that bind a user of a chat to a person. Of a code a hash is kept, in memory only: a restart makes all of
//! them worth nothing. Who guesses is locked out, and all guesses together are few.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clawrden_api::{
    ChatService, ChatUser, ErrorCode, PairRequest, PairedUser, PairingCode, RedeemRequest,
};

use super::super::actor::Actor;
use super::super::backend::Backend;
use super::super::reply::Failure;
use super::{Access, no_random, now_ms, secret};

/// How long a code can be used.
pub const CODE_LIFE: Duration = Duration::from_secs(10 * 60);

/// Codes that can be used at once. For a further one the oldest is worth nothing.
pub const MAX_CODES: usize = 64;

/// Wrong codes of one user within [`LOCKED`], after which none of theirs is looked at.
pub const MAX_WRONG: u32 = 5;

/// How long wrong codes of a user count.
pub const LOCKED: Duration = Duration::from_secs(15 * 60);

/// Wrong codes of all users within a minute, after which none of anybody's is looked at.
pub const MAX_WRONG_IN_ALL: u32 = 60;

/// Users whose wrong codes are counted. For a further one the one whose count began first is forgotten.
const MAX_USERS: usize = 1024;

/// Characters of a code: 50 random bits.
const LENGTH: usize = 10;

/// What a code is made of: no two of these are taken for each other.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The codes that can be used.
#[derive(Debug, Default)]
pub(super) struct Codes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    offers: Vec<Offer>,
    wrong: HashMap<ChatUser, Counted>,
    all: Option<Counted>,
}

/// A code that can be used, without the code.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    hash: [u8; 32],
    person: String,
    service: Option<ChatService>,
    by: String,
    made: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    count: u32,
    first: Instant,
}

impl Counted {
    fn is_over(self, now: Instant, window: Duration) -> bool {
        now.saturating_duration_since(self.first) >= window
    }
}

/// Why a code binds nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum NoCode {
    #[error(
        "this code is none: it was used, is older than 10 minutes, or was never made; {0} more wrong ones and none is \
         looked at for a while"
    )]
    Wrong(u32),
    #[error(
        "{MAX_WRONG} wrong codes came from this user; wait 15 minutes, and ask for another code"
    )]
    Locked,
    #[error("too many wrong codes came within a minute; wait one")]
    TooMany,
}

impl Codes {
    /// Makes one. Gives what the person says.
    fn offer(&self, person: &str, service: Option<ChatService>, by: &str) -> io::Result<String> {
        let made = Instant::now();
        let mut code = String::with_capacity(LENGTH);
        for byte in secret::random::<LENGTH>()? {
            code.push(char::from(LETTERS[usize::from(byte % 32)]));
        }
        let (person, by) = (person.to_owned(), by.to_owned());
        let offer = Offer { hash: secret::hash(&code), person, service, by, made };
        let mut state = self.state();
        state.forget(made);
        if state.offers.len() >= MAX_CODES {
            state.offers.remove(0);
        }
        state.offers.push(offer);
        code.insert(LENGTH / 2, '-');
        Ok(code)
    }

    /// Takes the code of a user, which is worth nothing from here on.
    fn take(&self, code: &str, user: &ChatUser, now: Instant) -> Result<Offer, NoCode> {
        let mut state = self.state();
        state.forget(now);
        if state.wrong.get(user).is_some_and(|wrong| wrong.count >= MAX_WRONG) {
            return Err(NoCode::Locked);
        }
        if state.all.is_some_and(|all| all.count >= MAX_WRONG_IN_ALL) {
            return Err(NoCode::TooMany);
        }
        let code = plain(code);
        let fits = |offer: &Offer| {
            secret::fits(&code, &offer.hash)
                && offer.service.is_none_or(|service| service == user.service())
        };
        match state.offers.iter().position(fits) {
            Some(at) => Ok(state.offers.remove(at)),
            None => Err(state.is_wrong(user, now)),
        }
    }

    /// A code that was taken and has bound nobody.
    fn give_back(&self, offer: Offer) {
        self.state().offers.push(offer);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        self.offers.retain(|offer| now.saturating_duration_since(offer.made) < CODE_LIFE);
        self.wrong.retain(|_, wrong| !wrong.is_over(now, LOCKED));
        self.all = self.all.filter(|all| !all.is_over(now, Duration::from_secs(60)));
    }

    fn is_wrong(&mut self, user: &ChatUser, now: Instant) -> NoCode {
        let none = Counted { count: 0, first: now };
        self.all.get_or_insert(none).count += 1;
        if self.wrong.len() >= MAX_USERS && !self.wrong.contains_key(user) {
            let oldest = self.wrong.iter().min_by_key(|(_, wrong)| wrong.first);
            if let Some(oldest) = oldest.map(|(user, _)| user.clone()) {
                self.wrong.remove(&oldest);
            }
        }
        let wrong = self.wrong.entry(user.clone()).or_insert(none);
        wrong.count += 1;
        match MAX_WRONG.saturating_sub(wrong.count) {
            0 => NoCode::Locked,
            left => NoCode::Wrong(left),
        }
    }
}

/// A code as it was made, of how people write it.
fn plain(code: &str) -> String {
    let letters = code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(LENGTH + 1);
    letters
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        })
        .collect()
}

impl Access {
    /// `POST /api/pairings`.
    pub(in super::super) fn pair(
        &self,
        actor: &Actor,
        request: PairRequest,
        backend: &dyn Backend,
    ) -> Result<PairingCode, Failure> {
        let PairRequest { person, service } = request;
        backend.may_pair(&person)?;
        let code = self.codes.offer(&person, service, &actor.who);
        let code = code.map_err(|error| no_random(&error))?;
        let life = u64::try_from(CODE_LIFE.as_millis()).unwrap_or(u64::MAX);
        Ok(PairingCode { code, person, service, expires_ms: now_ms().saturating_add(life) })
    }

    /// `POST /api/pairings/redeem`. A code is used up only by what it has bound.
    pub(in super::super) fn redeem(
        &self,
        actor: &Actor,
        request: &RedeemRequest,
        backend: &dyn Backend,
    ) -> Result<PairedUser, Failure> {
        let Some(user) = &actor.doors.chat else {
            let text = "a code is redeemed by a bridge, for a user of its chat: say it there";
            return Err(Failure::new(ErrorCode::Forbidden, text));
        };
        let now = Instant::now();
        let offer = self.codes.take(&request.code, user, now).map_err(|why| {
            if let Some(note) = self.chats.note(now) {
                let asked = "POST /api/pairings/redeem";
                backend.refused_at(&actor.who, asked, &format!("{why}{note}"));
            }
            let code = match why {
                NoCode::Wrong(_) => ErrorCode::NotFound,
                NoCode::Locked | NoCode::TooMany => ErrorCode::TooMany,
            };
            Failure::new(code, why.to_string())
        })?;
        let bound = backend.bind(&offer.person, user, &offer.by);
        if bound.is_err() {
            self.codes.give_back(offer);
        }
        Ok(bound?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> ChatUser {
        ChatUser::new(ChatService::Slack, id).unwrap()
    }

    #[test]
    fn a_code_is_used_once_however_it_is_written() {
        let codes = Codes::default();
        let code = codes.offer("alice", None, "root").unwrap();
        assert_eq!(code.len(), LENGTH + 1);
        let now = Instant::now();
        let written =
            format!(" {} ", code.to_ascii_lowercase().replace('0', "o").replace('1', "l"));
        let offer = codes.take(&written, &user("U1"), now).unwrap();
        assert_eq!((&*offer.person, &*offer.by), ("alice", "root"));
        assert!(codes.take(&code, &user("U1"), now).is_err(), "it was used");
        codes.give_back(offer);
        assert!(codes.take(&code, &user("U1"), now).is_ok());
    }

    #[test]
    fn a_code_runs_out_and_is_for_one_service() {
        let codes = Codes::default();
        let telegram = codes.offer("alice", Some(ChatService::Telegram), "root").unwrap();
        let now = Instant::now();
        assert_eq!(codes.take(&telegram, &user("U1"), now).unwrap_err(), NoCode::Wrong(4));
        let other = ChatUser::new(ChatService::Telegram, "5").unwrap();
        assert!(codes.take(&telegram, &other, now + CODE_LIFE).is_err());
        let code = codes.offer("alice", None, "root").unwrap();
        assert!(codes.take(&code, &other, now).is_ok());
        for _ in 0..2 * MAX_CODES {
            codes.offer("alice", None, "root").unwrap();
        }
        assert_eq!(codes.state().offers.len(), MAX_CODES);
    }

    #[test]
    fn who_guesses_is_locked_out_and_all_guesses_are_few() {
        let codes = Codes::default();
        let code = codes.offer("alice", None, "root").unwrap();
        let now = Instant::now();
        for left in (1..MAX_WRONG).rev() {
            assert_eq!(codes.take("AAAA", &user("U1"), now).unwrap_err(), NoCode::Wrong(left));
        }
        for guess in ["AAAA", &code] {
            assert_eq!(codes.take(guess, &user("U1"), now).unwrap_err(), NoCode::Locked);
        }
        let mut tries = MAX_WRONG;
        let mut last = NoCode::Locked;
        for n in 0..MAX_WRONG_IN_ALL {
            last = codes.take("AAAA", &user(&format!("V{n}")), now).unwrap_err();
            tries += u32::from(last != NoCode::TooMany);
        }
        assert_eq!((tries, last), (MAX_WRONG_IN_ALL, NoCode::TooMany));
        assert_eq!(codes.take(&code, &user("W"), now).unwrap_err(), NoCode::TooMany);
        let later = now + Duration::from_secs(61);
        assert_eq!(codes.take(&code, &user("U1"), later).unwrap_err(), NoCode::Locked);
        assert!(codes.take(&code, &user("W"), later).is_ok());
    }

    #[test]
    fn users_whose_guesses_are_counted_are_bounded() {
        let codes = Codes::default();
        let now = Instant::now();
        for n in 0..MAX_USERS + 9 {
            let at = now + Duration::from_secs(2) * u32::try_from(n).unwrap() / 10;
            let _ = codes.state().is_wrong(&user(&n.to_string()), at);
        }
        assert_eq!(codes.state().wrong.len(), MAX_USERS);
    }
}
