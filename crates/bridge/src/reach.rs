//! Whether what is said there is taken: the service is asked now and then, and when it did not take something. Who has
//! nothing but a user there cannot answer what they are never told.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::answers::SERVICE_TIMEOUT;
use crate::backoff::Backoff;
use crate::heard::Failure;
use crate::http::MAX_REST;
use crate::service::Service;
use crate::shared::Shared;
use crate::standing::Part;

/// How often it is asked while all is well, and when it refused for good.
const EVERY: Duration = Duration::from_secs(60);

/// How often at most.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// Asks for as long as the bridge lives.
pub(crate) async fn watch<S: Service, W>(shared: Arc<Shared<S, W>>, places: Vec<String>) {
    let standing = &shared.standing;
    let (mut backoff, mut again) = (Backoff::default(), standing.wanted_again());
    let mut was_refused = false;
    loop {
        again.mark_unchanged();
        let rest = match any(&*shared.service, &places).await {
            // It is there, and wants something else.
            Err(Failure::Later(rest)) => rest.min(MAX_REST),
            Ok(()) => {
                standing.went_well(Part::Speaking);
                if std::mem::take(&mut was_refused) {
                    shared.table().post_again();
                }
                backoff.reset();
                EVERY
            }
            Err(failure) => {
                let why = standing.refused(Part::Speaking, &failure);
                tracing::debug!(why, "nothing is taken there");
                was_refused |= matches!(failure, Failure::Never(_));
                if matches!(failure, Failure::Never(_)) { EVERY } else { backoff.wait() }
            }
        };
        sleep(AT_MOST_EVERY).await;
        tokio::select! {
            () = sleep(rest) => {}
            () = shared.doubt.notified() => {}
            // It ends with the bridge, not before.
            _ = again.changed() => {}
        }
    }
}

/// Whether one of the places can be told something; else why the first cannot.
async fn any<S: Service>(service: &S, places: &[String]) -> Result<(), Failure> {
    let mut first = Ok(());
    for place in places {
        let came = timeout(SERVICE_TIMEOUT, service.check(place)).await;
        let came = came.unwrap_or_else(|_| Err(Failure::Now("it does not answer".to_owned())));
        match came {
            Err(failure) if first.is_ok() => first = Err(failure),
            Err(_) => {}
            Ok(()) => return Ok(()),
        }
    }
    first
}
