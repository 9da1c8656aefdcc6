//! The terminal, taken over and given back on every way out.

use std::io::{self, Stdout, stdout};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};
use rustix::process::{Signal, getpid, kill_process};

use crate::output::colours;

/// A terminal that shows nothing else.
pub(super) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes it over.
    ///
    /// # Errors
    /// When it takes no modes.
    pub(super) fn take() -> io::Result<Self> {
        // Without colours it does not go back to the usual ones either.
        force_color_output(colours());
        enable_raw_mode()?;
        // From here on it is given back, whatever fails.
        let screen = Self(Terminal::new(CrosstermBackend::new(stdout()))?);
        execute!(stdout(), EnterAlternateScreen)?;
        Ok(screen)
    }

    /// Forgets what it shows, so that the next picture is drawn whole.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.0.clear()
    }

    /// Shows one picture.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(picture).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing more can be done where this fails.
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Stops this process as Ctrl-Z does, until somebody has it go on.
pub(super) fn suspend() {
    // Where nobody could have it go on, the kernel does not stop it.
    let _ = kill_process(getpid(), Signal::TSTP);
}
