//! Facts: what is known about one request when it is judged.
//! Every field is raw bytes as the kernel or the caller gave them; nothing here is trusted to be text.

use std::collections::BTreeMap;

/// One request, as the policy sees it.
///
/// Cheap to build: everything is borrowed. `Default` gives a request about which nothing is known,
/// so that a caller can name only what it has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Name of the jail the request came in through.
    pub jail: &'a str,
    /// What was asked for: a bare name (`git`), or a path with a slash as the caller wrote it.
    pub name: &'a [u8],
    /// Absolute path it resolved to under the caller's root; `None` if it was not found.
    pub path: Option<&'a [u8]>,
    /// Bare tool name that `path` stands for: present when `path` is what this very name resolves
    /// to on the jail's PATH (`/usr/bin/git` is `git`), absent for a `./git` of somebody's own.
    pub tool: Option<&'a [u8]>,
    /// The argument vector, `argv[0]` included.
    pub argv: &'a [&'a [u8]],
    /// Absolute working directory with every symlink resolved; `None` when unknown or deleted.
    pub cwd: Option<&'a [u8]>,
    /// User id of the caller, when the kernel told it.
    pub uid: Option<u32>,
    /// Group id of the caller, when the kernel told it.
    pub gid: Option<u32>,
    /// Name of the caller's user on the warden's host, where it was looked up.
    pub user: Option<&'a str>,
    /// Name of the caller's primary group on the warden's host, where it was looked up.
    pub group: Option<&'a str>,
    /// Whether the caller says that it has a terminal; `None` when it does not say.
    pub tty: Option<bool>,
    /// The environment of the request, as `NAME=value`; `None` when it is not known.
    pub env: Option<&'a [&'a [u8]]>,
    /// Where paths lead in the caller's world. Without it, what a path says is all that is known of it.
    pub links: Option<&'a dyn Links>,
    /// Names of dangerous variables that differ from what the prisoner was started with.
    pub changed_env: &'a [&'a [u8]],
    /// The container that the caller is in, as the container engine says.
    pub container: Contained<'a>,
}

/// Whether a caller is in a container.
#[derive(Clone, Copy, Debug, Default)]
pub enum Contained<'a> {
    /// It cannot be told.
    #[default]
    Unknown,
    /// It is in none.
    Nowhere,
    /// It is in this one.
    In(ContainerFacts<'a>),
}

/// What is known of a caller's container. Whoever made the container chose all of it.
#[derive(Clone, Copy, Debug)]
pub struct ContainerFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its image, as it was named when the container was made.
    pub image: &'a str,
    /// Its labels, those of its image included.
    pub labels: &'a BTreeMap<String, String>,
}

/// Where paths lead, once every link on the way is followed.
pub trait Links: std::fmt::Debug {
    /// The absolute path, free of links, that this absolute one leads to; what does not exist is taken for the file or
    /// folder that would be made there. `None` when that cannot be told, as for a link to nothing.
    fn follow(&self, path: &[u8]) -> Option<Vec<u8>>;
}
