//! What is asked of the warden: how things are, and what the keys order.

use clawrden_api::{
    AnswerRequest, Client, ClientError, GrantScope, HistoryQuery, KillRequest, ResumeRequest,
    StopRequest,
};

use super::keys::Ask;
use super::model::{Known, Reach};
use crate::output::count;
use crate::verbs::answer::told;
use crate::when;

/// What `2 hours` is.
const TWO_HOURS_MS: u64 = 2 * 60 * 60 * 1000;
/// Requests of the history that are shown.
const HISTORY: usize = 200;

/// How things are.
pub(super) async fn look(client: &Client) -> Result<Known, ClientError> {
    let query = HistoryQuery { limit: Some(HISTORY), ..HistoryQuery::default() };
    let (status, queue, running, history) = tokio::try_join!(
        client.status(),
        client.queue(),
        client.running(),
        client.history(&query)
    )?;
    Ok(Known { status, queue: queue.entries, running: running.entries, history: history.entries })
}

/// Does it, and gives what came of it.
pub(super) async fn carry_out(client: &Client, ask: Ask) -> Result<String, ClientError> {
    Ok(match ask {
        Ask::Approve { id, reach, reason } => {
            let Reach { scope, and_what_it_starts } = reach;
            let for_ms = (scope == GrantScope::Time).then_some(TWO_HOURS_MS);
            let more = AnswerRequest::default();
            let request = AnswerRequest { reason, scope, for_ms, and_what_it_starts, ..more };
            let answered = client.approve(&id, &request).await?;
            told(&answered, &request, when::now_ms())
        }
        Ask::Deny { id, reason } => {
            let request = AnswerRequest { reason, ..AnswerRequest::default() };
            let answered = client.deny(&id, &request).await?;
            told(&answered, &request, when::now_ms())
        }
        Ask::Stop { id, reason } => {
            let report = client.stop(&id, &StopRequest { reason }).await?;
            let short = id.get(..8).unwrap_or(&id);
            match report.ended {
                true => format!("stopped {short}"),
                false => format!("{short} was told to stop and has not ended yet"),
            }
        }
        Ask::Kill { pause } => {
            let report = client.kill(&KillRequest { pause, ..KillRequest::default() }).await?;
            let how = if pause { "paused" } else { "stopped" };
            let processes = count(report.processes, "process", "processes");
            let containers = count(report.containers, "container", "containers");
            let parts = [format!("everything is {how}: {processes}, {containers}")];
            parts.into_iter().chain(report.problems).collect::<Vec<_>>().join("; ")
        }
        Ask::Resume => {
            client.resume(&ResumeRequest::default()).await?;
            "resumed".to_owned()
        }
    })
}
