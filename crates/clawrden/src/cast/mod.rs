//! Recordings on a terminal: read, played, watched, and made harmless on the way.

pub(crate) mod player;
pub(crate) mod reader;
pub(crate) mod screen;
