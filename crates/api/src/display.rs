//! How things are shown to the person who answers: commands, texts, times.
//!
//! What a prisoner chose is shown so that it can neither act on the terminal nor look like something that it is not.
//! Two different inputs are never shown the same, but where a fold says how much it leaves out.

mod characters;
mod quote;
mod time;
mod warnings;

pub use characters::is_plain;
pub use quote::{MAX_ARGUMENT, MAX_ARGUMENTS, argument, command, exact, text};
pub use time::{age, duration, rfc3339, short_time};
pub use warnings::{MAX_WARNINGS, warnings};
