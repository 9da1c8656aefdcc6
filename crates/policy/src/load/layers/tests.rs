use super::assemble;
use crate::load::tests::told;
use crate::packs::Pack;
use crate::{Action, Facts, Layer, LoadError, Policy, Source};

const PACKS: &[Pack] = &[
    ("a", "rules: [{command: [git, a], action: allow, match: a}]"),
    (
        "b",
        "use: pack:a\nrules: [{command: [ls, b], action: ask}]\ntests: [{command: a, expect: allow}]",
    ),
    ("round", "use: [pack:about]\nrules: []"),
    ("about", "use: [pack:round]\nrules: []"),
    ("broken", "rules: [{command: ls}]"),
];

fn load(sources: &[(Layer, &str)]) -> Result<Policy, LoadError> {
    let named = |(number, (layer, text)): (usize, &(Layer, &str))| {
        Source::new(*layer, format!("{number}.yaml"), *text)
    };
    let sources: Vec<Source> = sources.iter().enumerate().map(named).collect();
    assemble(&sources, PACKS)
}

fn policy(sources: &[(Layer, &str)]) -> Policy {
    load(sources).unwrap_or_else(|error| panic!("{error}"))
}

/// The action, and the rule that gave it.
fn by(policy: &Policy, tool: &str) -> (Action, String) {
    let name = tool.as_bytes();
    let facts = Facts { jail: "ci", name, tool: Some(name), argv: &[name], ..Facts::default() };
    let decision = policy.decide(&facts);
    assert_eq!(policy.explain(&facts).decision, decision);
    (decision.action, decision.rule.map_or_else(String::new, |rule| rule.to_string()))
}

/// `line:column message | help` of each error of a file of this layer.
fn refused(layer: Layer, text: &str) -> Vec<String> {
    let error = load(&[(layer, text)]).expect_err(text);
    let told = error.diagnostics().iter();
    told.map(|e| format!("{}:{} {} | {}", e.line, e.column, e.message, e.help)).collect()
}

#[test]
fn packs_stand_behind_all_own_rules_of_the_host_each_once() {
    let policy = policy(&[
        (Layer::Host, "use: [pack:b, pack:a]\nrules: [{command: ls, action: deny}]"),
        (
            Layer::Rules,
            "use: pack:a\nrules: [{command: git, action: ask}, {command: ls, action: allow}]",
        ),
        (Layer::Rules, "rules: [{command: git, action: deny}, {command: rm, action: ask}]"),
    ]);
    assert_eq!(by(&policy, "ls"), (Action::Deny, "0.yaml:2".into()));
    assert_eq!(by(&policy, "git"), (Action::Ask, "1.yaml:2".into()));
    assert_eq!(by(&policy, "rm"), (Action::Ask, "2.yaml:1".into()));
    assert_eq!(by(&policy, "b"), (Action::Ask, "pack:b:2".into()));
    assert_eq!(by(&policy, "a"), (Action::Allow, "pack:a:1".into()));
    assert_eq!(policy.rule_count(), 7);
}

#[test]
fn a_pack_that_is_not_there_is_refused_with_those_that_are() {
    assert_eq!(
        refused(Layer::Host, "use: [pack:c, a]"),
        [
            "1:7 there is no `pack:c` | there are `pack:a`, `pack:b`, `pack:round`, `pack:about`, \
             `pack:broken`",
            "1:15 there is no `a` | there are `pack:a`, `pack:b`, `pack:round`, `pack:about`, \
             `pack:broken`",
        ]
    );
    assert!(told("use: pack:zzz")[0].contains("`pack:git`"));
}

#[test]
fn packs_use_each_other_in_no_circle() {
    let found = refused(Layer::Host, "use: pack:round");
    assert!(
        found[0].contains("in a circle") && found[0].contains("round uses about uses round"),
        "{found:?}"
    );
    assert!(refused(Layer::Host, "use: pack:broken")[0].contains("has no `action`"));
}

