//! People: who somebody is that may answer, by whichever door they come, and in which groups they are.
//!
//! A person is one, however many tokens and users they have. Where nothing is said of a door, it is a person of its own,
//! who is known only by it; where several people have to agree, only those count whom the settings name.

mod current;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use clawrden_api::ChatUser;
use serde::{Deserialize, Serialize};

pub use current::Current;

/// What a person comes by: what the kernel or a secret proves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// A user of this machine: by the Unix socket, or by a link that was made there.
    Uid(u32),
    /// Tokens of this name, or the one of this id, and the sessions that are opened with them.
    Token(String),
    /// A user of a chat, as the service itself calls them; a bridge says who it is.
    Chat(ChatUser),
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Token(token) => write!(f, "token:{token}"),
            Self::Chat(user) => write!(f, "{user}"),
        }
    }
}

impl Door {
    /// Reads `uid:1000`, `token:ci` and `slack:T012ABC/U345DEF`; `None` for what is none of them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("uid", uid) => uid.parse().ok().filter(|&uid| uid != u32::MAX).map(Self::Uid),
            ("token", name) if !name.is_empty() => Some(Self::Token(name.to_owned())),
            _ => text.parse().ok().map(Self::Chat),
        }
    }
}

/// Everything that somebody has come by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doors {
    /// The user, where the kernel says it.
    pub uid: Option<u32>,
    /// The id of the token.
    pub token: Option<String>,
    /// Its name.
    pub token_name: Option<String>,
    /// The user of a chat, for whom a bridge asks: they are who comes then, whatever the bridge has come by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatUser>,
}

/// Somebody who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// The person, by the name that the settings give; else the door.
    pub person: Arc<str>,
    /// The settings name them, so that they are told apart from every other.
    pub is_known: bool,
    /// What they came by.
    pub doors: Doors,
}

impl Voter {
    /// Whether it is a user of a chat who is bound to nobody: their word counts for nothing.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        self.doors.chat.is_some() && !self.is_known
    }
}

/// Why the settings make no people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    /// A door leads to two people.
    #[error("{door} is {first} and {second}; a user or a token is one person's")]
    TwoOwners {
        /// The door.
        door: Door,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A name means two things.
    #[error("{0:?} is a person and a group; give one of them another name")]
    TwoMeanings(String),
    /// A member of a group is nobody.
    #[error(
        "{member:?} in the group {group:?} is no person of `people`, no `uid:…`, no `token:…` and no user of a \
         chat such as `slack:…`"
    )]
    NoMember {
        /// The group.
        group: String,
        /// Who is in it.
        member: String,
    },
}

/// The people and groups of the settings, with the users of chats that are theirs. Others come in their place when it changes.
#[derive(Debug, Default)]
pub struct People {
    persons: BTreeMap<Arc<str>, Vec<Door>>,
    groups: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    owners: HashMap<Door, Arc<str>>,
}

impl People {
    /// Puts them together.
    ///
    /// # Errors
    /// [`PeopleError`].
    pub fn new(
        people: &BTreeMap<String, Vec<Door>>,
        groups: &BTreeMap<String, Vec<String>>,
    ) -> Result<Self, PeopleError> {
        let mut made = Self::default();
        for (name, doors) in people {
            made.add(name.as_str().into(), doors)?;
        }
        for (name, members) in groups {
            if people.contains_key(name) {
                return Err(PeopleError::TwoMeanings(name.clone()));
            }
            let mut found = BTreeSet::new();
            for member in members {
                let person =
                    match (made.persons.get_key_value(member.as_str()), Door::parse(member)) {
                        (Some((person, _)), _) => Arc::clone(person),
                        (None, Some(door)) => made.owner(&door)?,
                        (None, None) => {
                            let (group, member) = (name.clone(), member.clone());
                            return Err(PeopleError::NoMember { group, member });
                        }
                    };
                found.insert(person);
            }
            made.groups.insert(name.as_str().into(), found);
        }
        Ok(made)
    }

    fn add(&mut self, person: Arc<str>, doors: &[Door]) -> Result<(), PeopleError> {
        for door in doors {
            if let Some(first) = self.owners.insert(door.clone(), Arc::clone(&person))
                && first != person
            {
                let (first, second) = (first.to_string(), person.to_string());
                return Err(PeopleError::TwoOwners { door: door.clone(), first, second });
            }
        }
        self.persons.insert(person, doors.to_vec());
        Ok(())
    }

    /// Makes a user of a chat somebody's who is there, unless the settings say whose that user is.
    pub fn bind(&mut self, person: &str, user: &ChatUser) {
        let door = Door::Chat(user.clone());
        if let Some((person, _)) = self.persons.get_key_value(person)
            && !self.owners.contains_key(&door)
        {
            self.owners.insert(door, Arc::clone(person));
        }
    }

