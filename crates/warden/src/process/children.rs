//! Whether anything is below a process, at one moment of the kernel's.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::proc::{Identity, ProcessError};

/// A child of this process, also one that has ended and was not waited for; `None` where it had none, and so nothing below it,
/// at one moment of this call. A look through all of /proc does not tell that: what starts meanwhile is not seen, and who
/// started it may have ended when its turn comes.
///
/// # Errors
/// When the process is gone, has several threads, whose children are listed one by one, or cannot be read; or when the kernel
/// lists no children (`CONFIG_PROC_CHILDREN`).
pub fn first_child(process: Identity) -> Result<Option<u32>, ProcessError> {
    let pid = process.pid;
    let before = threads(pid)?;
    if before.len() != 1 {
        return Err(ProcessError::Children { pid, why: "it has several threads" });
    }
    let children = listed(process, &before)?;
    // One that has ended was passed over.
    if threads(pid)? != before {
        return Err(ProcessError::Children { pid, why: "its threads change" });
    }
    Ok(children.first().copied())
}

/// The children of this process, those included that have ended and were not waited for; of each thread the newest last. One
/// that is added while they are read may be missing.
///
/// # Errors
/// As for [`first_child`], but for several threads.
pub(super) fn children(process: Identity) -> Result<Vec<u32>, ProcessError> {
    listed(process, &threads(process.pid)?)
}

fn threads(pid: u32) -> Result<Vec<OsString>, ProcessError> {
    let all = fs::read_dir(format!("/proc/{pid}/task")).map_err(failed(pid, "task"))?;
    let names = all.map(|thread| Ok(thread.map_err(failed(pid, "task"))?.file_name()));
    names.collect()
}

fn listed(process: Identity, threads: &[OsString]) -> Result<Vec<u32>, ProcessError> {
    let pid = process.pid;
    let unclear = |why| ProcessError::Children { pid, why };
    let mut all = Vec::new();
    for thread in threads {
        let path = Path::new("/proc").join(pid.to_string()).join("task").join(thread);
        let text = fs::read_to_string(path.join("children"));
        let text = match text {
            // The thread may have ended.
            Err(error) if error.kind() == ErrorKind::NotFound && !path.exists() => continue,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(unclear("this kernel lists no children (CONFIG_PROC_CHILDREN)"));
            }
            text => text.map_err(failed(pid, "children"))?,
        };
        for child in text.split_whitespace() {
            all.push(child.parse().map_err(|_| unclear("a child has no number"))?);
        }
    }
    // The number may be another's by now.
    if Identity::of(pid)? != process {
        return Err(ProcessError::Gone { pid });
    }
    Ok(all)
}

fn failed(pid: u32, file: &'static str) -> impl Fn(io::Error) -> ProcessError {
    move |source| match source.kind() {
        ErrorKind::NotFound => ProcessError::Gone { pid },
        _ => ProcessError::Read { pid, file, source },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_counts_until_it_was_waited_for() {
        // The shell waits for its first child, and not for its second, which has ended when it says so.
        let script = "/bin/sleep 0; echo; read go; /bin/sh -c 'kill -STOP $$' & echo; read go; kill -KILL $!; exec sleep 600";
        let mut shell = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let process = Identity::of(shell.id()).unwrap();
        let mut said = shell.stdout.take().unwrap();
        let mut next = || said.read_exact(&mut [0]).unwrap();
        next();
        assert_eq!(first_child(process).unwrap(), None);
        let mut stdin = shell.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, b"\n").unwrap();
        next();
        let child = first_child(process).unwrap().unwrap();
        std::io::Write::write_all(&mut stdin, b"\n").unwrap();
        let ended = |pid| super::super::stat(pid).is_ok_and(|stat| stat.has_ended());
        while !ended(child) {
            std::thread::yield_now();
        }
        assert_eq!(first_child(process).unwrap(), Some(child), "nobody has waited for it");
        let other = Identity { start_ticks: process.start_ticks + 1, ..process };
        assert!(matches!(first_child(other), Err(ProcessError::Gone { .. })));
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert!(matches!(first_child(process), Err(ProcessError::Gone { .. })));
    }

    #[test]
    fn of_several_threads_it_cannot_be_told() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        let unclear = first_child(Identity::own().unwrap()).unwrap_err();
        assert!(unclear.to_string().contains("several threads"), "{unclear}");
        drop(stop);
        let _ = thread.join().unwrap();
    }
}
