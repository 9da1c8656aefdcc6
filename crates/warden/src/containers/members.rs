//! Which containers are in which jail: those that say so by their labels, and those that asked for something there.
//! Whoever makes a container chooses its labels; they make more governed and never less.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::JAIL_LABEL;
use crate::engine::{Action, Container, Event, Listed, Running};
use crate::jails::JailName;
use crate::jails::shims::is_tool_name;

/// The label that says that a container wants to be governed; its value is `true`.
pub(crate) const ENABLED_LABEL: &str = "clawrden.enabled";
/// The label that names tools to intercept, with commas between them.
const TOOLS_LABEL: &str = "clawrden.cmds";
/// The label that says how a container is governed.
const MODE_LABEL: &str = "clawrden.mode";
/// Its one value: nothing is handed off, so that tools have to be locked away.
const HARDENED: &str = "hardened";

/// Containers that are remembered; more are not.
const MOST: usize = 4096;

/// A container of a jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) jail: JailName,
    /// Tools that its labels name.
    pub(crate) tools: BTreeSet<String>,
    pub(crate) is_hardened: bool,
    /// Its labels say that it is in the jail; if not, it asked there.
    pub(crate) is_labelled: bool,
    pub(crate) running: Running,
}

#[derive(Debug, Default)]
struct Inner {
    /// By container and jail: one that has two jails' sockets is in both.
    members: BTreeMap<(String, JailName), Member>,
    /// What is wrong with the labels of a container.
    problems: BTreeMap<String, String>,
    /// Containers whose labels speak to another warden on the same engine.
    anothers: BTreeSet<String>,
}

/// The containers in the jails of one warden.
#[derive(Debug, Default)]
pub(crate) struct Members {
    inner: Mutex<Inner>,
    /// Labels mean nothing to a warden that only serves the runs which started it.
    ignores_labels: bool,
}

/// Whether labels say that nothing is handed off to who is in the container.
pub(crate) fn is_hardened(labels: &BTreeMap<String, String>) -> bool {
    labels.get(MODE_LABEL).is_some_and(|mode| mode == HARDENED)
}

/// What labels say: nothing, a member, or something that cannot be.
fn labelled(
    (id, name, image): (&str, &str, &str),
    labels: &BTreeMap<String, String>,
    running: Running,
) -> Result<Option<Member>, String> {
    if labels.get(ENABLED_LABEL).is_none_or(|value| value != "true") {
        return Ok(None);
    }
    let jail = match labels.get(JAIL_LABEL) {
        None => JailName::default_jail(),
        Some(jail) => JailName::new(jail)
            .map_err(|error| format!("container {name}: {JAIL_LABEL}: {error}"))?,
    };
    let tools = labels.get(TOOLS_LABEL).map_or("", String::as_str).split(',').map(str::trim);
    let tools: BTreeSet<String> =
        tools.filter(|tool| !tool.is_empty()).map(str::to_owned).collect();
    if let Some(mode) = labels.get(MODE_LABEL).filter(|mode| *mode != HARDENED) {
        return Err(format!(
            "container {name}: {MODE_LABEL}: {mode:?} is no mode; `{HARDENED}` is"
        ));
    }
    if let Some(bad) = tools.iter().find(|tool| !is_tool_name(tool)) {
        return Err(format!("container {name}: {TOOLS_LABEL}: {bad:?} cannot name a tool"));
    }
    Ok(Some(Member {
        id: id.to_owned(),
        name: name.to_owned(),
        image: image.to_owned(),
        jail,
        tools,
        is_hardened: is_hardened(labels),
        is_labelled: true,
        running,
    }))
}

impl Members {
    pub(crate) fn new(ignores_labels: bool) -> Self {
        Self { inner: Mutex::default(), ignores_labels }
    }

    /// The jail that a container's labels say it is in, where that can be one.
    pub(crate) fn by_label(&self, labels: &BTreeMap<String, String>) -> Option<JailName> {
        let name = labels.get(JAIL_LABEL).filter(|_| !self.ignores_labels)?;
        JailName::new(name).ok()
    }

    /// Hears that a container's labels speak to another warden. Before its labels are heard.
    pub(crate) fn is_anothers(&self, id: &str) {
        let mut inner = self.inner();
        if inner.anothers.len() < MOST {
            inner.anothers.insert(id.to_owned());
        }
    }

    /// Whether these labels say anything to this warden.
    pub(crate) fn minds(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.ignores_labels && labels.contains_key(ENABLED_LABEL)
    }

