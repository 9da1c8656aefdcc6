//! Routes about what a policy says. Nothing here changes the one in force.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use clawrden_api::{
    ErrorBody, ErrorCode, ExplainRequest, RuleRequest, SimulateRequest, SuggestionAccepted,
    SuggestionsQuery,
};

use super::actor::Actor;
use super::answer::{Answer, ask, read, with_body};
use super::body;
use super::reply::Failure;
use super::state::Control;
use super::values::{of_query, request_id};

/// The jail of who does not say.
pub const USUAL_JAIL: &str = "default";

/// The most requests that a candidate is held against.
pub(super) const MAX_SIMULATED: usize = 50_000;

/// How many asks of people a suggested rule must have answered at least, and how many unless somebody says otherwise.
const MIN: std::ops::RangeInclusive<usize> = 1..=1000;
const USUAL_MIN: usize = 3;

pub(super) async fn show(State(control): State<Control>, headers: HeaderMap) -> Answer {
    ask(&headers, move || control.backend.policy()).await
}

pub(super) async fn add_rule(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |mut request: RuleRequest| {
        request.id = request_id(&request.id)?;
        Ok::<_, Failure>(control.backend.add_rule(&actor, request)?)
    })
    .await
}

/// Asks of people that a rule must have answered at least.
fn least(min: Option<usize>) -> Result<usize, ErrorBody> {
    match min.unwrap_or(USUAL_MIN) {
        min if MIN.contains(&min) => Ok(min),
        min => Err(bad(format!("min: {min} is not within {} and {}", MIN.start(), MIN.end()))),
    }
}

pub(super) async fn suggestions(
    State(control): State<Control>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let query: SuggestionsQuery = of_query(&uri)?;
    let min = least(query.min)?;
    ask(&headers, move || control.backend.suggestions(min)).await
}

pub(super) async fn accept(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given: SuggestionAccepted| {
        control.backend.accept(&actor, least(given.min)?, given)
    })
    .await
}

pub(super) async fn check(State(control): State<Control>, given: Body) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given| control.backend.check_policy(given)).await
}

pub(super) async fn explain(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    given: Body,
) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given: ExplainRequest| {
        is_one_command(&given)?;
        actor.may_see(given.jail.as_deref().unwrap_or(USUAL_JAIL))?;
        control.backend.explain(given, !actor.scope.jails.is_empty())
    })
    .await
}

pub(super) async fn simulate(State(control): State<Control>, given: Body) -> Answer {
    let given = read(&control, given, body::MAX_BODY).await?;
    with_body(given, move |given: SimulateRequest| match given.limit {
        Some(limit) if !(1..=MAX_SIMULATED).contains(&limit) => {
            Err(bad(format!("limit: {limit} is not within 1 and {MAX_SIMULATED}")))
        }
        _ => control.backend.simulate(given),
    })
    .await
}

fn is_one_command(given: &ExplainRequest) -> Result<(), ErrorBody> {
    let has_name = given.argv.first().is_some_and(|name| !name.is_empty());
    let is_one = match &given.line {
        Some(line) => given.argv.is_empty() && !line.is_empty(),
        None => has_name,
    };
    if !is_one {
        return Err(bad("give either `argv`, which begins with a name, or `line`".to_owned()));
    }
    let words = given.argv.iter().chain(&given.line).chain(&given.cwd);
    if words.into_iter().any(|word| word.contains('\0')) {
        return Err(bad("no command has a NUL in it".to_owned()));
    }
    match given.cwd.as_deref() {
        Some(cwd) if !cwd.starts_with('/') => Err(bad(format!("cwd: {cwd:?} is not absolute"))),
        _ => Ok(()),
    }
}

fn bad(message: String) -> ErrorBody {
    ErrorBody { code: ErrorCode::BadRequest, message }
}
