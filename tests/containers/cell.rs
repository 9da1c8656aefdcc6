//! A prisoner in a container that shares a workspace with its ghosts.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::prison::{PATH, inside};
use crate::support::engine::{self, Container, Spec};
use crate::support::{House, until};

/// The tools of the jail.
const TOOLS: &str = "[sh, cat, echo, env, 'false', head, id, ls, printf, pwd, sleep, tee, touch, 'true', tty, wc, 'yes', \
                     no-such-tool, stty, python3, pip, node, npm, build]";

/// Who the prisoner is.
pub(crate) const USER: u32 = 1000;

/// A container in jail `box` of a warden of its own, `/work` shared. Dropped in this order.
pub(crate) struct Cell {
    pub(crate) container: Container<'static>,
    pub(crate) house: House,
    pub(crate) work: TempDir,
}

/// What a cell is made of.
pub(crate) struct Plan<'a> {
    /// The prisoner's image.
    pub(crate) image: &'a str,
    /// The ghosts' image, as `ghost_images` has it; empty is that of [`engine::IMAGES`] called `alpine`.
    pub(crate) ghost: &'a str,
    /// More of the rule that sends every tool into a ghost, as `, network: x`.
    pub(crate) rule: &'a str,
    /// More of the policy.
    pub(crate) policy: &'a str,
    /// More of the jail, instead of its workspace.
    pub(crate) jail: &'a str,
    /// Variables of the warden.
    pub(crate) env: &'a [(&'a str, &'a str)],
    /// The engine that the warden is told of; empty is the tests' own.
    pub(crate) engine: &'a str,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            image: "alpine",
            ghost: "",
            rule: "",
            policy: "",
            jail: "workspace: [/work]",
            env: &[],
            engine: "",
        }
    }
}

impl Cell {
    pub(crate) fn new(plan: &Plan<'_>) -> Self {
        Self::with(plan, |spec| spec)
    }

    /// The same, with the prisoner's container started as `more` says.
    pub(crate) fn with(plan: &Plan<'_>, more: impl FnOnce(Spec<'static>) -> Spec<'static>) -> Self {
        let Plan { image, ghost, rule, policy, jail, env, engine } = *plan;
        let ours = engine::get();
        let ghost = if ghost.is_empty() { ours.image("alpine") } else { ghost.to_owned() };
        let policy = format!(
            "default_action: allow\non_unparsed: allow\n{policy}\nghost_images: {{'*': {ghost}}}\njails: {{box: \
             {{commands: {TOOLS}, {jail}}}}}\nrules:\n  - {{command: '*', action: allow, executor: ghost{rule}}}\n"
        );
        let address = if engine.is_empty() { &ours.address } else { engine };
        let mut house = House::with(&policy, &["--engine", address]);
        if !env.is_empty() {
            house.warden.kill().unwrap();
            house.warden.wait().unwrap();
            house.restart_with(env);
        }
        house.json(&["status", "--json"]);
        let work = workspace();
        let spec = inside(&house, ours.container(image)).mount(work.path(), "/work");
        let container = more(spec.user(&USER.to_string())).start();
        Self { container, house, work }
    }

    /// A governed command of the prisoner's, in `/work`.
    pub(crate) fn command(&self, options: &[&str], words: &[&str]) -> Command {
        let path = format!("PATH=/clawrden/bin:{PATH}");
        let own = ["-w", "/work", "-e", &path, "-e", "CLAWRDEN_SOCKET=/run/clawrden/warden.sock"];
        let options: Vec<&str> = own.into_iter().chain(options.iter().copied()).collect();
        self.container.exec_with(&options, words)
    }

    /// What a script does whose words are governed, the shell's own among them: it runs in a ghost as a whole.
    pub(crate) fn ghost(&self, script: &str) -> Output {
        self.command(&[], &["sh", "-c", script]).output().unwrap()
    }

    /// The same, running.
    pub(crate) fn start(&self, script: &str) -> std::process::Child {
        let mut command = self.command(&["-i"], &["sh", "-c", script]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn records(&self, event: &str) -> Vec<Value> {
        self.house.events(event)
    }

    /// The ghosts of this warden that there are.
    pub(crate) fn ghosts(&self) -> Vec<String> {
        let ids = engine::get().labelled("clawrden.ghost");
        let own = |id: &String| {
            let asked: Vec<String> = self
                .records("started")
                .iter()
                .map(|r| r["id"].as_str().unwrap().to_owned())
                .collect();
            let name =
                engine::get().docker().args(["inspect", "-f", "{{.Name}}", id]).output().unwrap();
            let name = crate::support::text(&name.stdout);
            asked.iter().any(|id| name.contains(id.as_str()))
        };
        ids.into_iter().filter(own).collect()
    }

    /// Waits until none of its ghosts is left.
    pub(crate) fn is_clean(&self) {
        until("no ghost to be left", || self.ghosts().is_empty().then_some(()));
        let folder = self.house.path("ghosts");
        until("no door to be left", || {
            std::fs::read_dir(&folder).unwrap().next().is_none().then_some(())
        });
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // The warden is killed next, which may be before it has removed the last of them.
        for id in self.ghosts() {
            let _ = engine::get().docker().args(["rm", "-f", "-v", &id]).output();
        }
    }
}

/// A folder of the prisoner's.
pub(crate) fn workspace() -> TempDir {
    let work = tempfile::Builder::new().prefix("clawrden-work-").tempdir().unwrap();
    chown(work.path(), Some(USER), Some(USER)).unwrap();
    std::fs::set_permissions(work.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    work
}

/// A file in a folder that is the prisoner's.
pub(crate) fn put(folder: &TempDir, name: &str, content: &str, mode: u32) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    chown(&path, Some(USER), Some(USER)).unwrap();
    path
}
