//! Node: what stands in a policy file, and where.

use super::text::Text;

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
    Scalar { text: Text, plain: bool },
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
            if matches!(text.bytes(), b"" | b"~" | b"null" | b"Null" | b"NULL"))
    }

    /// The text of a scalar that says something.
    pub(super) fn said(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }
}
