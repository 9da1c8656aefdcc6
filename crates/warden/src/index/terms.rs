//! What a request can be found by. A term is a letter for its kind and what it says; a query becomes a condition on
//! terms that holds for every request that fits it, and for few others.

use clawrden_api::HistoryEntry;
use sha2::{Digest, Sha256};

use crate::ledger::{Filter, Who, line, texts, tool};

/// A key of the index.
pub(super) type Term = Vec<u8>;

/// Every request has this one.
const ALL: u8 = b'A';
/// A request with more text than is looked at: any part of a text may be in it.
const LONG: u8 = b'L';
const TOOL: u8 = b'c';
const DECISION: u8 = b'd';
const EXIT_CODE: u8 = b'e';
const CONTAINER_ID: u8 = b'i';
const JAIL: u8 = b'j';
const CONTAINER_NAME: u8 = b'n';
const OUTCOME: u8 = b'o';
const PID: u8 = b'p';
const SAME: u8 = b'q';
const PRISONER: u8 = b'r';
const RULE: u8 = b'R';
const PART: u8 = b't';
const UID: u8 = b'u';
const EXECUTOR: u8 = b'x';

/// Bytes of text of one request that are taken into parts: more of it is not worth its room.
const MAX_TEXT: usize = 4096;

/// Parts of a word that are looked for: more of them exclude next to nothing.
const MAX_PARTS: usize = 24;

/// What of terms that begin the same is meant.
type Accepts<'a> = Box<dyn Fn(&[u8]) -> bool + 'a>;

