//! The engine's own client: it knows the person's contexts, registries and rights.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

use super::dockerfile::{Facts, STAGE_LABEL};

/// Clients that are looked for.
const KNOWN: [&str; 2] = ["docker", "podman"];

/// Why an image is not known or not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// It cannot be started.
    #[error("{0} cannot be started")]
    Start(String, #[source] io::Error),
    /// It says no.
    #[error("`{words}` failed{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Failed {
        /// What was asked.
        words: String,
        /// What it said; empty when the person has seen it.
        said: String,
    },
    /// Its answer is not understood.
    #[error("what {0} says of the image is not understood: {1}")]
    Answer(String, String),
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    program: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    user: String,
    env: Option<Vec<String>>,
}

impl Client {
    /// The one that was named, or the first that is there.
    pub(crate) fn find(named: Option<&str>) -> Option<Self> {
        let is_there = |program: &&str| {
            Command::new(program).arg("--version").output().is_ok_and(|said| said.status.success())
        };
        let program = named.map(str::to_owned);
        let found = program.or_else(|| KNOWN.into_iter().find(is_there).map(str::to_owned));
        found.map(|program| Self { program })
    }

    fn ask(&self, words: &[&str]) -> Result<Output, ClientError> {
        let mut command = Command::new(&self.program);
        let asked = command.args(words).stdin(Stdio::null()).output();
        asked.map_err(|source| ClientError::Start(self.program.clone(), source))
    }

    fn said(&self, words: &[&str]) -> Result<Vec<u8>, ClientError> {
        let output = self.ask(words)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(self.failed(words, said))
    }

    /// Does it before the person's eyes; on standard error, where our answer is for a program.
    fn show(&self, words: &[&str], quiet: bool) -> Result<(), ClientError> {
        let mut command = Command::new(&self.program);
        if quiet {
            command.stdout(std::io::stderr());
        }
        let status = command.args(words).stdin(Stdio::null()).status();
        let status = status.map_err(|source| ClientError::Start(self.program.clone(), source))?;
        if status.success() { Ok(()) } else { Err(self.failed(words, String::new())) }
    }

    fn failed(&self, words: &[&str], said: String) -> ClientError {
        ClientError::Failed { words: format!("{} {}", self.program, words.join(" ")), said }
    }

    /// What the image is, which is pulled if it is not there.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) fn facts(&self, image: &str) -> Result<Facts, ClientError> {
        let inspect = ["image", "inspect", "--format", "{{json .Config}}", image];
        if !self.ask(&inspect)?.status.success() {
            self.show(&["pull", image], true)?;
        }
        let config: Config = serde_json::from_slice(&self.said(&inspect)?)
            .map_err(|error| ClientError::Answer(self.program.clone(), error.to_string()))?;
        let env = config.env.unwrap_or_default();
        let path = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).map(str::to_owned);
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
        if !config.user.bytes().all(fits) {
            let text = format!("its user is {:?}", config.user);
            return Err(ClientError::Answer(self.program.clone(), text));
        }
        Ok(Facts { path, user: config.user, has_shell: self.has_shell(image)? })
    }

    /// Looks into a container that is made for it and never started.
    fn has_shell(&self, image: &str) -> Result<bool, ClientError> {
        let made = self.said(&["create", "--entrypoint", "/clawrden-none", image, "none"])?;
        let id = String::from_utf8_lossy(&made).trim().to_owned();
        let found = self.ask(&["cp", &format!("{id}:/bin/sh"), "-"]);
        self.said(&["rm", &id])?;
        Ok(found?.status.success())
    }

    /// Builds what is in a folder, and removes a first stage that carries this label. Nothing of it needs a network. With
    /// `quiet` nothing is said on standard output.
    ///
    /// # Errors
    /// When the engine says no.
    pub(crate) fn build(
        &self,
        folder: &Path,
        tag: &str,
        stage: &str,
        quiet: bool,
    ) -> Result<(), ClientError> {
        let folder = folder.to_string_lossy();
        let words = ["build", "--force-rm", "--network", "none", "--tag", tag, &folder];
        self.show(&words, quiet)?;
        let label = format!("label={STAGE_LABEL}={stage}");
        // Where it stays, it only takes room.
        let _ = self.ask(&["image", "prune", "--force", "--filter", &label]);
        Ok(())
    }
}
