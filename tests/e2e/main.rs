//! End to end: a real warden, real sockets, the real shim.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../crates/bridge/tests/fakes/slack/mod.rs"]
#[allow(unreachable_pub)]
mod slack;
#[path = "../../crates/bridge/tests/fakes/telegram/mod.rs"]
mod telegram;

mod answered;
mod apart;
mod approvers;
mod audit;
mod bounded;
mod by_settings;
mod chats;
mod completions;
mod decisions;
mod described;
mod dry_run;
mod exit_codes;
mod export;
mod grants;
mod hooks;
mod in_chats;
mod layers;
mod left;
mod lifecycle;
mod limits;
mod metrics;
mod notify;
mod operations;
mod ordinary_user;
mod people;
mod policy;
mod reachable;
mod recording;
mod reload;
mod run;
mod running;
mod sandbox;
mod secrets;
mod suggest;
mod taps;
mod top;
mod version_1;
mod waiting;
mod watch;
