//! A case as it lasts beyond the warden's end, and what takes the place of what does not: the jails by their names, and
//! of a container what rules look at.

use clawrden_policy::{Contained, ContainerFacts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::Case;
use crate::jails::{JailName, Jails};
use crate::plan::Judges;
use crate::redaction;
use crate::whereabouts::Whereabouts;

/// What judges.
#[derive(Debug)]
pub(super) enum Door {
    /// What judged it in this warden.
    Open(Judges),
    /// The jails whose policies judged it in an earlier one.
    Named { door: Named, home: Option<Named> },
}

/// A jail by its name, and the fingerprints of the policies that judged there.
#[derive(Debug, Clone)]
pub(super) struct Named {
    name: String,
    policies: Vec<String>,
}

/// Where the caller is.
#[derive(Debug)]
pub(super) enum Where {
    /// As it was found.
    Seen(Whereabouts),
    /// What rules look at of it.
    Past(Place),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    Nowhere,
    Unknown,
    In { name: String, image: String, labels: BTreeMap<String, String> },
}

/// A [`Case`] in words that last. Bytes are text with one character for each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PastCase {
    jail: String,
    door: String,
    home: Option<String>,
    #[serde(default)]
    door_policies: Vec<String>,
    #[serde(default)]
    home_policies: Vec<String>,
    name: String,
    path: Option<String>,
    tool: Option<String>,
    words: Option<String>,
    cwd: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    tty: Option<bool>,
    changed_env: Vec<String>,
    container: Place,
}

impl Door {
    /// The policies of this moment; `None` where they have not changed, or where the jail is not there.
    pub(super) fn renewed(&self, jails: &Jails) -> Option<Judges> {
        let (door, home) = match self {
            Self::Open(judges) => return judges.renewed(),
            Self::Named { door, home } => (door, home.as_ref()),
        };
        let jail = |named: &Named| jails.get(&JailName::new(&named.name).ok()?);
        let (there, at_home) = (jail(door)?, home.and_then(jail));
        let judges = Judges::of(&there, at_home.as_ref());
        // Policies that judged it then, by more than was kept of it, have nothing to add.
        let knew = std::iter::once(door).chain(home.filter(|_| at_home.is_some()));
        let is_same = judges
            .fingerprints()
            .zip(knew)
            .all(|(now, named)| now.iter().all(|policy| named.policies.contains(policy)));
        (!is_same).then_some(judges)
    }

    fn named(&self) -> (Named, Option<Named>) {
        match self {
            Self::Named { door, home } => (door.clone(), home.clone()),
            Self::Open(judges) => {
                let mut all = judges
                    .jails()
                    .zip(judges.fingerprints())
                    .map(|(name, policies)| Named { name: name.to_string(), policies });
                let door = all.next();
                (door.unwrap_or(Named { name: String::new(), policies: Vec::new() }), all.next())
            }
        }
    }
}

impl Where {
    pub(super) fn facts(&self) -> Contained<'_> {
        match self {
            Self::Seen(seen) => seen.facts(),
            Self::Past(Place::Nowhere) => Contained::Nowhere,
            Self::Past(Place::Unknown) => Contained::Unknown,
            Self::Past(Place::In { name, image, labels }) => {
                Contained::In(ContainerFacts { name, image, labels })
            }
        }
    }

    fn place(&self) -> Place {
        match self {
            Self::Past(place) => place.clone(),
            Self::Seen(seen) => match (seen, seen.container()) {
                (_, Some(found)) => Place::In {
                    name: found.name.clone(),
                    image: found.image.clone(),
                    labels: found.labels.clone(),
                },
                (Whereabouts::Nowhere, None) => Place::Nowhere,
                _ => Place::Unknown,
            },
        }
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// What is no such text has no bytes, and no rule for it is looked for.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

impl Case {
    /// The case for a later warden; none where it would put a secret into a file. Without it, it is judged again by
    /// whoever comes back to use the approval.
    pub(crate) fn past(&self) -> Option<PastCase> {
        let words: Vec<&[u8]> =
            self.words.iter().flat_map(|words| words.split(|&byte| byte == 0)).collect();
        let alone = [Some(&self.name), self.path.as_ref(), self.tool.as_ref(), self.cwd.as_ref()];
        let has_secret = |text: &Vec<u8>| redaction::ours().bytes(text).1 > 0;
        if redaction::ours().argv(&words).is_some() || alone.into_iter().flatten().any(has_secret) {
            return None;
        }
        let (door, home) = self.door.named();
        let (home, home_policies) = home.map(|home| (home.name, home.policies)).unzip();
        let owned = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(text);
        Some(PastCase {
            jail: self.jail.to_string(),
            door: door.name,
            home,
            door_policies: door.policies,
            home_policies: home_policies.unwrap_or_default(),
            name: text(&self.name),
            path: owned(&self.path),
            tool: owned(&self.tool),
            words: owned(&self.words),
            cwd: owned(&self.cwd),
            uid: self.uid,
            gid: self.gid,
            tty: self.tty,
            changed_env: self.changed_env.iter().map(|name| text(name)).collect(),
            container: self.container.place(),
        })
    }
}

impl From<PastCase> for Case {
    fn from(past: PastCase) -> Self {
        let owned = |text: Option<String>| text.as_deref().map(bytes);
        Self {
            jail: past.jail.into(),
            door: Door::Named {
                door: Named { name: past.door, policies: past.door_policies },
                home: past.home.map(|name| Named { name, policies: past.home_policies }),
            },
            name: bytes(&past.name),
            path: owned(past.path),
            tool: owned(past.tool),
            words: owned(past.words),
            cwd: owned(past.cwd),
            uid: past.uid,
            gid: past.gid,
            tty: past.tty,
            changed_env: past.changed_env.iter().map(|name| bytes(name)).collect(),
            container: Where::Past(past.container),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_last() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&text(&all)), all);
        let json = serde_json::to_string(&text(&all)).unwrap();
        assert_eq!(bytes(&serde_json::from_str::<String>(&json).unwrap()), all);
    }
}
