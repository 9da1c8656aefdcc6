//! Asking the warden whether a command may run, over the intercom of the jail that the agent is in.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;

use clawrden_protocol::RequestV2;
use rustix::rand::{GetRandomFlags, getrandom};

use super::Answer;
use crate::connection::socket;
use crate::verbs::heard::{self, Heard};

/// Asks, and waits for as long as the warden lets it. `notice` hears what is waited for.
pub(super) fn ask(argv: &[Vec<u8>], cwd: &[u8], notice: impl FnMut(&str)) -> Answer {
    let request = match request(argv, cwd) {
        Ok(request) => request,
        Err(why) => return Answer::Broken(why),
    };
    let heard = socket().map_err(|e| e.to_string()).and_then(|socket| {
        let mut stream = UnixStream::connect(&socket)
            .and_then(|mut stream| stream.write_all(&request).map(|()| stream))
            .map_err(|e| {
                format!(
                    "no warden answers at {} ({e}); start one with `clawrden warden`, or the agent with `clawrden run`",
                    socket.display()
                )
            })?;
        heard::answer(&mut stream, notice).map_err(|e| e.to_string())
    });
    match heard {
        Ok(Heard::Approved) => Answer::Allow,
        Ok(Heard::Denied(text) | Heard::StillWaiting(text)) => Answer::Deny(text),
        Ok(Heard::Failed { text, .. }) | Err(text) => Answer::Broken(text),
        Ok(Heard::Odd) => Answer::Broken("the warden's answer is not understood".to_owned()),
    }
}

fn request(argv: &[Vec<u8>], cwd: &[u8]) -> Result<Vec<u8>, String> {
    let mut id = [0; 16];
    let got = getrandom(&mut id, GetRandomFlags::empty());
    if got != Ok(id.len()) {
        return Err("the kernel gives no random bytes".to_owned());
    }
    let env: Vec<Vec<u8>> = std::env::vars_os()
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect();
    let exec = argv.first().map(Vec::as_slice).unwrap_or_default();
    let words = argv.iter().map(Vec::as_slice);
    let mut request = RequestV2::new(id, None, exec, cwd, words, env.iter().map(Vec::as_slice))
        .map_err(|e| format!("the command cannot be sent: {e}"))?;
    request.judge = true;
    request.encode().map_err(|e| format!("the command cannot be sent: {e}"))
}
