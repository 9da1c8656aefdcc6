//! Why an installation is refused or fails.

use std::io;
use std::path::PathBuf;

use clawrden_warden::jails::shims::ShimsError;

/// What stands in the way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// The root cannot be used.
    #[error("the root {path:?} cannot be opened: {source}")]
    Root {
        /// As it was named.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A step failed.
    #[error("cannot {operation} {path}: {source}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// On what, in the root.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// The kernel, or a sandbox around this process, has no `openat2`.
    #[error(
        "this kernel cannot keep links inside of a root (openat2 is missing or forbidden); run the installer inside of \
         the image, without --root"
    )]
    NoResolve,
    /// An installation or its removal was interrupted.
    #[error(
        "an installation was interrupted here; `clawrden install --finish` brings it to its end, `clawrden uninstall` \
         undoes it"
    )]
    HalfDone,
    /// There is nothing to finish.
    #[error("no installation was interrupted here; leave --finish out and name the tools")]
    NothingToFinish,
    /// There is nothing to take away.
    #[error("nothing is installed here: there is no /clawrden/install.json")]
    NotInstalled,
    /// The folder is there and not from an installer.
    #[error(
        "/clawrden has {0:?} in it and no install.json, so no installer made it or its manifest was lost; move it away"
    )]
    Strange(String),
    /// The manifest is not understood.
    #[error(
        "/clawrden/install.json is not understood ({0}); the clawrden that wrote it can uninstall"
    )]
    BadManifest(String),
    /// A stand-in is in a tool's place, and no manifest says what was there.
    #[error(
        "{path} is a stand-in already, but not by this installation; put the tool back there first{}",
        beside.as_ref().map(|file| format!(" (it seems to be {file})")).unwrap_or_default()
    )]
    Stray {
        /// The tool's place.
        path: String,
        /// Where the original seems to be.
        beside: Option<String>,
    },
    /// Other tools would lose their program.
    #[error(
        "{path} cannot be locked: {} would be taken away with it, being links to it; name them in --tools as well, or \
         leave {tool} out of a locked installation",
        listed(others)
    )]
    Shared {
        /// The tool.
        tool: String,
        /// Its place.
        path: String,
        /// The names that lead to it.
        others: Vec<String>,
    },
    /// A folder name that the manifest cannot hold.
    #[error(
        "{0:?} has characters that a manifest does not hold; use printable ASCII without quotes"
    )]
    OddPath(String),
    /// The stand-ins could not be written.
    #[error(transparent)]
    Shims(#[from] ShimsError),
}

/// The first few of a list, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let names: Vec<String> = (0..14).map(|n| format!("t{n}")).collect();
        assert!(listed(&names).ends_with("t11 and 2 more"));
        assert_eq!(listed(&names[..2]), "t0, t1");
        assert_eq!(listed(&names[..12]).matches(", ").count(), 11);
    }
}
