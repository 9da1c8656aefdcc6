//! Shell lines within others: whatever a line stands in, it is judged as strictly as by itself.

use std::sync::OnceLock;

use clawrden_policy::{Action, Facts, Policy};

const RULES: &str = "default_action: ask\nrules:\n- {command: rm, args: [\"-rf /\"], action: deny}\n\
                     - {command: [ls, echo, cat, sh, bash, zsh, true], action: allow}\n";

/// What stands before a line and behind it; it runs in each of them.
const FORMS: [(&str, &str); 9] = [
    ("{\n", "\n}"),
    ("(\n", "\n)"),
    ("if true; then\n", "\nfi"),
    ("while true; do\n", "\ndone"),
    ("case x in x)\n", "\n;; esac"),
    ("echo $(\n", "\n)"),
    ("echo \"$(\n", "\n)\" x"),
    ("ls; true && {\n", "\n} | cat"),
    ("ls -l\n", "\necho x"),
];

/// The same rules with another answer for what is not understood: `ask`, `deny` and `allow`.
static POLICIES: OnceLock<Vec<Policy>> = OnceLock::new();

/// A line whose first byte says which shell reads it.
pub fn wrapped(data: &[u8]) {
    let Some((&which, line)) = data.split_first() else { return };
    let shell: &[u8] = [&b"sh"[..], b"bash", b"zsh"][usize::from(which) % 3];
    let policies = POLICIES.get_or_init(|| {
        let of = |action| Policy::from_yaml("p", &format!("on_unparsed: {action}\n{RULES}"));
        ["ask", "deny", "allow"].map(of).into_iter().flatten().collect()
    });
    let [ask, deny, allow] = policies.as_slice() else { panic!("the rules do not load") };
    let alone = judge(ask, &[shell, b"-c", line]);
    // What is no line by itself may become one with what stands around it.
    if judge(deny, &[shell, b"-c", line]) != judge(allow, &[shell, b"-c", line]) {
        return;
    }
    for (before, behind) in FORMS {
        let longer = [before.as_bytes(), line, behind.as_bytes()].concat();
        let within = judge(ask, &[shell, b"-c", &longer]);
        assert!(within >= alone, "{before:?}: {within} in place of {alone}");
    }
    let within = judge(ask, &[b"nice", shell, b"-c", line]);
    assert!(within >= alone, "nice: {within} in place of {alone}");
}

fn judge(policy: &Policy, argv: &[&[u8]]) -> Action {
    let name = argv.first().copied().unwrap_or_default();
    let path = [b"/usr/bin/", name].concat();
    let facts = Facts {
        name,
        path: Some(&path),
        tool: Some(name),
        argv,
        cwd: Some(b"/work"),
        uid: Some(1000),
        gid: Some(1000),
        ..Facts::default()
    };
    policy.decide(&facts).action
}
