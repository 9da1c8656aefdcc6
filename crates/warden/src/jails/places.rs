//! Where everything lies: for a warden that is root, and for one that is a user. `/tmp` is never used.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::folders::{self, FolderError};
use super::{JailName, shims};

/// Why the places are not known.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Neither a home nor the variables that stand in for it.
    #[error("HOME is not set to an absolute path; set it, or {0}")]
    NoHome(&'static str),
    /// A folder is not used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The jail's folder of shims could not be written.
    #[error(transparent)]
    Shims(#[from] shims::ShimsError),
}

/// The places of one warden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    run_top: PathBuf,
    run_below: Vec<&'static str>,
    state_top: PathBuf,
    config: PathBuf,
    is_shared: bool,
}

/// The folder of ours in each place.
const NAME: &str = "clawrden";

impl Places {
    /// Those of the user that this process runs as.
    ///
    /// # Errors
    /// When neither `HOME` nor the XDG variables say where.
    pub fn of_this_user() -> Result<Self, PlaceError> {
        Self::of(rustix::process::geteuid().is_root(), |name| std::env::var_os(name))
    }

    /// Those of root or of a user with this environment. An XDG variable that is empty or not absolute counts as
    /// absent, as its specification says.
    ///
    /// # Errors
    /// As [`Places::of_this_user`].
    pub fn of(
        is_root: bool,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, PlaceError> {
        if is_root {
            return Ok(Self {
                run_top: PathBuf::from("/run"),
                run_below: vec![NAME],
                state_top: PathBuf::from("/var/lib"),
                config: PathBuf::from("/etc/clawrden"),
                is_shared: true,
            });
        }
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = |below: &str, instead| {
            let home = absolute("HOME").ok_or(PlaceError::NoHome(instead))?;
            Ok::<_, PlaceError>(home.join(below))
        };
        let state_top = match absolute("XDG_STATE_HOME") {
            Some(state) => state,
            None => home(".local/state", "XDG_STATE_HOME")?,
        };
        let config = match absolute("XDG_CONFIG_HOME") {
            Some(config) => config,
            None => home(".config", "XDG_CONFIG_HOME")?,
        };
        let (run_top, run_below) = match absolute("XDG_RUNTIME_DIR") {
            Some(run) => (run, vec![NAME]),
            None => (home(".local/state", "XDG_RUNTIME_DIR")?, vec![NAME, "run"]),
        };
        Ok(Self { run_top, run_below, state_top, config: config.join(NAME), is_shared: false })
    }

    /// The same, with jails and state in the folder of this control socket: a warden that was given a place of its own
    /// meets no other one there.
    #[must_use]
    pub fn beside(mut self, control: &Path) -> Self {
        // A bare file name lies in the working directory.
        let folder = match control.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        self.run_top = std::path::absolute(&folder).unwrap_or(folder);
        self.run_below = Vec::new();
        self.state_top.clone_from(&self.run_top);
        self
    }

    /// Makes the folders that belong to no jail.
    ///
    /// # Errors
    /// When one of them is not ours alone.
    pub fn make(&self) -> Result<(), PlaceError> {
        folders::make(&self.run_top, &self.run_folders(None))?;
        folders::make(&self.state_top, &self.state_folders(None))?;
        Ok(())
    }

    /// Makes the folders of a jail and writes its shims, and the link by which a shim finds the jail's socket.
    ///
    /// # Errors
    /// When a folder is not ours alone, or the shims cannot be written.
    pub fn make_jail(&self, jail: &JailName, tools: &[String]) -> Result<(), PlaceError> {
        folders::make(&self.run_top, &self.run_folders(Some(jail)))?;
        folders::make(&self.state_top, &self.state_folders(Some(jail)))?;
        shims::write_shims(&self.jail_bin(jail), tools)?;
        shims::write_link(&self.jail_state(jail), shims::SOCKET_LINK, &self.jail_socket(jail))?;
        Ok(())
    }

    /// Removes what [`Places::make_jail`] made, once its socket is closed.
    ///
    /// # Errors
    /// When something of it stays.
    pub fn remove_jail(&self, jail: &JailName) -> io::Result<()> {
        // Neither follows a link.
        fs::remove_dir_all(self.jail_state(jail))?;
        // The lock of its socket lies there as well.
        match fs::remove_dir_all(self.run().join("jails").join(jail.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The folder of sockets.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.run_below.iter().fold(self.run_top.clone(), |path, name| path.join(name))
    }

    /// The folder of ledger, kill switch and jails.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.state_top.join(NAME)
    }

    /// The folder of policy files.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The socket of the control API.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.run().join("control.sock")
    }

    /// The intercom socket of the default jail.
    #[must_use]
    pub fn default_socket(&self) -> PathBuf {
        self.run().join("warden.sock")
    }

    /// A jail's intercom socket.
    #[must_use]
    pub fn jail_socket(&self, jail: &JailName) -> PathBuf {
        self.run().join("jails").join(jail.as_str()).join("warden.sock")
    }

    /// A jail's folder: its shims, and the link to its socket.
    #[must_use]
    pub fn jail_state(&self, jail: &JailName) -> PathBuf {
        self.state().join("jails").join(jail.as_str())
    }

    /// A jail's folder of shims.
    #[must_use]
    pub fn jail_bin(&self, jail: &JailName) -> PathBuf {
        self.jail_state(jail).join("bin")
    }

    /// The policy file.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.config.join("policy.yaml")
    }

    /// The folder of further rules.
    #[must_use]
    pub fn rules(&self) -> PathBuf {
        self.config.join("rules.d")
    }

