//! Conditions of a rule beside its command: where, by whom, and with what around it.
//! For `deny` and `ask` what is not known may hold; for `allow` it does not.

use crate::facts::{Contained, Facts};
use crate::matchers::Overmatch;
use crate::matchers::glob::Glob;
use crate::matchers::paths;

/// The conditions that are written; each must hold.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) cwd: Option<Vec<Glob>>,
    pub(crate) uid: Option<Vec<u32>>,
    pub(crate) gid: Option<Vec<u32>>,
    pub(crate) user: Option<Vec<Box<str>>>,
    pub(crate) group: Option<Vec<Box<str>>>,
    pub(crate) tty: Option<bool>,
    pub(crate) env: Vec<(Box<str>, Variable)>,
    pub(crate) container: Option<Container>,
}

/// What the caller's container must be; each part that is written must hold.
#[derive(Debug, Default)]
pub(crate) struct Container {
    pub(crate) image: Option<Vec<Glob>>,
    pub(crate) name: Option<Vec<Glob>>,
    pub(crate) labels: Vec<(Box<str>, Glob)>,
}

/// What a variable of the request must be.
#[derive(Debug)]
pub(crate) enum Variable {
    /// Not there.
    Absent,
    /// There, with a value that the glob matches.
    Is(Glob),
}

/// What became of one condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    No,
    Perhaps,
    Surely,
}

impl Conditions {
    /// How surely every condition holds; else what one of them is about.
    pub(crate) fn hold(&self, facts: &Facts<'_>) -> Result<Overmatch, &'static str> {
        let mut surety = Overmatch::Surely;
        for (about, holds) in [
            ("working directory", self.cwd(facts)),
            ("caller's uid", is_one_of(self.uid.as_deref(), facts.uid)),
            ("caller's gid", is_one_of(self.gid.as_deref(), facts.gid)),
            ("caller's user", is_named(self.user.as_deref(), facts.user)),
            ("caller's group", is_named(self.group.as_deref(), facts.group)),
            ("terminal", is_one_of(self.tty.as_ref().map(std::slice::from_ref), facts.tty)),
            ("environment", self.env(facts)),
            ("container", self.container(facts)),
        ] {
            match holds {
                Holds::No => return Err(about),
                Holds::Perhaps => surety = Overmatch::Perhaps,
                Holds::Surely => {}
            }
        }
        Ok(surety)
    }

    /// Whether the names of users or groups matter.
    pub(crate) fn name_users(&self) -> bool {
        self.user.is_some() || self.group.is_some()
    }

    fn cwd(&self, facts: &Facts<'_>) -> Holds {
        let Some(globs) = &self.cwd else { return Holds::Surely };
        match facts.cwd {
            None => Holds::Perhaps,
            // A working directory is resolved before it comes here; one that still climbs is not.
            Some(cwd) if paths::climbs(cwd) => Holds::Perhaps,
            Some(cwd) => told(globs.iter().any(|glob| glob.matches(cwd))),
        }
    }

    fn env(&self, facts: &Facts<'_>) -> Holds {
        let of = |(name, wanted): &(Box<str>, Variable)| {
            let Some(entries) = facts.env else { return Holds::Perhaps };
            let value = |entry: &&[u8]| {
                Some(entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec())
            };
            let mut values = entries.iter().filter_map(value).peekable();
            match (wanted, values.peek().is_some()) {
                (Variable::Absent, is_set) => told(!is_set),
                (Variable::Is(_), false) => Holds::No,
                (Variable::Is(glob), true) => {
                    // Of a name that is there twice, tools differ in which one they take.
                    let mut found = values.map(|value| told(glob.matches(&value)));
                    let first = found.next().unwrap_or(Holds::No);
                    let same = found.all(|next| next == first);
                    if same { first } else { Holds::Perhaps }
                }
            }
        };
        self.env.iter().map(of).min().unwrap_or(Holds::Surely)
    }
}

impl Conditions {
    /// Whether the caller's container matters.
    pub(crate) fn name_containers(&self) -> bool {
        self.container.is_some()
    }

