//! `people` and `groups`: who answers what policies ask, by the names that policies know them by.

use std::collections::BTreeMap;

use clawrden_api::{ChatService, ChatUser};
use serde::Deserialize;
use serde::de::Error as _;

use crate::people::{Door, People, PeopleError};

/// Most characters of a name.
const MAX_NAME: usize = 64;

/// The people by their names, each with all that they come by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Persons(BTreeMap<String, Vec<Door>>);

/// The groups by their names, each with its members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(BTreeMap<String, Vec<String>>);

impl Persons {
    /// The people with the groups that they are in.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub fn with(&self, groups: &Groups) -> Result<People, PeopleError> {
        People::new(&self.0, &groups.0)
    }

    /// Whether somebody has this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All of them by name, with their doors as they are written.
    pub fn all(&self) -> impl ExactSizeIterator<Item = (&str, Vec<String>)> {
        self.0.iter().map(|(name, doors)| (&**name, doors.iter().map(Door::to_string).collect()))
    }
}

impl Groups {
    /// All of them by name, with their members as they are written.
    pub fn all(&self) -> impl ExactSizeIterator<Item = (&str, &[String])> {
        self.0.iter().map(|(name, members)| (&**name, &members[..]))
    }
}

impl<'de> Deserialize<'de> for Persons {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let said = BTreeMap::<String, Vec<String>>::deserialize(from)?;
        let mut people = BTreeMap::new();
        for (name, doors) in said {
            check(&name).map_err(D::Error::custom)?;
            let doors: Result<Vec<Door>, String> =
                doors.iter().map(|door| read(&name, door)).collect();
            people.insert(name, doors.map_err(D::Error::custom)?);
        }
        Ok(Self(people))
    }
}

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let said = BTreeMap::<String, Vec<String>>::deserialize(from)?;
        said.keys().try_for_each(|name| check(name)).map_err(D::Error::custom)?;
        Ok(Self(said))
    }
}

fn read(name: &str, door: &str) -> Result<Door, String> {
    Door::parse(door).ok_or_else(|| {
        // That it is a user of a chat is plain: what is wrong with it is said.
        let of_chat = door.split_once(':').filter(|(service, _)| service.parse::<ChatService>().is_ok());
        if let Some(Err(why)) = of_chat.map(|_| door.parse::<ChatUser>()) {
            return format!("{door:?} of {name}: {why}");
        }
        format!("{door:?} of {name} is neither a user such as `uid:1000` nor a token such as `token:{name}`, nor a user \
             of a chat such as `slack:T012ABC/U345DEF`")
    })
}

fn check(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(format!(
        "{name:?} is no name of a person or group: 1 to {MAX_NAME} letters, digits and ._@- make one"
    ))
}
