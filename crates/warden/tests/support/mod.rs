//! A backend that remembers what it was asked, a server around it, and clients.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::zombie_processes,
    reason = "all of this is test code, which clippy only knows of functions marked as tests"
)]

mod fake;
mod helper;
mod http;
mod served;

#[allow(unused_imports, reason = "not all tests use all of it")]
pub(crate) use {
    fake::Fake,
    helper::{HELPER, Helper, be_a_client, helper},
    http::{
        ask, bearer, header, hear, joined, over_tcp, read_one, request, request_to, status, token,
        whole, with_headers,
    },
    served::Served,
};

/// The id of a command that is being recorded and does not end.
pub(crate) const RECORDED: &str = "cccc0000000000000000000000000000";

/// The id of a request that waits.
pub(crate) const WAITING: &str = "bbbb0000000000000000000000000000";