#[test]
fn examples_of_a_file_are_judged_with_its_packs_and_its_jails_but_without_other_files() {
    policy(&[
        (Layer::Host, "use: pack:a\ndefault_action: allow
jails: {ci: {rules: [{command: b, action: ask, match: b, not_match: a}]}}
tests: [{command: a, expect: allow}, {command: b, jail: ci, expect: ask}, {command: b, expect: allow}]"),
        (Layer::Ceiling, "rules: [{command: a, action: deny, match: a}]\ntests: [{command: b, expect: deny}]"),
        (Layer::Rules, "rules: [{command: a, action: deny, match: a}]"),
    ]);
    let jail = "jails: {ci: {rules: [{command: b, action: ask, match: a}]}}";
    assert_eq!(
        refused(Layer::Host, jail),
        ["1:55 this rule does not decide about `a` | it names another command; deny: no rule \
          matches, and default_action is deny"]
    );
}

#[test]
fn a_ceiling_and_what_may_only_narrow_give_nothing() {
    let ceiling = "jails: {}\nenv: {}\ndefault_executor: local\ndefaults: {executor: local}
rules: [{command: ls, action: allow, executor: local, run_as: root}]";
    let found = refused(Layer::Ceiling, ceiling);
    assert_eq!(found.len(), 7, "{found:?}");
    assert_eq!(
        found[0],
        "1:1 a ceiling has no `jails` | it bounds what policies give, and gives nothing itself"
    );
    assert!(found[5].starts_with("5:38 a ceiling has no `executor: local`"), "{found:?}");
    load(&[(Layer::Ceiling, "rules: [{command: ls, action: allow, executor: mirror}]")]).unwrap();

    let own = "use: pack:a\njails: {}\nenv: {}\nghost_images: {}\ndefaults: {executor: mirror}
rules: [{command: ls, action: allow, executor: local, run_as: root, dangerous_env: allow}]";
    let found = refused(Layer::Repository, own);
    assert_eq!(found.len(), 8, "{found:?}");
    let recorded = "defaults: {record: output}
rules: [{command: ls, action: allow, record: session, record_bytes: 1g}]";
    assert_eq!(refused(Layer::Repository, recorded).len(), 3);
    load(&[(Layer::Ceiling, recorded)]).unwrap();
    assert_eq!(
        found[0],
        "1:1 a repository's own file has no `use` | it can only narrow what the host's policy gives"
    );
    load(&[(Layer::Repository, "rules: [{command: ls, action: deny, dangerous_env: deny}]")])
        .unwrap();

    let jail = "jails: {ci: {rules: [{command: ls, action: allow, executor: mirror}]}}";
    assert!(refused(Layer::Host, jail)[0].contains("the rules of a jail has no `executor`"));
    assert!(refused(Layer::Rules, "default_action: allow")[0].contains("has no `default_action`"));
}

#[test]
fn errors_of_all_files_are_told_at_once() {
    let error = load(&[
        (Layer::Host, "rules: [{}]"),
        (Layer::Rules, "rules: x"),
        (Layer::Ceiling, "rules: []"),
    ]);
    let error = error.unwrap_err();
    let files: Vec<&str> = error.diagnostics().iter().map(|found| found.file.as_str()).collect();
    assert_eq!(files, ["0.yaml", "0.yaml", "1.yaml"]);
    let many = vec![(Layer::Rules, "rules: []"); super::MAX_FILES + 1];
    assert!(matches!(load(&many), Err(LoadError::TooMany { .. })));
}

#[test]
fn the_fingerprint_covers_every_file() {
    let host = (Layer::Host, "default_action: ask");
    let of = |sources: &[(Layer, &str)]| policy(sources).fingerprint().to_owned();
    let alone = of(&[host]);
    assert_eq!(alone, crate::policy::fingerprint(host.1));
    let more = of(&[host, (Layer::Rules, "rules: []")]);
    let ceiling = of(&[host, (Layer::Ceiling, "rules: []")]);
    assert!(alone != more && more != ceiling && ceiling != alone);
}

#[test]
fn without_a_host_everything_is_denied() {
    let policy = policy(&[(Layer::Rules, "rules: []"), (Layer::Ceiling, "default_action: allow")]);
    assert_eq!(by(&policy, "ls").0, Action::Deny);
}
