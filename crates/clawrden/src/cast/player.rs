//! Showing a recording's events on this terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::reader::{Event, What};
use super::screen::{RESTORE, Screen};
use crate::failure::Failure;

/// How time goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// So many times as fast.
    pub(crate) speed: f64,
    /// Seconds of the longest pause.
    pub(crate) idle_limit: Option<f64>,
}

impl Pace {
    /// How long to wait between two moments, in seconds.
    fn between(self, before: f64, at: f64) -> Duration {
        let pause = (at - before).max(0.0);
        let pause = self.idle_limit.map_or(pause, |limit| pause.min(limit));
        Duration::try_from_secs_f64(pause / self.speed).unwrap_or(Duration::MAX)
    }
}

/// What shows events, and puts the terminal back.
pub(crate) struct Player {
    output: Screen,
    /// Standard output is a terminal, which is put back.
    restores: bool,
    before: f64,
}

impl Player {
    pub(crate) fn new() -> Self {
        let restores = io::stdout().is_terminal();
        Self { output: Screen::default(), restores, before: 0.0 }
    }

    /// Waits as long as it took until then.
    pub(crate) async fn wait_for(&mut self, event: &Event, pace: Pace) {
        let pause = pace.between(self.before, event.at);
        self.before = event.at;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event) -> Result<(), Failure> {
        let written = match &event.what {
            What::Output(text) => {
                let shown = self.output.show(text);
                let mut out = io::stdout().lock();
                out.write_all(shown.as_bytes()).and_then(|()| out.flush())
            }
            What::Marker(text) => {
                let said = Screen::plain().show(text);
                let mut err = io::stderr().lock();
                writeln!(err, "\r\n{said}\r")
            }
            What::Input(_) | What::Resize(..) => Ok(()),
        };
        written.map_err(|error| Failure::Refused(format!("it cannot be shown: {error}")))
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        if self.restores {
            let mut out = io::stdout().lock();
            // Nobody is left to tell when that fails.
            let _ = out.write_all(RESTORE.as_bytes()).and_then(|()| out.flush());
        }
    }
}

/// Resolves when somebody wants this to end, so that the terminal is put back: with 128 and the signal.
pub(crate) async fn interrupted() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = async |kind: SignalKind, code: u8| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
            code
        }
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        code = wait(SignalKind::interrupt(), 130) => code,
        code = wait(SignalKind::terminate(), 143) => code,
        code = wait(SignalKind::hangup(), 129) => code,
        code = wait(SignalKind::quit(), 131) => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_by_as_it_is_wanted() {
        let pace = Pace { speed: 2.0, idle_limit: Some(1.0) };
        assert_eq!(pace.between(1.0, 1.5), Duration::from_millis(250));
        assert_eq!(pace.between(1.0, 9.0), Duration::from_millis(500));
        assert_eq!(pace.between(2.0, 1.0), Duration::ZERO);
        let real = Pace { speed: 1.0, idle_limit: None };
        assert_eq!(real.between(0.0, 9.0), Duration::from_secs(9));
    }
}
