//! The Web API: JSON in, JSON out, a token in the head.

use std::time::Duration;

use serde_json::Value;

use super::refusal::Refusal;
use super::settings::Settings;
use crate::heard::Failure;
use crate::http::{self, Http, Outgoing};
use crate::secret::Secret;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long to rest where Slack wants it and does not say how long.
const REST: Duration = Duration::from_secs(30);

/// The Web API for one bot.
#[derive(Debug, Clone)]
pub(super) struct Web {
    http: Http,
    api: String,
    bot_token: Secret,
}

impl Web {
    pub(super) fn new(settings: &Settings, http: Http) -> Self {
        let api = settings.api.trim_end_matches('/').to_owned();
        Self { http, api, bot_token: settings.bot_token.clone() }
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// Calls a method, such as `chat.postMessage`, as the bot.
    pub(super) async fn call(&self, method: &str, body: &Value) -> Result<Value, Refusal> {
        self.call_as(&self.bot_token, method, body).await
    }

    /// The same with another token.
    pub(super) async fn call_as(
        &self,
        token: &Secret,
        method: &str,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let url = format!("{}/{method}", self.api);
        let outgoing = Outgoing::json(&url, body).bearer(token).timeout(TIMEOUT);
        let answer = self.http.send(outgoing).await;
        let answer = answer.map_err(|error| Refusal::Failed(error.into()))?;
        if answer.status == 429 {
            return Err(Refusal::Failed(Failure::Later(answer.retry_after.unwrap_or(REST))));
        }
        let json = answer.json();
        let is_ok = json.as_ref().and_then(|json| json["ok"].as_bool());
        match (is_ok, json) {
            (Some(true), Some(json)) if answer.status == 200 => Ok(json),
            (Some(false), Some(json)) => {
                let (error, needed) = (json["error"].as_str(), json["needed"].as_str());
                Err(Refusal::said(error, needed, answer.retry_after))
            }
            _ => Err(Refusal::Failed(nonsense(answer.status, answer.retry_after))),
        }
    }

    /// Says something at an address that came with a tap; `None` where it is none of Slack's.
    pub(super) async fn respond(&self, address: &str, body: &Value) -> Option<Result<(), Failure>> {
        if !self.is_ours(address) {
            return None;
        }
        let outgoing = Outgoing::json(address, body).timeout(TIMEOUT);
        Some(match self.http.send(outgoing).await {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) if answer.status == 429 => {
                Err(Failure::Later(answer.retry_after.unwrap_or(REST)))
            }
            // It is good for half an hour and five answers.
            Ok(answer) if answer.status < 500 => return None,
            Ok(answer) => Err(nonsense(answer.status, answer.retry_after)),
            Err(error) => Err(error.into()),
        })
    }

    /// Whether an address is of the host that goes with the API's: `hooks.slack.com` with `slack.com`. A payload does not
    /// say where else we send something.
    fn is_ours(&self, address: &str) -> bool {
        let (api, place) = (http::shown(&self.api), http::shown(address));
        match api.strip_prefix("https://") {
            Some(host) => place == format!("https://hooks.{host}") || place == api,
            None => place == api,
        }
    }
}

/// An answer that is none of the API's.
fn nonsense(status: u16, retry_after: Option<Duration>) -> Failure {
    match retry_after {
        Some(rest) => Failure::Later(rest),
        None => Failure::Now(format!(
            "slack answers with status {status} and nothing that is understood"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clawrden_api::Trust;

    use super::*;

    #[test]
    fn nothing_is_said_but_to_slack() {
        let web = |api: &str| {
            let mut settings = Settings::socket(Secret::new("xoxb-1"), Secret::new("xapp-1"));
            settings.api = api.to_owned();
            Web::new(&settings, Http::new(Trust::System).unwrap())
        };
        let slack = web("https://slack.com/api/");
        assert!(slack.is_ours("https://hooks.slack.com/actions/T1/2/x"));
        assert!(slack.is_ours("https://slack.com/api/x"));
        for other in [
            "https://hooks.slack.com.evil.example/x",
            "https://evil.example/hooks.slack.com",
            "http://hooks.slack.com/x",
            "https://hooks.slack.com:444/x",
            "http://127.0.0.1:1/",
            "x",
        ] {
            assert!(!slack.is_ours(other), "{other}");
        }
        assert!(web("http://127.0.0.1:9/api").is_ours("http://127.0.0.1:9/hook/1"));
        assert!(!web("http://127.0.0.1:9/api").is_ours("http://127.0.0.1:8/hook/1"));
    }
}
