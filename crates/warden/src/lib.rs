//! The supervisor: policy, approvals, execution, record.
//!
//! [`serve`] is the whole of it: it runs until it is told to go down. Nothing runs without a decision and a record.

mod again;
pub mod approvals;
mod beside;
mod caller;
pub mod config;
pub(crate) mod containers;
mod context;
pub mod control;
mod crash;
mod dashboard;
mod decision;
#[cfg(test)]
mod documented;
pub mod engine;
pub mod events;
mod executor;
mod handed;
pub(crate) mod holds;
pub mod index;
mod intercom;
pub mod jails;
mod laps;
pub mod layers;
pub mod ledger;
mod lock;
pub(crate) mod metrics;
mod notify;
pub mod people;
mod plan;
pub(crate) mod policies;
pub mod process;
mod quotas;
mod recording;
pub mod redaction;
mod request;
mod retention;
mod running;
mod shown;
pub mod sockets;
mod strangers;
pub mod switch;
pub mod sys;
mod wait;
mod warden;
pub mod what_if;
mod whereabouts;

pub use config::{Config, ExitCodes};
pub use plan::{LinksHere, Meant, meant_here};
pub use warden::{ServeError, run_warden, serve};
