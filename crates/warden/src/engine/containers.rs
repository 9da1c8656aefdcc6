//! Containers that there are: what they are, and being started, stopped, frozen and removed.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerInspectResponse, ContainerSummary, MountPoint};
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;

use super::connection::Call;
use super::error::{EngineError, Kind, cut};
use super::networks::{Attachment, attachment};
use super::{Engine, names};

/// One container, as the engine knows it. All texts but the id may be the choice of whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its whole id, 64 hex digits.
    pub id: String,
    /// Its name, without the slash that the engine puts before it.
    pub name: String,
    /// The image as it was named when the container was made.
    pub image: String,
    /// The image's id, `sha256:…`.
    pub image_id: String,
    /// Its labels, those of its image included.
    pub labels: BTreeMap<String, String>,
    /// What is mounted into it from outside.
    pub mounts: Vec<Mount>,
    /// Where in it less is mounted than `mounts` says: a part of a volume, or memory over what lies there.
    pub narrowed: Vec<String>,
    /// Whether it runs.
    pub running: Running,
    /// Its first process, in the pid namespace of the engine. `None` when it does not run.
    pub pid: Option<u32>,
    /// The exit code of its last run, once it has ended.
    pub exit_code: Option<i64>,
    /// Its last run was ended for want of memory.
    pub was_out_of_memory: bool,
    /// When it was started last, as the engine writes times.
    pub started_at: String,
    /// It has all rights over the host.
    pub is_privileged: bool,
    /// Whose pid namespace it has: empty for one of its own, `host`, or `container:…`.
    pub pid_mode: String,
    /// The user that its first process runs as, as it was configured; empty for root.
    pub user: String,
    /// The network that it was made with, such as `bridge` or `none`.
    pub network: String,
    /// Its environment, as it was configured: `NAME=value` each.
    pub environment: Vec<String>,
}

/// Whether a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// It has processes that run.
    Yes,
    /// They are frozen.
    Paused,
    /// It has none.
    No,
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Where it comes from, on the engine's host.
    pub source: String,
    /// Where it is, in the container.
    pub destination: String,
    /// It cannot be written there.
    pub is_read_only: bool,
}

/// What a mount is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A folder or file of the host.
    Bind,
    /// A volume of the engine, with its name.
    Volume(String),
    /// Memory, or what else the engine offers.
    Other,
}

/// One container of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its whole id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image as it was named.
    pub image: String,
    /// Its labels, those of its image included.
    pub labels: BTreeMap<String, String>,
    /// What is mounted into it from outside.
    pub mounts: Vec<Mount>,
    /// Whether it runs.
    pub running: Running,
    /// Where it is on networks, while it runs.
    pub attachments: Vec<Attachment>,
    /// The network that it was made with; `container:…` for that of another container.
    pub network: String,
}

impl Engine {
    /// One container, by id, unambiguous start of an id, or name.
    ///
    /// # Errors
    /// `NotFound` for none; [`EngineError`] as for every call.
    pub async fn inspect_container(&self, id: &str) -> Result<Container, EngineError> {
        let name = names::simple(Kind::Container, id)?;
        let call = Call::question("inspect a container", Kind::Container, name);
        let nothing = None::<InspectContainerOptions>;
        let found = self.call(call, async |docker| docker.inspect_container(name, nothing).await);
        let found = read(found.await?);
        found.ok_or_else(|| EngineError::Unreadable { call: call.what, why: "no id".to_owned() })
    }

    /// The containers that carry all of these labels: `NAME` for any value, or `NAME=value`. Running and paused ones, or
    /// `all` that there are.
    ///
    /// # Errors
    /// [`EngineError`] as for every call.
    pub async fn list_containers(
        &self,
        labels: &[&str],
        all: bool,
    ) -> Result<Vec<Listed>, EngineError> {
        let filters = HashMap::from([("label", labels.to_vec())]);
        let mut options = ListContainersOptionsBuilder::default().all(all);
        if !labels.is_empty() {
            options = options.filters(&filters);
        }
        let call = Call::question("list containers", Kind::Container, "");
        let options = Some(options.build());
        let found = self.call(call, async |docker| docker.list_containers(options).await).await?;
        Ok(found.into_iter().filter_map(listed).collect())
    }

