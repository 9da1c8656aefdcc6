//! Through: everything that a command would run besides itself, behind wrappers, in shell lines and
//! in options that run commands. It only tells what is there; what becomes of it is the judge's.

mod awk;
mod found;
mod lines;
mod look;
mod module;
mod moves;
mod options;
mod outputs;
mod prefix;
mod readers;
mod sed;
mod table;
mod values;
mod walk;

use crate::matchers::structured::Plain;

pub(crate) use self::options::split;
pub(crate) use self::table::{concerns, runs_any};
pub(crate) use self::walk::{Seen, Standing, Via, Visit, walk};

/// How many commands deep is looked.
pub(crate) const MAX_DEPTH: usize = 8;
/// How many commands of one request are looked at.
pub(crate) const MAX_COMMANDS: usize = 256;

/// What tells, for the filter of this name, whether arguments are surely a program that only edits and prints, and options
/// that say how.
pub(crate) fn plain_script(name: &str) -> Option<Plain> {
    match name {
        "sed" => Some(sed::is_plain),
        "awk" => Some(awk::is_plain),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
