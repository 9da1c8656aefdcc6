//! The shim itself, as it was built together with this warden. One file is the whole installation.

/// The raw, static program.
pub static SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clawrden-shim"));