    /// Whether a user of a chat is this person.
    #[must_use]
    pub fn is_bound(&self, person: &str, user: &ChatUser) -> bool {
        self.chat_owner(user).is_some_and(|owner| *owner == *person)
    }

    /// Every user of a chat, and whose that is.
    pub fn chats(&self) -> impl Iterator<Item = &ChatUser> {
        self.owners.keys().filter_map(|door| match door {
            Door::Chat(user) => Some(user),
            Door::Uid(_) | Door::Token(_) => None,
        })
    }

    /// Whose door it is; of one that stands in a group by itself, a person's who has nothing else.
    fn owner(&mut self, door: &Door) -> Result<Arc<str>, PeopleError> {
        if let Some(owner) = self.owners.get(door) {
            return Ok(Arc::clone(owner));
        }
        let person: Arc<str> = door.to_string().into();
        self.add(Arc::clone(&person), std::slice::from_ref(door))?;
        Ok(person)
    }

    /// Who has come by these. A token that is named by its id is that person's, whoever its name is.
    #[must_use]
    pub fn voter(&self, doors: &Doors) -> Voter {
        if let Some(user) = &doors.chat {
            let owner = self.chat_owner(user);
            let (is_known, doors) = (owner.is_some(), doors.clone());
            let person = owner.unwrap_or_else(|| user.to_string().into());
            return Voter { person, is_known, doors };
        }
        let by_id = doors.token.clone().map(Door::Token);
        let by_name = doors.token_name.clone().map(Door::Token);
        let by_uid = doors.uid.map(Door::Uid);
        let came_by = [by_id, by_name.clone(), by_uid.clone()];
        if let Some(owner) = came_by.iter().flatten().find_map(|door| self.owners.get(door)) {
            let (person, doors) = (Arc::clone(owner), doors.clone());
            return Voter { person, is_known: true, doors };
        }
        let door = by_name.or(by_uid).map_or_else(|| "nobody".to_owned(), |door| door.to_string());
        Voter { person: door.into(), is_known: false, doors: doors.clone() }
    }

    /// Whose user of a chat it is.
    #[must_use]
    pub fn chat_owner(&self, user: &ChatUser) -> Option<Arc<str>> {
        self.owners.get(&Door::Chat(user.clone())).cloned()
    }

    /// Whether a name of a policy means this person: their own, that of a group that they are in, or a door of theirs.
    #[must_use]
    pub fn means(&self, name: &str, voter: &Voter) -> bool {
        if voter.is_stranger() {
            return false;
        }
        let person = &voter.person;
        if name == &**person {
            return true;
        }
        if let Some(group) = self.groups.get(name) {
            return group.contains(person);
        }
        let token = voter.doors.token.as_deref();
        if !voter.is_known && token.is_some() && name.strip_prefix("token:") == token {
            return true;
        }
        Door::parse(name)
            .and_then(|door| self.owners.get(&door))
            .is_some_and(|owner| **owner == **person)
    }

