//! Pattern: what a person approves beyond one command's exact words, written as `command` and `args` of a rule are. It is
//! matched on the argument vector as an `allow` is, so it may only take less than it seems to.

use super::past::judge;
use super::reads::runs_what_it_reads;
use super::request::{Past, tool};
use super::{check, known, yaml};
use crate::action::Action;
use crate::facts::Facts;
use crate::lint;
use crate::policy::Policy;

/// Longest pattern, in bytes.
const MAX_BYTES: usize = 1024;

/// A word that no tool has for an option.
const OPTION: &str = "--clawrden-probe";

/// A pattern for the commands of one tool.
#[derive(Debug)]
pub struct Pattern {
    name: String,
    /// A policy that allows just these commands.
    lone: Policy,
}

impl Pattern {
    /// Compiles `text`, the tool's bare name and the arguments behind it, with what `policy` knows of tools.
    ///
    /// # Errors
    /// Why it is none, as a lower-case sentence.
    pub fn new(policy: &Policy, text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > MAX_BYTES || text.contains(char::is_control) {
            return Err(format!("a pattern is one line of at most {MAX_BYTES} bytes"));
        }
        let Some((name, args)) = text.split_once(' ') else {
            return Err(
                "a pattern is a tool's name and its arguments, such as `npm install *`".into()
            );
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-@".contains(c);
        if !name.chars().all(is_plain) || name.starts_with('-') {
            return Err("a pattern begins with the bare name of one tool".into());
        }
        let rule = format!(
            "- {{command: {}, args: {}, action: allow}}",
            yaml::scalar(name),
            yaml::scalar(args.trim())
        );
        let lone = check::lone(policy, &rule)
            .map_err(|_| format!("`{}` is no pattern for arguments", args.trim()))?;
        Ok(Self { name: name.to_owned(), lone })
    }

    /// Whether it takes this request. What runs another command by it, or may be told elsewhere what to run, it never takes.
    #[must_use]
    pub fn takes(&self, facts: &Facts<'_>) -> bool {
        let words: Option<Vec<&str>> =
            facts.argv.iter().map(|word| std::str::from_utf8(word).ok()).collect();
        let executable = facts.path.map(String::from_utf8_lossy);
        let Some(words) = words else { return false };
        self.lone.decide(facts).action == Action::Allow
            && !runs_what_it_reads(&words, executable.as_deref())
            && self.runs_by(&words).is_none()
    }

    /// Whether it takes a request as a history tells of it.
    #[must_use]
    pub fn takes_past(&self, past: &Past) -> bool {
        let words: Vec<&str> = past.argv.iter().map(String::as_str).collect();
        judge(&self.lone, past).action == Action::Allow
            && !runs_what_it_reads(&words, None)
            && self.runs_by(&words).is_none()
    }

    /// Why a person may not approve it for `shown`; `None` where it may be.
    #[must_use]
    pub fn objection(&self, shown: &Past) -> Option<String> {
        let name = self.name.as_str();
        let Some(own) = tool(&shown.argv) else {
            return Some("the command is called by a path, and no pattern takes that".into());
        };
        if own != name {
            return Some(format!("the command is `{own}`, and the pattern is for `{name}`"));
        }
        if known::runs_others(name) {
            return Some(format!("`{name}` runs whatever it is told"));
        }
        let place = (shown.jail.as_str(), shown.cwd.as_deref().unwrap_or_default());
        if lint::allows_a_probe(&self.lone, place.0, place.1) {
            return Some("it would take a command that can run or write anything".into());
        }
        let takes = |argv: Vec<String>| {
            let past = Past { argv, ..shown.clone() };
            judge(&self.lone, &past).action == Action::Allow
        };
        let with_option = |at: usize| {
            let mut argv = shown.argv.clone();
            argv.insert(at, OPTION.to_owned());
            argv
        };
        if (1..=shown.argv.len()).any(|at| takes(with_option(at))) {
            return Some(
                "it takes any option, and options can run commands or write files; name those that are meant".into(),
            );
        }
        for sub in known::subs(name) {
            for behind in [&[][..], &["x"], &["x", "y"]] {
                let argv = [&[name, sub], behind].concat();
                if takes(argv.into_iter().map(str::to_owned).collect()) {
                    return Some(format!(
                        "it would take `{name} {sub}`, which runs something else"
                    ));
                }
            }
        }
        (!self.takes_past(shown)).then(|| "it does not take the command that is asked about".into())
    }

    fn runs_by<'w>(&self, words: &[&'w str]) -> Option<&'w str> {
        let (_, behind) = words.split_first()?;
        let subs: Vec<&str> = known::subs(&self.name).collect();
        behind.iter().find(|word| subs.contains(word)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(line: &str) -> Past {
        Past {
            argv: line.split(' ').map(str::to_owned).collect(),
            cwd: Some("/app".into()),
            jail: "dev".into(),
            uid: Some(1000),
            gid: Some(1000),
            was: Action::Ask,
            answer: None,
        }
    }

    fn pattern(text: &str) -> Result<Pattern, String> {
        Pattern::new(&Policy::closed(), text)
    }

    #[test]
    fn it_takes_what_its_arguments_take_word_by_word_and_no_more() {
        let install = pattern("npm install *").unwrap();
        assert_eq!(install.objection(&past("npm install left-pad")), None);
        for line in ["npm install left-pad", "npm install a"] {
            assert!(install.takes_past(&past(line)), "{line}");
        }
        for line in [
            "npm install",
            "npm install a b",
            "npm install --script-shell=/tmp/x a",
            "npm install -g a",
            "npm run install a",
            "npm exec a",
            "yarn install a",
            "/tmp/npm install a",
            "env npm install a",
            "npm install sh",
        ] {
            assert!(!install.takes_past(&past(line)), "{line}");
        }
        let joined = Past { argv: vec!["npm".into(), "install a".into()], ..past("npm") };
        assert!(!install.takes_past(&joined), "never a joined string");
    }

    #[test]
    fn what_could_be_made_to_run_anything_is_refused() {
        let refused = |text: &str, line: &str| match pattern(text) {
            Err(error) => error,
            Ok(pattern) => pattern.objection(&past(line)).unwrap_or_default(),
        };
        for (text, line, why) in [
            ("bash *", "bash x", "runs whatever"),
            ("python3 *", "python3 x", "runs whatever"),
            ("env *", "env x", "runs whatever"),
            ("sudo *", "sudo ls", "runs whatever"),
            ("xargs *", "xargs ls", "runs whatever"),
            ("npm **", "npm install a", "any"),
            ("npm install **", "npm install a", "any option"),
            ("git *", "git status", "runs something else"),
            ("docker *", "docker ps", "runs something else"),
            ("npm install *", "npm ci", "does not take"),
            ("npm install *", "yarn install a", "is for `npm`"),
            ("npm install *", "/tmp/npm install a", "called by a path"),
            ("npm", "npm install", "its arguments"),
            ("* install", "npm install", "bare name"),
            ("/usr/bin/npm install", "npm install", "bare name"),
            ("npm install\n*", "npm install a", "one line"),
            ("npm 'install", "npm install", "no pattern"),
        ] {
            let told = refused(text, line);
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn an_option_is_taken_where_it_is_named() {
        let named = pattern("npm install --save-dev *").unwrap();
        assert_eq!(named.objection(&past("npm install --save-dev a")), None);
        assert!(named.takes_past(&past("npm install a --save-dev")));
        assert!(!named.takes_past(&past("npm install a")));
        let fetch = pattern("git fetch origin *").unwrap();
        assert_eq!(fetch.objection(&past("git fetch origin main")), None);
        assert!(!fetch.takes_past(&past("git fetch --upload-pack=x origin main")));
        assert!(!fetch.takes_past(&past("git fetch -- origin --upload-pack=x")));
    }

    #[test]
    fn a_value_that_runs_something_is_never_taken() {
        let clone = pattern("git clone *").unwrap();
        assert!(clone.takes_past(&past("git clone a")));
        let sneaky = Past {
            argv: ["git", "clone", "ext::sh -c id"].map(str::to_owned).into(),
            ..past("git")
        };
        assert!(!clone.takes_past(&sneaky));
        assert!(!pattern("docker ps *").unwrap().takes_past(&past("docker ps bash")));
    }
}
