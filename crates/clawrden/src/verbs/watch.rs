//! `clawrden watch`: answers for a second terminal, one request after the other. The warden says when something waits.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clawrden_api::{AnswerRequest, Queue, QueueEntry, display};
use tokio::sync::mpsc;

use crate::connection::{Connection, block_on};
use crate::failure::{Failure, Outcome, done};
use crate::output::{Tone, paint};
use crate::verbs::answer::{Answer, told};
use crate::verbs::follow::{Change, Follow, Told};
use crate::verbs::{approvals, queue};
use crate::when;

/// What was typed before a request was shown for so long was meant for another one.
const READ_FIRST: Duration = Duration::from_millis(500);

/// Characters of a command that a notification shows.
const SHOWN: usize = 200;

const ASK: &str = "[a]pprove, [d]eny REASON, [s]kip, [q]uit > ";

const EXAMPLES: &str = "\
At each request:
  a             approve it, once; with a reason behind it where one is wanted
  d REASON      deny it; the agent is told the reason, so that it can act on it
  s             leave it to somebody else
  q, Ctrl-D     end

Examples:
  clawrden watch
  clawrden --host https://warden.example:8080 --token-file token watch";

/// Answer requests as they come, one after the other
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// No desktop notification; without this there is one where `notify-send` is installed
    #[arg(long)]
    no_notify: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args, control: Option<&Path>) -> Outcome {
    let connection = Connection::new(control)?;
    block_on(watch(&connection, args))??;
    done()
}

async fn watch(connection: &Connection, args: &Args) -> Result<(), Failure> {
    let mut lines = typed()?;
    let mut follow = Follow::new(connection);
    let mut desk = Desk::default();
    let mut notifier = Notifier::new((!args.no_notify).then(|| "notify-send".into()));
    loop {
        tokio::select! {
            change = follow.next() => match change? {
                Change::Queue(queue, answers) => {
                    let fresh = desk.take(queue, &answers);
                    notifier.tell(&fresh);
                }
                Change::Gone(why) => desk.say(Tone::Bad, &why),
            },
            line = lines.recv() => match desk.hear(line.as_deref().unwrap_or("q"), Instant::now()) {
                Wanted::Nothing => {}
                Wanted::End => {
                    println!();
                    return Ok(());
                }
                Wanted::Answer(id, answer, reason) => {
                    let request = AnswerRequest { reason, ..AnswerRequest::default() };
                    let sent = match answer {
                        Answer::Approve => connection.client.approve(&id, &request).await,
                        Answer::Deny => connection.client.deny(&id, &request).await,
                    };
                    match sent {
                        Ok(answered) => desk.say(Tone::Good, &told(&answered, &request, when::now_ms())),
                        Err(error) => {
                            // It may be closed by now; where it is not, it is asked about again.
                            desk.refused = Some(id);
                            follow.look_again();
                            desk.say(Tone::Bad, &Connection::failure(error).to_string());
                        }
                    }
                }
            },
        }
        desk.show(Instant::now())?;
    }
}

/// The lines that are typed, until there are no more.
fn typed() -> Result<mpsc::Receiver<String>, Failure> {
    let (sender, lines) = mpsc::channel(1);
    let read = move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    };
    let started = std::thread::Builder::new().name("typed".to_owned()).spawn(read);
    started.map_err(|e| Failure::Refused(format!("no thread can be had to read answers: {e}")))?;
    Ok(lines)
}

/// Forgets what was typed at a terminal and not sent yet: it was meant for what was shown then.
fn forget_typed() {
    // Where no terminal is, nothing is half typed.
    let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
}

/// Tells the desktop, with one notification at a time.
struct Notifier {
    /// `None` where there is nothing to tell it with.
    program: Option<PathBuf>,
    running: Option<Child>,
}

impl Notifier {
    fn new(program: Option<PathBuf>) -> Self {
        Self { program, running: None }
    }

