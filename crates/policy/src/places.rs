//! Folders that are the system's, on a host and in a container.

use std::path::Path;

/// Nothing in them is work of a prisoner's.
const SYSTEM: &[&str] = &[
    "/bin",
    "/boot",
    "/clawrden",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/run",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/clawrden",
];

/// Whether this absolute path, free of links and dots, is a folder of the system's or lies in one: no workspace, and
/// nothing that a ghost shares with its caller.
#[must_use]
pub fn is_system_folder(path: &Path) -> bool {
    path == Path::new("/") || SYSTEM.iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_whose_name_only_begins_alike_is_nobodys_system() {
        for path in ["/", "/etc", "/usr/local/bin", "/var/lib/docker/volumes/x"] {
            assert!(is_system_folder(Path::new(path)), "{path}");
        }
        for path in ["/work", "/etcetera", "/var/lib/dockerfiles", "/home/usr"] {
            assert!(!is_system_folder(Path::new(path)), "{path}");
        }
    }
}
