//! Users, as `/etc/passwd` and `/etc/group` have them. Those from elsewhere (LDAP and the like) are not looked up, as
//! that can block.

use std::fs;
use std::sync::Arc;

use thiserror::Error;

/// Bytes of `/etc/passwd` or `/etc/group` that are looked at.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Supplementary groups that a user is taken to be in; the kernel takes no more.
const MAX_GROUPS: usize = 65_536;

/// A user, with everything that a process of it starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// How it was asked for: a name or a number.
    pub(crate) asked: Arc<str>,
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups, the primary one among them.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// Why a user is not known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum UserError {
    #[error("there is no user `{0}` in /etc/passwd on the warden's host")]
    Unknown(String),
    #[error("{0} cannot be read on the warden's host, so its users are not known")]
    Unreadable(&'static str),
}

/// The name of a user in `/etc/passwd`.
#[must_use]
pub(crate) fn name_of(uid: u32) -> Option<String> {
    let text = read("/etc/passwd").ok()?;
    by_number(&text, uid).map(|line| line.name.to_owned())
}

/// The name of a group in `/etc/group`.
#[must_use]
pub(crate) fn group_of(gid: u32) -> Option<String> {
    let text = read("/etc/group").ok()?;
    group_by_number(&text, gid).map(str::to_owned)
}

/// Whether nobody but this user and root is in a group, as far as the two files know.
#[must_use]
pub(crate) fn is_alone_in(uid: u32, gid: u32) -> bool {
    match (read("/etc/passwd"), read("/etc/group")) {
        (Ok(passwd), Ok(group)) => alone(&passwd, &group, uid, gid),
        _ => false,
    }
}

/// A group that is in neither file is its user's where both have the same number.
fn alone(passwd: &str, group: &str, uid: u32, gid: u32) -> bool {
    let own = by_number(passwd, uid);
    let is_own = own.as_ref().map_or(uid == gid, |line| line.gid == gid);
    let is_anothers = lines(passwd).any(|line| line.gid == gid && ![0, uid].contains(&line.uid));
    let members = group.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()?.parse() == Ok(gid)).then_some(fields.next()?)
    });
    let mut members = members.flat_map(|members| members.split(',')).map(str::trim);
    let name = own.map_or("root", |line| line.name);
    is_own && !is_anothers && members.all(|member| ["", "root", name].contains(&member))
}

/// The user that goes by this name, or else by this number.
///
/// # Errors
/// When there is none, or it cannot be told.
pub(crate) fn find(asked: &Arc<str>) -> Result<User, UserError> {
    let passwd = read("/etc/passwd")?;
    find_in(asked, &passwd, &read("/etc/group")?)
        .ok_or_else(|| UserError::Unknown(asked.to_string()))
}

fn read(path: &'static str) -> Result<String, UserError> {
    let unreadable = |_| UserError::Unreadable(path);
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(UserError::Unreadable(path));
    }
    // Comments need not be UTF-8; a name that is not is nobody's here.
    fs::read(path).map_err(unreadable).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// One line of `/etc/passwd`.
struct Line<'t> {
    name: &'t str,
    uid: u32,
    gid: u32,
    home: &'t str,
}

fn lines(passwd: &str) -> impl Iterator<Item = Line<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Line { name, uid, gid, home: fields.nth(1)? })
    })
}

fn by_number(passwd: &str, uid: u32) -> Option<Line<'_>> {
    lines(passwd).find(|line| line.uid == uid)
}

fn group_by_number(group: &str, gid: u32) -> Option<&str> {
    group.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(gid)).then_some(name)
    })
}

fn find_in(asked: &Arc<str>, passwd: &str, group: &str) -> Option<User> {
    let line = lines(passwd)
        .find(|line| *line.name == **asked)
        .or_else(|| by_number(passwd, asked.parse().ok()?))?;
    let mut groups = vec![line.gid];
    for other in group.lines() {
        let mut fields = other.split(':');
        let Some(gid) = fields.nth(2).and_then(|gid| gid.parse().ok()) else { continue };
        let members = fields.next().unwrap_or_default();
        let is_member = members.split(',').any(|member| member == line.name);
        if is_member && !groups.contains(&gid) && groups.len() < MAX_GROUPS {
            groups.push(gid);
        }
    }
    let home = if line.home.is_empty() { "/" } else { line.home };
    Some(User {
        asked: Arc::clone(asked),
        name: line.name.to_owned(),
        uid: line.uid,
        gid: line.gid,
        groups,
        home: home.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nodd line\n:x:7:7::/:\n\
                          dev:x:1000:100::/home/dev:/bin/bash\n1000:x:1001:1001::/x:/bin/sh\nbare:x:5:6::\n";
    const GROUP: &str = "users:x:100:\nadm:x:4:syslog,dev\nodd\ndocker:x:999:dev\ndevs:x:50:dev2\n";

    #[test]
    fn a_user_is_found_by_number() {
        assert_eq!(by_number(PASSWD, 0).unwrap().name, "root");
        assert_eq!(by_number(PASSWD, 1000).unwrap().name, "dev");
        assert!(by_number(PASSWD, 77).is_none() && by_number(PASSWD, 7).is_none());
    }

    #[test]
    fn a_group_is_found_by_number() {
        assert_eq!(group_by_number(GROUP, 4), Some("adm"));
        assert_eq!(group_by_number(GROUP, 50), Some("devs"));
        assert!(group_by_number(GROUP, 77).is_none());
    }

    #[test]
    fn a_user_comes_with_its_groups_and_its_home() {
        let of = |asked: &str| find_in(&asked.into(), PASSWD, GROUP);
        let dev = of("dev").unwrap();
        assert_eq!((dev.uid, dev.gid, &dev.groups[..]), (1000, 100, &[100, 4, 999][..]));
        assert_eq!(dev.home, "/home/dev");
        assert_eq!(of("0").unwrap().name, "root");
        // A name goes before a number.
        assert_eq!(of("1000").unwrap().uid, 1001);
        assert_eq!(of("bare").unwrap().home, "/");
        for unknown in ["", "77", "nobody-at-all", "odd line", "-1", "4294967296"] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_group_is_ones_own_while_nobody_else_is_in_it() {
        let passwd =
            "root:x:0:0::/:\nann:x:1000:1001::/:\nbob:x:1001:100::/:\neve:x:1002:100::/:\n";
        let group = "root:x:0:\nann:x:1001:ann\nusers:x:100:\nwheel:x:10:ann\n";
        let is_alone = |uid, gid| alone(passwd, group, uid, gid);
        assert!(is_alone(1000, 1001) && is_alone(0, 0) && is_alone(77, 77));
        // Another's primary group, one that is not the user's own, one that belongs to another.
        assert!(!is_alone(1001, 100) && !is_alone(1000, 10) && !is_alone(77, 1001));
        for members in ["bob", "ann,bob", "root,eve"] {
            let group = format!("ann:x:1001:{members}\n");
            assert!(!alone(passwd, &group, 1000, 1001), "{members}");
        }
    }

    #[test]
    fn root_is_a_user_everywhere() {
        assert_eq!(find(&"root".into()).unwrap().uid, 0);
        let error = find(&"no-such-user".into()).unwrap_err();
        assert!(error.to_string().contains("no-such-user"), "{error}");
    }
}
