//! A whole bridge at a warden in memory: its channel is opened from settings, as the warden opens it.

// Not every test uses everything.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clawrden_api::QueueEntry;
use clawrden_bridge::bridge::{Bridge, Options};
use clawrden_bridge::channel::{Any, Channel};
use clawrden_bridge::standing::Standing;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::entry::entry;
use crate::warden::FakeWarden;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The bridge, its warden, and a folder for both of its files and its secrets'.
pub struct House {
    pub warden: FakeWarden,
    pub folder: TempDir,
    pub standing: Standing,
    pub settings: Value,
    running: Option<JoinHandle<()>>,
}

/// An id as the warden makes them.
pub fn id(n: u32) -> String {
    format!("0190f3a1c2d34e5f8a9b0c1d{n:08x}")
}

/// A request of this command.
pub fn asked(n: u32, argv: &[&str]) -> QueueEntry {
    QueueEntry { id: id(n), callers: 1, expires_ms: u64::MAX / 2, ..entry(argv) }
}

/// A place that nobody listens at.
pub fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl House {
    /// One whose warden knows these users as these people, by a channel with these settings. Nothing runs yet.
    pub fn new(bound: &[(&str, &str)], settings: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warden = FakeWarden::with(bound);
        let mut house =
            Self { warden, folder, standing: Standing::default(), settings, running: None };
        house.settings["name"] = "ops".into();
        house
    }

    /// Has a secret stand in a file, under the key that names it.
    pub fn secret(&mut self, key: &str, text: &str) {
        let path = self.folder.path().join(key);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        self.settings[key] = json!(path);
    }

    pub fn channel(&self) -> Channel {
        serde_json::from_value(self.settings.clone()).unwrap()
    }

    /// The service alone.
    pub fn service(&self) -> Any {
        self.channel().open().unwrap().0
    }

    /// Starts the bridge, and waits until it hears the warden and people.
    pub async fn open(&mut self) {
        let channel = self.channel();
        let (service, secrets) = channel.open().unwrap();
        let options = Options {
            name: channel.name.clone(),
            state: PathBuf::from(self.folder.path()),
            routes: channel.routes(),
            flood: channel.flood,
            page: channel.page.clone(),
            tail: channel.tail,
        };
        self.standing = Standing::new(secrets);
        let (service, warden) = (Arc::new(service), Arc::new(self.warden.clone()));
        let bridge = Bridge::open(service, warden, self.standing.clone(), options).unwrap();
        self.running = Some(tokio::spawn(bridge.run()));
        soon("the bridge hears everybody", || {
            let state = self.standing.state();
            (state.follows && state.listens).then_some(())
        })
        .await;
    }

    /// As a crash does.
    pub async fn crash(&mut self) {
        let running = self.running.take().unwrap();
        running.abort();
        let _ = running.await;
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

/// Waits until there is something.
pub async fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
