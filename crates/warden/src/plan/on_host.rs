//! A command that a rule runs as a user of the warden's host (`run_as`): which tool, folder and user that means here.
//!
//! Nothing of it is looked up under the caller's root, and the caller's PATH has no say in it.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Identity;
use super::root::{Depth, Root};
use super::tool::{Search, Tool, base_name};
use super::{Cwd, Kinds, Plan, PlanError, Workers, marked};
use crate::jails::FALLBACK_PATH;
use crate::sys::users::{self, User, UserError};

/// Where a command is on the warden's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnHost {
    /// The file, found on the host's usual PATH.
    pub(crate) tool: Tool,
    /// The folder that lies where the caller's does.
    pub(crate) cwd: Cwd,
    /// Who runs it: known once the decision says so.
    pub(crate) user: Option<User>,
}

/// Why a command cannot run on the warden's host. Each is a sentence for the caller.
#[derive(Debug, Error)]
pub(crate) enum HostError {
    #[error("there is no `{0}` on the warden's host (looked in {path})", path = String::from_utf8_lossy(FALLBACK_PATH))]
    NoTool(String),
    #[error(
        "the working directory is unknown, and a command runs on the warden's host only where the caller is"
    )]
    NoDirectory,
    #[error(
        "the working directory {0} is no directory on the warden's host, so the command cannot run there"
    )]
    OtherDirectory(String),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(
        "the warden runs as user {own} and cannot run a command as {name} (user {uid}); run it as root for that"
    )]
    NotRoot { own: u32, name: String, uid: u32 },
    #[error("user {0} is root, and a rule says that by `run_as: root` alone")]
    HiddenRoot(String),
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl OnHost {
    /// Finds tool and folder for `name`, asked for in `cwd`.
    fn find(name: &[u8], cwd: Option<&[u8]>, kinds: &Kinds) -> Result<Self, HostError> {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let cwd = cwd.ok_or(HostError::NoDirectory)?;
        let elsewhere = || HostError::OtherDirectory(shown(cwd));
        let root = Root::own().map_err(PlanError::files)?;
        let opened = root.lookup(cwd, Depth::Full).map_err(|_| elsewhere())?;
        let path =
            root.path_of(&opened, cwd).filter(|_| opened.is_directory()).ok_or_else(elsewhere)?;
        let search = Search {
            root: &root,
            kinds,
            path: Some(FALLBACK_PATH),
            cwd: None,
            behind: None,
            depth: Depth::Full,
        };
        let tool = search.find(name).map_err(PlanError::files)?;
        let tool = tool.ok_or_else(|| HostError::NoTool(shown(name)))?;
        Ok(Self { tool, cwd: Cwd { path, id: (opened.id.device, opened.id.inode) }, user: None })
    }

    /// Whether tool, folder and user are what they were.
    pub(super) fn is_unchanged(&self) -> bool {
        let Ok(root) = Root::own() else { return false };
        let now = |path: &[u8]| root.lookup(path, Depth::Full).ok().map(|opened| opened.id);
        now(&self.tool.path) == Some(self.tool.id)
            && now(&self.cwd.path).is_some_and(|id| (id.device, id.inode) == self.cwd.id)
            && self.user.as_ref().is_none_or(|user| users::find(&user.asked).as_ref() == Ok(user))
    }

    /// For the ledger.
    pub(crate) fn record(&self) -> Option<crate::ledger::RunAs> {
        let user = self.user.as_ref()?;
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(crate::ledger::RunAs {
            user: user.name.clone(),
            uid: user.uid,
            executable: shown(&self.tool.resolved),
            cwd: shown(&self.cwd.path),
        })
    }

    /// Tells requests apart that are the same to their caller, and not here.
    pub(super) fn identity(&self, caller: Identity) -> Identity {
        let state = [
            self.tool.id.size.to_be_bytes(),
            self.tool.id.changed.0.to_be_bytes(),
            u64::from(self.tool.id.changed.1).to_be_bytes(),
        ];
        let executable =
            marked(&self.tool.resolved, (self.tool.id.device, self.tool.id.inode), &state);
        let directory = marked(&self.cwd.path, self.cwd.id, &[]);
        let (name, uid) = self.user.as_ref().map_or(("", 0), |user| (&*user.asked, user.uid));
        let mut digest = Sha256::new();
        for part in
            [&caller.0[..], b"run_as", name.as_bytes(), &uid.to_be_bytes(), &executable, &directory]
        {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Identity(digest.finalize().into())
    }
}

impl Plan {
    /// Finds out what the request means on the warden's host. From here on its facts are those.
    pub(crate) async fn move_to_host(
        &mut self,
        kinds: &Arc<Kinds>,
        workers: &Workers,
    ) -> Result<(), HostError> {
        let kinds = Arc::clone(kinds);
        let name = base_name(self.invocation.name()).to_vec();
        let cwd = self.cwd.as_ref().map(|cwd| cwd.path.clone());
        let found = workers.run(move || OnHost::find(&name, cwd.as_deref(), &kinds)).await??;
        self.on_host = Some(Box::new(found));
        Ok(())
    }

    /// Takes back what [`Plan::move_to_host`] did.
    pub(crate) fn stay_with_caller(&mut self) {
        self.on_host = None;
    }

    /// Settles who runs it: `name` is a user of the warden's host, by name or number.
    pub(crate) async fn become_user(
        &mut self,
        name: Arc<str>,
        workers: &Workers,
    ) -> Result<(), HostError> {
        let own = rustix::process::geteuid().as_raw();
        let user = workers.run(move || users::find(&name)).await??;
        if user.uid == 0 && &*user.asked != "root" {
            return Err(HostError::HiddenRoot(user.name));
        }
        if own != 0 && user.uid != own {
            return Err(HostError::NotRoot { own, name: user.name, uid: user.uid });
        }
        if let Some(host) = &mut self.on_host {
            host.user = Some(user);
            self.identity = host.identity(self.identity);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cwd: &str) -> OnHost {
        OnHost::find(b"sh", Some(cwd.as_bytes()), &Kinds::default()).unwrap()
    }

    fn user(asked: &str) -> Option<User> {
        users::find(&asked.into()).ok()
    }

    #[test]
    fn an_approval_is_for_one_user_one_file_and_one_folder() {
        let caller = Identity([7; 32]);
        let here = OnHost { user: user("root"), ..at("/") };
        let others = [
            OnHost { user: None, ..here.clone() },
            OnHost { user: user("daemon"), ..here.clone() },
            OnHost { user: user("1"), ..here.clone() },
            OnHost { user: user("root"), ..at("/usr") },
            OnHost {
                tool: OnHost::find(b"cat", Some(b"/"), &Kinds::default()).unwrap().tool,
                ..here.clone()
            },
        ];
        let mut all: Vec<[u8; 32]> = others.iter().map(|other| other.identity(caller).0).collect();
        all.extend([here.identity(caller).0, here.identity(Identity([8; 32])).0, caller.0]);
        assert_eq!(here.identity(caller), here.clone().identity(caller));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn what_is_not_on_the_host_is_told() {
        let find = |name: &str, cwd: Option<&str>| {
            let found = OnHost::find(name.as_bytes(), cwd.map(str::as_bytes), &Kinds::default());
            found.unwrap_err().to_string()
        };
        assert!(find("no-such-tool", Some("/")).contains("no `no-such-tool` on the warden's host"));
        assert!(find("sh", Some("/no/such")).contains("/no/such is no directory"));
        assert!(find("sh", Some("/etc/passwd")).contains("is no directory"));
        assert!(find("sh", None).contains("unknown"));
        assert!(find("../bin/sh", Some("/")).contains("no `"));
    }
}
