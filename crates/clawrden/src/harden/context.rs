//! The folder that an image is built in.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clawrden_warden::jails::shim_binary::SHIM;
use clawrden_warden::jails::shims::SHIM_NAME;

use super::bundle::Bundle;
use super::dockerfile::{Facts, Order, text};

const SCRIPT: &str = include_str!("../../../../deploy/install-clawrden.sh");

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    /// It is not known what to take along.
    #[error("the libraries that this binary runs by are not known")]
    Bundle(#[source] io::Error),
    /// It cannot be written.
    #[error("cannot write into {path:?}")]
    Write { path: PathBuf, source: io::Error },
}

/// Writes Dockerfile and parts into `folder`, if there is one, and gives the Dockerfile.
///
/// # Errors
/// When something cannot be written.
pub(crate) fn write(
    folder: Option<&Path>,
    order: &Order,
    facts: &Facts,
) -> Result<String, ContextError> {
    let bundle = match facts.has_shell {
        true => None,
        false => Some(Bundle::own().map_err(ContextError::Bundle)?),
    };
    let dockerfile = text(order, facts, bundle.as_ref());
    if let Some(folder) = folder {
        fill(folder, &dockerfile, bundle.as_ref())
            .map_err(|source| ContextError::Write { path: folder.to_owned(), source })?;
    }
    Ok(dockerfile)
}

fn fill(folder: &Path, dockerfile: &str, bundle: Option<&Bundle>) -> io::Result<()> {
    let kit = folder.join("kit");
    fs::create_dir_all(&kit)?;
    fs::write(folder.join("Dockerfile"), dockerfile)?;
    if let Some(bundle) = bundle {
        return bundle.copy(&kit);
    }
    for (name, content) in [(SHIM_NAME, SHIM), ("install-clawrden.sh", SCRIPT.as_bytes())] {
        let file = kit.join(name);
        fs::write(&file, content)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
