//! Taking in a prisoner, finding or making its jail, and letting both go when its `clawrden run` has ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clawrden_api::{ErrorBody, ErrorCode, PolicySource, PrisonerAnswer, PrisonerRequest};
use clawrden_policy::{Layer, Policy, Source};
use tokio::sync::watch;

use super::due::is_there;
use super::error::ServeError;
use super::listener::listen;
use super::{Door, Warden, refused};
use crate::approvals::Now;
use crate::control::Peer;
use crate::jails::shims::is_tool_name;
use crate::jails::{Baseline, InForce, Jail, JailName, Origin, Prisoner};
use crate::ledger::{self, Argv, Record};
use crate::policies::{Brought, Sourced, known};
use crate::process::{Identity, Namespaces};
use crate::redaction;
use crate::sockets::{Bound, bind_private};
use crate::whereabouts::Whereabouts;

impl Warden {
    /// Makes a jail and listens on its socket.
    pub(super) fn open_jail(
        self: &Arc<Self>,
        name: JailName,
        tools: Vec<String>,
        has_shims: bool,
        (origin, policy): (Origin, Sourced),
        socket: Bound,
    ) -> Result<Arc<Jail>, ServeError> {
        let Sourced { source, policy, .. } = policy;
        let listener = socket.listener().try_clone().and_then(tokio::net::UnixListener::from_std);
        let listener = listener.map_err(|source| ServeError::System {
            what: "an intercom socket cannot be listened on",
            source,
        })?;
        let fingerprint = policy.fingerprint().to_owned();
        let loaded = Record::PolicyLoaded(ledger::PolicyLoaded {
            source: source.clone(),
            fingerprint: fingerprint.clone(),
            jail: name.to_string(),
        });
        let bin = has_shims.then(|| self.places.jail_bin(&name));
        let since_ms = Now::read().ms;
        let in_force = InForce { policy, name: source, fingerprint, since_ms };
        let jail = Jail::new(name.clone(), socket.path().to_owned(), bin, tools, origin, in_force);
        let jail = self.jails.add(jail)?;
        self.record(&[loaded]);
        let (closing, closed) = watch::channel(false);
        self.doors().insert(name, Door { socket, closing });
        tokio::spawn(listen(Arc::clone(self), Arc::clone(&jail), listener, closed));
        Ok(jail)
    }

    /// Makes a jail with a folder of shims and a socket in the usual places.
    pub(super) fn make_jail(
        self: &Arc<Self>,
        name: JailName,
        tools: Vec<String>,
        policy: (Origin, Sourced),
    ) -> Result<Arc<Jail>, ServeError> {
        self.places.make_jail(&name, &tools)?;
        let socket = bind_private(&self.places.jail_socket(&name), self.places.intercom_mode())?;
        self.open_jail(name, tools, true, policy, socket)
    }

    /// Takes in the prisoner that `peer`, a `clawrden run`, is about to start.
    pub(super) fn register(
        self: &Arc<Self>,
        peer: &Peer,
        request: PrisonerRequest,
    ) -> Result<PrisonerAnswer, ErrorBody> {
        let answer = self.take_in(peer, request);
        // A warden that wanted to go while this went on asks again.
        self.due.notify_one();
        answer
    }

    fn take_in(
        self: &Arc<Self>,
        peer: &Peer,
        request: PrisonerRequest,
    ) -> Result<PrisonerAnswer, ErrorBody> {
        let mut admission = self.admission();
        if admission.closed {
            let text = "the warden goes down; try again in a moment".to_owned();
            return Err(refused(ErrorCode::GoingDown, text));
        }
        if let Some(stopped) = self.switch.stopped() {
            return Err(refused(ErrorCode::Conflict, super::stopped_text(&stopped)));
        }
        let bad = |message: String| refused(ErrorCode::BadRequest, message);
        let baseline =
            Baseline::from_base64(&request.environment).map_err(|e| bad(e.to_string()))?;
        let pidfd = peer.pidfd.as_ref().and_then(|pidfd| pidfd.try_clone().ok());
        let (Some(pid), Some(pidfd)) = (peer.pid, pidfd) else {
            return Err(refused(
                ErrorCode::Forbidden,
                "the registering process is not known".into(),
            ));
        };
        let seen = |error: crate::process::ProcessError| bad(error.to_string());
        let root = Identity::of(pid).map_err(seen)?;
        let namespaces = Namespaces::of(pid).map_err(seen)?;
        let policy = self.policy_for(&request)?;
        let tools = tools_for(&request, &policy.1.policy)?;
        let jail = self.jail_for(&request, policy, tools)?;
        if let Some(text) = self.holds.against([jail.name.as_str()], &Whereabouts::Nowhere) {
            return Err(refused(ErrorCode::Conflict, text));
        }
        let id = clawrden_protocol::request::hex(
            &crate::request::random_id().map_err(|error| {
                refused(ErrorCode::Internal, format!("no random bytes: {error}"))
            })?[..6],
        );
        let ended = pidfd.try_clone().and_then(|pidfd| crate::sys::watch::pidfd(Arc::new(pidfd)));
        let ended = ended.map_err(|error| {
            refused(ErrorCode::Internal, format!("the process cannot be watched: {error}"))
        })?;
        let prisoner = Prisoner {
            id: id.clone(),
            jail: jail.name.clone(),
            root,
            pidfd,
            labels: request
                .labels
                .iter()
                .map(|(name, label)| (name.clone(), redaction::ours().clean(label.clone())))
                .collect(),
            command: redaction::ours().clean_argv(&request.command),
            baseline,
            namespaces,
            unattended: request.unattended,
            leaf: None,
            since_ms: Now::read().ms,
            requests: AtomicU64::new(0),
        };
        let started = Record::PrisonerStarted(ledger::PrisonerStarted {
            prisoner: id.clone(),
            jail: jail.name.to_string(),
            pid,
            uid: peer.uid,
            argv: Argv::new(&request.command),
            labels: request.labels,
        });
        self.ledger
            .append(&[started])
            .map_err(|error| refused(ErrorCode::LedgerUnavailable, error.to_string()))?;
        let prisoner = self.jails.add_prisoner(prisoner);
        prisoner.map_err(|error| refused(ErrorCode::Conflict, error.to_string()))?;
        admission.was_used = true;
        let due = Arc::clone(&self.due);
        tokio::spawn(async move {
            let _ended = ended.readable().await;
            due.notify_one();
        });
        Ok(PrisonerAnswer {
            id,
            jail: jail.name.to_string(),
            socket: jail.socket.display().to_string(),
            bin: self.places.jail_bin(&jail.name).display().to_string(),
            tools: jail.tools().to_vec(),
            ledger: self.ledger.path().display().to_string(),
            policy: jail.in_force().name.clone(),
        })
    }

