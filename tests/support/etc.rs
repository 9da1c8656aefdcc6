//! A folder in the place of /etc: for wardens with a ceiling, or with the host's own policy, which may have further rules.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::House;
use super::other::{can, is_root};

/// A copy of /etc in which `clawrden/NAME` says `text`.
pub fn etc(name: &str, text: &str) -> TempDir {
    let etc = tempfile::Builder::new().prefix("clawrden-").tempdir().unwrap();
    fs::set_permissions(etc.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copied = Command::new("cp").args(["-a", "/etc/."]).arg(etc.path()).status();
    assert!(copied.unwrap().success());
    fs::create_dir_all(etc.path().join("clawrden")).unwrap();
    fs::write(etc.path().join("clawrden").join(name), text).unwrap();
    etc
}

/// Whether a folder can be put in the place of another one for one process.
pub fn can_have_etc() -> bool {
    if !is_root() {
        eprintln!("not tried: only root can put a folder in the place of /etc");
    }
    is_root() && can(&["unshare", "--mount"])
}

/// A warden for which this folder is /etc, and the policy there its own: one that is given a policy reads that alone. `None`
/// where that cannot be.
pub fn at_home(etc: &Path, extra: &[&str]) -> Option<House> {
    // The socket and the control socket that a house gives stay; its policy is left out.
    let script = "mount --bind \"$0\" /etc; p=$1 w=$2 s=$4 c=$6; shift 8; exec \"$p\" \"$w\" --socket \"$s\" --control \"$c\" \"$@\"";
    let prefix = ["unshare", "--mount", "sh", "-c", script, etc.to_str().unwrap()];
    can_have_etc().then(|| House::under(&prefix, "", extra))
}
