//! The control API: its types, its errors and its client, shared by the warden, the CLI and bridges.
//!
//! Types only say what travels; they decide nothing. Times are milliseconds since the Unix epoch, durations are
//! milliseconds. Text that came from a prisoner is given as it is (lossily decoded); whoever shows it on a terminal
//! passes it through [`display::command`] first.
#![forbid(unsafe_code)]

pub mod access;
pub mod approvals;
pub mod audit;
pub mod caller;
pub mod channels;
pub mod chat;
pub mod client;
pub mod display;
pub mod error;
pub mod events;
pub mod grants;
pub mod history;
pub mod jails;
pub mod overview;
pub mod people;
pub mod policy;
pub mod prisoners;
pub mod queue;
pub mod recordings;
pub mod role;
pub mod running;
pub mod status;
pub mod switch;

pub use access::*;
pub use approvals::*;
pub use audit::*;
pub use caller::*;
pub use channels::*;
pub use chat::*;
pub use client::{
    Client, ClientError, Event, EventStream, ExportStream, RecordingStream, RemoteError, Trust,
};
pub use error::{ErrorBody, ErrorCode, Problem};
pub use events::*;
pub use grants::*;
pub use history::*;
pub use jails::*;
pub use overview::*;
pub use people::*;
pub use policy::*;
pub use prisoners::*;
pub use queue::*;
pub use recordings::*;
pub use role::Role;
pub use running::*;
pub use status::*;
pub use switch::*;
