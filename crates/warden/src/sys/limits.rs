//! Resource limits and priority of another process.

use std::io;

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::{Pid, Resource, getpriority_process, getrlimit};

/// How many resources Linux limits; their numbers start at 0.
const RESOURCES: u32 = 16;

/// Descriptors that are left for requests that are served at once, whoever holds all others.
const SPARE_DESCRIPTORS: u64 = 32;

/// Whether this descriptor is one of the last that this process may have.
pub(crate) fn is_last_descriptor(fd: BorrowedFd<'_>) -> bool {
    let limit = getrlimit(Resource::Nofile).current;
    let number = u64::try_from(fd.as_raw_fd()).unwrap_or(u64::MAX);
    limit.is_some_and(|limit| number.saturating_add(SPARE_DESCRIPTORS) >= limit)
}

/// A process's limits: resource number, soft, hard; `u64::MAX` is none.
///
/// # Errors
/// When the process is gone, or is not ours to ask about.
pub(crate) fn limits_of(pid: u32) -> io::Result<Vec<(u32, u64, u64)>> {
    match asked(pid) {
        // Of another user's process this takes CAP_SYS_RESOURCE, which root in a container mostly lacks.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => shown(pid),
        asked => asked,
    }
}

fn asked(pid: u32) -> io::Result<Vec<(u32, u64, u64)>> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    (0..RESOURCES)
        .map(|resource| {
            let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `limit` is a valid place for the answer for the length of the call, and no new limit is given.
            let done = unsafe { libc::prlimit64(pid, resource, std::ptr::null(), &raw mut limit) };
            if done == 0 {
                Ok((resource, limit.rlim_cur, limit.rlim_max))
            } else {
                Err(io::Error::last_os_error())
            }
        })
        .collect()
}

/// The same as /proc shows it to everybody: a line of fixed columns for each resource, in the order of their numbers.
fn shown(pid: u32) -> io::Result<Vec<(u32, u64, u64)>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let number = |line: &str, columns: std::ops::Range<usize>| match line.get(columns)?.trim() {
        "unlimited" => Some(u64::MAX),
        digits => digits.parse().ok(),
    };
    let limits: Option<Vec<_>> = (0..RESOURCES)
        .zip(text.lines().skip(1))
        .map(|(resource, line)| Some((resource, number(line, 26..46)?, number(line, 47..67)?)))
        .collect();
    let whole = limits.filter(|limits| limits.len() == RESOURCES as usize);
    whole.ok_or_else(|| io::Error::other(format!("/proc/{pid}/limits is not understood")))
}

/// A process's nice value, -20 to 19.
///
/// # Errors
/// When the process is gone.
pub(crate) fn nice_of(pid: u32) -> io::Result<i32> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(getpriority_process(Some(pid))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_limits_are_those_that_proc_shows() {
        let limits = limits_of(std::process::id()).unwrap();
        let shown = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = shown.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let soft: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
        let files = limits.iter().find(|(resource, ..)| *resource == libc::RLIMIT_NOFILE).unwrap();
        assert_eq!(files.1, soft);
        assert_eq!(super::shown(std::process::id()).unwrap(), asked(std::process::id()).unwrap());
        assert!((-20..=19).contains(&nice_of(std::process::id()).unwrap()));
    }
}
