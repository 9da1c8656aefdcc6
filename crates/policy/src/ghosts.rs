//! Ghosts: which image a tool runs in, and what that container may have. Data from the policy; nothing here runs one.

use std::path::PathBuf;
use std::sync::Arc;

use crate::bounds::{Limits, least};
use crate::decision::{Action, Decision, Executor};
use crate::diagnostics::show_bytes;
use crate::facts::Facts;
use crate::judge::join;
use crate::matchers::glob::Glob;
use crate::policy::Policy;

/// The image that stands for the prisoner's own.
pub const SAME: &str = "same";

/// Bytes of memory of a ghost that nobody bounds.
pub const GHOST_MEMORY: u64 = 2 << 30;

/// Processes and threads of a ghost that nobody bounds.
pub const GHOST_PIDS: u64 = 1024;

/// Most bytes of a tool's name that a reason shows.
const SHOWN_BYTES: usize = 80;

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

/// Completes the decision for a command that runs in a ghost: without an image there is none.
pub(crate) fn settle(policy: &Policy, facts: &Facts<'_>, decision: &mut Decision) {
    let given = decision.given.take();
    if decision.executor != Executor::Ghost || decision.action == Action::Deny {
        return;
    }
    let tool = facts.tool.unwrap_or(facts.name);
    let tool = tool.rsplit(|&byte| byte == b'/').next().unwrap_or(tool);
    let named = std::str::from_utf8(tool).ok().and_then(|tool| policy.ghost_images.find(tool));
    let image = match (given.as_ref().and_then(|given| given.image.as_ref()), named) {
        // What the other image gets was not said of this one.
        (Some(own), Some(named)) if *own != named.image => Some(GhostImage::plain(own)),
        (Some(own), None) => Some(GhostImage::plain(own)),
        (_, named) => named.cloned(),
    };
    let Some(mut image) = image else {
        decision.action = Action::Deny;
        let fact = format!(
            "executor ghost is asked for, and ghost_images names no image for `{}`",
            show_bytes(tool, SHOWN_BYTES)
        );
        decision.reason = join(&fact, &decision.reason);
        return;
    };
    let GhostRule { network, mut limits, secrets, falls_back, .. } =
        given.as_deref().cloned().unwrap_or_default();
    if let Some(network) = network {
        image.network = network;
    }
    limits.memory = limits.memory.or(image.memory);
    if let Some(bounds) = &decision.bounds {
        limits = bounded(limits, bounds.limits);
    }
    decision.ghost = Some(Arc::new(Ghost { image, limits, secrets, falls_back }));
}

/// What the deciding rule gives, kept to what every rule says of the command: one that is not the host's gives no more than
/// there would be without it.
fn bounded(given: Limits, said: Limits) -> Limits {
    let within = |said: Option<u64>, given: Option<u64>, usual: u64| {
        said.map_or(given, |said| Some(said.min(given.unwrap_or(usual))))
    };
    Limits {
        memory: within(said.memory, given.memory, GHOST_MEMORY),
        milli_cpus: least(given.milli_cpus, said.milli_cpus),
        pids: within(said.pids, given.pids, GHOST_PIDS),
        output: least(given.output, said.output),
    }
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
