//! The warden's end of the intercom: listening, reading a request within bounds, and answering.
//!
//! Nothing here decides. A connection that is not of the protocol, too slow or too many is closed.

mod account;
mod connection;
mod gate;
mod narrows;
mod reader;
mod reply;
mod turns;

pub(crate) use account::Account;
pub(crate) use connection::{Connection, Door};
pub(crate) use gate::{Gate, Pass};
#[cfg(test)]
pub(crate) use gate::{MAX_BYTES, MAX_HALF_OPEN, MAX_HALF_OPEN_PER_PEER, MAX_WAITING_BYTES};
pub(crate) use narrows::Narrows;
pub(crate) use reader::read_request;
pub(crate) use reply::{Interruption, Reply, Unsent, close_apart};
pub(crate) use turns::{Line, Turns};
