//! Which containers are in which jail: those that say so by their labels, and those that asked for something there.
//! Whoever makes a container chooses its labels; they make more governed and never less.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::hardened::Hardened;
use super::{JAIL_LABEL, Unknown};
use crate::engine::{Action, Container, Event, Listed, Running};
use crate::jails::JailName;
use crate::jails::shims::is_tool_name;

/// The label that says that a container wants to be governed; its value is `true`.
pub(crate) const ENABLED_LABEL: &str = "clawrden.enabled";
/// The label that names tools to intercept, with commas between them.
const TOOLS_LABEL: &str = "clawrden.cmds";
/// The label that says how a container is governed.
const MODE_LABEL: &str = "clawrden.mode";
/// Its one value: nothing is handed off, so that tools have to be locked away. Any other one is told as a mistake, and
/// taken for this.
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
    hardened: Arc<Hardened>,
}

/// Whether labels say that nothing is handed off to who is in the container. A word that is no mode was meant to.
pub(crate) fn is_hardened(labels: &BTreeMap<String, String>) -> bool {
    labels.contains_key(MODE_LABEL)
}

/// What is wrong with how a container says that it is governed.
fn odd_mode(name: &str, labels: &BTreeMap<String, String>) -> Option<String> {
    let mode = labels.get(MODE_LABEL).filter(|mode| *mode != HARDENED)?;
    Some(format!(
        "container {name}: {MODE_LABEL}: {mode:?} is no mode; `{HARDENED}` is, and is taken for it"
    ))
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
    /// `hardened` is where is kept which containers are.
    pub(crate) fn open(ignores_labels: bool, hardened: PathBuf) -> Self {
        let hardened = Arc::new(Hardened::open(hardened));
        Self { inner: Mutex::default(), ignores_labels, hardened }
    }

    /// Whether there are hardened containers, so that it matters in which one a caller is.
    pub(crate) fn may_be_hardened(&self) -> bool {
        self.hardened.has_any()
    }

    /// Whether a caller at the doors of the jails of which `is_there` speaks, of whose container only this is known, may
    /// be in a hardened one.
    pub(crate) fn may_harden(&self, why: &Unknown, is_there: impl Fn(&str) -> bool) -> bool {
        let inside = |member: &Member| member.is_hardened && is_there(member.jail.as_str());
        // Every hardened member is among those.
        let may_be = || {
            self.inner().members.values().any(inside) || self.hardened.may_be(why.id(), &is_there)
        };
        (self.hardened.has_any() && may_be()) || (why.is_silence() && !self.hardened.was_told())
    }

    /// The jail that a container's labels say it is in, where that can be one.
    pub(crate) fn by_label(&self, labels: &BTreeMap<String, String>) -> Option<JailName> {
        let name = labels.get(JAIL_LABEL).filter(|_| !self.ignores_labels)?;
        JailName::new(name).ok()
    }

    /// The jail whose labels these are, be they enabled or not.
    fn label_of(&self, labels: &BTreeMap<String, String>) -> Option<JailName> {
        match labels.contains_key(JAIL_LABEL) {
            true => self.by_label(labels),
            false => self.minds(labels).then(JailName::default_jail),
        }
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
        let is_there = |id: &str| all.iter().any(|one| one.id == id);
        let hardened = all.iter().filter(|one| is_hardened(&one.labels));
        let hardened = hardened.map(|one| (&one.id[..], self.label_of(&one.labels)));
        self.hardened.replace(is_there, hardened);
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
        if *action == Action::Removed {
            self.hardened.forget(id);
        } else if is_hardened(labels) {
            self.hardened.learn(id, self.label_of(labels).as_ref());
        }
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
        if is_hardened(&container.labels) {
            self.hardened.learn(&container.id, Some(jail));
        }
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
                if let Some(problem) = odd_mode(what.1, labels) {
                    self.tell(what.0, problem);
                }
                let key = (member.id.clone(), member.jail.clone());
                if self.members.len() >= MOST && !self.members.contains_key(&key) {
                    return None;
                }
                let jail = member.jail.clone();
                self.members.insert(key, member);
                Some(jail)
            }
            Err(problem) => {
                self.tell(what.0, problem);
                None
            }
        }
    }

    fn tell(&mut self, id: &str, problem: String) {
        tracing::warn!(problem, "the labels of a container say what cannot be");
        if self.problems.len() < MOST {
            self.problems.insert(id.to_owned(), problem);
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
    use crate::engine::EngineError;

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
        let members = Members { ignores_labels: true, ..Members::default() };
        assert_eq!(members.hear(&event("a", Action::Started, WEB)), None);
        assert_eq!(members.by_label(&labels(WEB)), None);
        assert_eq!(Members::default().by_label(&labels(WEB)), Some(web()));
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
    fn a_mode_that_is_none_is_told_and_hardens() {
        let members = Members::default();
        for soft in ["soft", "Hardened", "hardend", ""] {
            let soft = [("clawrden.enabled", "true"), ("clawrden.mode", soft)];
            assert!(is_hardened(&labels(&soft)));
            let jail = members.hear(&event("m", Action::Started, &soft));
            assert_eq!(jail, Some(JailName::default_jail()));
            assert!(members.all()[0].is_hardened);
            assert!(members.problems()[0].contains("is no mode"), "{:?}", members.problems());
            members.hear(&event("m", Action::Removed, &[]));
            assert!(members.problems().is_empty());
        }
    }

    #[test]
    fn who_may_be_in_a_hardened_container_is_told_by_what_was_learnt_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hardened.json");
        let hard = [("clawrden.mode", "hardened"), ("clawrden.jail", "web")];
        Members::open(false, path.clone()).hear(&event("a", Action::Started, &hard));
        let members = Members::open(false, path);
        let absent = EngineError::Unwanted;
        let is_web = |at: &str| at == "web";
        let of = |id: &str| Unknown::NotTold { id: id.to_owned(), source: absent.clone() };
        assert!(members.may_be_hardened() && members.all().is_empty());
        assert!(members.may_harden(&of("a"), is_web));
        assert!(!members.may_harden(&of("b"), is_web));
        assert!(members.may_harden(&Unknown::Unseen, is_web), "it may be that one");
        assert!(!members.may_harden(&Unknown::Unseen, |at| at == "default"));
        // An engine that is there, and has not told of any container yet.
        assert!(members.may_harden(&Unknown::TooSlow("b".to_owned()), is_web));
        members.replace(&[], BTreeSet::new());
        assert!(!members.may_be_hardened());
        assert!(!members.may_harden(&Unknown::TooSlow("b".to_owned()), is_web));
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
            attachments: Vec::new(),
            network: String::new(),
        };
        assert_eq!(members.replace(&[listed], BTreeSet::new()), [web()].into());
        let found = members.all();
        assert_eq!((found.len(), &found[0].name[..]), (1, "new-name"));
        assert_eq!(found[0].running, Running::Paused);
    }
}
