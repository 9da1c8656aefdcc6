//! Ghosts: which image a tool runs in, and what that container may have. Data from the policy; nothing here runs one.

use std::path::PathBuf;
use std::sync::Arc;

use crate::bounds::Limits;
use crate::matchers::glob::Glob;

/// The image that stands for the prisoner's own.
pub const SAME: &str = "same";

/// Bytes of memory of a ghost that nobody bounds.
pub const GHOST_MEMORY: u64 = 2 << 30;

/// Processes and threads of a ghost that nobody bounds.
pub const GHOST_PIDS: u64 = 1024;

/// A ghost as it was decided on: what a command's own container is made of, and gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ghost {
    /// The image, and what its containers get.
    pub image: GhostImage,
    /// What the rules bound it by; a bound of the image's own is in here too. Without one of its own it has at most
    /// [`GHOST_MEMORY`] and [`GHOST_PIDS`].
    pub limits: Limits,
    /// The secrets that the rule gives.
    pub secrets: Vec<Arc<Secret>>,
    /// Without a container engine it may run locally.
    pub falls_back: bool,
}

/// A secret that rules name: where its value comes from, and in which form a tool gets it. Never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its name in the policy.
    pub name: String,
    /// Where the warden takes its value from.
    pub source: SecretSource,
    /// How the tool gets it.
    pub form: SecretForm,
}

/// Where a secret's value comes from, on the warden's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The content of this file.
    File(PathBuf),
    /// The value of this variable of the warden's.
    Variable(String),
}

/// How a tool gets a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretForm {
    /// As the file of this name below `/run/secrets`.
    File(String),
    /// As this variable.
    Variable(String),
}

/// What a rule itself says about the ghosts of its commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GhostRule {
    /// Instead of the tool's own in `ghost_images`.
    pub(crate) image: Option<String>,
    /// Instead of the image's own: a name, or none at all.
    pub(crate) network: Option<Option<String>>,
    pub(crate) limits: Limits,
    pub(crate) secrets: Vec<Arc<Secret>>,
    pub(crate) falls_back: bool,
}

/// The image of a tool, and what its containers get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GhostImage {
    /// As the container engine takes it: `node:22-alpine`; [`SAME`] for the prisoner's own.
    pub image: String,
    /// The network of that name; `None` is none at all.
    pub network: Option<String>,
    /// Most bytes of memory; `None` is no limit of its own.
    pub memory: Option<u64>,
    /// Who runs in it.
    pub user: GhostUser,
    /// When the image is fetched.
    pub pull: Pull,
}

impl GhostImage {
    /// An image with the least.
    pub(crate) fn plain(image: &str) -> Self {
        Self {
            image: image.to_owned(),
            network: None,
            memory: None,
            user: GhostUser::default(),
            pull: Pull::default(),
        }
    }

    /// Whether it is the prisoner's own.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.image == SAME
    }
}

/// Who runs in a ghost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GhostUser {
    /// The caller's user and group.
    #[default]
    Caller,
    /// This user and group.
    Ids {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
}

/// When an image is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// Where it is not there.
    #[default]
    Missing,
    /// Before every run.
    Always,
    /// Never: one that is not there is an error.
    Never,
}

/// Images by the tools that they are for, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct GhostImages(pub(crate) Vec<(Glob, GhostImage)>);

impl GhostImages {
    /// The image of a tool: the one under its very name, else the first whose glob fits.
    pub(crate) fn find(&self, tool: &str) -> Option<&GhostImage> {
        let named = self.0.iter().find(|(glob, _)| glob.source() == tool);
        let fits = || self.0.iter().find(|(glob, _)| glob.matches(tool.as_bytes()));
        named.or_else(fits).map(|(_, image)| image)
    }
}
