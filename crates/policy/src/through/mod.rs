//! Through: everything that a command would run besides itself, behind wrappers, in shell lines and
//! in options that run commands. It only tells what is there; what becomes of it is the judge's.

mod awk;
mod found;
mod lines;
mod module;
mod moves;
mod options;
mod outputs;
mod prefix;
mod sed;
mod table;
mod values;
mod walk;

pub(crate) use self::options::split;
pub(crate) use self::table::{concerns, runs_any};
pub(crate) use self::walk::{Seen, Standing, Via, Visit, walk};

/// How many commands deep is looked.
pub(crate) const MAX_DEPTH: usize = 8;
/// How many commands of one request are looked at.
pub(crate) const MAX_COMMANDS: usize = 256;

/// A language in which a filter takes its program as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Sed,
    Awk,
}

impl Script {
    /// The language of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "sed" => Some(Self::Sed),
            "awk" => Some(Self::Awk),
            _ => None,
        }
    }

    /// Whether the arguments are surely a program that only edits and prints, and options that say how.
    pub(crate) fn is_plain(self, argv: &[&[u8]]) -> bool {
        match self {
            Self::Sed => sed::is_plain(argv),
            Self::Awk => awk::is_plain(argv),
        }
    }
}

#[cfg(test)]
mod tests;
