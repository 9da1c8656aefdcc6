//! Packs: stock rules that a policy takes in by `use: [pack:NAME]`. Profiles: stock policies that are made of them.
//! They are texts like any policy file; one more is a line more in its table.

use crate::layers::{Layer, Source};
use crate::policy::Policy;

/// A pack's name and its text.
pub(crate) type Pack = (&'static str, &'static str);

/// The table of packs, by the names of their files.
macro_rules! packs {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../policies/packs/", $name, ".yaml")))),*]
    };
}

/// Every pack, by name.
#[rustfmt::skip]
pub(crate) const PACKS: &[Pack] = packs!(
    "base" "build" "cargo" "cloud" "database" "docker" "gh" "git" "go" "interpreters" "kubernetes" "network" "node"
    "python" "system" "terraform"
);

/// Every profile: its name, what its file is called, and its text. The first is the stock policy.
pub(crate) const PROFILES: &[(&str, &str, &str)] = &[
    ("developer", "developer.yaml", include_str!("../../../policies/profiles/developer.yaml")),
    ("ci", "ci.yaml", include_str!("../../../policies/profiles/ci.yaml")),
    (
        "locked-down",
        "locked-down.yaml",
        include_str!("../../../policies/profiles/locked-down.yaml"),
    ),
];

impl Policy {
    /// A stock profile.
    #[must_use]
    pub fn profile(name: &str) -> Option<Source> {
        let (_, file, text) = PROFILES.iter().find(|(found, _, _)| *found == name)?;
        Some(Source::new(Layer::Host, *file, *text))
    }

    /// The names of the stock profiles; the first is the stock policy.
    pub fn profiles() -> impl Iterator<Item = &'static str> {
        PROFILES.iter().map(|(name, _, _)| *name)
    }

    /// The text of a stock pack.
    #[must_use]
    pub fn pack(name: &str) -> Option<&'static str> {
        PACKS.iter().find(|(found, _)| *found == name).map(|(_, text)| *text)
    }

    /// The names of the stock packs, sorted.
    pub fn packs() -> impl Iterator<Item = &'static str> {
        PACKS.iter().map(|(name, _)| *name)
    }

    /// The same as a source, for who puts layers together or wants to start from it.
    #[must_use]
    pub fn stock_source() -> Source {
        let (_, file, text) = PROFILES[0];
        Source::new(Layer::Host, file, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_loads_with_its_tests() {
        for name in Policy::profiles() {
            let source = Policy::profile(name).unwrap();
            Policy::from_sources(&[source]).unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(Policy::stock_source(), Policy::profile("developer").unwrap());
    }

    #[test]
    fn every_pack_loads_with_its_examples_and_is_named_once() {
        let mut names: Vec<&str> = PACKS.iter().map(|(name, _)| *name).collect();
        for (name, text) in PACKS {
            let used = Policy::from_yaml("policy.yaml", &format!("use: [pack:{name}]"));
            used.unwrap_or_else(|error| panic!("{error}"));
            Policy::from_yaml(name, text).unwrap_or_else(|error| panic!("{error}"));
        }
        names.dedup();
        assert!(names.is_sorted() && names.len() == PACKS.len(), "{names:?}");
    }
}
