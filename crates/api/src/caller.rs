//! Who asked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who asked, as the kernel says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Caller {
    /// User id.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// Process id; `None` when the peer is in a pid namespace that cannot be seen.
    pub pid: Option<u32>,
    /// The prisoner that it belongs to, where that is known.
    pub prisoner: Option<String>,
    /// The container that it is in, where it is in one and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<CallerContainer>,
}

/// The container that a caller is in, as the container engine tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallerContainer {
    /// Its whole id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image, as it was named when the container was made.
    pub image: String,
}
