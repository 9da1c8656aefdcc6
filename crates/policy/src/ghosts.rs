//! Ghosts: which image a tool runs in, and what that container may have. Data from the policy; nothing here runs one.

use crate::matchers::glob::Glob;

/// The image of a tool, and what its containers get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GhostImage {
    /// As the container engine takes it: `node:22-alpine`.
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
#[derive(Debug, Default)]
pub(crate) struct GhostImages(pub(crate) Vec<(Glob, GhostImage)>);

impl GhostImages {
    /// The image of a tool: the one under its very name, else the first whose glob fits.
    pub(crate) fn find(&self, tool: &str) -> Option<&GhostImage> {
        let named = self.0.iter().find(|(glob, _)| glob.source() == tool);
        let fits = || self.0.iter().find(|(glob, _)| glob.matches(tool.as_bytes()));
        named.or_else(fits).map(|(_, image)| image)
    }
}
