//! `clawrden wait ID`: an agent waits for the answer to a request that it made before. It speaks over the intercom as
//! the prisoner that it is in, never over the control plane.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clawrden_api::display;
use clawrden_protocol::limits::{EXIT_DENIED, EXIT_STILL_WAITING, EXIT_UNREACHABLE, RECONNECT};
use clawrden_protocol::{Ack, WaitRequest};
use serde::Serialize;

use crate::connection::socket;
use crate::failure::{Failure, Outcome};
use crate::output::print_json;
use crate::verbs::heard::{self, Heard};

/// Between two looks for a warden that has gone.
const PAUSE: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Exit codes, besides those of every verb:
   0  approved: repeat the command, it will run
  75  still waiting: nobody has answered yet
 126  denied

Examples:
  clawrden wait 7f3a && npm install
  clawrden wait 7f3a --json | jq -r .answer";

/// Wait for the answer to a request, from inside the jail that made it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The request, as the shim named it
    #[arg(value_name = "ID")]
    id: String,
    /// Answer in JSON: `approved`, `denied` or `waiting`, and what was said with it
    #[arg(long)]
    json: bool,
}

/// The answer for programs.
#[derive(Serialize)]
struct Told<'a> {
    id: &'a str,
    answer: &'a str,
    text: Option<&'a str>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Outcome {
    let request = WaitRequest::new(args.id.clone()).and_then(|r| r.encode());
    let request = request.map_err(|_| {
        Failure::Usage(format!(
            "{:?} is no request id: 4 to 32 hex digits, as the shim named it",
            args.id
        ))
    })?;
    let socket = socket()?;
    let unreachable = |e: std::io::Error| {
        Failure::Unreachable(format!(
            "no warden answers at {} ({e}); is this shell governed? CLAWRDEN_SOCKET names the jail's socket",
            socket.display()
        ))
    };
    let ask = || {
        let mut stream = UnixStream::connect(&socket)?;
        stream.write_all(&request)?;
        Ok(stream)
    };
    let heard = wait(ask().map_err(unreachable)?, ask, RECONNECT)?;
    tell(&args.id, heard, args.json)
}

/// Says what was heard, in words or for a program, and by the exit code.
fn tell(id: &str, heard: Heard, json: bool) -> Outcome {
    let (answer, number, text) = match heard {
        Heard::Approved => ("approved", 0, None),
        Heard::Denied(text) => ("denied", EXIT_DENIED, Some(text)),
        Heard::StillWaiting(text) => ("waiting", EXIT_STILL_WAITING, Some(text)),
        Heard::Failed { code: number, text } => return code(number, &display::text(&text)),
        Heard::Odd => return code(EXIT_UNREACHABLE, "the warden's answer is none to a `wait`"),
    };
    if json {
        print_json(&Told { id, answer, text: text.as_deref() })?;
        return Ok(ExitCode::from(number));
    }
    match text {
        None => {
            println!("approved: repeat the command");
            Ok(ExitCode::SUCCESS)
        }
        Some(text) if number == EXIT_DENIED => {
            code(number, &display::text(&format!("denied: {text}")))
        }
        Some(text) => code(number, &display::text(&text)),
    }
}

/// Waits for the answer, also from the wardens that come after the one that was asked. `patience` is how long it goes on
/// without one that acknowledges it.
fn wait<S: Read>(
    first: S,
    ask: impl Fn() -> std::io::Result<S>,
    patience: Duration,
) -> Result<Heard, Failure> {
    let mut deadline = Instant::now() + patience;
    let mut stream = first;
    loop {
        let mut heard = Acked { from: stream, is_acked: None };
        let gone = match listen(&mut heard) {
            // A warden that is started anew knows what waits. Nothing runs by this, so it may be asked as often.
            Err(Failure::Unreachable(gone)) => gone,
            answered => return answered,
        };
        if heard.is_acked == Some(true) {
            deadline = Instant::now() + patience;
        }
        stream = loop {
            if Instant::now() >= deadline {
                return Err(Failure::Unreachable(gone));
            }
            std::thread::sleep(PAUSE);
            if let Ok(stream) = ask() {
                break stream;
            }
        };
    }
}

/// A connection of which is known whether it began with an ack.
struct Acked<S> {
    from: S,
    /// `None` as long as nothing has come.
    is_acked: Option<bool>,
}

impl<S: Read> Read for Acked<S> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        if let (None, Some(first)) = (self.is_acked, into[..read].first()) {
            self.is_acked = Some(*first <= Ack::Pending as u8);
        }
        Ok(read)
    }
}

fn listen(from: &mut impl Read) -> Result<Heard, Failure> {
    heard::answer(from, |text: &str| eprintln!("clawrden: {}", display::text(text)))
}

