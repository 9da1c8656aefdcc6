//! Judging a request again that waits for a person: what the policy denies by then, nobody can approve.
//! It only ever refuses; what a later policy would allow is still asked.

mod past;

use std::sync::Arc;

use clawrden_policy::{Action, Approvers, Decision, Facts, Links};

use crate::jails::Jails;
use crate::plan::Plan;
pub(crate) use past::PastCase;
use past::{Door, Where};

/// Bytes of the longest argument vector that is kept for this. A longer request cannot be approved after a change.
const MAX_WORDS: usize = 16 * 1024;

/// What a request was judged by, kept for as long as it waits.
#[derive(Debug)]
pub(crate) struct Case {
    jail: Box<str>,
    /// What judged it.
    door: Door,
    name: Vec<u8>,
    path: Option<Vec<u8>>,
    tool: Option<Vec<u8>>,
    /// Each ended by a NUL; `None` for too many.
    words: Option<Vec<u8>>,
    cwd: Option<Vec<u8>>,
    uid: Option<u32>,
    gid: Option<u32>,
    tty: Option<bool>,
    changed_env: Vec<Vec<u8>>,
    container: Where,
}

/// Where links lead is not known.
#[derive(Debug)]
struct Nowhere;

impl Links for Nowhere {
    fn follow(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

/// Why a request cannot be approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Objection {
    /// The rule that denies it.
    pub(crate) rule: Option<String>,
    /// Why.
    pub(crate) reason: String,
}

impl Case {
    /// Keeps what `plan` was judged by.
    pub(crate) fn of(plan: &Plan) -> Self {
        plan.with_facts(|facts| {
            let length: usize = facts.argv.iter().map(|word| word.len() + 1).sum();
            let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            Self {
                jail: facts.jail.into(),
                door: Door::Open(plan.judges.clone()),
                name: facts.name.to_vec(),
                path: owned(facts.path),
                tool: owned(facts.tool),
                words: (length <= MAX_WORDS).then(|| {
                    facts.argv.iter().flat_map(|word| word.iter().copied().chain([0])).collect()
                }),
                cwd: owned(facts.cwd),
                uid: facts.uid,
                gid: facts.gid,
                tty: facts.tty,
                changed_env: facts.changed_env.iter().map(|name| name.to_vec()).collect(),
                container: Where::Seen(plan.caller.container.clone()),
            }
        })
    }

    /// What the policies in force have against it by now. One that an earlier warden judged is judged anew by the jails of
    /// the same names; while there is none, by whoever comes back to use the approval.
    pub(crate) fn objection(&self, jails: &Jails) -> Option<Objection> {
        match self.judged(jails)? {
            Ok(decision) => (decision.action == Action::Deny).then(|| Objection {
                rule: decision.rule.as_ref().map(ToString::to_string),
                reason: decision.reason,
            }),
            Err(objection) => Some(objection),
        }
    }

    /// Whose yes it takes by the policies in force by now; `None` where they have not changed, or would ask nobody, so
    /// that what was wanted holds.
    pub(crate) fn approvers(&self, jails: &Jails) -> Option<Vec<Arc<Approvers>>> {
        let decision = self.judged(jails)?.ok()?;
        (decision.action == Action::Ask).then_some(decision.approvers)
    }

    /// What the policies in force say of it by now; `None` where they have not changed.
    fn judged(&self, jails: &Jails) -> Option<Result<Decision, Objection>> {
        let judges = self.door.renewed(jails)?;
        let Some(words) = &self.words else {
            let reason = "the policy was changed while it waited, and it is too long to be judged again; \
                          repeat the command";
            return Some(Err(Objection { rule: None, reason: reason.to_owned() }));
        };
        let mut argv: Vec<&[u8]> = words.split(|&byte| byte == 0).collect();
        // Behind the last NUL is nothing.
        argv.pop();
        let changed: Vec<&[u8]> = self.changed_env.iter().map(Vec::as_slice).collect();
        Some(Ok(judges.decide(&Facts {
            jail: &self.jail,
            name: &self.name,
            path: self.path.as_deref(),
            tool: self.tool.as_deref(),
            argv: &argv,
            cwd: self.cwd.as_deref(),
            uid: self.uid,
            gid: self.gid,
            tty: self.tty,
            changed_env: &changed,
            container: self.container.facts(),
            // Nor is it followed where links lead. The environment and names of users are not kept. A denial that
            // looks at any of these counts.
            links: Some(&Nowhere),
            ..Facts::default()
        })))
    }

