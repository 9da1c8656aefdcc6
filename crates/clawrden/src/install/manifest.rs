//! What was done, in `/clawrden/install.json`: it is written before anything is changed, so that whatever a crash leaves
//! can be finished or undone. One entry a line, its fields in this order: `install-clawrden.sh` reads it with no more
//! than a shell.

use serde::{Deserialize, Serialize};

use super::error::InstallError;
use super::root::{Root, split};

/// Where it lies.
pub(crate) const PATH: &str = "/clawrden/install.json";

/// The form of the manifest.
const VERSION: u32 = 1;

/// How far an installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Steps are being taken, or taken back.
    Installing,
    /// All of it holds.
    Installed,
    /// It is being taken away.
    Uninstalling,
}

/// One change outside of `/clawrden`. `kept` is the name in `/clawrden/kept` under which what was there is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub(crate) enum Step {
    /// A startup file got our lines.
    Edit {
        /// The file.
        path: String,
        /// Its copy.
        kept: String,
    },
    /// A startup file was made of our lines alone.
    Create {
        /// The file.
        path: String,
    },
    /// A tool that is a file was locked.
    File {
        /// The tool's place.
        path: String,
        /// The tool that was named.
        tool: String,
    },
    /// A tool that is a link was locked.
    Link {
        /// The tool's place.
        path: String,
        /// The tool that was named.
        tool: String,
        /// The link.
        kept: String,
    },
}

impl Step {
    /// The place that is changed.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Edit { path, .. }
            | Self::Create { path }
            | Self::File { path, .. }
            | Self::Link { path, .. } => path,
        }
    }

    /// The name of what was kept.
    pub(crate) fn kept(&self) -> Option<&str> {
        match self {
            Self::Edit { kept, .. } | Self::Link { kept, .. } => Some(kept),
            Self::Create { .. } | Self::File { .. } => None,
        }
    }

    /// Whether a tool was taken from its place.
    pub(crate) fn is_lock(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Link { .. })
    }
}

/// What is wanted, and what was done for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// How far it is.
    pub(crate) state: State,
    /// The prisoner's `UID[:GID]`; empty when nobody said.
    pub(crate) user: String,
    /// Whether the originals are locked.
    pub(crate) lock: bool,
    /// The folders in which tools were looked for, separated by colons.
    pub(crate) path: String,
    /// The tools that have a stand-in.
    pub(crate) tools: Vec<String>,
    /// In the order in which they are taken.
    pub(crate) steps: Vec<Step>,
}

impl Manifest {
    /// One without steps.
    pub(crate) fn new(user: String, lock: bool, path: String, tools: Vec<String>) -> Self {
        let (version, state, steps) = (VERSION, State::Installing, Vec::new());
        Self { version, state, user, lock, path, tools, steps }
    }

    /// The one of this root.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub(crate) fn read(root: &Root) -> Result<Option<Self>, InstallError> {
        if root.look(PATH)?.is_none() {
            return Ok(None);
        }
        let manifest: Self = serde_json::from_slice(&root.read(PATH)?)
            .map_err(|error| InstallError::BadManifest(error.to_string()))?;
        if manifest.version != VERSION {
            return Err(InstallError::BadManifest(format!("version {}", manifest.version)));
        }
        Ok(Some(manifest))
    }

    /// Puts it into its place, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, root: &Root) -> Result<(), InstallError> {
        let text = self.text().map_err(|error| InstallError::BadManifest(error.to_string()))?;
        root.write(PATH, text.as_bytes(), 0o644, None)?;
        root.sync(split(PATH).0)
    }

    fn text(&self) -> Result<String, serde_json::Error> {
        let head = format!(
            "{{\"version\":{},\"state\":{},\"user\":{},\"lock\":{},\"path\":{},\n\"tools\":{},\n\"steps\":[",
            self.version,
            serde_json::to_string(&self.state)?,
            serde_json::to_string(&self.user)?,
            self.lock,
            serde_json::to_string(&self.path)?,
            serde_json::to_string(&self.tools)?,
        );
        let lines = self.steps.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        let between = if lines.is_empty() { "" } else { "\n" };
        Ok(format!("{head}{between}{}\n]}}\n", lines.join(",\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_an_entry_a_line_and_reads_back() {
        let mut manifest =
            Manifest::new("1000:1000".into(), true, "/usr/bin:/bin".into(), vec!["git".into()]);
        for steps in [
            vec![],
            vec![
                Step::Edit { path: "/etc/profile".into(), kept: "0".into() },
                Step::Link { path: "/bin/ls".into(), tool: "ls".into(), kept: "1".into() },
            ],
        ] {
            manifest.steps = steps;
            let text = manifest.text().unwrap();
            assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
            assert_eq!(text.lines().count(), 4 + manifest.steps.len());
        }
        assert!(manifest.text().unwrap().starts_with(
            "{\"version\":1,\"state\":\"installing\",\"user\":\"1000:1000\",\"lock\":true,\"path\":\"/usr/bin:/bin\",\n\
             \"tools\":[\"git\"],\n\"steps\":[\n{\"step\":\"edit\",\"path\":\"/etc/profile\",\"kept\":\"0\"},\n\
             {\"step\":\"link\",\"path\":\"/bin/ls\",\"tool\":\"ls\",\"kept\":\"1\"}\n]}"
        ));
    }
}
