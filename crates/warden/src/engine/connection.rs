//! Finding the engine, agreeing on a version of its API, and bounding every call in time.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bollard::models::SystemInfo;
use bollard::{ClientVersion, Docker};
use hyper::Uri;
use tokio::sync::OnceCell;

use super::error::{EngineError, Kind, cut};
use super::greeting::{self, Greeting};
use super::{About, Details, Engine, Known};

/// How long a question may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the engine may take to describe itself. Podman asks the machine's package manager about its parts then: for
/// one of 5.4 that took 10 to 12 seconds on a busy machine, for one of 4.3 there 2 to 3.
const DESCRIPTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a change may take: creating, starting, removing, which wait for disks and for other changes.
pub const CHANGE_TIMEOUT: Duration = Duration::from_secs(120);

/// The oldest version of the API that serves: Docker 20.10's.
pub const OLDEST_API: (usize, usize) = (1, 41);

/// Of the client library, whose own limit would end calls that may last, such as waiting. Ours are around every call.
const NO_LIMIT: u64 = 10 * 365 * 24 * 60 * 60;

/// Who owns what belongs to somebody outside of our user namespace.
const OVERFLOW: u32 = 65_534;

/// An engine that answered.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) docker: Docker,
    pub(super) about: About,
    /// What it told when it was asked to describe itself, which it is when it is found.
    details: Arc<OnceCell<Details>>,
}

/// What a call is about, for its limit and its error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// What is to be done, such as `inspect a container`.
    pub(super) what: &'static str,
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    pub(super) limit: Duration,
}

impl<'a> Call<'a> {
    /// A question about something.
    pub(super) fn question(what: &'static str, kind: Kind, name: &'a str) -> Self {
        Self { what, kind, name, limit: CALL_TIMEOUT }
    }

    /// A change to something.
    pub(super) fn change(what: &'static str, kind: Kind, name: &'a str) -> Self {
        Self { what, kind, name, limit: CHANGE_TIMEOUT }
    }

    /// What the client library's error means for this call.
    pub(super) fn error(&self, address: &str, error: bollard::errors::Error) -> EngineError {
        use bollard::errors::Error;
        let (kind, name) = (self.kind, self.name.to_owned());
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                let message = cut(&message);
                match status_code {
                    404 => EngineError::NotFound { kind, name, message },
                    409 => EngineError::Conflict { kind, name, message },
                    500 if is_conflict(&message) => EngineError::Conflict { kind, name, message },
                    // Docker's, of a registry that has no such tag.
                    500 if message.contains("manifest unknown") => {
                        EngineError::NotFound { kind, name, message }
                    }
                    // Podman's, of a network that a container is to be made with.
                    500 if message.ends_with("network not found") => {
                        EngineError::NotFound { kind, name, message }
                    }
                    status => EngineError::Refused { status, message },
                }
            }
            Error::DockerStreamError { error } => {
                EngineError::Refused { status: 200, message: cut(&error) }
            }
            Error::JsonDataError { .. } | Error::JsonSerdeError { .. } => {
                EngineError::Unreadable { call: self.what, why: cut(&error.to_string()) }
            }
            Error::SocketNotFoundError(_)
            | Error::IOError { .. }
            | Error::HyperResponseError { .. }
            | Error::HyperLegacyError { .. } => unreachable(address, &error),
            other => EngineError::Unreadable { call: self.what, why: cut(&other.to_string()) },
        }
    }
}

/// What Podman says, and Docker of a container that is not frozen, where it is another state that is wanted.
fn is_conflict(message: &str) -> bool {
    message.ends_with("container state improper") || message.ends_with("is not paused")
}

/// An engine whose socket gives no connection, or whose connection broke.
fn unreachable(address: &str, error: &bollard::errors::Error) -> EngineError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut why = error.to_string();
    while let Some(error) = source {
        why = error.to_string();
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
            return EngineError::Forbidden { address: address.to_owned(), why: cut(&why) };
        }
        source = error.source();
    }
    EngineError::Absent { address: address.to_owned(), why: cut(&why) }
}

