//! Paths that more than the table of routes knows.

/// The route that answers everybody: the warden lives.
pub(super) const LIVENESS: &str = "/healthz";

/// Where the description is.
pub(super) const DESCRIPTION: &str = "/api/openapi.json";

/// Where sessions begin and end.
pub(super) const SESSION: &str = "/api/session";

/// Where a user of a chat becomes a person.
pub(super) const REDEEM: &str = "/api/pairings/redeem";