    /// The file of the warden's own settings.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.config.join("warden.yaml")
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.state().join("ledger.jsonl")
    }

    /// The file of the kill switch.
    #[must_use]
    pub fn switch(&self) -> PathBuf {
        self.state().join("switch.json")
    }

    /// The mode of an intercom socket: prisoners of a root warden run under other uids.
    #[must_use]
    pub fn intercom_mode(&self) -> u32 {
        if self.is_shared { 0o666 } else { 0o600 }
    }

    /// The mode of the control socket.
    #[must_use]
    pub fn control_mode(&self) -> u32 {
        0o600
    }

    fn run_folders<'a>(&self, jail: Option<&'a JailName>) -> Vec<(&'a str, u32)> {
        let mode = self.shown();
        let ours = self.run_below.iter().map(|&name| (name, mode));
        ours.chain([("jails", mode)]).chain(jail.map(|jail| (jail.as_str(), mode))).collect()
    }

    fn state_folders<'a>(&self, jail: Option<&'a JailName>) -> Vec<(&'a str, u32)> {
        // A prisoner passes through to its shims, but has no business in seeing what else is there.
        let passed = if self.is_shared { 0o711 } else { 0o700 };
        let mode = self.shown();
        let jails = [(NAME, passed), ("jails", passed)].into_iter();
        let jail = jail.into_iter();
        jails.chain(jail.flat_map(|jail| [(jail.as_str(), mode), ("bin", mode)])).collect()
    }

    fn shown(&self) -> u32 {
        if self.is_shared { 0o755 } else { 0o700 }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn user(set: &[(&str, &str)]) -> Result<Places, PlaceError> {
        Places::of(false, |name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn root_has_the_places_of_the_system() {
        let places = Places::of(true, |_| Some("/tmp/ignored".into())).unwrap();
        let jail = JailName::new("a").unwrap();
        assert_eq!(places.control_socket(), Path::new("/run/clawrden/control.sock"));
        assert_eq!(places.default_socket(), Path::new("/run/clawrden/warden.sock"));
        assert_eq!(places.jail_socket(&jail), Path::new("/run/clawrden/jails/a/warden.sock"));
        assert_eq!(places.jail_bin(&jail), Path::new("/var/lib/clawrden/jails/a/bin"));
        assert_eq!(places.policy(), Path::new("/etc/clawrden/policy.yaml"));
        assert_eq!(places.rules(), Path::new("/etc/clawrden/rules.d"));
        assert_eq!(places.ledger().parent(), Some(Path::new("/var/lib/clawrden")));
        assert_eq!((places.intercom_mode(), places.control_mode()), (0o666, 0o600));
    }

    #[test]
    fn a_user_has_places_by_the_xdg_variables_and_their_fallbacks() {
        let all = [
            ("HOME", "/h"),
            ("XDG_RUNTIME_DIR", "/r"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_CONFIG_HOME", "/c"),
        ];
        let places = user(&all).unwrap();
        assert_eq!(places.run(), Path::new("/r/clawrden"));
        assert_eq!(places.state(), Path::new("/s/clawrden"));
        assert_eq!(places.config(), Path::new("/c/clawrden"));
        assert_eq!(places.intercom_mode(), 0o600);

        let places = user(&all[..1]).unwrap();
        assert_eq!(places.run(), Path::new("/h/.local/state/clawrden/run"));
        assert_eq!(places.state(), Path::new("/h/.local/state/clawrden"));
        assert_eq!(places.config(), Path::new("/h/.config/clawrden"));
    }

    #[test]
    fn a_control_socket_elsewhere_takes_the_jails_with_it() {
        let places = Places::of(true, |_| None).unwrap().beside(Path::new("/srv/w/control.sock"));
        let jail = JailName::new("a").unwrap();
        assert_eq!(places.jail_socket(&jail), Path::new("/srv/w/jails/a/warden.sock"));
        assert_eq!(places.jail_bin(&jail), Path::new("/srv/w/clawrden/jails/a/bin"));
        assert_eq!(places.policy(), Path::new("/etc/clawrden/policy.yaml"));
    }

    #[test]
    fn a_relative_variable_counts_as_absent() {
        let odd = [("HOME", "/h"), ("XDG_RUNTIME_DIR", "r"), ("XDG_STATE_HOME", "")];
        assert_eq!(user(&odd).unwrap(), user(&odd[..1]).unwrap());
        assert!(matches!(user(&[("HOME", "h")]), Err(PlaceError::NoHome(_))));
        assert!(matches!(user(&[]), Err(PlaceError::NoHome(_))));
    }

    #[test]
    fn a_user_s_folders_are_closed_to_others_and_a_jail_is_complete() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().to_str().unwrap().to_owned();
        let places = user(&[("HOME", &top)]).unwrap();
        let jail = JailName::new("a").unwrap();
        places.make().unwrap();
        places.make_jail(&jail, &["git".to_owned()]).unwrap();
        for folder in [places.run(), places.state(), places.jail_bin(&jail)] {
            let mode = fs::metadata(&folder).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, 0o700, "{folder:?}");
        }
        let link = places.jail_bin(&jail).join("..").join(shims::SOCKET_LINK);
        assert_eq!(fs::read_link(link).unwrap(), places.jail_socket(&jail));
        assert!(places.jail_bin(&jail).join("git").exists());
    }

    #[test]
    fn a_linked_jail_folder_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let places = user(&[("HOME", top.path().to_str().unwrap())]).unwrap();
        let jail = JailName::new("a").unwrap();
        places.make().unwrap();
        symlink(elsewhere.path(), places.jail_state(&jail)).unwrap();
        assert!(matches!(places.make_jail(&jail, &[]), Err(PlaceError::Folder(_))));
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
