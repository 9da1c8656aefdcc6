//! What is measured, set up: wardens with sockets and ledgers of their own, and a folder of shims.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::Outcome;
use crate::pairs::{Rounds, timed};

/// How long a warden may take to serve, and to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Tools that there are shims for.
const TOOLS: [&str; 5] = ["true", "sh", "cat", "wc", "sleep"];

/// Every command runs in the prisoner, as a stock policy has it.
pub(crate) const MIRROR: &str = "default_action: allow\n";
/// Every command runs supervised, on the warden's side.
pub(crate) const LOCAL: &str =
    "default_action: allow\nrules:\n  - {command: \"*\", action: allow, executor: local}\n";

/// What all parts share.
pub(crate) struct Bench {
    dir: TempDir,
    clawrden: PathBuf,
    quick: bool,
}

impl Bench {
    /// Finds the binary, and makes a folder with shims.
    pub(crate) fn new(clawrden: Option<PathBuf>, quick: bool) -> Outcome<Self> {
        let clawrden = match clawrden {
            Some(path) => path,
            None => std::env::current_exe()?.with_file_name("clawrden"),
        };
        if !clawrden.is_file() {
            return Err(
                format!("{} is missing; build it with `make build`", clawrden.display()).into()
            );
        }
        let dir = tempfile::Builder::new().prefix("clawrden-bench-").tempdir()?;
        let bench = Self { dir, clawrden, quick };
        let mut shims = Command::new(&bench.clawrden);
        let made =
            shims.arg("shims").arg(bench.bin()).args(TOOLS).stdout(Stdio::null()).status()?;
        if made.success() { Ok(bench) } else { Err("the shims could not be written".into()) }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The binary that is measured.
    pub(crate) fn clawrden(&self) -> &Path {
        &self.clawrden
    }

    /// The folder of shims.
    pub(crate) fn bin(&self) -> PathBuf {
        self.dir().join("bin")
    }

    pub(crate) fn quick(&self) -> bool {
        self.quick
    }

    /// So many turns of so many runs, or in a quick run a quarter of the runs.
    pub(crate) fn rounds(&self, turns: usize, runs: usize) -> Rounds {
        Rounds {
            turns: if self.quick { turns.min(5) } else { turns },
            runs: if self.quick { runs.div_ceil(3) } else { runs },
        }
    }

    /// Starts a warden. It ends when the house is dropped.
    pub(crate) fn house(&self, name: &str, policy: &str) -> Outcome<House> {
        self.house_with(name, policy, &[])
    }

    /// The same, with further arguments.
    pub(crate) fn house_with(&self, name: &str, policy: &str, extra: &[&str]) -> Outcome<House> {
        let dir = self.dir().join(name);
        fs::create_dir(&dir)?;
        fs::write(dir.join("policy.yaml"), policy)?;
        let log = File::create(dir.join("warden.log"))?;
        let usual = dir.join("ledger.jsonl");
        let is_said = extra.contains(&"--audit");
        let audit = (!is_said).then_some(["--audit".as_ref(), usual.as_os_str()]);
        let audit = audit.into_iter().flatten();
        let warden = Command::new(&self.clawrden)
            .args(["warden".as_ref(), "--socket".as_ref(), dir.join("warden.sock").as_os_str()])
            .args(["--control".as_ref(), dir.join("control.sock").as_os_str()])
            .args(["--policy".as_ref(), dir.join("policy.yaml").as_os_str()])
            .args(audit)
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut house = House { dir, warden };
        let start = Instant::now();
        while UnixStream::connect(house.socket()).is_err() {
            if start.elapsed() > PATIENCE || house.warden.try_wait()?.is_some() {
                let log = fs::read_to_string(house.dir.join("warden.log")).unwrap_or_default();
                return Err(format!("the warden does not serve; its log:\n{log}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(house)
    }

    /// `tool` as it is.
    pub(crate) fn native(&self, tool: &str, args: &[&str]) -> Outcome<Command> {
        self.command(&find(tool)?, tool, args, &self.dir().join("nobody.sock"))
    }

    /// `tool` by way of its shim, governed by the warden at `socket`.
    pub(crate) fn shimmed(&self, tool: &str, args: &[&str], socket: &Path) -> Outcome<Command> {
        self.command(&self.bin().join(tool), tool, args, socket)
    }

    /// The same surroundings for all: nothing but the path that is executed differs.
    pub(crate) fn command(
        &self,
        path: &Path,
        tool: &str,
        args: &[&str],
        socket: &Path,
    ) -> Outcome<Command> {
        let mut command = Command::new(path);
        command
            .arg0(tool)
            .args(args)
            .env("PATH", self.path()?)
            .env("CLAWRDEN_SOCKET", socket)
            .current_dir(self.dir())
            .stdin(null()?)
            .stdout(null()?)
            .stderr(null()?);
        Ok(command)
    }

    /// PATH with the shims in front.
    pub(crate) fn path(&self) -> Outcome<std::ffi::OsString> {
        let usual = std::env::var_os("PATH").unwrap_or_default();
        Ok(std::env::join_paths([self.bin()].into_iter().chain(std::env::split_paths(&usual)))?)
    }
}

/// A warden that serves.
pub(crate) struct House {
    dir: PathBuf,
    warden: Child,
}

impl House {
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("warden.sock")
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.warden.id()
    }

    /// Processor time that it has used so far, of all its threads, in microseconds.
    pub(crate) fn used(&self) -> f64 {
        let tasks =
            fs::read_dir(format!("/proc/{}/task", self.pid())).into_iter().flatten().flatten();
        let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
        let nanos = texts.filter_map(|text| text.split(' ').next()?.parse::<f64>().ok());
        nanos.sum::<f64>() / 1e3
    }

    /// Its ledger's length in bytes.
    pub(crate) fn ledger_bytes(&self) -> u64 {
        fs::metadata(self.dir.join("ledger.jsonl")).map_or(0, |about| about.len())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // In order, so that it takes its cgroups along; by force only where that takes too long.
        let _ = kill_process(Pid::from_child(&self.warden), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            match self.warden.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ = self.warden.kill();
        let _ = self.warden.wait();
    }
}

/// `/dev/null`, opened once, so that no run pays for it.
fn null() -> Outcome<Stdio> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

/// The file that `tool` is on the PATH.
pub(crate) fn find(tool: &str) -> Outcome<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|file| file.is_file());
    found.ok_or_else(|| format!("{tool} is not installed").into())
}

/// Runs it to its end, in microseconds. Anything but success is a failure.
pub(crate) fn run(command: &mut Command) -> Outcome<f64> {
    timed(|| {
        let status = command.status()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{command:?} ended with {status}").into())
        }
    })
}
