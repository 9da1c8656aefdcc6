//! Where the policies' files lie, how they are read anew, whole, and what of them holds for whom.
//! Nothing is merged into what was there before: each reading stands for itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clawrden_policy::{self as policy, Layer, LoadError, Policy};

use thiserror::Error;

use super::{Unsteady, Writable, steadily, steady, writers};
use crate::layers::{self, CEILING, LayersError};
use crate::people::Current;

/// A policy and what to call its source.
#[derive(Debug, Clone)]
pub(crate) struct Sourced {
    pub(crate) source: String,
    pub(crate) policy: Arc<Policy>,
    /// What it was made of.
    files: Arc<[policy::Source]>,
    /// The host's part was read from a file, and is not the stock policy.
    is_read: bool,
}

impl Sourced {
    /// Its files, in no order.
    pub(crate) fn files(&self) -> &[policy::Source] {
        &self.files
    }

    fn has_ceiling(&self) -> bool {
        self.files.iter().any(|file| file.layer == Layer::Ceiling)
    }
}

/// What a `clawrden run` brought along. It stays as it was brought; what stands over it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// In the place of the host's files.
    pub(crate) policy: Option<policy::Source>,
    /// Below everything else.
    pub(crate) repository: Option<policy::Source>,
}

impl Brought {
    /// What was brought.
    pub(crate) fn files(&self) -> impl Iterator<Item = &policy::Source> {
        self.policy.iter().chain(&self.repository)
    }

    /// The policy that it makes with the warden's own files: under the ceiling, and below all of them where it brings
    /// none in their place. Whether it asks for people who are there is for whoever takes it in to look at: later it has
    /// to take what comes over it, also when somebody is nobody's any more.
    ///
    /// # Errors
    /// [`LayersError`].
    pub(crate) fn under(&self, own: &Sourced) -> Result<Sourced, LayersError> {
        let own_files =
            own.files.iter().filter(|file| self.policy.is_none() || file.layer == Layer::Ceiling);
        let files: Vec<policy::Source> =
            own_files.chain(&self.policy).chain(&self.repository).cloned().collect();
        let host = self.policy.as_ref().map_or(&own.source, |policy| &policy.name);
        let source = match &self.repository {
            Some(repository) => format!("{host}, narrowed by {}", repository.name),
            None => host.clone(),
        };
        let policy = Arc::new(Policy::from_sources(&files)?);
        Ok(Sourced { source, policy, files: files.into(), is_read: false })
    }
}

/// Refuses a policy that asks for people whom `is_known` does not know: nobody could answer.
pub(crate) fn known(policy: &Policy, is_known: impl Fn(&str) -> bool) -> Result<(), LayersError> {
    let wanted: Vec<_> = policy.approvers().collect();
    let mut names = wanted.iter().flat_map(|wanted| wanted.names());
    match names.find(|name| !is_known(name)) {
        Some(name) => Err(LayersError::Nobody(name.to_string())),
        None => Ok(()),
    }
}

/// Why the policy's files give none.
#[derive(Debug, Error)]
pub enum Unread {
    /// They are no policy.
    #[error(transparent)]
    Load(#[from] LayersError),
    /// They are being written.
    #[error(transparent)]
    Unsteady(#[from] Unsteady),
    /// Others can write them.
    #[error(transparent)]
    Writable(#[from] Writable),
}

/// The files that the warden's own policy is made of.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The one that the warden was given, which is taken alone.
    named: Option<PathBuf>,
    /// Else the usual one, without which the stock policy holds, and the folder of further rules.
    usual: PathBuf,
    rules: PathBuf,
    people: Arc<Current>,
}

impl Source {
    /// The file that was named, else the usual ones, which may be absent.
    pub(crate) fn new(named: Option<&Path>, usual: PathBuf, rules: PathBuf) -> Self {
        Self { named: named.map(Path::to_owned), usual, rules, people: Arc::default() }
    }

    /// The same where these people answer: a policy that asks others is refused.
    pub(crate) fn for_people(self, people: Arc<Current>) -> Self {
        Self { people, ..self }
    }

    /// The files and folders that it consists of; of a folder, the YAML files in it.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let ceiling = PathBuf::from(CEILING);
        match &self.named {
            Some(named) => vec![named.clone(), ceiling],
            None => vec![self.usual.clone(), self.rules.clone(), ceiling],
        }
    }

    /// The folder of further rules; `None` where the file that was named is read alone.
    pub(crate) fn rules(&self) -> Option<&Path> {
        self.named.is_none().then_some(&*self.rules)
    }

    /// Reads everything while nobody writes it, if nobody else could have. As [`Source::read`].
    ///
    /// # Errors
    /// [`Unread`].
    pub(crate) fn take(&self, before: Option<&Sourced>) -> Result<Sourced, Unread> {
        let paths = self.paths();
        steadily(&paths, || {
            // First, so that advice about rights is given for policies alone.
            let read = self.read(before)?;
            // The ceiling is root's alone: whoever reads it looks.
            for path in steady::files(&paths)?.iter().chain(&paths).filter(|path| *path != CEILING)
            {
                writers::check(path)?;
            }
            Ok(read)
        })?
    }

    /// Reads everything. `before` is what holds so far: a policy or a ceiling that was there and is gone is an error,
    /// never a return to less.
    ///
    /// # Errors
    /// [`LayersError`].
    fn read(&self, before: Option<&Sourced>) -> Result<Sourced, LayersError> {
        let host = layers::host(self.named.as_deref(), &self.usual, &self.rules)?;
        if host.is_stock && before.is_some_and(|before| before.is_read) {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(LoadError::Read { path: self.usual.clone(), source }.into());
        }
        let ceiling = layers::ceiling()?;
        if ceiling.is_none() && before.is_some_and(Sourced::has_ceiling) {
            return Err(LayersError::Gone);
        }
        let files: Vec<policy::Source> = host.files.into_iter().chain(ceiling).collect();
        let policy = Arc::new(Policy::from_sources(&files)?);
        let people = self.people.now();
        known(&policy, |name| people.knows(name))?;
        Ok(Sourced { source: host.name, policy, files: files.into(), is_read: !host.is_stock })
    }
}
