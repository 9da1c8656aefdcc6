//! A client in a process of its own.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clawrden_warden::sockets::bind_private;

use super::http::ask;

/// Tells the copy of the test program what to be: socket, method and path, each on a line.
pub(crate) const HELPER: &str = "CLAWRDEN_TEST_CLIENT";

/// A client in a process of its own, started by the command line `before` if there is one.
pub(crate) struct Helper {
    before: Vec<String>,
    words: Vec<String>,
}

pub(crate) fn helper(before: &[&str]) -> Helper {
    let before = before.iter().map(|&word| word.to_owned()).collect();
    Helper { before, words: Vec::new() }
}

impl Helper {
    pub(crate) fn arg(mut self, word: impl AsRef<Path>) -> Self {
        self.words.push(word.as_ref().to_str().unwrap().to_owned());
        self
    }

    pub(crate) fn args(self, words: [&str; 2]) -> Command {
        let all = self.arg(words[0]).arg(words[1]);
        let itself = std::env::current_exe().unwrap();
        let mut command = match all.before.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(itself);
                command
            }
            None => Command::new(itself),
        };
        command.args(["--exact", "helper_client", "--nocapture"]);
        command.env(HELPER, all.words.join("\n"));
        command
    }
}

/// What the helper's process does.
pub(crate) fn be_a_client() {
    let Ok(words) = std::env::var(HELPER) else { return };
    let words: Vec<&str> = words.split('\n').collect();
    let (socket, method, path) = (words[0], words[1], words[2]);
    match method {
        "HOLD" => {
            let _bound = bind_private(Path::new(socket), 0o600).unwrap();
            println!("!");
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        "LEAVE" => leave(socket, path),
        _ => {
            let (status, text) = ask(Path::new(socket), method, path, "");
            println!("said:{status} {text}");
        }
    }
}

/// Connects and leaves the connection to a shell, which waits for `<file>.go`.
fn leave(socket: &str, file: &str) {
    const SCRIPT: &str = "while [ ! -e \"$0.go\" ]; do sleep 0.02; done
        printf 'GET /api/status HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n'
        cat >\"$0\" 2>&2; : >\"$0.done\"";
    let stream = UnixStream::connect(socket).unwrap();
    // Standard output of the shell is the connection, and `cat` reads it from standard input.
    let spoken: OwnedFd = stream.try_clone().unwrap().into();
    let heard: OwnedFd = stream.into();
    Command::new("sh")
        .args(["-c", SCRIPT, file])
        .stdin(Stdio::from(heard))
        .stdout(Stdio::from(spoken))
        .spawn()
        .unwrap();
}
