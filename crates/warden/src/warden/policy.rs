//! What people are told of policies. Everything is judged by what was read before: no file is looked at, so that nothing
//! can hang, and nobody learns by this what lies on the warden's host.

use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use clawrden_api::{
    ErrorBody, ErrorCode, ExplainRequest, Explained, HistoryQuery, JailPolicy, PolicyCheckRequest,
    PolicyChecked, PolicyInfo, PolicyLayer, PolicyStatus, PolicySuggestions, RuleAnswer,
    RuleRequest, SimulateRequest, Simulated, SuggestionAccepted,
};
use clawrden_policy::{Facts, Layer, LoadError, Policy, Source};

use super::control::Control;
use super::refused;
use crate::control::Actor;
use crate::control::{Lawyer, USUAL_JAIL};
use crate::jails::{JailName, Origin};
use crate::what_if::{Asked, Comparison, bare, explained, problems};

/// What a text that came with a request is called.
const CANDIDATE: &str = "candidate.yaml";

/// Requests that a candidate is held against unless somebody says otherwise.
const USUAL_LIMIT: usize = 10_000;

/// How long a candidate is held against the history: clients wait for ten seconds.
const PATIENCE: Duration = Duration::from_secs(7);

/// Rules are written one after the other.
static WRITING: Mutex<()> = Mutex::new(());

/// Suggestions are made one after the other.
static SUGGESTING: Mutex<()> = Mutex::new(());

/// Candidates are held against the history one after the other.
static SIMULATING: Mutex<()> = Mutex::new(());

impl Lawyer for Control {
    fn policy(&self) -> Result<PolicyInfo, ErrorBody> {
        let sourced = self.0.own.sourced();
        let PolicyStatus { source, fingerprint, since_ms, .. } = self.0.own.status();
        let mut layers: Vec<&Source> = sourced.files().iter().collect();
        layers.sort_by_key(|file| file.layer);
        let jails = self.0.jails.all().into_iter().map(|jail| {
            let policies = jail.policies();
            let now = &policies.in_force;
            let brought = match &jail.origin {
                Origin::Own => Vec::new(),
                Origin::Brought(brought) => brought.files().map(layer).collect(),
            };
            JailPolicy {
                jail: jail.name.to_string(),
                source: now.name.clone(),
                fingerprint: now.fingerprint.clone(),
                since_ms: now.since_ms,
                rules: now.policy.rule_count(),
                held_back: policies.held_back(),
                brought,
            }
        });
        Ok(PolicyInfo {
            source,
            fingerprint,
            since_ms,
            rules: sourced.policy.rule_count(),
            layers: layers.into_iter().map(layer).collect(),
            jails: jails.collect(),
        })
    }

    fn add_rule(&self, actor: &Actor, request: RuleRequest) -> Result<RuleAnswer, ErrorBody> {
        let _alone = alone(&WRITING)?;
        self.always(actor, request)
    }

    fn suggestions(&self, min: usize) -> Result<PolicySuggestions, ErrorBody> {
        let _alone = alone(&SUGGESTING)?;
        self.suggested(min)
    }

    fn accept(
        &self,
        actor: &Actor,
        min: usize,
        request: SuggestionAccepted,
    ) -> Result<RuleAnswer, ErrorBody> {
        let _alone = alone(&WRITING)?;
        self.accept_suggested(actor, min, request)
    }

    fn check_policy(&self, request: PolicyCheckRequest) -> Result<PolicyChecked, ErrorBody> {
        Ok(match self.candidate(request.text) {
            Ok(policy) => {
                PolicyChecked { ok: true, rules: policy.rule_count(), ..PolicyChecked::default() }
            }
            Err(error) => PolicyChecked {
                ok: false,
                rules: 0,
                errors: problems(&error),
                omitted: error.omitted(),
            },
        })
    }

