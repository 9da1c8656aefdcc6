use super::*;
use crate::diagnostics::Diagnostic;
use crate::policy::fingerprint;
use crate::{Decision, Facts};

fn errors(text: &str) -> Vec<Diagnostic> {
    match from_text("policy.yaml", text) {
        Ok(_) => panic!("it loaded:\n{text}"),
        Err(error) => error.diagnostics().to_vec(),
    }
}

/// `line:column message | help` of each error.
pub(super) fn told(text: &str) -> Vec<String> {
    errors(text)
        .iter()
        .map(|e| format!("{}:{} {} | {}", e.line, e.column, e.message, e.help))
        .collect()
}

/// What a policy that loads says of a tool without arguments.
pub(super) fn decide(text: &str, tool: &str) -> Decision {
    let policy = from_text("policy.yaml", text).unwrap_or_else(|error| panic!("{error}"));
    let name = tool.as_bytes();
    policy.decide(&Facts { name, tool: Some(name), argv: &[name], ..Facts::default() })
}

#[test]
fn an_unknown_key_is_refused_and_the_right_one_suggested() {
    assert_eq!(
        told("rules:\n  - {command: ls, acton: allow, action: allow}\n"),
        ["2:19 unknown key `acton` | did you mean `action`?"]
    );
    assert_eq!(
        told("default-action: deny")[0],
        "1:1 unknown key `default-action` | did you mean `default_action`?"
    );
    assert!(told("zzz: 1")[0].contains("valid are `default_action`,"));
}

#[test]
fn an_unknown_action_is_refused_with_the_valid_ones() {
    assert_eq!(
        told("rules: [{command: ls, action: permit}]"),
        ["1:31 unknown action `permit` | valid are `allow`, `ask` or `deny`"]
    );
    assert_eq!(
        told("default_action: alow"),
        ["1:17 unknown action `alow` | did you mean `allow`?"]
    );
    assert!(told("default_action: ALLOW")[0].contains("did you mean `allow`?"));
}

#[test]
fn a_duplicate_key_is_refused_with_the_line_of_the_first() {
    assert_eq!(
        told("default_action: deny\nrules: []\ndefault_action: allow\n"),
        ["3:1 duplicate key `default_action` | it stands on line 1 already; keep one of them"]
    );
    assert_eq!(told("rules: [{command: a, action: deny, action: allow}]").len(), 1);
    assert_eq!(told("jails: {a: {}, a: {}}").len(), 1);
}