fn code(code: u8, text: &str) -> Outcome {
    Err(Failure::Code { code, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::UNREACHABLE;
    use clawrden_protocol::ToClient;

    type Part<'a> = &'a dyn Fn(&mut Vec<u8>);

    fn heard(parts: &[Part<'_>]) -> (u8, String) {
        let mut bytes = Vec::new();
        for part in parts {
            part(&mut bytes);
        }
        let told = listen(&mut &bytes[..]).and_then(|heard| tell("7f3a", heard, false));
        match told {
            Ok(_) => (0, String::new()),
            Err(failure) => (failure.code(), failure.to_string()),
        }
    }

    fn ack(ack: Ack) -> impl Fn(&mut Vec<u8>) {
        move |out| out.push(ack as u8)
    }

    fn frame(frame: ToClient<'_>) -> impl Fn(&mut Vec<u8>) + '_ {
        move |out| frame.encode(out)
    }

    #[test]
    fn an_approval_that_comes_behind_notices_is_heard() {
        let heard = heard(&[
            &ack(Ack::Pending),
            &frame(ToClient::Notice("waiting for approval 7f3a")),
            &ack(Ack::Allowed),
            &frame(ToClient::Exit(0)),
        ]);
        assert_eq!(heard.0, 0);
    }

    #[test]
    fn an_exit_that_no_ack_allowed_is_no_approval() {
        for before in [Ack::Pending, Ack::Denied] {
            let heard = heard(&[&ack(before), &frame(ToClient::Exit(0))]);
            assert_eq!(heard.0, EXIT_UNREACHABLE, "{before:?}");
        }
    }

    #[test]
    fn a_denial_gives_126_with_its_reason() {
        let (code, text) = heard(&[
            &ack(Ack::Pending),
            &ack(Ack::Denied),
            &frame(ToClient::Denial { rule: "policy.yaml:3", reason: "use\u{1b}[2J yarn" }),
        ]);
        assert_eq!(code, EXIT_DENIED);
        assert!(text.contains("yarn (policy.yaml:3)") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn nobody_answering_gives_75() {
        let (code, _) =
            heard(&[&ack(Ack::Pending), &frame(ToClient::StillWaiting("still waiting"))]);
        assert_eq!(code, EXIT_STILL_WAITING);
    }

    #[test]
    fn a_failure_without_any_ack_has_its_own_code() {
        let failure = ToClient::Failure { code: 125, text: "no such request" };
        assert_eq!(heard(&[&frame(failure)]), (125, "no such request".into()));
    }

    #[test]
    fn every_cut_of_an_answer_is_unreachable_and_never_an_approval() {
        let mut whole = vec![Ack::Pending as u8];
        ToClient::Notice("n").encode(&mut whole);
        whole.push(Ack::Allowed as u8);
        ToClient::Exit(0).encode(&mut whole);
        for cut in 0..whole.len() {
            let failure = listen(&mut &whole[..cut]).unwrap_err();
            assert_eq!(failure.code(), UNREACHABLE, "cut at {cut}");
        }
    }

    #[test]
    fn a_door_that_opens_and_says_nothing_is_given_up() {
        let patience = PAUSE * 5;
        let asked = std::cell::Cell::new(0);
        let (before, again) = (Instant::now(), || {
            asked.set(asked.get() + 1);
            Ok(&b""[..])
        });
        let failure = wait(&b""[..], again, patience).unwrap_err();
        assert_eq!(failure.code(), UNREACHABLE);
        assert!(before.elapsed() >= patience && (1..=5).contains(&asked.get()), "{}", asked.get());
    }

    #[test]
    fn whoever_is_acknowledged_waits_on_as_long_again() {
        let pending = [Ack::Pending as u8];
        let asked = std::cell::Cell::new(0);
        let again = || {
            asked.set(asked.get() + 1);
            std::thread::sleep(PAUSE);
            Ok(if asked.get() <= 5 { &pending[..] } else { &b""[..] })
        };
        let before = Instant::now();
        assert_eq!(wait(&pending[..], again, PAUSE * 3).unwrap_err().code(), UNREACHABLE);
        // Five times a pause to each side, and then the whole patience.
        assert!(before.elapsed() >= PAUSE * 13, "{:?}", before.elapsed());
        assert!(asked.get() > 5);
    }

    #[test]
    fn a_frame_over_its_limit_is_not_read() {
        let mut bytes = vec![34];
        bytes.extend(u32::MAX.to_be_bytes());
        let refused = format!("{:?}", listen(&mut &bytes[..]).unwrap_err());
        assert!(refused.contains("over its limit"), "{refused}");
    }
}
