//! Where a channel's secrets are: in files that nobody else can read, or in the environment. They never stand in settings.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::secret::Secret;

/// Bytes of the longest file.
const MAX_BYTES: u64 = 4096;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    File(PathBuf),
    Env(String),
    /// It is none, and stands in the settings.
    Plain(String),
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is not there, or is none.
    #[error("the secret {path:?} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Others can read it.
    #[error("others may read the secret {0:?}; `chmod 600` it, and let it belong to who runs this")]
    Open(PathBuf),
    /// The variable is not there.
    #[error("the variable {0} is not set; it holds the secret")]
    NoVariable(String),
    /// There is nothing in it.
    #[error("the secret {0} is empty")]
    Empty(String),
}

impl Named {
    pub(super) fn of(
        name: &str,
        what: &str,
        file: Option<PathBuf>,
        env: Option<String>,
    ) -> Result<Option<Self>, String> {
        match (file, env) {
            (None, None) => Ok(None),
            (Some(file), None) if file.is_absolute() => Ok(Some(Self::File(file))),
            (Some(file), None) => {
                Err(format!("{name}: {file:?} is not absolute; write the whole path, from `/` on"))
            }
            (None, Some(env)) => Ok(Some(Self::Env(env))),
            (Some(_), Some(_)) => Err(format!("{name}: give one of {what}_file and {what}_env")),
        }
    }

    pub(super) fn read(&self) -> Result<Secret, SecretError> {
        let (secret, shown) = match self {
            Self::Plain(text) => (Secret::new(text), text.clone()),
            Self::File(path) => (read(path)?, path.display().to_string()),
            Self::Env(name) => {
                let value = std::env::var(name);
                let value = value.map_err(|_| SecretError::NoVariable(name.clone()))?;
                (Secret::new(&value), name.clone())
            }
        };
        if secret.expose().is_empty() { Err(SecretError::Empty(shown)) } else { Ok(secret) }
    }
}

fn read(path: &Path) -> Result<Secret, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    // Before it is opened: a pipe would make us wait for a writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is no regular file")));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // Of what was opened, not of what lies there by now.
    let about = file.metadata().map_err(unreadable)?;
    let own = rustix::process::geteuid().as_raw();
    if about.mode() & 0o077 != 0 || (about.uid() != own && about.uid() != 0) {
        return Err(SecretError::Open(path.to_owned()));
    }
    if about.len() > MAX_BYTES {
        let why = format!("it is longer than {MAX_BYTES} bytes");
        return Err(unreadable(std::io::Error::other(why)));
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Secret::new(&text))
}
