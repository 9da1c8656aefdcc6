//! The life of one channel, on its thread: it is set up, works, and is set up again when it has died.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clawrden_api::{Client, Trouble};
use clawrden_bridge::api::OverApi;
use clawrden_bridge::backoff::Backoff;
use clawrden_bridge::bridge::{Bridge, Options};
use clawrden_bridge::channel::{Any, Channel};
use clawrden_bridge::standing::{Part, Standing};
use clawrden_bridge::trial::steps;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Test;

/// A channel that has lived so long has recovered from what it died of before.
const RECOVERED: Duration = Duration::from_secs(60);

/// What a channel needs to live.
pub(super) struct Life {
    pub(super) channel: Channel,
    /// The socket by which it comes to the control API.
    pub(super) door: PathBuf,
    /// The folder of what it remembers.
    pub(super) state: PathBuf,
    pub(super) standing: Standing,
    pub(super) restarts: Arc<AtomicU64>,
    pub(super) closing: watch::Receiver<bool>,
}

impl Life {
    /// Lives until the warden goes down.
    pub(super) fn live(self, tests: mpsc::Receiver<Test>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => {
                runtime.block_on(self.live_until_closed(tests));
                runtime.shutdown_background();
            }
            Err(error) => {
                let why = format!("it has no event loop: {error}");
                let why = self.standing.failed(Part::Setup, Trouble::Broken, &why);
                tracing::error!(channel = self.channel.name, why, "a channel does not live");
            }
        }
    }

    async fn live_until_closed(self, mut tests: mpsc::Receiver<Test>) {
        let mut closing = self.closing.clone();
        let closed = async {
            // Nobody is left to say so: that counts as said.
            let _ = closing.wait_for(|&closing| closing).await;
        };
        tokio::select! {
            () = closed => {}
            () = self.live_on(&mut tests) => {}
        }
    }

    async fn live_on(&self, tests: &mut mpsc::Receiver<Test>) {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let mut works = JoinSet::new();
            let why = match self.open(&mut works) {
                Ok(service) => {
                    tracing::info!(channel = self.channel.name, "a channel works");
                    let why = self.work(&service, &mut works, tests).await;
                    self.restarts.fetch_add(1, Ordering::Relaxed);
                    why
                }
                Err(why) => why,
            };
            let why = self.standing.failed(Part::Setup, Trouble::Broken, &why);
            self.standing.note(|state| (state.follows, state.listens) = (false, false));
            tracing::warn!(channel = self.channel.name, why, "a channel is set up again");
            if began.elapsed() > RECOVERED {
                backoff = Backoff::default();
            }
            let mut rest = std::pin::pin!(sleep(backoff.wait()));
            loop {
                tokio::select! {
                    () = &mut rest => break,
                    Some(test) = tests.recv() => self.test(None, test),
                }
            }
        }
    }

    /// Works until it dies, and tells of what.
    async fn work(
        &self,
        service: &Arc<Any>,
        works: &mut JoinSet<()>,
        tests: &mut mpsc::Receiver<Test>,
    ) -> String {
        loop {
            tokio::select! {
                ended = works.join_next() => break match ended {
                    Some(Err(error)) => format!("it died: {error}"),
                    _ => "it ended".to_owned(),
                },
                Some(test) = tests.recv() => self.test(Some(Arc::clone(service)), test),
            }
        }
    }

    /// Sets it up, and has it work.
    fn open(&self, works: &mut JoinSet<()>) -> Result<Arc<Any>, String> {
        let (service, secrets) = self.channel.open().map_err(|error| error.to_string())?;
        self.standing.keep_secret(secrets);
        let service = Arc::new(service);
        let warden = Arc::new(OverApi::new(Client::unix(&self.door), &self.standing));
        let options = Options {
            name: self.channel.name.clone(),
            state: self.state.clone(),
            routes: self.channel.routes(),
            flood: self.channel.flood,
            page: self.channel.page.clone(),
            tail: self.channel.tail,
        };
        let bridge = Bridge::open(Arc::clone(&service), warden, self.standing.clone(), options);
        works.spawn(bridge.map_err(|error| error.to_string())?.run());
        self.standing.went_well(Part::Setup);
        Ok(service)
    }

    /// Tries the whole way, beside the work.
    fn test(&self, service: Option<Arc<Any>>, told: Test) {
        let (standing, places) = (self.standing.clone(), self.channel.routes().all());
        tokio::spawn(async move {
            let tried = steps(service.as_deref(), &standing, &places).await;
            // Whoever asked may have gone.
            let _ = told.try_send(tried);
        });
    }
}
