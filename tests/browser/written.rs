//! Ledgers that are there before their warden: written by the ledger's own writer, with what is known of each request.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use clawrden_api::display::rfc3339;
use clawrden_warden::ledger::{
    Answered, Argv, Caller, Decided, Finished, Id, Ledger, Method, Options, Record, Requested,
    Started,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Requests that are written at once.
const AT_ONCE: usize = 2000;

/// One request, and what became of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    pub(crate) argv: Vec<String>,
    pub(crate) jail: String,
    pub(crate) uid: u32,
    /// `allow`, `ask` or `deny`.
    pub(crate) decision: &'static str,
    pub(crate) rule: String,
    /// Whether a person said yes, where one was asked.
    pub(crate) yes: Option<bool>,
    /// How long it ran, where it did.
    pub(crate) took_ms: Option<u64>,
    /// How long before the ledger was written; 0 is when it was.
    pub(crate) ago_ms: u64,
}

impl Past {
    pub(crate) fn new(decision: &'static str, argv: &[&str]) -> Self {
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        let (jail, rule) = ("default".to_owned(), "policy.yaml:3".to_owned());
        Self { argv, jail, rule, decision, uid: 1000, ..Self::default() }
    }

    pub(crate) fn took(self, ms: u64) -> Self {
        Self { took_ms: Some(ms), ..self }
    }

    pub(crate) fn ago(self, ms: u64) -> Self {
        Self { ago_ms: ms, ..self }
    }

    pub(crate) fn answered(self, yes: bool) -> Self {
        Self { yes: Some(yes), ..self }
    }

    /// Its records.
    fn records(self, id: Id) -> Vec<Record> {
        let executor = "mirror".to_owned();
        let asked = Requested {
            id,
            jail: self.jail,
            caller: Caller { uid: Some(self.uid), pid: Some(7), ..Caller::default() },
            argv: Argv::new(&self.argv),
            cwd: Some("/work".to_owned()),
            executable: None,
            version: 2,
        };
        let decided = Decided {
            id,
            decision: self.decision.to_owned(),
            rule: Some(self.rule),
            reason: "by its rule".to_owned(),
            suggest: None,
            noticed: Vec::new(),
            let_through: false,
            executor: executor.clone(),
            run_as: None,
        };
        let mut records = vec![Record::Requested(asked), Record::Decided(decided)];
        records.extend(self.yes.map(|yes| {
            let answer = Answered::new(id, id, "alice", "web");
            if yes { Record::Approved(answer) } else { Record::Denied(answer) }
        }));
        if let Some(duration_ms) = self.took_ms {
            records.push(Record::Started(Started {
                id,
                executor,
                method: Method::Handoff,
                pid: None,
                stripped: Vec::new(),
                run_as: None,
                ghost: None,
                record: None,
            }));
            records.push(Record::Finished(Finished {
                id,
                exit_code: Some(0),
                signal: None,
                exit_source: "kernel".to_owned(),
                duration_ms,
                timed_out: false,
                cancelled: false,
                bytes_out: None,
                error: None,
                recording: None,
            }));
        }
        records
    }
}

/// The id of the request `n`.
fn id(n: u64) -> Id {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&n.to_be_bytes());
    Id(id)
}

/// Writes a ledger that has these requests, the oldest first.
pub(crate) fn write(path: &Path, past: impl Iterator<Item = Past>) {
    let options = Options { signed: false, ..Options::default() };
    let (ledger, _) = Ledger::open(path, &options).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = u64::try_from(now).unwrap();
    let mut times = HashMap::new();
    let mut all = (0..).zip(past).peekable();
    while all.peek().is_some() {
        let mut records = Vec::new();
        for (n, one) in all.by_ref().take(AT_ONCE) {
            if one.ago_ms > 0 {
                times.insert(id(n).to_string(), now - one.ago_ms);
            }
            records.extend(one.records(id(n)));
        }
        ledger.append(&records).unwrap();
    }
    ledger.close();
    if !times.is_empty() {
        set_back(path, &times);
    }
}

/// Gives the records of these requests these times, and chains the lines anew.
fn set_back(path: &Path, times: &HashMap<String, u64>) {
    let hex =
        |text: &str| Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let (mut all, mut before) = (String::new(), "0".repeat(64));
    for line in fs::read_to_string(path).unwrap().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let ms = record["id"].as_str().and_then(|id| times.get(id).copied());
        let ms = ms.unwrap_or_else(|| record["time_ms"].as_u64().unwrap());
        let body = &line[line.find(",\"event\":").unwrap()..line.rfind(",\"prev\":").unwrap()];
        let head = format!(
            "{{\"seq\":{},\"time\":\"{}\",\"time_ms\":{ms}{body},\"prev\":\"{before}\"",
            record["seq"],
            rfc3339(ms)
        );
        let line = format!("{head},\"sum\":\"{}\"}}", &hex(&head)[..16]);
        before = hex(&line);
        all.push_str(&line);
        all.push('\n');
    }
    fs::write(path, all).unwrap();
}
