//! Whereabouts: the container that a caller is in, or why that is not known.

use std::sync::Arc;

use clawrden_policy::{Contained, ContainerFacts};
use thiserror::Error;

use crate::engine::{Container, EngineError};

/// Where a caller is.
#[derive(Debug, Clone, Default)]
pub(crate) enum Whereabouts {
    /// Nobody has looked yet.
    #[default]
    NotSought,
    /// On the warden's own host, in no container.
    Nowhere,
    /// In this one.
    In(Arc<Container>),
    /// It cannot be told.
    Unknown(Arc<Unknown>),
}

/// Why a caller's container is not known, and what helps.
#[derive(Debug, Error)]
pub(crate) enum Unknown {
    /// Nobody has looked.
    #[error(
        "no container engine answers, so the caller's container was not looked for; `clawrden status` says why it does not"
    )]
    NotSought,
    /// Its process is in a pid namespace beside ours.
    #[error(
        "the caller's process cannot be seen from here, nor its container; run the warden in the host's pid namespace \
         (`pid: host`)"
    )]
    Unseen,
    /// It has ended, or may not be looked at.
    #[error("the caller's container cannot be told: {0}")]
    Unreadable(String),
    /// It is in namespaces of its own, and nothing names a container.
    #[error(
        "the caller is in a pid namespace of its own, and no container of Docker's or Podman's"
    )]
    NoContainer,
    /// Its cgroups name several.
    #[error("the caller's cgroups name different containers")]
    Several,
    /// The engine does not answer, or does not know it.
    #[error("the engine cannot say what container {} is: {source}{}", short(id), remedy(source))]
    NotTold {
        /// Its id.
        id: String,
        /// Why.
        source: EngineError,
    },
    /// The engine does not tell which containers there are.
    #[error("the engine cannot say in which container the caller is: {0}")]
    NotListed(EngineError),
    /// The engine took too long.
    #[error("the engine does not say in time what container {} is", short(.0))]
    TooSlow(String),
    /// The engine took too long to tell all of its containers.
    #[error("the engine does not say in time in which of its containers the caller is")]
    TooMany,
    /// It is not where the container is.
    #[error("the caller's cgroup names container {}, and the caller is not in it", short(.0))]
    Elsewhere(String),
}

static NOT_SOUGHT: Unknown = Unknown::NotSought;

/// The first digits of an id, as people know them.
pub(crate) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn remedy(error: &EngineError) -> &'static str {
    if error.is_not_found() {
        "; if another engine has it, name that one with --engine"
    } else {
        ""
    }
}

impl Unknown {
    /// The container that the caller's cgroups name, where they name one.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::NotTold { id, .. } | Self::TooSlow(id) | Self::Elsewhere(id) => Some(id),
            _ => None,
        }
    }

    /// Whether there is an engine, and it did not say.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::TooSlow(_) | Self::TooMany => true,
            Self::NotTold { source, .. } | Self::NotListed(source) => {
                !source.is_absent() && !source.is_not_found()
            }
            _ => false,
        }
    }
}

impl Whereabouts {
    /// The container, or a sentence that says why it is not known and what to add. `None` for a caller in none.
    pub(crate) fn known(&self) -> Result<Option<&Arc<Container>>, &Unknown> {
        match self {
            Self::NotSought => Err(&NOT_SOUGHT),
            Self::Nowhere => Ok(None),
            Self::In(container) => Ok(Some(container)),
            Self::Unknown(why) => Err(why),
        }
    }

    /// The container, where it is known.
    pub(crate) fn container(&self) -> Option<&Arc<Container>> {
        self.known().ok().flatten()
    }

    /// For the policy.
    pub(crate) fn facts(&self) -> Contained<'_> {
        match self {
            Self::Nowhere => Contained::Nowhere,
            Self::NotSought | Self::Unknown(_) => Contained::Unknown,
            Self::In(container) => Contained::In(ContainerFacts {
                name: &container.name,
                image: &container.image,
                labels: &container.labels,
            }),
        }
    }

    /// What tells it from other callers' in what a person approves.
    pub(crate) fn mark(&self) -> Option<&str> {
        match self {
            Self::Nowhere => None,
            Self::In(container) => Some(&container.id),
            Self::NotSought | Self::Unknown(_) => Some("unknown"),
        }
    }
}
