//! Which tools a `clawrden run` governs. Only names: what may be done with a tool is the policy's word.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clawrden_policy::Policy;
use clawrden_warden::jails::shims::is_tool_name;

use crate::sys;

/// What agents run that reaches outside or destroys.
const BUILT_IN: &str = include_str!("tools.txt");
/// Where login shells look as well, whatever PATH is at the moment.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a name is no tool's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// Not a bare file name.
    #[error("{0:?} is no bare tool name; write `git`, not a path or a list")]
    NotBare(String),
    /// Our own.
    #[error("`clawrden` cannot be governed: it is how the warden is asked")]
    Ours,
}

/// Refuses what is no bare name of a tool.
///
/// # Errors
/// [`NameError`].
pub(crate) fn check_name(name: &str) -> Result<(), NameError> {
    if !is_tool_name(name) {
        return Err(NameError::NotBare(name.to_owned()));
    }
    if name == "clawrden" {
        return Err(NameError::Ours);
    }
    Ok(())
}

/// The tools to govern, sorted: those that were named; else those that the policy gives the jail; else those that the
/// policy names anywhere and the built-in ones, as far as they are installed.
///
/// A tool that is not installed gets no shim unless somebody named it, so that `command -v` keeps telling the truth to
/// those who look for it.
pub(crate) fn choose(
    named: &[String],
    jail: Option<&str>,
    policy: &Policy,
    path: Option<&OsStr>,
) -> Vec<String> {
    let of_jail = policy.jails().find(|&(name, _)| Some(name) == jail).map(|(_, jail)| jail);
    let mut tools: Vec<String> = if !named.is_empty() {
        named.to_vec()
    } else if let Some(jail) = of_jail.filter(|jail| !jail.commands.is_empty()) {
        jail.commands.clone()
    } else {
        let places = places(path);
        let installed = |tool: &&str| places.iter().any(|dir| sys::is_executable(&dir.join(tool)));
        let candidates = policy.shimmed().into_iter().chain(built_in());
        candidates
            .filter(|tool| check_name(tool).is_ok())
            .filter(installed)
            .map(str::to_owned)
            .collect()
    };
    tools.sort_unstable();
    tools.dedup();
    tools
}

fn built_in<'a>() -> impl Iterator<Item = &'a str> {
    BUILT_IN.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The absolute folders of PATH and those of the system. A relative one means another place with every `cd`.
pub(crate) fn places(path: Option<&OsStr>) -> Vec<PathBuf> {
    let given = path.map(std::env::split_paths).into_iter().flatten();
    let mut places: Vec<PathBuf> = given.filter(|dir| dir.is_absolute()).collect();
    places.extend(SYSTEM_PATH.split(':').map(PathBuf::from));
    places
}

/// The file that a command name means under a PATH: itself when it has a slash.
pub(crate) fn resolve(command: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if command.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(command));
    }
    let found = std::env::split_paths(path).map(|dir| dir.join(command));
    found.into_iter().find(|file: &PathBuf| sys::is_executable(Path::new(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_name_is_a_bare_name_and_stands_there_once() {
        let mut names: Vec<&str> = built_in().collect();
        assert!(names.len() > 100);
        for name in &names {
            assert_eq!(check_name(name), Ok(()));
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_path_a_list_and_our_own_names_are_refused() {
        for bad in
            ["", ".", "..", "a/b", "/bin/ls", "git,npm", "a b", "a\nb", "clawrden-shim", "clawrden"]
        {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_was_named_is_taken_as_it_is() {
        let named = ["zzz-not-installed".to_owned(), "git".to_owned(), "git".to_owned()];
        let tools = choose(&named, None, &Policy::stock(), None);
        assert_eq!(tools, ["git", "zzz-not-installed"]);
    }

    #[test]
    fn only_installed_tools_are_chosen_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let tool = dir.path().join("heroku");
        std::fs::write(&tool, "").unwrap();
        let tools = choose(&[], None, &Policy::stock(), Some(dir.path().as_os_str()));
        assert!(!tools.contains(&"heroku".to_owned()), "not executable");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&tool, mode).unwrap();
        let tools = choose(&[], None, &Policy::stock(), Some(dir.path().as_os_str()));
        assert!(tools.contains(&"heroku".to_owned()));
    }

    #[test]
    fn relative_entries_of_path_are_not_looked_at() {
        assert!(places(Some(OsStr::new("bin:/opt/x::."))).iter().all(|dir| dir.is_absolute()));
    }
}
