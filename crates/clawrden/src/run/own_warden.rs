//! A warden of the run's own, where none serves this user. It is a process apart, outlives this run when another has
//! joined it, and is never a child of a prisoner.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clawrden_api::{ClientError, ErrorCode, PrisonerAnswer, PrisonerRequest, Status};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::sys;

/// How long a new warden may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long one that goes down may take: it gives its commands their grace.
const GONE_WITHIN: Duration = Duration::from_secs(15);
/// How often it is asked meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Bytes at the end of its log that are looked at when it fails.
const LOG_TAIL: u64 = 4096;
/// Lines of them that are shown.
const LOG_LINES: usize = 5;

/// Where a warden of our own is started, when one is needed.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// The control socket that was asked for; `None` for the usual place.
    pub(crate) control: Option<&'a Path>,
    /// The folder for its log.
    pub(crate) state: &'a Path,
    /// The mount namespace that it is to live in, where that is no longer ours.
    pub(crate) mounts: Option<OwnedFd>,
}

/// Finds the warden of this user, or starts one and waits until it answers.
///
/// # Errors
/// [`Failure::Unreachable`] with the end of its log when it does not come up; [`Failure::Refused`] when one is there
/// that refuses us.
pub(crate) async fn find_or_start(
    connection: &Connection,
    start: &Start<'_>,
) -> Result<Status, Failure> {
    let patience = Instant::now() + GONE_WITHIN;
    loop {
        match connection.client.status().await {
            Ok(status) => return Ok(status),
            Err(error) if is_gone(&error) => break,
            // The one before goes down with its last run.
            Err(error) if is_going(&error) && Instant::now() < patience => {
                tokio::time::sleep(ASK_EVERY).await;
            }
            Err(other) => return Err(Connection::failure(other)),
        }
    }
    match start_one(connection, start).await {
        // The one before had not let go of its ledger yet.
        Err(_) if Instant::now() < patience => {
            tokio::time::sleep(ASK_EVERY).await;
            start_one(connection, start).await
        }
        started => started,
    }
}

/// Registers a prisoner with the warden that was found. One that goes down meanwhile, as it does with its last run, is
/// waited for and replaced, for [`GONE_WITHIN`] at most.
///
/// # Errors
/// As [`find_or_start`], and whatever else the warden says.
pub(crate) async fn register(
    connection: &Connection,
    start: &Start<'_>,
    request: &PrisonerRequest,
) -> Result<PrisonerAnswer, Failure> {
    let patience = Instant::now() + GONE_WITHIN;
    loop {
        match connection.client.register_prisoner(request).await {
            Err(error) if (is_gone(&error) || is_going(&error)) && Instant::now() < patience => {
                tokio::time::sleep(ASK_EVERY).await;
                find_or_start(connection, start).await?;
            }
            told => return told.map_err(Connection::failure),
        }
    }
}

/// Nobody listens: no socket, or a stale one.
fn is_gone(error: &ClientError) -> bool {
    let ClientError::Unreachable { source, .. } = error else { return false };
    matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn is_going(error: &ClientError) -> bool {
    match error {
        ClientError::BrokenOff { .. } => true,
        ClientError::Api(body) => body.code == ErrorCode::GoingDown,
        ClientError::Unreachable { source, .. } => {
            matches!(source.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
        }
        _ => false,
    }
}

async fn start_one(connection: &Connection, start: &Start<'_>) -> Result<Status, Failure> {
    let log = start.state.join("warden.log");
    let failed = |what: &str, e: &io::Error| {
        Failure::Unreachable(format!("a warden cannot be started: {what}: {e}"))
    };
    let (file, from) = open_log(&log).map_err(|e| failed(&log.display().to_string(), &e))?;
    let process = spawn(start, &file).map_err(|e| failed("its process", &e))?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let answer = connection.client.status().await;
        let ended = has_ended(&process);
        match answer {
            Ok(status) => return Ok(status),
            Err(ClientError::Unreachable { .. }) if !ended && Instant::now() < deadline => {
                tokio::time::sleep(ASK_EVERY).await;
            }
            // It may have found that another run's warden was faster, so one more look is due.
            Err(_) if ended => {
                return match connection.client.status().await {
                    Ok(status) => Ok(status),
                    Err(_) => Err(did_not_start("it ended", &log, from)),
                };
            }
            Err(ClientError::Unreachable { .. }) => {
                return Err(did_not_start("it does not answer", &log, from));
            }
            Err(other) => return Err(Connection::failure(other)),
        }
    }
}

fn open_log(log: &Path) -> io::Result<(File, u64)> {
    if let Some(parent) = log.parent() {
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(parent)?;
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(log)?;
    let end = file.seek(SeekFrom::End(0))?;
    Ok((file, end))
}

fn spawn(start: &Start<'_>, log: &File) -> io::Result<OwnedFd> {
    let mut command = Command::new(own_executable()?);
    command.args(["warden", "--ephemeral"]);
    if let Some(control) = start.control {
        // Everything beside its control socket, so that it meets no other warden of this user.
        command.arg("--control").arg(control);
        command.arg("--socket").arg(control.with_file_name("warden.sock"));
        command.arg("--audit").arg(control.with_file_name("ledger.jsonl"));
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
    command.current_dir("/");
    sys::spawn_daemon(&mut command, start.mounts.as_ref())
}

/// This very program, also after its file was replaced by an update.
fn own_executable() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    Ok(if path.exists() { path } else { PathBuf::from("/proc/self/exe") })
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

fn did_not_start(what: &str, log: &Path, from: u64) -> Failure {
    let tail = tail(log, from).unwrap_or_default();
    let said = if tail.is_empty() { "it logged nothing".to_owned() } else { tail };
    Failure::Unreachable(format!(
        "a warden was started but {what}; from its log {}:\n{said}",
        log.display()
    ))
}

/// The last lines behind `from`.
fn tail(log: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(from.max(end.saturating_sub(LOG_TAIL))))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> =
        text.lines().map(|l| format!("  {}", clawrden_api::display::text(l))).collect();
    Ok(lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_this_start_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("warden.log");
        std::fs::write(&log, "of an earlier start\n").unwrap();
        let (mut file, from) = open_log(&log).unwrap();
        for n in 1..=7 {
            io::Write::write_all(&mut file, format!("line {n}\n").as_bytes()).unwrap();
        }
        assert_eq!(tail(&log, from).unwrap().lines().count(), LOG_LINES);
        assert!(tail(&log, from).unwrap().starts_with("  line 3"));
        let (_, from) = open_log(&log).unwrap();
        assert_eq!(tail(&log, from).unwrap(), "");
    }

    #[test]
    fn a_log_that_is_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("warden.log");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &log).unwrap();
        assert!(open_log(&log).is_err());
    }
}
