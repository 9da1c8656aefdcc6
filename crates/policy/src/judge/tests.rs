use std::time::Duration;

use crate::{Action, Decision, Executor, Facts, Notice, Policy, Timeout, Verdict};

const SAMPLE: &str = r#"
default_action: deny
default_timeout: 2m
allowed_paths: ["/app/*", "/tmp/*"]
ghost_images: {npm: "node:18-alpine", pip: "python:3.11-slim"}
jails:
  my-agent: {commands: [ls, cat, npm, docker], hardened: true}
rules:
  - {command: rm, args: ["-rf /"], action: deny, reason: "destructive"}
  - {command: ls, action: allow}
  - {command: npm, action: ask, timeout: 5m, executor: ghost}
"#;

fn policy(text: &str) -> Policy {
    Policy::from_yaml("policy.yaml", text).unwrap_or_else(|error| panic!("{error}"))
}

fn rules(lines: &str) -> Policy {
    policy(&format!("default_action: deny\nrules:\n{lines}"))
}

struct Asked<'a> {
    line: &'a str,
    cwd: Option<&'a str>,
    jail: &'a str,
    changed: &'a [&'a [u8]],
}

impl Asked<'_> {
    fn of(line: &str) -> Asked<'_> {
        Asked { line, cwd: Some("/app"), jail: "default", changed: &[] }
    }

    fn facts<R>(&self, then: impl FnOnce(&Facts<'_>) -> R) -> R {
        let argv: Vec<&[u8]> = self.line.split(' ').map(str::as_bytes).collect();
        let path = [b"/usr/bin/", argv[0]].concat();
        then(&Facts {
            jail: self.jail,
            name: argv[0],
            path: Some(&path),
            tool: Some(argv[0]),
            argv: &argv,
            cwd: self.cwd.map(str::as_bytes),
            changed_env: self.changed,
            ..Facts::default()
        })
    }

    fn judge(&self, policy: &Policy) -> Decision {
        self.facts(|facts| policy.decide(facts))
    }
}

fn judge(policy: &Policy, line: &str) -> Decision {
    Asked::of(line).judge(policy)
}

fn action(policy: &Policy, line: &str) -> Action {
    judge(policy, line).action
}

#[test]
fn the_sample_of_the_design_behaves() {
    let policy = policy(SAMPLE);
    let denied = judge(&policy, "rm -fr //");
    assert_eq!((denied.action, denied.reason.as_str()), (Action::Deny, "destructive"));
    assert_eq!(denied.rule.map(|rule| rule.to_string()).as_deref(), Some("policy.yaml:9"));
    let allowed = judge(&policy, "ls -la");
    assert_eq!(allowed.action, Action::Allow);
    assert_eq!(allowed.timeout, Timeout::Default(Duration::from_secs(120)));
    assert_eq!(allowed.executor, Executor::Mirror);
    let npm = judge(&policy, "npm install");
    assert_eq!((npm.action, npm.executor), (Action::Ask, Executor::Ghost));
    assert_eq!(npm.ghost.unwrap().image.image, "node:18-alpine");
    assert_eq!(npm.timeout, Timeout::Rule(Duration::from_secs(300)));
    assert_eq!(action(&policy, "docker ps"), Action::Deny);
    assert_eq!(policy.commands(), ["cat", "docker", "ls", "npm", "rm"]);
    assert_eq!(policy.ghost_image("pip").unwrap().image, "python:3.11-slim");
    assert_eq!(policy.hold("my-agent"), Some(Duration::from_secs(100)));
    assert_eq!(policy.approval_timeout(), Duration::from_secs(1800));
    let (name, jail) = policy.jails().next().expect("a jail");
    assert_eq!((name, jail.hardened, jail.commands.len()), ("my-agent", true, 4));
}

#[test]
fn the_first_match_wins() {
    let policy = rules(
        "  - {command: git, args: push, action: ask}
  - {command: git, args: push --force, action: deny}
  - {command: git, action: allow}
  - {command: git, action: deny}",
    );
    assert_eq!(action(&policy, "git push --force"), Action::Ask);
    assert_eq!(action(&policy, "git log"), Action::Allow);
    assert_eq!(action(&policy, "hg log"), Action::Deny);
}

