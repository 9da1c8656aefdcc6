//! The desktop of the user that the bridge runs as, by `notify-send`: it is told, and cannot answer.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clawrden_api::{QueueEntry, display};

use crate::card::{Card, Digest, MOST_TOUCHES};
use crate::heard::{Failure, ReplyTo};
use crate::inbox::Inbox;
use crate::service::{Posted, Service, Step};
use crate::words;

/// The one place of a desktop.
pub const PLACE: &str = "desktop";

/// The program.
const PROGRAM: &str = "notify-send";

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether it has ended.
const POLL: Duration = Duration::from_millis(20);

/// Characters that are shown.
const SHOWN: usize = 300;

/// The desktop.
#[derive(Debug, Clone)]
pub struct Desktop {
    program: PathBuf,
}

impl Default for Desktop {
    fn default() -> Self {
        Self::by(PROGRAM)
    }
}

impl Desktop {
    /// Told by this program.
    #[must_use]
    pub fn by(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Shows a notification. Both texts are arguments, never a shell's words; the second is read as markup by desktops.
    async fn show(&self, title: &str, text: &str) -> Result<(), Failure> {
        let text: String = text.chars().take(SHOWN).collect();
        let mut command = Command::new(&self.program);
        command
            .args(["--app-name=clawrden", "--"])
            .args([title, &escaped(&text)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let came = tokio::task::spawn_blocking(move || run(command)).await;
        came.unwrap_or_else(|error| Err(Failure::Now(error.to_string())))
    }
}

/// Runs it, and ends it when it takes too long.
fn run(mut command: Command) -> Result<(), Failure> {
    let mut child = command.spawn().map_err(|error| {
        let program = command.get_program().display();
        Failure::Never(format!("{program} cannot be started: {error}; install libnotify"))
    })?;
    let failed = |error: std::io::Error| Failure::Now(error.to_string());
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                return Err(Failure::Now(format!(
                    "notify-send ended with {status}; is there a desktop session, and does DBUS_SESSION_BUS_ADDRESS \
                     name it?"
                )));
            }
            None => std::thread::sleep(POLL),
        }
    }
    // It may have ended by itself by now.
    let _ = child.kill();
    child.wait().map_err(failed)?;
    Err(Failure::Now("notify-send takes too long".to_owned()))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Adds the paths that a command names, as many as there is room for.
fn add_touched(text: &mut String, entry: &QueueEntry) {
    let room = SHOWN.saturating_sub(text.chars().count());
    let lines = (0..=MOST_TOUCHES).rev().map(|most| {
        let lines = words::touched(entry, most);
        lines.iter().map(|line| format!("\n{}", display::text(line))).collect::<String>()
    });
    text.extend(lines.into_iter().find(|lines| lines.chars().count() <= room));
}

fn posted(message: &str) -> Posted {
    Posted { place: PLACE.to_owned(), message: message.to_owned() }
}

impl Service for Desktop {
    fn name(&self) -> &'static str {
        "desktop"
    }

    async fn post(&self, _: &str, card: &Card) -> Result<Posted, Failure> {
        let entry = &card.entry;
        let mut text = format!(
            "{}\njail {}: {}\nclawrden approve {}",
            display::command(&entry.argv),
            display::text(&entry.jail),
            display::text(&entry.reason),
            display::text(&entry.short)
        );
        add_touched(&mut text, entry);
        self.show(&words::headline(card), &text).await?;
        Ok(posted(&entry.id))
    }

    async fn edit(&self, _: &Posted, _: &Card) -> Result<(), Failure> {
        // What was shown is gone.
        Ok(())
    }

    async fn reply(&self, _: &Posted, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn digest(
        &self,
        _: &str,
        before: Option<&Posted>,
        digest: &Digest,
    ) -> Result<Posted, Failure> {
        if before.is_none() {
            let title = format!("{} commands wait for an answer", digest.waiting);
            self.show(&title, "clawrden queue lists them").await?;
        }
        Ok(posted("digest"))
    }

    async fn tell(&self, _: &ReplyTo, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn listen(&self, inbox: Inbox) -> Failure {
        // There is nobody to be heard.
        let _hearing = inbox.hearing();
        std::future::pending().await
    }

    async fn test(&self, _: &str) -> Vec<Step> {
        let shown = self.show("Clawrden", "this is a test; nothing waits").await;
        let failed = shown.err().map(|failure| failure.to_string());
        vec![Step { what: "the desktop shows a notification".to_owned(), failed }]
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::entry::touching;

    #[tokio::test]
    async fn what_a_prisoner_chose_is_an_argument_and_no_markup() {
        let folder = tempfile::tempdir().unwrap();
        let (program, said) = (folder.path().join("notify"), folder.path().join("said"));
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\n", said.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let desktop = Desktop::by(&program);
        let mut card = crate::testing::kept("abcdef").card;
        card.entry.argv = vec!["--help".into(), "<b>$(reboot)&\u{1b}[31m".into()];
        let told = async |card: &Card| -> Vec<String> {
            desktop.post(PLACE, card).await.unwrap();
            std::fs::read_to_string(&said).unwrap().lines().map(str::to_owned).collect()
        };
        let lines = told(&card).await;
        let said = lines.join("\n");
        assert_eq!(lines[..3], ["--app-name=clawrden", "--", "A command waits for an answer"]);
        assert!(lines[3].contains("&lt;b&gt;$(reboot)&amp;"), "{said}");
        assert!(!said.contains('\u{1b}') && !said.contains('<'), "{said}");
        assert!(!said.contains("may touch"), "{said}");
        touching(&mut card.entry, &[("/w/<b>\u{202e}", "missing")]);
        assert_eq!(told(&card).await[6..], ["may touch (not there yet): /w/&lt;b&gt;\\u202e"]);
        let many = [("/w/a", "file"), ("/w/b", "folder"), (&"x".repeat(200), "file")];
        touching(&mut card.entry, &many);
        let found = told(&card).await;
        let end = ["may touch (file): /w/a", "may touch (folder): /w/b", "and may touch 1 more"];
        assert_eq!(found[6..], end);
        card.entry.argv = vec!["x".repeat(SHOWN)];
        assert!(!told(&card).await.concat().contains("may touch"));
        let absent = Desktop::by(folder.path().join("none"));
        assert!(matches!(absent.post(PLACE, &card).await, Err(Failure::Never(_))));
        assert!(absent.test(PLACE).await[0].failed.is_some());
    }
}
