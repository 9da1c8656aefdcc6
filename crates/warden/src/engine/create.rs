//! Making a container.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits,
};
use bollard::query_parameters::CreateContainerOptionsBuilder;

use super::connection::Call;
use super::error::{EngineError, Kind};
use super::{Engine, names};

/// A container that is to be made. What is left out is the most restricted: no network, no capabilities, no new
/// privileges, nothing that can be written, no log kept by the engine, stopped by nothing but its own end or ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewContainer {
    /// Its name; empty: the engine makes one up.
    pub name: String,
    /// The image, by reference or id. It has to be there.
    pub image: String,
    /// The program and its arguments, instead of the image's own entrypoint and command.
    pub command: Vec<String>,
    /// `uid:gid`; empty: the image's own, which may be root.
    pub user: String,
    /// Groups beside that, by number.
    pub groups: Vec<u32>,
    /// The working directory; empty: the image's own.
    pub cwd: String,
    /// Its environment beside the image's own, `NAME=value` each. Whoever may use the engine can read it.
    pub environment: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The host's folders and files, and volumes, that it gets.
    pub binds: Vec<Bind>,
    /// Memory mounted as folders.
    pub tmpfs: Vec<Tmpfs>,
    /// The name of a network; empty: none but its own loopback.
    pub network: String,
    /// Names that resolve in it, `name:address` each.
    pub hosts: Vec<String>,
    /// Capabilities that it keeps. All others are dropped.
    pub capabilities: Vec<String>,
    /// Its processes may gain privileges by setuid files.
    pub may_gain_privileges: bool,
    /// Its image's files can be written, in a layer that is removed with it.
    pub is_writable: bool,
    /// What it may use.
    pub limits: Limits,
    /// The engine puts a small init before its program.
    pub has_init: bool,
    /// The engine removes it when it has ended; its exit code is lost then.
    pub removes_itself: bool,
}

/// A folder or file of the host, or a volume, in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bind {
    /// An absolute path on the engine's host, which has to be there; or a volume's name.
    pub source: String,
    /// An absolute path in the container.
    pub target: String,
    /// It cannot be written there.
    pub is_read_only: bool,
}

/// Memory mounted as a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tmpfs {
    /// An absolute path in the container.
    pub target: String,
    /// Bytes that it may hold; 0: half of the host's memory.
    pub bytes: u64,
    /// Its mode; 0: 1777.
    pub mode: u32,
    /// Whose it is, `(uid, gid)`; absent: root's. Podman cannot say so: there it is everybody's in the container, as
    /// `/tmp` is.
    pub owner: Option<(u32, u32)>,
    /// Programs on it can be executed.
    pub is_executable: bool,
}

/// What a container may use; 0 and absent: without limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory; swap is not given beside it.
    pub memory: u64,
    /// Thousandths of a processor.
    pub milli_cpus: u64,
    /// Processes and threads.
    pub pids: u64,
    /// The kernel's limits of each process.
    pub user: Vec<UserLimit>,
    /// Bytes that its own layer may grow to, where the engine's storage can tell.
    pub disk: u64,
}

/// A limit of each process, as `setrlimit` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserLimit {
    /// Its name without the prefix, such as `nofile`, `fsize`, `core`.
    pub name: String,
    /// Soft and hard.
    pub value: u64,
}

impl Engine {
    /// Makes a container and gives its id. It does not run yet.
    ///
    /// # Errors
    /// `NotFound` when the image is not there; `Conflict` when the name is taken; `Refused` for what the engine cannot
    /// do, such as a folder that is not there.
    pub async fn create_container(&self, new: &NewContainer) -> Result<String, EngineError> {
        names::image(&new.image)?;
        let options = match &new.name[..] {
            "" => None,
            name => {
                let name = names::simple(Kind::Container, name)?;
                Some(CreateContainerOptionsBuilder::default().name(name).build())
            }
        };
        let call = Call::change("create a container", Kind::Image, &new.image);
        let has_owners = !self.about().await?.name.starts_with("Podman");
        let body = body(new, has_owners);
        let made = self.call(call, async |docker| docker.create_container(options, body).await);
        Ok(made.await?.id)
    }
}

