//! Reading /proc/PID/stat and /proc/PID/status. Every read is bounded and odd content is an error, never a panic:
//! the name field is chosen by the process itself.

use std::fs::File;
use std::io::{self, Read};
use std::sync::OnceLock;

use rustix::process::Pid;

/// Bytes of one file under /proc/PID that are read. A `status` file with 65,536 groups stays below it; a longer
/// file is an error.
pub const MAX_PROC_FILE: usize = 1024 * 1024;

/// Bytes that nearly all of them have at most, so that they are read at once.
const USUAL_PROC_FILE: usize = 4096;

/// Why something about a process is not known.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It has ended and been reaped, or the number never was a process.
    #[error("process {pid} is gone")]
    Gone {
        /// The process id.
        pid: u32,
    },
    /// A file under /proc could not be read.
    #[error("cannot read /proc/{pid}/{file}: {source}")]
    Read {
        /// The process id.
        pid: u32,
        /// The file's name.
        file: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A file under /proc does not look as the kernel documents it.
    #[error("/proc/{pid}/{file} has no readable {what}")]
    Malformed {
        /// The process id.
        pid: u32,
        /// The file's name.
        file: &'static str,
        /// What was looked for.
        what: &'static str,
    },
    /// What is below it cannot be told.
    #[error("what is below process {pid} cannot be told: {why}")]
    Children {
        /// The process id.
        pid: u32,
        /// What stood in the way.
        why: &'static str,
    },
    /// The walk up did not come to an end within its bound, or the tree kept changing under it.
    #[error("the ancestors of process {pid} cannot be told: {why}")]
    Ancestry {
        /// The process id.
        pid: u32,
        /// What stood in the way.
        why: &'static str,
    },
}

/// A process that is not confused with another one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Its process id in our pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of /proc/PID/stat).
    pub start_ticks: u64,
}

impl Identity {
    /// The process that has this number at the moment.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn of(pid: u32) -> Result<Self, ProcessError> {
        Ok(stat(pid)?.identity())
    }

    /// This process.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn own() -> Result<Self, ProcessError> {
        Self::of(std::process::id())
    }

    /// Whether the process still exists. An unreaped one that has ended does not count.
    #[must_use]
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_ok_and(|stat| stat.identity() == self && !stat.has_ended())
    }
}

/// Which boot of the kernel this is; `None` where it cannot be told.
pub(crate) fn boot_id() -> Option<&'static str> {
    static BOOT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    };
    BOOT.get_or_init(read).as_deref()
}

/// Milliseconds since the kernel booted, those in which the machine slept included.
pub(crate) fn steady_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) =
        (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}

/// The fields of /proc/PID/stat that are of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Process id.
    pub pid: u32,
    /// The state letter: `R`, `S`, `D`, `T`, `t`, `Z`, `X`, `I` …
    pub state: u8,
    /// The parent's process id; 0 when there is none in our pid namespace.
    pub ppid: u32,
    /// Threads, the main one included even after it has ended.
    pub threads: u64,
    /// Start, in clock ticks since boot.
    pub start_ticks: u64,
}

impl Stat {
    /// Number and start time.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { pid: self.pid, start_ticks: self.start_ticks }
    }

    /// Whether nothing of it runs any more. A process whose main thread has ended is shown as a zombie while its
    /// other threads go on: it has not ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x') && self.threads <= 1
    }

    /// Whether it stands still by SIGSTOP or under a tracer.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    pub(super) fn parse(pid: u32, text: &[u8]) -> Result<Self, ProcessError> {
        let malformed = |what| ProcessError::Malformed { pid, file: "stat", what };
        // The name stands in parentheses and may hold any byte, parentheses and newlines included; nothing after it
        // has one, so the last one ends it.
        let end = text.iter().rposition(|&b| b == b')').ok_or(malformed("name"))?;
        let mut fields = text[end + 1..].split(u8::is_ascii_whitespace).filter(|f| !f.is_empty());
        // Counted as in proc_pid_stat(5): 3 state, 4 ppid, 20 num_threads, 22 starttime.
        let state = *fields.next().and_then(<[u8]>::first).ok_or(malformed("state"))?;
        let ppid = number(fields.next()).ok_or(malformed("parent"))?;
        let threads = number(fields.nth(15)).ok_or(malformed("thread count"))?;
        let start_ticks = number(fields.nth(1)).ok_or(malformed("start time"))?;
        Ok(Self { pid, state, ppid, threads, start_ticks })
    }
}

