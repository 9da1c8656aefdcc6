//! A version 1 client, written from `docs/protocol.md` alone: no code of ours is used.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

/// What came of a version 1 request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub acks: Vec<u8>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit: Option<u8>,
}

/// Sends a request and leaves the rest to the caller.
pub fn send(socket: &Path, header: &Value) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    let json = header.to_string();
    stream.write_all(&u32::try_from(json.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(json.as_bytes()).unwrap();
    stream
}

/// A request's header.
pub fn header(command: &str, args: &[&str], cwd: &Path) -> Value {
    let path = format!("PATH={}", std::env::var("PATH").unwrap());
    json!({
        "command": command,
        "args": args,
        "cwd": cwd,
        "env": [path],
        "identity": {"uid": 0, "gid": 0},
    })
}

/// Sends a request and reads everything that comes back.
pub fn ask(socket: &Path, header: &Value) -> Answer {
    finish(send(socket, header))
}

/// Reads acks and frames to the end of the connection.
pub fn finish(mut stream: UnixStream) -> Answer {
    let mut answer = Answer::default();
    loop {
        let mut ack = [0];
        if stream.read_exact(&mut ack).is_err() {
            return answer;
        }
        answer.acks.push(ack[0]);
        if ack[0] != 2 {
            break;
        }
    }
    let mut head = [0; 5];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).unwrap();
        match head[0] {
            1 => answer.stdout.extend(payload),
            2 => answer.stderr.extend(payload),
            3 => answer.exit = Some(payload[0]),
            other => panic!("frame {other} is not of version 1"),
        }
    }
    answer
}
