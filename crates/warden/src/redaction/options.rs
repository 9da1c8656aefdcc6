//! Secrets that are the value of an option: `--password X`, and the letters that tools have for it.

use std::ops::Range;

use super::names::{self, Name, looks_random};

/// Reads the words of a command one by one, and tells which are secrets.
#[derive(Default)]
pub(super) struct Options {
    tool: Option<&'static Tool>,
    awaited: Option<Awaited>,
}

#[derive(Clone, Copy)]
enum Awaited {
    /// The value of an option that is named so.
    Value(&'static Name),
    /// The value of an option that a tool has for it.
    Known(Form),
}

/// How an option has its secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// All of the value.
    Whole,
    /// What stands behind the first colon.
    Colon,
    /// What stands behind the first `%`.
    Percent,
    /// What stands behind `pass:`.
    Pass,
}

/// The options of a tool that have secrets.
struct Tool {
    names: &'static [&'static str],
    /// The option, how it has its secret, and whether that only ever stands in the same word.
    options: &'static [(&'static str, Form, bool)],
}

const TOOLS: &[Tool] = &[
    Tool {
        names: &[
            "mysql",
            "mysqldump",
            "mysqladmin",
            "mysqlimport",
            "mysqlshow",
            "mariadb",
            "mariadb-dump",
            "mariadb-admin",
            "7z",
            "7za",
            "7zr",
        ],
        options: &[("-p", Form::Whole, true)],
    },
    Tool {
        names: &["sshpass", "mongo", "mongosh", "mongodump", "mongorestore", "az", "influx"],
        options: &[("-p", Form::Whole, false)],
    },
    Tool {
        names: &["docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "oc"],
        options: &[],
    },
    Tool { names: &["redis-cli", "valkey-cli"], options: &[("-a", Form::Whole, false)] },
    Tool {
        names: &["ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapwhoami"],
        options: &[("-w", Form::Whole, false)],
    },
    Tool {
        names: &["sqlcmd", "bcp", "isql", "zip", "unzip"],
        options: &[("-P", Form::Whole, false)],
    },
    Tool {
        names: &["ssh-keygen"],
        options: &[("-N", Form::Whole, false), ("-P", Form::Whole, false)],
    },
    Tool { names: &["smbclient", "rpcclient", "net"], options: &[("-U", Form::Percent, false)] },
    Tool {
        names: &["curl"],
        options: &[
            ("-u", Form::Colon, false),
            ("--user", Form::Colon, false),
            ("-U", Form::Colon, false),
            ("--proxy-user", Form::Colon, false),
            ("-b", Form::Whole, false),
            ("--cookie", Form::Whole, false),
        ],
    },
    Tool { names: &["http", "https", "xh", "xhs"], options: &[("-a", Form::Colon, false)] },
    Tool {
        names: &["openssl"],
        options: &[
            ("-passin", Form::Pass, false),
            ("-passout", Form::Pass, false),
            ("-pass", Form::Pass, false),
            ("-k", Form::Whole, false),
            ("-K", Form::Whole, false),
        ],
    },
];

/// What the names of options begin with that say that there is no secret, or that it is to be asked for.
const NONE: [&[u8]; 5] = [b"no-", b"without-", b"disabled-", b"skip-", b"ask-"];

/// `login -p X`, of tools whose `-p` is something else elsewhere.
const LOGIN: Tool = Tool { names: &[], options: &[("-p", Form::Whole, false)] };

impl Options {
    /// The part of the next word that is a secret, and what it is called.
    pub(super) fn next(&mut self, word: &[u8]) -> Option<(Range<usize>, &'static str)> {
        let is_option = word.len() > 1 && word[0] == b'-';
        match self.awaited.take() {
            Some(Awaited::Known(form)) => {
                return form.within(word, 0).map(|range| (range, "password"));
            }
            // An option that may have no value: `mysql --password -h host`.
            Some(Awaited::Value(_)) if is_option && (word.len() == 2 || word[1] == b'-') => {}
            Some(Awaited::Value(name)) => {
                let is_one = name.holds(word, || looks_random(word));
                return is_one.then_some((0..word.len(), name.kind));
            }
            None => {}
        }
        if !is_option {
            self.tool_of(word);
            return None;
        }
        for &(option, form, same_word) in self.tool.iter().flat_map(|tool| tool.options) {
            let Some(rest) = word.strip_prefix(option.as_bytes()) else { continue };
            let is_long = option.starts_with("--") || option.len() > 2;
            if rest.is_empty() {
                if !same_word {
                    self.awaited = Some(Awaited::Known(form));
                }
                return None;
            }
            if is_long && rest[0] != b'=' {
                continue;
            }
            let at = word.len() - rest.len() + usize::from(is_long);
            return form.within(word, at).map(|range| (range, "password"));
        }
        if !word.contains(&b'=') {
            let name = word.iter().position(|&b| b != b'-').map_or(&[][..], |at| &word[at..]);
            // One letter is no name; and what says that there is none has no value.
            let is_one = name.len() > 1 && !NONE.iter().any(|none| name.starts_with(none));
            self.awaited = names::of(name).filter(|_| is_one).map(Awaited::Value);
        }
        None
    }

    fn tool_of(&mut self, word: &[u8]) {
        let name = word.rsplit(|&b| b == b'/').next().unwrap_or(word);
        if name == b"login" {
            self.tool = self.tool.map(|tool| if tool.options.is_empty() { &LOGIN } else { tool });
            return;
        }
        if name.len() > 16 {
            return;
        }
        let known = |tool: &&Tool| tool.names.iter().any(|known| known.as_bytes() == name);
        if let Some(found) = TOOLS.iter().find(known) {
            self.tool = Some(found);
        }
    }
}

impl Form {
    fn within(self, word: &[u8], at: usize) -> Option<Range<usize>> {
        let value = word.get(at..).filter(|value| !value.is_empty())?;
        if value[0] == b'$' || value.starts_with(super::MARK.as_bytes()) {
            return None;
        }
        let behind = |part: &[u8]| {
            let found = value.windows(part.len()).position(|window| window == part)?;
            let from = at + found + part.len();
            // It may stand before a mark, or in one.
            let is_there = from < word.len()
                && !word[from..].starts_with(super::MARK.as_bytes())
                && !word[..from].ends_with(super::MARK.as_bytes());
            is_there.then_some(from..word.len())
        };
        match self {
            Self::Whole => Some(at..word.len()),
            Self::Colon => behind(b":"),
            Self::Percent => behind(b"%"),
            Self::Pass => behind(b"pass:"),
        }
    }
}
