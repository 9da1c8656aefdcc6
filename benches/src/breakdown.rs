//! Where one request's time goes, as far as it can be seen from outside and by calling what can be called.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use clawrden_policy::{Facts, Policy};
use clawrden_protocol::frame::{FrameBuffer, Handoff, Strings};
use clawrden_protocol::{Ack, Request, ToClient};
use clawrden_warden::ledger::{self, Argv, Id, Ledger, Method, Record};

use crate::frames::read_request;
use crate::house::{Bench, MIRROR, find, run};
use crate::pairs::{Spread, alternate, micros};
use crate::report::{Report, Row, Unit};
use crate::{Outcome, client};

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let house = bench.house("breakdown", MIRROR)?;
    let mut rows = vec![instant(bench)?];
    rows.extend(seen_by_a_client(bench, &house.socket())?);
    rows.extend(called(bench)?);
    report.group("one request, taken apart", rows);
    Ok(())
}

/// The shim with a warden that answers at once: what two starts and a conversation cost without any thought.
fn instant(bench: &Bench) -> Outcome<Row> {
    let socket = bench.dir().join("instant.sock");
    let listener = UnixListener::bind(&socket)?;
    let mut answer = vec![Ack::Allowed as u8];
    let set = Strings::new(b"").ok_or("no strings are strings")?;
    let path = find("true")?;
    let path = path.as_os_str().as_bytes();
    ToClient::Handoff(Handoff { report: false, by_path: false, path, set }).encode(&mut answer);
    // It ends with this program: nobody connects any more.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answered = stream.map_err(Into::into).and_then(|mut stream| {
                read_request(&mut stream)?;
                Outcome::Ok(stream.write_all(&answer)?)
            });
            if answered.is_err() {
                return;
            }
        }
    });
    let mut native = bench.native("true", &[])?;
    let mut ours = bench.shimmed("true", &[], &socket)?;
    let pair = alternate(bench.rounds(20, 25), || run(&mut native), || run(&mut ours))?;
    Ok(Row::pair("true, by a warden that only says yes", Unit::Micros, &pair).note("the floor"))
}

/// The steps of one request, and the whole of it.
const STAGES: [&str; 5] = [
    "client: connect",
    "client: send the request",
    "client: until the first byte",
    "client: until the handoff",
    "client: all of it",
];

fn seen_by_a_client(bench: &Bench, socket: &Path) -> Outcome<Vec<Row>> {
    let stages = STAGES.iter().zip(client_stages(bench, socket)?);
    Ok(stages.map(|(&what, stage)| Row::value(what, Unit::Micros, stage)).collect())
}

/// What [`one_request`] saw of many requests, each from a process of its own.
pub(crate) fn client_stages(bench: &Bench, socket: &Path) -> Outcome<[Spread; 5]> {
    let runs = if bench.quick() { 40 } else { 200 };
    let mut stages: [Vec<f64>; 5] = Default::default();
    for _ in 0..runs {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--one-request").arg(socket).current_dir(bench.dir()).stdin(Stdio::null());
        let output = command.stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut whole = 0.0;
        for (stage, number) in stages.iter_mut().zip(text.split_whitespace()) {
            let micros: f64 = number.parse()?;
            whole += micros;
            stage.push(micros);
        }
        stages[4].push(whole);
    }
    Ok(stages.map(Spread::of))
}

/// Sends one request and prints, in microseconds since the step before, when what happened.
pub(crate) fn one_request(socket: &Path) -> Outcome<()> {
    let request =
        client::version_2("true", &[], &std::env::current_dir()?, u128::from(std::process::id()))?;
    let mut buffer = FrameBuffer::new();
    let mut bytes = [0; 4096];
    let mut times = vec![Instant::now()];
    let mut stream = UnixStream::connect(socket)?;
    times.push(Instant::now());
    stream.write_all(&request)?;
    times.push(Instant::now());
    let mut ack = [0];
    stream.read_exact(&mut ack)?;
    times.push(Instant::now());
    if ack != [Ack::Allowed as u8] {
        return Err("it was not allowed".into());
    }
    loop {
        if let Some((kind, payload)) = buffer.next_frame()? {
            match ToClient::parse(kind, payload)? {
                ToClient::Handoff(_) => break,
                _ => return Err("it was not handed off".into()),
            }
        }
        match stream.read(&mut bytes)? {
            0 => return Err("the warden went away".into()),
            n => buffer.push(&bytes[..n]),
        }
    }
    times.push(Instant::now());
    for pair in times.windows(2) {
        println!("{:.1}", micros(pair[1] - pair[0]));
    }
    Ok(())
}