    fn container(&self, facts: &Facts<'_>) -> Holds {
        let Some(wanted) = &self.container else { return Holds::Surely };
        let found = match facts.container {
            Contained::Unknown => return Holds::Perhaps,
            Contained::Nowhere => return Holds::No,
            Contained::In(found) => found,
        };
        let fits = |globs: &Option<Vec<Glob>>, text: &str| {
            globs
                .as_ref()
                .is_none_or(|globs| globs.iter().any(|glob| glob.matches(text.as_bytes())))
        };
        let labelled = |(name, glob): &(Box<str>, Glob)| {
            found.labels.get(&**name).is_some_and(|value| glob.matches(value.as_bytes()))
        };
        told(
            fits(&wanted.image, found.image)
                && fits(&wanted.name, found.name)
                && wanted.labels.iter().all(labelled),
        )
    }
}

fn told(holds: bool) -> Holds {
    if holds { Holds::Surely } else { Holds::No }
}

fn is_one_of<T: PartialEq>(wanted: Option<&[T]>, found: Option<T>) -> Holds {
    match (wanted, found) {
        (None, _) => Holds::Surely,
        (Some(_), None) => Holds::Perhaps,
        (Some(wanted), Some(found)) => told(wanted.contains(&found)),
    }
}

fn is_named(wanted: Option<&[Box<str>]>, found: Option<&str>) -> Holds {
    match (wanted, found) {
        (None, _) => Holds::Surely,
        (Some(_), None) => Holds::Perhaps,
        (Some(wanted), Some(found)) => told(wanted.iter().any(|name| **name == *found)),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Action, Contained, Facts, Policy};

    fn facts<'a>() -> Facts<'a> {
        Facts {
            name: b"make",
            path: Some(b"/usr/bin/make"),
            tool: Some(b"make"),
            argv: &[b"make"],
            ..Facts::default()
        }
    }

    /// The action of one rule with this condition, for a request that holds and one that does not, and
    /// for one about which nothing is known.
    #[track_caller]
    fn check(condition: &str, yes: Facts<'_>, no: Facts<'_>) {
        for (action, other, unknown) in [
            ("allow", "deny", Action::Deny),
            ("deny", "allow", Action::Deny),
            ("ask", "allow", Action::Ask),
        ] {
            let text = format!(
                "default_action: {other}\nrules: [{{command: make, {condition}, action: {action}}}]"
            );
            let policy =
                Policy::from_yaml("p.yaml", &text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(policy.decide(&yes).action.as_str(), action, "{condition}: {yes:?}");
            assert_eq!(policy.decide(&no).action.as_str(), other, "{condition}: {no:?}");
            assert_eq!(policy.decide(&facts()).action, unknown, "{condition}: nothing known");
            let why = &policy.explain(&no).steps[0].why;
            assert!(why.contains("another") || why.contains("differs"), "{why}");
        }
    }

    #[test]
    fn a_working_directory_is_compared_by_component() {
        let at = |cwd| Facts { cwd: Some(cwd), ..facts() };
        check("cwd: [/srv, '/app/*']", at(b"/app/x/y"), at(b"/application"));
        check("cwd: /app", at(b"/app"), at(b"/app/x"));
    }

    #[test]
    fn a_caller_is_known_by_numbers_and_names() {
        check(
            "caller: {uid: [0, 1000]}",
            Facts { uid: Some(1000), ..facts() },
            Facts { uid: Some(7), ..facts() },
        );
        check(
            "caller: {gid: 5}",
            Facts { gid: Some(5), ..facts() },
            Facts { gid: Some(7), ..facts() },
        );
        check(
            "caller: {user: ann}",
            Facts { user: Some("ann"), ..facts() },
            Facts { user: Some("bob"), ..facts() },
        );
        check(
            "caller: {group: [ci, dev], uid: 4}",
            Facts { group: Some("dev"), uid: Some(4), ..facts() },
            Facts { group: Some("dev"), uid: Some(5), ..facts() },
        );
    }

    #[test]
    fn a_terminal_is_there_or_not() {
        check(
            "tty: true",
            Facts { tty: Some(true), ..facts() },
            Facts { tty: Some(false), ..facts() },
        );
        check(
            "tty: false",
            Facts { tty: Some(false), ..facts() },
            Facts { tty: Some(true), ..facts() },
        );
    }

    #[test]
    fn a_variable_has_a_value_or_is_absent() {
        let with = |entries| Facts { env: Some(entries), ..facts() };
        check("env: {CI: 'tr*'}", with(&[b"X=1", b"CI=true"]), with(&[b"CI=no", b"CIX=true"]));
        check("env: {CI: absent}", with(&[b"CIX=1"]), with(&[b"CI="]));
        check("env: {CI: \"absent\"}", with(&[b"CI=absent"]), with(&[]));
        check("env: {A: 1, B: absent}", with(&[b"A=1"]), with(&[b"A=1", b"B=2"]));
    }

    #[test]
    fn a_container_is_known_by_image_name_and_labels() {
        let labels = std::collections::BTreeMap::from([
            ("clawrden.jail".to_owned(), "web".to_owned()),
            ("team".to_owned(), String::new()),
        ]);
        let with = |name, image| Facts {
            container: Contained::In(crate::ContainerFacts { name, image, labels: &labels }),
            ..facts()
        };
        let found = || with("shop-agent-1", "localhost:5000/node:22-alpine");
        let other = || with("shop-db-1", "postgres:17");
        let nowhere = || Facts { container: Contained::Nowhere, ..facts() };
        check("container: {image: '*/node:*'}", found(), other());
        check("container: {image: ['a', '*node*']}", found(), nowhere());
        check("container: {name: '*-agent-*'}", found(), other());
        check("container: {image: '*', labels: {clawrden.jail: web}}", found(), nowhere());
        check("container: {name: '*-agent-*', labels: {team: '*'}}", found(), other());
        let labels =
            std::collections::BTreeMap::from([("clawrden.jail".to_owned(), "we".to_owned())]);
        let almost = Facts {
            container: Contained::In(crate::ContainerFacts {
                name: "",
                image: "",
                labels: &labels,
            }),
            ..facts()
        };
        check("container: {labels: {clawrden.jail: web}}", found(), almost);
    }

    #[test]
    fn a_variable_that_is_there_twice_is_held_against_the_request() {
        let twice: &[&[u8]] = &[b"CI=true", b"CI=no"];
        let decide = |action: &str, other: &str| {
            let text = format!(
                "default_action: {other}\nrules: [{{command: make, env: {{CI: true}}, action: {action}}}]"
            );
            let facts = Facts { env: Some(twice), ..facts() };
            Policy::from_yaml("p.yaml", &text).unwrap().decide(&facts).action
        };
        assert_eq!(decide("allow", "deny"), Action::Deny);
        assert_eq!(decide("deny", "allow"), Action::Deny);
    }

    #[test]
    fn a_condition_without_sense_is_refused() {
        for (condition, told) in [
            ("cwd: src", "absolute path"),
            ("cwd: /a/../b", "absolute path"),
            ("caller: {}", "empty"),
            ("caller: {uid: ann}", "`user`"),
            ("caller: {uid: -1}", "number"),
            ("caller: {user: 'a b'}", "name"),
            ("tty: yes", "true"),
            ("env: {}", "empty"),
            ("env: {'A B': x}", "variable name"),
            ("env: {A: [x]}", "expected"),
            ("container: node", "mapping"),
            ("container: {}", "empty"),
            ("container: {id: x}", "unknown key"),
            ("container: {image: []}", "empty"),
            ("container: {labels: {}}", "empty"),
            ("container: {labels: {'': x}}", "label"),
            ("container: {labels: {a: [x]}}", "expected"),
        ] {
            let text = format!("rules: [{{command: make, {condition}, action: deny}}]");
            let error = Policy::from_yaml("p.yaml", &text).unwrap_err().to_string();
            assert!(error.contains(told), "{condition}: {error}");
        }
    }
}
