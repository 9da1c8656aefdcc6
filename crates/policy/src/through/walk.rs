//! Walk: from a request to everything that it would run, and what that runs, the outermost first.
//! It is bounded in depth and number, and says so where a bound was met.

use std::borrow::Cow;

use super::found::{Inside, Kind, Place, Run};
use super::look::look;
use super::table::{self, Entry};
use super::{MAX_COMMANDS, MAX_DEPTH};
use crate::env::EnvRules;
use crate::facts::Facts;
use crate::matchers::name::{Names, SYSTEM};
use crate::matchers::{names, paths, unknown};

/// One command that would run, the request itself included.
pub(crate) struct Seen<'s> {
    pub(crate) facts: Facts<'s>,
    pub(crate) standing: Standing,
    /// All that it does is to run what was found in it.
    pub(crate) passes_on: bool,
    /// 0 is the request itself.
    pub(crate) depth: usize,
    pub(crate) via: Via<'s>,
}

/// What runs a command: its name, and the option or word that says so, which may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Via<'s> {
    pub(crate) name: &'s [u8],
    pub(crate) how: &'static str,
}

/// Whether a command has an answer where no rule speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has.
    Own,
    /// It has none: only what it runs counts, or it may be no command at all.
    Passes,
    /// A redirection that writes where nobody minds.
    WritesHere,
    /// One that writes elsewhere.
    WritesElsewhere,
}

/// Who is told what is found.
pub(crate) trait Visit {
    fn command(&mut self, seen: &Seen<'_>);
    /// Something was not understood in what `via` runs.
    fn doubt(&mut self, why: &str, via: Via<'_>, depth: usize);
}

/// Tells `visit` of the request and of everything that it runs.
pub(crate) fn walk(facts: &Facts<'_>, env: &EnvRules, visit: &mut dyn Visit) {
    let mut walk = Walk {
        env,
        visit,
        left: MAX_COMMANDS,
        path_assigned: false,
        in_line: false,
        root: facts.cwd,
        written: Vec::new(),
        again: false,
        waiting: Vec::new(),
    };
    walk.enter(facts, Kind::Program, 0, Via::default(), None);
}

struct Walk<'v> {
    env: &'v EnvRules,
    visit: &'v mut dyn Visit,
    left: usize,
    path_assigned: bool,
    /// A shell line is around it.
    in_line: bool,
    /// Where the request itself runs.
    root: Option<&'v [u8]>,
    /// Names of the files that were written so far.
    written: Vec<Vec<u8>>,
    /// What is being walked may run after what follows it.
    again: bool,
    /// What ran so, and runs what lies in files.
    waiting: Vec<&'static Entry>,
}

impl Walk<'_> {
    fn enter(
        &mut self,
        facts: &Facts<'_>,
        kind: Kind,
        depth: usize,
        via: Via<'_>,
        input: Option<&[u8]>,
    ) {
        let names = Names::of(facts);
        let mut inside = look(facts, &names, depth == 0, input);
        if depth >= MAX_DEPTH && !inside.runs.is_empty() {
            inside = Inside::default();
            inside.doubt(format!("commands more than {MAX_DEPTH} deep"));
        }
        let around = self.in_line;
        self.in_line |= kind == Kind::Shell;
        // One that was asked for by itself is what a person types at.
        if inside.by_input && self.in_line {
            inside.doubt("a shell reads what it runs from its input");
        }
        let builtin = kind == Kind::Shell && is_builtin(facts.name);
        let standing = match kind {
            Kind::Write if self.writes_here(facts) => Standing::WritesHere,
            Kind::Write => Standing::WritesElsewhere,
            Kind::Guess | Kind::Read => Standing::Passes,
            _ if builtin || (inside.passes && facts.tool.is_some()) => Standing::Passes,
            _ => Standing::Own,
        };
        let passes_on = inside.passes && standing == Standing::Passes && !builtin;
        self.visit.command(&Seen { facts: *facts, standing, passes_on, depth, via });
        let name = names.asked;
        for doubt in &inside.doubts {
            self.visit.doubt(doubt, Via { name, how: "" }, depth);
        }
        self.project(facts, kind, name, depth);
        let path_assigned = self.path_assigned;
        let again = self.again;
        for run in inside.runs {
            self.again |= run.again;
            self.run(&run, facts, name, depth + 1);
            self.path_assigned = path_assigned;
            self.again = again;
        }
        self.in_line = around;
    }

