//! Putting a changed policy in force: when its files change, on SIGHUP, and when somebody asks for it.
//!
//! All of it or nothing: what does not load whole leaves everything as it was, and says so in log, ledger and status.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use clawrden_api::{ErrorBody, ErrorCode, PolicyFault, PolicyReloaded, PolicyStatus};
use thiserror::Error;
use tokio::signal::unix::Signal;

use super::jails::declared;
use super::{Warden, refused};
use crate::approvals::Now;
use crate::jails::{BadName, InForce, Jail, Origin};
use crate::layers::LayersError;
use crate::ledger::{self, Record};
use crate::policies::{Changes, MOST, QUIET, Source, Sourced, Unread, Watching, known};

/// The warden's own policy.
pub(super) struct Own {
    source: Source,
    state: Mutex<State>,
    changes: Changes,
    /// One reading after the other. Nothing else is locked while it waits; the watches are `None` where there are none.
    reading: Mutex<Option<Watching>>,
}

struct State {
    sourced: Sourced,
    since_ms: u64,
    fault: Option<PolicyFault>,
    /// Since when the files cannot be read because they are written.
    unsteady: Option<Instant>,
}

/// Why what the files say is not in force.
#[derive(Debug, Error)]
enum ReloadError {
    #[error(transparent)]
    Read(#[from] Unread),
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("the warden goes down")]
    GoingDown,
}

/// What came of reading the files.
#[derive(Debug)]
struct Read {
    changed: bool,
    problems: Vec<String>,
}

impl Own {
    pub(super) fn new(source: Source, sourced: Sourced) -> Self {
        let since_ms = Now::read().ms;
        let state = State { sourced, since_ms, fault: None, unsteady: None };
        let changes = Changes::default();
        Self { source, state: Mutex::new(state), changes, reading: Mutex::default() }
    }

    /// What is in force.
    pub(super) fn sourced(&self) -> Sourced {
        self.state().sourced.clone()
    }

    /// Has the files read again: what they say may fit by now.
    pub(super) fn look_again(&self) {
        self.changes.tell();
    }

    /// The folder of further rules, where it is read.
    pub(super) fn rules(&self) -> Option<&std::path::Path> {
        self.source.rules()
    }

