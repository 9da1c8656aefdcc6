//! `clawrden top`: queue, running commands and history on a terminal, and answering from there.

mod draw;
mod keys;
mod model;
mod screen;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use clawrden_api::{
    AnswerRequest, Client, ClientError, GrantScope, HistoryQuery, KillRequest, ResumeRequest,
    StopRequest,
};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::sync::mpsc;

use crate::failure::{Failure, Outcome};
use crate::verbs::answer::told;
use crate::verbs::{Connection, block_on, done};
use crate::when;
use keys::Order;
use model::{Known, Model, Reach};
use screen::Screen;

/// How often the warden is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// What `2 hours` is.
const TWO_HOURS_MS: u64 = 2 * 60 * 60 * 1000;
/// Requests of the history that are shown.
const HISTORY: usize = 200;

const EXAMPLES: &str = "\
Keys:
  1 2 3, Tab     queue, running, history      j k, arrows  move
  Enter          the whole request            /            filter
  a              approve                      d            deny, with a reason
  A              approve for more, see there
  s              stop a running command       K            stop or pause everything
  q              quit                         ?            help

Examples:
  clawrden top
  NO_COLOR=1 clawrden top";

/// Watch and answer on a terminal: queue, running commands, history
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

/// Runs the verb.
pub(crate) fn run(_args: &Args, control: Option<&Path>) -> Outcome {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(Failure::Usage(
            "`clawrden top` needs a terminal; `clawrden queue`, `ps` and `history` answer in --json".to_owned(),
        ));
    }
    let connection = Connection::new(control)?;
    block_on(watch(connection.client))??;
    done()
}

async fn watch(client: Client) -> Result<(), Failure> {
    // Before the screen is taken: who cannot be reached is said on a usual line.
    let known = look(&client).await.map_err(Connection::failure)?;
    let mut model = Model::new(known);
    let mut screen = Screen::take().map_err(failed)?;
    let mut events = listen();
    let mut clock = tokio::time::interval(PERIOD);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let now = when::now_ms();
        screen.draw(|frame| draw::all(frame, &model, now)).map_err(failed)?;
        let order = tokio::select! {
            _ = clock.tick() => Some(Order::Look),
            event = events.recv() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => keys::press(&mut model, key),
                Some(_) => None,
                None => Some(Order::Quit),
            },
        };
        match order {
            None => {}
            Some(Order::Quit) => return Ok(()),
            Some(Order::Look) => model.learn(look(&client).await),
            Some(order) => {
                model.told = Some(match carry_out(&client, order).await {
                    Ok(text) => text,
                    Err(error) => error.to_string(),
                });
                model.learn(look(&client).await);
            }
        }
    }
}

/// What is typed. The thread ends with the program.
fn listen() -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(64);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    events
}

async fn look(client: &Client) -> Result<Known, ClientError> {
    let query = HistoryQuery { limit: Some(HISTORY), ..HistoryQuery::default() };
    let (status, queue, running, history) = tokio::try_join!(
        client.status(),
        client.queue(),
        client.running(),
        client.history(&query)
    )?;
    Ok(Known { status, queue: queue.entries, running: running.entries, history: history.entries })
}

async fn carry_out(client: &Client, order: Order) -> Result<String, ClientError> {
    let short = |id: &str| id.get(..8).unwrap_or(id).to_owned();
    Ok(match order {
        Order::Approve { id, reach, reason } => {
            let Reach { scope, and_what_it_starts } = reach;
            let for_ms = (scope == GrantScope::Time).then_some(TWO_HOURS_MS);
            let more = AnswerRequest::default();
            let request = AnswerRequest { reason, scope, for_ms, and_what_it_starts, ..more };
            let answered = client.approve(&id, &request).await?;
            told(&answered, &request, when::now_ms())
        }
        Order::Deny { id, reason } => {
            client.deny(&id, &AnswerRequest { reason, ..AnswerRequest::default() }).await?;
            format!("denied {}", short(&id))
        }
        Order::Stop { id, reason } => {
            let report = client.stop(&id, &StopRequest { reason }).await?;
            format!(
                "{} {}",
                if report.ended { "stopped" } else { "told to end, and not ended yet:" },
                short(&id)
            )
        }
        Order::Kill { pause } => {
            let report = client.kill(&KillRequest { pause, ..KillRequest::default() }).await?;
            let how = if pause { "paused" } else { "stopped" };
            let problems = report.problems.join("; ");
            format!(
                "everything is {how}: {} processes, {} containers {problems}",
                report.processes, report.containers
            )
        }
        Order::Resume => {
            client.resume(&ResumeRequest::default()).await?;
            "resumed".to_owned()
        }
        Order::Look | Order::Quit => String::new(),
    })
}

// By value, as `map_err` gives it.
#[allow(clippy::needless_pass_by_value)]
fn failed(error: std::io::Error) -> Failure {
    Failure::Refused(format!("the terminal cannot be used: {error}"))
}