    /// Starts a container. One that runs already is no error.
    ///
    /// # Errors
    /// `NotFound` when it, or something that it needs such as a network, is not there; `Refused` with the engine's
    /// words when it cannot be started, such as for a program that is not in its image.
    pub async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let name = names::simple(Kind::Container, id)?;
        let call = Call::change("start a container", Kind::Container, name);
        let nothing = None::<StartContainerOptions>;
        self.call(call, async |docker| docker.start_container(name, nothing).await).await
    }

    /// Waits, without limit, until a container that was started does not run any more; gives its exit code, at once if
    /// it has ended already. One that is only created counts as ended: start it first.
    ///
    /// # Errors
    /// `Absent` when the engine goes away meanwhile, the container perhaps running on: ask again when it is back.
    pub async fn wait_container(&self, id: &str) -> Result<i64, EngineError> {
        let name = names::simple(Kind::Container, id)?;
        let call = Call::question("wait for a container", Kind::Container, name);
        let connection = self.connection().await?;
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut answers = Box::pin(connection.docker.wait_container(name, Some(options)));
        let address = &connection.about.address;
        let code = match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // The library's way of saying that it is not 0.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, error }))
                if error.is_empty() =>
            {
                Ok(code)
            }
            Some(Err(bollard::errors::Error::DockerContainerWaitError { error, .. })) => {
                let message = cut(&error);
                Err(EngineError::Refused { status: 200, message })
            }
            Some(Err(error)) => Err(call.error(address, error)),
            None => Err(EngineError::Absent {
                address: address.clone(),
                why: "it broke off while a container was waited for".to_owned(),
            }),
        };
        code.inspect_err(|error| self.notice(error))
    }

    /// Sends a signal, such as `SIGKILL`, to a container's first process. Without a pid namespace of its own, a container
    /// keeps its other processes.
    ///
    /// # Errors
    /// `NotFound` for none; `Conflict` when it does not run.
    pub async fn kill_container(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        let name = names::simple(Kind::Container, id)?;
        let call = Call::change("kill a container", Kind::Container, name);
        let options = Some(KillContainerOptionsBuilder::default().signal(signal).build());
        self.call(call, async |docker| docker.kill_container(name, options).await).await
    }

    /// How many processes a container has.
    ///
    /// # Errors
    /// `NotFound` for none; `Conflict` when it does not run.
    pub async fn count_processes(&self, id: &str) -> Result<usize, EngineError> {
        let name = names::simple(Kind::Container, id)?;
        let call = Call::question("list a container's processes", Kind::Container, name);
        let found = self.call(call, async |docker| docker.top_processes(name, None).await).await?;
        Ok(found.processes.map_or(0, |all| all.len()))
    }

    /// Freezes all processes of a container.
    ///
    /// # Errors
    /// `NotFound` for none; `Conflict` when it does not run or is frozen already.
    pub async fn pause_container(&self, id: &str) -> Result<(), EngineError> {
        let name = names::simple(Kind::Container, id)?;
        let call = Call::change("pause a container", Kind::Container, name);
        self.call(call, async |docker| docker.pause_container(name).await).await
    }

    /// Thaws them.
    ///
    /// # Errors
    /// `NotFound` for none; `Conflict` when it is not frozen.
    pub async fn unpause_container(&self, id: &str) -> Result<(), EngineError> {
        let name = names::simple(Kind::Container, id)?;
        let call = Call::change("unpause a container", Kind::Container, name);
        self.call(call, async |docker| docker.unpause_container(name).await).await
    }

    /// Removes a container with its anonymous volumes, and ends it first if it runs. One that is not there, or is being
    /// removed by somebody, is no error.
    ///
    /// # Errors
    /// [`EngineError`] as for every call.
    pub async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let name = names::simple(Kind::Container, id)?;
        let call = Call::change("remove a container", Kind::Container, name);
        let options = Some(RemoveContainerOptionsBuilder::default().force(true).v(true).build());
        let removed = self.call(call, async |docker| docker.remove_container(name, options).await);
        match removed.await {
            Err(EngineError::NotFound { .. }) => Ok(()),
            Err(EngineError::Conflict { message, .. }) if message.contains("in progress") => Ok(()),
            other => other,
        }
    }
}

fn read(found: ContainerInspectResponse) -> Option<Container> {
    let config = found.config.unwrap_or_default();
    let host = found.host_config.unwrap_or_default();
    let state = found.state.unwrap_or_default();
    let running = match (state.running.unwrap_or_default(), state.paused.unwrap_or_default()) {
        (_, true) => Running::Paused,
        (true, false) => Running::Yes,
        (false, false) => Running::No,
    };
    // One that never ran has the first moment of the calendar, and exit code 0.
    let finished = state.finished_at.filter(|at| !at.is_empty() && !at.starts_with("0001-"));
    let has_ended = running == Running::No && finished.is_some();
    let asked = host.mounts.unwrap_or_default().into_iter();
    let of_parts = asked.filter(|mount| {
        let part = mount.volume_options.as_ref().and_then(|options| options.subpath.as_ref());
        part.is_some_and(|part| !part.is_empty())
    });
    let of_parts = of_parts.filter_map(|mount| mount.target);
    let narrowed = of_parts.chain(host.tmpfs.unwrap_or_default().into_keys()).collect();
    Some(Container {
        narrowed,
        id: found.id.filter(|id| !id.is_empty())?,
        name: bare(&found.name.unwrap_or_default()),
        image: config.image.unwrap_or_default(),
        image_id: found.image.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        mounts: found.mounts.unwrap_or_default().into_iter().map(mount).collect(),
        running,
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid != 0),
        exit_code: state.exit_code.filter(|_| has_ended),
        was_out_of_memory: state.oom_killed.unwrap_or_default(),
        started_at: state.started_at.unwrap_or_default(),
        is_privileged: host.privileged.unwrap_or_default(),
        pid_mode: match host.pid_mode.unwrap_or_default() {
            // Podman's word for one of its own.
            mode if mode == "private" => String::new(),
            mode => mode,
        },
        user: config.user.unwrap_or_default(),
        network: host.network_mode.unwrap_or_default(),
        environment: config.env.unwrap_or_default(),
    })
}