/// Reads /proc/PID/stat.
///
/// # Errors
/// When there is no such process, or the file is not as documented.
pub fn stat(pid: u32) -> Result<Stat, ProcessError> {
    Stat::parse(pid, &read(pid, "stat")?)
}

/// The fields of /proc/PID/status that are of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// User ids: real, effective, saved, of the file system.
    pub uids: [u32; 4],
    /// Group ids in the same order.
    pub gids: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The umask; `None` on kernels before 4.7.
    pub umask: Option<u32>,
    /// Signals that are ignored, bit N-1 for signal N.
    pub ignored: u64,
    /// Signals that the main thread blocks, in the same form.
    pub blocked: u64,
    /// Whether it can no longer gain privileges by execve.
    pub no_new_privs: bool,
    /// Seccomp: 0 off, 1 strict, 2 filter.
    pub seccomp: u32,
    /// Effective capabilities, bit N for capability N.
    pub effective_capabilities: u64,
}

impl Status {
    fn parse(pid: u32, text: &[u8]) -> Result<Self, ProcessError> {
        let malformed = |what| ProcessError::Malformed { pid, file: "status", what };
        let field = |name: &'static str| {
            text.split(|&b| b == b'\n')
                .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))
        };
        let words = |name| {
            field(name)
                .map(|value| value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()))
        };
        let four = |name: &'static str| {
            let mut words = words(name)?;
            Some([
                number(words.next())?,
                number(words.next())?,
                number(words.next())?,
                number(words.next())?,
            ])
        };
        let radix = |name: &'static str, radix| {
            let word = words(name)?.next()?;
            u64::from_str_radix(std::str::from_utf8(word).ok()?, radix).ok()
        };
        let groups = words("Groups")
            .and_then(|words| words.map(|word| number(Some(word))).collect())
            .ok_or(malformed("Groups"))?;
        Ok(Self {
            uids: four("Uid").ok_or(malformed("Uid"))?,
            gids: four("Gid").ok_or(malformed("Gid"))?,
            groups,
            umask: radix("Umask", 8).and_then(|mask| u32::try_from(mask).ok()),
            ignored: radix("SigIgn", 16).ok_or(malformed("SigIgn"))?,
            blocked: radix("SigBlk", 16).ok_or(malformed("SigBlk"))?,
            no_new_privs: radix("NoNewPrivs", 10).ok_or(malformed("NoNewPrivs"))? != 0,
            seccomp: radix("Seccomp", 10).and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0),
            effective_capabilities: radix("CapEff", 16).ok_or(malformed("CapEff"))?,
        })
    }
}

/// Reads /proc/PID/status.
///
/// # Errors
/// When there is no such process, or the file is not as documented.
pub fn status(pid: u32) -> Result<Status, ProcessError> {
    Status::parse(pid, &read(pid, "status")?)
}

/// The number as the kernel calls take it.
pub(super) fn raw_pid(pid: u32) -> Result<Pid, ProcessError> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(ProcessError::Gone { pid })
}

/// Reads a file of a process whole, up to [`MAX_PROC_FILE`].
pub(crate) fn read(pid: u32, file: &'static str) -> Result<Vec<u8>, ProcessError> {
    let failed = |source: io::Error| match source.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => ProcessError::Gone { pid },
        _ => ProcessError::Read { pid, file, source },
    };
    let opened = File::open(format!("/proc/{pid}/{file}")).map_err(failed)?;
    let mut text = Vec::with_capacity(USUAL_PROC_FILE);
    opened.take(MAX_PROC_FILE as u64 + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() > MAX_PROC_FILE {
        return Err(ProcessError::Malformed { pid, file, what: "end" });
    }
    Ok(text)
}

