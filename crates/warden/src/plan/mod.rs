//! The frozen plan of a request: what was asked, by whom, and which file and directory that means.
//!
//! A plan is made once, before the decision, and nothing that runs is taken from anywhere else. It holds no
//! descriptor, so that a request may wait for a person at the cost of its connection alone; whoever executes it
//! opens the files again and compares them with what was judged.

mod absent;
mod beside;
mod contents;
mod environment;
mod find;
mod here;
mod identity;
mod invocation;
mod judges;
mod kinds;
mod lap;
mod links;
mod on_host;
mod origin;
mod root;
mod shims;
mod tool;
mod turns;
mod worker;

use std::io;
use std::sync::Arc;

use clawrden_policy::{Facts, Named, Policy};
use thiserror::Error;

pub(crate) use contents::{Contents, Digests};
pub(crate) use environment::local;
pub(crate) use environment::value;
use environment::{changed, every_value};
pub(crate) use find::root_of;
use find::{Found, asked_for, find, home};
pub use here::{LinksHere, Meant, meant_here};
pub use identity::{Identity, Same};
pub(crate) use invocation::Invocation;
pub(crate) use judges::Judges;
pub(crate) use kinds::Kinds;
pub(crate) use lap::Lap;
use links::Ways;
pub(crate) use on_host::{HostError, OnHost};
pub(crate) use origin::Origin;
pub(crate) use root::{Depth, Opened, Root};
pub(crate) use shims::SHIMS;
pub(crate) use tool::{Search, Tool, base_name};
pub(crate) use worker::Workers;

use crate::caller::Caller;
use crate::jails::{Baseline, Jail, Jails, Prisoner};
use crate::ledger::RequestId;
use crate::process::ProcessError;
use crate::redaction;
use crate::sys::users;

/// Bytes of an argument vector from which it is judged on a thread of its own.
const LARGE: usize = 16 * 1024;

/// Why a request cannot be planned. Nothing runs.
#[derive(Debug, Error)]
pub(crate) enum PlanError {
    /// The peer's process is not visible, so its files are not either.
    #[error(
        "the caller's process cannot be seen from here (it is in a pid namespace of its own), so this \
         does not run for it; run the warden in the host's pid namespace (`pid: host`)"
    )]
    CallerUnseen,
    /// The peer ended, or its pid is another process by now.
    #[error("the caller ended before its request was read")]
    CallerGone,
    /// Its root cannot be opened.
    #[error(
        "the caller's files cannot be looked at: {0}; run the warden as the caller's user or as root"
    )]
    Root(#[source] io::Error),
    /// It would take a descriptor more than the warden may have.
    #[error(
        "the warden has no descriptors left, so nothing ran; try again, or raise its limit on open files \
         (`ulimit -n`, systemd's `LimitNOFILE`)"
    )]
    Descriptors,
    /// It may be a prisoner of any jail.
    #[error("whose prisoner the caller is cannot be told, so nothing ran: {0}")]
    Belonging(#[source] ProcessError),
    /// It took too long: a file system did not answer, or there is too much to judge.
    #[error(
        "the command could not be judged in time: a file system does not answer, or its arguments are too many"
    )]
    TooSlow,
    /// Too many lookups hang already.
    #[error("too many lookups hang on file systems that do not answer; try again later")]
    Busy,
}

impl PlanError {
    /// Of a look at files.
    pub(crate) fn files(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => Self::Descriptors,
            _ => Self::Root(error),
        }
    }
}

/// A working directory as it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cwd {
    /// Absolute in the caller's root, free of links.
    pub(crate) path: Vec<u8>,
    /// Device, as major and minor, and inode.
    pub(crate) id: ((u32, u32), u64),
}

impl Cwd {
    /// One that was told by a caller whose files are not seen, where it can be a path without links. Only a ghost is
    /// started there, which must have that very folder by that very path; so whatever is judged by it holds.
    fn unseen(path: &[u8]) -> Option<Self> {
        root::is_plain(path).then(|| Self { path: path.to_vec(), id: ((0, 0), 0) })
    }
}

