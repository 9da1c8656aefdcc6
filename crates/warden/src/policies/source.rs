//! Where the warden's own policy lies, and how it is read anew, whole.
//! Nothing is merged into what was there before: each reading stands for itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clawrden_policy::{LoadError, Policy};

/// A policy and what to call its source.
#[derive(Debug, Clone)]
pub(crate) struct Sourced {
    pub(crate) source: String,
    pub(crate) policy: Arc<Policy>,
    /// It was read from the source's files.
    pub(crate) is_read: bool,
}

/// The files that the policy is made of.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    file: PathBuf,
    /// Without it the stock policy holds.
    is_optional: bool,
}

impl Source {
    /// The file that was named, else the usual one, which may be absent.
    pub(crate) fn new(named: Option<&Path>, usual: PathBuf) -> Self {
        match named {
            Some(file) => Self { file: file.to_owned(), is_optional: false },
            None => Self { file: usual, is_optional: true },
        }
    }

    /// The files and folders that it consists of; of a folder, the YAML files in it.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }

    /// Reads everything. `before` is what holds so far: files that were there and are gone are an error, never a
    /// return to the stock policy.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) fn read(&self, before: Option<&Sourced>) -> Result<Sourced, LoadError> {
        let was_read = before.is_some_and(|before| before.is_read);
        let may_be_absent = self.is_optional && !was_read;
        match Policy::load(&self.file) {
            Err(LoadError::Read { source, .. })
                if may_be_absent && source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(Sourced {
                    source: "the stock policy".to_owned(),
                    policy: Arc::new(Policy::stock()),
                    is_read: false,
                })
            }
            Err(error) => Err(error),
            Ok(policy) => Ok(Sourced {
                source: self.file.display().to_string(),
                policy: Arc::new(policy),
                is_read: true,
            }),
        }
    }
}
