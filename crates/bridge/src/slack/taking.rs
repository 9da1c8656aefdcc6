//! Taking what people did: it is queued before Slack is told that it came, so that nothing that was acknowledged is lost
//! and nobody waits for anything but the queue.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::interaction::{Done, Opening};
use super::modal;
use super::refusal::Refusal;
use super::speaking;
use super::web::Web;
use crate::heard::{Failure, Heard};
use crate::inbox::Inbox;

/// What waits to be passed on. More is not acknowledged: Slack tells the person that it did not work.
const QUEUE: usize = 256;

/// Dialogs that are opened at once. More are not.
const DIALOGS: usize = 16;

/// Where what people did goes.
#[derive(Debug)]
pub(super) struct Taking {
    web: Web,
    queue: mpsc::Sender<Heard>,
    inbox: Inbox,
    dialogs: Arc<Semaphore>,
}

/// There is no room.
#[derive(Debug)]
pub(super) struct Full;

/// Room for what was done.
pub(super) enum Taken<'a> {
    Heard(mpsc::PermitIterator<'a, Heard>, Vec<Heard>),
    Opening(Box<Opening>, tokio::sync::OwnedSemaphorePermit),
    Nothing,
}

impl Taking {
    pub(super) fn new(web: Web, inbox: Inbox) -> (Self, mpsc::Receiver<Heard>) {
        let (queue, taken) = mpsc::channel(QUEUE);
        (Self { web, queue, inbox, dialogs: Arc::new(Semaphore::new(DIALOGS)) }, taken)
    }

    /// Where it is said whether people are heard.
    pub(super) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    pub(super) fn web(&self) -> &Web {
        &self.web
    }

    /// Makes room. What follows must be an acknowledgement, and then [`Taken::go`].
    pub(super) fn take(&self, done: Done) -> Result<Taken<'_>, Full> {
        Ok(match done {
            Done::Heard(mut heard) => {
                let room = self.queue.try_reserve_many(heard.len()).map_err(|_| Full)?;
                // From here on it is done, whatever becomes of this process.
                heard.retain_mut(|one| self.inbox.keep(one));
                Taken::Heard(room, heard)
            }
            Done::Open(opening) => {
                let seat = Arc::clone(&self.dialogs).try_acquire_owned().map_err(|_| Full)?;
                Taken::Opening(opening, seat)
            }
            Done::Amend(_) | Done::Nothing => Taken::Nothing,
        })
    }

    /// Does it. It waits for nothing.
    pub(super) fn go(&self, taken: Taken<'_>) {
        match taken {
            Taken::Heard(room, heard) => room.zip(heard).for_each(|(place, one)| place.send(one)),
            Taken::Opening(opening, seat) => {
                let web = self.web.clone();
                tokio::spawn(async move {
                    open(&web, *opening).await;
                    drop(seat);
                });
            }
            Taken::Nothing => {}
        }
    }
}

/// Passes on until nobody wants it any more.
pub(super) async fn pass_on(taken: &mut mpsc::Receiver<Heard>, inbox: &Inbox) {
    // First the room: nothing is in our hands when this is given up.
    while let Ok(room) = inbox.room().await {
        tokio::select! {
            one = taken.recv() => {
                let Some(one) = one else { return };
                room.send(one);
            }
            () = inbox.closed() => return,
        }
    }
}

/// Opens a dialog, once: what allows it is good for 3 s.
async fn open(web: &Web, opening: Opening) {
    let Opening { trigger, mut view, to } = opening;
    let mut opened = web.call("views.open", &json!({ "trigger_id": trigger, "view": view })).await;
    let is_faulty =
        |refusal: &Refusal| refusal.is("invalid_arguments") || refusal.is("invalid_blocks");
    // The command as it stands in a message may be more than a dialog takes: it is still to be seen behind the dialog.
    if opened.as_ref().is_err_and(is_faulty) && modal::forget_command(&mut view) {
        opened = web.call("views.open", &json!({ "trigger_id": trigger, "view": view })).await;
    }
    let refusal = match opened {
        Ok(_) => return,
        // The tap came twice, and the dialog is open.
        Err(refusal) if refusal.is("exchanged_trigger_id") => return,
        Err(refusal) => refusal,
    };
    let why = Failure::from(refusal);
    tracing::warn!(%why, "a dialog could not be opened in slack");
    if let Err(failure) =
        speaking::tell(web, &to, &format!("The dialog could not be opened: {why}.")).await
    {
        tracing::debug!(%failure, "somebody in slack could not be told so");
    }
}
