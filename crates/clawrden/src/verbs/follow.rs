//! The queue as it is by now, told whenever it changes. The warden says when; nobody asks it over and over.

use std::time::Duration;

use clawrden_api::{ClientError, Event, EventStream, Queue};
use serde::Deserialize;

use crate::connection::Connection;
use crate::failure::Failure;

/// Changes that come within this time are one.
const GATHER: Duration = Duration::from_millis(50);

/// Between two looks for a warden that has gone.
const AGAIN: Duration = Duration::from_secs(1);

/// What there is to tell.
#[derive(Debug)]
pub(crate) enum Change {
    /// The queue, as it is by now, and who has answered what of it.
    Queue(Queue, Vec<Told>),
    /// Nobody answers, and why. What was known is from before.
    Gone(String),
}

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Told {
    /// `approved` or `denied`.
    pub(crate) event: String,
    /// What was answered.
    pub(crate) entry: String,
    /// Who did.
    pub(crate) approver: String,
}

/// Follows the queue of one warden, over its restarts.
pub(crate) struct Follow<'c> {
    connection: &'c Connection,
    events: Option<EventStream>,
    /// Something has changed that the queue was not read after.
    is_stale: bool,
    told: Vec<Told>,
    was_there: bool,
    told_gone: bool,
}

impl<'c> Follow<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            events: None,
            is_stale: false,
            told: Vec::new(),
            was_there: false,
            told_gone: false,
        }
    }

    /// Waits for the next change; the first is the queue as it is. Nothing is lost by giving up waiting.
    ///
    /// # Errors
    /// When the warden refuses, or was never there.
    pub(crate) async fn next(&mut self) -> Result<Change, Failure> {
        loop {
            match self.step().await {
                Ok(queue) => {
                    (self.was_there, self.told_gone) = (true, false);
                    return Ok(Change::Queue(queue, std::mem::take(&mut self.told)));
                }
                Err(error) => {
                    self.events = None;
                    if !self.was_there || matches!(error, ClientError::Api(_)) {
                        return Err(Connection::failure(error));
                    }
                    if !self.told_gone {
                        self.told_gone = true;
                        return Ok(Change::Gone(error.to_string()));
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// The queue is looked at again, whatever is heard.
    pub(crate) fn look_again(&mut self) {
        self.is_stale = true;
    }

    async fn step(&mut self) -> Result<Queue, ClientError> {
        let client = &self.connection.client;
        let Some(events) = &mut self.events else {
            // Listening comes first: what happens after the look is heard.
            let events = client.events().await?;
            let queue = client.queue().await?;
            (self.events, self.is_stale) = (Some(events), false);
            return Ok(queue);
        };
        let gone = || ClientError::BrokenOff { path: client.path().to_owned() };
        while !self.is_stale {
            let event = events.next().await?.ok_or_else(gone)?;
            self.is_stale = is_of_queue(&event.name);
            self.told.extend(told(&event));
        }
        let end = tokio::time::Instant::now() + GATHER;
        while let Ok(event) = tokio::time::timeout_at(end, events.next()).await {
            self.told.extend(told(&event?.ok_or_else(gone)?));
        }
        let queue = client.queue().await?;
        self.is_stale = false;
        Ok(queue)
    }
}

fn told(event: &Event) -> Option<Told> {
    let is_answer = event.name == "approved" || event.name == "denied";
    is_answer.then(|| serde_json::from_str(&event.data).ok())?
}

fn is_of_queue(event: &str) -> bool {
    const OF_QUEUE: [&str; 11] = [
        "waiting",
        "voted",
        "escalated",
        "approved",
        "denied",
        "expired",
        "parked",
        "caller_left",
        "reset",
        "stopped",
        "killed",
    ];
    OF_QUEUE.contains(&event)
}