#[test]
fn every_error_is_told_at_once_in_the_order_of_the_file() {
    let text = "default_action: perhaps
default_timeout: 5
allowed_paths: [app]
rules:
  - {command: \"[\", action: allow}
  - {command: ls}
  - {action: deny, args: \"'x\", timeout: soon}
  - ls
";
    assert_eq!(
        told(text),
        [
            "1:17 unknown action `perhaps` | valid are `allow`, `ask` or `deny`",
            "2:18 bad duration `5` | a unit is missing: `30s`, `5m` or `2h`",
            "3:17 bad path `app` | write an absolute path without `..`, such as `/app/*`",
            "5:15 bad command `[` | `[` is never closed; write `\\[` for a plain bracket",
            "6:5 the rule has no `action` | a rule is at least `{command: ls, action: allow}`",
            "7:5 the rule has no `command` | a rule is at least `{command: ls, action: allow}`",
            "7:26 bad pattern `'x` | a single quote is never closed",
            "7:41 bad duration `soon` | write a number and a unit: `500ms`, `30s`, `5m`, `2h`, `1h30m`",
            "8:5 expected a mapping of a rule's keys, found a word | ",
        ]
    );
}

#[test]
fn a_caller_looks_for_a_warden_no_longer_than_it_can_be_told() {
    assert!(from_text("p", "jails: {a: {reconnect: 18h}, b: {reconnect: 0}}").is_ok());
    let text = "jails: {a: {reconnect: 18h1s}}";
    assert_eq!(told(text), ["1:24 `reconnect` is too long | it is `18h` at most"]);
}

#[test]
fn a_hold_of_nothing_is_for_ever() {
    let text = "jails: {a: {hold: 0}, b: {hold: 2s}, c: {}}";
    let policy = from_text("p", text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(policy.hold("a"), None);
    assert_eq!(policy.hold("b"), Some(std::time::Duration::from_secs(2)));
    assert_eq!(policy.hold("c"), Some(std::time::Duration::from_secs(100)));
}

#[test]
fn the_caret_is_under_the_token() {
    let error =
        from_text("policy.yaml", "rules:\n  - {command: ls, action: permit}\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "error: unknown action `permit`
 --> policy.yaml:2:27
  |
2 |   - {command: ls, action: permit}
  |                           ^^^^^^ valid are `allow`, `ask` or `deny`"
    );
}

#[test]
fn a_column_counts_characters() {
    let found = errors("rules: [{command: ls, reason: \"é ü 日本\", action: permit}]");
    assert_eq!(found[0].column, 49);
}

#[test]
fn wrong_types_are_refused() {
    for text in [
        "rules: {a: b}",
        "rules: x",
        "rules: [[]]",
        "jails: [a]",
        "jails: {a: b}",
        "jails: {a: {commands: ls}}",
        "jails: {a: {hardened: 1}}",
        "jails: {a: {hardened: yes}}",
        "allowed_paths: {a: b}",
        "allowed_paths: []",
        "allowed_paths:",
        "env: [a]",
        "env: {keep: A}",
        "ghost_images: [a]",
        "ghost_images: {a: [b]}",
        "default_action: [deny]",
        "default_action:",
        "rules: [{command: , action: deny}]",
        "rules: [{command: [], action: deny}]",
        "rules: [{command: [[a]], action: deny}]",
        "rules: [{command: ls, args: [], action: deny}]",
        "rules: [{command: ls, args: {a: b}, action: deny}]",
        "[1, 2]",
        "word",
        "? [a]\n: b",
    ] {
        assert!(!errors(text).is_empty(), "{text}");
    }
}

#[test]
fn names_that_could_leave_their_folder_are_refused() {
    for name in
        ["..", ".", "a/b", "\"/\"", "-a", ".a", "A", "\"\"", "\"a b\"", "é", &"a".repeat(64)]
    {
        assert!(from_text("p", &format!("jails: {{{name}: {{}}}}")).is_err(), "{name}");
    }
    for name in ["a", "0", "my-agent", "a.b_c-d", &"a".repeat(63)] {
        assert!(from_text("p", &format!("jails: {{{name}: {{}}}}")).is_ok(), "{name}");
    }
    for tool in ["../x", "a/b", "\"*\"", "..", "\"\"", "\"a b\"", "-x"] {
        let text = format!("jails: {{a: {{commands: [{tool}]}}}}");
        assert!(from_text("p", &text).is_err(), "{tool}");
    }
}

#[test]
fn bad_values_of_sections_are_refused() {
    for text in [
        "approval_timeout: 0",
        "ghost_images: {npm: \"a b\"}",
        "ghost_images: {npm: -x}",
        "ghost_images: {a/b: c}",
        "env: {keep: [\"A=B\"]}",
        "env: {keeep: [A]}",
        "allowed_paths: [/a/../b]",
        "rules: [{command: ls, action: deny, reason: \"\"}]",
        "rules: [{command: ls, action: deny, reason: \"a\\e[2Jb\"}]",
        "rules: [{command: ./x, action: allow}]",
        "rules: [{command: cat, args: ~/x, action: allow}]",
        "rules: [{command: ls, action: deny, dangerous_env: never}]",
        "rules: [{command: ls, action: deny, executor: docker}]",
    ] {
        assert!(!errors(text).is_empty(), "{text}");
    }
}

#[test]
fn a_user_of_the_host_is_named_properly_and_beside_a_local_executor() {
    let rule = |tail: &str| format!("rules: [{{command: ls, action: allow, {tail}}}]");
    for (tail, fact) in [
        ("run_as: nobody", "run_as without `executor: local`"),
        ("executor: mirror, run_as: nobody", "run_as without `executor: local`"),
        ("executor: local, run_as: 0", "write `run_as: root`"),
        ("executor: local, run_as: 4294967295", "bad user"),
        ("executor: local, run_as: -1", "bad user"),
        ("executor: local, run_as: \"a b\"", "bad user"),
        ("executor: local, run_as: a:b", "bad user"),
        ("executor: local, run_as: \"\"", "bad user"),
        ("executor: local, run_as: é", "bad user"),
        ("executor: local, run_as: [a]", "expected a user"),
    ] {
        let found = told(&rule(tail));
        assert!(found.iter().any(|told| told.contains(fact)), "{tail}: {found:?}");
    }
    for user in ["nobody", "root", "1000", "_apt", "svc-build.2", "00017"] {
        let text = rule(&format!("executor: local, run_as: {user}"));
        assert!(from_text("p", &text).unwrap().runs_as_others(), "{user}");
    }
    // Wherever in the file the default stands.
    let text = format!("{}\ndefault_executor: local\n", rule("run_as: nobody"));
    assert!(from_text("p", &text).is_ok());
}

#[test]
fn broken_yaml_is_told_with_its_place() {
    for text in ["rules: [", "a: b: c", "a: 'x", "- a\nb: c", "*x", "&a"] {
        let found = errors(text);
        assert!(!found.is_empty() && found[0].line >= 1, "{text:?}");
    }
}

#[test]
fn an_empty_file_is_no_policy() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "~", "null"] {
        assert!(told(text)[0].contains("the policy is empty"), "{text:?}");
    }
}

#[test]
fn two_documents_tags_and_directives_are_refused() {
    for text in [
        "default_action: deny\n---\ndefault_action: allow\n",
        "default_action: !!str deny",
        "rules: !x []",
        "%YAML 1.2\n---\ndefault_action: deny\n",
        "<<: {default_action: allow}",
    ] {
        assert!(!errors(text).is_empty(), "{text}");
    }
}

#[test]
fn an_alias_repeats_a_value_but_not_without_bound() {
    let text = "jails:\n  a: {commands: &tools [ls, cat]}\n  b: {commands: *tools}\n";
    let policy = from_text("p", text).unwrap();
    assert_eq!(policy.jails["a"], policy.jails["b"]);
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (from, to) in ('a'..'i').zip('b'..='i') {
        let items = vec![format!("*{from}"); 10].join(", ");
        bomb.push_str(&format!("{to}: &{to} [{items}]\n"));
    }
    assert!(told(&bomb).iter().any(|told| told.contains("aliases repeat more than")));
    assert!(!errors("a: &a [*a]").is_empty());
}

#[test]
fn deep_nesting_and_large_files_are_refused() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        assert!(from_text("p", &text).is_err());
    }
    let large = " ".repeat(usize::try_from(MAX_POLICY_BYTES).unwrap() + 1);
    assert!(matches!(from_text("p", &large), Err(LoadError::TooLarge { .. })));
}

