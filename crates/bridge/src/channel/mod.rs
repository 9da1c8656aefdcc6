//! A channel as settings describe it: which service, by which secrets, and which places are told of what.

mod any;
mod secrets;

use std::net::SocketAddr;
use std::path::PathBuf;

use clawrden_api::{ChatService, Trust};
use serde::Deserialize;

pub use any::Any;
use secrets::Named;
pub use secrets::SecretError;

use crate::desktop::{self, Desktop};
use crate::floods::Flood;
use crate::http::{Http, HttpError};
use crate::routes::{Places, Route, Routes};
use crate::secret::Secret;
use crate::slack::{self, Slack};
use crate::telegram::{self, Telegram};
use crate::webhook::{self, Template, Webhook};

/// Characters of the longest name.
const MAX_NAME: usize = 32;

/// What a channel can be called, as a regular expression.
pub const NAME: &str = "^[A-Za-z0-9_-]{1,32}$";

/// A channel. What does not belong to its kind is refused, as whoever wrote it counts on it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Channel {
    /// Its name, for people and for the file of its state.
    pub name: String,
    /// The service.
    pub kind: Kind,
    /// Where what no route takes is told.
    pub to: Vec<String>,
    /// Places for what comes from a jail or a rule.
    pub routes: Vec<Route>,
    /// What is too much for one place at once.
    pub flood: Flood,
    /// The page of the warden, for messages to link to.
    pub page: Option<String>,
    /// Whether the end of what a recorded command wrote is told.
    pub tail: bool,
    /// Whom to trust for the service, instead of the authorities of this system.
    ca: Option<PathBuf>,
    /// Another address of the service.
    api: Option<String>,
    token: Option<Named>,
    app_token: Option<Named>,
    secret: Option<Named>,
    url: Option<Named>,
    listen: Option<SocketAddr>,
    template: Template,
}

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Slack.
    Slack,
    /// Telegram.
    Telegram,
    /// Any address.
    Webhook,
    /// The desktop of the warden's user.
    Desktop,
}

impl Kind {
    /// Its name, as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Telegram => "telegram",
            Self::Webhook => "webhook",
            Self::Desktop => "desktop",
        }
    }

    /// For whose users a bridge to it speaks; a desktop for nobody, and it says nothing either.
    #[must_use]
    pub fn speaks_for(self) -> ChatService {
        match self {
            Self::Slack => ChatService::Slack,
            Self::Telegram => ChatService::Telegram,
            Self::Webhook | Self::Desktop => ChatService::Webhook,
        }
    }

    /// The keys that it reads besides those of all.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Slack => &["token", "app_token", "secret", "listen", "api", "ca"],
            Self::Telegram => &["token", "secret", "url", "listen", "api", "ca"],
            Self::Webhook => &["token", "secret", "url", "listen", "template", "ca"],
            Self::Desktop => &[],
        }
    }
}

/// A channel as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    kind: Kind,
    #[serde(default)]
    to: Places,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default)]
    flood: Flood,
    page: Option<String>,
    #[serde(default = "yes")]
    tail: bool,
    ca: Option<PathBuf>,
    api: Option<String>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    app_token_file: Option<PathBuf>,
    app_token_env: Option<String>,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    url: Option<String>,
    url_file: Option<PathBuf>,
    url_env: Option<String>,
    listen: Option<SocketAddr>,
    template: Option<Template>,
}

fn yes() -> bool {
    true
}

impl TryFrom<Written> for Channel {
    type Error = String;

    fn try_from(it: Written) -> Result<Self, String> {
        let name = it.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if !(1..=MAX_NAME).contains(&name.len()) || !name.chars().all(plain) {
            return Err(format!(
                "{name:?} is no name of a channel: 1 to {MAX_NAME} letters, digits, _ and - make one"
            ));
        }
        let named = |what, file, env| Named::of(&name, what, file, env);
        let url = match (it.url, named("url", it.url_file, it.url_env)?) {
            (Some(url), None) => Some(Named::Plain(url)),
            (None, named) => named,
            (Some(_), Some(_)) => {
                return Err(format!("{name}: give one of url, url_file and url_env"));
            }
        };
        let token = named("token", it.token_file, it.token_env)?;
        let app_token = named("app_token", it.app_token_file, it.app_token_env)?;
        let secret = named("secret", it.secret_file, it.secret_env)?;
        let given = [
            ("token", token.is_some()),
            ("app_token", app_token.is_some()),
            ("secret", secret.is_some()),
            ("url", url.is_some()),
            ("listen", it.listen.is_some()),
            ("template", it.template.is_some()),
            ("api", it.api.is_some()),
            ("ca", it.ca.is_some()),
        ];
        let is_other = |(key, given): &&(&str, bool)| *given && !it.kind.keys().contains(key);
        if let Some((key, _)) = given.iter().find(is_other) {
            return Err(format!("{name}: a channel of kind {} has no {key}", it.kind.as_str()));
        }
        if let Some(page) = &it.page
            && !(page.starts_with("https://") || page.starts_with("http://"))
        {
            return Err(format!("{name}: {page:?} is no page; write https://HOST:PORT/"));
        }
        // These have one place.
        let only = match it.kind {
            Kind::Webhook => Some(webhook::PLACE),
            Kind::Desktop => Some(desktop::PLACE),
            Kind::Slack | Kind::Telegram => None,
        };
        let mut to = it.to.0;
        if let Some(only) = only {
            let named = it.routes.iter().flat_map(|route| &route.to.0).chain(&to);
            if let Some(other) = named.into_iter().find(|place| *place != only) {
                return Err(format!(
                    "{name}: {other:?} is no place of a {}; its only place is {only}",
                    it.kind.as_str()
                ));
            }
            if it.routes.is_empty() || !to.is_empty() {
                to = vec![only.to_owned()];
            }
        }
        if to.is_empty() && it.routes.iter().all(|route| route.to.0.is_empty()) {
            return Err(format!("{name}: nobody is told; `to` names a channel or chat"));
        }
        Ok(Self {
            to,
            kind: it.kind,
            routes: it.routes,
            flood: it.flood,
            page: it.page,
            tail: it.tail,
            ca: it.ca,
            api: it.api,
            token,
            app_token,
            secret,
            url,
            listen: it.listen,
            template: it.template.unwrap_or_default(),
            name,
        })
    }
}

