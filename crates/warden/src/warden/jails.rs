//! Jails as people and labels ask for them: made, deleted, shown, and given the shims that they should have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clawrden_api::{ErrorBody, ErrorCode, JailContainer, JailInfo, JailList, JailRequest, Stopped};
use clawrden_policy::Policy;
use serde::{Deserialize, Serialize};

use super::error::ServeError;
use super::{Warden, refused};
use crate::containers::{Member, is_hardened};
use crate::engine::Running;
use crate::holds::Scope;
use crate::jails::shims::is_tool_name;
use crate::jails::{BadName, Jail, JailName, Origin};
use crate::ledger::{self, Record};
use crate::plan::Plan;
use crate::switch;

/// Bytes of the file of jails that were created.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// What the file holds.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The tools that each was created with; none: those that the policy speaks of.
    jails: BTreeMap<String, Vec<String>>,
}

/// The jails that people created, which stay over restarts.
#[derive(Debug)]
pub(super) struct Created {
    path: PathBuf,
    kept: Mutex<Kept>,
}

impl Created {
    /// Reads what the last warden left. What cannot be understood is set aside: no jail is less governed for that.
    pub(super) fn open(path: PathBuf) -> Self {
        let kept = switch::read_file(&path, MAX_FILE).unwrap_or_else(|error| {
            tracing::error!(%error, path = %path.display(), "which jails were created cannot be read");
            None
        });
        Self { path, kept: Mutex::new(kept.unwrap_or_default()) }
    }

    fn names(&self) -> Vec<JailName> {
        let kept = self.kept();
        kept.jails.keys().filter_map(|name| JailName::new(name).ok()).collect()
    }

    fn tools(&self, name: &JailName) -> Option<Vec<String>> {
        self.kept().jails.get(name.as_str()).cloned()
    }

