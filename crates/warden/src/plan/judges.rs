//! What judges one request, from the moment it is frozen: nothing that comes into force later is mixed in.
//! A prisoner that comes through another jail's door is judged by its own jail as well, and gains nothing by that.

use std::sync::Arc;

use clawrden_policy::{Decision, EnvRules, Facts, Named, Pattern};

use crate::jails::{Jail, JailName};
use crate::policies::{Policies, stricter};

/// The jail that a request came to, the one that its caller belongs to, and their policies of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Judges {
    door: (Arc<Jail>, Arc<Policies>),
    /// Where the caller is known to be another jail's prisoner.
    home: Option<(Arc<Jail>, Arc<Policies>)>,
}

impl Judges {
    /// What judges at this moment a request to `door` by a prisoner of `home`.
    pub(crate) fn of(door: &Arc<Jail>, home: Option<&Arc<Jail>>) -> Self {
        let at = |jail: &Arc<Jail>| (Arc::clone(jail), jail.policies());
        Self { door: at(door), home: home.map(at) }
    }

    /// The same by the policies of this moment; `None` where these have not changed.
    pub(crate) fn renewed(&self) -> Option<Self> {
        let now = Self::of(&self.door.0, self.home.as_ref().map(|(jail, _)| jail));
        let changed = self.all().zip(now.all()).any(|(a, b)| a.1.generation != b.1.generation);
        changed.then_some(now)
    }

    /// The strictest answer of all of them.
    pub(crate) fn decide(&self, facts: &Facts<'_>) -> Decision {
        let decision = self.door.1.decide(facts);
        let Some((jail, policies)) = &self.home else { return decision };
        let own = policies.decide(&Facts { jail: jail.name.as_str(), ..*facts });
        let why = format!("the caller belongs to jail {}, whose policy holds as well", jail.name);
        stricter(decision, own, &why)
    }

    /// A pattern as each of them reads it; `None` where it is none to one of them.
    pub(crate) fn patterns(&self, text: &str) -> Option<Vec<Pattern>> {
        let policies = self.all().flat_map(|(_, policies)| policies.all());
        policies.map(|one| Pattern::new(&one.policy, text).ok()).collect()
    }

    /// The paths that it names, as the door reads it.
    pub(crate) fn named(&self, facts: &Facts<'_>) -> Vec<Named> {
        self.door.1.all().next().map_or_else(Vec::new, |one| one.policy.named(facts))
    }

    /// Whether the ceilings over all of them let it through, whatever is below them.
    pub(crate) fn ceilings_let(&self, facts: &Facts<'_>) -> bool {
        self.all().all(|(jail, policies)| {
            let facts = Facts { jail: jail.name.as_str(), ..*facts };
            policies.all().all(|one| one.policy.ceilings_let(&facts))
        })
    }

    /// Whether a rule of any of them runs its command as a user of the warden's host.
    pub(crate) fn runs_as_others(&self) -> bool {
        self.all().any(|(_, policies)| policies.runs_as_others())
    }

    /// Whether a rule of any of them runs its command in a ghost.
    pub(crate) fn run_ghosts(&self) -> bool {
        self.all().any(|(_, policies)| policies.all().any(|one| one.policy.runs_ghosts()))
    }

    /// Whether a rule of any of them asks for the name of a user or a group.
    pub(crate) fn name_users(&self) -> bool {
        self.all().any(|(_, policies)| policies.all().any(|one| one.policy.names_users()))
    }

    /// Whether a rule of any of them looks at the caller's container.
    pub(crate) fn name_containers(&self) -> bool {
        self.all().any(|(_, policies)| policies.all().any(|one| one.policy.names_containers()))
    }

