//! Requests, many at once, of every kind: allowed, local, denied, asked about and answered, left, half sent, and killed.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::other::{children, status_number};
use crate::support::{House, raw, until};
use crate::{Chance, books, people, setting};

const POLICY: &str = "
default_action: deny
approval_timeout: 15s
rules:
  - {command: 'true', action: allow}
  - {command: sort, action: allow, executor: local}
  - {command: touch, action: ask}
  - {command: dd, action: ask, executor: local}
  - {command: sh, args: ['-c *'], action: allow}
  - {command: kill, action: allow}
  - {command: sleep, args: ['31'], action: allow}
  - {command: sleep, args: ['32'], action: allow, executor: local}
";

/// Memory that the warden may have more at the end than after a quarter, in KiB.
const GROWN: u64 = 12 * 1024;

#[derive(Debug, Clone, Copy)]
struct Size {
    requests: u64,
    at_once: u64,
    /// Where it ends however much is left.
    time: Duration,
}

struct Soak<'a> {
    house: &'a House,
    size: Size,
    began: Instant,
    next: AtomicU64,
    /// Requests that the warden must know of.
    whole: AtomicU64,
    is_over: AtomicBool,
}

impl Soak<'_> {
    fn take(&self) -> Option<u64> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        (n < self.size.requests && self.began.elapsed() < self.size.time).then_some(n)
    }

    fn quiet(&self, tool: &str, args: &[&str]) -> Command {
        let mut command = self.house.shimmed(tool);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.whole.fetch_add(1, Ordering::Relaxed);
        command
    }

    fn mark(&self, name: &str) -> String {
        self.house.path("marks").join(name).display().to_string()
    }

    /// The file that a command has made, which is removed.
    fn was_made(mark: &str) -> bool {
        fs::remove_file(mark).is_ok()
    }

    fn one(&self, n: u64, chance: &mut Chance) {
        match chance.below(100) {
            0..58 => assert!(self.quiet("true", &[]).status().unwrap().success()),
            58..74 => {
                let mark = self.mark(&format!("local-{n}."));
                let status = self.quiet("sort", &["-o", &mark, "/dev/null"]).status().unwrap();
                assert!(status.success() && Self::was_made(&mark), "{status} {mark}");
            }
            74..82 => assert_eq!(self.quiet("rm", &["x"]).status().unwrap().code(), Some(126)),
            82..85 => {
                let mark = self.mark(&format!("asked-{n}-yes."));
                let status = self.quiet("touch", &[&mark]).status().unwrap();
                assert!(status.success() && Self::was_made(&mark), "{status} {mark}");
            }
            85..86 => {
                let mark = self.mark(&format!("local-{n}-yes."));
                let status = self.quiet("dd", &["if=/dev/null", &format!("of={mark}")]).status();
                let status = status.unwrap();
                assert!(status.success() && Self::was_made(&mark), "{status} {mark}");
            }
            86..89 => {
                let mark = self.mark(&format!("asked-{n}-no."));
                let status = self.quiet("touch", &[&mark]).status().unwrap();
                assert!(status.code() == Some(126) && !Self::was_made(&mark), "{status} {mark}");
            }
            89..90 => {
                let mark = self.mark(&format!("asked-{n}-left."));
                let mut shim = self.quiet("touch", &[&mark]).spawn().unwrap();
                // It may be gone before it has asked.
                self.whole.fetch_sub(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(chance.below(60)));
                shim.kill().unwrap();
                shim.wait().unwrap();
                assert!(!Self::was_made(&mark));
            }
            90..93 => self.half(chance),
            93..95 => {
                let mut bytes = [0; 64];
                bytes.iter_mut().for_each(|byte| *byte = u8::try_from(chance.below(256)).unwrap());
                self.throw(&raw::framed(&bytes));
            }
            95..98 => {
                let status = self.quiet("sh", &["-c", "kill -9 $$"]).status().unwrap();
                assert_eq!(status.signal(), Some(9), "{status}");
            }
            kind => {
                let time = if kind == 98 { "31" } else { "32" };
                let mut shim = self.quiet("sleep", &[time]).spawn().unwrap();
                self.whole.fetch_sub(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(chance.below(60)));
                shim.kill().unwrap();
                shim.wait().unwrap();
            }
        }
    }

    /// A request that is cut off anywhere.
    fn half(&self, chance: &mut Chance) {
        let request = raw::request(self.house.dir.path(), &["rm", "half"], &raw::path());
        let cut = usize::try_from(chance.below(request.len() as u64)).unwrap();
        self.throw(&request[..cut]);
    }

    fn throw(&self, bytes: &[u8]) {
        let Ok(mut stream) = UnixStream::connect(self.house.socket()) else { return };
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// Descriptors of the warden, without the one that each of its runners has, however many wait for work.
fn descriptors(pid: u32) -> usize {
    let all = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    all.saturating_sub(children(pid).len())
}

/// Processes, other than the warden and its runners, that sit in this house.
fn strays(house: &House) -> Vec<String> {
    let runners = children(house.warden.id());
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().into_string().ok());
    let sits = |pid: &String| {
        fs::read_link(Path::new("/proc").join(pid).join("cwd"))
            .is_ok_and(|cwd| cwd.starts_with(house.dir.path()))
    };
    let own = [house.warden.id().to_string(), std::process::id().to_string()];
    pids.filter(|pid| !own.contains(pid) && !runners.contains(pid)).filter(sits).collect()
}

