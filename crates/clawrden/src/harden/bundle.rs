//! This binary with the loader and the libraries that it runs by at this moment: together they run on any kernel of
//! this architecture, whatever the image holds.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// What has to be taken along beside the binary itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// The dynamic loader; `None` for a static binary.
    loader: Option<PathBuf>,
    libraries: BTreeSet<PathBuf>,
}

impl Bundle {
    /// That of this process.
    ///
    /// # Errors
    /// When `/proc` does not tell.
    pub(crate) fn own() -> io::Result<Self> {
        Ok(Self::of_maps(&std::fs::read_to_string("/proc/self/maps")?))
    }

    /// By the text of `/proc/PID/maps`: whatever is mapped executable and is called a loader or a library.
    pub(crate) fn of_maps(maps: &str) -> Self {
        let mut bundle = Self::default();
        for line in maps.lines() {
            let mut fields = line.splitn(6, ' ').map(str::trim_start);
            let is_code = fields.nth(1).is_some_and(|rights| rights.contains('x'));
            let Some(path) = fields.nth(3).filter(|path| is_code && path.starts_with('/')) else {
                continue;
            };
            let path = PathBuf::from(path);
            match path.file_name().and_then(|name| name.to_str()) {
                Some(name) if name.starts_with("ld-") => bundle.loader = Some(path),
                Some(name) if name.contains(".so") => {
                    bundle.libraries.insert(path);
                }
                _ => {}
            }
        }
        bundle
    }

    /// How the binary is started when all lies in `folder`.
    pub(crate) fn command(&self, folder: &str) -> Vec<String> {
        let binary = format!("{folder}/clawrden");
        let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
        match self.loader.as_ref().and_then(name) {
            Some(loader) => vec![
                format!("{folder}/{loader}"),
                "--library-path".to_owned(),
                folder.to_owned(),
                binary,
            ],
            None => vec![binary],
        }
    }

    /// Copies everything into a folder.
    ///
    /// # Errors
    /// When something cannot be copied.
    pub(crate) fn copy(&self, into: &Path) -> io::Result<()> {
        std::fs::copy("/proc/self/exe", into.join("clawrden"))?;
        for file in self.loader.iter().chain(&self.libraries) {
            if let Some(name) = file.file_name() {
                std::fs::copy(file, into.join(name))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_is_mapped_as_code_is_taken_along_and_nothing_else() {
        let bundle = Bundle::of_maps(
            "1-2 r--p 0 0:0 1   /lib/libdata.so\n1-2 r-xp 0 0:0 1   /lib/x y/libm.so.6\n\
             1-2 r-xp 0 0:0 1   /lib/ld-linux.so.2\n1-2 r-xp 0 0:0 1   /usr/bin/clawrden\n\
             1-2 r-xp 0 0:0 0   [vdso]\n1-2 rw-p 0 0:0 0\n",
        );
        assert_eq!(bundle.loader.as_deref(), Some(Path::new("/lib/ld-linux.so.2")));
        assert!(bundle.libraries.iter().eq([Path::new("/lib/x y/libm.so.6")]));
        assert_eq!(Bundle::default().command("/k"), ["/k/clawrden"]);
    }

    #[test]
    fn a_bundle_runs_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = Bundle::own().unwrap();
        bundle.copy(folder.path()).unwrap();
        let words = bundle.command(folder.path().to_str().unwrap());
        let output = Command::new(&words[0]).args(&words[1..]).arg("--list").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
