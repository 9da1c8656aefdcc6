//! Through: everything that a command would run besides itself, behind wrappers, in shell lines and
//! in options that run commands. It only tells what is there; what becomes of it is the judge's.

mod found;
mod lines;
mod module;
mod options;
mod prefix;
mod sed;
mod table;
mod walk;

pub(crate) use self::options::split;
pub(crate) use self::table::{concerns, runs_any};
pub(crate) use self::walk::{Seen, Standing, Via, Visit, walk};

/// How many commands deep is looked.
pub(crate) const MAX_DEPTH: usize = 8;
/// How many commands of one request are looked at.
pub(crate) const MAX_COMMANDS: usize = 256;

#[cfg(test)]
mod tests;
