//! A process more in a running container.

use bollard::exec::{CreateExecOptions, StartExecOptions};

use super::connection::Call;
use super::error::{EngineError, Kind};
use super::{Engine, names};

/// A process that is to be started in a container. Its streams go nowhere: what is started connects by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewExec {
    /// The program, as the container's paths are, and its arguments.
    pub command: Vec<String>,
    /// The user, such as `0:0`; empty: the container's own.
    pub user: String,
    /// The working directory; empty: the container's own.
    pub cwd: String,
    /// Its environment beside the container's own, `NAME=value` each. The container's processes can read it.
    pub environment: Vec<String>,
}

/// A process that was started in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The container's whole id.
    pub container: String,
    /// Whether it runs.
    pub is_running: bool,
    /// Its pid in the pid namespace of the engine, while it runs.
    pub pid: Option<u32>,
    /// What it ended with, as 128+N for signal N.
    pub exit_code: Option<i64>,
}

impl Engine {
    /// Prepares a process in a container; gives the id to start it by.
    ///
    /// # Errors
    /// `NotFound` for no such container; `Conflict` when it does not run or is frozen.
    pub async fn create_exec(&self, container: &str, new: &NewExec) -> Result<String, EngineError> {
        let name = names::simple(Kind::Container, container)?;
        let call = Call::change("prepare a process in a container", Kind::Container, name);
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        let options = CreateExecOptions {
            attach_stdin: Some(false),
            attach_stdout: Some(false),
            attach_stderr: Some(false),
            tty: Some(false),
            privileged: Some(false),
            cmd: Some(new.command.clone()),
            user: given(&new.user),
            working_dir: given(&new.cwd),
            env: Some(new.environment.clone()),
            ..CreateExecOptions::default()
        };
        let made = self.call(call, async |docker| docker.create_exec(name, options).await);
        Ok(made.await?.id)
    }

    /// Starts it, and does not wait for its end. It has been started when this returns.
    ///
    /// # Errors
    /// `NotFound` for no such exec; `Refused` (Podman: also `Conflict`) when the program cannot be started.
    pub async fn start_exec(&self, exec: &str) -> Result<(), EngineError> {
        let name = names::simple(Kind::Exec, exec)?;
        let call = Call::change("start a process in a container", Kind::Exec, name);
        let options = StartExecOptions { detach: true, ..StartExecOptions::default() };
        let started = self.call(call, async |docker| docker.start_exec(name, Some(options)).await);
        started.await.map(|_| ())
    }

    /// How it is.
    ///
    /// # Errors
    /// `NotFound` for no such exec, also some minutes after its end.
    pub async fn inspect_exec(&self, exec: &str) -> Result<Exec, EngineError> {
        let name = names::simple(Kind::Exec, exec)?;
        let call = Call::question("inspect a process in a container", Kind::Exec, name);
        let found = self.call(call, async |docker| docker.inspect_exec(name).await).await?;
        let is_running = found.running.unwrap_or_default();
        let pid = found.pid.and_then(|pid| u32::try_from(pid).ok());
        Ok(Exec {
            container: found.container_id.unwrap_or_default(),
            is_running,
            pid: pid.filter(|&pid| pid != 0 && is_running),
            exit_code: found.exit_code.filter(|_| !is_running),
        })
    }
}
