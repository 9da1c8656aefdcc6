//! What agents say to their hooks and want to hear, as their documentation has it. Unknown fields are left alone; a
//! field that is needed and missing is an error, and an error is a denial.

use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use clawrden_api::display;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::Answer;

/// Whose hook it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Agent {
    /// Claude Code
    ClaudeCode,
    /// Codex
    Codex,
}

/// The event that comes before a tool is used, in both.
const EVENT: &str = "PreToolUse";

/// Tools that run a line in a shell, and how that shell is called.
const SHELLS: &[(&str, &[&str])] = &[
    ("Bash", &["bash", "-c"]),
    ("Monitor", &["bash", "-c"]),
    ("PowerShell", &["pwsh", "-Command"]),
    ("shell", &["bash", "-c"]),
    ("shell_command", &["bash", "-c"]),
    ("local_shell", &["bash", "-c"]),
    ("exec_command", &["bash", "-c"]),
    ("unified_exec", &["bash", "-c"]),
];

/// Tools that write one file, and the field that names it.
const WRITERS: &[(&str, &str)] = &[
    ("Write", "file_path"),
    ("Edit", "file_path"),
    ("MultiEdit", "file_path"),
    ("NotebookEdit", "notebook_path"),
];

/// The tool that writes every file that its patch names.
const PATCHER: &str = "apply_patch";
/// What stands before the name of a file in such a patch.
const PATCHED: &[&str] =
    &["*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "];

/// What a hook is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The command that stands for it; `None` for a tool that is none of ours.
    pub(super) argv: Option<Vec<Vec<u8>>>,
    pub(super) cwd: Vec<u8>,
}

#[derive(Deserialize)]
struct Input {
    hook_event_name: String,
    tool_name: String,
    #[serde(default)]
    tool_input: Fields,
    cwd: String,
}

/// The fields of a tool's input, each there once: of two, the agent might take the other one. What is no object has
/// none.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the tool's input")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.contains_key(&name) {
                let name = display::text(&name);
                return Err(A::Error::custom(format!("`{name}` is there twice")));
            }
            fields.insert(name, value);
        }
        Ok(Fields(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<Fields, A::Error> {
        while words.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Fields::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_unit<E>(self) -> Result<Fields, E> {
        Ok(Fields::default())
    }
}

impl Agent {
    /// Reads a hook's input.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(super) fn read(self, input: &[u8]) -> Result<Asked, String> {
        let input: Input = serde_json::from_slice(input)
            .map_err(|e| format!("the hook's input is not understood: {e}"))?;
        if input.hook_event_name != EVENT {
            return Err(format!(
                "this is a hook for {EVENT}, and was called for {}",
                display::text(&input.hook_event_name)
            ));
        }
        if !input.cwd.starts_with('/') {
            return Err("`cwd` is no absolute path".to_owned());
        }
        let argv = argv(&input.tool_name, &input.tool_input.0)?;
        if argv.iter().flatten().any(|word| word.contains(&0)) {
            return Err("the command has a NUL byte in it".to_owned());
        }
        let cwd = match &argv {
            Some(_) => place(&input.cwd, &input.tool_input.0)?,
            None => input.cwd.into_bytes(),
        };
        Ok(Asked { argv, cwd })
    }

    /// What goes to standard output and to standard error.
    pub(super) fn words(self, answer: &Answer) -> (String, String) {
        let decided = |decision: &str, reason: &str| {
            let words = json!({"hookSpecificOutput": {
                "hookEventName": EVENT,
                "permissionDecision": decision,
                "permissionDecisionReason": reason,
            }});
            words.to_string()
        };
        let refused = |why: &str| format!("clawrden: denied: {}", display::text(why));
        match (self, answer) {
            (Self::ClaudeCode, Answer::Allow) => {
                (decided("allow", "clawrden: allowed"), String::new())
            }
            // To Codex silence is consent, and an `allow` that changes nothing a failed hook.
            (_, Answer::NoOpinion) | (Self::Codex, Answer::Allow) => (String::new(), String::new()),
            (_, Answer::Deny(why)) => (decided("deny", &refused(why)), String::new()),
            // Both ways of saying it at once: who reads the exit code finds the reason on standard error.
            (_, Answer::Broken(why)) => (decided("deny", &refused(why)), refused(why)),
        }
    }
}

/// Where the tool works: a shell tool may be told another directory than the agent's.
fn place(cwd: &str, input: &Map<String, Value>) -> Result<Vec<u8>, String> {
    match input.get("workdir") {
        None | Some(Value::Null) => Ok(cwd.into()),
        Some(Value::String(dir)) => Ok(Path::new(cwd).join(dir).into_os_string().into_vec()),
        Some(_) => Err("`workdir` is no path".to_owned()),
    }
}

/// The one of these fields that is there. With two of them the agent might take the other one.
fn only<'v>(fields: &'v Map<String, Value>, names: &[&str]) -> Result<Option<&'v Value>, String> {
    let mut found = names.iter().filter_map(|name| fields.get(*name));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(format!("only one of `{}` can be meant", names.join("`, `"))),
        (first, _) => Ok(first),
    }
}

