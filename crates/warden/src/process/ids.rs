//! What users and groups of ours are called in the user namespace of another process.

use std::{fs, io};

/// What an id is called that the namespace does not have.
const OVERFLOW: u32 = 65_534;

/// The ids of a process's user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids {
    users: String,
    groups: String,
}

impl Ids {
    /// Those of this process's.
    ///
    /// # Errors
    /// When it has ended, or may not be looked at.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let read = |kind: &str| fs::read_to_string(format!("/proc/{pid}/{kind}"));
        Ok(Self { users: read("uid_map")?, groups: read("gid_map")? })
    }

    /// A user of ours; absent where it has none such.
    pub(crate) fn user_inside(&self, uid: u32) -> Option<u32> {
        id_inside(&self.users, uid)
    }

    /// A group of ours; absent where it has none such.
    pub(crate) fn group_inside(&self, gid: u32) -> Option<u32> {
        id_inside(&self.groups, gid)
    }

    /// Groups of ours, as the process itself is told them.
    pub(crate) fn groups_told(&self, groups: &[u32]) -> Vec<u32> {
        groups.iter().map(|group| self.group_inside(*group).unwrap_or(OVERFLOW)).collect()
    }
}

/// What an id of ours is in the namespace of this map: lines of first id inside, first id outside, and how many.
fn id_inside(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
        let (inside, outside, count) =
            (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let offset = id.checked_sub(outside).filter(|offset| *offset < count)?;
        inside.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_the_map_of_its_namespace() {
        let map = "         0     100000      65536\n     70000          5          1\n";
        assert_eq!(id_inside(map, 100_000), Some(0));
        assert_eq!(id_inside(map, 101_000), Some(1_000));
        assert_eq!(id_inside(map, 165_536), None);
        assert_eq!(id_inside(map, 5), Some(70_000));
        assert_eq!(id_inside("0 0 4294967295", 1000), Some(1000));
        assert_eq!(id_inside("nonsense", 0), None);
    }

    #[test]
    fn a_group_that_a_namespace_does_not_have_is_nobodys() {
        let map = "0 1000 1\n".to_owned();
        let ids = Ids { users: map.clone(), groups: map };
        assert_eq!(ids.groups_told(&[1000, 27]), [0, OVERFLOW]);
        assert_eq!((ids.user_inside(1000), ids.user_inside(0)), (Some(0), None));
    }
}