fn number<T: std::str::FromStr>(word: Option<&[u8]>) -> Option<T> {
    std::str::from_utf8(word?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "S 41 9 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 987654 10 11 12";

    #[test]
    fn our_own_stat_is_read() {
        let own = stat(std::process::id()).unwrap();
        assert_eq!(own.pid, std::process::id());
        assert_eq!(own.ppid, std::os::unix::process::parent_id());
        assert!(own.start_ticks > 0);
        assert!(own.threads >= 1);
        assert!(own.identity().is_alive());
    }

    #[test]
    fn a_name_with_parentheses_and_newlines_does_not_confuse() {
        for name in ["sh", "a) R 1 2 3", "((", ") S 0 0\n5 (x) Z 1", "\n\n", ""] {
            let text = format!("77 ({name}) {TAIL}");
            let stat = Stat::parse(77, text.as_bytes()).unwrap();
            let expected =
                Stat { pid: 77, state: b'S', ppid: 41, threads: 3, start_ticks: 987_654 };
            assert_eq!(stat, expected, "{name:?}");
        }
    }

    #[test]
    fn a_cut_or_odd_stat_is_an_error() {
        let whole = format!("77 (sh) {TAIL}");
        let needed = whole.find(" 10 11 12").unwrap();
        for end in 0..needed - 6 {
            assert!(Stat::parse(77, &whole.as_bytes()[..end]).is_err(), "{end}");
        }
        assert!(Stat::parse(77, b"77 (sh) S -1 0").is_err());
        assert!(Stat::parse(77, &[0xff; 4096]).is_err());
        assert!(
            Stat::parse(77, whole.replace("987654", "99999999999999999999").as_bytes()).is_err()
        );
    }

    #[test]
    fn a_process_whose_main_thread_left_has_not_ended() {
        let text = format!("77 (sh) {}", TAIL.replacen('S', "Z", 1));
        assert!(!Stat::parse(77, text.as_bytes()).unwrap().has_ended());
        let alone = text.replace(" 20 0 3 0 ", " 20 0 1 0 ");
        assert!(Stat::parse(77, alone.as_bytes()).unwrap().has_ended());
    }

    #[test]
    fn another_start_time_is_another_process() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        assert!(!Identity { start_ticks: own.start_ticks - 1, ..own }.is_alive());
    }

    #[test]
    fn numbers_that_are_no_process_are_gone() {
        for pid in [0, u32::MAX, 0x7fff_ffff] {
            assert!(matches!(stat(pid), Err(ProcessError::Gone { .. })), "{pid}");
            assert!(matches!(status(pid), Err(ProcessError::Gone { .. })), "{pid}");
        }
    }

    #[test]
    fn our_own_status_is_read() {
        let own = status(std::process::id()).unwrap();
        assert_eq!(own.uids[1], rustix::process::geteuid().as_raw());
        assert_eq!(own.gids[1], rustix::process::getegid().as_raw());
        let mut groups: Vec<_> =
            rustix::process::getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        let mut seen = own.groups;
        groups.sort_unstable();
        seen.sort_unstable();
        assert_eq!(seen, groups);
        assert!(own.umask.unwrap() <= 0o777);
    }

    #[test]
    fn a_status_is_parsed_field_by_field() {
        let text = b"Name:\tx\\nUid:\t9\nUmask:\t0027\nState:\tS (sleeping)\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n\
            Groups:\t10 20 \nSigBlk:\t0000000000010000\nSigIgn:\t0000000000001001\n\
            CapEff:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        let status = Status::parse(1, text).unwrap();
        assert_eq!(status.uids, [1, 2, 3, 4]);
        assert_eq!(status.gids, [5, 6, 7, 8]);
        assert_eq!(status.groups, [10, 20]);
        assert_eq!(status.umask, Some(0o27));
        assert_eq!((status.blocked, status.ignored), (0x10000, 0x1001));
        assert_eq!(status.effective_capabilities, 0x1ff_ffff_ffff);
        assert!(status.no_new_privs);
        assert_eq!(status.seccomp, 2);
        for missing in ["Uid", "Gid", "Groups", "SigIgn", "SigBlk", "CapEff", "NoNewPrivs"] {
            let text = String::from_utf8_lossy(text).replace(&format!("\n{missing}:"), "\nOther:");
            assert!(Status::parse(1, text.as_bytes()).is_err(), "{missing}");
        }
    }
}
