//! The bare tool beside the shimmed tool: bytes, exit code, signals, terminal, descriptors, limits must be the same.
//!
//! Each case runs natively, through mirror and through local, and all three are compared.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod descriptors;
mod many;
mod masks;
mod processes;
mod streams;
mod terminal;
mod themselves;
mod words;

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use support::House;

/// The ways in which a tool is run.
pub(crate) const WAYS: [Way; 3] = [Way::Native, Way::Mirror, Way::Local];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Native,
    Mirror,
    Local,
}

/// A house for one way.
pub(crate) struct Stage {
    pub(crate) way: Way,
    pub(crate) house: House,
}

impl Stage {
    pub(crate) fn new(way: Way) -> Self {
        let executor = if way == Way::Local { "local" } else { "mirror" };
        let policy = format!(
            "default_action: allow\non_unparsed: allow\ndefault_executor: {executor}\nenv: {{keep: ['*']}}\n"
        );
        Self { way, house: House::new(&policy) }
    }

    /// All three, side by side.
    pub(crate) fn all() -> [Self; 3] {
        WAYS.map(Self::new)
    }

    /// The tool, natively or by its shim; in the house's folder either way. What the tool itself starts is not
    /// governed here, so that the tool alone is compared.
    pub(crate) fn tool(&self, name: &str) -> Command {
        let mut command = match self.way {
            Way::Native => Command::new(name),
            Way::Mirror | Way::Local => Command::new(self.house.bin().join(name)),
        };
        command.arg0(name);
        command.env("CLAWRDEN_SOCKET", self.house.socket()).current_dir(self.house.dir.path());
        command
    }

    /// A name for `tool` that a shell script can use.
    pub(crate) fn path(&self, tool: &str) -> String {
        match self.way {
            // Not the shell's own builtin of that name.
            Way::Native => which(tool).display().to_string(),
            Way::Mirror | Way::Local => self.house.bin().join(tool).display().to_string(),
        }
    }

    /// A native shell whose script calls the tools `{name}` natively or by their shims.
    pub(crate) fn script(&self, script: &str, tools: &[&str]) -> Command {
        let mut script = script.to_owned();
        for tool in tools {
            script = script.replace(&format!("{{{tool}}}"), &self.path(tool));
        }
        let mut command = Command::new("bash");
        command.args(["-c", &script]).env("CLAWRDEN_SOCKET", self.house.socket());
        command.current_dir(self.house.dir.path());
        command
    }
}

fn which(tool: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|file| file.is_file()).unwrap()
}

/// Runs `case` on every way and compares what came of it.
pub(crate) fn same(what: &str, mut case: impl FnMut(&Stage) -> Output) -> Output {
    let [native, mirror, local] = Stage::all().map(|stage| (stage.way, case(&stage)));
    for (way, output) in [mirror, local] {
        assert_eq!(output.status, native.1.status, "{what}: status, {way:?}: {}", said(&output));
        assert!(output.stdout == native.1.stdout, "{what}: stdout, {way:?}: {}", said(&output));
        assert!(output.stderr == native.1.stderr, "{what}: stderr, {way:?}: {}", said(&output));
    }
    native.1
}

fn said(output: &Output) -> String {
    let cut = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
    format!("stdout {:?}, stderr {:?}", cut(&output.stdout), cut(&output.stderr))
}
