//! What the kernel tells about processes, and how whole trees of them are stopped. A process is named by its pid
//! together with its start time, so that a reused pid is never taken for the process that had it before.

pub mod ancestry;
pub mod cgroup;
mod children;
mod holders;
mod ids;
mod methods;
pub mod namespaces;
pub mod pidfd;
pub mod proc;
pub mod tree;
pub mod usage;

pub(crate) use holders::holders;
pub(crate) use ids::Ids;
pub(crate) use proc::{boot_id, steady_ms};

pub use ancestry::{ancestors, cgroup_of, descends_from};
pub use children::first_child;
pub use methods::Methods;
pub use namespaces::Namespaces;
pub use pidfd::{ExitInfo, ExitStatus};
pub use proc::{Identity, ProcessError, Stat, Status, stat, status};
