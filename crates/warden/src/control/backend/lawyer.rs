//! What is asked of the warden about policies.

use clawrden_api::{
    ErrorBody, ExplainRequest, Explained, PolicyCheckRequest, PolicyChecked, PolicyInfo,
    PolicySuggestions, RuleAnswer, RuleRequest, SimulateRequest, Simulated, SuggestionAccepted,
};

use super::super::actor::Actor;

/// A part of [`Backend`](super::Backend).
pub trait Lawyer {
    /// `GET /api/policy`.
    ///
    /// # Errors
    /// None that a backend has to have.
    fn policy(&self) -> Result<PolicyInfo, ErrorBody>;

    /// `POST /api/policy/rules`. `id` has 4 to 32 small hex digits.
    ///
    /// # Errors
    /// As for an answer to the request; `BadRequest` where there is no rule for it, or it would not be in force;
    /// `BadPolicy` where it could not be put in force, and then it is not there.
    fn add_rule(&self, actor: &Actor, request: RuleRequest) -> Result<RuleAnswer, ErrorBody>;

    /// `GET /api/policy/suggestions`.
    ///
    /// # Errors
    /// `Conflict` while somebody else asks for them.
    fn suggestions(&self, min: usize) -> Result<PolicySuggestions, ErrorBody>;

    /// `POST /api/policy/suggestions`.
    ///
    /// # Errors
    /// `NotFound` for a rule that is not suggested, `BadRequest` for one that has to be put in its place by hand; else as for
    /// [`Lawyer::add_rule`].
    fn accept(
        &self,
        actor: &Actor,
        min: usize,
        request: SuggestionAccepted,
    ) -> Result<RuleAnswer, ErrorBody>;

    /// `POST /api/policy/check`.
    ///
    /// # Errors
    /// When the ceiling in force cannot be told.
    fn check_policy(&self, request: PolicyCheckRequest) -> Result<PolicyChecked, ErrorBody>;

    /// `POST /api/policy/explain`. It has either a line or a command with a name. Who is `bounded` to some jails is told
    /// of no rule that is for others.
    ///
    /// # Errors
    /// `BadRequest` for a name that no jail can have, `NotFound` for a jail that is not there.
    fn explain(&self, request: ExplainRequest, bounded: bool) -> Result<Explained, ErrorBody>;

    /// `POST /api/policy/simulate`. The limit is in range.
    ///
    /// # Errors
    /// `BadPolicy` for a text that does not load, `Conflict` while another one is held against the history.
    fn simulate(&self, request: SimulateRequest) -> Result<Simulated, ErrorBody>;
}
