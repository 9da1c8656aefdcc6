//! Who the prisoner is.

use std::fmt;
use std::str::FromStr;

use rustix::fs::Stat;

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: Option<u32>,
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| match part.parse::<u32>() {
            // -1 means "leave it" to the kernel, and `+1` is no way to write a number.
            Ok(id) if id != u32::MAX && part.bytes().all(|b| b.is_ascii_digit()) => Ok(id),
            _ => Err(format!("{text:?} is not UID or UID:GID in digits")),
        };
        match text.split_once(':') {
            None => Ok(Self { uid: number(text)?, gid: None }),
            Some((uid, gid)) => Ok(Self { uid: number(uid)?, gid: Some(number(gid)?) }),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.gid {
            None => write!(f, "{}", self.uid),
            Some(gid) => write!(f, "{}:{gid}", self.uid),
        }
    }
}

impl User {
    /// Whether this user may put things into a folder, as far as owner, group and others tell.
    pub(crate) fn can_write(self, folder: &Stat) -> bool {
        let bit = if folder.st_uid == self.uid {
            0o200
        } else if Some(folder.st_gid) == self.gid {
            0o020
        } else {
            0o002
        };
        self.uid == 0 || folder.st_mode & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_one_or_two_numbers() {
        assert_eq!("1000".parse(), Ok(User { uid: 1000, gid: None }));
        assert_eq!("0:5".parse(), Ok(User { uid: 0, gid: Some(5) }));
        for bad in ["", ":", "1:", ":1", "me", "-1", "+1", "4294967295", "1:2:3", " 1", "1 "] {
            assert!(bad.parse::<User>().is_err(), "{bad:?}");
        }
        assert_eq!("7:8".parse::<User>().unwrap().to_string(), "7:8");
    }
}