impl Engine {
    /// What the engine is. Connects if nothing is connected.
    ///
    /// # Errors
    /// [`EngineError::Absent`] and its like ([`EngineError::is_absent`]) when there is none.
    pub async fn about(&self) -> Result<About, EngineError> {
        Ok(self.connection().await?.about)
    }

    /// What the engine tells when it describes itself, which may take it up to a minute.
    ///
    /// # Errors
    /// As of [`Self::about`].
    pub async fn details(&self) -> Result<Details, EngineError> {
        let connection = self.connection().await?;
        connection.details().await.inspect_err(|error| self.notice(error))
    }

    /// Whether root in its containers is not root of the host. Where it is plain by whose engine it is, that is said at once.
    ///
    /// # Errors
    /// As of [`Self::about`].
    pub async fn maps_users(&self) -> Result<bool, EngineError> {
        if is_users(&self.about().await?) {
            return Ok(true);
        }
        Ok(self.details().await?.maps_users)
    }

    /// Does one call, within its limit.
    pub(super) async fn call<T>(
        &self,
        call: Call<'_>,
        ask: impl AsyncFnOnce(Docker) -> Result<T, bollard::errors::Error>,
    ) -> Result<T, EngineError> {
        let connection = self.connection().await?;
        let answer = tokio::time::timeout(call.limit, ask(connection.docker)).await;
        let answer = match answer {
            Ok(answer) => answer.map_err(|error| call.error(&connection.about.address, error)),
            Err(_) => Err(EngineError::TimedOut { call: call.what, after: call.limit }),
        };
        answer.inspect_err(|error| self.notice(error))
    }

    /// Remembers that the engine is gone, so that the next call looks for it anew.
    pub(super) fn notice(&self, error: &EngineError) {
        if error.is_absent() {
            *self.known() = Known::Lost(error.clone());
        }
    }

    /// The connection that there is, or a new one.
    pub(super) async fn connection(&self) -> Result<Connection, EngineError> {
        if let Known::Connected(connection) = &*self.known() {
            return Ok(connection.clone());
        }
        let looks = &self.shared.looks;
        let before = looks.load(Ordering::SeqCst);
        let _turn = self.shared.connecting.lock().await;
        match &*self.known() {
            Known::Connected(connection) => return Ok(connection.clone()),
            Known::Lost(error) if looks.load(Ordering::SeqCst) != before => {
                return Err(error.clone());
            }
            Known::Lost(_) | Known::Nothing => {}
        }
        let found = self.find().await;
        *self.known() = match &found {
            Ok(connection) => Known::Connected(connection.clone()),
            Err(error) => Known::Lost(error.clone()),
        };
        looks.fetch_add(1, Ordering::SeqCst);
        found
    }

    async fn find(&self) -> Result<Connection, EngineError> {
        let mut found = Err(EngineError::Unwanted);
        for socket in self.shared.address.sockets() {
            let tried = connect(&socket).await;
            if tried.is_ok() {
                return tried;
            }
            // Of several, the most telling: one that is there and refuses says more than one that is not there.
            if !matches!(found, Err(EngineError::Forbidden { .. } | EngineError::TooOld { .. })) {
                found = tried;
            }
        }
        let address = self.shared.address.to_string();
        found.map_err(|error| match error {
            EngineError::Absent { why, .. } => EngineError::Absent { address, why },
            other => other,
        })
    }
}

async fn connect(socket: &Path) -> Result<Connection, EngineError> {
    let address = format!("unix://{}", socket.display());
    let call = Call::question("answer", Kind::Engine, "");
    let greeting = match within(call, &address, greeting::ping(socket)).await? {
        Some(greeting) => greeting,
        None => {
            let docker = client(socket, &address, None)?;
            let version =
                within(describing("tell its version"), &address, docker.version()).await?;
            Greeting::of_version(version)
        }
    };
    let Greeting { name, version, api } = greeting;
    let Some(spoken) = spoken(&api) else {
        return Err(EngineError::TooOld { address, api, oldest: text(OLDEST_API) });
    };
    let docker = client(socket, &address, Some(spoken))?;
    let owner = std::fs::metadata(socket).map_or(0, |found| found.uid());
    let about = About { address, name, version, api: text(spoken), owner };
    tracing::info!(
        address = about.address,
        name = about.name,
        version = about.version,
        api = about.api,
        "a container engine answers"
    );
    let connection = Connection { docker, about, details: Arc::default() };
    // Whoever needs it gives up sooner than some engines take for it.
    let described = connection.clone();
    tokio::spawn(async move { described.details().await.map(drop) });
    Ok(connection)
}

