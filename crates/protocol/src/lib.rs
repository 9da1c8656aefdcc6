//! The intercom between shim and warden: its messages, their codec and their limits.
//!
//! Pure data: no I/O, no unsafe, no clock. `docs/protocol.md` is the reference; its byte examples are run by this
//! crate's tests. Version 1 never changes; version 2 adds to it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod ack;
pub mod error;
pub mod frame;
pub mod limits;
pub mod note;
pub mod request;
pub mod runner;
mod wire;

pub use ack::Ack;
pub use error::ProtocolError;
pub use frame::{FrameBuffer, FromClient, ToClient};
pub use request::{Request, RequestV1, RequestV2, WaitRequest};
