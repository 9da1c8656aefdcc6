//! Lap: how often a request repeats one that still runs, from within that one.

/// How often a request was made in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lap {
    pub(crate) environment: u64,
    /// With nothing changed.
    pub(crate) same: u32,
    /// With nothing but the environment changed.
    pub(crate) all: u32,
}
