//! Approvals where people are: what waits for a person is told in a chat, a tap there answers it, and the message becomes
//! the record of what came of it.
//!
//! A bridge is a client of the control API and holds no more power than its token: it says who tapped, and the warden
//! decides whether that is anybody, and what they may answer. [`service::Service`] is what a chat service can do.

pub mod card;
pub mod http;
pub mod listener;
pub mod secret;
pub mod service;
pub mod slack;
pub mod telegram;
pub mod webhook;
