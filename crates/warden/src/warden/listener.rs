//! Accepting connections, for as long as the warden serves.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::watch;

use super::Warden;
use crate::caller::Caller;
use crate::intercom::{Door, Line};
use crate::jails::Jail;
use crate::request::conduct;
use crate::sys::limits::is_last_descriptor;
use crate::sys::peer::peer_of;

/// How long to wait after `accept` failed for want of descriptors or memory.
const BREATH: Duration = Duration::from_millis(5);

/// Half-open connections that are closed at once when descriptors run out.
const ROOM: usize = 8;

/// Serves `jail`'s socket until `closing`.
pub(super) async fn listen(
    warden: Arc<Warden>,
    jail: Arc<Jail>,
    listener: UnixListener,
    mut closing: watch::Receiver<bool>,
) {
    let line = Arc::new(Line::default());
    let door = match Door::new(listener) {
        Ok(door) => door,
        Err(error) => {
            tracing::error!(%error, jail = %jail.name, "a jail's door cannot be watched, and nobody comes in");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = async { line.has_room().await; door.next().await } => accepted,
            _ = closing.changed() => return,
        };
        let connection = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                // Out of descriptors or memory: those in use come back, and the backlog keeps who waits.
                warden.gate.evict_oldest(ROOM);
                tracing::warn!(%error, jail = %jail.name, "accepting a connection failed");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let peer = connection.fd().and_then(|fd| Ok((peer_of(fd)?, is_last_descriptor(fd))));
        let (peer, is_last) = match peer {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(%error, jail = %jail.name, "a caller could not be identified");
                continue;
            }
        };
        let place = if is_last {
            warden.gate.evict_oldest(ROOM);
            warden.narrows.enter().await
        } else {
            None
        };
        let pass = warden.gate.enter(peer.pid.unwrap_or(0));
        let (warden, jail, line) = (Arc::clone(&warden), Arc::clone(&jail), Arc::clone(&line));
        let conducted = conduct(warden, jail, Caller::new(peer), connection, (pass, place), line);
        // Boxed: a task's future is moved several times on its way to where it lives.
        tokio::spawn(Box::pin(conducted));
        // Its request is there mostly, and is answered before the next one is looked for.
        tokio::task::yield_now().await;
    }
}