    fn policy_for(&self, request: &PrisonerRequest) -> Result<(Origin, Sourced), ErrorBody> {
        let source = |layer| {
            move |given: &PolicySource| Source::new(layer, given.name.as_str(), given.text.as_str())
        };
        let brought = Brought {
            policy: request.policy.as_ref().map(source(Layer::Host)),
            repository: request.repository.as_ref().map(source(Layer::Repository)),
        };
        let own = self.own.sourced();
        if brought.policy.is_none() && brought.repository.is_none() {
            return Ok((Origin::Own, own));
        }
        let people = self.people.now();
        let fitting = brought.under(&own).and_then(|policy| {
            known(&policy.policy, |name| people.knows(name))?;
            Ok(policy)
        });
        match fitting {
            Ok(policy) => Ok((Origin::Brought(Arc::new(brought)), policy)),
            Err(error) => Err(refused(ErrorCode::BadPolicy, error.to_string())),
        }
    }

    /// A jail never changes its policy or its tools for a newcomer: who brings others gets a jail of their own.
    fn jail_for(
        self: &Arc<Self>,
        request: &PrisonerRequest,
        policy: (Origin, Sourced),
        tools: Vec<String>,
    ) -> Result<Arc<Jail>, ErrorBody> {
        let fingerprint = policy.1.policy.fingerprint().to_owned();
        let name = match &request.jail {
            Some(wanted) => {
                let name = JailName::new(wanted)
                    .map_err(|e| refused(ErrorCode::BadRequest, e.to_string()))?;
                if let Some(jail) = self.jails.get(&name) {
                    let fits = jail.in_force().fingerprint == fingerprint && jail.bin.is_some();
                    let text = format!(
                        "jail {name} has another policy ({}); choose another name",
                        jail.in_force().name
                    );
                    return if fits { Ok(jail) } else { Err(refused(ErrorCode::Conflict, text)) };
                }
                name
            }
            None => {
                let same = self.jails.with_policy(&fingerprint, &tools);
                let same = same.filter(|jail| jail.bin.is_some() && jail.origin == policy.0);
                if let Some(jail) = same {
                    return Ok(jail);
                }
                let wanted = JailName::new("run")
                    .map_err(|e| refused(ErrorCode::Internal, e.to_string()))?;
                self.jails.free_name(&wanted)
            }
        };
        self.make_jail(name, tools, policy)
            .map_err(|error| refused(ErrorCode::Internal, error.to_string()))
    }

    /// Takes in no more prisoners if there is none, and none is on its way. Before the first one, not until `first`.
    pub(super) fn close_if_deserted(&self, first: tokio::time::Instant) -> bool {
        // Whoever holds it registers a prisoner, and says so when that is done.
        let Ok(mut admission) = self.admission.try_lock() else { return false };
        let deserted = self.jails.prisoners().is_empty()
            && (admission.was_used || tokio::time::Instant::now() >= first);
        admission.closed |= deserted;
        deserted
    }

    /// Lets prisoners go whose holder has ended, ends what they left, and says how many are left.
    pub(super) fn discharge_ended(self: &Arc<Self>) -> usize {
        use std::os::fd::AsFd;
        let all = self.jails.prisoners();
        let (ended, alive): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|p| crate::process::pidfd::has_ended(p.pidfd.as_fd()));
        for prisoner in ended {
            self.jails.remove_prisoner(&prisoner.id);
            let requests = prisoner.requests.load(Ordering::Relaxed);
            self.record(&[Record::PrisonerEnded(ledger::PrisonerEnded {
                prisoner: prisoner.id.clone(),
                requests,
            })]);
            self.close_run_jail(&prisoner.jail);
            self.approvals.end_sessions(is_there);
        }
        alive.len()
    }

    /// A jail that was made for a `clawrden run` goes with its last prisoner.
    fn close_run_jail(&self, name: &JailName) {
        if self.is_kept(name) {
            return;
        }
        if self.jails.remove_empty(name).is_some()
            && let Some(door) = self.doors().remove(name)
        {
            door.closing.send_replace(true);
        }
    }
}

fn tools_for(request: &PrisonerRequest, policy: &Policy) -> Result<Vec<String>, ErrorBody> {
    let named: BTreeSet<String> = if request.tools.is_empty() {
        policy.shimmed().into_iter().filter(|name| is_tool_name(name)).map(str::to_owned).collect()
    } else {
        request.tools.iter().cloned().collect()
    };
    match named.iter().find(|name| !is_tool_name(name)) {
        Some(name) => Err(refused(ErrorCode::BadRequest, format!("{name:?} cannot name a tool"))),
        None => Ok(named.into_iter().collect()),
    }
}