    /// Takes what there is at the engine, of which `anothers` says what speaks to another warden. What only asked and is not there any more is forgotten. Gives the jails that
    /// this concerns.
    pub(crate) fn replace(&self, all: &[Listed], anothers: BTreeSet<String>) -> BTreeSet<JailName> {
        let mut inner = self.inner();
        inner.anothers = anothers;
        let mut touched: BTreeSet<JailName> =
            inner.members.values().map(|member| member.jail.clone()).collect();
        let there = |id: &str| all.iter().find(|one| one.id == id);
        inner.problems.clear();
        inner.members.retain(|_, member| {
            let Some(found) = there(&member.id).filter(|_| !member.is_labelled) else {
                return false;
            };
            member.running = found.running;
            true
        });
        for Listed { id, name, image, labels, running, .. } in all {
            if self.ignores_labels {
                break;
            }
            touched.extend(inner.take((id, name, image), labels, *running));
        }
        touched
    }

    /// Hears what happened to a container. Gives the jail that this concerns.
    pub(crate) fn hear(&self, event: &Event) -> Option<JailName> {
        let Event::Container { id, action, name, image, labels } = event else { return None };
        let mut inner = self.inner();
        let running = match action {
            Action::Removed => return inner.forget(id),
            Action::Created | Action::Ended => Running::No,
            Action::Started | Action::Unpaused => Running::Yes,
            Action::Paused => Running::Paused,
            Action::Renamed => {
                let known = inner.members.values().find(|member| member.id == *id);
                known.map_or(Running::No, |member| member.running)
            }
        };
        for member in inner.members.values_mut().filter(|member| member.id == *id) {
            member.running = running;
            member.name.clone_from(name);
        }
        if self.ignores_labels {
            return None;
        }
        inner.take((id, name, image), labels, running)
    }

    /// Remembers a container that asked for something in a jail.
    pub(crate) fn saw(&self, container: &Container, jail: &JailName) {
        let mut inner = self.inner();
        let key = (container.id.clone(), jail.clone());
        if inner.members.contains_key(&key) || inner.members.len() >= MOST {
            return;
        }
        let member = Member {
            id: container.id.clone(),
            name: container.name.clone(),
            image: container.image.clone(),
            jail: jail.clone(),
            tools: BTreeSet::new(),
            is_hardened: is_hardened(&container.labels),
            is_labelled: false,
            running: Running::Yes,
        };
        inner.members.insert(key, member);
    }

    /// Remembers what became of containers on our own word, which the engine's events may tell late.
    pub(crate) fn became(&self, ids: &[String], running: Running) {
        let mut inner = self.inner();
        for member in inner.members.values_mut().filter(|member| ids.contains(&member.id)) {
            member.running = running;
        }
    }

    /// Those of a jail.
    pub(crate) fn inside(&self, jail: &JailName) -> Vec<Member> {
        self.inner().members.values().filter(|member| member.jail == *jail).cloned().collect()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Member> {
        self.inner().members.values().cloned().collect()
    }

    /// The tools that the labels of a jail's containers name.
    pub(crate) fn tools(&self, jail: &JailName) -> BTreeSet<String> {
        let inner = self.inner();
        let inside = inner.members.values().filter(|member| member.jail == *jail);
        inside.flat_map(|member| member.tools.iter().cloned()).collect()
    }

    /// What is wrong with containers that want to be in a jail.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.inner().problems.values().cloned().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(
        &mut self,
        what: (&str, &str, &str),
        labels: &BTreeMap<String, String>,
        running: Running,
    ) -> Option<JailName> {
        if self.anothers.contains(what.0) {
            return None;
        }
        match labelled(what, labels, running) {
            Ok(None) => None,
            Ok(Some(member)) => {
                let key = (member.id.clone(), member.jail.clone());
                if self.members.len() >= MOST && !self.members.contains_key(&key) {
                    return None;
                }
                let jail = member.jail.clone();
                self.members.insert(key, member);
                Some(jail)
            }
            Err(problem) => {
                tracing::warn!(problem, "a container cannot be in the jail that its labels say");
                if self.problems.len() < MOST {
                    self.problems.insert(what.0.to_owned(), problem);
                }
                None
            }
        }
    }