/// What was asked, and what it means. See the module.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: RequestId,
    pub(crate) jail: Arc<Jail>,
    /// The policies that judge it.
    pub(crate) judges: Judges,
    pub(crate) prisoner: Option<Arc<Prisoner>>,
    pub(crate) caller: Caller,
    /// The caller's root, as it was looked at. Let go of where the request waits or runs.
    pub(crate) root: Option<Arc<Root>>,
    pub(crate) invocation: Invocation,
    /// `None` when it was deleted or cannot be told.
    pub(crate) cwd: Option<Cwd>,
    /// `None` when there is no such tool.
    pub(crate) tool: Option<Tool>,
    /// The bare name that the tool goes by: see [`Facts::tool`].
    known_as: Option<Vec<u8>>,
    /// The tool gets its path as `argv[0]`: see [`Search::must_be_told`].
    pub(crate) by_path: bool,
    /// Names of dangerous variables that the prisoner was not started with.
    pub(crate) changed_env: Vec<Vec<u8>>,
    /// What a handed-off tool needs so that whatever it starts is governed too, as `NAME=value` and NUL; mostly
    /// nothing.
    pub(crate) governed: Vec<u8>,
    /// Where it runs when a rule says `run_as`: then the caller's own tool and directory do not matter.
    pub(crate) on_host: Option<Box<OnHost>>,
    /// How often it was made in a row.
    pub(crate) lap: Lap,
    /// Tells identical requests: jail, user, executable, argv, cwd and the dangerous variables.
    pub(crate) identity: Identity,
}

/// A request that cannot be planned.
#[derive(Debug)]
pub(crate) struct Unplanned {
    pub(crate) error: PlanError,
    pub(crate) jail: Arc<Jail>,
    pub(crate) prisoner: Option<Arc<Prisoner>>,
    pub(crate) caller: Caller,
    pub(crate) invocation: Invocation,
}

/// What planning needs to see.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) kinds: &'a Arc<Kinds>,
    pub(crate) workers: &'a Workers,
    pub(crate) baseline: &'a Baseline,
    /// Whose prisoner a caller is.
    pub(crate) jails: &'a Jails,
    /// In a dry run, what denies the disasters.
    pub(crate) disasters: Option<&'a Arc<Policy>>,
}

impl Plan {
    /// Freezes a request of who has this root, as [`root_of`] gives it.
    ///
    /// # Errors
    /// What was asked, with why it cannot be planned.
    pub(crate) async fn freeze(
        id: RequestId,
        jail: Arc<Jail>,
        prisoner: Option<Arc<Prisoner>>,
        caller: Caller,
        invocation: Invocation,
        sight: Sight<'_>,
        root: Result<Option<Arc<Root>>, PlanError>,
    ) -> Result<Box<Self>, Box<Unplanned>> {
        let (root, found) = match root {
            Ok(root) => (root.clone(), find(root, &invocation, &jail, sight).await),
            Err(error) => (None, Err(error)),
        };
        let Found { cwd, tool, known_as, by_path, lost } = match found {
            Ok(found) => found,
            Err(error) => {
                return Err(Box::new(Unplanned { error, jail, prisoner, caller, invocation }));
            }
        };
        let home = match home(&jail, &caller, sight.jails) {
            Ok(home) => home,
            Err(error) => {
                return Err(Box::new(Unplanned { error, jail, prisoner, caller, invocation }));
            }
        };
        let judges = Judges::of(&jail, home.as_ref());
        // What the caller has not, a ghost's image may have: it goes by the name that it was asked for.
        // Of what a caller asks whose files are not seen no more is known either; and an agent that only asks would run
        // it by itself, whatever goes by that name there.
        let unseen = caller.is_unseen() && !invocation.only_judged();
        let bare = (tool.is_none() && (judges.run_ghosts() || unseen))
            .then(|| asked_for(&jail, &invocation));
        let known_as = known_as.or(bare.flatten());
        let changed_env = changed(invocation.env(), sight.baseline, &judges.env());
        let argv: Vec<&[u8]> = invocation.argv().collect();
        let path = value(invocation.env(), b"PATH");
        let set = lost.map(|folder| shims::in_front(&folder, path));
        let governed = set.map_or_else(Vec::new, |entry| [&entry[..], b"\0"].concat());
        let parts = Parts {
            jail: &jail,
            judges: &judges,
            caller: &caller,
            invocation: &invocation,
            tool: tool.as_ref(),
            cwd: cwd.as_ref(),
            changed_env: &changed_env,
        };
        let identity = parts.identity(&argv);
        // It goes from hand to hand.
        Ok(Box::new(Self {
            id,
            jail,
            judges,
            prisoner,
            caller,
            root,
            invocation,
            cwd,
            tool,
            known_as,
            by_path,
            changed_env,
            governed,
            on_host: None,
            lap: Lap::default(),
            identity,
        }))
    }