    /// Whether a name of a policy means anybody.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.persons.contains_key(name)
            || self.groups.contains_key(name)
            || Door::parse(name).is_some_and(|door| match &door {
                Door::Uid(_) | Door::Token(_) => true,
                // Nobody comes by one that is nobody's.
                Door::Chat(_) => self.owners.contains_key(&door),
            })
    }

    /// Whether this person has a user of this number.
    #[must_use]
    pub fn has_uid(&self, person: &str, uid: u32) -> bool {
        self.owners.get(&Door::Uid(uid)).is_some_and(|owner| **owner == *person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(
        persons: &[(&str, &[&str])],
        groups: &[(&str, &[&str])],
    ) -> Result<People, PeopleError> {
        let doors = |doors: &[&str]| doors.iter().map(|door| Door::parse(door).unwrap()).collect();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        People::new(
            &persons.iter().map(|(name, of)| ((*name).to_owned(), doors(of))).collect(),
            &groups.iter().map(|(name, of)| ((*name).to_owned(), words(of))).collect(),
        )
    }

    fn by(uid: Option<u32>, token: Option<(&str, &str)>) -> Doors {
        let (token, token_name) = token.map(|(id, name)| (id.to_owned(), name.to_owned())).unzip();
        Doors { uid, token, token_name, chat: None }
    }

    #[test]
    fn a_person_is_one_by_whichever_door() {
        let people = people(
            &[("alice", &["uid:1000", "token:alice", "token:1a2b3c4d"]), ("bob", &["token:bob"])],
            &[("security", &["alice", "token:oncall", "uid:1000"])],
        )
        .unwrap();
        let person = |doors: &Doors| people.voter(doors).person.to_string();
        assert_eq!(person(&by(Some(1000), None)), "alice");
        assert_eq!(person(&by(None, Some(("99999999", "alice")))), "alice");
        assert_eq!(person(&by(None, Some(("1a2b3c4d", "phone")))), "alice");
        assert_eq!(
            person(&by(None, Some(("1a2b3c4d", "bob")))),
            "alice",
            "a name is not taken over"
        );
        let oncall = people.voter(&by(None, Some(("5", "oncall"))));
        assert_eq!((&*oncall.person, oncall.is_known), ("token:oncall", true));
        let stranger = people.voter(&by(Some(7), None));
        assert_eq!((&*stranger.person, stranger.is_known), ("uid:7", false));
        for (name, of, is) in [
            ("alice", "alice", true),
            ("security", "alice", true),
            ("security", "bob", false),
            ("security", "token:oncall", true),
            ("uid:1000", "alice", true),
            ("token:oncall", "token:oncall", true),
            ("uid:7", "uid:7", true),
            ("uid:1000", "bob", false),
            ("leads", "alice", false),
        ] {
            let voter = Voter { person: of.into(), is_known: true, doors: Doors::default() };
            assert_eq!(people.means(name, &voter), is, "{name} {of}");
        }
        let phone = people.voter(&by(None, Some(("abcd0123", "phone"))));
        assert!(people.means("token:abcd0123", &phone) && people.means("token:phone", &phone));
        assert!(!people.means("token:abcd", &phone) && !people.means("security", &phone));
        assert!(people.knows("security") && people.knows("bob") && people.knows("uid:4"));
        assert!(!people.knows("leads") && !people.knows("uid:x"));
        assert!(people.has_uid("alice", 1000) && !people.has_uid("bob", 1000));
    }

    #[test]
    fn a_user_of_a_chat_is_who_is_said_and_nobody_by_the_bridge_s_token() {
        let people = people(
            &[("alice", &["uid:1000", "slack:T1/U1"]), ("bob", &["token:bridge"])],
            &[("oncall", &["telegram:5"])],
        )
        .unwrap();
        let of = |user: &str, token: Option<(&str, &str)>| {
            let chat = Some(user.parse().unwrap());
            people.voter(&Doors { chat, ..by(None, token) })
        };
        let alice = of("slack:T1/U1", Some(("1", "bridge")));
        assert_eq!((&*alice.person, alice.is_known), ("alice", true));
        assert!(people.means("alice", &alice) && people.means("slack:T1/U1", &alice));
        assert!(!people.means("bob", &alice) && !people.means("token:bridge", &alice));
        assert!(!people.means("token:1", &alice));
        assert!(people.means("oncall", &of("telegram:5", None)));
        let other = of("slack:T1/U2", Some(("1", "bridge")));
        assert!(other.is_stranger() && !alice.is_stranger());
        for name in ["slack:T1/U2", "bob", "token:bridge", "token:1", "alice", "oncall"] {
            assert!(!people.means(name, &other), "{name}");
        }
        assert!(people.knows("slack:T1/U1") && !people.knows("slack:T1/U2"));
    }

    #[test]
    fn a_user_is_bound_to_who_is_there_and_never_taken_from_another() {
        let mut people = people(&[("alice", &["slack:T1/U1"]), ("bob", &[])], &[]).unwrap();
        let user = |id: &str| id.parse::<ChatUser>().unwrap();
        people.bind("bob", &user("slack:T1/U1"));
        people.bind("bob", &user("slack:T1/U2"));
        people.bind("alice", &user("slack:T1/U2"));
        people.bind("carol", &user("slack:T1/U3"));
        assert!(people.is_bound("alice", &user("slack:T1/U1")));
        assert!(people.is_bound("bob", &user("slack:T1/U2")));
        assert!(people.chat_owner(&user("slack:T1/U3")).is_none());
        assert_eq!(people.chats().count(), 2);
        assert!(
            people.knows("slack:T1/U1")
                && people.knows("slack:T1/U2")
                && !people.knows("slack:T1/U3")
        );
    }

    #[test]
    fn what_could_be_counted_twice_is_refused() {
        let two = people(&[("alice", &["uid:0"]), ("bob", &["uid:0"])], &[]).unwrap_err();
        assert!(two.to_string().contains("uid:0 is alice and bob"), "{two}");
        assert!(people(&[("security", &["uid:0"])], &[("security", &["uid:0"])]).is_err());
        let nobody = people(&[], &[("security", &["carol"])]).unwrap_err();
        assert!(nobody.to_string().contains("\"carol\""), "{nobody}");
    }
}