    pub(super) fn status(&self) -> PolicyStatus {
        let state = self.state();
        PolicyStatus {
            source: state.sourced.source.clone(),
            fingerprint: state.sourced.policy.fingerprint().to_owned(),
            since_ms: state.since_ms,
            watched: self.changes.are_heard(),
            error: state.fault.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> MutexGuard<'_, Option<Watching>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Warden {
    /// Reads the policy anew whenever its files change or SIGHUP comes. Never ends.
    pub(super) async fn follow_policy(self: Arc<Self>, mut hangup: Signal) {
        let changes = self.own.changes.clone();
        let watching = {
            let (warden, changes) = (Arc::clone(&self), changes.clone());
            tokio::task::spawn_blocking(move || warden.watch_policy(&changes))
        };
        if watching.await.is_err() {
            tracing::error!(
                "the policy's files are not watched: `clawrden policy reload` reads them"
            );
        }
        loop {
            let told = tokio::select! {
                () = changes.settled() => false,
                Some(()) = hangup.recv() => true,
            };
            let warden = Arc::clone(&self);
            let read = tokio::task::spawn_blocking(move || {
                if told { warden.reload_patiently() } else { warden.reload() }
            });
            let Ok(read) = read.await else { continue };
            if let Err(ReloadError::Read(Unread::Unsteady(_))) = read {
                // The end of the writing is a change of its own, but for a file that is looked at by its stamp only.
                tokio::time::sleep(QUIET).await;
                changes.tell();
            }
        }
    }

    fn watch_policy(&self, changes: &Changes) {
        let watching = Watching::new(self.own.source.paths(), changes.clone());
        match watching {
            Ok(watching) => {
                *self.own.reading() = Some(watching);
                // It may have changed since it was read.
                changes.tell();
            }
            Err(error) => {
                tracing::error!(%error, "the policy's files are not watched: `clawrden policy reload` reads them");
            }
        }
    }

    /// The same as [`Warden::reload`], on somebody's word.
    pub(super) fn reload_asked(self: &Arc<Self>, who: &str) -> Result<PolicyReloaded, ErrorBody> {
        tracing::info!(who, "the policy is read anew, as somebody asked");
        match self.reload_patiently() {
            Ok(Read { changed, problems }) => {
                let PolicyStatus { source, fingerprint, .. } = self.own.status();
                Ok(PolicyReloaded { source, fingerprint, changed, problems })
            }
            Err(ReloadError::GoingDown) => {
                Err(refused(ErrorCode::GoingDown, ReloadError::GoingDown.to_string()))
            }
            Err(error) => Err(refused(
                ErrorCode::BadPolicy,
                format!("{error}\nthe policy before stays in force"),
            )),
        }
    }

    /// Waits for a while for files that are being written.
    fn reload_patiently(self: &Arc<Self>) -> Result<Read, ReloadError> {
        let end = Instant::now() + MOST;
        loop {
            match self.reload() {
                Err(ReloadError::Read(Unread::Unsteady(_))) if Instant::now() < end => {
                    std::thread::sleep(QUIET);
                }
                read => return read,
            }
        }
    }

    /// Reads the files and puts what they say in force. Blocks.
    fn reload(self: &Arc<Self>) -> Result<Read, ReloadError> {
        let mut watching = self.own.reading();
        if let Some(watching) = watching.as_mut() {
            watching.renew();
        }
        let before = self.own.sourced();
        let read = self.own.source.take(Some(&before)).map_err(ReloadError::from);
        let named = read.and_then(|sourced| Ok((declared(&sourced.policy)?, sourced)));
        let (declared, sourced) = match named {
            Ok(named) => named,
            Err(error) => {
                self.keep_policy(&error);
                return Err(error);
            }
        };
        let changed = sourced.policy.fingerprint() != before.policy.fingerprint()
            || sourced.source != before.source;
        if !changed {
            self.keep_known(&before);
            return Ok(Read { changed, problems: Vec::new() });
        }
        crate::crash::point("policy_read");
        // No prisoner comes between the old policy and the new one.
        let admission = self.admission();
        if admission.closed {
            return Err(ReloadError::GoingDown);
        }
        // Who answers may have changed since it was read, and changes no more before it is in force.
        let people = self.people.now();
        if let Err(error) = known(&sourced.policy, |name| people.knows(name)) {
            drop(admission);
            let error = ReloadError::Read(error.into());
            self.keep_policy(&error);
            return Err(error);
        }
        self.put_in_force(&sourced);
        // They may have waited for it.
        self.people.look_again();
        let mut problems = Vec::new();
        for (name, tools) in declared {
            if let Some(jail) = self.jails.get(&name) {
                if let Err(error) = self.refit(&jail) {
                    tracing::error!(%error, jail = %name, "a jail's shims cannot be made anew");
                    problems.push(format!("jail {name} keeps its shims: {error}"));
                }
                continue;
            }
            if let Err(error) = self.make_jail(name.clone(), tools, (Origin::Own, sourced.clone()))
            {
                tracing::error!(%error, jail = %name, "a jail that the policy names cannot be made");
                problems.push(format!("jail {name} cannot be made: {error}"));
            }
        }
        drop(admission);
        // A warden that wanted to go while this went on asks again.
        self.due.notify_one();
        Ok(Read { changed, problems })
    }

    fn put_in_force(&self, sourced: &Sourced) {
        crate::executor::learn(&sourced.policy);
        let since_ms = Now::read().ms;
        let fingerprint = sourced.policy.fingerprint();
        {
            let mut state = self.own.state();
            state.sourced = sourced.clone();
            state.since_ms = since_ms;
            state.fault = None;
            state.unsteady = None;
        }
        crate::crash::point("policy_known");
        let records: Vec<Record> = self
            .jails
            .all()
            .iter()
            .filter_map(|jail| self.renew(jail, sourced, since_ms))
            .collect();
        crate::crash::point("policy_in_force");
        tracing::info!(policy = sourced.source, fingerprint, "another policy is in force");
        self.metrics.accepted.add(1);
        self.metrics.rules.forget();
        self.record(&records);
        crate::crash::point("policy_recorded");
    }

    /// Puts in force in one jail what holds there by now, and says so for the ledger.
    fn renew(&self, jail: &Jail, own: &Sourced, since_ms: u64) -> Option<Record> {
        let made = match &jail.origin {
            Origin::Own => Ok(own.clone()),
            Origin::Brought(brought) => brought.under(own),
        };
        let jail_name = jail.name.to_string();
        let Sourced { source, policy, .. } = match made {
            Ok(made) => made,
            Err(error) => {
                let error = error.to_string();
                tracing::error!(error, jail = jail_name, "the policy before stays in force there");
                self.metrics.refused.add(1);
                let source = jail.in_force().name.clone();
                let refused = ledger::PolicyRefused { source, jail: jail_name, error };
                return Some(Record::PolicyRefused(refused));
            }
        };
        let fingerprint = policy.fingerprint().to_owned();
        if jail.origin != Origin::Own && jail.in_force().fingerprint == fingerprint {
            return None;
        }
        let loaded = ledger::PolicyLoaded {
            source: source.clone(),
            fingerprint: fingerprint.clone(),
            jail: jail_name,
        };
        let in_force = InForce { policy, name: source, fingerprint, since_ms };
        jail.put_in_force(in_force, self.jails.inside(&jail.name));
        Some(Record::PolicyLoaded(loaded))
    }

    /// The files say what is in force.
    fn keep_known(&self, known: &Sourced) {
        let fault = {
            let mut state = self.own.state();
            state.unsteady = None;
            state.fault.take()
        };
        if fault.is_some() {
            tracing::info!("the policy's files say again what is in force");
            self.metrics.accepted.add(1);
            self.record(&[Record::PolicyLoaded(ledger::PolicyLoaded {
                source: known.source.clone(),
                fingerprint: known.policy.fingerprint().to_owned(),
                jail: "*".to_owned(),
            })]);
        }
    }

    /// What was in force stays so, and everybody can learn why. Said once for each cause.
    fn keep_policy(&self, error: &ReloadError) {
        crate::crash::point("policy_refused");
        let message = error.to_string();
        let inside = match error {
            ReloadError::Read(Unread::Load(LayersError::Policy(error))) => {
                error.diagnostics().first()
            }
            _ => None,
        };
        let fault = PolicyFault {
            message: message.clone(),
            file: inside.map(|found| found.file.clone()),
            line: inside.map(|found| found.line),
            column: inside.map(|found| found.column),
            since_ms: Now::read().ms,
        };
        let source = {
            let mut state = self.own.state();
            if let ReloadError::Read(Unread::Unsteady(_)) = error {
                // Writing takes a moment, and is an error only when it does not end.
                if state.unsteady.get_or_insert_with(Instant::now).elapsed() < MOST {
                    return;
                }
            } else {
                state.unsteady = None;
            }
            if state.fault.as_ref().is_some_and(|known| known.message == message) {
                return;
            }
            state.fault = Some(fault);
            state.sourced.source.clone()
        };
        tracing::error!(
            error = message,
            "the policy's files do not load: the policy before stays in force"
        );
        self.metrics.refused.add(1);
        self.record(&[Record::PolicyRefused(ledger::PolicyRefused {
            source,
            jail: "*".to_owned(),
            error: message,
        })]);
    }
}
