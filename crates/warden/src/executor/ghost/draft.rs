//! The runner's plan for a ghost: made before there is one, completed by what the ghost itself tells.

use clawrden_policy::Ghost;
use clawrden_protocol::runner::{Plan as RunnerPlan, Streams};

use super::container::HOME;
use super::inside::Inside;
use super::ready::Ready;
use super::workspace;
use crate::executor::prepared::Prepared;
use crate::executor::supervision::device_number;
use crate::jails::FALLBACK_PATH;
use crate::plan::{Plan, PlanError, base_name, local as kept_environment, value};
use crate::process::status;
use crate::warden::Warden;

/// What a caller may at most leave open in the files that the command makes, where its own mask is not known.
const UMASK: u32 = 0o077;

/// A plan that lacks what only the ghost itself can tell.
pub(super) struct Draft {
    pub(super) plan: RunnerPlan,
    pub(super) stripped: Vec<String>,
    /// The ghost's PATH, and what is looked for on it.
    pub(super) path: Vec<u8>,
    pub(super) name: Vec<u8>,
}

pub(super) fn prepare(
    warden: &Warden,
    plan: &Plan,
    ghost: &Ghost,
    ready: &Ready,
) -> Result<Draft, String> {
    let umask = match plan.caller.pid {
        Some(caller) => status(caller).map_err(|error| error.to_string())?.umask,
        None => None,
    };
    let version_2 = plan.invocation.version_2();
    let (env, path, stripped) = environment(warden, plan, ready);
    // A tool of the workspace's own lies at the same path there.
    let of_workspace = plan
        .tool
        .as_ref()
        .filter(|_| plan.invocation.name().contains(&b'/'))
        .filter(|tool| workspace::holds(&ready.shared, &tool.path));
    let name = match of_workspace {
        Some(tool) => tool.path.clone(),
        None if plan.caller.is_unseen() => match plan.unseen_name() {
            Some(name) => name.to_vec(),
            None => return Err(PlanError::CallerUnseen.to_string()),
        },
        None => base_name(plan.invocation.name()).to_vec(),
    };
    let mut argv: Vec<Vec<u8>> = plan.invocation.argv().map(<[u8]>::to_vec).collect();
    if let (Some(first), None) = (argv.first_mut(), of_workspace) {
        // Tools look for their own parts beside the name that they are called by.
        first.clone_from(&name);
    }
    let plan = RunnerPlan {
        streams: Streams::Frames,
        version_2,
        uid: ready.who.uid,
        gid: ready.who.gid,
        groups: Vec::new(),
        umask: umask.unwrap_or(UMASK),
        nice: 0,
        limits: Vec::new(),
        ignored: 0,
        blocked: 0,
        tty: plan.invocation.tty().map(|tty| (tty.fds, tty.rows, tty.cols)),
        grace_ms: u32::try_from(warden.config.grace.as_millis()).unwrap_or(u32::MAX),
        cwd: None,
        place: Vec::new(),
        script: Vec::new(),
        keep_open: false,
        warden_first: false,
        most_out: ghost.limits.output.unwrap_or(u64::MAX),
        argv,
        env,
    };
    Ok(Draft { plan, stripped, path, name })
}

/// The variables that it starts with: the image's, over them what the policy keeps of the caller's, and the secrets. With
/// its PATH, and the names of those that it does not get.
fn environment(
    warden: &Warden,
    plan: &Plan,
    ready: &Ready,
) -> (Vec<Vec<u8>>, Vec<u8>, Vec<String>) {
    let now = plan.jail.policies();
    let rules = [plan.judges.env(), now.env()].concat();
    let baseline = warden.baseline(plan.prisoner.as_deref());
    let kept = kept_environment(plan.invocation.env(), &rules, baseline);
    let own = ready.image.environment.iter().map(|entry| entry.as_bytes().to_vec());
    let mut env: Vec<Vec<u8>> = Vec::new();
    let home = [b"HOME=", HOME.as_bytes()].concat();
    let of_caller = kept.kept.into_iter().filter(|entry| !entry.starts_with(b"PATH="));
    for entry in own.chain(of_caller).chain([home]).chain(ready.secrets.variables.iter().cloned()) {
        let name = entry.split(|&byte| byte == b'=').next().unwrap_or_default().to_vec();
        env.retain(|other| {
            !other.strip_prefix(&name[..]).is_some_and(|rest| rest.starts_with(b"="))
        });
        env.push(entry);
    }
    let path = value(env.iter().map(Vec::as_slice), b"PATH").unwrap_or(FALLBACK_PATH).to_vec();
    if !env.iter().any(|entry| entry.starts_with(b"PATH=")) {
        env.push([b"PATH=", FALLBACK_PATH].concat());
    }
    (env, path, kept.stripped)
}

/// The plan with what the ghost itself has told.
pub(super) fn complete(draft: Draft, inside: Inside) -> Prepared {
    let Inside { tool, opened, cwd, groups } = inside;
    let Draft { mut plan, stripped, .. } = draft;
    plan.groups = groups;
    plan.cwd = Some((device_number(cwd.id.device), cwd.id.inode));
    if tool.script {
        plan.script.clone_from(&tool.path);
    }
    Prepared { plan, tool: opened, cwd: Some(cwd), stripped }
}