fn mount(point: MountPoint) -> Mount {
    let kind = match point.typ.as_deref() {
        Some("bind") => MountKind::Bind,
        Some("volume") => MountKind::Volume(point.name.unwrap_or_default()),
        _ => MountKind::Other,
    };
    Mount {
        kind,
        source: point.source.unwrap_or_default(),
        destination: point.destination.unwrap_or_default(),
        is_read_only: !point.rw.unwrap_or_default(),
    }
}

fn listed(found: ContainerSummary) -> Option<Listed> {
    let state = found.state.map(|state| state.to_string()).unwrap_or_default();
    let networks = found.network_settings.and_then(|settings| settings.networks);
    let endpoints = networks.into_iter().flatten().map(|(_, endpoint)| endpoint);
    let host = found.host_config.unwrap_or_default();
    Some(Listed {
        id: found.id.filter(|id| !id.is_empty())?,
        name: found.names.iter().flatten().next().map(|name| bare(name)).unwrap_or_default(),
        image: found.image.unwrap_or_default(),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        mounts: found.mounts.unwrap_or_default().into_iter().map(mount).collect(),
        running: match &state[..] {
            "running" | "restarting" | "removing" => Running::Yes,
            "paused" => Running::Paused,
            _ => Running::No,
        },
        attachments: endpoints.filter_map(attachment).collect(),
        network: host.network_mode.unwrap_or_default(),
    })
}

fn bare(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerState, HostConfig, MountVolumeOptions};

    use super::*;

    fn found(running: bool, paused: bool, pid: i64) -> ContainerInspectResponse {
        ContainerInspectResponse {
            id: Some("ab".to_owned()),
            name: Some("/agent".to_owned()),
            state: Some(ContainerState {
                running: Some(running),
                paused: Some(paused),
                pid: Some(pid),
                exit_code: Some(0),
                finished_at: Some("2026-11-28T12:21:39Z".to_owned()),
                ..ContainerState::default()
            }),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn a_container_that_does_not_run_has_no_pid_and_one_that_runs_no_exit_code() {
        let stopped = read(found(false, false, 0)).unwrap();
        assert_eq!((stopped.running, stopped.pid, stopped.exit_code), (Running::No, None, Some(0)));
        let runs = read(found(true, false, 7)).unwrap();
        assert_eq!((runs.running, runs.pid, runs.exit_code), (Running::Yes, Some(7), None));
        assert_eq!(read(found(true, true, 7)).unwrap().running, Running::Paused);
        assert_eq!(runs.name, "agent");
        let mut created = found(false, false, 0);
        created.state.as_mut().unwrap().finished_at = Some("0001-01-01T00:00:00Z".to_owned());
        assert_eq!(read(created).unwrap().exit_code, None);
    }

    #[test]
    fn an_answer_without_an_id_is_no_container() {
        let nameless = ContainerInspectResponse { id: None, ..found(true, false, 7) };
        assert_eq!(read(nameless), None);
    }

    #[test]
    fn a_pid_namespace_of_its_own_is_told_alike_by_both_engines() {
        for mode in ["", "private"] {
            let host = HostConfig { pid_mode: Some(mode.to_owned()), ..HostConfig::default() };
            let container = ContainerInspectResponse {
                host_config: Some(host),
                config: Some(ContainerConfig::default()),
                ..found(true, false, 7)
            };
            assert_eq!(read(container).unwrap().pid_mode, "");
        }
    }

    #[test]
    fn where_a_part_of_a_volume_is_or_memory_less_is_mounted_than_is_said() {
        let with = |part: Option<&str>, target: &str| bollard::models::Mount {
            target: Some(target.to_owned()),
            volume_options: Some(MountVolumeOptions {
                subpath: part.map(str::to_owned),
                ..MountVolumeOptions::default()
            }),
            ..bollard::models::Mount::default()
        };
        let host = HostConfig {
            mounts: Some(vec![
                with(Some("alice"), "/work"),
                with(None, "/all"),
                with(Some(""), "/b"),
            ]),
            tmpfs: Some(HashMap::from([("/all/hidden".to_owned(), String::new())])),
            ..HostConfig::default()
        };
        let container =
            ContainerInspectResponse { host_config: Some(host), ..found(true, false, 7) };
        assert_eq!(read(container).unwrap().narrowed, ["/work", "/all/hidden"]);
    }

    #[test]
    fn a_mount_that_is_not_said_to_be_writable_is_not() {
        let read_only = mount(MountPoint { rw: None, ..MountPoint::default() });
        assert!(read_only.is_read_only);
        assert_eq!(read_only.kind, MountKind::Other);
    }
}
