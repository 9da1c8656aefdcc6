//! Which processes hold a socket, as far as they may be looked at: root sees all that are in its pid namespace, others
//! their own.

use std::fs;
use std::os::unix::ffi::OsStrExt;

/// The processes that have the socket of this number among their descriptors. None where nobody has it, where who has it
/// may not be looked at, or is in a pid namespace beside ours. Reads all of /proc.
pub(crate) fn holders(socket: u64) -> Vec<u32> {
    let wanted = format!("socket:[{socket}]");
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holds = |pid: &u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut links = open.filter_map(|one| fs::read_link(one.path()).ok());
        links.any(|link| link.as_os_str().as_bytes() == wanted.as_bytes())
    };
    pids.filter(holds).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    use rustix::fd::AsFd;

    use super::*;

    #[test]
    fn who_holds_a_socket_is_found_and_of_one_that_is_closed_nobody() {
        let (one, other) = UnixStream::pair().unwrap();
        let number = |socket: &UnixStream| {
            fs::File::from(socket.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap().ino()
        };
        let (one_number, other_number) = (number(&one), number(&other));
        drop(other);
        assert_eq!(holders(one_number), [std::process::id()]);
        assert!(holders(other_number).is_empty());
    }
}
