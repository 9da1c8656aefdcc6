//! What an engine says of itself at once: the headers of its answer to a ping. Its own words about its version may take
//! it seconds.

use std::path::Path;
use std::pin::pin;

use bollard::errors::Error;
use bollard::models::SystemVersion;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;

use super::error::cut;

/// Which engine it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    /// Such as `Docker Engine`.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// The newest version of the API that it speaks.
    pub(super) api: String,
}

/// Pings the engine at this socket. `None` where it answers, and does not say by that which it is.
///
/// # Errors
/// What the client library would say: it shows no headers.
pub(super) async fn ping(socket: &Path) -> Result<Option<Greeting>, Error> {
    let stream = tokio::net::UnixStream::connect(socket).await;
    let stream = stream.map_err(|err| Error::IOError { err })?;
    let failed = |err| Error::HyperResponseError { err };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = Uri::from_static("/_ping");
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    let (mut connection, mut answer) = (pin!(connection), pin!(sender.send_request(request)));
    let mut is_over = false;
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut answer => break answer.map_err(failed)?,
            ended = &mut connection, if !is_over => {
                ended.map_err(failed)?;
                is_over = true;
            }
        }
    };
    if !answer.status().is_success() {
        let message = "it does not answer a ping".to_owned();
        return Err(Error::DockerResponseServerError {
            status_code: answer.status().as_u16(),
            message,
        });
    }
    Ok(Greeting::of_headers(answer.headers()))
}

impl Greeting {
    /// Docker says `Server: Docker/20.10.24 (linux)`, Podman `Server: Libpod/5.4.2 (linux)`, both their `Api-Version`.
    fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let (product, version) = text("server")?.split_once('/')?;
        let name = match product {
            "Docker" => "Docker Engine",
            "Libpod" => "Podman Engine",
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            version: cut(version.split_whitespace().next()?),
            api: cut(text("api-version").filter(|api| !api.trim().is_empty())?),
        })
    }

    /// What an engine tells that was asked for its version.
    pub(super) fn of_version(version: SystemVersion) -> Self {
        let name = version.components.into_iter().flatten().next().map(|component| component.name);
        let name =
            name.map(|name| if name == "Engine" { "Docker Engine".to_owned() } else { name });
        Self {
            name: cut(&name.unwrap_or_else(|| "container engine".to_owned())),
            version: cut(&version.version.unwrap_or_default()),
            api: cut(&version.api_version.unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &str)| {
            (hyper::header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(pair).collect()
    }

    #[test]
    fn an_engine_is_known_by_its_headers_or_not_at_all() {
        let greeting = |name: &str, version: &str, api: &str| {
            let text = str::to_owned;
            Some(Greeting { name: text(name), version: text(version), api: text(api) })
        };
        for (server, api, found) in [
            ("Docker/20.10.24+dfsg1 (linux)", "1.41", ("Docker Engine", "20.10.24+dfsg1")),
            ("Libpod/5.4.2 (linux)", "1.41", ("Podman Engine", "5.4.2")),
        ] {
            let found = greeting(found.0, found.1, api);
            let headers = headers(&[("server", server), ("api-version", api)]);
            assert_eq!(Greeting::of_headers(&headers), found);
        }
        for lines in [
            &[][..],
            &[("api-version", "1.41")],
            &[("server", "Docker/20.10.24 (linux)")],
            &[("server", "Docker/20.10.24 (linux)"), ("api-version", "")],
            &[("server", "Docker/"), ("api-version", "1.41")],
            &[("server", "Docker"), ("api-version", "1.41")],
            &[("server", "nginx/1.27"), ("api-version", "1.41")],
        ] {
            assert_eq!(Greeting::of_headers(&headers(lines)), None, "{lines:?}");
        }
    }
}
