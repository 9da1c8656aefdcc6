//! One-time codes that bind a user of a chat to a person. Of a code a hash is kept, in memory only: a restart makes all of
//! them worth nothing, and so does the end of the token or session that made it. Who guesses is locked out, and all
//! guesses together are few.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clawrden_api::{
    ChatService, ChatUser, ErrorCode, PairRequest, PairedUser, PairingCode, RedeemRequest,
};

use super::super::actor::Actor;
use super::super::backend::{AccessChange, Backend};
use super::super::reply::Failure;
use super::{Access, no_random, secret};
use crate::approvals::Now;

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
    /// The token and the session by which whoever made it came.
    token: Option<String>,
    session: Option<String>,
    /// Over when either clock says so: a step of the one that people read prolongs nothing, nor does the machine's sleep.
    until: Now,
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
        "this code is none: it was used, is older than 10 minutes, was made by who is logged out by now, or never; {0} \
         more wrong ones and none is looked at for a while"
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
    /// Makes one, which is worth nothing before it is kept. Gives what the person says as well.
    fn draft(
        actor: &Actor,
        person: &str,
        service: Option<ChatService>,
    ) -> io::Result<(Offer, String)> {
        let mut code = String::with_capacity(LENGTH);
        for byte in secret::random::<LENGTH>()? {
            code.push(char::from(LETTERS[usize::from(byte % 32)]));
        }
        let offer = Offer {
            hash: secret::hash(&code),
            person: person.to_owned(),
            service,
            by: actor.who.clone(),
            token: actor.token.clone(),
            session: actor.session.clone(),
            until: Now::read().after(CODE_LIFE),
        };
        code.insert(LENGTH / 2, '-');
        Ok((offer, code))
    }

    fn keep(&self, offer: Offer) {
        let mut state = self.state();
        state.forget(Now::read());
        if state.offers.len() >= MAX_CODES {
            state.offers.remove(0);
        }
        state.offers.push(offer);
    }

    /// Takes the code of a user, which is worth nothing from here on. `holds` tells whether what made a code still opens.
    fn take(
        &self,
        code: &str,
        user: &ChatUser,
        at: Now,
        holds: impl Fn(&Offer) -> bool,
    ) -> Result<Offer, NoCode> {
        let now = at.instant;
        let mut state = self.state();
        state.forget(at);
        state.offers.retain(holds);
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
    fn forget(&mut self, at: Now) {
        let now = at.instant;
        self.offers.retain(|offer| !offer.until.has_passed(at));
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
        let drafted = Codes::draft(actor, &person, service);
        let (offer, code) = drafted.map_err(|error| no_random(&error))?;
        let expires_ms = offer.until.ms;
        let (by, of) = (offer.by.clone(), person.clone());
        backend.access_changed(AccessChange::CodeMade { person: of, service, expires_ms, by })?;
        self.codes.keep(offer);
        Ok(PairingCode { code, person, service, expires_ms })
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
        let now = Now::read();
        let holds = |offer: &Offer| self.opens(offer.token.as_deref(), offer.session.as_deref());
        let offer = self.codes.take(&request.code, user, now, holds).map_err(|why| {
            if let Some(note) = self.chats.note(now.instant) {
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

    fn offer(codes: &Codes, person: &str, service: Option<ChatService>) -> String {
        let who = "root".to_owned();
        let (offer, code) = Codes::draft(&Actor { who, ..actor() }, person, service).unwrap();
        codes.keep(offer);
        code
    }

    fn actor() -> Actor {
        Actor {
            who: String::new(),
            channel: "api",
            from: None,
            role: clawrden_api::Role::Admin,
            scope: clawrden_api::Scope::default(),
            peer: None,
            session: None,
            token: None,
            doors: crate::people::Doors::default(),
            speaks_for: None,
        }
    }

    fn take(codes: &Codes, code: &str, user: &ChatUser, now: Now) -> Result<Offer, NoCode> {
        codes.take(code, user, now, |_| true)
    }

    fn user(id: &str) -> ChatUser {
        ChatUser::new(ChatService::Slack, format!("T1/{id}")).unwrap()
    }

    #[test]
    fn a_code_is_used_once_however_it_is_written() {
        let codes = Codes::default();
        let code = offer(&codes, "alice", None);
        assert_eq!(code.len(), LENGTH + 1);
        let now = Now::read();
        let written =
            format!(" {} ", code.to_ascii_lowercase().replace('0', "o").replace('1', "l"));
        let offer = take(&codes, &written, &user("U1"), now).unwrap();
        assert_eq!((&*offer.person, &*offer.by), ("alice", "root"));
        assert!(take(&codes, &code, &user("U1"), now).is_err(), "it was used");
        codes.give_back(offer);
        assert!(take(&codes, &code, &user("U1"), now).is_ok());
    }

    #[test]
    fn a_code_runs_out_by_either_clock_and_a_step_back_prolongs_nothing() {
        let (codes, minute) = (Codes::default(), Duration::from_secs(60));
        let code = offer(&codes, "alice", None);
        let now = Now::read();
        let slept = Now { ms: now.after(CODE_LIFE + minute).ms, ..now };
        assert_eq!(take(&codes, &code, &user("U1"), slept).unwrap_err(), NoCode::Wrong(4));
        let code = offer(&codes, "alice", None);
        let set_back = Now { ms: now.ms - 3_600_000, ..now.after(CODE_LIFE + minute) };
        assert_eq!(take(&codes, &code, &user("U1"), set_back).unwrap_err(), NoCode::Wrong(3));
        let code = offer(&codes, "alice", None);
        let in_time = Now { ms: now.ms - 3_600_000, ..now.after(CODE_LIFE - minute) };
        assert!(take(&codes, &code, &user("U1"), in_time).is_ok());
    }

    #[test]
    fn a_code_runs_out_and_is_for_one_service() {
        let codes = Codes::default();
        let telegram = offer(&codes, "alice", Some(ChatService::Telegram));
        let now = Now::read();
        assert_eq!(take(&codes, &telegram, &user("U1"), now).unwrap_err(), NoCode::Wrong(4));
        let other = ChatUser::new(ChatService::Telegram, "5").unwrap();
        assert!(take(&codes, &telegram, &other, now.after(CODE_LIFE)).is_err());
        let code = offer(&codes, "alice", None);
        assert!(take(&codes, &code, &other, now).is_ok());
        for _ in 0..2 * MAX_CODES {
            offer(&codes, "alice", None);
        }
        assert_eq!(codes.state().offers.len(), MAX_CODES);
    }

    #[test]
    fn who_guesses_is_locked_out_and_all_guesses_are_few() {
        let codes = Codes::default();
        let code = offer(&codes, "alice", None);
        let now = Now::read();
        for left in (1..MAX_WRONG).rev() {
            assert_eq!(take(&codes, "AAAA", &user("U1"), now).unwrap_err(), NoCode::Wrong(left));
        }
        for guess in ["AAAA", &code] {
            assert_eq!(take(&codes, guess, &user("U1"), now).unwrap_err(), NoCode::Locked);
        }
        let mut tries = MAX_WRONG;
        let mut last = NoCode::Locked;
        for n in 0..MAX_WRONG_IN_ALL {
            last = take(&codes, "AAAA", &user(&format!("V{n}")), now).unwrap_err();
            tries += u32::from(last != NoCode::TooMany);
        }
        assert_eq!((tries, last), (MAX_WRONG_IN_ALL, NoCode::TooMany));
        assert_eq!(take(&codes, &code, &user("W"), now).unwrap_err(), NoCode::TooMany);
        let later = now.after(Duration::from_secs(61));
        assert_eq!(take(&codes, &code, &user("U1"), later).unwrap_err(), NoCode::Locked);
        assert!(take(&codes, &code, &user("W"), later).is_ok());
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
