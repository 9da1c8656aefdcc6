//! Which places are told of a request.

use clawrden_api::{QueueEntry, Scope};
use serde::Deserialize;

/// Places for what comes from a jail, or from a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// The jail; absent: every one.
    pub jail: Option<String>,
    /// The rule that asks, such as `policy.yaml:12`; one that ends in `*` is a beginning. Absent: every one.
    pub rule: Option<String>,
    /// The channel or chat, or several of them; empty: nobody is told.
    pub to: Places,
}

/// A place, or several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct Places(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Place),
    Many(Vec<Place>),
}

/// Chats are numbers at some services.
#[derive(Deserialize)]
#[serde(untagged)]
enum Place {
    Name(String),
    Number(i64),
}

impl From<OneOrMany> for Places {
    fn from(places: OneOrMany) -> Self {
        let places = match places {
            OneOrMany::One(place) => vec![place],
            OneOrMany::Many(places) => places,
        };
        let text = |place| match place {
            Place::Name(name) => name,
            Place::Number(number) => number.to_string(),
        };
        Self(places.into_iter().map(text).collect())
    }
}

/// All routes of a bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Looked at from the first on; the first that fits tells.
    pub routes: Vec<Route>,
    /// Where none fits.
    pub default: Vec<String>,
}

impl Routes {
    /// The places for an entry, each once.
    #[must_use]
    pub fn places(&self, entry: &QueueEntry) -> Vec<String> {
        let fits = |route: &&Route| {
            let scope = Scope {
                jails: route.jail.iter().cloned().collect(),
                rules: route.rule.iter().cloned().collect(),
            };
            // The default action is in no list of rules, but `*` takes everything.
            let any = route.rule.as_deref() == Some("*");
            scope.has_jail(&entry.jail) && (any || scope.has_rule(entry.rule.as_deref()))
        };
        let mut places = match self.routes.iter().find(fits) {
            Some(route) => route.to.0.clone(),
            None => self.default.clone(),
        };
        let mut seen = std::collections::BTreeSet::new();
        places.retain(|place| seen.insert(place.clone()));
        places
    }

    /// Every place that may be told of something, each once.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let named = self.routes.iter().flat_map(|route| &route.to.0).chain(&self.default);
        let mut all: Vec<String> = named.cloned().collect();
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::entry;

    #[test]
    fn the_first_route_that_fits_tells_where() {
        let routes = r#"[
            {"jail": "web", "rule": "policy.yaml:*", "to": "C012"},
            {"jail": "web", "to": ["C1", "C2", "C1"]},
            {"rule": "rules.d/quiet.yaml:*", "to": []},
            {"jail": "chat", "rule": "*", "to": -100123}
        ]"#;
        let routes = Routes {
            routes: serde_json::from_str(routes).unwrap(),
            default: vec!["C0".to_owned()],
        };
        let places = |jail: &str, rule: Option<&str>| {
            let mut entry = entry("a");
            (entry.jail, entry.rule) = (jail.to_owned(), rule.map(str::to_owned));
            routes.places(&entry)
        };
        assert_eq!(places("web", Some("policy.yaml:12")), ["C012"]);
        assert_eq!(places("web", Some("other.yaml:1")), ["C1", "C2"]);
        assert_eq!(places("web", None), ["C1", "C2"], "the default action is no rule");
        assert_eq!(places("x", Some("policy.yaml:12")), ["C0"]);
        assert_eq!(places("chat", None), ["-100123"]);
        assert!(places("x", Some("rules.d/quiet.yaml:3")).is_empty());
        assert_eq!(routes.all(), ["-100123", "C0", "C012", "C1", "C2"]);
    }
}
