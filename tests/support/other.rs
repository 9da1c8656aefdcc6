//! Callers and wardens of another user or other namespaces, and what is seen of processes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{House, clawrden, until};

/// A user and a group that nobody has.
pub const UID: u32 = 12345;

/// Whether the tests run as root, without which there is no other user to be.
pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Whether this machine lets `prefix` be done at all.
pub fn can(prefix: &[&str]) -> bool {
    let mut command = Command::new(prefix[0]);
    let done = command.args(&prefix[1..]).arg("true").stderr(Stdio::null()).status();
    let can = done.is_ok_and(|status| status.success());
    if !can {
        eprintln!("not tried: `{}` cannot be done here", prefix.join(" "));
    }
    can
}

/// `command`, started by `prefix`.
pub fn by(prefix: &[&str], command: &Command) -> Command {
    let mut whole = Command::new(prefix[0]);
    whole.args(&prefix[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        whole.current_dir(dir);
    }
    whole
}

/// A warden of an ordinary user, with places of its own: jails lie in them, so that no two tests share any. Where the
/// tests run as root, that user is [`UID`].
pub struct Home {
    pub house: House,
    /// `clawrden` where that user can execute it.
    pub cli: PathBuf,
}

impl Home {
    /// Starts one with this policy.
    pub fn new(policy: &str) -> Self {
        Self::with(policy, &[])
    }

    /// Starts one with this policy and these further arguments.
    pub fn with(policy: &str, extra: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
        // Where the tests are built, another user may not look.
        let copy = dir.path().join("cli");
        fs::copy(clawrden().get_program(), &copy).unwrap();
        for name in ["run", "state", "config"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o700)).unwrap();
        }
        let mut prefix: Vec<String> = Vec::new();
        if is_root() {
            for path in [dir.path().to_owned()]
                .into_iter()
                .chain(["run", "state", "config"].map(|name| dir.path().join(name)))
            {
                chown(path, Some(UID), Some(UID)).unwrap();
            }
            prefix.extend(set_user(UID).map(str::to_owned));
        }
        prefix.push("env".to_owned());
        prefix.extend(places(dir.path()).map(|(name, value)| format!("{name}={value}")));
        let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
        let house = House::within(dir, &prefix, policy, extra);
        let home = Self { house, cli: copy };
        // It listens before it has made its jails, and answers after.
        home.json(&["status", "--json"]);
        home
    }

    /// A command of the warden's user, with its places.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if is_root() {
            command.uid(UID).gid(UID);
        }
        command.envs(places(self.house.dir.path())).current_dir(self.house.dir.path());
        command
    }

    /// The CLI of the warden's user.
    pub fn clawrden(&self) -> Command {
        let mut command = self.command(&self.cli);
        command.arg("--control").arg(self.house.control());
        command
    }

    /// The socket of a jail that the policy names.
    pub fn jail_socket(&self, jail: &str) -> PathBuf {
        self.house.path("jails").join(jail).join("warden.sock")
    }

    /// A tool by its shim, through the socket of a jail.
    pub fn shimmed(&self, jail: &str, tool: &str) -> Command {
        let mut command = self.command(self.house.bin().join(tool));
        command.arg0(tool).env("CLAWRDEN_SOCKET", self.jail_socket(jail));
        command
    }

    /// What the CLI answers in JSON.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.clawrden().args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until somebody waits for a person, and gives the entry.
    pub fn pending(&self) -> serde_json::Value {
        until("a pending request", || {
            self.json(&["queue", "--json"])["entries"].as_array()?.first().cloned()
        })
    }
}

/// The variables that say where a user's things lie, all below `dir`.
pub fn places(dir: &Path) -> [(&'static str, String); 4] {
    let below = |name: &str| dir.join(name).display().to_string();
    [
        ("HOME", dir.display().to_string()),
        ("XDG_RUNTIME_DIR", below("run")),
        ("XDG_STATE_HOME", below("state")),
        ("XDG_CONFIG_HOME", below("config")),
    ]
}

/// The prefix that makes root another user.
pub fn set_user(uid: u32) -> [&'static str; 6] {
    let id: &'static str = if uid == UID { "12345" } else { "65534" };
    ["setpriv", "--reuid", id, "--regid", id, "--clear-groups"]
}

/// Lets others pass through the house's folder, as they do through the usual places.
pub fn open_to_others(house: &House) {
    fs::set_permissions(house.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether a process is there and has not ended.
pub fn is_alive(pid: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// The pids in a file, one a line, once there are `count` of them.
pub fn pids_in(file: &Path, count: usize) -> Vec<String> {
    until("the processes' own words", || {
        let text = fs::read_to_string(file).ok()?;
        let pids: Vec<String> = text.lines().map(str::to_owned).collect();
        (pids.len() == count && text.ends_with('\n')).then_some(pids)
    })
}

/// Waits until none of the processes is left.
pub fn all_gone(pids: &[String]) {
    until("the processes to end", || pids.iter().all(|pid| !is_alive(pid)).then_some(()));
}

/// A number in `/proc/PID/status`, such as `VmHWM` in KiB.
pub fn status_number(pid: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The children of a process, whichever of its threads made them.
pub fn children(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}