/// The command that a tool amounts to.
fn argv(tool: &str, fields: &Map<String, Value>) -> Result<Option<Vec<Vec<u8>>>, String> {
    if let Some((_, shell)) = SHELLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(tool)) {
        return shell_argv(shell, fields).map(Some);
    }
    let files = if let Some((_, field)) = WRITERS.iter().find(|(name, _)| *name == tool) {
        let file = fields.get(*field).and_then(Value::as_str).filter(|file| !file.is_empty());
        vec![file.ok_or_else(|| format!("`tool_input` of {tool} has no `{field}`"))?]
    } else if tool == PATCHER {
        patched(fields)?
    } else {
        return Ok(None);
    };
    // What a policy says about a redirection that writes a file is what it says about this.
    let line: Vec<String> = files.iter().map(|file| format!("> {}", quoted(file))).collect();
    Ok(Some(vec![b"bash".to_vec(), b"-c".to_vec(), line.join(" ").into_bytes()]))
}

fn shell_argv(shell: &[&str], fields: &Map<String, Value>) -> Result<Vec<Vec<u8>>, String> {
    // The line may be for another shell than the tool's usual one.
    let own = match fields.get("shell") {
        None | Some(Value::Null) => None,
        Some(Value::String(own)) if !own.is_empty() => Some(own.as_str()),
        Some(_) => return Err("`shell` is no program".to_owned()),
    };
    let shell =
        own.or_else(|| shell.first().copied()).into_iter().chain(shell.iter().skip(1).copied());
    let before = shell.map(|word| word.as_bytes().to_vec());
    let missing = || "`tool_input` has no `command`".to_owned();
    match only(fields, &["command", "cmd"])?.ok_or_else(missing)? {
        Value::String(line) => Ok(before.chain([line.clone().into_bytes()]).collect()),
        Value::Array(words) if !words.is_empty() => words
            .iter()
            .map(|word| word.as_str().map(|word| word.as_bytes().to_vec()))
            .collect::<Option<_>>()
            .ok_or_else(|| "`command` has words that are no text".to_owned()),
        _ => Err("`command` is neither a line nor a list of words".to_owned()),
    }
}

fn patched(fields: &Map<String, Value>) -> Result<Vec<&str>, String> {
    let text = only(fields, &["command", "input", "patch"])?.and_then(Value::as_str);
    let text = text.ok_or_else(|| format!("`tool_input` of {PATCHER} has no `command`"))?;
    let file = |line: &'_ str| -> Option<usize> {
        let line = line.trim_start();
        PATCHED.iter().find(|before| line.starts_with(**before)).map(|before| before.len())
    };
    let files: Vec<&str> = text
        .lines()
        .filter_map(|line| file(line).and_then(|at| line.trim_start().get(at..)))
        .map(str::trim_end)
        .collect();
    if files.is_empty() || files.iter().any(|file| file.is_empty()) {
        return Err(format!("the patch of {PATCHER} does not tell which files it changes"));
    }
    Ok(files)
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
