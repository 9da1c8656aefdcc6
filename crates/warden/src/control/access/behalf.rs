//! For whom a bridge asks. It decides nothing by itself: whatever it changes, it changes for a user of its chat, of whom it
//! says who it is; the warden knows whose that user is. Nobody but a bridge speaks for others.

use std::time::Instant;

use axum::http::Method;
use axum::http::request::Parts;
use clawrden_api::{ChatUser, ErrorCode, ON_BEHALF};

use super::super::actor::Actor;
use super::super::backend::Backend;
use super::super::paths::REDEEM;
use super::super::reply::Failure;
use super::super::values::shown;
use super::{Access, only_reads};
use crate::people::Doors;

impl Access {
    /// Who asks, once it is known for whom. May write a file.
    pub(in super::super) fn on_behalf(
        &self,
        actor: Actor,
        parts: &Parts,
        backend: &dyn Backend,
    ) -> Result<Actor, Failure> {
        let asked = format!("{} {}", parts.method, shown(parts.uri.path()));
        let refuse = |code, who: &str, why: String| {
            if let Some(note) = self.chats.note(Instant::now()) {
                backend.refused_at(who, &asked, &format!("{why}{note}"));
            }
            Err(Failure::new(code, why))
        };
        let mut given = parts.headers.get_all(ON_BEHALF).iter();
        let (first, more) = (given.next(), given.next());
        let (service, given) = match (actor.speaks_for, first) {
            (None, None) => return Ok(actor),
            (None, Some(_)) => {
                let why = format!(
                    "{} is no bridge and speaks for itself alone: leave `{ON_BEHALF}` out, or make a token with \
                     --speaks-for",
                    actor.who
                );
                return refuse(ErrorCode::Forbidden, &actor.who, why);
            }
            (Some(_), None) if only_reads(&parts.method) => return Ok(actor),
            (Some(service), None) => {
                let why = format!(
                    "{} is a bridge, and changes nothing but for a user of {service}; say who it is by \
                     `{ON_BEHALF}: {service}:ID`",
                    actor.who
                );
                return refuse(ErrorCode::Forbidden, &actor.who, why);
            }
            (Some(service), Some(given)) => (service, given),
        };
        let user = given.to_str().map_err(|_| "it is no ASCII".to_owned());
        let user = user.and_then(str::parse::<ChatUser>).and_then(|user| match more {
            None => Ok(user),
            Some(_) => Err("give it once".to_owned()),
        });
        let user = match user {
            Ok(user) => user,
            Err(why) => {
                return Err(Failure::new(ErrorCode::BadRequest, format!("{ON_BEHALF}: {why}")));
            }
        };
        if user.service() != service {
            let why = format!("{} speaks for users of {service}, and {user} is none", actor.who);
            return refuse(ErrorCode::Forbidden, &actor.who, why);
        }
        let Some(person) = backend.person_of(&user) else {
            let who = user.stranger(actor.token.as_deref());
            // Who is nobody yet becomes somebody there.
            let is_pairing = parts.method == Method::POST && parts.uri.path() == REDEEM;
            if !only_reads(&parts.method) && !is_pairing {
                return refuse(ErrorCode::UnknownUser, &who, unknown(&user));
            }
            return Ok(for_user(actor, user, who));
        };
        let who = match &actor.token {
            Some(token) => format!("{person} ({user}, token {token})"),
            None => format!("{person} ({user})"),
        };
        Ok(for_user(actor, user, who))
    }
}

/// What a user of a chat is told who is nobody's.
pub(crate) fn unknown(user: &ChatUser) -> String {
    format!(
        "{user} is nobody whom the warden knows: ask whoever runs it for a pairing code (`clawrden people pair NAME`), or \
         for {user} in `people` of its settings"
    )
}

fn for_user(actor: Actor, user: ChatUser, who: String) -> Actor {
    let doors = Doors { token: actor.token.clone(), chat: Some(user), ..Doors::default() };
    Actor { who, doors, ..actor }
}