    /// Tells of what came. Whoever asks much starts no more than one, which speaks for all of it.
    fn tell(&mut self, fresh: &[QueueEntry]) {
        let (Some(program), [first, more @ ..]) = (&self.program, fresh) else { return };
        // One that was told before is waited for here, once it has ended.
        if self.running.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            return;
        }
        let command: String = display::command(&first.argv).chars().take(SHOWN).collect();
        // A desktop reads markup in it.
        let mut text = command.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        if !more.is_empty() {
            text.push_str(&format!(" and {} more", more.len()));
        }
        let started = Command::new(program)
            .args(["--app-name=clawrden", "--", "A command waits for you", &text])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.running = started.ok();
        if self.running.is_none() {
            self.program = None;
        }
    }
}

/// What somebody at the terminal wants.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    End,
    Answer(String, Answer, Option<String>),
}

/// What waits, and which of it is being asked about.
#[derive(Default)]
struct Desk {
    queue: Vec<QueueEntry>,
    known: BTreeSet<String>,
    skipped: BTreeSet<String>,
    /// The one whose answer was not taken, until the queue was looked at again.
    refused: Option<String>,
    /// Its id, and since when it is shown.
    asked: Option<(String, Instant)>,
    was_told: bool,
}

impl Desk {
    /// Takes the queue as it is by now, and gives what is new in it.
    fn take(&mut self, queue: Queue, answers: &[Told]) -> Vec<QueueEntry> {
        self.queue = queue.entries;
        if let Some(id) = self.refused.take() {
            self.skipped.remove(&id);
        }
        let ids: BTreeSet<String> = self.queue.iter().map(|entry| entry.id.clone()).collect();
        let is_new = |entry: &&QueueEntry| !self.known.contains(&entry.id);
        let fresh = self.queue.iter().filter(is_new).cloned().collect();
        if let Some((id, _)) = self.asked.take_if(|(id, _)| !ids.contains(id)) {
            forget_typed();
            let text = match answers.iter().find(|told| told.entry == id) {
                Some(told) => format!("{} by {}", told.event, display::text(&told.approver)),
                None => "it waits no longer".to_owned(),
            };
            println!();
            self.say(Tone::Warn, &text);
        }
        self.skipped.retain(|id| ids.contains(id));
        self.known = ids;
        fresh
    }

    /// Understands a line that was typed at this moment.
    fn hear(&mut self, line: &str, now: Instant) -> Wanted {
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        if matches!(word, "q" | "quit") {
            return Wanted::End;
        }
        let Some((id, shown)) = &self.asked else { return Wanted::Nothing };
        if now.duration_since(*shown) < READ_FIRST {
            self.say(Tone::Warn, "that was typed before this request was shown; say it again");
            self.asked = None;
            return Wanted::Nothing;
        }
        let id = id.clone();
        match word {
            "a" | "approve" | "d" | "deny" => {
                self.asked = None;
                // Until the warden tells, it is not asked about again.
                self.skipped.insert(id.clone());
                let reason = Some(rest.trim().to_owned()).filter(|reason| !reason.is_empty());
                let approves = word.starts_with('a');
                Wanted::Answer(id, if approves { Answer::Approve } else { Answer::Deny }, reason)
            }
            "s" | "skip" => {
                self.asked = None;
                self.skipped.insert(id);
                Wanted::Nothing
            }
            _ => {
                print!("{ASK}");
                let _ = std::io::stdout().flush();
                Wanted::Nothing
            }
        }
    }

    fn say(&self, tone: Tone, text: &str) {
        println!("{}", paint(tone, text));
    }

