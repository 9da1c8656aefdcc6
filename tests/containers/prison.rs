//! A prisoner in a container: the warden on the host, the jail's folder and its shims mounted.

use std::process::Command;

use serde_json::Value;

use crate::support::House;
use crate::support::engine::{self, Container, Spec};

/// The images that every promise about containers is shown on.
pub(crate) const IMAGES: &[&str] = &["alpine", "debian12", "debian13"];

/// PATH of a container that has no shims, as its image says.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything is allowed and goes back into the prisoner.
pub(crate) const MIRROR: &str =
    "default_action: allow\non_unparsed: allow\ndefault_executor: mirror\n";

const TOOLS: &str = "[sh, ash, bash, cat, echo, env, 'false', head, tail, ls, printf, pwd, python3, sleep, sort, touch, \
                     'true', tty, wc, 'yes', dd, tee, kill, nice, readlink, rm, id, grep, stty, setsid, sha256sum, \
                     node, npm, sudo]";

/// A container in jail `box` of a warden of its own. Dropped in this order.
pub(crate) struct Prison {
    pub(crate) container: Container<'static>,
    pub(crate) house: House,
}

impl Prison {
    /// A sleeping container of this image, under this policy, which must not have `jails`.
    pub(crate) fn new(image: &str, policy: &str) -> Self {
        Self::with(image, policy, |spec| spec)
    }

    /// The same, started as `more` says.
    pub(crate) fn with(
        image: &str,
        policy: &str,
        more: impl FnOnce(Spec<'static>) -> Spec<'static>,
    ) -> Self {
        Self::of(house(policy), image, more)
    }

    /// The same, with a warden that knows the engine.
    pub(crate) fn with_engine(
        image: &str,
        policy: &str,
        more: impl FnOnce(Spec<'static>) -> Spec<'static>,
    ) -> Self {
        Self::under(&[], image, policy, more)
    }

    /// The same, with the warden started by `prefix`, which must execute it in its own process.
    pub(crate) fn under(
        prefix: &[&str],
        image: &str,
        policy: &str,
        more: impl FnOnce(Spec<'static>) -> Spec<'static>,
    ) -> Self {
        let house = house_with(prefix, policy, &["--engine", &engine::get().address]);
        Self::of(house, image, more)
    }

    fn of(house: House, image: &str, more: impl FnOnce(Spec<'static>) -> Spec<'static>) -> Self {
        let container = more(inside(&house, engine::get().container(image))).start();
        Self { container, house }
    }

    /// A program of the container, with the shims first on its PATH.
    pub(crate) fn governed(&self, options: &[&str], words: &[&str]) -> Command {
        let path = format!("PATH=/clawrden/bin:{PATH}");
        let options: Vec<&str> = ["-e", &path].into_iter().chain(options.iter().copied()).collect();
        self.container.exec_with(&options, words)
    }

    /// What the ledger has of one event, once it is there `count` times at least.
    pub(crate) fn records(&self, event: &str, count: usize) -> Vec<Value> {
        crate::support::until(event, || {
            let found = self.house.events(event);
            (found.len() >= count).then_some(found)
        })
    }
}

/// A warden with a jail `box` and a jail `other`.
pub(crate) fn house(policy: &str) -> House {
    house_with(&[], policy, &[])
}

fn house_with(prefix: &[&str], policy: &str, extra: &[&str]) -> House {
    let policy =
        format!("{policy}\njails:\n  box: {{commands: {TOOLS}}}\n  other: {{commands: {TOOLS}}}\n");
    let house = House::under(prefix, &policy, extra);
    // It listens before it has made its jails, and answers after.
    house.json(&["status", "--json"]);
    house
}

/// Puts a container into jail `box`.
pub(crate) fn inside<'e>(house: &House, spec: Spec<'e>) -> Spec<'e> {
    spec.mount_read_only(&house.path("jails/box"), "/run/clawrden")
        .mount_read_only(&house.path("clawrden/jails/box/bin"), "/clawrden/bin")
}

/// The command lines of what runs in a container, by its cgroup.
pub(crate) fn processes(container: &str) -> Vec<String> {
    let read = |pid: &str, file: &str| std::fs::read(format!("/proc/{pid}/{file}")).ok();
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let line = |pid: String| {
        let cgroup = crate::support::text(&read(&pid, "cgroup")?);
        let words = read(&pid, "cmdline")?;
        let words = String::from_utf8_lossy(words.strip_suffix(&[0])?).replace('\0', " ");
        cgroup.contains(container).then_some(words)
    };
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit())).filter_map(line).collect()
}
