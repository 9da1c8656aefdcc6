//! Prisoners in containers of a real engine.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod attack;
mod builders;
mod callers;
mod calls;
mod cell;
mod compose;
mod door;
mod exec;
mod ghost;
mod guide;
mod hardened;
mod images;
mod install;
mod jails;
mod limits;
mod podman;
mod prison;
mod registry;
mod rootless;
mod transparency;
mod within;
