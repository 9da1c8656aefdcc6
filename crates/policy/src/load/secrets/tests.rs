use std::path::PathBuf;

use crate::load::tests::told;
use crate::{
    Action, Decision, Executor, Facts, Layer, Limits, Policy, SecretForm, SecretSource, Source,
};

const HEAD: &str =
    "ghost_images: {npm: 'node:22', pip: {image: 'python:3', network: pypi, memory: 2g}}
secrets:
  token: {from_file: /etc/s/npm, as_variable: NPM_TOKEN}
  key: {from_variable: KEY}
  other: {from_variable: KEY, as_file: key}
";

fn with(rule: &str) -> String {
    format!("{HEAD}rules:\n  - {{command: [npm, pip], action: allow, {rule}}}\n")
}

fn decide(rule: &str, tool: &str) -> Decision {
    let policy = Policy::from_yaml("p.yaml", &with(rule)).unwrap_or_else(|error| panic!("{error}"));
    let name = tool.as_bytes();
    let facts = Facts { name, tool: Some(name), argv: &[name], ..Facts::default() };
    assert_eq!(policy.explain(&facts).decision, policy.decide(&facts));
    policy.decide(&facts)
}

#[test]
fn a_rule_gives_its_ghosts_what_it_says_and_no_more() {
    let plain = decide("executor: ghost", "npm").ghost.unwrap();
    assert_eq!((&*plain.image.image, &plain.image.network), ("node:22", &None));
    assert_eq!(
        (plain.limits, plain.secrets.len(), plain.falls_back),
        (Limits::default(), 0, false)
    );
    let full = decide(
        "executor: ghost, network: registry, secrets: [token, key], limits: {memory: 512m, cpus: 1.5, pids: 100, output: 10m}",
        "npm",
    );
    let ghost = full.ghost.unwrap();
    assert_eq!(ghost.image.network.as_deref(), Some("registry"));
    let limits = Limits {
        memory: Some(512 << 20),
        milli_cpus: Some(1_500),
        pids: Some(100),
        output: Some(10 << 20),
    };
    assert_eq!(ghost.limits, limits);
    assert_eq!(ghost.secrets[0].source, SecretSource::File(PathBuf::from("/etc/s/npm")));
    assert_eq!(ghost.secrets[0].form, SecretForm::Variable("NPM_TOKEN".to_owned()));
    assert_eq!(ghost.secrets[1].form, SecretForm::File("key".to_owned()));
}

#[test]
fn what_a_rule_leaves_unsaid_is_the_images_own() {
    let ghost = decide("executor: ghost", "pip").ghost.unwrap();
    assert_eq!(
        (ghost.image.network.as_deref(), ghost.limits.memory),
        (Some("pypi"), Some(2 << 30))
    );
    let bound =
        decide("executor: ghost, network: none, limits: {memory: 64m}", "pip").ghost.unwrap();
    assert_eq!((bound.image.network.as_deref(), bound.limits.memory), (None, Some(64 << 20)));
    let same = decide("executor: ghost, image: same", "pip").ghost.unwrap();
    assert!(same.image.is_same() && same.image.network.is_none());
}

#[test]
fn a_ghost_without_an_image_is_denied() {
    let text = "rules: [{command: go, action: ask, executor: ghost}]";
    let policy = Policy::from_yaml("p.yaml", text).unwrap();
    let facts = Facts { name: b"go", tool: Some(b"go"), argv: &[b"go"], ..Facts::default() };
    let decision = policy.decide(&facts);
    assert_eq!((decision.action, decision.executor), (Action::Deny, Executor::Ghost));
    assert!(decision.reason.contains("names no image for `go`"), "{}", decision.reason);
    assert!(decision.ghost.is_none() && policy.runs_ghosts());
}

#[test]
fn only_a_ghost_has_what_only_a_ghost_keeps() {
    for key in ["network: x", "secrets: token", "image: same", "fallback: local"] {
        for executor in ["", "executor: mirror, ", "executor: local, "] {
            let found = told(&with(&format!("{executor}{key}")));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains("without `executor: ghost`"), "{found:?}");
        }
        let by_default = format!("default_executor: ghost\n{}", with(key));
        assert!(Policy::from_yaml("p.yaml", &by_default).is_ok(), "{key}");
    }
    assert!(told(&with("secrets: token"))[0].contains("the prisoner can read"));
}

#[test]
fn a_fallback_is_named_and_gives_up_nothing_that_was_asked_for() {
    assert!(decide("executor: ghost, fallback: local", "npm").ghost.unwrap().falls_back);
    for key in ["network: none", "secrets: token"] {
        let found = told(&with(&format!("executor: ghost, fallback: local, {key}")));
        assert!(found.len() == 1 && found[0].contains("beside `fallback: local`"), "{found:?}");
    }
    assert_eq!(told(&with("executor: ghost, fallback: mirror")).len(), 1);
}

