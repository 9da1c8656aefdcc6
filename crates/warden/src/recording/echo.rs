//! Whether a terminal shows what is typed: what it does not show, a password for one, is never recorded.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::termios::{LocalModes, tcgetattr};

use crate::process::proc;

/// The major numbers of terminals of this kind.
const PTYS: std::ops::RangeInclusive<u32> = 136..=143;

/// The terminal that a runner, process `pid`, has made for its tool. `is_ours`: it sees the warden's own files. `None`
/// where the warden may not look. Blocks.
pub(super) fn terminal_of(pid: u32, is_ours: bool) -> Option<OwnedFd> {
    held_by(pid).or_else(|| if is_ours { controlling(pid) } else { None })
}

/// The one that it holds open.
fn held_by(pid: u32) -> Option<OwnedFd> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let is_it = |path: &Path| {
        let target = std::fs::read_link(path).unwrap_or_default();
        target.parent().is_some_and(|folder| folder == Path::new("/dev/pts"))
            && target.file_name().is_some_and(|name| name != "ptmx")
    };
    let mut paths = entries.flatten().map(|entry| entry.path());
    open(&paths.find(|path| is_it(path))?)
}

/// The one that its session has, as proc_pid_stat(5) tells it.
fn controlling(pid: u32) -> Option<OwnedFd> {
    let text = proc::read(pid, "stat").ok()?;
    let end = text.iter().rposition(|&b| b == b')')?;
    let field = text[end + 1..].split(u8::is_ascii_whitespace).filter(|f| !f.is_empty()).nth(4)?;
    let number: u32 = std::str::from_utf8(field).ok()?.parse().ok()?;
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00));
    if !PTYS.contains(&major) {
        return None;
    }
    open(Path::new(&format!("/dev/pts/{}", (major - PTYS.start()) * 256 + minor)))
}

fn open(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let stat = fstat(&fd).ok()?;
    let is_terminal = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && PTYS.contains(&rustix::fs::major(stat.st_rdev));
    is_terminal.then_some(fd)
}

/// Whether it shows what is typed.
pub(super) fn shows(terminal: &OwnedFd) -> bool {
    tcgetattr(terminal).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ECHO))
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{OptionalActions, tcsetattr};

    use super::*;

    #[test]
    fn a_terminal_that_hides_what_is_typed_is_told_from_one_that_shows_it() {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let terminal = open(Path::new(name.to_str().unwrap())).unwrap();
        assert!(shows(&terminal));
        let mut modes = tcgetattr(&terminal).unwrap();
        modes.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Now, &modes).unwrap();
        assert!(!shows(&terminal));
        let found = held_by(std::process::id()).unwrap();
        assert!(FileType::from_raw_mode(fstat(&found).unwrap().st_mode).is_char_device());
    }

    #[test]
    fn what_is_no_terminal_is_not_taken_for_one() {
        assert!(open(Path::new("/dev/null")).is_none());
        assert!(open(Path::new("/etc/passwd")).is_none());
        assert!(terminal_of(u32::MAX, true).is_none());
    }
}
