//! Whole histories: how few rules there are, and what all of them together change.

use super::*;

#[test]
fn few_rules_answer_many_asks() {
    let mut all = Vec::new();
    for n in 0..40 {
        all.push(yes(&format!("git add src/{n}.rs")));
        all.extend(times(2, &yes("npm ci")));
        all.push(yes("git push origin main"));
        all.push(no("npm publish"));
        all.push(yes(&format!("bash -c 'echo {n}'")));
    }
    let found = found(ASK, &all);
    assert_eq!(found.rules.len(), 4, "{found:?}");
    let asks: Vec<usize> = found.rules.iter().map(|rule| rule.asks).collect();
    assert_eq!(asks, [80, 40, 40, 40]);
    assert_eq!(found.answered, 240);
}

#[test]
fn together_the_rules_change_nothing_but_what_people_answered() {
    let lines = [
        "git push origin main",
        "git add a",
        "git add b",
        "git add c",
        "npm ci",
        "npm publish",
        "rm x",
        "rm y",
        "rm z",
        "curl http://a/",
        "bash -c 'npm ci'",
        "git status",
        "cat a",
        "cat b",
        "cat /etc/passwd",
    ];
    // Every history of a small generator; the answers are by turns.
    for seed in 0..60_usize {
        let mut state = seed.wrapping_mul(2_654_435_761) + 1;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let answers: Vec<Option<bool>> =
            lines.iter().map(|_| [Some(true), Some(true), Some(false), None][next(4)]).collect();
        let all: Vec<Past> =
            (0..60).map(|_| next(lines.len())).map(|at| past(lines[at], answers[at])).collect();
        let yaml = rules(ASK, &all);
        if yaml.is_empty() {
            continue;
        }
        for (line, answer) in lines.iter().zip(&answers) {
            let now = after(&yaml, line);
            let may = match answer {
                Some(true) => now != Action::Deny,
                Some(false) => now != Action::Allow,
                None => now == Action::Ask || !all.iter().any(|past| past.argv == yes(line).argv),
            };
            assert!(may, "seed {seed}: {line} was {answer:?} and becomes {now} by {yaml:#?}");
        }
    }
}
