//! Never milder: what is not known about a request, and what is added against it, makes a decision
//! stricter or leaves it as it is.

use clawrden_policy::{Action, Facts, Policy};
use proptest::prelude::*;
use proptest::sample::select;

const PLACES: &[&str] =
    &["/", "/app", "/etc", "/a", "/a/app", "/dev", "/home/ann", "/x/push", "/etc/x"];

/// A rule as it is written, and what it does.
type Rule = (String, &'static str);

fn rule() -> impl Strategy<Value = Rule> {
    let command = select(vec![
        "rm",
        "git",
        "tool",
        "docker",
        "dd",
        "*",
        "{rm,tool}",
        "/opt/*",
        "/app/bin/tool",
        "**/rm",
        "/etc/*/tool",
        "t*",
    ]);
    let word = select(vec![
        "push",
        "compose",
        "up",
        "-f",
        "-rf",
        "-x",
        "--name",
        "--name=x",
        "--name=/etc/*",
        "/",
        "/etc",
        "/etc/*",
        "/*",
        "/app/**",
        "x",
        "*",
        "{a,b}*",
        "app",
        "a?p",
        "./x",
        "~",
        "~/.ssh/*",
        "of=/dev/*",
        "of=/dev/sda",
        "/:*",
        "*:/etc/x",
        "if=x",
        "-C",
        "--",
        "*/x",
        "[!b]*",
        "../x",
        "-o",
        "/dev/s*",
        "--force",
        "-*",
    ]);
    let pattern = prop::collection::vec(word, 1..4);
    let action = select(vec!["ask", "deny", "allow", "ask", "deny"]);
    (command, prop::collection::vec(pattern, 0..3), action).prop_map(
        |(command, patterns, action)| {
            let patterns: Vec<String> = patterns
                .iter()
                .map(|words| words.join(" "))
                .filter(|pattern| action != "allow" || !pattern.contains('~'))
                .map(|pattern| format!("{pattern:?}"))
                .collect();
            let args = match patterns.is_empty() {
                true => String::new(),
                false => format!("args: [{}], ", patterns.join(", ")),
            };
            (format!("  - {{command: {command:?}, {args}action: {action}}}\n"), action)
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    // More than the index looks at one by one, now and then.
    prop_oneof![4 => prop::collection::vec(rule(), 1..8), 1 => prop::collection::vec(rule(), 20..40)]
}

fn policy<'a>(default: &str, rules: impl IntoIterator<Item = &'a Rule>) -> Policy {
    let lines: String = rules.into_iter().map(|(line, _)| line.as_str()).collect();
    let text = match lines.is_empty() {
        true => format!("default_action: {default}\n"),
        false => format!("default_action: {default}\nrules:\n{lines}"),
    };
    Policy::from_yaml("some.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn argv() -> impl Strategy<Value = Vec<&'static str>> {
    let name = select(vec![
        "rm",
        "git",
        "tool",
        "docker",
        "dd",
        "./tool",
        "bin/tool",
        "../app/bin/tool",
        "x/../rm",
        "/opt/x/tool",
        "../../opt/rm",
        "./etc/y/tool",
    ]);
    let word = select(vec![
        "push",
        "compose",
        "up",
        "-f",
        "-rf",
        "-x",
        "-xf",
        "--name",
        "--name=x",
        "--name=./x",
        "/",
        "//",
        ".",
        "..",
        "/etc",
        "etc",
        "etc/x",
        "../etc",
        "x",
        "./x",
        "../x",
        "/x",
        "app",
        "/app",
        "/a/app",
        "../../a/app",
        "x/../../app",
        "b",
        "a:b",
        ".:/b",
        "of=sda",
        "of=./sda",
        "of=/dev/sda",
        "of=",
        "if=x",
        "../..:x",
        "./etc/x:/b",
        "k=v,of=../dev/sda",
        "-C",
        "--",
        "",
        ".ssh/id",
        "id",
        "-o",
        "--new",
        "--force",
        "--name=",
        "a/b/../../x",
        "/a/x/push",
        "dev/sda",
    ]);
    (name, prop::collection::vec(word, 0..6)).prop_map(|(name, words)| [vec![name], words].concat())
}

fn place() -> impl Strategy<Value = String> {
    let made = prop::collection::vec(select(vec!["a", "app", "etc", "dev", "x", "push"]), 0..4)
        .prop_map(|parts| format!("/{}", parts.join("/")));
    prop_oneof![select(PLACES).prop_map(str::to_owned), made]
}

/// Judges by a policy, by its index and without, which must agree.
fn judge(policy: &Policy, argv: &[&str], cwd: Option<&str>, changed: &[&[u8]]) -> Action {
    let words: Vec<&[u8]> = argv.iter().map(|word| word.as_bytes()).collect();
    let bare = argv[0].rsplit('/').next().unwrap_or_default();
    let path = format!("/usr/bin/{bare}");
    let facts = Facts {
        jail: "default",
        name: words[0],
        path: Some(path.as_bytes()),
        tool: (bare == argv[0]).then_some(words[0]),
        argv: &words,
        cwd: cwd.map(str::as_bytes),
        changed_env: changed,
        ..Facts::default()
    };
    let decision = policy.decide(&facts);
    assert_eq!(decision, policy.explain(&facts).decision, "explain disagrees about {argv:?}");
    decision.action
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// An unknown working directory may be any, so the decision is at least that of the strictest.
    #[test]
    fn an_unknown_working_directory_is_never_judged_milder(
        rules in rules(),
        default in select(vec!["allow", "ask", "deny"]),
        argv in argv(),
        other in place(),
    ) {
        let policy = policy(default, &rules);
        let unknown = judge(&policy, &argv, None, &[]);
        for cwd in PLACES.iter().copied().chain([other.as_str()]) {
            let known = judge(&policy, &argv, Some(cwd), &[]);
            prop_assert!(unknown >= known, "{argv:?} in {cwd}: {known:?}, unknown: {unknown:?}\n{rules:#?}");
        }
    }

    /// A denial that is written anywhere, and an allowance that is struck, are at most in vain.
    #[test]
    fn a_denial_more_or_an_allowance_less_is_never_milder(
        rules in rules(),
        denial in rule().prop_map(|(line, action)| (line.replace(&format!("action: {action}"), "action: deny"), "deny")),
        at in any::<prop::sample::Index>(),
        default in select(vec!["allow", "ask", "deny"]),
        argv in argv(),
        cwd in prop::option::of(place()),
    ) {
        let before = judge(&policy(default, &rules), &argv, cwd.as_deref(), &[]);
        let mut more = rules.clone();
        more.insert(at.index(rules.len() + 1), denial);
        prop_assert!(judge(&policy(default, &more), &argv, cwd.as_deref(), &[]) >= before);
        let mut seen = 0;
        let allowances = rules.iter().filter(|(_, action)| *action == "allow").count();
        let struck = rules.iter().filter(|(_, action)| {
            seen += usize::from(*action == "allow");
            *action != "allow" || seen != at.index(allowances + 1)
        });
        prop_assert!(judge(&policy(default, struck), &argv, cwd.as_deref(), &[]) >= before);
    }

    /// That a variable was changed is only ever held against a request.
    #[test]
    fn a_changed_variable_is_never_milder(
        rules in rules(),
        default in select(vec!["allow", "ask", "deny"]),
        argv in argv(),
        changed in prop::collection::vec(select(vec!["LD_PRELOAD", "GIT_SSH_COMMAND", "BASH_ENV", "HOME"]), 1..3),
    ) {
        let policy = policy(default, &rules);
        let changed: Vec<&[u8]> = changed.iter().map(|name| name.as_bytes()).collect();
        prop_assert!(
            judge(&policy, &argv, Some("/app"), &changed) >= judge(&policy, &argv, Some("/app"), &[])
        );
    }
}
