//! The environment that a prisoner is started with. Variables that make shells load a file are set before the warden
//! hears of the environment, so that they are part of what it compares later requests with.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use base64::Engine;

/// What PATH is when nobody set one.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Names inside the folder that variables point to, which are known before the files exist. This is for `BASH_ENV`.
pub(crate) const BASH_ENV: &str = "bash_env";
/// For `ENV`, which interactive POSIX shells read; only where the user has one.
pub(crate) const SH_ENV: &str = "sh_env";
/// For `ZDOTDIR`.
pub(crate) const ZSH: &str = "zsh";

/// Variables in order; a name stands there once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    /// Takes variables as they are.
    pub(crate) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// A variable's value.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_os_str())
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.retain(|(n, _)| n != name);
        self.0.push((name.into(), value.into()));
    }

    /// Points shells to the generated files in `folder`.
    pub(crate) fn point_shells_to(&mut self, folder: &Path) {
        self.set("BASH_ENV", folder.join(BASH_ENV));
        // Programs use this name for purposes of their own, so it is left alone unless it is a shell's.
        if self.get("ENV").is_some_and(|env| env.as_bytes().contains(&b'/')) {
            self.set("ENV", folder.join(SH_ENV));
        }
        self.set("ZDOTDIR", folder.join(ZSH));
    }

    /// Puts the shims first on PATH and names the jail's socket.
    pub(crate) fn govern(&mut self, bin: &Path, socket: &Path) {
        let path = with_first(bin, self.get("PATH"));
        self.set("PATH", path);
        self.set("CLAWRDEN_BIN", bin);
        self.set("CLAWRDEN_SOCKET", socket);
    }

    /// The same with another value for one variable.
    pub(crate) fn with(&self, name: &str, value: impl Into<OsString>) -> Self {
        let mut other = self.clone();
        other.set(name, value);
        other
    }

    /// The variables.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// As it goes over the control API: `NAME=value` entries, each ended by a NUL, in base64.
    pub(crate) fn encode(&self) -> String {
        let entry = |(name, value): (&OsStr, &OsStr)| {
            [name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat()
        };
        let bytes: Vec<u8> = self.iter().flat_map(entry).collect();
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }
}

/// `path` with `bin` in front and nowhere else. Every other entry stays as it is, empty ones included.
fn with_first(bin: &Path, path: Option<&OsStr>) -> OsString {
    let bin = bin.as_os_str().as_bytes();
    let mut whole = bin.to_vec();
    for entry in path.unwrap_or(DEFAULT_PATH.as_ref()).as_bytes().split(|&b| b == b':') {
        if entry != bin {
            whole.push(b':');
            whole.extend_from_slice(entry);
        }
    }
    OsString::from_vec(whole)
}

/// Whether a folder can stand on PATH at all.
pub(crate) fn fits_path(bin: &Path) -> bool {
    bin.is_absolute() && !bin.as_os_str().as_bytes().contains(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(bin: &str, path: Option<&[u8]>) -> Vec<u8> {
        with_first(Path::new(bin), path.map(OsStr::from_bytes)).into_vec()
    }

    #[test]
    fn the_shims_come_first_and_once() {
        assert_eq!(path("/b", Some(b"/x:/b:/y:/b")), b"/b:/x:/y");
        assert_eq!(path("/b", Some(b"/b:/x")), b"/b:/x");
    }

    #[test]
    fn odd_entries_of_path_are_kept() {
        assert_eq!(path("/b", Some(b":/x y::\xff/z:.")), b"/b::/x y::\xff/z:.");
        assert_eq!(path("/b", Some(b"")), b"/b:");
    }

    #[test]
    fn a_missing_path_becomes_the_usual_one() {
        assert!(path("/b", None).starts_with(b"/b:/usr/local/sbin:"));
    }

    #[test]
    fn a_folder_with_a_colon_is_no_entry_of_path() {
        assert!(fits_path(Path::new("/a b/'c")));
        assert!(!fits_path(Path::new("/a:b")));
        assert!(!fits_path(Path::new("bin")));
    }

    #[test]
    fn the_environment_travels_as_bytes() {
        let odd = OsString::from_vec(b"\xff=\n".to_vec());
        let environment = Environment::new([("A".into(), odd), ("B".into(), OsString::new())]);
        let decoded =
            base64::engine::general_purpose::STANDARD.decode(environment.encode()).unwrap();
        assert_eq!(decoded, b"A=\xff=\n\0B=\0");
    }

    #[test]
    fn a_variable_that_is_no_shells_stays_as_it_is() {
        for (value, expected) in [("production", "production"), ("/home/u/.shrc", "/run/x/sh_env")]
        {
            let mut environment = Environment::new([("ENV".into(), value.into())]);
            environment.point_shells_to(Path::new("/run/x"));
            assert_eq!(environment.get("ENV"), Some(OsStr::new(expected)));
        }
    }
}
