//! Whose the strings of a JSON object are: what the warden wrote by itself is no secret, whatever it is like.

use std::ops::Range;

/// The fields of an object, by their names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields {
    /// The warden's own, with all that is in them: nothing of it is marked.
    pub ours: &'static [&'static str],
    /// Those that hold names which somebody else gave. All other names are ours.
    pub maps: &'static [&'static str],
}

impl Fields {
    /// Whether something of this field may be marked.
    pub(super) fn may_mark(&self, name: &str) -> bool {
        !self.ours.contains(&name)
    }
}

/// The insides of all strings of the JSON object `text`, in their order, and whether each may be marked.
pub(super) fn strings(text: &[u8], fields: &Fields) -> Vec<(Range<usize>, bool)> {
    let mut found = Vec::new();
    // Whether each that is open is an object.
    let mut open: Vec<bool> = Vec::new();
    let (mut is_key, mut may_mark, mut is_map) = (false, true, false);
    let mut at = 0;
    while let Some(&b) = text.get(at) {
        at += 1;
        match b {
            b'{' | b'[' => {
                open.push(b == b'{');
                is_key = b == b'{';
            }
            b'}' | b']' => drop(open.pop()),
            b',' => is_key = open.last() == Some(&true),
            b':' => is_key = false,
            b'"' => {
                let end = end_of_string(text, at);
                let inside = at..end;
                if is_key && open.len() == 1 {
                    let name = std::str::from_utf8(&text[inside.clone()]).unwrap_or_default();
                    (may_mark, is_map) = (fields.may_mark(name), fields.maps.contains(&name));
                    found.push((inside, false));
                } else {
                    found.push((inside, may_mark && (!is_key || is_map)));
                }
                at = end + 1;
            }
            _ => {}
        }
    }
    found
}

/// Where the string ends whose inside begins at `from`.
fn end_of_string(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(&b) = text.get(at).filter(|&&b| b != b'"') {
        at += 1 + usize::from(b == b'\\');
    }
    at.min(text.len())
}
