//! What is asked of the warden about patterns.

use clawrden_api::{ErrorBody, PatternTested};

use super::super::actor::Actor;

/// A part of [`Backend`](super::Backend).
pub trait Patterns {
    /// `GET /api/queue/{id}/pattern`. `id` has 4 to 32 small hex digits. Whether the actor's scope has the request's jail and
    /// rule is looked at here. Reads a part of the history; may take some seconds.
    ///
    /// # Errors
    /// As for an answer to the request.
    fn test_pattern(
        &self,
        actor: &Actor,
        id: &str,
        pattern: &str,
    ) -> Result<PatternTested, ErrorBody>;
}
