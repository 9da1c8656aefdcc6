//! The section `tools`: how tools that nobody here knows read their arguments.
//! It says the same as the built-in table, in YAML, and adds to it only.

use super::node::{Node, Value};
use super::report::Report;
use crate::tools::{Extension, OwnTools};

/// Most tools in one file.
const MAX_TOOLS: usize = 1_000;
/// Most subcommands of one tool, and most entries of one list of flags.
const MAX_LIST: usize = 1_000;

pub(super) const KEYS: &[&str] = &["style", "flags", "subcommands", "groups", "skips"];
pub(super) const SUB_KEYS: &[&str] = &["flags", "like", "stops"];

pub(super) fn tools(node: &Node, report: &mut Report<'_>) -> Option<OwnTools> {
    let entries = report.entries(node, "tools to what is known of them")?;
    if entries.len() > MAX_TOOLS {
        report.add(node.at, format!("more than {MAX_TOOLS} tools"), "");
        return None;
    }
    let mut tools = OwnTools::default();
    for (key, name, value) in entries {
        if report.is_spent() {
            break;
        }
        let Some(name) = report.tool_name(key, name) else { continue };
        let mut tool = Extension::of(&name);
        read(value, &mut tool, report);
        tools.add(&name, tool);
    }
    Some(tools)
}

fn read(node: &Node, tool: &mut Extension, report: &mut Report<'_>) {
    let Some(fields) = report.fields(node, "what is known of the tool", KEYS) else { return };
    let get = |key: &str| fields.iter().find(|(found, _)| *found == key).map(|(_, node)| *node);
    // What comes later may speak of what came before, whatever the order in the file.
    if let Some(node) = get("style") {
        let what =
            "`single-dash`, `anywhere`, `stops`, `bundled` or `abbreviates`, or a list of them";
        list(node, what, report, &mut |words| tool.style(words));
    }
    if let Some(node) = get("flags") {
        list(node, FLAG, report, &mut |words| tool.flags(words));
    }
    if let Some(node) = get("skips") {
        list(node, "a beginning such as `+`", report, &mut |words| tool.skips(words));
    }
    if let Some(node) = get("subcommands") {
        subcommands(node, tool, report);
    }
    if let Some(node) = get("groups") {
        let what = "two words to a subcommand, as {container rm: rm}";
        for (key, pair, value) in report.entries(node, what).unwrap_or_default() {
            let Some(meant) = report.word(value, "a subcommand") else { continue };
            if let Err(help) = tool.group(pair, meant) {
                report.add(key.at, format!("bad group `{pair}`"), &help);
            }
        }
    }
}

const FLAG: &str = "a flag such as `-o,--output=`, or a list of them";

fn subcommands(node: &Node, tool: &mut Extension, report: &mut Report<'_>) {
    let what = "subcommands to their options, as {push: {flags: [--force]}, status: }";
    let entries = report.entries(node, what).unwrap_or_default();
    if entries.len() > MAX_LIST {
        report.add(node.at, format!("more than {MAX_LIST} subcommands"), "");
        return;
    }
    for (key, names, value) in entries {
        let (mut flags, mut like, mut stops) = (None, None, false);
        let fields =
            if value.is_null() { None } else { report.fields(value, "its options", SUB_KEYS) };
        for (key, node) in fields.into_iter().flatten() {
            match key {
                "flags" => flags = words(node, FLAG, report),
                "like" => like = report.word(node, "another subcommand"),
                _ => stops = report.boolean(node).unwrap_or(false),
            }
        }
        if let Some(model) = like
            && !report.may_copy(key.at, tool.flags_of(model))
        {
            continue;
        }
        if let Err(help) = tool.subcommand(names, flags.as_deref(), (like, stops)) {
            report.add(key.at, format!("bad subcommand `{names}`"), &help);
        }
    }
}

/// Words that may be none at all.
fn words<'n>(node: &'n Node, what: &str, report: &mut Report<'_>) -> Option<Vec<&'n str>> {
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        return Some(Vec::new());
    }
    let words = report.words(node, what)?;
    if words.len() > MAX_LIST {
        report.add(node.at, format!("the list has more than {MAX_LIST} entries"), "");
        return None;
    }
    if !report.may_name(node.at, words.len()) {
        return None;
    }
    Some(words.into_iter().map(|(_, word)| word).collect())
}

