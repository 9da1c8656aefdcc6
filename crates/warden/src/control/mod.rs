//! The control API: HTTP over a Unix socket, for the person who runs the warden, where who asks comes from the kernel; and
//! over TCP where that is wanted, for who has a token. A
//! prisoner, a process that has ended and a process that cannot be seen get nothing but a refusal, and it is recorded.

pub mod access;
pub mod actor;
mod answer;
mod audit;
pub mod backend;
pub mod body;
mod channels;
mod credentials;
mod export;
mod grants;
mod handlers;
mod history;
mod metrics;
mod once;
pub mod openapi;
mod overview;
mod pages;
mod paths;
mod patterns;
pub mod peer;
mod people;
mod policy;
mod recordings;
mod reply;
mod routes;
mod running;
mod seats;
mod server;
mod state;
mod stream;
mod streams;
pub mod table;
mod values;

pub use crate::metrics::Format;
pub use access::{Access, AccessError, ApiConfig};
pub use actor::Actor;
pub use backend::{
    AccessChange, Auditing, Backend, Channels, Commands, Counting, Folk, Grants, Lawyer, Patterns,
    Readiness, Source, Verdict,
};
pub use peer::{Peer, Refusal};
pub use policy::USUAL_JAIL;
pub use server::{Limits, serve, serve_bridge, serve_tcp, serve_with};
pub use state::MAX_EXPORTS;
