//! What a history query asks for, and whether an entry is that. It is the truth about every filter: the index only
//! finds what may fit, and what does not fit here is never shown.

use clawrden_api::{Caller, CallerContainer, HistoryEntry, HistoryQuery};
use globset::{Glob, GlobMatcher};

use super::error::LedgerError;
use super::id::Id;

/// A query, understood.
pub(crate) struct Filter<'a> {
    /// A glob on the tool's name, or else a part of the command line.
    pub(crate) command: Option<(&'a str, Option<GlobMatcher>)>,
    /// The policy's decision, or an outcome.
    pub(crate) decision: Option<&'a str>,
    pub(crate) caller: Option<Who<'a>>,
    /// Words in small letters, each of which stands somewhere.
    pub(crate) words: Vec<String>,
    /// Exactly this command, by its jail and arguments.
    pub(crate) same: Option<(&'a str, &'a [String])>,
    pub(crate) query: &'a HistoryQuery,
}

/// A caller, as a query names it.
pub(crate) enum Who<'a> {
    Uid(u32),
    Pid(u32),
    /// A name, or the start of an id.
    Container(&'a str),
    Prisoner(&'a str),
}

impl<'a> Filter<'a> {
    pub(crate) fn new(query: &'a HistoryQuery) -> Result<Self, LedgerError> {
        let glob = |text: &'a str| (text, Glob::new(text).ok().map(|g| g.compile_matcher()));
        let decision = query.decision.as_deref();
        const DECISIONS: [&str; 7] =
            ["allow", "ask", "deny", "approved", "denied", "expired", "caller_left"];
        if let Some(value) = decision.filter(|d| !DECISIONS.contains(d)) {
            return Err(LedgerError::BadFilter {
                name: "decision",
                value: value.to_owned(),
                expected: "give allow, ask, deny, approved, denied, expired or caller_left",
            });
        }
        if let Some(id) = query.id.as_ref().filter(|id| ids(id).is_none()) {
            return Err(LedgerError::BadFilter {
                name: "id",
                value: id.clone(),
                expected: "give an id, or its first digits",
            });
        }
        let caller = query.caller.as_deref().map(Who::new).transpose()?;
        let words = query.text.as_deref().unwrap_or_default().split_whitespace();
        let words = words.map(str::to_ascii_lowercase).collect();
        let command = query.command.as_deref().map(glob);
        Ok(Self { command, decision, caller, words, same: None, query })
    }

    /// Whether everything that was given holds.
    pub(crate) fn fits(&self, entry: &HistoryEntry) -> bool {
        let query = self.query;
        query.id.as_ref().is_none_or(|id| entry.id.starts_with(id.as_str()))
            && self
                .command
                .as_ref()
                .is_none_or(|(text, glob)| is_command(entry, text, glob.as_ref()))
            && self.decision.is_none_or(|d| {
                entry.decision.as_deref() == Some(d) || entry.outcome.as_deref() == Some(d)
            })
            && self.caller.as_ref().is_none_or(|who| who.is(&entry.caller))
            && query.jail.as_ref().is_none_or(|jail| *jail == entry.jail)
            && (query.jails.is_empty() || query.jails.contains(&entry.jail))
            && (query.outcome.is_none() || query.outcome == entry.outcome)
            && (query.executor.is_none() || query.executor == entry.executor)
            && query.rule.as_ref().is_none_or(|part| {
                entry.rule.as_ref().is_some_and(|rule| rule.contains(part.as_str()))
            })
            && (query.exit_code.is_none() || query.exit_code == entry.exit_code)
            && query.container.as_deref().is_none_or(|text| Who::Container(text).is(&entry.caller))
            && (self.words.is_empty() || has_words(entry, &self.words))
            && self.same.is_none_or(|(jail, argv)| entry.jail == jail && entry.argv == argv)
            && query.since_ms.is_none_or(|since| entry.time_ms >= since)
            && query.until_ms.is_none_or(|until| entry.time_ms <= until)
    }
}

impl<'a> Who<'a> {
    fn new(text: &'a str) -> Result<Self, LedgerError> {
        let bad = || LedgerError::BadFilter {
            name: "caller",
            value: text.to_owned(),
            expected: "give a uid, pid:N, container:NAME (or the start of its id) or a prisoner's id",
        };
        if let Some(pid) = text.strip_prefix("pid:") {
            return pid.parse().map(Self::Pid).map_err(|_| bad());
        }
        if let Some(name) = text.strip_prefix("container:").filter(|name| !name.is_empty()) {
            return Ok(Self::Container(name));
        }
        if text.is_empty() || text.starts_with("container:") {
            return Err(bad());
        }
        Ok(text.parse().map_or(Self::Prisoner(text), Self::Uid))
    }

    pub(crate) fn is(&self, caller: &Caller) -> bool {
        match *self {
            Self::Uid(uid) => caller.uid == Some(uid),
            Self::Pid(pid) => caller.pid == Some(pid),
            Self::Container(text) => caller
                .container
                .as_ref()
                .is_some_and(|container| container.name == text || container.id.starts_with(text)),
            Self::Prisoner(prisoner) => caller.prisoner.as_deref() == Some(prisoner),
        }
    }
}

fn is_command(entry: &HistoryEntry, text: &str, glob: Option<&GlobMatcher>) -> bool {
    glob.is_some_and(|glob| glob.is_match(tool(entry))) || line(entry).contains(text)
}

/// The first and the last id that begins so; `None` for what is no beginning of one.
pub(crate) fn ids(digits: &str) -> Option<(Id, Id)> {
    let first = format!("{digits:0<32}").parse().ok()?;
    Some((first, format!("{digits:f<32}").parse().ok()?))
}

/// The tool's name: the last part of the first argument.
pub(crate) fn tool(entry: &HistoryEntry) -> &str {
    let tool = entry.argv.first().map_or("", String::as_str);
    tool.rsplit('/').next().unwrap_or(tool)
}

/// The command line, with a space between its arguments.
pub(crate) fn line(entry: &HistoryEntry) -> String {
    entry.argv.join(" ")
}

/// What a search for words looks at, beside the command line.
pub(crate) fn texts(entry: &HistoryEntry) -> impl Iterator<Item = &str> {
    let container = entry.caller.container.as_ref();
    // Nobody looks for a part of an id, and nothing else has as many parts.
    let container = container.map(|CallerContainer { name, image, .. }| [&name[..], image]);
    [
        Some(&entry.jail),
        entry.caller.prisoner.as_ref(),
        entry.cwd.as_ref(),
        entry.decision.as_ref(),
        entry.rule.as_ref(),
        entry.reason.as_ref(),
        entry.outcome.as_ref(),
        entry.approver.as_ref(),
        entry.answer.as_ref(),
        entry.executor.as_ref(),
        entry.run_as.as_ref(),
        entry.exit_source.as_ref(),
        entry.error.as_ref(),
    ]
    .into_iter()
    .flatten()
    .map(String::as_str)
    .chain(container.into_iter().flatten())
}

fn has_words(entry: &HistoryEntry, words: &[String]) -> bool {
    let mut all: Vec<String> = vec![line(entry).to_ascii_lowercase()];
    all.extend(texts(entry).map(str::to_ascii_lowercase));
    words.iter().all(|word| all.iter().any(|text| text.contains(word.as_str())))
}
