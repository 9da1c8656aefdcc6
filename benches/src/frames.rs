//! The real shim and the real runner with streams as frames between them. The rule language has no executor yet that
//! carries a version 2 client's streams so; this program stands in for the warden up to the moment it steps aside.

use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clawrden_protocol::runner::{ARGV0, FromRunner, Plan, Streams, ToRunner, parse_head};
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{getgid, getuid};

use crate::Outcome;
use crate::house::{Bench, find};

/// Milliseconds that a tool has to end; it never comes to that here.
const GRACE: u32 = 1000;

/// A socket at which shims find a runner.
pub(crate) struct Frames {
    listener: UnixListener,
    socket: PathBuf,
    shim: PathBuf,
    cwd: PathBuf,
}

/// A runner at work.
pub(crate) struct Run {
    runner: Child,
    orders: UnixStream,
}

impl Frames {
    pub(crate) fn new(bench: &Bench) -> Outcome<Self> {
        let socket = bench.dir().join("frames.sock");
        let (shim, cwd) = (bench.bin().join("clawrden-shim"), bench.dir().to_owned());
        Ok(Self { listener: UnixListener::bind(&socket)?, socket, shim, cwd })
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Takes the next shim's request and lets a runner serve it with this tool.
    pub(crate) fn serve(&self, tool: &str, args: &[&str]) -> Outcome<Run> {
        let (mut client, _) = self.listener.accept()?;
        read_request(&mut client)?;
        let (orders, theirs) = UnixStream::pair()?;
        let runner = Command::new(&self.shim)
            .arg0(std::str::from_utf8(ARGV0)?)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let executable = open(find(tool)?, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let cwd =
            open(&self.cwd, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let bytes = ToRunner::Plan(Box::new(self.plan(tool, args)?)).encode();
        let files = [client.as_fd(), executable.as_fd(), cwd.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&files));
        let sent = sendmsg(&orders, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
        if sent < bytes.len() {
            return Err("the plan did not fit into the runner's socket".into());
        }
        Ok(Run { runner, orders })
    }

    fn plan(&self, tool: &str, args: &[&str]) -> Outcome<Plan> {
        let cwd = std::fs::metadata(&self.cwd)?;
        let words = std::iter::once(tool).chain(args.iter().copied());
        let path = std::env::var_os("PATH").unwrap_or_default();
        Ok(Plan {
            streams: Streams::Frames,
            version_2: true,
            uid: getuid().as_raw(),
            gid: getgid().as_raw(),
            groups: Vec::new(),
            umask: 0o022,
            nice: 0,
            limits: Vec::new(),
            ignored: 0,
            blocked: 0,
            tty: None,
            grace_ms: GRACE,
            cwd: Some((cwd.dev(), cwd.ino())),
            place: Vec::new(),
            script: Vec::new(),
            keep_open: false,
            warden_first: false,
            most_out: u64::MAX,
            argv: words.map(|word| word.as_bytes().to_vec()).collect(),
            env: vec![[b"PATH=", path.as_bytes()].concat()],
        })
    }
}

impl Run {
    /// Waits until the runner has nothing left to do, and lets it go.
    pub(crate) fn end(mut self) -> Outcome<()> {
        loop {
            let mut head = [0; 5];
            self.orders.read_exact(&mut head)?;
            let (kind, length) = parse_head(head)?;
            let mut payload = vec![0; usize::try_from(length)?];
            self.orders.read_exact(&mut payload)?;
            match FromRunner::parse(kind, &payload)? {
                FromRunner::Idle => break,
                FromRunner::Failed { text, .. } => {
                    return Err(String::from_utf8_lossy(&text).into());
                }
                FromRunner::Started(_) | FromRunner::Finished { .. } => {}
            }
        }
        drop(self.orders);
        self.runner.wait()?;
        Ok(())
    }
}

/// Reads a request and forgets it.
pub(crate) fn read_request(client: &mut UnixStream) -> Outcome<()> {
    let mut head = [0; 4];
    client.read_exact(&mut head)?;
    let mut request = vec![0; usize::try_from(u32::from_be_bytes(head))?];
    client.read_exact(&mut request)?;
    Ok(())
}
