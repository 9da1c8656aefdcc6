//! A server around the backend.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clawrden_api::ChatService;
use clawrden_warden::control::{
    Access, ApiConfig, Backend, Limits, serve_bridge, serve_tcp, serve_with,
};
use clawrden_warden::sockets::{Bound, bind_private};

use super::fake::Fake;

/// A server that runs until it is dropped.
pub(crate) struct Served {
    pub(crate) path: PathBuf,
    /// Where it is served over TCP.
    pub(crate) address: SocketAddr,
    pub(crate) tokens: PathBuf,
    pub(crate) backend: Arc<Fake>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _bound: Bound,
    /// Where the warden's own bridge to Slack comes in.
    pub(crate) bridge: PathBuf,
    _bound_bridge: Bound,
    _folder: tempfile::TempDir,
}

impl Served {
    pub(crate) fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let bound = bind_private(&path, 0o600).unwrap();
        let listener = bound.listener().try_clone().unwrap();
        let bridge = folder.path().join("slack.sock");
        let bound_bridge = bind_private(&bridge, 0o600).unwrap();
        let over_bridge = bound_bridge.listener().try_clone().unwrap();
        let tokens = folder.path().join("tokens.json");
        let api = ApiConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            certificate: None,
            own_certificate: false,
            hosts: vec!["warden.example".to_owned()],
        };
        let (access, tcp) = Access::open(&tokens, Some(&api)).unwrap();
        let (access, tcp) = (Arc::new(access), tcp.unwrap());
        let address = tcp.local_addr().unwrap();
        let backend = Arc::new(Fake::default());
        let shared: Arc<dyn Backend> = Arc::clone(&backend) as Arc<dyn Backend>;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                let tcp = tokio::net::TcpListener::from_std(tcp).unwrap();
                let over_bridge = tokio::net::UnixListener::from_std(over_bridge).unwrap();
                let (end, ended) = tokio::sync::watch::channel(());
                let ends = |mut ended: tokio::sync::watch::Receiver<()>| async move {
                    drop(ended.changed().await);
                };
                let over_tcp = serve_tcp(
                    tcp,
                    Arc::clone(&shared),
                    Arc::clone(&access),
                    ends(ended.clone()),
                    limits,
                );
                let over_tcp = tokio::spawn(over_tcp);
                let over_bridge = tokio::spawn(serve_bridge(
                    over_bridge,
                    ChatService::Slack,
                    Arc::clone(&shared),
                    Arc::clone(&access),
                    ends(ended.clone()),
                ));
                let over_socket =
                    tokio::spawn(serve_with(listener, shared, access, ends(ended), limits));
                drop(stopped.await);
                drop(end);
                over_socket.await.unwrap();
                over_tcp.await.unwrap();
                over_bridge.await.unwrap();
            });
        });
        Self {
            path,
            address,
            tokens,
            backend,
            stop: Some(stop),
            thread: Some(thread),
            _bound: bound,
            bridge,
            _bound_bridge: bound_bridge,
            _folder: folder,
        }
    }

    /// An event that everybody hears.
    pub(crate) fn alarm(&self) {
        self.alarm_of("disk full");
    }

    /// The same, with words of its own.
    pub(crate) fn alarm_of(&self, error: &str) {
        let events = self.backend.told();
        events.alarm(error);
    }

    /// Stops the server and gives the socket up.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}