    /// The variables that rules of any of them look at.
    pub(crate) fn variables(&self) -> Vec<Vec<u8>> {
        let policies = self.all().flat_map(|(_, policies)| policies.all());
        let names = policies.flat_map(|one| one.policy.variables());
        let mut names: Vec<Vec<u8>> = names.map(|name| name.as_bytes().to_vec()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether a rule of any of them cares where links lead.
    pub(crate) fn follow_links(&self) -> bool {
        self.all().any(|(_, policies)| policies.all().any(|one| one.policy.follows_links()))
    }

    /// The `env:` sections, of which the strictest holds.
    pub(crate) fn env(&self) -> Vec<&EnvRules> {
        self.all().flat_map(|(_, policies)| policies.env()).collect()
    }

    /// The jails whose policies these are: that of the door, then that of the caller.
    pub(crate) fn jails(&self) -> impl Iterator<Item = &JailName> {
        self.all().map(|(jail, _)| &jail.name)
    }

    /// Whether any of them says that its jail is hardened.
    pub(crate) fn harden(&self) -> bool {
        self.all().any(|(jail, policies)| {
            policies.all().any(|one| one.policy.hardens(jail.name.as_str()))
        })
    }

    /// The fingerprints of each one's policies, in the order of [`Judges::jails`].
    pub(crate) fn fingerprints(&self) -> impl Iterator<Item = Vec<String>> {
        self.all().map(|(_, policies)| policies.all().map(|one| one.fingerprint.clone()).collect())
    }

    /// What each of them says that a ghost may share with its caller.
    pub(crate) fn workspaces(&self) -> impl Iterator<Item = &[String]> {
        self.all().flat_map(|(jail, policies)| {
            policies.all().map(|one| one.policy.workspace(jail.name.as_str()))
        })
    }

    fn all(&self) -> impl Iterator<Item = &(Arc<Jail>, Arc<Policies>)> {
        std::iter::once(&self.door).chain(&self.home)
    }
}

#[cfg(test)]
mod tests {
    use clawrden_policy::{Action, Policy};

    use super::*;
    use crate::jails::{InForce, Origin};

    fn in_force(text: &str) -> InForce {
        let policy = Policy::from_yaml("p.yaml", text).unwrap();
        let fingerprint = policy.fingerprint().to_owned();
        InForce { policy: Arc::new(policy), name: "p.yaml".to_owned(), fingerprint, since_ms: 0 }
    }

    fn jail(name: &str, text: &str) -> Arc<Jail> {
        let name = JailName::new(name).unwrap();
        Arc::new(Jail::new(name, "/s".into(), None, Vec::new(), Origin::Own, in_force(text)))
    }

    fn judged(judges: &Judges) -> Decision {
        judges.decide(&Facts {
            jail: "door",
            name: b"echo",
            path: Some(b"/usr/bin/echo"),
            tool: Some(b"echo"),
            argv: &[b"echo"],
            cwd: Some(b"/app"),
            ..Facts::default()
        })
    }

    const ALLOW: &str = "rules: [{command: echo, action: allow}]";
    const ASK: &str = "rules: [{command: echo, action: ask}]";

    #[test]
    fn neither_the_door_nor_the_home_is_got_around() {
        for (door, home, expected) in [
            (ALLOW, ALLOW, Action::Allow),
            (ALLOW, ASK, Action::Ask),
            (ASK, ALLOW, Action::Ask),
            (ALLOW, "rules: []", Action::Deny),
            ("rules: []", ALLOW, Action::Deny),
        ] {
            let judges = Judges::of(&jail("door", door), Some(&jail("home", home)));
            assert_eq!(judged(&judges).action, expected, "{door} {home}");
        }
    }

    #[test]
    fn each_jails_rules_see_its_own_name() {
        let only = |name: &str| format!("rules: [{{command: echo, jail: {name}, action: allow}}]");
        let of = |door: &str, home: &str| {
            let judges = Judges::of(&jail("door", &only(door)), Some(&jail("home", &only(home))));
            judged(&judges).action
        };
        assert_eq!(of("door", "home"), Action::Allow);
        assert_eq!(of("door", "door"), Action::Deny);
    }

    #[test]
    fn what_comes_into_force_later_is_not_mixed_in_and_is_noticed() {
        let (door, home) = (jail("door", ASK), jail("home", ASK));
        let judges = Judges::of(&door, Some(&home));
        assert!(judges.renewed().is_none());
        home.put_in_force(in_force("rules: []"), []);
        assert_eq!(judged(&judges).action, Action::Ask);
        assert_eq!(judged(&judges.renewed().unwrap()).action, Action::Deny);
    }
}
