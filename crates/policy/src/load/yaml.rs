//! YAML to a tree of nodes that know where they stand in the file.
//! A scalar stays the text that was written; nothing is guessed to be a number or a boolean here.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, options};

use super::report::Report;

/// Deepest nesting of lists and mappings; a policy of the simple form needs five.
const MAX_DEPTH: usize = 32;
/// Most keys and values in all; a rule takes about ten.
const MAX_NODES: usize = 400_000;
/// Most nodes that aliases may repeat in all, so that a small file cannot grow without end.
const MAX_REPEATED_NODES: usize = 10_000;

/// Where a node stands: line and column from 1, width in characters on its first line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct At {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) width: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// What the node is, for "expected …, found …".
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } => "a word",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Whether nothing stands there: an empty place, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    fn count(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(pairs) => pairs.iter().map(|(key, value)| key.count() + value.count()).sum(),
        }
    }
}

/// A list or mapping that is still open.
struct Open {
    at: At,
    anchor: usize,
    is_map: bool,
    children: Vec<Node>,
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
    for event in Parser::new_from_str_with_options(text, limits) {
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

const EMPTY_HELP: &str = "a policy has at least `default_action: deny`";

#[derive(Default)]
struct Builder {
    stack: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    nodes: usize,
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
            report.add(at, format!("the policy has more than {MAX_NODES} keys and values"), "");
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
                let value = Value::Scalar { text: text.into_owned(), plain };
                self.place(Node { at, value }, anchor);
            }
            Event::SequenceStart(_, anchor, tag) | Event::MappingStart(_, anchor, tag)
                if tag.is_some() =>
            {
                report.add(at, "tags have no meaning in a policy", "remove the tag");
                let _ = anchor;
                return false;
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, anchor, false),
            Event::MappingStart(_, anchor, _) => self.open(at, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => return self.repeat(id, at, report),
            _ => {}
        }
        true
    }

    fn open(&mut self, at: At, anchor: usize, is_map: bool) {
        self.stack.push(Open { at, anchor, is_map, children: Vec::new() });
    }

    fn close(&mut self) {
        let Some(open) = self.stack.pop() else { return };
        let value = if open.is_map {
            let mut pairs = Vec::with_capacity(open.children.len() / 2);
            let mut children = open.children.into_iter();
            while let (Some(key), Some(value)) = (children.next(), children.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        } else {
            Value::List(open.children)
        };
        self.place(Node { at: open.at, value }, open.anchor);
    }

    fn place(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::new(node.clone()));
        }
        match self.stack.last_mut() {
            Some(open) => open.children.push(node),
            None => self.root = Some(node),
        }
    }

    fn repeat(&mut self, id: usize, at: At, report: &mut Report<'_>) -> bool {
        let Some(node) = self.anchors.get(&id).cloned() else {
            report.add(at, "an alias cannot stand inside what it repeats", "");
            return false;
        };
        self.repeated += node.count();
        if self.repeated > MAX_REPEATED_NODES {
            let fact = format!("aliases repeat more than {MAX_REPEATED_NODES} values in all");
            report.add(at, fact, "write the values out");
            return false;
        }
        self.place(Node::clone(&node), 0);
        true
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
