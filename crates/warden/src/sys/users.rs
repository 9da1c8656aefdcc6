//! Names of users.

use std::fs;

/// Bytes of `/etc/passwd` that are looked at.
const MAX_PASSWD: u64 = 4 * 1024 * 1024;

/// The name of a user in `/etc/passwd`; names from elsewhere (LDAP and the like) are not looked up, as that can block.
#[must_use]
pub(crate) fn name_of(uid: u32) -> Option<String> {
    let path = "/etc/passwd";
    if fs::metadata(path).ok()?.len() > MAX_PASSWD {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    find(&text, uid).map(str::to_owned)
}

fn find(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nodd line\ndev:x:1000:1000::/home/dev:/bin/bash\n";
        assert_eq!(find(passwd, 0), Some("root"));
        assert_eq!(find(passwd, 1000), Some("dev"));
        assert_eq!(find(passwd, 5), None);
    }
}