    fn forget(&mut self, id: &str) -> Option<JailName> {
        self.problems.remove(id);
        self.anothers.remove(id);
        let mut jail = None;
        self.members.retain(|_, member| {
            let goes = member.id == id;
            if goes {
                jail = Some(member.jail.clone());
            }
            !goes
        });
        jail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn event(id: &str, action: Action, all: &[(&str, &str)]) -> Event {
        let (name, image) = (format!("name-{id}"), "image".to_owned());
        Event::Container { id: id.to_owned(), action, name, image, labels: labels(all) }
    }

    const WEB: &[(&str, &str)] = &[
        ("clawrden.enabled", "true"),
        ("clawrden.jail", "web"),
        ("clawrden.cmds", "npm, git,,docker"),
        ("clawrden.mode", "hardened"),
    ];

    fn web() -> JailName {
        JailName::new("web").unwrap()
    }

    #[test]
    fn a_container_is_in_the_jail_that_its_labels_say_as_long_as_it_is_there() {
        let members = Members::default();
        assert_eq!(members.hear(&event("a", Action::Created, WEB)), Some(web()));
        let found = members.inside(&web());
        assert_eq!((found.len(), found[0].running, found[0].is_hardened), (1, Running::No, true));
        assert_eq!(members.tools(&web()), ["docker", "git", "npm"].map(str::to_owned).into());
        members.hear(&event("a", Action::Started, WEB));
        assert_eq!(members.inside(&web())[0].running, Running::Yes);
        members.hear(&event("a", Action::Paused, WEB));
        assert_eq!(members.inside(&web())[0].running, Running::Paused);
        members.became(&["a".to_owned()], Running::No);
        assert_eq!(members.inside(&web())[0].running, Running::No);
        assert_eq!(members.hear(&event("a", Action::Removed, WEB)), Some(web()));
        assert!(members.all().is_empty());
    }

    #[test]
    fn a_container_that_is_not_enabled_is_in_no_jail_by_its_labels() {
        let members = Members::default();
        for off in [&[("clawrden.jail", "web")][..], &[("clawrden.enabled", "yes")], &[]] {
            assert_eq!(members.hear(&event("a", Action::Started, off)), None);
        }
        assert!(members.all().is_empty() && members.problems().is_empty());
    }

    #[test]
    fn a_warden_for_its_runs_alone_does_not_mind_labels() {
        let members = Members::new(true);
        assert_eq!(members.hear(&event("a", Action::Started, WEB)), None);
        assert_eq!(members.by_label(&labels(WEB)), None);
        assert_eq!(Members::new(false).by_label(&labels(WEB)), Some(web()));
        assert!(members.all().is_empty());
    }

    #[test]
    fn a_container_that_speaks_to_another_warden_is_in_no_jail_of_this_one() {
        let members = Members::default();
        members.is_anothers("a");
        assert_eq!(members.hear(&event("a", Action::Created, WEB)), None);
        assert_eq!(members.hear(&event("a", Action::Started, WEB)), None);
        assert_eq!(members.hear(&event("b", Action::Started, WEB)), Some(web()));
        members.hear(&event("a", Action::Removed, WEB));
        assert_eq!(members.all().len(), 1);
    }

    #[test]
    fn odd_names_are_told_and_make_no_jail() {
        let members = Members::default();
        let soft = [("clawrden.enabled", "true"), ("clawrden.mode", "soft")];
        assert_eq!(members.hear(&event("m", Action::Started, &soft)), None);
        assert!(members.problems()[0].contains("is no mode"), "{:?}", members.problems());
        members.hear(&event("m", Action::Removed, &[]));
        for (id, jail, tools) in
            [("a", "../x", ""), ("b", "", ""), ("c", "a/b", ""), ("d", "web", "../sh")]
        {
            let odd =
                [("clawrden.enabled", "true"), ("clawrden.jail", jail), ("clawrden.cmds", tools)];
            assert_eq!(members.hear(&event(id, Action::Started, &odd)), None, "{jail} {tools}");
        }
        assert!(members.all().is_empty());
        assert_eq!(members.problems().len(), 4);
        members.hear(&event("a", Action::Removed, &[]));
        assert_eq!(members.problems().len(), 3);
    }

    #[test]
    fn what_the_engine_lists_takes_the_place_of_what_was_known() {
        let members = Members::default();
        members.hear(&event("gone", Action::Started, WEB));
        members.hear(&event("here", Action::Started, WEB));
        let listed = Listed {
            id: "here".to_owned(),
            name: "new-name".to_owned(),
            image: "image".to_owned(),
            labels: labels(WEB),
            mounts: Vec::new(),
            running: Running::Paused,
        };
        assert_eq!(members.replace(&[listed], BTreeSet::new()), [web()].into());
        let found = members.all();
        assert_eq!((found.len(), &found[0].name[..]), (1, "new-name"));
        assert_eq!(found[0].running, Running::Paused);
    }
}