fn body(new: &NewContainer, has_owners: bool) -> ContainerCreateBody {
    let limit = |value: u64| (value != 0).then(|| i64::try_from(value).unwrap_or(i64::MAX));
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let memory = limit(new.limits.memory);
    let user_limits = new.limits.user.iter().map(|UserLimit { name, value }| {
        let value = Some(i64::try_from(*value).unwrap_or(i64::MAX));
        ResourcesUlimits { name: Some(name.clone()), soft: value, hard: value }
    });
    let disk =
        limit(new.limits.disk).map(|bytes| HashMap::from([("size".into(), bytes.to_string())]));
    let gain = if new.may_gain_privileges { None } else { Some("no-new-privileges:true".into()) };
    let host = HostConfig {
        memory,
        // The same number for both together: no swap.
        memory_swap: memory,
        nano_cpus: limit(new.limits.milli_cpus.saturating_mul(1_000_000)),
        pids_limit: limit(new.limits.pids),
        ulimits: Some(user_limits.collect()),
        storage_opt: disk,
        init: Some(new.has_init),
        auto_remove: Some(new.removes_itself),
        network_mode: Some(given(&new.network).unwrap_or_else(|| "none".to_owned())),
        extra_hosts: Some(new.hosts.clone()),
        mounts: Some(new.binds.iter().map(bind).collect()),
        tmpfs: Some(new.tmpfs.iter().map(|one| tmpfs(one, has_owners)).collect()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(new.capabilities.clone()),
        group_add: Some(new.groups.iter().map(u32::to_string).collect()),
        security_opt: Some(gain.into_iter().collect()),
        readonly_rootfs: Some(!new.is_writable),
        privileged: Some(false),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    };
    let command = (!new.command.is_empty()).then(|| new.command.clone());
    ContainerCreateBody {
        image: Some(new.image.clone()),
        entrypoint: command.as_ref().map(|command| command[..1].to_vec()),
        cmd: command.map(|command| command[1..].to_vec()),
        user: given(&new.user),
        working_dir: given(&new.cwd),
        env: Some(new.environment.clone()),
        labels: Some(new.labels.clone().into_iter().collect()),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

fn bind(bind: &Bind) -> Mount {
    let is_path = bind.source.starts_with('/');
    Mount {
        typ: Some(if is_path { MountType::BIND } else { MountType::VOLUME }),
        source: Some(bind.source.clone()),
        target: Some(bind.target.clone()),
        read_only: Some(bind.is_read_only),
        ..Mount::default()
    }
}

fn tmpfs(tmpfs: &Tmpfs, has_owners: bool) -> (String, String) {
    let owner = tmpfs.owner.filter(|_| has_owners);
    let is_everybodys = tmpfs.mode == 0 || owner != tmpfs.owner;
    let mode = if is_everybodys { 0o1777 } else { tmpfs.mode };
    let mut options = format!("rw,nosuid,nodev,mode={mode:o}");
    options.push_str(if tmpfs.is_executable { ",exec" } else { ",noexec" });
    if tmpfs.bytes != 0 {
        options.push_str(&format!(",size={}", tmpfs.bytes));
    }
    if let Some((uid, gid)) = owner {
        options.push_str(&format!(",uid={uid},gid={gid}"));
    }
    (tmpfs.target.clone(), options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_the_most_restricted() {
        let new = NewContainer { image: "alpine".to_owned(), ..NewContainer::default() };
        let body = body(&new, true);
        assert_eq!((body.entrypoint, body.cmd), (None, None));
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.cap_add, Some(Vec::new()));
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges:true".to_owned()]));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.privileged, Some(false));
        assert_eq!((host.memory, host.memory_swap, host.pids_limit), (None, None, None));
    }

    #[test]
    fn limits_are_passed_on_and_swap_is_not_given_beside_memory() {
        let limits = Limits { memory: 1 << 20, milli_cpus: 500, pids: 64, ..Limits::default() };
        let new = NewContainer { image: "a".to_owned(), limits, ..NewContainer::default() };
        let host = body(&new, true).host_config.unwrap();
        assert_eq!((host.memory, host.memory_swap), (Some(1 << 20), Some(1 << 20)));
        assert_eq!((host.nano_cpus, host.pids_limit), (Some(500_000_000), Some(64)));
    }

    #[test]
    fn a_command_takes_the_place_of_entrypoint_and_command() {
        let command = ["/clawrden-runner", "--connect", "/x"].map(str::to_owned).to_vec();
        let body = body(&NewContainer { command, ..NewContainer::default() }, true);
        assert_eq!(body.entrypoint, Some(vec!["/clawrden-runner".to_owned()]));
        assert_eq!(body.cmd, Some(vec!["--connect".to_owned(), "/x".to_owned()]));
    }

    #[test]
    fn a_path_is_bound_and_a_name_is_a_volume() {
        let of = |source: &str| bind(&Bind { source: source.to_owned(), ..Bind::default() }).typ;
        assert_eq!(of("/srv"), Some(MountType::BIND));
        assert_eq!(of("data"), Some(MountType::VOLUME));
    }

    #[test]
    fn memory_as_a_folder_has_its_owner_and_executes_nothing_unless_told() {
        let home = Tmpfs {
            target: "/home".to_owned(),
            bytes: 4096,
            mode: 0o700,
            owner: Some((1000, 1001)),
            is_executable: false,
        };
        let options = "rw,nosuid,nodev,mode=700,noexec,size=4096,uid=1000,gid=1001";
        assert_eq!(tmpfs(&home, true), ("/home".to_owned(), options.to_owned()));
        assert_eq!(tmpfs(&home, false).1, "rw,nosuid,nodev,mode=1777,noexec,size=4096");
        assert!(tmpfs(&Tmpfs::default(), true).1.contains("mode=1777"));
    }
}