fn soak(size: Size) {
    let house = House::with(POLICY, &["--grace", "300ms"]);
    fs::create_dir(house.path("marks")).unwrap();
    let pid = house.warden.id();
    let now = Instant::now();
    let (next, whole) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let soak = Soak { house: &house, size, began: now, next, whole, is_over };
    for n in 0..50 {
        soak.one(n, &mut Chance(0));
    }
    until("runners that wait", || (!children(pid).is_empty()).then_some(()));
    let before = descriptors(pid);
    let early = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !soak.is_over.load(Ordering::SeqCst) {
                if people::answer(&house.control()) == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        scope.spawn(|| {
            let warden = Pid::from_child(&house.warden);
            let mut told = Instant::now();
            while !soak.is_over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(500));
                let done = soak.next.load(Ordering::Relaxed);
                let part = soak.began.elapsed().as_secs_f64() / size.time.as_secs_f64();
                let part = part.max(done as f64 / size.requests as f64);
                let memory = status_number(pid, "VmRSS");
                if part >= 0.25 && early.load(Ordering::Relaxed) == 0 {
                    early.store(memory, Ordering::Relaxed);
                }
                // A machine that stands still for a moment, as one that swaps does.
                kill_process(warden, Signal::STOP).unwrap();
                std::thread::sleep(Duration::from_millis(20));
                kill_process(warden, Signal::CONT).unwrap();
                if told.elapsed() > Duration::from_secs(20) {
                    told = Instant::now();
                    let time = soak.began.elapsed().as_secs();
                    let open = descriptors(pid);
                    eprintln!("{time} s: {done} requests, {memory} KiB, {open} descriptors");
                }
            }
        });
        let workers: Vec<_> = (0..size.at_once)
            .map(|nth| {
                let soak = &soak;
                scope.spawn(move || {
                    let mut chance = Chance(nth + 1);
                    while let Some(n) = soak.take() {
                        soak.one(n + 1000, &mut chance);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        // What nobody answers runs out of its time.
        let status = || house.json(&["status", "--json"]);
        let is_quiet = || {
            let status = status();
            (status["running"] == 0 && status["pending"] == 0).then_some(())
        };
        let quiet = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until("nothing to run or to wait", is_quiet);
        }));
        soak.is_over.store(true, Ordering::SeqCst);
        ended.into_iter().for_each(|ended| ended.unwrap());
        quiet.unwrap();
    });
    let time = soak.began.elapsed();
    until("no stray process", || strays(&house).is_empty().then_some(()));
    until("no descriptor to be left over", || (descriptors(pid) <= before + 8).then_some(()));
    let late = status_number(pid, "VmRSS");
    let summary = books::holds(house.dir.path());
    let books = books::read(house.dir.path(), "marks/");
    let whole = soak.whole.load(Ordering::Relaxed);
    eprintln!(
        "{whole} whole requests of {} in {:.0} s; {} recorded, {} started, {} approved, {} refused; {} records in {} files; \
         {} KiB after a quarter, {late} at the end, {} at most; {before} descriptors before, {} after",
        soak.next.load(Ordering::Relaxed),
        time.as_secs_f64(),
        books.requested,
        books.started,
        books.approved,
        books.refused,
        summary.last_seq,
        summary.segments,
        early.load(Ordering::Relaxed),
        status_number(pid, "VmHWM"),
        descriptors(pid),
    );
    assert!(books.requested >= whole, "{} recorded of {whole}", books.requested);
    assert_eq!(books.open, 0, "each request has its end");
    assert!(books.marks.values().all(|&times| times == 1), "nothing is started twice");
    assert_eq!(fs::read_dir(house.path("marks")).unwrap().count(), 0, "what a no was said to");
    let early = early.load(Ordering::Relaxed);
    assert!(early == 0 || late <= early + GROWN, "from {early} to {late} KiB");
}

#[test]
fn three_thousand_requests_of_every_kind_leave_nothing_behind() {
    soak(Size { requests: 3000, at_once: 40, time: Duration::from_secs(3600) });
}

#[test]
#[ignore = "long: a million requests; `make soak` runs it"]
fn a_million_requests_of_every_kind_leave_nothing_behind() {
    soak(Size {
        requests: setting("CLAWRDEN_SOAK_REQUESTS", 1_000_000),
        at_once: setting("CLAWRDEN_SOAK_AT_ONCE", 200),
        time: Duration::from_secs(setting("CLAWRDEN_SOAK_SECONDS", 24 * 3600)),
    });
}