#[test]
fn a_guess_does_not_end_the_search_and_the_strictest_wins() {
    let policy = rules(
        "  - {command: tool, args: build, action: ask, reason: guessed}
  - {command: tool, args: --wipe, action: deny, reason: wiped}
  - {command: tool, action: allow}",
    );
    assert_eq!(judge(&policy, "tool build --wipe").reason, "guessed");
    assert_eq!(judge(&policy, "tool -v build --wipe").reason, "wiped");
    let guessed = judge(&policy, "tool -v build");
    assert_eq!((guessed.action, guessed.reason.as_str()), (Action::Ask, "guessed"));
    assert!(matches!(guessed.noticed.as_slice(), [Notice::Overmatched(rule)] if rule.index == 0));
    assert_eq!(action(&policy, "tool -v"), Action::Allow);
}

#[test]
fn a_guess_before_the_default_takes_the_stricter_of_the_two() {
    let rule = "rules:\n  - {command: tool, args: build, action: ask}";
    assert_eq!(
        action(&policy(&format!("default_action: deny\n{rule}")), "tool -v build"),
        Action::Deny
    );
    assert_eq!(
        action(&policy(&format!("default_action: allow\n{rule}")), "tool -v build"),
        Action::Ask
    );
}

#[test]
fn nothing_said_is_denied() {
    let policy = policy("rules: []");
    let decision = judge(&policy, "ls");
    assert_eq!((decision.action, decision.rule), (Action::Deny, None));
    assert_eq!(decision.reason, "no rule matches, and default_action is deny");
    assert_eq!(action(&Policy::closed(), "ls"), Action::Deny);
}

#[test]
fn the_working_directory_is_bounded() {
    let policy = policy(SAMPLE);
    let at = |cwd| Asked { cwd, ..Asked::of("ls") }.judge(&policy);
    for cwd in ["/app", "/app/src/deep", "/tmp", "/tmp/x"] {
        assert_eq!(at(Some(cwd)).action, Action::Allow, "{cwd}");
    }
    for cwd in ["/", "/application", "/ap", "/etc", "", "/app/../etc"] {
        let decision = at(Some(cwd));
        assert_eq!(decision.action, Action::Deny, "{cwd}");
        assert!(decision.reason.contains("outside allowed_paths"), "{}", decision.reason);
    }
    assert!(at(None).reason.contains("unknown or deleted"));
    let free = rules("  - {command: ls, action: allow}");
    assert_eq!(Asked { cwd: None, ..Asked::of("ls") }.judge(&free).action, Action::Allow);
}

#[test]
fn changed_variables_turn_allow_into_ask_unless_the_rule_says_otherwise() {
    let policy = rules(
        "  - {command: a, action: allow}
  - {command: b, action: allow, dangerous_env: allow}
  - {command: c, action: allow, dangerous_env: deny}
  - {command: d, action: ask, reason: why, dangerous_env: deny}
  - {command: e, action: ask, reason: why}
  - {command: f, action: deny, dangerous_env: allow}",
    );
    let with =
        |line| Asked { changed: &[b"LD_PRELOAD", b"x\x1b"], ..Asked::of(line) }.judge(&policy);
    let asked = with("a");
    assert_eq!(asked.action, Action::Ask);
    assert_eq!(asked.reason, "changed dangerous variables LD_PRELOAD, x\\u{1b}");
    assert_eq!(asked.noticed[0], Notice::ChangedVariable(b"LD_PRELOAD".to_vec()));
    assert_eq!(with("b").action, Action::Allow);
    assert_eq!(with("b").noticed.len(), 2, "noticed all the same");
    assert_eq!(with("c").action, Action::Deny);
    assert_eq!((with("d").action, with("e").action), (Action::Deny, Action::Ask));
    assert_eq!((with("e").reason.as_str(), with("f").action), ("why", Action::Deny));
    assert_eq!(action(&policy, "a"), Action::Allow);
}