    /// The same request for the tool that comes behind this one's on PATH, and `true`; itself where there is none.
    ///
    /// # Errors
    /// As [`Plan::freeze`].
    pub(crate) async fn behind(
        self: Box<Self>,
        sight: Sight<'_>,
    ) -> Result<(Box<Self>, bool), Box<Unplanned>> {
        let Some(tool) = &self.tool else { return Ok((self, false)) };
        let mut asked = self.invocation.clone();
        asked.look_behind(tool);
        if let Ok(root) = root_of(&self.caller)
            && find(root, &asked, &self.jail, sight).await.is_ok_and(|found| found.tool.is_none())
        {
            return Ok((self, false));
        }
        let Self { id, jail, prisoner, caller, .. } = *self;
        let root = root_of(&caller);
        let plan = Self::freeze(id, jail, prisoner, caller, asked, sight, root).await?;
        Ok((plan, true))
    }

    /// Whether executable and working directory are those that were judged.
    pub(crate) async fn is_unchanged(&self, workers: &Workers) -> Result<bool, PlanError> {
        if let Some(host) = self.on_host.clone() {
            return workers.run(move || host.is_unchanged()).await;
        }
        let (tool, cwd) = (self.tool.clone(), self.cwd.clone());
        // What runs for it is a ghost, which is looked into before its tool starts.
        if self.caller.is_unseen() && tool.is_none() {
            return Ok(true);
        }
        let pid = self.caller.pid.ok_or(PlanError::CallerUnseen)?;
        workers
            .run(move || {
                let Ok(root) = Root::of(pid) else { return false };
                let now = |path: &[u8]| root.lookup(path, Depth::Full).ok().map(|opened| opened.id);
                let same_tool = tool.is_none_or(|tool| now(&tool.path) == Some(tool.id));
                let same_cwd = cwd.is_none_or(|cwd| {
                    now(&cwd.path).is_some_and(|id| (id.device, id.inode) == cwd.id)
                });
                same_tool && same_cwd
            })
            .await
    }

    /// Its identity without its words, as it was frozen: for an answer to a pattern of them.
    pub(crate) fn frame(&self) -> Identity {
        let parts = Parts {
            jail: &self.jail,
            judges: &self.judges,
            caller: &self.caller,
            invocation: &self.invocation,
            tool: self.tool.as_ref(),
            cwd: self.cwd.as_ref(),
            changed_env: &self.changed_env,
        };
        let frame = parts.identity(&[]).within("frame");
        self.on_host.as_ref().map_or(frame, |host| host.identity(frame))
    }

    /// Whom it runs for.
    pub(crate) fn origin(&self) -> Origin {
        let container = self.caller.container.known();
        Origin {
            jails: self.judges.jails().cloned().collect(),
            container: container.ok().flatten().map(|container| container.id.clone()),
            is_told: container.is_ok(),
        }
    }

    /// The bare name of a tool that a caller asked for whose files are not seen.
    pub(crate) fn unseen_name(&self) -> Option<&[u8]> {
        self.known_as.as_deref().filter(|_| self.caller.is_unseen())
    }

    /// The tool that will run, wherever that is.
    pub(crate) fn meant_tool(&self) -> Option<&Tool> {
        self.on_host.as_ref().map(|host| &host.tool).or(self.tool.as_ref())
    }

    /// The working directory that it will run in, wherever that is.
    pub(crate) fn meant_cwd(&self) -> Option<&Cwd> {
        self.on_host.as_ref().map(|host| &host.cwd).or(self.cwd.as_ref())
    }

    /// Whether judging it keeps nobody waiting.
    pub(crate) fn is_small(&self) -> bool {
        self.invocation.argv().map(|arg| arg.len() + 1).sum::<usize>() < LARGE
    }

    /// The paths that it names, where no secret is in them; `None` where that would keep others waiting.
    pub(crate) fn named(&self) -> Option<Vec<Named>> {
        if !self.is_small() {
            return None;
        }
        let argv: Vec<&[u8]> = self.invocation.argv().collect();
        let redacted = redaction::ours().argv(&argv);
        let argv = match &redacted {
            Some(redacted) => redacted.argv.iter().map(|arg| &**arg).collect(),
            None => argv,
        };
        self.with_facts_at_hand(|facts| self.judges.named(&Facts { argv: &argv, ..*facts }))
    }

