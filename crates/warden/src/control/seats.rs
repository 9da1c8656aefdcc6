//! The connections of the control API: so many at once. Who has only sat there for a while makes room for a newcomer;
//! who is known and being served, to the last byte of the answer, never does.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How long a connection may sit without being served before it has to make room. A client that means it says at once
/// what it wants.
const WELCOME: Duration = Duration::from_millis(100);

/// All seats.
pub(super) struct Seats {
    limit: usize,
    taken: Mutex<Taken>,
    freed: Arc<Notify>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    seats: BTreeMap<u64, Arc<Seat>>,
}

/// One connection's seat.
pub(super) struct Seat {
    /// `None` while it is being served.
    idle_since: Mutex<Option<Instant>>,
    leave: Notify,
    /// Its last request came from somebody who is known.
    is_known: AtomicBool,
    /// What was said last is not all written.
    is_writing: AtomicBool,
    /// It needs no seat any more, and is not sent away.
    stands: AtomicBool,
    freed: Arc<Notify>,
}

/// A seat that is taken, until this is dropped.
pub(super) struct Seated {
    seats: Arc<Seats>,
    number: u64,
    pub(super) seat: Arc<Seat>,
}

/// A request is being served, until this is dropped.
pub(super) struct Serving(Arc<Seat>);

/// The body of an answer, and that it is being given.
struct Served {
    body: Body,
    _serving: Serving,
}

impl Seats {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: Mutex::default(), freed: Arc::default() })
    }

    /// A seat: a free one, that of the connection that has sat idle for longest, or the next that gets free.
    pub(super) async fn sit(self: &Arc<Self>) -> Seated {
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            match self.try_sit() {
                Ok(seated) => return seated,
                Err(Some(later)) => {
                    tokio::select! {
                        () = freed => {}
                        () = sleep_until(later) => {}
                    }
                }
                Err(None) => freed.await,
            }
        }
    }

    /// Else when there may be one: `None` when all are being served.
    fn try_sit(self: &Arc<Self>) -> Result<Seated, Option<Instant>> {
        let mut taken = self.taken();
        if taken.seats.len() >= self.limit {
            taken.seats.retain(|_, seat| !seat.stands.load(Ordering::SeqCst));
        }
        if taken.seats.len() >= self.limit {
            let idle = |(&number, seat): (&u64, &Arc<Seat>)| Some((seat.idle_since()?, number));
            let (since, number) = taken.seats.iter().filter_map(idle).min().ok_or(None)?;
            let later = since + WELCOME;
            if Instant::now() < later {
                return Err(Some(later));
            }
            if let Some(seat) = taken.seats.remove(&number) {
                seat.leave.notify_one();
            }
        }
        let number = taken.next;
        taken.next += 1;
        let seat = Arc::new(Seat {
            idle_since: Mutex::new(Some(Instant::now())),
            leave: Notify::new(),
            is_known: AtomicBool::new(false),
            is_writing: AtomicBool::new(false),
            stands: AtomicBool::new(false),
            freed: Arc::clone(&self.freed),
        });
        taken.seats.insert(number, Arc::clone(&seat));
        Ok(Seated { seats: Arc::clone(self), number, seat })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Somebody who is known is being served from here on.
    pub(super) fn serve(self: &Arc<Self>) -> Serving {
        self.is_known.store(true, Ordering::SeqCst);
        self.set(None);
        Serving(Arc::clone(self))
    }

    /// Somebody asked of whom nothing is known.
    pub(super) fn hear_stranger(&self) {
        self.is_known.store(false, Ordering::SeqCst);
    }

    /// Whether there is something to write that the other end does not take yet.
    pub(super) fn write(&self, is_writing: bool) {
        if self.is_writing.swap(is_writing, Ordering::SeqCst) && !is_writing {
            self.freed.notify_one();
        }
    }

    /// It is served for as long as it lasts, and another may sit down.
    pub(super) fn stand(&self) {
        self.stands.store(true, Ordering::SeqCst);
        self.freed.notify_waiters();
        self.freed.notify_one();
    }

    fn idle_since(&self) -> Option<Instant> {
        if self.is_known.load(Ordering::SeqCst) && self.is_writing.load(Ordering::SeqCst) {
            return None;
        }
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, idle_since: Option<Instant>) {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = idle_since;
    }

    /// Resolves when the connection has to go.
    pub(super) async fn gone(&self) {
        self.leave.notified().await;
    }
}

impl Serving {
    /// The same answer, served until its body is given.
    pub(super) fn until_given(self, response: Response) -> Response {
        response.map(|body| Body::new(Served { body, _serving: self }))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.set(Some(Instant::now()));
        self.0.freed.notify_one();
    }
}

impl HttpBody for Served {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.seats.taken().seats.remove(&self.number);
        self.seats.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn the_oldest_that_is_not_served_goes() {
        let seats = Seats::new(2);
        let (first, second) = (seats.sit().await, seats.sit().await);
        let serving = first.seat.serve();
        let begin = Instant::now();
        let third = seats.sit().await;
        assert!(begin.elapsed() >= WELCOME - Duration::from_millis(20), "it came at once");
        timeout(Duration::from_secs(5), second.seat.gone()).await.unwrap();
        let busy = third.seat.serve();
        assert!(timeout(3 * WELCOME, seats.sit()).await.is_err(), "all are served");
        drop(busy);
        let fourth = timeout(Duration::from_secs(5), seats.sit()).await.unwrap();
        timeout(Duration::from_secs(5), third.seat.gone()).await.unwrap();
        drop(serving);
        // What it was told is not all written: nobody cuts that, unless nobody knows who asked.
        first.seat.write(true);
        let last = fourth.seat.serve();
        assert!(timeout(3 * WELCOME, seats.sit()).await.is_err(), "its answer is being written");
        first.seat.hear_stranger();
        let fifth = timeout(Duration::from_secs(5), seats.sit()).await.unwrap();
        timeout(Duration::from_secs(5), first.seat.gone()).await.unwrap();
        drop((last, fifth));
        drop((first, second, third, fourth));
        assert!(seats.taken().seats.is_empty());
    }
}
