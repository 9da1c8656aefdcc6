//! Where the layers of a policy lie, and reading them. A ceiling that somebody else than root could change is none, and
//! nothing starts under it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clawrden_policy::{Layer, LoadError, Policy, Source};

/// The organisation's bound on every policy of this host, whoever runs the warden.
pub const CEILING: &str = "/etc/clawrden/ceiling.yaml";

/// Who may write a ceiling.
const ROOT: u32 = 0;

/// Why the files of a policy cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LayersError {
    /// One of them cannot be read.
    #[error("{0}")]
    Policy(#[from] LoadError),
    /// The ceiling, or a folder that leads to it, is somebody else's.
    #[error(
        "the ceiling {CEILING} cannot be trusted: {path} belongs to uid {uid}; give it to root"
    )]
    ForeignOwner {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// The same, and others can write it.
    #[error(
        "the ceiling {CEILING} cannot be trusted: others can write {path}, which has mode {mode:o}; take that right away"
    )]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It was there when the warden started.
    #[error(
        "the ceiling {CEILING} is gone; put it back, write `rules: []` into it, or start the warden anew"
    )]
    Gone,
    /// It asks people of whom nobody has heard.
    #[error(
        "the policy asks for {0:?}, and there is no such person or group; name it in `people` or `groups` of warden.yaml"
    )]
    Nobody(String),
    /// A file or folder cannot be looked at.
    #[error("cannot look at {path}: {source}")]
    Unseen {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The ceiling, where there is one.
///
/// # Errors
/// When it cannot be read, or others than root could change it.
pub fn ceiling() -> Result<Option<Source>, LayersError> {
    ceiling_at(Path::new(CEILING), ROOT, Path::new("/"))
}

/// The same at `path`, for this owner; folders are looked at up to `top`.
fn ceiling_at(path: &Path, owner: u32, top: &Path) -> Result<Option<Source>, LayersError> {
    let unseen = |path: &Path, source| LayersError::Unseen { path: path.to_owned(), source };
    let real = match fs::canonicalize(path) {
        Ok(real) => real,
        // A link to nothing is a ceiling that has gone, and not one that never was.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_there(path) => {
            return Ok(None);
        }
        Err(error) => return Err(unseen(path, error)),
    };
    let above = |path: &Path| path.ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
    for step in [vec![real.clone()], above(&real), above(path)].concat() {
        if !step.starts_with(top) {
            continue;
        }
        let status = fs::metadata(&step).map_err(|error| unseen(&step, error))?;
        if status.uid() != owner {
            return Err(LayersError::ForeignOwner { path: step, uid: status.uid() });
        }
        let mode = status.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(LayersError::Writable { path: step, mode });
        }
    }
    let mut source = Source::read(Layer::Ceiling, &real)?;
    source.name = path.to_string_lossy().into_owned();
    Ok(Some(source))
}

/// Whether something stands there, if only a link to nothing. What cannot be looked at counts as there.
fn is_there(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// The host's own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What to call them.
    pub name: String,
    /// What they say.
    pub files: Vec<Source>,
    /// There is no policy file, and the stock policy stands in for it.
    pub is_stock: bool,
}

/// The host's own files: `named` alone where it is given, else the `usual` one with what is in the folder `rules`, else
/// the stock policy with that.
///
/// # Errors
/// When one is there and cannot be read.
pub fn host(named: Option<&Path>, usual: &Path, rules: &Path) -> Result<Host, LayersError> {
    if let Some(path) = named {
        let files = vec![Source::read(Layer::Host, path)?];
        return Ok(Host { name: path.display().to_string(), files, is_stock: false });
    }
    let is_stock = !is_there(usual);
    let (name, own) = if is_stock {
        ("the stock policy".to_owned(), Policy::stock_source())
    } else {
        (usual.display().to_string(), Source::read(Layer::Host, usual)?)
    };
    let mut files = vec![own];
    for path in further(rules)? {
        files.push(Source::read(Layer::Rules, &path)?);
    }
    Ok(Host { name, files, is_stock })
}

