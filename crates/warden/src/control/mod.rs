//! The control API: HTTP over a Unix socket, for the person who runs the warden. Who asks comes from the kernel. A
//! prisoner, a process that has ended and a process that cannot be seen get nothing but a refusal, and it is recorded.

pub mod actor;
pub mod backend;
pub mod body;
mod handlers;
pub mod history;
mod metrics;
pub mod openapi;
mod pages;
pub mod peer;
pub mod recordings;
mod reply;
mod routes;
pub mod running;
mod seats;
mod server;
mod stream;
pub mod table;

pub use crate::metrics::Format;
pub use actor::Actor;
pub use backend::{Backend, Readiness, Verdict};
pub use peer::{Peer, Refusal};
pub use running::Commands;
pub use server::{Limits, serve, serve_with};