    fn explain(&self, request: ExplainRequest, bounded: bool) -> Result<Explained, ErrorBody> {
        let ExplainRequest { argv, line, jail, cwd, uid } = request;
        let jail = jail.unwrap_or_else(|| USUAL_JAIL.to_owned());
        let name = JailName::new(&jail)
            .map_err(|error| refused(ErrorCode::BadRequest, format!("jail: {error}")))?;
        let Some(found) = self.0.jails.get(&name) else {
            return Err(refused(ErrorCode::NotFound, format!("there is no jail called {name}")));
        };
        let argv = match line {
            Some(line) => vec!["bash".to_owned(), "-c".to_owned(), line],
            None => argv,
        };
        let argv: Vec<Vec<u8>> = argv.into_iter().map(String::into_bytes).collect();
        let tool = bare(argv.first().map_or(&[], Vec::as_slice)).to_vec();
        let cwd = cwd.map(String::into_bytes);
        let asked = Asked { argv, path: None, tool: Some(tool), cwd, jail, uid };
        let words: Vec<&[u8]> = asked.argv.iter().map(Vec::as_slice).collect();
        let facts = Facts {
            jail: &asked.jail,
            name: words.first().copied().unwrap_or_default(),
            tool: asked.tool.as_deref(),
            argv: &words,
            cwd: asked.cwd.as_deref(),
            uid,
            ..Facts::default()
        };
        let policies = found.policies();
        let mut explanation = policies.in_force.policy.explain(&facts);
        if bounded {
            explanation.leave_out_elsewhere();
        }
        // What an earlier policy still forbids to prisoners that live counts as well.
        explanation.decision = policies.decide(&facts);
        Ok(explained(&explanation, &asked, policies.in_force.name.clone()))
    }

    fn simulate(&self, request: SimulateRequest) -> Result<Simulated, ErrorBody> {
        let _alone = alone(&SIMULATING)?;
        let SimulateRequest { text, jail, since_ms, limit } = request;
        let policy = self
            .candidate(text)
            .map_err(|error| refused(ErrorCode::BadPolicy, error.to_string()))?;
        let query = HistoryQuery { jail, since_ms, ..HistoryQuery::default() };
        let mut comparison = Comparison::default();
        let complete =
            self.read_back(query, limit.unwrap_or(USUAL_LIMIT), PATIENCE, |entries| {
                comparison.take(&policy, &entries);
            })?;
        Ok(comparison.end(CANDIDATE.to_owned(), complete))
    }
}

impl Control {
    /// The policy that this text would be in the place of the host's own file, with what stands above and behind that.
    fn candidate(&self, text: String) -> Result<Policy, LoadError> {
        let sourced = self.0.own.sourced();
        let of = |layer| sourced.files().iter().filter(move |file| file.layer == layer).cloned();
        let candidate = Source::new(Layer::Host, CANDIDATE, text);
        let files = of(Layer::Ceiling).chain([candidate]).chain(of(Layer::Rules));
        Policy::from_sources(&files.collect::<Vec<_>>())
    }
}

/// The turn of one who simulates. A turn that ended in a panic is over like any other: nothing is kept in between.
fn alone(turn: &Mutex<()>) -> Result<MutexGuard<'_, ()>, ErrorBody> {
    match turn.try_lock() {
        Ok(alone) => Ok(alone),
        Err(TryLockError::Poisoned(alone)) => Ok(alone.into_inner()),
        Err(TryLockError::WouldBlock) => {
            let text = "somebody else is at it; try again in a moment";
            Err(refused(ErrorCode::Conflict, text.to_owned()))
        }
    }
}

fn layer(file: &Source) -> PolicyLayer {
    let name = match file.layer {
        Layer::Ceiling => "ceiling",
        Layer::Host => "host",
        Layer::Rules => "rules",
        Layer::Pack => "pack",
        Layer::Jail => "jail",
        Layer::Repository => "repository",
    };
    PolicyLayer { layer: name.to_owned(), name: file.name.clone(), text: file.text.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_candidate_has_its_turn_and_a_panic_ends_it() {
        let turn = Mutex::new(());
        let first = alone(&turn).unwrap();
        assert_eq!(alone(&turn).unwrap_err().code, ErrorCode::Conflict);
        drop(first);
        let failed = std::panic::catch_unwind(|| {
            let _alone = alone(&turn).unwrap();
            panic!("while it is simulated");
        });
        assert!(failed.is_err() && turn.is_poisoned());
        assert!(alone(&turn).is_ok());
    }
}
