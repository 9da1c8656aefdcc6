//! A twin of what the prisoner gets, to try it out: the same startup files and the same tools under another folder,
//! where each tool's name leads to the tool itself. So profiles that call tools do what they always do, and trying out
//! asks the warden nothing and leaves nothing in the ledger.

use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::run::environment::Environment;
use crate::run::folder::{Folder, FolderError, Part};
use crate::run::{shells, tools};
use crate::sys;

/// What a virtual environment brings along.
const IN_A_VENV: [&str; 4] = ["pip", "pip3", "uv", "poetry"];

/// The twin.
#[derive(Debug)]
pub(crate) struct Probe {
    /// The environment that it is tried in.
    pub(crate) environment: Environment,
    /// The folder that stands for the folder of shims.
    pub(crate) bin: PathBuf,
    /// The same with a virtual environment activated, where tools are governed that one brings along.
    pub(crate) activated: Option<Environment>,
    shown: Vec<PathBuf>,
}

impl Probe {
    /// Takes its startup files out of the system's places again. Gives what could not be done.
    pub(crate) fn take_away(&self) -> Vec<String> {
        let undo = |target: &PathBuf| {
            let problem = sys::unbind(target).err()?;
            Some(format!(
                "{} may not be governed: a mount cannot be undone: {problem}",
                target.display()
            ))
        };
        self.shown.iter().filter_map(undo).collect()
    }
}

/// Makes the twin, and shows its startup files in the place of the system's where we have mounts of our own.
///
/// # Errors
/// [`FolderError`].
pub(crate) fn make(
    folder: &Folder,
    inherited: &Environment,
    names: &[String],
    originals: &[shells::Original],
) -> Result<Probe, FolderError> {
    let part = folder.part("probe");
    let places = tools::places(inherited.get("PATH"));
    let bin = part.path().join("bin");
    for name in names {
        let real = places.iter().map(|dir| dir.join(name)).find(|file| sys::is_executable(file));
        match real {
            Some(real) => link(&part, &real, &bin.join(name))?,
            None => executable(&part, &format!("bin/{name}"), b"#!/bin/sh\nexit 127\n")?,
        }
    }
    // Nobody listens there. What is governed all the same, by its full path, gives up at once.
    let nobody = part.path().join("nobody.sock");
    let facts = shells::Facts::new(&bin, &nobody, inherited);
    shells::write(&part, &facts)?;
    let mut shown = Vec::new();
    for shadow in shells::write_shadows(&part, &facts, originals)? {
        // Where it fails, the way that depends on it is not governed, and that is reported.
        if sys::bind(&shadow.source, &shadow.target).is_ok() {
            shown.push(shadow.target);
        }
    }
    let mut environment = inherited.clone();
    environment.point_shells_to(part.path());
    environment.govern(&bin, &nobody);
    let mut activated = None;
    for tool in IN_A_VENV.iter().filter(|tool| names.iter().any(|name| name == *tool)) {
        executable(&part, &format!("venv/bin/{tool}"), b"#!/bin/sh\n")?;
        let mut path = part.path().join("venv/bin").into_os_string();
        path.push(":");
        path.push(environment.get("PATH").unwrap_or_default());
        activated = Some(environment.with("PATH", path));
    }
    Ok(Probe { environment, bin, activated, shown })
}

fn link(part: &Part, real: &Path, link: &Path) -> Result<(), FolderError> {
    let make = || -> io::Result<()> {
        part.make_parent(link)?;
        symlink(real, link)
    };
    make().map_err(|source| FolderError::Write { path: link.to_owned(), source })
}

fn executable(part: &Part, name: &str, content: &[u8]) -> Result<(), FolderError> {
    let path = part.write(name, content)?;
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&path, mode).map_err(|source| FolderError::Write { path, source })
}