    /// Gives `judge` the facts of this request. For a worker thread: following links can hang.
    pub(crate) fn with_facts<T>(&self, judge: impl FnOnce(&Facts<'_>) -> T) -> T {
        self.with_ways(&Ways::of(self, Depth::Full), judge)
    }

    /// The same with as much of the links as can be told at once; `None` when that did not suffice.
    pub(crate) fn with_facts_at_hand<T>(&self, judge: impl FnOnce(&Facts<'_>) -> T) -> Option<T> {
        let ways = Ways::of(self, Depth::Cached);
        let judged = self.with_ways(&ways, judge);
        (!ways.were_blocked()).then_some(judged)
    }

    fn with_ways<T>(&self, ways: &Ways, judge: impl FnOnce(&Facts<'_>) -> T) -> T {
        let argv: Vec<&[u8]> = self.invocation.argv().collect();
        let changed: Vec<&[u8]> = self.changed_env.iter().map(Vec::as_slice).collect();
        let env: Vec<&[u8]> = self.invocation.env().collect();
        // Two files are read for that, so only where a rule asks.
        let named = self.judges.name_users();
        let user = self.caller.uid.filter(|_| named).and_then(users::name_of);
        let group = self.caller.gid.filter(|_| named).and_then(users::group_of);
        judge(&Facts {
            jail: self.jail.name.as_str(),
            name: self.invocation.name(),
            path: self.meant_tool().map(|tool| &tool.resolved[..]),
            tool: match &self.on_host {
                Some(_) => Some(base_name(self.invocation.name())),
                None => self.known_as.as_deref(),
            },
            argv: &argv,
            cwd: self.meant_cwd().map(|cwd| &cwd.path[..]),
            uid: self.caller.uid,
            gid: self.caller.gid,
            user: user.as_deref(),
            group: group.as_deref(),
            tty: self.invocation.version_2().then(|| self.invocation.tty().is_some()),
            env: Some(&env),
            links: self.judges.follow_links().then_some(ways),
            changed_env: &changed,
            container: self.caller.container.facts(),
        })
    }
}

/// What an identity is made of, but for the words.
struct Parts<'a> {
    jail: &'a Jail,
    judges: &'a Judges,
    caller: &'a Caller,
    invocation: &'a Invocation,
    tool: Option<&'a Tool>,
    cwd: Option<&'a Cwd>,
    changed_env: &'a [Vec<u8>],
}

impl Parts<'_> {
    fn identity(&self, argv: &[&[u8]]) -> Identity {
        let env = || self.invocation.env();
        // What rules look at belongs to what a person approves, as dangerous variables do.
        let watched = self.judges.variables().into_iter();
        let variables: Vec<Vec<u8>> = self
            .changed_env
            .iter()
            .cloned()
            .chain(watched.filter(|name| value(env(), name).is_some()))
            .map(|name| every_value(env(), name))
            .collect();
        // The files themselves, not their names alone: what takes a file's place is not what a person approved.
        let executable = self.tool.map(|Tool { resolved, id, .. }| {
            let state = [
                id.size.to_be_bytes(),
                id.changed.0.to_be_bytes(),
                u64::from(id.changed.1).to_be_bytes(),
            ];
            marked(resolved, (id.device, id.inode), &state)
        });
        let directory = self.cwd.map(|cwd| marked(&cwd.path, cwd.id, &[]));
        Same {
            jail: self.jail.name.as_str(),
            uid: self.caller.uid,
            executable: executable.as_deref().unwrap_or_default(),
            argv,
            cwd: directory.as_deref(),
            variables: &variables,
            container: self.caller.container.mark(),
            only_judged: self.invocation.only_judged(),
        }
        .identity()
    }
}

/// A path, which file it led to, and the state that the file was in. No path holds the NUL between them.
fn marked(path: &[u8], (device, inode): ((u32, u32), u64), state: &[[u8; 8]]) -> Vec<u8> {
    let ids = [&device.0.to_be_bytes()[..], &device.1.to_be_bytes(), &inode.to_be_bytes()];
    [path, b"\0", &ids.concat(), &state.concat()].concat()
}