    /// The bytes that keeping it costs, about.
    pub(crate) fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        size_of::<Self>()
            + self.name.len()
            + [&self.path, &self.tool, &self.words, &self.cwd].map(length).iter().sum::<usize>()
            + self.changed_env.iter().map(|name| name.len() + size_of::<Vec<u8>>()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Judges;
    use crate::whereabouts::Whereabouts;
    use clawrden_policy::Policy;

    use crate::jails::{InForce, Jail, JailName, Origin};

    fn in_force(text: &str) -> InForce {
        let policy = Policy::from_yaml("p.yaml", text).unwrap();
        let fingerprint = policy.fingerprint().to_owned();
        InForce { policy: Arc::new(policy), name: "p.yaml".to_owned(), fingerprint, since_ms: 0 }
    }

    /// `git push` in a jail whose policy asks.
    fn waiting() -> (Arc<Jail>, Case) {
        let name = JailName::new("dev").unwrap();
        let policy = in_force("default_action: ask");
        let jail = Jail::new(name, "/s".into(), None, Vec::new(), Origin::Own, policy);
        let jail = Arc::new(jail);
        let case = Case {
            jail: "dev".into(),
            door: Door::Open(Judges::of(&jail, None)),
            name: b"git".to_vec(),
            path: Some(b"/usr/bin/git".to_vec()),
            tool: Some(b"git".to_vec()),
            words: Some(b"git\0push\0".to_vec()),
            cwd: Some(b"/app".to_vec()),
            uid: Some(1000),
            tty: None,
            gid: Some(1000),
            changed_env: Vec::new(),
            container: Where::Seen(Whereabouts::default()),
        };
        (jail, case)
    }

    #[test]
    fn the_rule_that_denies_by_now_is_named() {
        let (jail, case) = waiting();
        assert_eq!(case.objection(&Jails::default()), None);
        let denies = "rules: [{command: git, args: 'push **', action: deny, reason: 'closed'}]";
        jail.put_in_force(in_force(denies), []);
        let objection = case.objection(&Jails::default()).unwrap();
        assert_eq!(objection.rule.as_deref(), Some("p.yaml:1"));
        assert_eq!(objection.reason, "closed");
    }

    #[test]
    fn what_is_asked_or_allowed_by_now_is_no_objection() {
        let (jail, case) = waiting();
        for rule in ["{command: git, action: allow}", "{command: git, action: ask, timeout: 3s}"] {
            let text = format!("default_action: deny\nrules: [{rule}]");
            jail.put_in_force(in_force(&text), []);
            assert_eq!(case.objection(&Jails::default()), None, "{rule}");
        }
    }

    #[test]
    fn the_words_are_judged_as_they_were_and_too_many_are_an_objection() {
        let (jail, mut case) = waiting();
        let exact = "default_action: deny\nrules: [{command: git, args: push, action: allow}]";
        jail.put_in_force(in_force(exact), []);
        assert_eq!(case.objection(&Jails::default()), None);
        case.words = Some(b"git\0push\0\0".to_vec());
        assert!(case.objection(&Jails::default()).is_some(), "an empty word is a word");
        case.words = None;
        assert!(case.objection(&Jails::default()).unwrap().reason.contains("too long"));
    }

    /// The case as the next warden has it.
    fn after_a_restart(case: &Case) -> Case {
        let text = serde_json::to_string(&case.past().unwrap()).unwrap();
        serde_json::from_str::<PastCase>(&text).unwrap().into()
    }

    #[test]
    fn a_policy_that_is_the_same_after_a_restart_has_no_objection_by_what_is_not_kept() {
        // Names of users and the environment are not kept.
        let rules = "default_action: deny\nrules:\n  - {command: git, caller: {user: alice}, action: ask}\n  \
                     - {command: git, env: {CI: yes}, action: ask}\n";
        let name = || JailName::new("dev").unwrap();
        let jail = |policy: &str| {
            Jail::new(name(), "/s".into(), None, Vec::new(), Origin::Own, in_force(policy))
        };
        let (before, case) = waiting();
        before.put_in_force(in_force(rules), []);
        let case = Case { door: Door::Open(Judges::of(&before, None)), ..case };
        let past = after_a_restart(&case);
        let with = |policy: &str| {
            let jails = Jails::default();
            jails.add(jail(policy)).unwrap();
            jails
        };
        assert_eq!(past.objection(&with(rules)), None);
        assert_eq!(past.objection(&Jails::default()), None, "while it is not there");
        let other = with(&format!("{rules}# not the same text"));
        assert!(past.objection(&other).is_some());
        let twice = after_a_restart(&past);
        assert_eq!(twice.objection(&with(rules)), None);
        // One that was written before fingerprints were.
        let mut row = serde_json::to_value(case.past().unwrap()).unwrap();
        row.as_object_mut().unwrap().remove("door_policies");
        let old: Case = serde_json::from_value::<PastCase>(row).unwrap().into();
        assert!(old.objection(&with(rules)).is_some());
    }

    #[test]
    fn a_case_with_a_secret_is_not_written_down() {
        let (_, case) = waiting();
        assert!(case.past().is_some());
        let secret = || format!("/app/ghp_{}", "aB3dE5fG7h".repeat(4)).into_bytes()[..45].to_vec();
        let cases: [fn(&mut Case, Vec<u8>); 5] = [
            |case, secret| case.cwd = Some(secret),
            |case, secret| case.path = Some(secret),
            |case, secret| case.tool = Some(secret),
            |case, secret| case.name = secret,
            |case, secret| case.words = Some([b"git\0", &secret[..], b"\0"].concat()),
        ];
        for (n, put) in cases.into_iter().enumerate() {
            let (_, mut case) = waiting();
            put(&mut case, secret());
            assert!(case.past().is_none(), "{n}");
        }
    }
}
