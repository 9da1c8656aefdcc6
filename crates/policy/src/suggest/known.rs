//! Known: which commands get no rule, and whose operands are files, from a data file beside the code.
//! The grammar is at its head. A bad line is left out and named; a test keeps the list empty.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::through;

const DATA: &str = include_str!("known.txt");

static KNOWN: LazyLock<Known> = LazyLock::new(|| read(DATA).0);

#[derive(Debug, Default)]
struct Known {
    never: HashSet<&'static str>,
    within: HashMap<&'static str, HashSet<&'static str>>,
    files: HashSet<&'static str>,
    adds: HashMap<&'static str, HashSet<&'static str>>,
    changes: HashSet<&'static str>,
}

/// Whether the tool runs what it is told, whatever its arguments are.
pub(super) fn runs_others(tool: &str) -> bool {
    // `python3.12` and `gcc-13` are those tools.
    let stem = tool.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    [tool, stem].iter().any(|name| KNOWN.never.contains(name) || through::runs_any(name.as_bytes()))
}

/// The word by which this command of a tool runs something else.
pub(super) fn runs_by<'a>(tool: &str, words: &'a [String]) -> Option<&'a str> {
    let subs = KNOWN.within.get(tool)?;
    words.iter().map(String::as_str).find(|word| subs.contains(word))
}

/// The words by which commands of a tool run something else.
pub(super) fn subs(tool: &str) -> impl Iterator<Item = &'static str> {
    KNOWN.within.get(tool).into_iter().flatten().copied()
}

/// Whether its operands are files of which one may stand for another.
pub(super) fn takes_files(tool: &str, sub: Option<&str>) -> bool {
    match sub {
        None => KNOWN.files.contains(tool),
        Some(sub) => KNOWN.adds.get(tool).is_some_and(|subs| subs.contains(sub)),
    }
}

/// Whether every operand of the tool is a file, whatever becomes of it.
pub(crate) fn names_files(tool: &str, sub: Option<&str>) -> bool {
    takes_files(tool, sub) || (sub.is_none() && KNOWN.changes.contains(tool))
}

fn read(data: &'static str) -> (Known, Vec<String>) {
    let (mut known, mut errors) = (Known::default(), Vec::new());
    for line in data.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["never", names @ ..] => known.never.extend(names),
            ["files", names @ ..] => known.files.extend(names),
            ["changes", names @ ..] => known.changes.extend(names),
            ["within", tool, subs @ ..] => known.within.entry(tool).or_default().extend(subs),
            ["adds", tool, subs @ ..] => known.adds.entry(tool).or_default().extend(subs),
            _ => errors.push(line.to_owned()),
        }
    }
    (known, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_no_errors() {
        assert_eq!(read(DATA).1, Vec::<String>::new());
    }

    #[test]
    fn interpreters_wrappers_and_shells_of_any_version_run_others() {
        for tool in ["python3.12", "bash", "env", "xargs", "sudo", "npx", "ssh", "make", "node18"] {
            assert!(runs_others(tool), "{tool}");
        }
        for tool in ["git", "npm", "curl", "rm", "tar"] {
            assert!(!runs_others(tool), "{tool}");
        }
    }

    #[test]
    fn nothing_that_removes_is_in_the_list_of_files() {
        for tool in ["rm", "mv", "cp", "tee", "dd", "ln", "sed", "sort", "chmod"] {
            assert!(!takes_files(tool, None), "{tool}");
        }
        assert!(
            names_files("rm", None) && names_files("ls", None) && names_files("git", Some("add"))
        );
        assert!(!names_files("chmod", None) && !names_files("git", Some("rm")));
    }
}
