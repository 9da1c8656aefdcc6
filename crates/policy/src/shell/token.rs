//! What a word is read as: its bytes, and what stands for bytes that only the shell will know.

/// One byte of a word, or something that stands for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Bare(u8),
    Quoted(u8),
    /// Quotes: there is a word, even if nothing is in it.
    Nothing,
    Unknown {
        many: bool,
        what: What,
    },
}

/// What stands for bytes that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Any,
    /// What a pattern matches.
    Pattern,
    Home,
    /// The end of a pipe, by its path.
    Pipe,
    /// The variable of this number among the names of the line.
    Variable(usize),
    /// The output of the commands between these two.
    Output(usize, usize),
}

impl Token {
    /// Any text.
    pub(super) fn any(many: bool) -> Self {
        Self::Unknown { many, what: What::Any }
    }

    pub(super) fn byte(self) -> Option<u8> {
        match self {
            Self::Bare(byte) | Self::Quoted(byte) => Some(byte),
            Self::Nothing | Self::Unknown { .. } => None,
        }
    }
}
