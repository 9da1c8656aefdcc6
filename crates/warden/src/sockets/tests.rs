use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("warden.sock");
    (folder, path)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_socket_comes_with_the_mode_that_was_asked_for() {
    let (folder, path) = place();
    for mode in [0o600, 0o666] {
        let bound = bind_private(&path, mode).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        UnixStream::connect(&path).unwrap();
        assert_eq!(names(folder.path()), ["warden.sock", "warden.sock.lock"]);
        drop(bound);
        assert_eq!(names(folder.path()), ["warden.sock.lock"]);
    }
}

#[test]
fn a_second_holder_is_told_who_holds_it() {
    let (_folder, path) = place();
    let first = bind_private(&path, 0o600).unwrap();
    let error = bind_private(&path, 0o600).unwrap_err();
    assert!(error.to_string().contains(&format!("held by pid {}", std::process::id())), "{error}");
    UnixStream::connect(first.path()).unwrap();
}

#[test]
fn a_stale_socket_is_replaced() {
    let (_folder, path) = place();
    drop(UnixListener::bind(&path).unwrap());
    assert!(UnixStream::connect(&path).is_err());
    let bound = bind_private(&path, 0o600).unwrap();
    UnixStream::connect(bound.path()).unwrap();
}

#[test]
fn a_living_socket_without_a_lock_is_not_replaced() {
    let (_folder, path) = place();
    let _other = UnixListener::bind(&path).unwrap();
    let error = bind_private(&path, 0o600).unwrap_err();
    let own = std::process::id();
    assert!(matches!(error, BindError::Held { pid: Some(pid), .. } if pid == own), "{error}");
    UnixStream::connect(&path).unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let (folder, path) = place();
    fs::write(&path, "mine").unwrap();
    assert!(matches!(bind_private(&path, 0o600), Err(BindError::Foreign { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    fs::remove_file(&path).unwrap();

    let elsewhere = folder.path().join("elsewhere");
    drop(UnixListener::bind(&elsewhere).unwrap());
    symlink(&elsewhere, &path).unwrap();
    assert!(matches!(bind_private(&path, 0o600), Err(BindError::Foreign { .. })));
    assert!(elsewhere.exists());
}

#[test]
fn a_link_in_place_of_the_lock_is_not_followed() {
    let (folder, path) = place();
    let victim = folder.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    symlink(&victim, folder.path().join("warden.sock.lock")).unwrap();
    assert!(bind_private(&path, 0o600).is_err());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
}

#[test]
fn what_a_crash_left_in_the_private_folder_is_cleaned_up() {
    let (folder, path) = place();
    let private = folder.path().join(".warden.sock.new");
    fs::create_dir(&private).unwrap();
    drop(UnixListener::bind(private.join(SOCKET)).unwrap());
    let _bound = bind_private(&path, 0o600).unwrap();
    assert_eq!(names(folder.path()), ["warden.sock", "warden.sock.lock"]);
}

#[test]
fn a_socket_of_a_later_holder_is_not_removed() {
    let (_folder, path) = place();
    let bound = bind_private(&path, 0o600).unwrap();
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(bound);
    assert!(path.exists());
}

#[test]
fn a_path_longer_than_an_address_works() {
    let (folder, _path) = place();
    let deep = folder.path().join("d".repeat(150));
    fs::create_dir(&deep).unwrap();
    let path = deep.join("warden.sock");
    let bound = bind_private(&path, 0o600).unwrap();
    try_connect(&path).unwrap();
    drop(bound);
    fs::create_dir(&path).unwrap();
    assert!(matches!(bind_private(&path, 0o600), Err(BindError::Foreign { .. })));
}

#[test]
fn a_path_without_a_name_is_refused() {
    for path in ["/", "", ".."] {
        assert!(
            matches!(bind_private(Path::new(path), 0o600), Err(BindError::BadPath(_))),
            "{path}"
        );
    }
}

#[test]
fn the_lock_outlives_no_process() {
    let (_folder, path) = place();
    // A lock file with a number in it, but nobody who holds it.
    fs::write(path.with_extension("sock.lock"), "1\n").unwrap();
    let _bound = bind_private(&path, 0o600).unwrap();
    let text = fs::read_to_string(path.with_extension("sock.lock")).unwrap();
    assert_eq!(text.trim(), std::process::id().to_string());
}