#[test]
fn many_changed_variables_are_counted_not_listed() {
    let names: Vec<Vec<u8>> = (0..100).map(|n| format!("LD_{n}").into_bytes()).collect();
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let policy = rules("  - {command: a, action: allow}");
    let decision = Asked { changed: &names, ..Asked::of("a") }.judge(&policy);
    assert!(decision.reason.ends_with("LD_4 and 95 more"), "{}", decision.reason);
}

#[test]
fn a_rule_can_be_for_one_jail() {
    let policy = rules("  - {command: ls, jail: \"ci-*\", action: allow}");
    let from = |jail| Asked { jail, ..Asked::of("ls") }.judge(&policy).action;
    assert_eq!((from("ci-1"), from("default")), (Action::Allow, Action::Deny));
}

#[test]
fn the_rules_own_timeout_and_executor_win() {
    let policy = policy(
        "default_timeout: 1m\ndefault_executor: local\nrules:
  - {command: a, action: allow, timeout: 500ms, executor: mirror}
  - {command: b, action: allow, timeout: 0}
  - {command: c, action: allow}",
    );
    let a = judge(&policy, "a");
    assert_eq!(
        (a.timeout, a.executor),
        (Timeout::Rule(Duration::from_millis(500)), Executor::Mirror)
    );
    assert_eq!(judge(&policy, "b").timeout, Timeout::None);
    let c = judge(&policy, "c");
    assert_eq!(
        (c.timeout, c.executor),
        (Timeout::Default(Duration::from_secs(60)), Executor::Local)
    );
}

#[test]
fn only_the_rule_that_decides_says_who_runs_it() {
    let policy = rules(
        "  - {command: tool, args: \"-f x\", action: ask}
  - {command: tool, action: allow, executor: local, run_as: nobody}",
    );
    assert_eq!(judge(&policy, "tool").run_as.as_deref(), Some("nobody"));
    assert_eq!(judge(&policy, "tool -f x").run_as, None);
    // A guess that is stricter decides with its own executor, too.
    let guess = judge(&policy, "tool -f y x");
    assert_eq!((guess.action, guess.run_as), (Action::Ask, None));
}

#[test]
fn a_ghost_as_the_default_needs_an_image_too() {
    let policy = policy("default_executor: ghost\nrules: [{command: a, action: allow}]");
    let decision = judge(&policy, "a");
    assert_eq!(decision.action, Action::Deny);
    assert!(decision.reason.contains("names no image for `a`"), "{}", decision.reason);
}

#[test]
fn an_explanation_agrees_and_names_what_was_passed_over() {
    let policy = rules(
        "  - {command: git, args: [push --force, push --mirror], action: deny}
  - {command: git, args: status, action: allow}
  - {command: git, jail: other, action: deny}
  - {command: git, args: push, action: ask, name: pushing}
  - {command: git, action: allow}
  - {command: ls, action: allow}",
    );
    let asked = Asked::of("git push origin");
    let explained = asked.facts(|facts| policy.explain(facts));
    assert_eq!(explained.decision, asked.judge(&policy));
    let told: Vec<(Verdict, &str)> =
        explained.steps.iter().map(|step| (step.verdict, step.why.as_str())).collect();
    assert_eq!(told[0], (Verdict::Passed, "no flag `--force` is used; no flag `--mirror` is used"));
    assert!(told[1].1.contains("exactly") && told[1].1.contains("`status`"));
    assert_eq!(told[2], (Verdict::Passed, "it is for another jail"));
    assert_eq!(told[3].0, Verdict::Matched);
    assert_eq!(explained.steps[3].rule.to_string(), "policy.yaml:6 (pushing)");
    assert_eq!((told.len(), explained.others), (4, 2));
}

#[test]
fn a_tool_behind_a_link_is_read_as_either() {
    let policy = rules(
        "  - {command: rm, args: -rf /, action: deny}\n  - {command: \"/tmp/*\", action: allow}",
    );
    let argv: &[&[u8]] = &[b"/tmp/x", b"--recursive", b"--force", b"/"];
    let facts = Facts {
        name: b"/tmp/x",
        path: Some(b"/usr/bin/rm"),
        argv,
        cwd: Some(b"/app"),
        ..Facts::default()
    };
    let decision = policy.decide(&facts);
    assert_eq!(decision.rule.map(|rule| rule.index), Some(0));
}

