use crate::load::from_text;
use crate::load::tests::told;

fn loads(text: &str) {
    if let Err(error) = from_text("policy.yaml", text) {
        panic!("{error}");
    }
}

#[test]
fn examples_that_hold_change_nothing() {
    loads(
        "rules:
  - command: git
    args: push --force
    action: deny
    match: [git push -f, [git, push, --force, ''], /usr/bin/git push origin main --force]
    not_match: git commit -m 'push --force'
  - {command: git, action: ask, name: rest, match: {command: git push, cwd: /srv, uid: 0}}
tests:
  - {command: git push -f, expect: deny}
  - {command: git status, expect: ask, rule: rest, jail: ci, cwd: /app, uid: 1000, gid: 1000}
  - {command: ./git status, expect: ask}
  - {command: frob, expect: deny}
",
    );
}

#[test]
fn an_example_that_another_rule_decides_is_refused_with_what_came_out() {
    let text = "rules:
  - {command: git, args: push, action: ask}
  - {command: git, args: push -f, action: deny, match: [git push -f]}
  - {command: git, args: status, action: allow, match: git status -s}
  - {command: ls, action: allow, match: cat x}
";
    assert_eq!(
        told(text),
        [
            "3:57 this rule does not decide about `git push -f` | policy.yaml:2 decides: ask",
            "4:56 this rule does not decide about `git status -s` | an allow fits exactly or not \
             at all, and this is not `status`; deny: no rule matches, and default_action is deny",
            "5:41 this rule does not decide about `cat x` | it names another command; deny: no \
             rule matches, and default_action is deny",
        ]
    );
}

#[test]
fn an_example_that_must_not_match_is_refused_where_it_may() {
    let text = "rules:
  - {command: ls, action: allow}
  - {command: [ls, git], args: -f, action: deny, not_match: [ls -f, ls, git push -rf, git --x -f]}
";
    assert_eq!(
        told(text),
        [
            "3:62 this rule speaks of `ls -f` | it matches; policy.yaml:2 decides: allow",
            "3:73 this rule speaks of `git push -rf` | it may match, and then the strictest wins; \
             policy.yaml:3 decides: deny",
            "3:87 this rule speaks of `git --x -f` | it may match, and then the strictest wins; \
             policy.yaml:3 decides: deny",
        ]
    );
}

#[test]
fn a_test_that_comes_out_otherwise_is_refused_under_what_it_expects() {
    let error = from_text(
        "policy.yaml",
        "rules: [{command: ls, action: allow, name: looking}]\ntests:\n  - {command: ls -l, expect: deny}\n",
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "error: expected deny, and `ls -l` comes out as allow
 --> policy.yaml:3:30
  |
3 |   - {command: ls -l, expect: deny}
  |                              ^^^^ policy.yaml:1 (looking) decides: allow"
    );
    let text = "rules: [{command: ls, action: allow}, {command: ps, action: allow, name: a}]
tests:
  - {command: ls, expect: allow, rule: a}
  - {command: ps, expect: allow, rule: b}
";
    assert_eq!(
        told(text),
        [
            "3:40 the rule `a` does not decide about `ls` | policy.yaml:1 decides: allow",
            "4:40 there is no rule with `name: b` | policy.yaml:1 (a) decides: allow",
        ]
    );
}

#[test]
fn an_example_is_judged_in_a_folder_that_is_allowed_and_in_the_rule_s_jail() {
    loads(
        "allowed_paths: [/app/*]
rules: [{command: ls, action: allow, jail: ci, match: ls}]
tests:
  - {command: ls, jail: ci, expect: allow}
  - {command: ls, jail: ci, cwd: /srv, expect: deny}
  - {command: ls, expect: deny}
",
    );
    assert_eq!(
        told("rules: [{command: ls, action: allow, jail: 'ci-*', match: ls}]"),
        ["1:59 the rule is for the jails `ci-*` | say in which: `{command: …, jail: …}`"]
    );
    loads("rules: [{command: ls, action: allow, jail: 'c-*', match: {command: ls, jail: c-1}}]");
}

#[test]
fn examples_that_are_no_commands_are_refused() {
    for (text, fact) in [
        ("match: ls; rm", "bad command"),
        ("match: 'echo $HOME'", "bad command"),
        ("match: []", "the list is empty"),
        ("match: [[]]", "the command is empty"),
        ("match: ''", "the command is empty"),
        ("match: [[ls, [a]]]", "expected a word"),
        ("match: {cwd: /}", "no `command`"),
        ("match: {command: ls, cwd: app}", "bad path"),
        ("match: {command: ls, uid: root}", "bad number"),
        ("match: {command: ls, jail: ../x}", "bad jail name"),
        ("match: {command: ls, expect: deny}", "unknown key"),
        ("not_match: 5;", "bad command"),
    ] {
        let found = told(&format!("rules:\n- command: ls\n  action: allow\n  {text}\n"));
        assert!(found[0].contains(fact), "{text}: {found:?}");
    }
    for text in ["tests: ls", "tests: [ls]", "tests: [{command: ls}]", "tests: [{expect: deny}]"] {
        assert_eq!(told(text).len(), 1, "{text}");
    }
}

#[test]
fn what_is_wrong_otherwise_is_told_before_examples_are_judged() {
    let text = "rules: [{command: ls, action: allow, match: cat}, {command: ls, action: x}]";
    assert_eq!(told(text).len(), 1);
}

#[test]
fn examples_have_bounds() {
    let many = vec!["ls"; 10_001].join(",");
    let text = format!("rules: [{{command: ls, action: allow, match: [{many}]}}]");
    assert!(told(&text)[0].contains("more than 10000 examples"));
    let long = format!("rules: [{{command: ls, action: allow, match: ls {}}}]", "x".repeat(5_000));
    assert!(told(&long)[0].contains("more than 4096 bytes"));

    let rule = "- {command: ls, args: '*.y', action: deny}\n".repeat(2_000);
    let examples = "- {command: ls, expect: deny}\n".repeat(1_000);
    let text = format!("rules:\n{rule}tests:\n{examples}");
    assert!(told(&text)[0].contains("take too long"), "{:?}", told(&text).first());
}
