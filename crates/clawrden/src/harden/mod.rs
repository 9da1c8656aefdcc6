//! Making a governed image of any other: a Dockerfile, a folder to build it in, and the engine's own client that does it.

mod bundle;
mod client;
mod context;
mod dockerfile;
mod names;

pub(crate) use client::Client;
pub(crate) use context::{ContextError, write};
pub(crate) use dockerfile::{Facts, Order};
pub(crate) use names::{check_reference, governed_name};