/// Why a channel cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The service's certificates cannot be checked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Its service cannot be set up so.
    #[error("{0}")]
    Settings(String),
    /// Something is missing.
    #[error("the channel {name} has no {key}; {remedy}")]
    Missing {
        /// The channel.
        name: String,
        /// What is missing.
        key: &'static str,
        /// What to write.
        remedy: &'static str,
    },
}

impl ChannelError {
    // As it is given to `map_err`.
    #[allow(clippy::needless_pass_by_value)]
    fn settings(error: impl std::error::Error) -> Self {
        Self::Settings(error.to_string())
    }
}

impl Channel {
    /// Which places are told of what.
    #[must_use]
    pub fn routes(&self) -> Routes {
        Routes { routes: self.routes.clone(), default: self.to.clone() }
    }

    /// Whether people can answer by it.
    #[must_use]
    pub fn answers(&self) -> bool {
        match self.kind {
            Kind::Slack | Kind::Telegram => true,
            Kind::Webhook => self.listen.is_some(),
            Kind::Desktop => false,
        }
    }

    /// The service, with all of its secrets, which nobody may be told. Reads files.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn open(&self) -> Result<(Any, Vec<String>), ChannelError> {
        let read = |named: &Option<Named>| named.as_ref().map(Named::read).transpose();
        let (token, app_token) = (read(&self.token)?, read(&self.app_token)?);
        let (secret, url) = (read(&self.secret)?, read(&self.url)?);
        let all = [&token, &app_token, &secret].into_iter().flatten();
        let mut secrets: Vec<String> = all.map(|secret| secret.expose().to_owned()).collect();
        if self.kind == Kind::Webhook {
            secrets.extend(url.as_ref().map(|url| url.expose().to_owned()));
        }
        let any = match self.kind {
            Kind::Desktop => Any::Desktop(Desktop::default()),
            Kind::Webhook => {
                let url = self.needs(url, "url", "write url, url_file or url_env")?;
                let (template, listen) = (self.template, self.listen);
                let settings = webhook::Settings { url, template, secret, token, listen };
                let hook = Webhook::new(self.http()?, settings);
                Any::Webhook(Box::new(hook.map_err(ChannelError::settings)?))
            }
            Kind::Telegram => {
                let token =
                    self.needs(token, "token", "@BotFather tells it; token_file names its file")?;
                let settings = self.telegram(token, secret, url)?;
                let bot = Telegram::new(self.http()?, settings).map_err(ChannelError::settings)?;
                Any::Telegram(Box::new(bot))
            }
            Kind::Slack => {
                let remedy = "the app's page OAuth & Permissions has the bot's token";
                let token = self.needs(token, "token", remedy)?;
                let settings = self.slack(token, app_token, secret)?;
                let app = Slack::new(self.http()?, settings).map_err(ChannelError::settings)?;
                Any::Slack(Box::new(app))
            }
        };
        Ok((any, secrets))
    }

    fn slack(
        &self,
        token: Secret,
        app_token: Option<Secret>,
        secret: Option<Secret>,
    ) -> Result<slack::Settings, ChannelError> {
        let mut settings = match (app_token, self.listen, secret) {
            (Some(app_token), None, None) => slack::Settings::socket(token, app_token),
            (None, Some(listen), Some(secret)) => slack::Settings::events(token, listen, secret),
            (None, Some(_), None) => {
                let remedy = "it is the app's Signing Secret";
                return Err(ChannelError::Missing {
                    name: self.name.clone(),
                    key: "secret",
                    remedy,
                });
            }
            _ => {
                return Err(ChannelError::Settings(format!(
                    "{}: give an app_token for Socket Mode, or listen and secret to be called by Slack",
                    self.name
                )));
            }
        };
        if let Some(api) = &self.api {
            settings.api.clone_from(api);
        }
        Ok(settings)
    }

    fn telegram(
        &self,
        token: Secret,
        secret: Option<Secret>,
        url: Option<Secret>,
    ) -> Result<telegram::Settings, ChannelError> {
        let mut settings = telegram::Settings::polling(token);
        if let Some(api) = &self.api {
            settings.api.clone_from(api);
        }
        if let Some(listen) = self.listen {
            let url = self.needs(url, "url", "Telegram calls it, by https")?;
            let url = url.expose().to_owned();
            settings.hearing =
                telegram::Hearing::Webhook(telegram::Webhook { url, listen, secret });
        } else if url.is_some() || secret.is_some() {
            let remedy = "it is where the calls to url arrive here; leave all three out to poll";
            return Err(ChannelError::Missing { name: self.name.clone(), key: "listen", remedy });
        }
        Ok(settings)
    }

    fn http(&self) -> Result<Http, HttpError> {
        match &self.ca {
            Some(file) => Http::new(Trust::Authority(file)),
            None => Http::new(Trust::System),
        }
    }

    fn needs(
        &self,
        secret: Option<Secret>,
        key: &'static str,
        remedy: &'static str,
    ) -> Result<Secret, ChannelError> {
        secret.ok_or_else(|| ChannelError::Missing { name: self.name.clone(), key, remedy })
    }
}

#[cfg(test)]
mod tests;