#[test]
fn many_errors_are_counted_beyond_the_bound() {
    let text = format!("rules:\n{}", "  - {command: ls, action: x}\n".repeat(150));
    let error = from_text("p", &text).unwrap_err();
    assert_eq!(error.diagnostics().len(), crate::MAX_DIAGNOSTICS);
    assert!(error.to_string().ends_with("and 50 more"));
}

#[test]
fn a_scalar_is_the_text_that_was_written() {
    let policy = from_text("p", "rules: [{command: [true, 7z, 0x10], action: allow}]").unwrap();
    assert_eq!(policy.commands(), ["0x10", "7z", "true"]);
}

#[test]
fn the_fingerprint_is_the_hash_of_the_text() {
    let one = from_text("a", "default_action: deny").unwrap();
    let same = from_text("b", "default_action: deny").unwrap();
    let other = from_text("a", "default_action: deny ").unwrap();
    assert_eq!(one.fingerprint(), same.fingerprint());
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_eq!(
        fingerprint("abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn only_a_regular_text_file_of_bounded_size_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("good"), "default_action: ask").unwrap();
    std::fs::write(at("bytes"), b"default_action: \xff").unwrap();
    let large = vec![b' '; usize::try_from(MAX_POLICY_BYTES).unwrap() + 10];
    std::fs::write(at("large"), large).unwrap();
    assert_eq!(from_file(&at("good")).unwrap().default_action(), crate::Action::Ask);
    assert!(matches!(from_file(&at("bytes")), Err(LoadError::NotText { offset: 16, .. })));
    assert!(matches!(from_file(&at("large")), Err(LoadError::TooLarge { .. })));
    assert!(matches!(from_file(folder.path()), Err(LoadError::NotAFile { .. })));
    assert!(matches!(from_file(Path::new("/dev/zero")), Err(LoadError::NotAFile { .. })));
    assert!(matches!(from_file(&at("missing")), Err(LoadError::Read { .. })));
}

#[test]
fn a_pipe_that_takes_the_place_of_the_file_keeps_nobody_waiting() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "default_action: ask").unwrap();
    let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    std::fs::hard_link(at("file"), at("policy.yaml")).unwrap();
    let (path, is_over) = (at("policy.yaml"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                for name in ["pipe", "file"] {
                    std::fs::hard_link(at(name), at("next")).unwrap();
                    std::fs::rename(at("next"), at("policy.yaml")).unwrap();
                    // A link to the file that stands there already is renamed to nothing.
                    let _ = std::fs::remove_file(at("next"));
                }
            }
        });
        let (done, waited) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            // Until both were met.
            let (mut read, mut refused) = (0, 0);
            while read + refused < 20_000 || read == 0 || refused == 0 {
                match Policy::load(&path) {
                    Ok(_) => read += 1,
                    Err(_) => refused += 1,
                }
            }
            done.send(()).unwrap();
        });
        let read = waited.recv_timeout(std::time::Duration::from_secs(20));
        is_over.store(true, Ordering::Release);
        swapping.join().unwrap();
        read.expect("a reading that waits for the other end of a pipe");
        reader.join().unwrap();
    });
}

#[test]
fn the_stock_policy_loads() {
    let source = Policy::stock_source();
    if let Err(error) = from_text(&source.name, &source.text) {
        panic!("{error}");
    }
    assert_eq!(Policy::stock().fingerprint(), fingerprint(&source.text));
    assert!(Policy::stock().rule_count() > 200);
}
