//! Shell lines: from the text that a shell reads to every simple command that it may run.
//! A reader of our own with bounds on length, nesting and work, because the line is hostile. It never guesses in
//! silence: what it does not read is an error, and what only the shell will know is a doubt beside the commands.

mod compound;
mod dollar;
mod expand;
mod found;
mod lists;
mod names;
mod quotes;
mod reader;
mod redirects;
mod simple;
mod token;
mod words;

#[cfg(test)]
mod tests;

use found::Found;
use reader::Reader;

/// Bytes of the longest line: what Linux takes as one argument (`MAX_ARG_STRLEN`). A longer one is an error.
pub(crate) const MAX_LINE: usize = 128 * 1024;

/// Substitutions, groups, compound commands and scripts within scripts inside each other. Deeper is an error.
pub(crate) const MAX_DEPTH: usize = 48;

/// Commands in one line. More is an error.
pub(crate) const MAX_COMMANDS: usize = 4096;

/// Words that one word becomes by its braces. Beyond it the word is not known.
pub(crate) const MAX_BRACES: usize = 64;

/// Doubts that are kept; one is enough to be stricter.
pub(crate) const MAX_DOUBTS: usize = 64;

/// Which shell reads the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Any `sh`: dash, busybox, or bash under that name. Where they differ there is a doubt.
    Posix,
    Bash,
    Zsh,
}

/// Why a line is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unparsed {
    /// Byte offset in the line.
    pub(crate) at: usize,
    /// A lower-case fact.
    pub(crate) why: &'static str,
}

type Result<T> = std::result::Result<T, Unparsed>;

/// Everything that a line may run, wherever it stands in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) commands: Vec<Simple>,
    /// What may run something else than `commands` say.
    pub(crate) doubts: Vec<Unparsed>,
    /// It defines functions, whose bodies have parameters of their own.
    pub(crate) functions: bool,
}

/// One simple command. They come in the order of the line, those in a word before the command that the word is of.
///
/// `command`, `builtin`, `exec`, `eval` and `trap` are not here themselves where what they run is, nor is the call of
/// a function whose body is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Simple {
    /// `NAME=value` before it or alone, and the variables that a builtin such as `export`, `read` or `for` sets.
    pub(crate) assignments: Vec<(Vec<u8>, Word)>,
    /// Its name first; empty for assignments or redirections alone.
    pub(crate) words: Vec<Word>,
    pub(crate) redirects: Vec<Redirect>,
    /// It only assigns, and surely does so before what follows it.
    pub(crate) surely: bool,
    /// The values that a `for` gives its variable, one turn each.
    pub(crate) turns: Option<Vec<Word>>,
    /// The commands that only run where it has set its variables: those of the loop that it is the head of.
    pub(crate) body: Option<std::ops::Range<usize>>,
    /// The command whose output it reads, by its number, where that is all that it reads.
    pub(crate) input: Option<usize>,
    /// It may run, or run once more, after what follows it.
    pub(crate) again: bool,
    /// Nothing that may have changed the working directory comes before it.
    pub(crate) cwd_is_known: bool,
    /// It may run after commands that stand behind it, up to this number: in a loop, a function or a trap.
    pub(crate) behind: usize,
}

/// A word after quoting was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    /// `None` is something that only the shell will know: a variable, a substitution, a glob, a tilde.
    pub(crate) parts: Vec<Option<Vec<u8>>>,
    /// Of each `None` among the parts, what it is.
    pub(crate) origins: Vec<Origin>,
    /// It may become several words, or none.
    pub(crate) may_be_many: bool,
}

/// Where a part of a word comes from that only the shell will know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    #[default]
    Any,
    /// Names of files that a pattern matches.
    Pattern,
    /// The caller's home directory.
    Home,
    /// The path of a pipe, as `<(…)` is.
    Pipe,
    /// The value of this variable, whole.
    Variable(Vec<u8>),
    /// The output of these commands of the script.
    Output(std::ops::Range<usize>),
}

/// A redirection from or to a file. Copies of descriptors (`2>&1`) and here-documents are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) writes: bool,
    pub(crate) target: Word,
}

impl Simple {
    /// What it is called by; empty where that is not known, or nothing is called.
    pub(crate) fn name(&self) -> &[u8] {
        self.words.first().and_then(Word::literal).unwrap_or_default()
    }
}

impl Word {
    /// The whole word, where all of it is known.
    pub(crate) fn literal(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(&[]),
            [Some(text)] if !self.may_be_many => Some(text),
            _ => None,
        }
    }

    fn unknown() -> Self {
        Self { parts: vec![None], origins: vec![Origin::Any], may_be_many: true }
    }
}

/// Reads a line as `dialect` does.
///
/// # Errors
/// When the syntax is wrong, is not one that is read here, or a bound is passed. Nothing of the line is understood then.
pub(crate) fn parse(line: &[u8], dialect: Dialect) -> Result<Script> {
    if line.len() > MAX_LINE {
        return Err(Unparsed { at: MAX_LINE, why: "the line is longer than an argument can be" });
    }
    if let Some(at) = line.iter().position(|byte| *byte == 0) {
        return Err(Unparsed { at, why: "a NUL is in the line" });
    }
    let mut found = Found::new(dialect, line.len());
    Reader::new(line, None, &mut found).script(true)?;
    Ok(found.finish())
}
