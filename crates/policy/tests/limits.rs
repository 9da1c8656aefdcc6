//! Limits: what is nested as deeply as it can be is judged on half the stack of a thread of the warden, and what is
//! nested more deeply is not understood.

use std::thread;

use clawrden_policy::{Action, Facts, Policy};

/// Half of what a thread of the warden has.
const STACK: usize = 1024 * 1024;

const RULES: &str =
    "default_action: deny\nrules: [{command: [sh, bash, zsh, ls, echo], action: allow}]";

/// What opens, and what closes it.
const PAIRS: [(&str, &str); 11] = [
    ("$(", ")"),
    ("\"$(", ")\""),
    ("${a:-", "}"),
    ("( ", ")"),
    ("((", "))"),
    ("{ ", ";}"),
    ("if ls; then ", "; fi"),
    ("case a in a) ", ";; esac"),
    ("f() { ", ";}"),
    ("cat <(", ")"),
    ("a=(", ")"),
];

fn judge(policy: &Policy, shell: &str, line: &str) -> Action {
    let path = format!("/usr/bin/{shell}");
    let argv = [shell.as_bytes(), b"-c", line.as_bytes()];
    let facts = Facts {
        name: argv[0],
        path: Some(path.as_bytes()),
        tool: Some(argv[0]),
        argv: &argv,
        cwd: Some(b"/app"),
        ..Facts::default()
    };
    let decision = policy.decide(&facts);
    assert_eq!(policy.explain(&facts).decision, decision, "{line}");
    decision.action
}

#[test]
fn deep_lines_are_judged_on_little_stack_and_never_allowed() {
    let judged = thread::Builder::new().stack_size(STACK).spawn(|| {
        let policy = Policy::from_yaml("p.yaml", RULES).unwrap();
        for shell in ["sh", "bash", "zsh"] {
            for (open, close) in PAIRS {
                for depth in [20, 44, 46, 47, 48, 49, 1_000, 10_000] {
                    let whole = [&open.repeat(depth), "ls", &close.repeat(depth)].concat();
                    let action = judge(&policy, shell, &whole);
                    // Brackets within arithmetic nest in nothing, and run nothing.
                    let runs = depth > 100 && open != "((";
                    assert!(!runs || action > Action::Allow, "{shell}: {open} {depth}");
                    let cut = judge(&policy, shell, &open.repeat(depth));
                    assert!(
                        cut > Action::Allow || open.starts_with("a="),
                        "{shell}: {open} {depth}"
                    );
                }
            }
        }
    });
    assert!(judged.unwrap().join().is_ok());
}

#[test]
fn deep_policies_are_refused_on_little_stack() {
    let judged = thread::Builder::new().stack_size(STACK).spawn(|| {
        for open in ["[", "{a: ", "- ", "? ", ": ", "{? ", "&a [", "- - ", "[{a: ["] {
            for depth in [30, 33, 1_000, 100_000] {
                let text = open.repeat(depth);
                assert!(Policy::from_yaml("p.yaml", &text).is_err(), "{open} {depth}");
            }
        }
    });
    assert!(judged.unwrap().join().is_ok());
}
