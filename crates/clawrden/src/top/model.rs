//! What is known, what is looked at, and what is being typed.

use std::cell::Cell;
use std::time::Instant;

use clawrden_api::{
    ClientError, GrantScope, HistoryEntry, QueueEntry, RunningEntry, Status, display,
};

use super::output::View;
use super::page::{Body, Page};

/// What the warden said last.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) status: Status,
    pub(super) queue: Vec<QueueEntry>,
    pub(super) running: Vec<RunningEntry>,
    pub(super) history: Vec<HistoryEntry>,
}

/// What lies over it, and takes the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Over {
    /// The keys.
    Help,
    /// A line is typed.
    Typing { what: Typed, text: String },
    /// Everything is about to be stopped; for that, `e` or `p`.
    Kill,
    /// It is about to go on again; for that, `r`.
    Resume,
    /// For what this request is to be approved.
    Reach(String, Reach),
}

/// For what an approval is to be good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// Of these, a time is two hours.
    pub(super) scope: GrantScope,
    pub(super) and_what_it_starts: bool,
}

/// What a typed line is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// What the lists must contain.
    Filter,
    /// Why this request may run, and for what it is approved.
    Approval(String, Reach),
    /// Why this request is denied.
    Denial(String),
    /// Why this command is stopped.
    Stop(String),
}

/// All of it.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) known: Known,
    /// When that was said, in milliseconds since the epoch.
    pub(super) heard_ms: u64,
    /// Why it is not known any better.
    pub(super) stale: Option<String>,
    pub(super) page: Page,
    pub(super) body: Body,
    pub(super) over: Option<Over>,
    pub(super) filter: String,
    /// The selected row of each page, by the id of its request: rows come and go.
    selected: [Option<String>; 3],
    /// Since when a row is chosen that had only slipped under the cursor.
    pub(super) slipped: Option<Instant>,
    /// What came of the last order.
    pub(super) told: Option<String>,
    /// The output that is looked at.
    pub(super) view: Option<View>,
    /// How far the whole request can be scrolled, as it was drawn last.
    pub(super) deepest: Cell<u16>,
}

impl Model {
    pub(super) fn new(known: Known, now_ms: u64) -> Self {
        Self {
            known,
            heard_ms: now_ms,
            stale: None,
            page: Page::Queue,
            body: Body::List,
            over: None,
            filter: String::new(),
            selected: [None, None, None],
            slipped: None,
            told: None,
            view: None,
            deepest: Cell::new(0),
        }
    }

    /// Takes what the warden says, or that it says nothing.
    pub(super) fn learn(&mut self, said: Result<Known, ClientError>, now_ms: u64) {
        match said {
            Ok(known) => {
                self.known = known;
                self.heard_ms = now_ms;
                self.stale = None;
            }
            Err(error) => self.stale = Some(error.to_string()),
        }
    }

    fn slot(&self) -> usize {
        Page::ALL.iter().position(|&page| page == self.page).unwrap_or(0)
    }

    fn fits(&self, argv: &[String], jail: &str) -> bool {
        let wanted = self.filter.to_lowercase();
        wanted.is_empty()
            || display::exact(argv).to_lowercase().contains(&wanted)
            || jail.to_lowercase().contains(&wanted)
    }

    pub(super) fn queue(&self) -> Vec<&QueueEntry> {
        self.known.queue.iter().filter(|entry| self.fits(&entry.argv, &entry.jail)).collect()
    }

    pub(super) fn running(&self) -> Vec<&RunningEntry> {
        self.known.running.iter().filter(|entry| self.fits(&entry.argv, &entry.jail)).collect()
    }

    pub(super) fn history(&self) -> Vec<&HistoryEntry> {
        self.known.history.iter().filter(|entry| self.fits(&entry.argv, &entry.jail)).collect()
    }

    /// The ids of the rows of this page.
    fn ids(&self) -> Vec<&str> {
        match self.page {
            Page::Queue => self.queue().into_iter().map(|entry| &entry.id[..]).collect(),
            Page::Running => self.running().into_iter().map(|entry| &entry.id[..]).collect(),
            Page::History => self.history().into_iter().map(|entry| &entry.id[..]).collect(),
        }
    }

    /// The selected row of this page; the first where none was chosen or the chosen one has gone.
    pub(super) fn row(&self) -> Option<usize> {
        let ids = self.ids();
        let chosen = self.selected[self.slot()].as_deref();
        let at = ids.iter().position(|&id| Some(id) == chosen);
        at.or((!ids.is_empty()).then_some(0))
    }

    /// The id of the selected row.
    pub(super) fn id(&self) -> Option<String> {
        Some(self.ids()[self.row()?].to_owned())
    }

    /// The id of the row that was chosen, though it may be there no longer.
    pub(super) fn chosen(&self) -> Option<&str> {
        self.selected[self.slot()].as_deref()
    }

    /// Whether the selected row is one that was looked at before: what has only slipped under the cursor is not answered.
    pub(super) fn is_chosen(&self) -> bool {
        self.chosen().is_some() && self.chosen() == self.id().as_deref()
    }

    /// Chooses a row.
    pub(super) fn choose(&mut self, row: usize) {
        let slot = self.slot();
        let ids = self.ids();
        let id = ids.get(row.min(ids.len().saturating_sub(1))).map(|&id| id.to_owned());
        self.selected[slot] = id;
        self.slipped = None;
    }

    /// Moves by rows.
    pub(super) fn step(&mut self, by: isize) {
        let row = self.row().unwrap_or(0);
        self.choose(if self.is_chosen() { row.saturating_add_signed(by) } else { row });
    }
}
