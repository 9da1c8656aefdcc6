//! The route that tells in numbers what happened lately.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use clawrden_api::{ErrorCode, OverviewQuery};

use super::actor::Actor;
use super::answer::{Answer, ask};
use super::reply::Failure;
use super::state::Control;
use super::values::of_query;
use crate::jails::JailName;

/// How far back is looked unless somebody says otherwise: a day.
const USUAL: u64 = 24 * 60 * 60 * 1000;

/// The shortest and the longest time that is looked at: a minute, and a leap year.
const RANGE: std::ops::RangeInclusive<u64> = 60_000..=366 * USUAL;

pub(super) async fn show(
    State(control): State<Control>,
    Extension(actor): Extension<Arc<Actor>>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let bad = |message| Failure::new(ErrorCode::BadRequest, message);
    let query: OverviewQuery = of_query(&uri)?;
    let back_ms = query.back_ms.unwrap_or(USUAL);
    if !RANGE.contains(&back_ms) {
        let (start, end) = (RANGE.start(), RANGE.end());
        return Err(bad(format!("back_ms: {back_ms} is not within {start} and {end}")));
    }
    let jails = match query.jail {
        None => actor.scope.jails.clone(),
        Some(jail) => {
            JailName::new(&jail).map_err(|error| bad(format!("jail: {error}")))?;
            actor.may_see(&jail)?;
            vec![jail]
        }
    };
    ask(&headers, move || control.backend.overview(back_ms, &jails)).await
}