fn list(
    node: &Node,
    what: &str,
    report: &mut Report<'_>,
    apply: &mut dyn FnMut(&[&str]) -> Result<(), String>,
) {
    let Some(words) = words(node, what, report) else { return };
    if let Err(help) = apply(&words) {
        report.add(node.at, "that cannot be said of this tool", &help);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Action, Facts, Policy};

    const DEPLOY: &str = "default_action: deny
tools:
  deployctl:
    style: [anywhere]
    flags: ['-c,--cluster=', --yes]
    subcommands:
      'apply,a': {flags: ['-f,--file=', --force, '--color=?']}
      remove: {like: apply, flags: [--all]}
      run: {flags: [-i], stops: true}
      status:
    groups: {release apply: apply}
  git:
    flags: ['--our-global=']
    subcommands:
      push: {flags: [--our-flag]}
      ours: {flags: ['--level=']}
";

    fn judge(rules: &str, line: &str) -> Action {
        let policy = Policy::from_yaml("p.yaml", &format!("{DEPLOY}rules:\n{rules}"))
            .unwrap_or_else(|error| panic!("{error}"));
        let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let path = [b"/usr/bin/", argv[0]].concat();
        let facts = Facts {
            name: argv[0],
            path: Some(&path),
            tool: Some(argv[0]),
            argv: &argv,
            cwd: Some(b"/app"),
            ..Facts::default()
        };
        assert_eq!(policy.decide(&facts), policy.explain(&facts).decision, "{line}");
        policy.decide(&facts).action
    }

    #[test]
    fn a_tool_of_ones_own_is_read_as_the_file_says() {
        let rule = "  - {command: deployctl, args: {subcommand: apply, flags: {only: [-c, --file]}, \
                    operands: {max: 1}}, action: allow}\n";
        for line in [
            "deployctl apply",
            "deployctl a -f x y",
            "deployctl -c prod apply --file=x",
            "deployctl release apply -fx",
        ] {
            assert_eq!(judge(rule, line), Action::Allow, "{line}");
        }
        for line in [
            "deployctl apply --force",
            "deployctl remove",
            "deployctl apply x y",
            "deployctl --odd apply",
        ] {
            assert_eq!(judge(rule, line), Action::Deny, "{line}");
        }
        let text = "  - {command: deployctl, args: remove --all, action: ask}\n";
        assert_eq!(judge(text, "deployctl --cluster x remove -f y --all"), Action::Ask);
        let run = "  - {command: deployctl, args: {subcommand: run}, action: allow}\n";
        assert_eq!(judge(run, "deployctl run tool --odd"), Action::Allow);
    }

    #[test]
    fn a_known_tool_gets_flags_and_subcommands_that_it_lacked() {
        let rule = "  - {command: git, args: {subcommand: [push, ours], globals: [--our-global], \
                    flags: {only: [--our-flag, --level]}, operands: {max: 1}}, action: allow}\n";
        for line in ["git push --our-flag x", "git ours --level 3 x", "git --our-global x push"] {
            assert_eq!(judge(rule, line), Action::Allow, "{line}");
        }
        for line in ["git push -f", "git push --our-flag x y", "git -c x=y push"] {
            assert_eq!(judge(rule, line), Action::Deny, "{line}");
        }
    }

    #[test]
    fn what_is_built_in_is_not_overridden() {
        for (tool, told) in [
            ("git: {flags: ['-C']}", "stands there twice"),
            ("git: {subcommands: {push: {flags: ['-f=']}}}", "stands there twice"),
            ("git: {subcommands: {push: {flags: [--forc]}}}", "shortened"),
            ("npm: {subcommands: {publis: }}", "shortened"),
            ("git: {style: anywhere}", "built-in table"),
            ("git: {skips: [x]}", "built-in table"),
            ("git: {subcommands: {push: {stops: true}}}", "built-in table"),
            ("rm: {subcommands: {x: }}", "without subcommands"),
            ("docker: {groups: {image rm: rm}}", "built-in table"),
        ] {
            let error = Policy::from_yaml("p.yaml", &format!("tools: {{{tool}}}")).unwrap_err();
            assert!(error.to_string().contains(told), "{tool}: {error}");
        }
    }

    #[test]
    fn what_makes_no_sense_of_a_tool_is_refused() {
        for tool in [
            "x: {style: fast}",
            "x: {flags: [force]}",
            "x: {flags: ['--a b']}",
            "x: {flags: [-a, -a]}",
            "x: {subcommands: {'-a': }}",
            "x: {subcommands: {a: {like: b}}}",
            "x: {subcommands: {'a,b': , b: }}",
            "x: {groups: {a: b}}",
            "x: {groups: {a b: c}}",
            "x: {odd: 1}",
            "a/b: {}",
            "x: [a]",
        ] {
            let error = Policy::from_yaml("p.yaml", &format!("tools: {{{tool}}}")).unwrap_err();
            assert!(!error.diagnostics().is_empty(), "{tool}");
        }
    }
}