    /// A tool that runs what lies in the working directory runs the project's code only where the
    /// request leaves the directory and its files as they are.
    fn project(&mut self, facts: &Facts<'_>, kind: Kind, name: &[u8], depth: usize) {
        let entry = table::find(name);
        if let Some(entry) = entry.filter(|entry| !entry.runs.is_empty()) {
            let via = Via { name, how: "" };
            let place = elsewhere(entry, facts);
            if depth == 0 && place.is_none() {
                return;
            }
            let goes = place.is_some() || self.root.is_some();
            let place = place.unwrap_or_else(|| facts.cwd.map(<[u8]>::to_vec));
            if goes && !place.is_some_and(|place| self.is_project(&place)) {
                self.visit.doubt("it runs what lies in another folder", via, depth);
            }
            let runs = |file: &Vec<u8>| entry.runs.iter().any(|glob| table::is_key(glob, file));
            if self.written.iter().any(runs) {
                self.visit.doubt("it may run a file that is written here", via, depth);
            }
            if self.again && !self.waiting.iter().any(|known| std::ptr::eq(*known, entry)) {
                self.waiting.push(entry);
            }
        }
        if depth == 0 {
            return;
        }
        let writes = entry.is_some_and(|entry| entry.writes);
        if writes && !facts.cwd.is_some_and(|cwd| self.is_writable(cwd)) {
            self.visit.doubt("it may write in another folder", Via { name, how: "" }, depth);
        }
        if kind == Kind::Write || writes {
            let files = facts.argv.iter().skip(1);
            let names = files.filter_map(|file| file.rsplit(|byte| *byte == b'/').next());
            let from = self.written.len();
            self.written.extend(names.map(<[u8]>::to_vec));
            let runs = |file: &Vec<u8>| {
                let globs = self.waiting.iter().flat_map(|entry| &entry.runs);
                globs.into_iter().any(|glob| table::is_key(glob, file))
            };
            if self.written.iter().skip(from).any(runs) {
                let via = Via { name, how: "" };
                self.visit.doubt(
                    "what is written here may be run by what stands before",
                    via,
                    depth,
                );
            }
        }
    }

    /// Whether what is written lies where nobody minds: in the project, in /tmp, nowhere.
    fn writes_here(&self, facts: &Facts<'_>) -> bool {
        let Some(&target) = facts.argv.get(1) else { return false };
        if unknown::is_in(target) {
            return false;
        }
        let absolute = match facts.cwd {
            Some(cwd) => paths::join(cwd, target),
            None if target.first() == Some(&b'/') => paths::normalise(target).into_owned(),
            // It may be the root, or any other place.
            None => return false,
        };
        let nowhere: &[&[u8]] = &[b"/dev/null", b"/dev/stdout", b"/dev/stderr", b"/dev/tty"];
        nowhere.contains(&absolute.as_slice())
            || (absolute != b"/tmp"
                && self.root != Some(absolute.as_slice())
                && self.is_writable(&absolute))
    }

    fn is_writable(&self, place: &[u8]) -> bool {
        place == b"/tmp" || paths::below(b"/tmp", place).is_some() || self.is_project(place)
    }

    /// Whether the place is the request's own working directory, or below it.
    fn is_project(&self, place: &[u8]) -> bool {
        let inside = |root: &[u8]| root == place || paths::below(root, place).is_some();
        self.root.is_some_and(|root| root != b"/" && inside(root))
    }

