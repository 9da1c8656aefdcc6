//! A warden that does as a test tells it, and the two builds of the shim.
// Each test program uses a part of this; a helper that fails fails the test.
#![allow(dead_code, clippy::unwrap_used)]

use std::ffi::OsStr;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use clawrden_protocol::frame::{Handoff, Status, Strings};
use clawrden_protocol::request::RequestV2;
use clawrden_protocol::runner::{FromRunner, Plan, Streams, ToRunner, parse_head};
use clawrden_protocol::{Ack, FrameBuffer, Request, ToClient};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// No answer within this time is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The ordinary build and the raw build.
pub(crate) fn shims() -> [PathBuf; 2] {
    [env!("CARGO_BIN_EXE_clawrden-shim").into(), raw().into()]
}

/// The raw build, made once with a target folder of its own.
pub(crate) fn raw() -> &'static Path {
    static RAW: OnceLock<PathBuf> = OnceLock::new();
    RAW.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        let target = root.join("target/shim-test");
        let done = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "clawrden-shim", "--profile", "shim"])
            .args(["--features", "raw", "--target-dir"])
            .arg(&target)
            .current_dir(root)
            .status()
            .unwrap();
        assert!(done.success(), "the raw build failed");
        target.join("shim/clawrden-shim")
    })
}

/// A socket in a folder of its own.
pub(crate) struct Warden {
    pub(crate) folder: tempfile::TempDir,
    listener: UnixListener,
}

impl Warden {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("warden.sock")).unwrap();
        Self { folder, listener }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("warden.sock")
    }

    /// A command that runs `shim` under the name of a tool against this warden.
    pub(crate) fn command(&self, shim: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(shim);
        command.args(args).env("CLAWRDEN_SOCKET", self.socket());
        command
    }

    /// The next shim and its request.
    pub(crate) fn asked(&self) -> (Client, RequestV2) {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client { stream, frames: FrameBuffer::new() };
        let mut length = [0; 4];
        client.stream.read_exact(&mut length).unwrap();
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        client.stream.read_exact(&mut bytes).unwrap();
        let Ok(Request::V2(request)) = Request::parse(bytes) else { panic!("no request") };
        (client, request)
    }
}

/// A shim's connection, seen from the warden.
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    frames: FrameBuffer,
}

impl Client {
    pub(crate) fn send(&mut self, frame: &ToClient<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.stream.write_all(&[byte]).unwrap();
    }

    /// Allows by handoff.
    pub(crate) fn hand_off(&mut self, report: bool, path: &str, set: &[u8]) {
        let (path, set) = (path.as_bytes(), Strings::new(set).unwrap());
        self.hand_over(Handoff { report, by_path: false, path, set });
    }

    /// Allows by this handoff.
    pub(crate) fn hand_over(&mut self, handoff: Handoff<'_>) {
        self.byte(0);
        self.send(&ToClient::Handoff(handoff));
    }

    /// The next frame: its type and payload; `None` at the end.
    pub(crate) fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((kind, payload)) = self.frames.next_frame().unwrap() {
                return Some((kind, payload.to_vec()));
            }
            let mut room = vec![0; 256 * 1024];
            match self.stream.read(&mut room) {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.frames.push(&room[..n]),
            }
        }
    }
}

/// A plan that runs `argv` as ourselves.
pub(crate) fn plan(argv: &[&str]) -> Plan {
    Plan {
        streams: Streams::Descriptors,
        version_2: true,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        groups: rustix::process::getgroups().unwrap().iter().map(|g| g.as_raw()).collect(),
        umask: 0o22,
        nice: 0,
        limits: Vec::new(),
        ignored: 0,
        blocked: 0,
        tty: None,
        grace_ms: 500,
        cwd: None,
        place: Vec::new(),
        script: Vec::new(),
        keep_open: false,
        warden_first: false,
        most_out: u64::MAX,
        argv: argv.iter().map(|a| a.as_bytes().to_vec()).collect(),
        env: vec![b"PATH=/usr/bin:/bin".to_vec(), b"TERM=dumb".to_vec()],
    }
}

/// A runner, seen from the warden.
pub(crate) struct Runner {
    pub(crate) child: Child,
    pub(crate) socket: UnixStream,
}

