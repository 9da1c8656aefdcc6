//! Approvals where people are: what waits for a person is told in a chat, a tap there answers it, and the message becomes
//! the record of what came of it.
//!
//! A bridge is a client of the control API and holds no more power than its token: it says who tapped, and the warden
//! decides whether that is anybody, and what they may answer. [`service::Service`] is what a chat service can do,
//! [`warden::Warden`] what is asked of the warden, and [`bridge::Bridge`] brings them together.

mod answers;
pub mod api;
pub mod backoff;
pub mod bridge;
pub mod card;
pub mod channel;
mod clock;
mod desk;
pub mod desktop;
#[cfg(test)]
#[path = "../tests/fakes/entry.rs"]
#[allow(unreachable_pub)]
mod entry;
pub mod floods;
pub mod heard;
pub mod http;
pub mod inbox;
pub mod kept;
pub mod listener;
mod looks;
mod missed;
mod outbox;
mod reach;
pub mod routes;
pub mod secret;
pub mod service;
mod shared;
pub mod signature;
pub mod slack;
pub mod standing;
pub mod store;
mod table;
pub mod tail;
mod taps;
pub mod telegram;
#[cfg(test)]
mod testing;
mod told;
pub mod trial;
mod utf16;
pub mod warden;
pub mod webhook;
mod weights;
pub mod words;
