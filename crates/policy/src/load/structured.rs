//! The structured form of `args`: a mapping that names subcommand, flags, operands and places.
//! Every key that is not understood is reported with what would be right.

use super::node::Node;
use super::report::Report;
use crate::action::Action;
use crate::matchers::args::ArgsPattern;
use crate::matchers::structured::{Match, PLACE_HELP, Set, Structured};
use crate::through::plain_script;

pub(super) const KEYS: &[&str] =
    &["subcommand", "flags", "globals", "operands", "inside", "matches", "script"];
pub(super) const FLAG_KEYS: &[&str] = &["any", "all", "none", "only"];
pub(super) const OPERAND_KEYS: &[&str] = &["any", "all", "none", "min", "max"];

/// Most operands that a count may speak of; no command has more words than are read.
const MAX_COUNT: usize = 100_000;
/// Most entries of one list.
const MAX_LIST: usize = 256;

/// What a list of words is compiled into.
type Setter<'a> = dyn FnMut(&[&str]) -> Result<(), (usize, String)> + 'a;

/// Reads one mapping for a rule with this action.
pub(super) fn pattern(node: &Node, action: Action, report: &mut Report<'_>) -> Option<ArgsPattern> {
    let fields = report.fields(node, "what the arguments are", KEYS)?;
    if fields.is_empty() {
        let help = "write at least one of `subcommand`, `flags`, `operands`, `inside` and `matches`, \
                    or leave `args` out";
        report.add(node.at, "the pattern is empty", help);
    }
    let mut built = Structured::default();
    let count = fields.len();
    for (key, node) in fields {
        match key {
            "subcommand" => {
                let what = "a subcommand such as `push`, or a list of them";
                set(node, what, report, &mut |words| built.set_subcommands(words));
            }
            "flags" => flags(node, action, &mut built, report),
            "globals" if action != Action::Allow => {
                let help = "a deny or an ask looks past every option before the subcommand; one that \
                            matters belongs to `flags`";
                report.add(node.at, "`globals` is for an allow", help);
            }
            "globals" => {
                let what = "a flag such as `-C`, or a list of them";
                set(node, what, report, &mut |words| built.set_flags(Set::Globals, words, action));
            }
            "operands" => operands(node, action, &mut built, report),
            "inside" => set(node, PLACE_HELP, report, &mut |words| built.set_inside(words)),
            "script" => script(node, action, count, &mut built, report),
            _ => matches(node, action, &mut built, report),
        }
    }
    Some(ArgsPattern::Structured(Box::new(built)))
}

fn script(
    node: &Node,
    action: Action,
    keys: usize,
    built: &mut Structured,
    report: &mut Report<'_>,
) {
    if action != Action::Allow {
        let help = "a deny or an ask names what it is about; what an allow with `script` leaves over \
                    is for the next rule";
        report.add(node.at, "`script` is for an allow", help);
    } else if keys > 1 {
        report.add(node.at, "`script` stands alone", "it speaks of all arguments");
    }
    let Some(word) = report.word(node, "a language, `sed` or `awk`") else { return };
    match plain_script(word) {
        Some(is_plain) => built.set_script(word, is_plain),
        None => report.add(node.at, format!("bad language `{word}`"), "write `sed` or `awk`"),
    }
}

fn flags(node: &Node, action: Action, built: &mut Structured, report: &mut Report<'_>) {
    let what = "lists of flags, as {any: [-f], all: [], none: [], only: []}";
    for (key, node) in report.fields(node, what, FLAG_KEYS).unwrap_or_default() {
        let of = match key {
            "any" => Set::Any,
            "all" => Set::All,
            "none" => Set::None,
            _ => Set::Only,
        };
        // No flag at all, or all but none, can be meant; an empty choice cannot.
        let may_be_empty = matches!(of, Set::Only | Set::None);
        if may_be_empty && is_empty(node) {
            let _ = built.set_flags(of, &[], action);
            continue;
        }
        let what = "a flag such as `--force`, or a list of them";
        set(node, what, report, &mut |words| built.set_flags(of, words, action));
    }
}

fn operands(node: &Node, action: Action, built: &mut Structured, report: &mut Report<'_>) {
    let what = "lists of globs and counts, as {any: [a*], all: [b*], none: [c*], min: 1, max: 2}";
    for (key, node) in report.fields(node, what, OPERAND_KEYS).unwrap_or_default() {
        let of = match key {
            "any" => Set::Any,
            "all" => Set::All,
            "none" => Set::None,
            _ => {
                if let Some(count) = number(node, MAX_COUNT, report) {
                    built.set_count(key == "min", count);
                }
                continue;
            }
        };
        let what = "a glob such as `/etc/*`, or a list of them";
        set(node, what, report, &mut |words| built.set_operands(of, words, action));
    }
    if built.counts_cross() {
        report.add(node.at, "`min` is more than `max`", "no command has such a number of operands");
    }
}

fn matches(node: &Node, action: Action, built: &mut Structured, report: &mut Report<'_>) {
    let what = "operands to regular expressions, as {1: '^v[0-9]'}; `any` is any argument";
    for (key, word, value) in report.entries(node, what).unwrap_or_default() {
        let which = match word.parse() {
            _ if word == "any" => Match::Some,
            Ok(place) if (1..=MAX_LIST).contains(&place) => Match::At(place),
            _ => {
                let help =
                    "write the operand's number behind the subcommand, from 1 to 256, or `any`";
                report.add(key.at, format!("bad place `{word}`"), help);
                continue;
            }
        };
        let Some(text) = report.word(value, "a regular expression") else { continue };
        match report.budget.regexes.compile(text, action) {
            Ok(regex) => built.add_match(which, text, regex),
            Err(help) => report.add(value.at, format!("bad regular expression `{text}`"), &help),
        }
    }
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, super::node::Value::List(items) if items.is_empty())
}

fn set(node: &Node, what: &str, report: &mut Report<'_>, setter: &mut Setter<'_>) {
    let Some(words) = report.words(node, what) else { return };
    if words.len() > MAX_LIST {
        report.add(node.at, format!("the list has more than {MAX_LIST} entries"), "");
        return;
    }
    if !words.iter().all(|(at, text)| report.may_spell_out(at, text)) {
        return;
    }
    let texts: Vec<&str> = words.iter().map(|(_, text)| *text).collect();
    if let Err((at, help)) = setter(&texts) {
        let (node, text) = words[at];
        report.add(node.at, format!("bad entry `{text}`"), &help);
    }
}

fn number(node: &Node, most: usize, report: &mut Report<'_>) -> Option<usize> {
    let text = report.word(node, "a number such as 1")?;
    match text.parse() {
        Ok(count) if count <= most => Some(count),
        _ => {
            report.add(node.at, format!("bad number `{text}`"), &format!("write 0 to {most}"));
            None
        }
    }
}
