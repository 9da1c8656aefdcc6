//! Hearing people, whichever way their updates come.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::timeout;

use super::asked::NotAsked;
use super::client::Refusal;
use super::ears::{Aside, Ears, ended, rest};
use super::question::Answering;
use super::settings::Hearing;
use super::speaking::TIMEOUT;
use super::update::{Bot, CALLBACK, COMMANDS, Meaning};
use super::wire::User;
use super::{Telegram, polling, webhook};
use crate::backoff::Backoff;
use crate::heard::{Failure, Heard, ReplyTo, Wants};
use crate::inbox::Inbox;

/// How long asking somebody for a reason may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(8);

/// What is said of a command that opens and is not of this time.
const TOO_LATE: &str = "This came more than ten minutes late and was not done. Send it again if it is still wanted (or set this machine's clock).";

/// What is said where everybody in a chat has seen a code.
const IN_PUBLIC: &str = "Everybody in this chat has seen that code. It is used up if it was taken, which is said here as well; if it was not, have another one made. Write to me alone with a code.";

/// What is said to who hides behind a group or a channel.
const ANONYMOUS: &str = "This was written in the name of a group or a channel, so nobody can tell whose it is, and nothing was done. Write it under your own name: as an administrator, without \"Remain anonymous\".";

impl Telegram {
    /// Hears until that makes no sense any more.
    pub(super) async fn hear(&self, inbox: &Inbox) -> Failure {
        let mut backoff = Backoff::from(self.settings.pause);
        let bot = loop {
            match self.me().await {
                Ok(bot) => break bot,
                Err(no @ Refusal::No { .. }) => return no.into(),
                Err(other) => {
                    let why = Failure::from(other.clone());
                    inbox.is_deaf(&why);
                    tracing::warn!(%why, "telegram cannot be heard yet");
                    rest(&mut backoff, &other).await;
                }
            }
            if inbox.is_closed() {
                return ended();
            }
        };
        self.tell_commands().await;
        let ears = Ears::new(bot, inbox);
        match &self.settings.hearing {
            Hearing::Polling => polling::poll(self, ears).await,
            Hearing::Webhook(hook) => webhook::serve(self, ears, inbox, hook).await,
        }
    }

    /// Who we are.
    pub(super) async fn me(&self) -> Result<Bot, Refusal> {
        let me: User = self.client.call("getMe", &json!({}), TIMEOUT).await?;
        Ok(Bot { id: me.id, username: me.username.unwrap_or_default() })
    }

    /// Fills the menu of commands. Without it they work as well.
    async fn tell_commands(&self) {
        let commands: Vec<Value> = COMMANDS
            .iter()
            .filter(|(name, _)| *name != "start")
            .map(|(command, description)| json!({ "command": command, "description": description }))
            .collect();
        let body = json!({ "commands": commands });
        if let Err(refusal) = self.client.call::<Value>("setMyCommands", &body, TIMEOUT).await {
            let why = Failure::from(refusal);
            tracing::debug!(%why, "telegram does not take the menu of commands");
        }
    }

    /// Asks for a reason, or says what is wrong. Where that fails, whoever tapped can tap again.
    pub(super) async fn do_aside(&self, Aside(meaning): Aside) {
        match meaning {
            Meaning::Ask { tap, message, answering } => {
                let text = self.ask(&tap, message, answering).await;
                let id = tap.to.address.as_deref().and_then(|it| it.strip_prefix(CALLBACK));
                let Some(id) = id else { return };
                if let Ok(Err(refusal)) = timeout(ASK_TIMEOUT, self.answer_tap(id, text)).await {
                    let why = Failure::from(refusal);
                    tracing::warn!(%why, "a tap could not be answered");
                }
            }
            Meaning::TooLate { to } => self.say(&to, TOO_LATE).await,
            Meaning::InPublic(heard) => self.say(&heard.to, IN_PUBLIC).await,
            Meaning::Anonymous { to } => self.say(&to, ANONYMOUS).await,
            Meaning::Nothing | Meaning::Heard(_) | Meaning::Denied(_) => {}
        }
    }

    /// Asks for a reason, and gives what the tap is answered.
    async fn ask(&self, tap: &Heard, message: i64, answering: Answering) -> &'static str {
        const FAILED: &str = "The question for the reason could not be sent; tap again.";
        let Wants::Answer { request, .. } = &tap.wants else { return FAILED };
        let what = format!("{} {answering:?} {request}", tap.to.place);
        match self.asked.note(Instant::now(), &tap.user, &what) {
            Ok(()) => {}
            Err(NotAsked::Already) => return "The question is there already: answer to it.",
            Err(NotAsked::TooMany) => return "Too many questions at once; tap again in a minute.",
        }
        let asking = self.ask_for_reason(&tap.to, &tap.shown, message, answering, request);
        match timeout(ASK_TIMEOUT, asking).await {
            Ok(Ok(())) => return "Say why, in answer to the question below.",
            Ok(Err(why)) => tracing::warn!(%why, "nobody can be asked for a reason"),
            Err(_) => tracing::warn!("telegram does not take a question in time"),
        }
        self.asked.forget(&tap.user, &what);
        FAILED
    }

    async fn say(&self, to: &ReplyTo, text: &str) {
        if let Ok(Err(why)) = timeout(ASK_TIMEOUT, self.tell_person(to, text)).await {
            tracing::warn!(%why, "what is wrong with a command could not be said");
        }
    }
}