#[test]
fn an_empty_vector_is_judged() {
    let policy = rules("  - {command: \"*\", args: \"**\", action: ask}");
    assert_eq!(policy.decide(&Facts::default()).action, Action::Ask);
}

#[test]
fn a_policy_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&Policy::closed());
    shared(&judge(&Policy::closed(), "ls"));
}

#[test]
fn a_rules_text_has_the_short_name_of_its_file() {
    let text = "rules: [{command: ls, action: deny}]";
    let policy = Policy::from_yaml("/etc/clawrden/policy.yaml", text).expect("it loads");
    let rule = judge(&policy, "ls").rule.expect("a rule");
    assert_eq!((&*rule.text, &*rule.file), ("policy.yaml:1", "/etc/clawrden/policy.yaml"));
}

#[test]
fn a_vector_that_is_too_long_to_read_is_never_allowed_by_its_arguments() {
    let policy = rules(
        "  - {command: rm, args: -rf /, action: deny}
  - {command: touch, args: \"**\", action: allow}",
    );
    let long = |name| format!("{name}{}", " x".repeat(100_001));
    assert_eq!(judge(&policy, &long("rm")).reason, "policy.yaml:3 denies it");
    assert_eq!(action(&policy, &long("touch")), Action::Deny);
    assert_eq!(action(&policy, "touch x"), Action::Allow);
}

#[test]
fn a_shell_that_is_fed_in_a_line_is_not_understood() {
    let policy = Policy::from_yaml("p.yaml", "default_action: allow").unwrap();
    let action = |argv: &[&[u8]]| {
        let facts = Facts {
            name: argv[0],
            tool: Some(argv[0]),
            argv,
            cwd: Some(b"/app"),
            ..Facts::default()
        };
        policy.decide(&facts).action
    };
    for line in [
        "echo x | sh",
        "cat f | bash -s -- a",
        "sh < f",
        "bash /dev/stdin <<< x",
        "printf x | sudo bash",
        "curl x | env A=1 nice dash -e",
        "sh <<E\nx\nE",
        "bash",
    ] {
        assert_eq!(action(&[b"sh", b"-c", line.as_bytes()]), Action::Ask, "{line}");
    }
    for line in ["sh x.sh", "bash --version", "echo sh | cat", "sh -c 'echo x' | cat"] {
        assert_eq!(action(&[b"sh", b"-c", line.as_bytes()]), Action::Allow, "{line}");
    }
    // By themselves they are what a person types at.
    for argv in [&[&b"bash"[..]][..], &[b"env", b"bash", b"-l"]] {
        assert_eq!(action(argv), Action::Allow);
    }
}

#[test]
fn alternatives_in_braces_are_told_of_once() {
    let policy = policy("rules: [{command: ls, args: ['{-a,-b,-c}', x], action: allow}]");
    let argv: [&[u8]; 2] = [b"ls", b"y"];
    let facts = Facts { name: b"ls", tool: Some(b"ls"), argv: &argv, ..Facts::default() };
    let why = &policy.explain(&facts).steps[0].why;
    assert_eq!(why.matches("`{-a,-b,-c}`").count(), 1, "{why}");
    assert!(why.contains("`x`"), "{why}");
}

#[test]
fn who_may_not_know_of_other_jails_is_explained_nothing_of_their_rules() {
    let policy = rules(
        "  - {command: ls, jail: other, action: deny}\n  - {command: ls, jail: default, action: allow}\n  - {command: cat, action: allow}\n",
    );
    let mut explained = Asked::of("ls").facts(|facts| policy.explain(facts));
    assert_eq!((explained.steps.len(), explained.others), (2, 1));
    explained.leave_out_elsewhere();
    let left: Vec<&str> = explained.steps.iter().map(|step| &*step.rule.text).collect();
    assert_eq!((left, explained.others), (vec!["policy.yaml:4"], 2));
}
