//! YAML to a tree of nodes that know where they stand in the file.
//! A scalar stays the text that was written; nothing is guessed to be a number or a boolean here.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, options};

use super::node::{At, Node, Value};
use super::report::Report;
use super::text::Text;

/// Deepest nesting of lists and mappings; a policy of the simple form needs five.
const MAX_DEPTH: usize = 32;
/// Most keys, values, lists and mappings (their ends counted, too). Reading takes time by them and not by bytes, 0.2
/// microseconds for each. Ten thousand rules of the simple form have 120,000.
pub(super) const MAX_NODES: usize = 200_000;
/// Most entries of one list or mapping, the rules among them.
const MAX_ENTRIES: usize = 12_000;
/// Most anchors; each takes as long to read as two values.
const MAX_ANCHORS: usize = 10_000;
/// Most values that aliases may repeat in all, so that a small file cannot grow without end.
const MAX_REPEATED: usize = 10_000;
/// Most values that are kept for aliases; what an anchor names beyond them cannot be repeated.
const MAX_ANCHORED: usize = 50_000;
/// A word counts as one value for each so many bytes of it where it is repeated.
const BYTES_OF_A_VALUE: usize = 32;

/// A list or mapping that is still open.
struct Open {
    at: At,
    anchor: usize,
    is_map: bool,
    /// Where its children begin among all.
    first: usize,
    /// Values in it so far.
    values: usize,
}

/// Reads the one document of `text`. `None` after a reported error that leaves no usable tree.
pub(super) fn read(text: &str, report: &mut Report<'_>) -> Option<Node> {
    let limits = options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        disallow_directives: true,
    };
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str_with_options(text, limits);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => {
                if !builder.take(event, span, report) {
                    return None;
                }
            }
            Err(error) => {
                report.add(at_marker(&error), error.info().to_lowercase(), "");
                return None;
            }
        }
    }
    if builder.root.is_none() || builder.root.as_ref().is_some_and(Node::is_null) {
        report.add(At { line: 1, column: 1, width: 1 }, "the policy is empty", EMPTY_HELP);
        return None;
    }
    builder.root
}

const DENSE_HELP: &str =
    "that is more than is read of one file; split it over several files in `rules.d`";

const EMPTY_HELP: &str = "a policy has at least `default_action: deny`";

#[derive(Default)]
struct Builder {
    stack: Vec<Open>,
    /// What anchors name, with the values in it; `None` where that is too much to be repeated.
    anchors: HashMap<usize, Option<(Node, usize)>>,
    anchored: usize,
    /// The children of everything that is open, the innermost last. They move into their list or mapping when it is
    /// closed, and how many there are is known then.
    children: Vec<Node>,
    nodes: usize,
    /// Nodes that this text may have.
    repeated: usize,
    root: Option<Node>,
    documents: usize,
}

impl Builder {
    /// Takes one event; false when reading on makes no sense.
    fn take(&mut self, event: Event<'_>, span: Span, report: &mut Report<'_>) -> bool {
        let at = at_span(span);
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let fact =
                format!("the file has more than {MAX_NODES} keys, values and brackets up to here");
            report.add(at, fact, DENSE_HELP);
            return false;
        }
        if report.is_full() {
            return false;
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let help = "a policy is one document; put the second one into its own file";
                    report.add(at, "a second document starts here", help);
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    report.add(at, "tags have no meaning in a policy", "remove the tag");
                }
                let plain = style == ScalarStyle::Plain;
                let values = 1 + text.len() / BYTES_OF_A_VALUE;
                let value = Value::Scalar { text: Text::from(text), plain };
                return self.place(Node { at, value }, (anchor, values), report);
            }
            Event::SequenceStart(_, _, tag) | Event::MappingStart(_, _, tag) if tag.is_some() => {
                report.add(at, "tags have no meaning in a policy", "remove the tag");
                return false;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(at, anchor, false);
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(at, anchor, true);
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(report),
            Event::Alias(id) => return self.repeat(id, at, report),
            _ => {}
        }
        true
    }

    fn open(&mut self, at: At, anchor: usize, is_map: bool) {
        self.stack.push(Open { at, anchor, is_map, first: self.children.len(), values: 1 });
    }

    fn close(&mut self, report: &mut Report<'_>) -> bool {
        let Some(open) = self.stack.pop() else { return false };
        let mut children = self.children.drain(open.first..);
        let value = if open.is_map {
            let mut pairs = Vec::with_capacity(children.len() / 2);
            while let (Some(key), Some(value)) = (children.next(), children.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        } else {
            Value::List(children.by_ref().collect())
        };
        drop(children);
        self.place(Node { at: open.at, value }, (open.anchor, open.values), report)
    }

    fn place(
        &mut self,
        node: Node,
        (anchor, values): (usize, usize),
        report: &mut Report<'_>,
    ) -> bool {
        if anchor != 0 {
            if self.anchors.len() == MAX_ANCHORS {
                let fact = format!("the file has more than {MAX_ANCHORS} anchors");
                report.add(node.at, fact, "write the values out");
                return false;
            }
            self.keep(anchor, &node, values);
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return true;
        };
        let entries = self.children.len() - open.first;
        if entries == if open.is_map { 2 * MAX_ENTRIES } else { MAX_ENTRIES } {
            let fact = format!("a list or mapping has more than {MAX_ENTRIES} entries");
            report.add(node.at, fact, "no policy needs as many; split it over several files");
            return false;
        }
        open.values += values;
        self.children.push(node);
        true
    }

    fn keep(&mut self, anchor: usize, node: &Node, values: usize) {
        let fits = values <= MAX_REPEATED && self.anchored + values <= MAX_ANCHORED;
        self.anchored += if fits { values } else { 0 };
        self.anchors.insert(anchor, fits.then(|| (node.clone(), values)));
    }

    fn repeat(&mut self, id: usize, at: At, report: &mut Report<'_>) -> bool {
        let (node, values) = match self.anchors.get(&id) {
            None => {
                report.add(at, "an alias cannot stand inside what it repeats", "");
                return false;
            }
            Some(Some((node, values))) if self.repeated + values <= MAX_REPEATED => (node, *values),
            Some(_) => {
                let fact = format!("aliases repeat more than {MAX_REPEATED} values in all");
                report.add(at, fact, "write the values out");
                return false;
            }
        };
        self.repeated += values;
        let node = node.clone();
        self.place(node, (0, values), report)
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn at_span(span: Span) -> At {
    let (start, end) = (span.start, span.end);
    let width = if end.line() == start.line() { end.col().saturating_sub(start.col()) } else { 1 };
    At {
        line: number(start.line()),
        column: number(start.col().saturating_add(1)),
        width: number(width.max(1)),
    }
}

fn at_marker(error: &ScanError) -> At {
    let marker = error.marker();
    At { line: number(marker.line()), column: number(marker.col().saturating_add(1)), width: 1 }
}
