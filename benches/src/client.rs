//! Clients without a shim: version 1 as `docs/protocol.md` has it, and a request of version 2 that waits.

use std::io::{BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use clawrden_protocol::{Ack, RequestV2};
use serde_json::json;

use crate::Outcome;

/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// A version 1 request, as it goes over the wire.
pub(crate) fn version_1(command: &str, args: &[&str], cwd: &Path) -> Outcome<Vec<u8>> {
    let env: Vec<String> =
        std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    let header = json!({"command": command, "args": args, "cwd": cwd, "env": env}).to_string();
    let mut bytes = u32::try_from(header.len())?.to_be_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    Ok(bytes)
}

/// Sends it on a connection of its own and reads the answer to its end. Gives how much the tool wrote.
pub(crate) fn ask(socket: &Path, request: &[u8]) -> Outcome<u64> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(request)?;
    let mut answer = BufReader::with_capacity(PIECE, stream);
    let mut ack = [0];
    answer.read_exact(&mut ack)?;
    let mut written = 0;
    let mut head = [0; 5];
    loop {
        answer.read_exact(&mut head)?;
        let [kind, a, b, c, d] = head;
        let length = u64::from(u32::from_be_bytes([a, b, c, d]));
        match (kind, ack) {
            (1, [0]) => written += pass_over(&mut answer, length)?,
            (3, [0]) => {
                let mut code = [0];
                answer.read_exact(&mut code)?;
                return if code == [0] {
                    Ok(written)
                } else {
                    Err(format!("it ended with {code:?}").into())
                };
            }
            _ => {
                let mut said = Vec::new();
                answer.take(length).read_to_end(&mut said)?;
                return Err(String::from_utf8_lossy(&said).into_owned().into());
            }
        }
    }
}

/// Reads `length` bytes and forgets them.
pub(crate) fn pass_over(from: &mut BufReader<UnixStream>, length: u64) -> Outcome<u64> {
    use std::io::BufRead;
    let mut left = length;
    while left > 0 {
        let there = from.fill_buf()?.len();
        if there == 0 {
            return Err("the connection ended inside a frame".into());
        }
        let used = there.min(usize::try_from(left).unwrap_or(usize::MAX));
        from.consume(used);
        left -= used as u64;
    }
    Ok(length)
}

/// A version 2 request of this process, as its shim would send it. `id` tells requests apart.
pub(crate) fn version_2(tool: &str, args: &[&str], cwd: &Path, id: u128) -> Outcome<Vec<u8>> {
    let env: Vec<Vec<u8>> = std::env::vars_os()
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect();
    let argv = std::iter::once(tool).chain(args.iter().copied()).map(str::as_bytes);
    let cwd = cwd.as_os_str().as_bytes();
    let env = env.iter().map(Vec::as_slice);
    Ok(RequestV2::new(id.to_be_bytes(), None, tool.as_bytes(), cwd, argv, env)?.encode()?)
}

/// Sends a request that a person must be asked about, and gives the connection that waits.
pub(crate) fn wait_for_a_person(socket: &Path, request: &[u8]) -> Outcome<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(request)?;
    let mut ack = [0];
    stream.read_exact(&mut ack)?;
    if ack == [Ack::Pending as u8] {
        return Ok(stream);
    }
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    Err(format!("it was not asked about: {}", String::from_utf8_lossy(&said).escape_debug()).into())
}
