//! Where the engine is. It comes from the warden's own command line, never from an environment: what a prisoner could
//! set would make its own program our engine.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// Where a container engine is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EngineAddress {
    /// At the usual places of Docker, then of Podman: the first that answers.
    #[default]
    Usual,
    /// Nowhere: none is used.
    None,
    /// At this Unix socket, and no other.
    Unix(PathBuf),
}

/// Why a text is no address of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadAddress {
    /// Not an absolute path.
    #[error("`{0}` is not an absolute path; write unix:///run/docker.sock, or none")]
    Relative(String),
    /// Not a Unix socket.
    #[error(
        "`{0}` is not a Unix socket: the engine has to be on the warden's own host, as its containers are looked at \
         there; write unix:///run/docker.sock, or none"
    )]
    Scheme(String),
}

impl EngineAddress {
    /// The sockets that are tried, in this order.
    #[must_use]
    pub fn sockets(&self) -> Vec<PathBuf> {
        match self {
            Self::None => Vec::new(),
            Self::Unix(path) => vec![path.clone()],
            Self::Usual => usual(rustix::process::geteuid().as_raw()),
        }
    }
}

/// Root's engines, and for a user its own before them.
fn usual(uid: u32) -> Vec<PathBuf> {
    let system = ["/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from);
    let of_user = ["docker.sock", "podman/podman.sock"];
    let own = of_user.iter().filter(|_| uid != 0);
    own.map(|name| PathBuf::from(format!("/run/user/{uid}/{name}"))).chain(system).collect()
}

impl FromStr for EngineAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let path = match text.split_once("://") {
            _ if text == "none" => return Ok(Self::None),
            _ if text == "auto" => return Ok(Self::Usual),
            Some(("unix", path)) => path,
            Some(_) => return Err(BadAddress::Scheme(text.to_owned())),
            None => text,
        };
        if !path.starts_with('/') {
            return Err(BadAddress::Relative(text.to_owned()));
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sockets = self.sockets();
        let named = sockets.iter().map(|path| format!("unix://{}", path.display()));
        f.write_str(&named.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_given_as_an_address_or_as_a_path() {
        let socket = EngineAddress::Unix(PathBuf::from("/run/x.sock"));
        assert_eq!("unix:///run/x.sock".parse(), Ok(socket.clone()));
        assert_eq!("/run/x.sock".parse(), Ok(socket));
        assert_eq!("none".parse(), Ok(EngineAddress::None));
        assert_eq!("auto".parse(), Ok(EngineAddress::Usual));
    }

    #[test]
    fn an_engine_elsewhere_is_refused() {
        for text in ["tcp://127.0.0.1:2375", "ssh://host", "http://localhost"] {
            assert_eq!(text.parse::<EngineAddress>(), Err(BadAddress::Scheme(text.to_owned())));
        }
        for text in ["", "run/x.sock", "unix://x.sock"] {
            assert_eq!(text.parse::<EngineAddress>(), Err(BadAddress::Relative(text.to_owned())));
        }
    }

    #[test]
    fn a_user_looks_for_its_own_engine_first_and_docker_before_podman() {
        assert_eq!(usual(0), ["/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from));
        let own = usual(1000);
        assert_eq!(own[0], PathBuf::from("/run/user/1000/docker.sock"));
        assert_eq!(own[2..], usual(0));
        assert!(EngineAddress::None.sockets().is_empty());
    }
}
