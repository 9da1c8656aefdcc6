//! The stand-in for a tool: it asks the warden, and does what the warden says; and, by another name, the runner
//! under which the warden runs a tool. It decides nothing, and reads nothing but where the warden's socket is.
#![cfg_attr(all(feature = "raw", not(test)), no_std)]
#![cfg_attr(not(test), no_main)]
#![cfg_attr(test, allow(dead_code, unused_imports))]

extern crate alloc;

mod caller;
mod conversation;
mod descriptors;
mod handoff;
mod inbox;
mod outbox;
mod runner;
mod say;
mod sink;
mod socket;
mod streams;
mod sys;
mod terminal;

use sys::start::Start;

/// What both builds come to.
fn main_of(start: &Start) -> ! {
    let name = start.args().next().unwrap_or_default();
    let base = name.to_bytes().rsplit(|&b| b == b'/').next();
    if base == Some(clawrden_protocol::runner::ARGV0) {
        runner::run(start)
    }
    conversation::run(start)
}

#[cfg(all(feature = "raw", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    say::fail(clawrden_protocol::limits::EXIT_UNREACHABLE, "an internal error in the shim")
}
