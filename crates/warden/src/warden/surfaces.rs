//! The surfaces by which people come, while they are served: the control socket, the API over TCP, and the channels.

use std::net::TcpListener;
use std::sync::Arc;

use clawrden_bridge::channel::Channel;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::control::Control;
use super::error::ServeError;
use super::{LAST_WORDS, Warden};
use crate::control::{self, Backend, Limits};
use crate::sockets::Bound;

/// Dropped, it leaves none of its sockets behind.
pub(super) struct Surfaces {
    serving: JoinSet<()>,
    /// True, or without its sender: they answer what is open and take nothing more.
    down: watch::Sender<bool>,
    _sockets: Vec<Bound>,
}

impl Surfaces {
    /// Begins to serve.
    ///
    /// # Errors
    /// When a listener cannot be used. A channel that cannot be started is told in the log.
    pub(super) fn open(
        warden: &Arc<Warden>,
        control: Bound,
        api: Option<TcpListener>,
        channels: Vec<Channel>,
    ) -> Result<Self, ServeError> {
        let down = watch::Sender::new(false);
        let backend: Arc<dyn Backend> = Arc::new(Control(Arc::clone(warden)));
        let access = &warden.access;
        let mut serving = JoinSet::new();
        let listener = control.listener().try_clone().and_then(tokio::net::UnixListener::from_std);
        let listener =
            listener.map_err(ServeError::system("the control socket cannot be listened on"))?;
        let shutdown = said(down.subscribe());
        serving.spawn(control::serve(listener, Arc::clone(&backend), Arc::clone(access), shutdown));
        let mut sockets = warden.start_channels(channels, &backend, &down.subscribe());
        sockets.push(control);
        if let Some(api) = api {
            let listener = tokio::net::TcpListener::from_std(api);
            let listener = listener.map_err(ServeError::system("the API cannot be listened on"))?;
            let (access, shutdown) = (Arc::clone(access), said(down.subscribe()));
            let limits = Limits::default();
            serving.spawn(control::serve_tcp(listener, backend, access, shutdown, limits));
        }
        if let Some((url, fingerprint)) = access.place() {
            tracing::info!(url, fingerprint, "the API is served over TCP");
        }
        Ok(Self { serving, down, _sockets: sockets })
    }

    /// Takes nothing more, and waits a little for what is being answered.
    pub(super) async fn close(&mut self) {
        self.down.send_replace(true);
        let all = async { while self.serving.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
    }
}

/// Resolves when they go down. It counts as said when nobody is left to say it.
pub(super) async fn said(mut down: watch::Receiver<bool>) {
    let _ = down.wait_for(|&down| down).await;
}