/// A condition on terms.
pub(super) enum Clause<'a> {
    /// It has this one.
    Term(Term),
    /// Some text has this part; or may have it, because there is more text than is looked at.
    Part(Term),
    /// It has one that begins so and is accepted.
    Like(Term, Accepts<'a>),
    /// All of these hold. With each, how many requests of a block it held for when it was last looked at: what holds for
    /// few is asked first.
    All(Vec<(usize, Clause<'a>)>),
    Any(Vec<Clause<'a>>),
}

/// The terms of a request.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// All but those of parts; in order, each once.
    pub(super) named: Vec<Term>,
    /// The parts of its texts, three bytes each, in small letters; in order, each once.
    pub(super) parts: Vec<[u8; 3]>,
}

impl Terms {
    pub(super) fn of(entry: &HistoryEntry) -> Self {
        let mut named = vec![vec![ALL], same(&entry.jail, &entry.argv)];
        let mut add = |kind, text: &str| named.push(term(kind, text.as_bytes()));
        add(TOOL, tool(entry));
        add(JAIL, &entry.jail);
        let caller = &entry.caller;
        let container = caller.container.as_ref();
        for (kind, text) in [
            (DECISION, entry.decision.as_ref()),
            (OUTCOME, entry.outcome.as_ref()),
            (EXECUTOR, entry.executor.as_ref()),
            (RULE, entry.rule.as_ref()),
            (PRISONER, caller.prisoner.as_ref()),
            (CONTAINER_ID, container.map(|container| &container.id)),
            (CONTAINER_NAME, container.map(|container| &container.name)),
        ] {
            text.into_iter().for_each(|text| add(kind, text));
        }
        let numbers = [(UID, caller.uid), (PID, caller.pid)];
        numbers.iter().for_each(|&(kind, n)| n.iter().for_each(|n| add(kind, &n.to_string())));
        entry.exit_code.iter().for_each(|code| add(EXIT_CODE, &code.to_string()));
        let mut parts = Vec::new();
        let mut room = MAX_TEXT;
        let command = line(entry);
        for text in std::iter::once(&command[..]).chain(texts(entry)) {
            if text.len() > room {
                named.push(vec![LONG]);
                break;
            }
            room -= text.len();
            // The end is marked, so that every part of a text, however short, begins one of these.
            let mut last = [0; 2];
            for (at, b) in text.bytes().chain([0, 0]).enumerate() {
                let b = b.to_ascii_lowercase();
                if at >= 2 {
                    parts.push([last[0], last[1], b]);
                }
                last = [last[1], b];
            }
        }
        named.sort_unstable();
        named.dedup();
        parts.sort_unstable();
        parts.dedup();
        Self { named, parts }
    }
}

/// The term of a part.
pub(super) fn part(part: [u8; 3]) -> Term {
    term(PART, &part)
}

/// What every request that fits has.
pub(super) fn condition<'a>(filter: &'a Filter<'_>) -> Clause<'a> {
    let mut all = Vec::new();
    let query = filter.query;
    let exact = |kind, text: &Option<String>| {
        text.as_ref().map(|text| Clause::Term(term(kind, text.as_bytes())))
    };
    all.extend(exact(JAIL, &query.jail));
    if !query.jails.is_empty() {
        let of = |jail: &String| Clause::Term(term(JAIL, jail.as_bytes()));
        all.push(Clause::Any(query.jails.iter().map(of).collect()));
    }
    all.extend(exact(OUTCOME, &query.outcome));
    all.extend(exact(EXECUTOR, &query.executor));
    all.extend(query.exit_code.map(|code| number(EXIT_CODE, code.into())));
    all.extend(filter.same.map(|(jail, argv)| Clause::Term(same(jail, argv))));
    if let Some(text) = filter.decision {
        let of = |kind| Clause::Term(term(kind, text.as_bytes()));
        all.push(Clause::Any(vec![of(DECISION), of(OUTCOME)]));
    }
    all.extend(filter.caller.as_ref().map(|who| match who {
        Who::Uid(uid) => number(UID, (*uid).into()),
        Who::Pid(pid) => number(PID, (*pid).into()),
        Who::Prisoner(id) => Clause::Term(term(PRISONER, id.as_bytes())),
        Who::Container(text) => container(text),
    }));
    all.extend(query.container.as_deref().map(container));
    all.extend(query.rule.as_deref().map(|part| {
        let holds = move |rule: &[u8]| String::from_utf8_lossy(rule).contains(part);
        Clause::Like(vec![RULE], Box::new(holds))
    }));
    match &filter.command {
        // A tool's name that is no pattern is a part of the line as well.
        Some((text, glob)) if text.contains(['*', '?', '[', '{', '\\']) => {
            let mut any = vec![together(parts(text))];
            any.extend(glob.as_ref().map(|glob| {
                let holds = |tool: &[u8]| glob.is_match(&*String::from_utf8_lossy(tool));
                Clause::Like(vec![TOOL], Box::new(holds))
            }));
            all.push(Clause::Any(any));
        }
        Some((text, _)) => all.extend(parts(text)),
        None => {}
    }
    all.extend(filter.words.iter().flat_map(|word| parts(word)));
    if all.is_empty() {
        all.push(Clause::Term(vec![ALL]));
    }
    together(all)
}

fn together(clauses: Vec<Clause<'_>>) -> Clause<'_> {
    Clause::All(clauses.into_iter().map(|clause| (0, clause)).collect())
}

fn term(kind: u8, text: &[u8]) -> Term {
    let mut term = Vec::with_capacity(text.len() + 1);
    term.push(kind);
    term.extend_from_slice(text);
    term
}

fn number(kind: u8, number: i64) -> Clause<'static> {
    Clause::Term(term(kind, number.to_string().as_bytes()))
}

fn container(text: &str) -> Clause<'_> {
    Clause::Any(vec![
        Clause::Term(term(CONTAINER_NAME, text.as_bytes())),
        Clause::Like(term(CONTAINER_ID, text.as_bytes()), Box::new(|_| true)),
    ])
}

/// What a text has that has `text` somewhere in it.
fn parts<'a>(text: &str) -> Vec<Clause<'a>> {
    let bytes = text.to_ascii_lowercase().into_bytes();
    let short = (1..3).contains(&bytes.len()).then(|| {
        let begin = Clause::Like(term(PART, &bytes), Box::new(|_| true));
        Clause::Any(vec![begin, Clause::Term(vec![LONG])])
    });
    let every = bytes.len().div_ceil(MAX_PARTS).max(1);
    let parts: Vec<_> = bytes.windows(3).step_by(every).map(|part| term(PART, part)).collect();
    short.into_iter().chain(parts.into_iter().map(Clause::Part)).collect()
}

/// The term of requests with more text than is looked at.
pub(super) fn long() -> Term {
    vec![LONG]
}

/// The command itself, in its jail.
fn same(jail: &str, argv: &[String]) -> Term {
    let mut digest = Sha256::new();
    for text in std::iter::once(jail).chain(argv.iter().map(String::as_str)) {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    term(SAME, digest.finalize().get(..8).unwrap_or_default())
}