    fn run(&mut self, run: &Run<'_>, outer: &Facts<'_>, outer_name: &[u8], depth: usize) {
        let via = Via { name: outer_name, how: run.how };
        let Some(left) = self.left.checked_sub(1) else { return };
        self.left = left;
        if left == 0 {
            self.visit.doubt(&format!("more than {MAX_COMMANDS} commands"), via, depth);
            return;
        }
        let Some(name) = run.words.first().map(Cow::as_ref) else { return };
        if unknown::is_in(name) || name.is_empty() {
            self.visit.doubt("a command whose name only a shell will know", via, depth);
            return;
        }
        let mut changed: Vec<&[u8]> = outer.changed_env.to_vec();
        for (name, value) in &run.assigned {
            // `IFS= read` is how a line is read whole.
            if name == b"IFS" && run.kind == Kind::Shell && run.words[0].as_ref() == b"read" {
                continue;
            }
            self.path_assigned |= name == b"PATH";
            if self.env.is_dangerous(name, value) && !changed.contains(&name.as_slice()) {
                changed.push(name);
            }
        }
        let slash = name.contains(&b'/');
        let mut kind = run.kind;
        if self.path_assigned
            && !slash
            && !matches!(kind, Kind::Write | Kind::Read)
            && !is_builtin(name)
        {
            let shown = crate::diagnostics::show_bytes(name, 80);
            self.visit.doubt(
                &format!("PATH is changed, and `{shown}` is looked for there"),
                via,
                depth,
            );
            kind = Kind::Guess;
        }
        let place = match &run.place {
            Place::Below(dir) => Place::of(dir, outer.cwd),
            place => place.clone(),
        };
        let cwd = match &place {
            Place::Here => outer.cwd,
            Place::At(dir) => Some(dir.as_slice()),
            Place::Below(_) | Place::Unknown => None,
        };
        let place = slash.then(|| match cwd {
            Some(cwd) => Some(paths::join(cwd, name)),
            None => (name.first() == Some(&b'/')).then(|| paths::normalise(name).into_owned()),
        });
        let place = place.flatten();
        let tool = if slash { place.as_deref().and_then(system_tool) } else { Some(name) };
        let gives = |(name, value): &(Vec<u8>, Vec<u8>)| self.env.gives_code(name, value, tool);
        if run.assigned.iter().any(gives) && !is_builtin(name) {
            self.visit.doubt("a variable that is set here changes what is run", via, depth);
        }
        let argv: Vec<&[u8]> = run.words.iter().map(Cow::as_ref).collect();
        let facts = Facts {
            name,
            path: place.as_deref(),
            tool,
            argv: &argv,
            cwd,
            changed_env: &changed,
            // What runs it may have changed any variable, and unset some.
            env: None,
            ..*outer
        };
        self.enter(&facts, kind, depth, via, run.input.as_deref());
    }
}

/// Whether a text with gaps surely names something below the folder that it is seen from.
fn is_below(text: &[u8]) -> bool {
    let apart = |byte: &u8| *byte == b'/';
    !matches!(text.first(), None | Some(b'/' | b'-' | &names::ORDINARY))
        && !text.starts_with(b"\0")
        && !text.split(apart).any(|part| part == b"..")
}

/// The directory to which options before the subcommand take the tool, if any do; inside, `None` is one
/// that is not known.
fn elsewhere(entry: &Entry, facts: &Facts<'_>) -> Option<Option<Vec<u8>>> {
    let mut place = None;
    let mut words = facts.argv.iter().copied().skip(1);
    while let Some(word) = words.next() {
        if entry.at.iter().any(|option| option.as_bytes() == word) {
            let dir = words.next();
            // Names of which nothing leads up or away lie below, so the folder they are in stands for them.
            let dir = match dir.and_then(names::of) {
                Some((_, texts)) => {
                    names::split(texts).iter().all(|it| is_below(it)).then_some(&b"."[..])
                }
                None => dir.filter(|dir| !unknown::is_in(dir)),
            };
            let from = place.unwrap_or_else(|| facts.cwd.map(<[u8]>::to_vec));
            place = Some(match (dir, from) {
                (Some(dir), Some(from)) => Some(paths::join(&from, dir)),
                (Some(dir), None) if dir.first() == Some(&b'/') => {
                    Some(paths::normalise(dir).into_owned())
                }
                _ => None,
            });
        } else if entry.opts.iter().any(|opt| opt.names.iter().any(|it| it.as_bytes() == word)) {
            words.next();
        } else if !word.starts_with(b"-") {
            break;
        }
    }
    place
}

fn is_builtin(name: &[u8]) -> bool {
    table::find(name).is_some_and(|entry| entry.builtin)
}

/// The tool that an absolute place stands for, where it is one of the system's.
fn system_tool(place: &[u8]) -> Option<&[u8]> {
    let tool = SYSTEM.iter().find_map(|dir| place.strip_prefix(*dir))?;
    (!tool.is_empty() && !tool.contains(&b'/')).then_some(tool)
}
