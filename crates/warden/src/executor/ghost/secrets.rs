//! The values of secrets: read for one run, given to its runner, and never shown.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use clawrden_policy::{Policy, Secret, SecretForm, SecretSource};
use rustix::fs::{Gid, Mode, OFlags, ResolveFlags, Uid};

use crate::redaction;

/// Bytes of a secret. A longer one is refused.
const MOST: u64 = 64 * 1024;

/// Where the files of secrets lie in a ghost.
pub(super) const FOLDER: &str = "/run/secrets";

/// The values of one run's secrets.
#[derive(Default)]
pub(super) struct Values {
    /// `NAME=value` each.
    pub(super) variables: Vec<Vec<u8>>,
    /// Names below [`FOLDER`], and contents.
    files: Vec<(String, Vec<u8>)>,
}

/// Reads them all. Blocks. The text names the secret and what stands in the way, and nothing of its value.
pub(super) fn read(secrets: &[Arc<Secret>]) -> Result<Values, String> {
    let mut values = Values::default();
    for secret in secrets {
        let value = value(secret)
            .map_err(|why| format!("the secret {} cannot be had: {why}", secret.name))?;
        // From here on it may turn up in what the command's descendants ask for.
        redaction::ours().declare([(secret.name.to_string(), value.clone())]);
        match &secret.form {
            SecretForm::File(name) => values.files.push((name.clone(), value)),
            SecretForm::Variable(_) if value.contains(&0) => {
                return Err(format!(
                    "the secret {} holds a NUL, which no variable can",
                    secret.name
                ));
            }
            SecretForm::Variable(name) => {
                values.variables.push([name.as_bytes(), b"=", &value].concat());
            }
        }
    }
    Ok(values)
}

/// Has the values of a policy's secrets marked wherever they would be written. Blocks. One that cannot be had is left
/// out: it is nowhere else either.
pub(crate) fn learn(policy: &Policy) {
    let values = policy.secrets().filter_map(|secret| {
        let value = value(secret).ok()?;
        if let Some(warning) = redaction::warning(&secret.name, &value) {
            tracing::warn!("{warning}");
        }
        Some((secret.name.to_string(), value))
    });
    redaction::ours().declare(values);
}

fn value(secret: &Secret) -> Result<Vec<u8>, String> {
    match &secret.source {
        SecretSource::File(path) => file(path).map_err(|error| error.to_string()),
        SecretSource::Variable(name) => std::env::var_os(name)
            .map(std::os::unix::ffi::OsStringExt::into_vec)
            .ok_or_else(|| format!("the warden has no variable {name}")),
    }
}

fn file(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut value = Vec::new();
    file.take(MOST + 1).read_to_end(&mut value)?;
    if value.len() as u64 > MOST {
        return Err(io::Error::other("it is longer than 65536 bytes"));
    }
    // Editors end a file with a line break that is no part of a token.
    if value.last() == Some(&b'\n') {
        value.pop();
    }
    Ok(value)
}

impl Values {
    /// The values themselves.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        let value = |entry: &Vec<u8>| entry.iter().position(|&b| b == b'=').map_or(0, |at| at + 1);
        let variables = self.variables.iter().map(move |entry| &entry[value(entry)..]);
        variables.chain(self.files.iter().map(|(_, value)| &value[..]))
    }

    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Writes the files below `root`, for this user and group. Blocks.
    pub(super) fn write(&self, root: impl AsFd, (uid, gid): (u32, u32)) -> io::Result<()> {
        use std::io::Write;
        for (name, value) in &self.files {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
            let path = format!("{FOLDER}/{name}");
            let mode = Mode::from_raw_mode(0o400);
            let mut file =
                File::from(rustix::fs::openat2(root.as_fd(), path, flags, mode, resolve)?);
            rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            file.write_all(value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn secret(source: SecretSource, form: SecretForm) -> Arc<Secret> {
        Arc::new(Secret { name: "token".to_owned(), source, form })
    }

    #[test]
    fn a_value_comes_whole_but_for_the_line_break_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        fs::write(&path, "a b\n\n").unwrap();
        let of = |form| read(&[secret(SecretSource::File(path.clone()), form)]).unwrap();
        let values = of(SecretForm::Variable("T".to_owned()));
        assert_eq!(values.variables, [b"T=a b\n".to_vec()]);
        let values = of(SecretForm::File("t".to_owned()));
        assert!(values.has_files() && values.variables.is_empty());
        fs::create_dir_all(dir.path().join("run/secrets")).unwrap();
        let me = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let root = File::open(dir.path()).unwrap();
        values.write(&root, me).unwrap();
        assert_eq!(fs::read(dir.path().join("run/secrets/t")).unwrap(), b"a b\n");
        assert!(values.write(&root, me).is_err(), "what is there is never written over");
    }

    #[test]
    fn what_cannot_be_had_is_told_without_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        fs::write(&path, b"hush\0hush").unwrap();
        let variable = || SecretForm::Variable("T".to_owned());
        for (source, why) in [
            (SecretSource::File(path), "NUL"),
            (SecretSource::File(dir.path().to_owned()), "not a regular file"),
            (SecretSource::File("/dev/zero".into()), "not a regular file"),
            (SecretSource::Variable("CLAWRDEN_NO_SUCH".to_owned()), "has no variable"),
        ] {
            let text = read(&[secret(source, variable())]).map(|_| ()).unwrap_err();
            assert!(text.contains("the secret token") && text.contains(why), "{text}");
            assert!(!text.contains("hush"));
        }
    }
}
