//! The whole way, step by step: `clawrden notify test`.

use serde_json::json;

use super::refusal::Refusal;
use super::settings::Hearing;
use super::web::Web;
use super::{socket, speaking};
use crate::heard::Failure;
use crate::listener;
use crate::service::{Posted, Step};

/// Tries each step; the last one is the first that failed.
pub(super) async fn test(web: &Web, hearing: &Hearing, place: &str) -> Vec<Step> {
    let mut steps = Steps::default();
    let _ = try_all(web, hearing, place, &mut steps).await;
    steps.0
}

#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    /// Notes a step; `None` where it failed, so that nothing more is tried.
    fn note<T>(&mut self, what: impl Into<String>, came: Result<T, Failure>) -> Option<T> {
        let (failed, came) = match came {
            Ok(came) => (None, Some(came)),
            Err(failure) => (Some(failure.to_string()), None),
        };
        self.0.push(Step { what: what.into(), failed });
        came
    }
}

/// Whether something can be posted there, as far as can be told without it.
pub(super) async fn check(web: &Web, place: &str) -> Result<(), Failure> {
    web.call("auth.test", &json!({})).await?;
    there(web, place).await.1
}

async fn try_all(web: &Web, hearing: &Hearing, place: &str, steps: &mut Steps) -> Option<()> {
    let known = web.call("auth.test", &json!({})).await.map_err(Failure::from);
    steps.note("the bot token is valid", known)?;
    match hearing {
        Hearing::Socket { app_token } => {
            let opened = async {
                let mut stream = socket::open(web, app_token).await?;
                socket::greeted(&mut stream).await?;
                let _ = stream.close(None).await;
                Ok(())
            };
            steps.note("the app token opens a socket", opened.await)?;
        }
        Hearing::Events { listen, .. } => {
            let bound = match listener::bind(*listen).await {
                Ok(_) => Ok(()),
                // The bridge itself listens there.
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Ok(()),
                Err(error) => Err(Failure::Never(format!("{listen}: {error}"))),
            };
            steps.note("calls of Slack can be listened for", bound)?;
        }
    }
    let (what, is_there) = there(web, place).await;
    steps.note(what, is_there)?;
    let text = "clawrden notify test: this can be posted.";
    let posted = speaking::post(web, place, None, speaking::said(text)).await;
    let posted = steps.note("a message can be posted", posted)?;
    let edited = edited(web, &posted).await;
    steps.note("the message can be edited", edited)
}

/// Whether the bot is in the channel. Without the scope to ask for that, posting tells.
async fn there(web: &Web, place: &str) -> (&'static str, Result<(), Failure>) {
    const WHAT: &str = "the bot is in the channel";
    let is_id =
        place.len() >= 9 && place.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if !is_id {
        let why = format!(
            "{place:?} is no channel's id; it begins with C and stands at the end of the channel's details"
        );
        return (WHAT, Err(Failure::Never(why)));
    }
    if place.starts_with(['U', 'W', 'D']) {
        return ("the place is a person", Ok(()));
    }
    let answer = match web.call("conversations.info", &json!({ "channel": place })).await {
        Ok(answer) => answer,
        Err(Refusal::Said { error, .. }) if error == "missing_scope" => {
            return ("the channel is not looked up (no scope channels:read)", Ok(()));
        }
        Err(refusal) => return (WHAT, Err(refusal.into())),
    };
    let channel = &answer["channel"];
    let said = |why: &str| Err(Failure::from(Refusal::said(Some(why), None, None)));
    let came = if channel["is_archived"] == true {
        said("is_archived")
    } else if channel["is_member"] == false {
        said("not_in_channel")
    } else {
        Ok(())
    };
    (WHAT, came)
}

async fn edited(web: &Web, posted: &Posted) -> Result<(), Failure> {
    let text = "clawrden notify test: this was posted and edited.";
    Ok(speaking::edit(web, posted, speaking::said(text)).await?)
}