#[test]
fn bad_limits_and_secrets_are_refused_where_they_stand() {
    for (rule, fact) in [
        ("limits: {cpus: 0}", "processors `0`"),
        ("limits: {cpus: 1.2345}", "processors"),
        ("limits: {cpus: -1}", "processors"),
        ("limits: {pids: 1}", "processes `1`"),
        ("limits: {output: 5}", "bad size"),
        ("limits: {memory: 1m}", "out of bounds"),
        ("limits: {disk: 1g}", "disk"),
        ("secrets: nothing", "there is no secret `nothing`"),
        ("secrets: [key, other]", "place of the secret `other` is taken"),
        ("network: host", "no network `host`"),
        ("image: 'a b'", "bad image"),
    ] {
        let found = told(&with(&format!("executor: ghost, {rule}")));
        assert!(found.len() == 1 && found[0].contains(fact), "{rule}: {found:?}");
    }
    for (secret, fact) in [
        ("{}", "comes from nowhere"),
        ("{from_file: x}", "bad path `x`"),
        ("{from_file: /a/../b}", "bad path"),
        ("{from_variable: 1X}", "bad variable"),
        ("{from_file: /a, from_variable: A}", "beside its other form"),
        ("{from_file: /a, as_file: ../x}", "bad name of a secret"),
        ("{from_file: /a, as_file: x, as_variable: X}", "beside its other form"),
        ("{value: hush}", "value"),
    ] {
        let found = told(&format!("secrets: {{s: {secret}}}"));
        assert!(found.iter().any(|told| told.contains(fact)), "{secret}: {found:?}");
    }
    assert!(told("secrets: {../x: {from_file: /a}}")[0].contains("bad name"));
}

#[test]
fn a_workspace_is_a_folder_of_its_own() {
    let jail = |text: &str| format!("jails: {{a: {{workspace: {text}}}}}");
    let policy = Policy::from_yaml("p.yaml", &jail("[/work, /srv/a/]")).unwrap();
    assert_eq!(policy.workspace("a"), ["/work", "/srv/a"]);
    assert!(policy.workspace("b").is_empty());
    for bad in ["work", "/", "/etc", "/usr/x", "/run/clawrden", "/a/../b", "'/a*'", "'/a:b'"] {
        assert_eq!(told(&jail(bad)).len(), 1, "{bad}");
    }
}

#[test]
fn staying_with_a_mirrored_command_is_said_by_name() {
    assert!(decide("supervised: true", "npm").supervised);
    assert!(!decide("executor: mirror", "npm").supervised);
    assert!(told(&with("executor: ghost, supervised: true"))[0].contains("`supervised` is for"));
}

#[test]
fn what_bounds_or_narrows_gives_no_ghost_anything() {
    let layers = [Layer::Ceiling, Layer::Jail, Layer::Repository];
    for layer in layers {
        for key in ["network: x", "secrets: [s]", "image: a", "fallback: local"] {
            let rules = format!("[{{command: a, action: deny, {key}}}]");
            let sources = match layer {
                Layer::Jail => {
                    vec![Source::new(Layer::Host, "h", format!("jails: {{j: {{rules: {rules}}}}}"))]
                }
                _ => vec![Source::new(layer, "l", format!("rules: {rules}"))],
            };
            let error = Policy::from_sources(&sources).map(|_| ()).unwrap_err().to_string();
            let name = key.split(':').next().unwrap_or_default();
            assert!(error.contains(&format!("{layer} has no `{name}`")), "{layer} {key}: {error}");
        }
        if layer != Layer::Jail {
            let text = "secrets: {s: {from_file: /a}}";
            let error = Policy::from_sources(&[Source::new(layer, "l", text)]);
            let error = error.map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("has no `secrets`"), "{error}");
        }
    }
}

#[test]
fn a_ceiling_that_wants_a_ghost_gets_one_of_the_hosts() {
    let decide = |host: &str| {
        let policy = Policy::from_sources(&[
            Source::new(Layer::Host, "h", host),
            Source::new(
                Layer::Ceiling,
                "c",
                "rules: [{command: npm, action: allow, executor: ghost}]",
            ),
        ]);
        let policy = policy.unwrap_or_else(|error| panic!("{error}"));
        policy.decide(&Facts {
            name: b"npm",
            tool: Some(b"npm"),
            argv: &[b"npm"],
            ..Facts::default()
        })
    };
    let host = "ghost_images: {npm: 'node:22'}\nrules: [{command: npm, action: allow}]";
    let ghost = decide(host).ghost.unwrap();
    assert_eq!((&*ghost.image.image, ghost.limits), ("node:22", Limits::default()));
    let given = "ghost_images: {npm: 'node:22'}
rules: [{command: npm, action: allow, executor: ghost, limits: {pids: 9}}]";
    assert_eq!(decide(given).ghost.unwrap().limits.pids, Some(9));
    assert_eq!(decide("rules: [{command: npm, action: allow}]").action, Action::Deny);
}