/// The files of further rules, in the order of their names. Those that begin with a dot are left out.
fn further(folder: &Path) -> Result<Vec<PathBuf>, LayersError> {
    let unseen = |source| LayersError::Unseen { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_there(folder) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(unseen(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unseen)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
        if !is_hidden && path.extension() == Some(OsStr::new("yaml")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A folder with a ceiling that its owner alone can write.
    fn scene() -> (tempfile::TempDir, PathBuf, u32) {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("clawrden");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("ceiling.yaml");
        fs::write(&path, "rules: []").unwrap();
        mode(&folder, 0o755);
        mode(&path, 0o644);
        (top, path, rustix::process::getuid().as_raw())
    }

    #[test]
    fn a_ceiling_that_its_owner_alone_can_write_is_read() {
        let (top, path, owner) = scene();
        let found = ceiling_at(&path, owner, top.path()).unwrap().unwrap();
        assert_eq!((found.layer, found.text.as_str()), (Layer::Ceiling, "rules: []"));
        fs::remove_file(&path).unwrap();
        assert_eq!(ceiling_at(&path, owner, top.path()).unwrap(), None);
    }

    #[test]
    fn a_ceiling_that_others_could_change_is_refused() {
        let (top, path, owner) = scene();
        let refused = |owner| ceiling_at(&path, owner, top.path()).unwrap_err();
        assert!(
            matches!(refused(owner + 1), LayersError::ForeignOwner { uid, .. } if uid == owner)
        );
        for (step, bad, good) in
            [(path.as_path(), 0o664, 0o644), (path.parent().unwrap(), 0o757, 0o755)]
        {
            mode(step, bad);
            let error = refused(owner);
            assert!(
                matches!(&error, LayersError::Writable { path, mode } if path == step && *mode == bad),
                "{error}"
            );
            mode(step, good);
        }
        // So is one that is reached through a folder of others.
        let elsewhere = top.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::rename(&path, elsewhere.join("real")).unwrap();
        symlink(elsewhere.join("real"), &path).unwrap();
        mode(&elsewhere, 0o777);
        assert!(matches!(refused(owner), LayersError::Writable { path, .. } if path == elsewhere));
        fs::remove_file(elsewhere.join("real")).unwrap();
        assert!(matches!(refused(owner), LayersError::Unseen { .. }), "a link to nothing");
    }

    #[test]
    fn further_rules_come_in_the_order_of_their_names() {
        let top = tempfile::tempdir().unwrap();
        let (usual, rules) = (top.path().join("policy.yaml"), top.path().join("rules.d"));
        let found = host(None, &usual, &rules).unwrap();
        assert_eq!((found.name.as_str(), found.files.len()), ("the stock policy", 1));
        assert!(found.is_stock);
        fs::create_dir(&rules).unwrap();
        for name in ["20-b.yaml", "10-a.yaml", ".hidden.yaml", "30-c.yaml~", "README"] {
            fs::write(rules.join(name), "rules: []").unwrap();
        }
        fs::write(&usual, "default_action: ask").unwrap();
        let found = host(None, &usual, &rules).unwrap();
        assert!(!found.is_stock);
        let names: Vec<&str> =
            found.files.iter().map(|s| s.name.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["policy.yaml", "10-a.yaml", "20-b.yaml"]);
        assert_eq!(host(Some(&usual), &usual, &rules).unwrap().files.len(), 1);
        fs::create_dir(rules.join("x.yaml")).unwrap();
        assert!(
            host(None, &usual, &rules).is_err(),
            "what is there and no file is not passed over"
        );
    }

    #[test]
    fn a_policy_that_cannot_be_looked_at_is_not_taken_for_none() {
        let top = tempfile::tempdir().unwrap();
        let usual = top.path().join("policy.yaml");
        symlink("nowhere", &usual).unwrap();
        assert!(host(None, &usual, &top.path().join("rules.d")).is_err());
    }
}
