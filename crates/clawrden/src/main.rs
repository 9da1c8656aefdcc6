//! `clawrden`: the one binary people install. Every verb is a client of the warden, but for `warden`, which is it.
//!
//! It never decides and never executes a governed command: it shows, asks, answers, and opens governed shells.
// This is where people and programs read our answers.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

mod bounded;
mod cast;
mod cli;
mod connection;
mod elsewhere;
mod failure;
mod harden;
mod install;
mod output;
mod run;
mod sys;
mod top;
mod verbs;
mod when;

fn main() -> ExitCode {
    cli::main(std::env::args_os().collect())
}