/// Parts of the warden that can be called alone.
fn called(bench: &Bench) -> Outcome<Vec<Row>> {
    let request = client::version_2("git", &["status", "--short"], bench.dir(), 7)?.split_off(4);
    let parse = sample(bench, || Ok(Request::parse(request.clone()).map(drop)?))?;
    let policy = Policy::stock();
    let facts = Facts {
        jail: "default",
        name: b"git",
        path: Some(b"/usr/bin/git"),
        tool: Some(b"git"),
        argv: &[b"git", b"status", b"--short"],
        cwd: Some(b"/home/user/project"),
        uid: Some(1000),
        gid: Some(1000),
        changed_env: &[],
        ..Facts::default()
    };
    let decide = sample(bench, || {
        let _ = black_box(policy.decide(black_box(&facts)));
        Ok(())
    })?;
    let (ledger, _) =
        Ledger::open(&bench.dir().join("ledger/alone.jsonl"), &ledger::Options::default())?;
    let before =
        sample(bench, || ledger.append(&before_the_start()).map(|_| ()).map_err(Into::into))?;
    let after =
        sample(bench, || ledger.append(&[after_the_end()]).map(|_| ()).map_err(Into::into))?;
    let row = |what: &str, spread| Row::value(what, Unit::Nanos, spread);
    Ok(vec![
        row("warden: parse the request", parse).note(format!("{} bytes", request.len())),
        row("warden: decide, stock policy", decide).note(format!("{} rules", policy.rule_count())),
        row("warden: three lines into the ledger", before),
        row("warden: the line after the end", after),
    ])
}

/// Nanoseconds that one call takes.
fn sample(bench: &Bench, mut call: impl FnMut() -> Outcome<()>) -> Outcome<Spread> {
    let (samples, runs) = if bench.quick() { (20, 20) } else { (100, 100) };
    let mut all = Vec::new();
    for _ in 0..samples {
        let start = Instant::now();
        for _ in 0..runs {
            call()?;
        }
        all.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(runs));
    }
    Ok(Spread::of(all))
}

const ID: Id = Id([7; 16]);

fn before_the_start() -> [Record; 3] {
    let caller = ledger::Caller {
        uid: Some(1000),
        gid: Some(1000),
        pid: Some(4242),
        ..ledger::Caller::default()
    };
    [
        Record::Requested(ledger::Requested {
            id: ID,
            jail: "default".to_owned(),
            caller,
            argv: Argv::new(&["git", "status", "--short"]),
            cwd: Some("/home/user/project".to_owned()),
            executable: Some("/usr/bin/git".to_owned()),
            version: 2,
        }),
        Record::Decided(ledger::Decided {
            id: ID,
            decision: "allow".to_owned(),
            rule: Some("developer.yaml:100".to_owned()),
            reason: String::new(),
            suggest: None,
            noticed: Vec::new(),
            let_through: false,
            executor: "mirror".to_owned(),
            run_as: None,
        }),
        Record::Started(ledger::Started {
            id: ID,
            executor: "mirror".to_owned(),
            method: Method::Handoff,
            pid: Some(4242),
            stripped: Vec::new(),
            run_as: None,
            ghost: None,
            record: None,
        }),
    ]
}

fn after_the_end() -> Record {
    Record::Finished(ledger::Finished {
        id: ID,
        exit_code: Some(0),
        signal: None,
        exit_source: "kernel".to_owned(),
        duration_ms: 12,
        timed_out: false,
        cancelled: false,
        bytes_out: None,
        error: None,
        recording: None,
    })
}