impl Runner {
    /// Starts a runner for a connection and gives it the plan.
    pub(crate) fn start(
        shim: &Path,
        client: impl Into<OwnedFd>,
        plan: &Plan,
        executable: &str,
    ) -> Self {
        let cwd = (plan.streams == Streams::Frames).then(|| open("/"));
        Self::start_with(shim, client, plan, &open(executable), cwd.as_ref())
    }

    pub(crate) fn start_with(
        shim: &Path,
        client: impl Into<OwnedFd>,
        plan: &Plan,
        executable: &OwnedFd,
        cwd: Option<&OwnedFd>,
    ) -> Self {
        let runner = Self::bare(shim);
        runner.send(&client.into(), plan, executable, cwd);
        runner
    }

    /// Gives a runner that waits its plan.
    pub(crate) fn give(&self, client: impl Into<OwnedFd>, plan: &Plan, executable: &str) {
        self.send(&client.into(), plan, &open(executable), None);
    }

    fn send(&self, client: &OwnedFd, plan: &Plan, executable: &OwnedFd, cwd: Option<&OwnedFd>) {
        if plan.streams == Streams::Descriptors {
            let mut asked = vec![Ack::Allowed as u8];
            ToClient::WantDescriptors.encode(&mut asked);
            // A client that has gone is for the runner to notice.
            let _ = rustix::net::send(client, &asked, rustix::net::SendFlags::NOSIGNAL);
        }
        let fds: Vec<BorrowedFd<'_>> =
            [Some(client), Some(executable), cwd].into_iter().flatten().map(AsFd::as_fd).collect();
        send_with(&self.socket, &ToRunner::Plan(Box::new(plan.clone())).encode(), &fds);
    }

    /// Whether it sleeps, as it does while it waits for its plan.
    pub(crate) fn waits(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        status.contains("State:\tS")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its children.
    pub(crate) fn children(&self) -> Vec<u32> {
        let pid = self.pid();
        let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        listed.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// A runner that has no plan yet.
    pub(crate) fn bare(shim: &Path) -> Self {
        let (socket, theirs) = UnixStream::pair().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = Command::new(shim)
            .arg0(OsStr::new("clawrden-runner"))
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, socket }
    }

    pub(crate) fn stop(&mut self, code: u8, text: &str, now: bool) {
        let text = text.as_bytes().to_vec();
        self.socket.write_all(&ToRunner::Stop { code, text, now }.encode()).unwrap();
    }

    /// The next message; `None` when the runner has gone.
    pub(crate) fn message(&mut self) -> Option<FromRunner> {
        let mut head = [0; 5];
        self.socket.read_exact(&mut head).ok()?;
        let (kind, length) = parse_head(head).unwrap();
        let mut payload = vec![0; length as usize];
        self.socket.read_exact(&mut payload).unwrap();
        Some(FromRunner::parse(kind, &payload).unwrap())
    }

    pub(crate) fn started(&mut self) -> u32 {
        match self.message() {
            Some(FromRunner::Started(pid)) => pid,
            other => panic!("not started: {other:?}"),
        }
    }

    pub(crate) fn finished(&mut self) -> (Status, u64, bool) {
        match self.message() {
            Some(FromRunner::Finished { status, bytes_out, cancelled }) => {
                (status, bytes_out, cancelled)
            }
            other => panic!("not finished: {other:?}"),
        }
    }

    /// Waits until nothing is left under it and it would take another plan, and lets it end.
    pub(crate) fn idle(mut self) {
        assert_eq!(self.message(), Some(FromRunner::Idle));
        self.socket.shutdown(std::net::Shutdown::Write).unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended, which it does when nothing is left under it that it had to end.
    pub(crate) fn gone(mut self) {
        assert_eq!(self.message(), None);
        assert!(self.child.wait().unwrap().success());
    }
}

pub(crate) fn open(path: &str) -> OwnedFd {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Sends bytes with descriptors on the first of them.
pub(crate) fn send_with(socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut room = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut room);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    let n = rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty())
        .unwrap();
    (&*socket).write_all(&bytes[n..]).unwrap();
}

/// Lets the shim run while the warden's part is played, and gives what it printed.
pub(crate) fn played(mut command: Command, play: impl FnOnce()) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    play();
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a process is there and no zombie.
pub(crate) fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

/// Waits until `what` holds.
pub(crate) fn until(what: impl Fn() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !what() {
        assert!(std::time::Instant::now() < end, "waited too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Client {
    pub(crate) fn stream_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }
}
