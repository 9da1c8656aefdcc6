//! Where a service puts what it hears. What is kept here is done even when this process dies before it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::heard::{Failure, Heard};
use crate::standing::{Part, Standing};
use crate::taps::Taps;

/// Where what is heard goes. Clones are the same.
#[derive(Debug, Clone)]
pub struct Inbox {
    room: mpsc::Sender<Heard>,
    standing: Standing,
    /// How many ways people are heard by at this moment.
    hearing: Arc<AtomicUsize>,
    taps: Option<Arc<Mutex<Taps>>>,
}

/// Nobody wants to hear it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// There is no room at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// People are heard, until this is dropped.
#[derive(Debug)]
pub struct Hearing(Inbox);

impl Inbox {
    /// One with so much room, which keeps nothing, and where its contents come out.
    #[must_use]
    pub fn new(room: usize, standing: Standing) -> (Self, mpsc::Receiver<Heard>) {
        let (sender, heard) = mpsc::channel(room);
        (Self { room: sender, standing, hearing: Arc::default(), taps: None }, heard)
    }

    /// The same, keeping what is heard.
    pub(crate) fn keeping(mut self, taps: Arc<Mutex<Taps>>) -> Self {
        self.taps = Some(taps);
        self
    }

    /// Says that people are heard, for as long as what it gives is there.
    #[must_use]
    pub fn hearing(&self) -> Hearing {
        self.standing.note(|state| {
            self.hearing.fetch_add(1, Ordering::SeqCst);
            state.listens = true;
        });
        self.standing.went_well(Part::Hearing);
        Hearing(self.clone())
    }

    /// Says why nobody is heard, where a service goes on trying by itself.
    pub fn is_deaf(&self, why: &Failure) {
        self.standing.refused(Part::Hearing, why);
    }

    /// Keeps something, so that it can be acknowledged before it is passed on. False: it came before, and is not to be
    /// passed on again.
    pub fn keep(&self, heard: &mut Heard) -> bool {
        let now_ms = crate::clock::now_ms();
        heard.said_ms = Some(heard.said_ms.map_or(now_ms, |said_ms| said_ms.min(now_ms)));
        let Some(taps) = &self.taps else { return true };
        taps.lock().unwrap_or_else(PoisonError::into_inner).keep(heard)
    }

    /// Keeps something and passes it on when there is room.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn put(&self, mut heard: Heard) -> Result<(), Closed> {
        if self.keep(&mut heard) { self.room().await.map(|room| room.send(heard)) } else { Ok(()) }
    }

    /// Waits for room to pass on something that is kept.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn room(&self) -> Result<mpsc::Permit<'_, Heard>, Closed> {
        self.room.reserve().await.map_err(|_| Closed)
    }

    /// Room, if there is some.
    ///
    /// # Errors
    /// [`Full`].
    pub fn room_now(&self) -> Result<mpsc::Permit<'_, Heard>, Full> {
        self.room.try_reserve().map_err(|_| Full)
    }

    /// Whether nobody wants to hear anything any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.room.is_closed()
    }

    /// Waits until nobody wants to hear anything any more.
    pub async fn closed(&self) {
        self.room.closed().await;
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.0.standing.note(|state| {
            state.listens = self.0.hearing.fetch_sub(1, Ordering::SeqCst) > 1;
        });
    }
}
