//! Jails and the prisoners in them: where their sockets and shims lie, who belongs to whom. Whether a process belongs
//! to a prisoner is asked from the kernel each time, and what cannot be told is an error, never a "no".

pub mod baseline;
pub mod folders;
pub mod name;
pub mod places;
pub mod prisoner;
pub mod registry;
pub mod runner;
pub mod shim_binary;
pub mod shims;

pub(crate) use baseline::FALLBACK_PATH;
pub use baseline::{Baseline, BaselineError};
pub use name::{BadName, JailName};
pub use places::{PlaceError, Places};
pub use prisoner::Prisoner;
pub use registry::{Jail, Jails, MAX_JAILS, Origin, RegistryError};

pub use crate::policies::{Brought, InForce, Policies};
