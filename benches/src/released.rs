//! From a person's yes to the prisoner that goes on: from the first byte of the approval's request at the control socket, by
//! somebody who hears events as every surface does.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clawrden_protocol::frame::FrameBuffer;
use clawrden_protocol::{Ack, ToClient};
use serde_json::Value;

use crate::house::{Bench, House, PATIENCE};
use crate::pairs::{Pair, alternate, micros};
use crate::report::{Budget, Row, Unit};
use crate::{Outcome, client};

/// Others that wait meanwhile, in the second half.
const PENDING: u32 = 1_000;

/// From the yes to the shim that goes on, in microseconds.
const MOST: f64 = 2_000.0;

const ASK: &str = "default_action: ask\n";

/// What is to run: whatever it is, its first byte is what shows that it does.
const TOOL: &str = "cat";

pub(crate) fn measure(bench: &Bench) -> Outcome<Vec<Row>> {
    let house = bench.house("api-released", ASK)?;
    let file = bench.dir().join("one-byte");
    std::fs::write(&file, "x")?;
    let mut person = Person::new(&house)?;
    let mut rows = both(bench, &house, &mut person, &file, "")?;
    let mut waiting = Vec::new();
    for n in 0..PENDING {
        let request = client::version_2("sleep", &[&format!("-{n}")], bench.dir(), n.into())?;
        waiting.push(client::wait_for_a_person(&house.socket(), &request)?);
        person.asked()?;
    }
    let more = format!(", {PENDING} others waiting");
    rows.extend(both(bench, &house, &mut person, &file, &more)?);
    drop(waiting);
    Ok(rows)
}

/// Until the shim has its answer, and until the tool has written something.
fn both(
    bench: &Bench,
    house: &House,
    person: &mut Person,
    file: &Path,
    more: &str,
) -> Outcome<Vec<Row>> {
    let file = file.to_str().ok_or("the folder's name is no text")?;
    let rounds = bench.rounds(10, 10);
    let released = alternate(
        rounds,
        // One process that wakes another one by a socket, and is answered by a pipe: what is left of it without a warden.
        || echoed(bench),
        || person.lets_go(&mut waiter(bench, house)?),
    )?;
    let mut native = bench.native(TOOL, &[file])?;
    let mut ours = bench.shimmed(TOOL, &[file], &house.socket())?;
    let started = alternate(
        rounds,
        || first_byte(&mut native),
        || person.lets_go(&mut ours.stdout(Stdio::piped()).spawn()?),
    )?;
    let row = |what: &str, pair: &Pair| Row::pair(format!("{what}{more}"), Unit::Micros, pair);
    Ok(vec![
        row("from a yes to the shim's answer", &released)
            .budget(Budget::UpTo(MOST))
            .note("native: two processes that wake each other"),
        row(&format!("from a yes to the first byte of {TOOL}"), &started)
            .note("native: from its start"),
    ])
}

/// Whoever answers: hears what waits, and says yes.
struct Person {
    events: BufReader<UnixStream>,
    control: PathBuf,
}

impl Person {
    fn new(house: &House) -> Outcome<Self> {
        let mut events = UnixStream::connect(house.control())?;
        events.set_read_timeout(Some(PATIENCE))?;
        events.write_all(b"GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let mut person = Self { events: BufReader::new(events), control: house.control() };
        person.hears("hello")?;
        Ok(person)
    }

    /// The data of the next event of this name.
    fn hears(&mut self, event: &str) -> Outcome<Value> {
        let (wanted, mut is_it) = (format!("event: {event}"), false);
        loop {
            let mut line = String::new();
            if self.events.read_line(&mut line)? == 0 {
                return Err("there are no more events".into());
            }
            match line.trim_end().split_once("data: ") {
                Some(("", data)) if is_it => return Ok(serde_json::from_str(data)?),
                _ if line.starts_with("event: ") => is_it = line.trim_end() == wanted,
                _ => {}
            }
        }
    }

    /// The next request that waits.
    fn asked(&mut self) -> Outcome<String> {
        let entry = self.hears("waiting")?;
        Ok(entry["entry"]["id"].as_str().ok_or("it has no id")?.to_owned())
    }

    /// Says yes to what `child` asks, and gives how long it was until its first byte.
    fn lets_go(&mut self, child: &mut Child) -> Outcome<f64> {
        let id = self.asked()?;
        let mut call = UnixStream::connect(&self.control)?;
        call.set_read_timeout(Some(PATIENCE))?;
        let head =
            format!("POST /api/queue/{id}/approve HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        let request = format!("{head}content-length: 2\r\n\r\n{{}}");
        let begin = Instant::now();
        call.write_all(request.as_bytes())?;
        read_byte(child)?;
        let took = micros(begin.elapsed());
        let mut answer = String::new();
        call.read_to_string(&mut answer)?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(answer.into());
        }
        ended(child)?;
        Ok(took)
    }
}

fn read_byte(child: &mut Child) -> Outcome<()> {
    let stdout = child.stdout.as_mut().ok_or("its output is not read")?;
    stdout.read_exact(&mut [0])?;
    Ok(())
}

fn ended(child: &mut Child) -> Outcome<()> {
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}").into()) }
}

/// How long it takes from its start to its first byte.
fn first_byte(command: &mut Command) -> Outcome<f64> {
    let begin = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    read_byte(&mut child)?;
    let took = micros(begin.elapsed());
    ended(&mut child)?;
    Ok(took)
}

/// A process of its own that waits as a shim does, and writes a byte when it has its answer.
fn waiter(bench: &Bench, house: &House) -> Outcome<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--one-waiter").arg(house.socket()).current_dir(bench.dir());
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

/// The same of one that is answered at once by this process.
fn echoed(bench: &Bench) -> Outcome<f64> {
    let socket = bench.dir().join("echo.sock");
    let _ = std::fs::remove_file(&socket);
    let listener = std::os::unix::net::UnixListener::bind(&socket)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--one-echo").arg(&socket).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let (mut stream, _) = listener.accept()?;
    // It has said so, and sleeps by now.
    stream.read_exact(&mut [0])?;
    std::thread::sleep(Duration::from_millis(2));
    let begin = Instant::now();
    stream.write_all(b"x")?;
    read_byte(&mut child)?;
    let took = micros(begin.elapsed());
    ended(&mut child)?;
    Ok(took)
}

/// What [`echoed`] starts.
pub(crate) fn one_echo(socket: &Path) -> Outcome<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])?;
    tell()
}

/// What [`waiter`] starts.
pub(crate) fn one_waiter(socket: &Path) -> Outcome<()> {
    let cwd = std::env::current_dir()?;
    let request = client::version_2("true", &[], &cwd, u128::from(std::process::id()))?;
    let mut stream = client::wait_for_a_person(socket, &request)?;
    let mut ack = [0];
    stream.read_exact(&mut ack)?;
    if ack != [Ack::Allowed as u8] {
        return Err("it was not approved".into());
    }
    let (mut buffer, mut bytes) = (FrameBuffer::new(), [0; 4096]);
    loop {
        if let Some((kind, payload)) = buffer.next_frame()? {
            match ToClient::parse(kind, payload)? {
                ToClient::Handoff(_) => return tell(),
                _ => return Err("it was not handed off".into()),
            }
        }
        match stream.read(&mut bytes)? {
            0 => return Err("the warden went away".into()),
            n => buffer.push(&bytes[..n]),
        }
    }
}

fn tell() -> Outcome<()> {
    let mut out = std::io::stdout();
    out.write_all(b"x")?;
    Ok(out.flush()?)
}
