//! Every `unsafe` block and every raw syscall of the warden. Nothing here decides anything.

pub(crate) mod lease;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod namespaces;
pub mod peer;
pub mod process;
pub(crate) mod users;
pub(crate) mod watch;
