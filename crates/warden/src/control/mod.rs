//! The control API: HTTP over a Unix socket, for the person who runs the warden, where who asks comes from the kernel; and
//! over TCP where that is wanted, for who has a token. A
//! prisoner, a process that has ended and a process that cannot be seen get nothing but a refusal, and it is recorded.

pub mod access;
pub mod actor;
pub mod audit;
pub mod backend;
pub mod body;
pub mod channels;
mod credentials;
pub mod export;
pub mod grants;
mod handlers;
pub mod history;
mod metrics;
mod once;
pub mod openapi;
pub mod overview;
mod pages;
pub mod patterns;
pub mod peer;
pub mod people;
pub mod policy;
pub mod recordings;
mod reply;
mod routes;
pub mod running;
mod seats;
mod server;
mod stream;
mod streams;
pub mod table;

pub use crate::metrics::Format;
pub use access::{Access, AccessError, ApiConfig};
pub use actor::Actor;
pub use audit::Auditing;
pub use backend::{AccessChange, Backend, Readiness, Verdict};
pub use channels::Channels;
pub use grants::Grants;
pub use overview::Counting;
pub use patterns::Patterns;
pub use peer::{Peer, Refusal};
pub use people::Folk;
pub use policy::Lawyer;
pub use running::Commands;
pub use server::{Limits, serve, serve_bridge, serve_tcp, serve_with};