/// A question that makes the engine describe itself.
fn describing(what: &'static str) -> Call<'static> {
    Call { limit: DESCRIPTION_TIMEOUT, ..Call::question(what, Kind::Engine, "") }
}

impl Connection {
    /// What the engine tells when it describes itself. It is asked once, and may take long.
    async fn details(&self) -> Result<Details, EngineError> {
        let ask = || async {
            let call = describing("describe itself");
            let info = within(call, &self.about.address, self.docker.info()).await?;
            Ok(details(&self.about, info))
        };
        self.details.get_or_try_init(ask).await.cloned()
    }
}

/// A client, whose every call names the version that is spoken, once that is known. The library knows it and leaves it
/// out of the URL: an engine would answer as its newest version does.
fn client(
    socket: &Path,
    address: &str,
    spoken: Option<(usize, usize)>,
) -> Result<Docker, EngineError> {
    let call = Call::question("connect", Kind::Engine, "");
    let path = socket.to_string_lossy();
    let ours = bollard::API_DEFAULT_VERSION;
    let (major_version, minor_version) = spoken.unwrap_or((ours.major_version, ours.minor_version));
    let version = ClientVersion { major_version, minor_version };
    let docker = Docker::connect_with_unix(&path, NO_LIMIT, &version);
    let docker = docker.map_err(|error| call.error(address, error))?;
    let Some(spoken) = spoken else { return Ok(docker) };
    let prefix = format!("/v{}", text(spoken));
    Ok(docker.with_request_modifier(move |mut request| {
        if let Some(uri) = versioned(request.uri(), &prefix) {
            *request.uri_mut() = uri;
        }
        request
    }))
}

/// The same call, of a version of the API.
fn versioned(uri: &Uri, prefix: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let path = format!("{prefix}{}", parts.path_and_query?);
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

async fn within<T>(
    call: Call<'_>,
    address: &str,
    answer: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(call.limit, answer).await {
        Ok(answer) => answer.map_err(|error| call.error(address, error)),
        // A socket that takes connections and says nothing is no engine that could be used.
        Err(_) => Err(EngineError::Absent {
            address: address.to_owned(),
            why: format!("it did not answer within {} s", call.limit.as_secs()),
        }),
    }
}

/// The version that both speak: the engine's newest or the library's, whichever is older.
fn spoken(newest: &str) -> Option<(usize, usize)> {
    let (major, minor) = newest.split_once('.')?;
    let theirs = (major.parse().ok()?, minor.parse().ok()?);
    let ours = bollard::API_DEFAULT_VERSION;
    let spoken = theirs.min((ours.major_version, ours.minor_version));
    (spoken >= OLDEST_API).then_some(spoken)
}

fn text((major, minor): (usize, usize)) -> String {
    format!("{major}.{minor}")
}

fn details(about: &About, info: SystemInfo) -> Details {
    let maps = |option: &String| {
        let named = |name: &str| option.split(',').any(|part| part == format!("name={name}"));
        named("userns") || named("rootless")
    };
    Details {
        id: cut(&info.id.unwrap_or_default()),
        cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()).unwrap_or_default(),
        cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
        maps_users: info.security_options.iter().flatten().any(maps) || is_users(about),
        owner: about.owner,
    }
}

/// Whether a user runs it, by what is known at once: Podman of 4.3 does not say so itself. Of nobody's nothing is known.
fn is_users(about: &About) -> bool {
    about.name.starts_with("Podman") && ![0, OVERFLOW].contains(&about.owner)
}

#[cfg(test)]
mod tests;
