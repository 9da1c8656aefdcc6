//! Records such as a warden writes them, in great numbers and the same in every run.

use clawrden_warden::ledger::{
    Answered, Argv, Caller, Container, Decided, Finished, Id, Ledger, Method, Record, Requested,
    Started,
};

use crate::Outcome;

/// Requests that are written at once.
const AT_ONCE: usize = 2000;

const TOOLS: [&str; 16] = [
    "git",
    "npm",
    "ls",
    "cat",
    "cargo",
    "/usr/bin/python3",
    "pip",
    "docker",
    "make",
    "rg",
    "sed",
    "curl",
    "kubectl",
    "rm",
    "node",
    "bash",
];
const WORDS: [&str; 20] = [
    "status",
    "push",
    "install",
    "build",
    "--release",
    "origin",
    "main",
    "test",
    "run",
    "-rf",
    "--force",
    "apply",
    "get",
    "pods",
    "add",
    "commit",
    "-m",
    "checkout",
    "src",
    "deploy",
];

/// A row of numbers that look like chance and are the same in every run.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(all.len() as u64)).unwrap_or(0);
        all[at]
    }
}

/// What is written of so many requests. Most are over at once, some are asked about, a few end long after.
pub(crate) fn fill(ledger: &Ledger, requests: u64) -> Outcome<()> {
    let mut chance = Chance(1);
    let mut late = Vec::new();
    for first in (0..requests).step_by(AT_ONCE) {
        let mut records = std::mem::take(&mut late);
        for n in first..(first + AT_ONCE as u64).min(requests) {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            id[8..].copy_from_slice(&n.to_be_bytes());
            let id = Id(id);
            records.push(requested(id, n, &mut chance));
            let decision = match chance.below(10) {
                0 => "deny",
                1 | 2 => "ask",
                _ => "allow",
            };
            let executor = chance.of(&["mirror", "mirror", "mirror", "ghost", "local"]);
            records.push(decided(id, decision, executor, &mut chance));
            let out = if chance.below(20) == 0 { &mut late } else { &mut records };
            if decision == "ask" {
                let approved = chance.below(4) > 0;
                let answer = Answered {
                    reason: Some("looks right".to_owned()),
                    ..Answered::new(id, id, chance.of(&["uid 0", "alice", "bob"]), "cli")
                };
                out.push(if approved { Record::Approved(answer) } else { Record::Denied(answer) });
                if !approved {
                    continue;
                }
            }
            if decision != "deny" {
                out.push(started(id, executor));
                out.push(finished(id, &mut chance));
            }
        }
        ledger.append(&records)?;
    }
    ledger.append(&late)?;
    Ok(())
}

pub(crate) fn requested(id: Id, n: u64, chance: &mut Chance) -> Record {
    let file =
        format!("/work/project-{}/src/module_{}.rs", chance.below(40), chance.below(1_000_000));
    let mut argv = vec![chance.of(&TOOLS).to_owned()];
    argv.extend((0..chance.below(5)).map(|_| chance.of(&WORDS).to_owned()));
    argv.push(if n.is_multiple_of(2) { file } else { format!("--id={n:016x}") });
    let container = (chance.below(3) > 0).then(|| {
        let at = chance.below(60);
        Container {
            id: format!("{:064x}", at.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            name: format!("agent-{at}"),
            image: "node:22".to_owned(),
        }
    });
    Record::Requested(Requested {
        id,
        jail: format!("jail-{}", chance.below(12)),
        caller: Caller {
            uid: Some(1000 + u32::try_from(chance.below(8)).unwrap_or(0)),
            gid: Some(1000),
            pid: Some(u32::try_from(chance.below(4_000_000)).unwrap_or(0)),
            container,
            prisoner: Some(format!("{:08x}", chance.below(300))),
        },
        argv: Argv::new(&argv),
        cwd: Some(format!("/work/project-{}", chance.below(40))),
        executable: Some("/usr/bin/tool".to_owned()),
        version: 2,
    })
}

pub(crate) fn decided(id: Id, decision: &str, executor: &str, chance: &mut Chance) -> Record {
    Record::Decided(Decided {
        id,
        decision: decision.to_owned(),
        rule: Some(format!("/etc/clawrden/policy.yaml:{}", chance.below(150))),
        reason: chance.of(&["writes outside", "network", "needs a look", ""]).to_owned(),
        suggest: None,
        noticed: Vec::new(),
        let_through: false,
        executor: executor.to_owned(),
        run_as: None,
    })
}

pub(crate) fn started(id: Id, executor: &str) -> Record {
    Record::Started(Started {
        id,
        executor: executor.to_owned(),
        method: Method::Handoff,
        pid: None,
        stripped: Vec::new(),
        run_as: None,
        ghost: None,
        record: None,
    })
}

pub(crate) fn finished(id: Id, chance: &mut Chance) -> Record {
    let code = if chance.below(8) > 0 { 0 } else { i32::try_from(chance.below(60)).unwrap_or(0) };
    Record::Finished(Finished {
        id,
        exit_code: Some(code),
        signal: None,
        exit_source: "kernel".to_owned(),
        duration_ms: chance.below(5000),
        timed_out: false,
        cancelled: false,
        bytes_out: None,
        error: None,
        recording: None,
    })
}
