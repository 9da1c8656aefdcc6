//! The whole way of a channel, tried step by step.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::service::{Service, Step};
use crate::standing::Standing;

/// How long the tries at one place may take.
const PLACE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a bridge that was started a moment ago has to come about.
const SETTLE: Duration = Duration::from_secs(5);

/// Tries everything up to the first step that fails. `service` is `None` where it cannot be set up.
pub async fn steps<S: Service>(
    service: Option<&S>,
    standing: &Standing,
    places: &[String],
) -> Vec<Step> {
    let mut steps = Vec::new();
    standing.try_again();
    let Some(service) = service else {
        let why = standing.state().error.unwrap_or_else(|| "it is not there".to_owned());
        steps.push(failed("its settings and secrets can be read", why));
        return steps;
    };
    steps.push(well("its settings and secrets can be read"));
    for place in places {
        let tried = timeout(PLACE_TIMEOUT, service.test(place)).await;
        let tried = tried.unwrap_or_else(|_| {
            vec![failed("it answers", "it takes too long; is the service up?".to_owned())]
        });
        let is_over = tried.iter().any(|step| step.failed.is_some());
        for step in tried {
            let failed = step.failed.map(|why| standing.said(&why));
            let what = if places.len() > 1 && place.len() <= 64 {
                format!("{place}: {}", step.what)
            } else {
                step.what
            };
            steps.push(Step { what, failed });
        }
        if is_over {
            return steps;
        }
    }
    let told = "the warden tells it what happens";
    let heard = "people are heard";
    let came_about = async {
        while !(standing.state().follows && standing.state().listens) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    // What did not come about is what the state says below.
    let _ = timeout(SETTLE, came_about).await;
    let state = standing.state();
    let why = || state.error.clone().unwrap_or_else(|| "it did not come about yet".to_owned());
    if !state.follows {
        steps.push(failed(told, why()));
        return steps;
    }
    steps.push(well(told));
    let listens = if state.listens { well(heard) } else { failed(heard, why()) };
    steps.push(listens);
    steps
}

fn well(what: &str) -> Step {
    Step { what: what.to_owned(), failed: None }
}

fn failed(what: &str, why: String) -> Step {
    Step { what: what.to_owned(), failed: Some(why) }
}