    fn set(&self, name: &JailName, tools: Option<Vec<String>>) -> Result<(), ErrorBody> {
        let mut kept = self.kept();
        let mut wanted = kept.clone();
        match tools {
            Some(tools) => wanted.jails.insert(name.to_string(), tools),
            None => wanted.jails.remove(name.as_str()),
        };
        switch::write_file(&self.path, &wanted).map_err(|error| {
            let text = format!("{} cannot be written: {error}", self.path.display());
            refused(ErrorCode::Internal, text)
        })?;
        *kept = wanted;
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file of created jails, beside that of the kill switch.
pub(super) fn created_path(switch: &Path) -> PathBuf {
    switch.with_extension("jails.json")
}

pub(super) fn no_such_jail(name: &JailName) -> ErrorBody {
    refused(ErrorCode::NotFound, format!("there is no jail {name}; `clawrden jails` lists them"))
}

/// The jails that a policy names, and their tools.
///
/// # Errors
/// When one has a name that it cannot have.
pub(super) fn declared(policy: &Policy) -> Result<Vec<(JailName, Vec<String>)>, BadName> {
    let default = JailName::default_jail();
    let named = policy.jails().filter(|(name, _)| *name != default.as_str());
    named.map(|(name, jail)| Ok((JailName::new(name)?, jail.commands.clone()))).collect()
}

impl Warden {
    /// Makes the jails that the policy names.
    pub(super) fn open_declared_jails(self: &Arc<Self>) -> Result<(), ServeError> {
        let policy = self.own.sourced();
        for (name, tools) in declared(&policy.policy)? {
            self.make_jail(name, tools, (Origin::Own, policy.clone()))?;
        }
        Ok(())
    }

    /// Whether nothing is handed off to the caller of `plan`, as its jail's policy or its container's label says. One
    /// whose container is not known may be in any of those that have asked there or say that they belong there, and is
    /// in the one that its cgroups name.
    pub(crate) fn hardens(&self, plan: &Plan) -> bool {
        plan.judges.harden()
            || match plan.caller.container.known() {
                Ok(found) => found.is_some_and(|found| is_hardened(&found.labels)),
                Err(why) => {
                    let is_there = |at: &str| plan.judges.jails().any(|jail| jail.as_str() == at);
                    self.members.may_harden(why, is_there)
                }
            }
    }

    /// Makes the jails that people created.
    pub(super) fn open_created_jails(self: &Arc<Self>) {
        for name in self.created.names() {
            self.ensure_jail(&name);
        }
    }

    /// Gives a jail that labels or people ask for, made if there is none, the shims that it should have. What cannot be
    /// done is in the log.
    pub(super) fn ensure_jail(self: &Arc<Self>, name: &JailName) {
        let admission = self.admission();
        if admission.closed {
            return;
        }
        let done = match self.jails.get(name) {
            Some(jail) => self.refit(&jail),
            None => self.make_own_jail(name),
        };
        if let Err(error) = done {
            tracing::error!(%error, jail = %name, "a jail cannot be made as it should be");
        }
    }

    fn make_own_jail(self: &Arc<Self>, name: &JailName) -> Result<(), ServeError> {
        let own = self.own.sourced();
        let tools = self.wanted_tools(name, &[], &own.policy);
        self.make_jail(name.clone(), tools, (Origin::Own, own)).map(|_| ())
    }

    /// Writes the shims of a jail anew if others are wanted by now.
    pub(super) fn refit(&self, jail: &Jail) -> Result<(), ServeError> {
        if jail.bin.is_none() {
            return Ok(());
        }
        let tools = self.wanted_tools(&jail.name, jail.first_tools(), &self.own.sourced().policy);
        if *tools == *jail.tools() {
            return Ok(());
        }
        self.places.make_jail(&jail.name, &tools)?;
        tracing::info!(jail = %jail.name, tools = tools.len(), "a jail's shims are made anew");
        jail.set_tools(tools);
        Ok(())
    }

    /// The tools that get a shim: those of the policy's jail, or those that it was created with or first made with, or
    /// else all that the policy speaks of; and those that its containers' labels name.
    fn wanted_tools(&self, name: &JailName, first: &[String], policy: &Policy) -> Vec<String> {
        let declared = policy.jails().find(|(declared, _)| *declared == name.as_str());
        let named = match declared {
            Some((_, jail)) => jail.commands.clone(),
            None => self.created.tools(name).unwrap_or_else(|| first.to_vec()),
        };
        let mut tools = self.members.tools(name);
        let labels_do = !tools.is_empty() && declared.is_none();
        tools.extend(named.iter().cloned());
        if named.is_empty() && !labels_do && declared.is_none() {
            tools.extend(
                policy.shimmed().into_iter().filter(|t| is_tool_name(t)).map(str::to_owned),
            );
        }
        tools.into_iter().collect()
    }

    /// `GET /api/jails`.
    pub(super) fn list_jails(&self) -> JailList {
        let jails = self.jails.all().iter().map(|jail| self.tell_jail(jail)).collect();
        JailList { jails, problems: self.members.problems() }
    }

    /// `GET /api/jails/{name}`.
    pub(super) fn show_jail(&self, name: &str) -> Result<JailInfo, ErrorBody> {
        let name = named(name)?;
        let jail = self.jails.get(&name).ok_or_else(|| no_such_jail(&name))?;
        Ok(self.tell_jail(&jail))
    }

    /// `POST /api/jails`.
    pub(super) fn create_jail(
        self: &Arc<Self>,
        by: String,
        request: JailRequest,
    ) -> Result<JailInfo, ErrorBody> {
        let name = named(&request.name)?;
        if let Some(bad) = request.commands.iter().find(|tool| !is_tool_name(tool)) {
            let text = format!("{bad:?} cannot name a tool");
            return Err(refused(ErrorCode::BadRequest, text));
        }
        let tools: BTreeSet<String> = request.commands.into_iter().collect();
        let admission = self.admission();
        if admission.closed {
            let text = "the warden goes down; try again in a moment".to_owned();
            return Err(refused(ErrorCode::GoingDown, text));
        }
        if self.jails.get(&name).is_some() {
            return Err(refused(ErrorCode::Conflict, format!("there is a jail {name} already")));
        }
        let tools: Vec<String> = tools.into_iter().collect();
        let created = ledger::JailChanged { jail: name.to_string(), by, tools: tools.clone() };
        self.append(Record::JailCreated(created))?;
        self.created.set(&name, Some(tools))?;
        if let Err(error) = self.make_own_jail(&name) {
            self.created.set(&name, None)?;
            return Err(refused(ErrorCode::Internal, error.to_string()));
        }
        drop(admission);
        self.show_jail(name.as_str())
    }

    /// `DELETE /api/jails/{name}`.
    pub(super) fn delete_jail(&self, by: String, name: &str) -> Result<JailInfo, ErrorBody> {
        let name = named(name)?;
        let _admission = self.admission();
        let jail = self.jails.get(&name).ok_or_else(|| no_such_jail(&name))?;
        let told = self.tell_jail(&jail);
        let conflict = |text: String| Err(refused(ErrorCode::Conflict, text));
        match &told.origin[..] {
            "default" => return conflict("the default jail is always there".to_owned()),
            "policy" => {
                return conflict(format!("jail {name} is in the policy; take it out there first"));
            }
            _ => {}
        }
        if let Some(inside) =
            told.containers.iter().find(|one| one.labelled || one.state != "stopped")
        {
            let text = format!("container {} is in jail {name}; remove it first", inside.name);
            return conflict(text);
        }
        if told.prisoners > 0 {
            return conflict(format!("prisoners are in jail {name}; end their runs first"));
        }
        let deleted = ledger::JailChanged { jail: name.to_string(), by, tools: Vec::new() };
        self.append(Record::JailDeleted(deleted))?;
        if self.jails.remove_empty(&name).is_none() {
            return conflict(format!("prisoners are in jail {name}; end their runs first"));
        }
        self.created.set(&name, None)?;
        if let Some(door) = self.doors().remove(&name) {
            door.closing.send_replace(true);
        }
        if let Err(error) = self.places.remove_jail(&name) {
            tracing::warn!(%error, jail = %name, "a deleted jail's folders stay");
        }
        Ok(told)
    }

    fn append(&self, record: Record) -> Result<(), ErrorBody> {
        let written = self.ledger.append(&[record]);
        written
            .map(|_| ())
            .map_err(|error| refused(ErrorCode::LedgerUnavailable, error.to_string()))
    }

    /// Whether a jail stays when its last prisoner goes.
    pub(super) fn is_kept(&self, name: &JailName) -> bool {
        self.origin(name) != "run"
    }

    fn origin(&self, name: &JailName) -> &'static str {
        let policy = self.own.sourced().policy;
        if name.is_default() {
            "default"
        } else if policy.jails().any(|(declared, _)| declared == name.as_str()) {
            "policy"
        } else if self.created.tools(name).is_some() {
            "created"
        } else if self.members.inside(name).iter().any(|member| member.is_labelled) {
            "label"
        } else {
            "run"
        }
    }

    fn tell_jail(&self, jail: &Jail) -> JailInfo {
        let name = jail.name.as_str();
        let in_force = jail.in_force();
        let declared = in_force.policy.jails().find(|(declared, _)| *declared == name);
        let folder = jail.socket.parent().unwrap_or(Path::new("/"));
        JailInfo {
            name: name.to_owned(),
            origin: self.origin(&jail.name).to_owned(),
            folder: folder.display().to_string(),
            bin: jail.bin.as_ref().map(|bin| bin.display().to_string()),
            tools: jail.tools().to_vec(),
            hardened: declared.is_some_and(|(_, jail)| jail.hardened),
            policy: in_force.name.clone(),
            requests: jail.requests(),
            prisoners: self.jails.inside(&jail.name).len(),
            containers: self.members.inside(&jail.name).iter().map(|one| self.tell(one)).collect(),
            stopped: self.stop_of(&Scope::Jail(name.to_owned())),
        }
    }

    fn tell(&self, member: &Member) -> JailContainer {
        let container = clawrden_api::CallerContainer {
            id: member.id.clone(),
            name: member.name.clone(),
            image: member.image.clone(),
        };
        JailContainer {
            id: member.id.clone(),
            name: member.name.clone(),
            image: member.image.clone(),
            state: match member.running {
                Running::Yes => "running",
                Running::Paused => "paused",
                Running::No => "stopped",
            }
            .to_owned(),
            hardened: member.is_hardened,
            labelled: member.is_labelled,
            stopped: self.holds.of(&Scope::Container(container)),
        }
    }

    fn stop_of(&self, scope: &Scope) -> Option<Stopped> {
        self.switch.stopped().or_else(|| self.holds.of(scope))
    }
}

fn named(name: &str) -> Result<JailName, ErrorBody> {
    JailName::new(name).map_err(|error| refused(ErrorCode::BadRequest, error.to_string()))
}
