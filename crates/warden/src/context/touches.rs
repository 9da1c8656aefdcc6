//! What stands where a command's paths lead, in the world that it would run in. Looked at, never opened.

use clawrden_api::QueueTouch;
use clawrden_policy::Named;

use super::cut;
use crate::plan::{Depth, Root};
use crate::redaction;

/// Paths that are told.
const MOST: usize = 16;

/// Those of `named` that lead to something, or surely are paths; and whether there are more than are told. For a worker
/// thread: looking can hang.
pub(super) fn of(root: &Root, named: &[Named]) -> (Vec<QueueTouch>, bool) {
    let mut touches: Vec<QueueTouch> = Vec::new();
    for one in named {
        let Some((path, kind)) = look(root, one) else { continue };
        let path = cut(redaction::ours().clean(String::from_utf8_lossy(&path).into_owned()));
        if touches.iter().any(|touch| touch.path == path) {
            continue;
        }
        if touches.len() == MOST {
            return (touches, true);
        }
        touches.push(QueueTouch { path, kind: kind.to_owned() });
    }
    (touches, false)
}

/// Where a path leads, and what is there; `None` where nothing is, and it may be none.
fn look(root: &Root, one: &Named) -> Option<(Vec<u8>, &'static str)> {
    let as_written = || one.path.clone();
    match root.lookup(&one.path, Depth::Full) {
        Ok(found) => {
            let path = root.path_of(&found, &one.path).unwrap_or_else(as_written);
            let kind = if found.is_directory() { "folder" } else { "other" };
            Some((path, if found.is_file() { "file" } else { kind }))
        }
        Err(_) if !one.sure => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Of a link to nothing nobody can tell what would be made.
            let made = root.follow(&one.path, Depth::Full).ok().flatten();
            Some(made.map_or_else(|| (as_written(), "unclear"), |path| (path, "missing")))
        }
        Err(_) => Some((as_written(), "unclear")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn told(root: &std::path::Path, named: &[(&str, bool)]) -> (Vec<(String, String)>, bool) {
        let named =
            named.iter().map(|(path, sure)| Named { path: path.as_bytes().to_vec(), sure: *sure });
        let (touches, more) = of(&Root::at(root).unwrap(), &named.collect::<Vec<_>>());
        (touches.into_iter().map(|touch| (touch.path, touch.kind)).collect(), more)
    }

    fn pair(path: &str, kind: &str) -> (String, String) {
        (path.to_owned(), kind.to_owned())
    }

    #[test]
    fn what_is_there_is_told_by_where_it_leads_in_the_callers_world() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("w/build")).unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/shadow"), "").unwrap();
        symlink("/etc/shadow", root.path().join("w/notes")).unwrap();
        symlink("/none/at/all", root.path().join("w/lost")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, root.path().join("w/pipe"), fifo, mode, 0).unwrap();
        let named = [
            ("/w/build", false),
            ("/w/./notes", false),
            ("/w/lost", true),
            ("/w/lost2/deep/er", true),
            ("/w/pipe", false),
            ("/w/lost", false),
            ("/w/origin", false),
            ("/w/../w/build", true),
        ];
        let (touches, more) = told(root.path(), &named);
        assert_eq!(
            touches,
            [
                pair("/w/build", "folder"),
                pair("/etc/shadow", "file"),
                pair("/w/lost", "unclear"),
                pair("/w/lost2/deep/er", "missing"),
                pair("/w/pipe", "other"),
            ]
        );
        assert!(!more);
    }

    #[test]
    fn what_is_told_has_a_bound_in_number_and_length() {
        let root = tempfile::tempdir().unwrap();
        let long = format!("/{}", "x".repeat(1000));
        let paths: Vec<String> =
            std::iter::once(long).chain((0..MOST).map(|n| format!("/{n}"))).collect();
        let named: Vec<(&str, bool)> = paths.iter().map(|path| (&**path, true)).collect();
        let (touches, more) = told(root.path(), &named);
        assert_eq!((touches.len(), more), (MOST, true));
        assert!(touches[0].0.ends_with('…') && touches[0].0.chars().count() == 257, "{touches:?}");
        assert!(!told(root.path(), &named[..MOST]).1);
    }
}
