//! A webhook: Telegram calls, says a secret, and calls again until it is told that an update was handed on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::{Method, StatusCode};
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::Telegram;
use super::client::Refusal;
use super::ears::{AT_ONCE, Ears, ended, rest};
use super::settings::Webhook;
use crate::backoff::Backoff;
use crate::heard::Failure;
use crate::inbox::Inbox;
use crate::listener::{self, Call};
use crate::secret::Secret;

/// In what Telegram says its secret.
const SECRET: &str = "x-telegram-bot-api-secret-token";

/// How long a call may wait until its update is handed on. Then Telegram is asked to call again.
const HAND_ON_TIMEOUT: Duration = Duration::from_secs(20);

/// How often it is looked whether Telegram calls us still.
const LOOK: Duration = Duration::from_secs(300);

/// Calls that wait to be handed on.
const MAX_WAITING: usize = 64;

/// An update, and whom to tell that it was handed on.
type Called = (Value, oneshot::Sender<()>);

/// Listens until that makes no sense any more.
pub(super) async fn serve(
    telegram: &Telegram,
    ears: Ears<'_>,
    inbox: &Inbox,
    hook: &Webhook,
) -> Failure {
    let listener = match listener::bind(hook.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            return Failure::Now(format!(
                "telegram's calls cannot come in at {}: {error}",
                hook.listen
            ));
        }
    };
    let secret = hook.secret(&telegram.settings.token);
    let (called, calls) = mpsc::channel::<Called>(MAX_WAITING);
    let door = Arc::new(Door { path: path(&hook.url), secret: secret.clone(), called });
    let serving = listener::serve(listener, move |call| {
        let door = Arc::clone(&door);
        async move { door.answer(&call).await.into() }
    });
    tokio::select! {
        never = serving => match never {},
        failure = keep_called(telegram, inbox, &hook.url, &secret) => failure,
        () = hand_on(telegram, ears, calls) => ended(),
    }
}

/// The path of an address: what is called otherwise is not meant for us.
fn path(url: &str) -> String {
    let host = url.strip_prefix("https://").unwrap_or(url);
    let path = host.find('/').map_or("/", |at| &host[at..]);
    path.split(['?', '#']).next().unwrap_or(path).to_owned()
}

struct Door {
    path: String,
    secret: Secret,
    called: mpsc::Sender<Called>,
}

impl Door {
    async fn answer(&self, call: &Call) -> StatusCode {
        let said = call.headers.get(SECRET).map(hyper::header::HeaderValue::as_bytes);
        let is_known =
            said.is_some_and(|said| bool::from(said.ct_eq(self.secret.expose().as_bytes())));
        if !is_known {
            return StatusCode::UNAUTHORIZED;
        }
        if call.method != Method::POST || call.path != self.path {
            return StatusCode::NOT_FOUND;
        }
        let Ok(update) = serde_json::from_slice(&call.body) else {
            // Telegram would call with it again and again.
            tracing::debug!("a call of telegram is no JSON");
            return StatusCode::OK;
        };
        let (done, is_done) = oneshot::channel();
        let handed_on = async {
            self.called.send((update, done)).await.ok()?;
            is_done.await.ok()
        };
        match timeout(HAND_ON_TIMEOUT, handed_on).await {
            Ok(Some(())) => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Hands updates on, one after the other; what else is to be done about them keeps nobody waiting.
async fn hand_on(telegram: &Telegram, mut ears: Ears<'_>, mut calls: mpsc::Receiver<Called>) {
    let mut aside = FuturesUnordered::new();
    loop {
        let called = tokio::select! {
            called = calls.recv(), if aside.len() < AT_ONCE => called,
            Some(()) = aside.next() => continue,
        };
        let Some((update, done)) = called else { return };
        let Ok((_, more)) = ears.take(update).await else { return };
        aside.push(async move {
            if let Some(more) = more {
                telegram.do_aside(more).await;
            }
            // The call may have been given up.
            let _ = done.send(());
        });
    }
}

/// Has Telegram call us, and looks now and then whether it does still.
async fn keep_called(telegram: &Telegram, inbox: &Inbox, url: &str, secret: &Secret) -> Failure {
    let mut backoff = Backoff::from(telegram.settings.pause);
    let (mut is_set, mut hearing) = (false, None);
    loop {
        let done = match is_set {
            true => telegram.is_called(url).await,
            false => telegram.set_webhook(url, secret.expose()).await.map(|()| true),
        };
        match done {
            Ok(true) => {
                is_set = true;
                hearing.get_or_insert_with(|| inbox.hearing());
                backoff.reset();
                sleep(LOOK).await;
            }
            Ok(false) => {
                tracing::warn!("telegram called somebody else, and is told again to call here");
                is_set = false;
                hearing = None;
            }
            Err(no @ Refusal::No { .. }) => return no.into(),
            Err(refusal) => {
                let why = Failure::from(refusal.clone());
                if hearing.is_none() {
                    inbox.is_deaf(&why);
                }
                tracing::warn!(%why, "telegram is not told where to call");
                rest(&mut backoff, &refusal).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn the_path_is_that_of_the_address() {
        for (url, expected) in [
            ("https://b.example", "/"),
            ("https://b.example/", "/"),
            ("https://b.example:8443/telegram/x?y#z", "/telegram/x"),
        ] {
            assert_eq!(path(url), expected);
        }
    }
}
