//! Page: which of the lists is looked at, and what of it.

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Queue,
    Running,
    History,
}

impl Page {
    pub(super) const ALL: [Self; 3] = [Self::Queue, Self::Running, Self::History];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Queue => "Queue",
            Self::Running => "Running",
            Self::History => "History",
        }
    }

    pub(super) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|&page| page == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

/// What fills the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// The rows of the page.
    List,
    /// The chosen row, whole, scrolled by so many lines.
    Detail(u16),
    /// What a command shows.
    Output,
}