    /// Shows the next request, where none is being asked about.
    fn show(&mut self, now: Instant) -> Result<(), Failure> {
        if self.asked.is_some() {
            return Ok(());
        }
        let next = self.queue.iter().find(|entry| !self.skipped.contains(&entry.id));
        let Some(entry) = next else {
            if !std::mem::replace(&mut self.was_told, true) {
                println!("{}", paint(Tone::Quiet, "nothing waits; what comes is shown here"));
            }
            return Ok(());
        };
        self.was_told = false;
        let more = self.queue.iter().filter(|entry| !self.skipped.contains(&entry.id)).count() - 1;
        let more = if more == 0 { String::new() } else { format!(", {more} more wait") };
        let jail = display::text(&entry.jail);
        println!(
            "\n{} {}",
            paint(Tone::Strong, &entry.short),
            paint(Tone::Quiet, &format!("jail {jail}{more}"))
        );
        println!("{}", queue::told(entry, when::now_ms()));
        if approvals::needs_reason(entry) {
            println!("a yes needs a reason: a REASON");
        }
        print!("{ASK}");
        forget_typed();
        self.asked = Some((entry.id.clone(), now));
        std::io::stdout().flush().map_err(|e| Failure::Refused(format!("cannot be shown: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(ids: &[&str]) -> Queue {
        let entry = |id: &&str| {
            let json = serde_json::json!({
                "id": id, "short": id, "jail": "", "caller": {}, "argv": ["git", "push"], "executor": "", "reason": "",
                "noticed": [], "labels": {}, "since_ms": 0, "expires_ms": 0, "callers": 1,
            });
            serde_json::from_value::<QueueEntry>(json).unwrap()
        };
        Queue { entries: ids.iter().map(entry).collect(), next: None }
    }

    fn desk(ids: &[&str]) -> (Desk, Instant) {
        let (mut desk, now) = (Desk::default(), Instant::now());
        assert_eq!(desk.take(queue(ids), &[]).len(), ids.len());
        desk.show(now).unwrap();
        (desk, now)
    }

    #[test]
    fn requests_are_answered_one_after_the_other() {
        let (mut desk, mut now) = desk(&["aaaa", "bbbb"]);
        now += READ_FIRST;
        let answer = Wanted::Answer("aaaa".into(), Answer::Deny, Some("use a branch".into()));
        assert_eq!(desk.hear("d  use a branch ", now), answer);
        desk.show(now).unwrap();
        assert_eq!(desk.hear("what?", now + READ_FIRST), Wanted::Nothing);
        let answer = Wanted::Answer("bbbb".into(), Answer::Approve, None);
        assert_eq!(desk.hear("a", now + READ_FIRST), answer);
        assert_eq!(desk.hear("q", now), Wanted::End);
    }

    #[test]
    fn what_was_typed_for_another_request_answers_none() {
        let (mut desk, mut now) = desk(&["aaaa"]);
        now += READ_FIRST;
        // Somebody else answers, the next one takes its place, and the finger was on its way.
        assert_eq!(desk.take(queue(&["bbbb"]), &[]).len(), 1);
        assert_eq!(desk.hear("a", now), Wanted::Nothing, "nothing is asked about");
        desk.show(now).unwrap();
        assert_eq!(desk.hear("a", now + READ_FIRST / 2), Wanted::Nothing, "too soon");
        desk.show(now).unwrap();
        assert_eq!(desk.asked.as_ref().unwrap().0, "bbbb");
    }

    #[test]
    fn what_is_skipped_is_not_asked_about_again() {
        let (mut desk, now) = desk(&["aaaa", "bbbb"]);
        assert_eq!(desk.hear("s", now + READ_FIRST), Wanted::Nothing);
        assert!(desk.take(queue(&["aaaa", "bbbb"]), &[]).is_empty());
        desk.show(now).unwrap();
        assert_eq!(desk.asked.as_ref().unwrap().0, "bbbb");
    }

    #[test]
    fn the_desktop_is_told_once_of_all_that_came_and_of_nothing_while_that_runs() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let (program, said) = (folder.path().join("notify"), folder.path().join("said"));
        let script = format!(
            "#!/bin/sh\necho \"$4\" >> '{}'\nread line < '{}'\n",
            said.display(),
            folder.path().join("end").display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let end = folder.path().join("end");
        assert!(Command::new("mkfifo").arg(&end).status().unwrap().success());
        let mut notifier = Notifier::new(Some(program));
        notifier.tell(&queue(&["a", "b", "c"]).entries);
        notifier.tell(&queue(&["d"]).entries);
        std::fs::write(&end, "\n").unwrap();
        assert!(notifier.running.as_mut().unwrap().wait().unwrap().success());
        assert_eq!(std::fs::read_to_string(&said).unwrap(), "git push and 2 more\n");
        notifier.tell(&queue(&["e"]).entries);
        std::fs::write(&end, "\n").unwrap();
        assert!(notifier.running.as_mut().unwrap().wait().unwrap().success());
        assert_eq!(std::fs::read_to_string(&said).unwrap(), "git push and 2 more\ngit push\n");
        let mut nobody = Notifier::new(Some(folder.path().join("none")));
        nobody.tell(&queue(&["a"]).entries);
        assert!(nobody.running.is_none() && nobody.program.is_none());
    }
}
