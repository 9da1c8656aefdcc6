//! Files that would make much of little: each is refused by the bound that it meets, and what people write is not.

use crate::load::from_text;

fn told(text: &str) -> Vec<String> {
    let error = from_text("p", text).unwrap_err();
    error.diagnostics().iter().map(|found| found.message.clone()).collect()
}

fn rules(count: usize, rule: impl Fn(usize) -> String) -> String {
    let rules: String = (0..count).map(|n| format!("- {}\n", rule(n))).collect();
    format!("rules:\n{rules}")
}

fn choices(count: usize) -> String {
    let words: Vec<String> = (0..count).map(|n| format!("w{n}")).collect();
    format!("{{{}}}", words.join(","))
}

#[test]
fn braces_are_spelled_out_within_a_bound_for_the_whole_file() {
    let many = choices(64);
    for rule in [
        format!("{{command: a, action: deny, args: \"-{many} {many}\"}}"),
        format!("{{command: \"{many}\", action: deny}}"),
        format!("{{command: a, action: deny, args: {{operands: {{any: [\"{many}\"]}}}}}}"),
        format!("{{command: a, action: deny, jail: \"{many}\"}}"),
        format!("{{command: a, action: deny, cwd: \"/{many}\"}}"),
    ] {
        let one = from_text("p", &rules(1, |_| rule.clone()));
        assert!(one.is_ok() || rule.contains("args: \"-"), "{rule}");
        let told = told(&rules(800, |_| rule.clone()));
        let spelled = told.iter().filter(|told| told.contains("spell out too much"));
        assert_eq!(spelled.count(), 1, "{rule}: {told:?}");
    }
}

#[test]
fn ten_thousand_rules_with_three_choices_each_load() {
    let text = rules(10_000, |n| {
        format!("{{command: t{n}, action: deny, args: \"{{get,put,list}} v{n}\"}}")
    });
    assert_eq!(from_text("p", &text).unwrap().rule_count(), 10_000);
}

#[test]
fn subcommands_take_over_flags_within_a_bound() {
    let flags: Vec<String> = (0..500).map(|n| format!("--f{n}")).collect();
    let tool = |count: usize| {
        let like: Vec<String> = (1..count).map(|n| format!("s{n}: {{like: s{}}}", n - 1)).collect();
        let flags = flags.join(", ");
        format!("tools: {{t: {{subcommands: {{s0: {{flags: [{flags}]}}, {}}}}}}}", like.join(", "))
    };
    assert!(from_text("p", &tool(41)).is_ok());
    assert_eq!(told(&tool(42)), ["`like` repeats more than 20000 flags in this file"]);
}

#[test]
fn a_list_has_an_end() {
    let text = |count: usize| format!("allowed_paths: [{}]", "/a, ".repeat(count));
    assert!(from_text("p", &text(12_000)).is_ok());
    assert_eq!(told(&text(12_001)), ["a list or mapping has more than 12000 entries"]);
    assert_eq!(told(&"a: b\n".repeat(12_001)), ["a list or mapping has more than 12000 entries"]);
}

#[test]
fn an_alias_of_a_long_word_counts_by_its_length() {
    let text = format!("x: &a \"{}\"\ny: [{}]", "x".repeat(3_200), "*a, ".repeat(100));
    assert!(told(&text).iter().any(|told| told.contains("aliases repeat more than")));
    let text = format!("x: &a [{}]\ny: [*a]", "x, ".repeat(11_000));
    assert!(told(&text).iter().any(|told| told.contains("aliases repeat more than")));
}

#[test]
fn anchors_that_nobody_repeats_cost_nothing() {
    let deep: String = (0..20).map(|n| format!("&a{n} [")).collect();
    let text = format!("x: {deep}{}{}", "y, ".repeat(9_000), "]".repeat(20));
    assert_eq!(told(&text), ["unknown key `x`"]);
}

#[test]
fn a_file_holds_only_so_many_values() {
    // No list is too long: the file is too dense.
    let list = |entries: usize| format!("[{}],", "[],".repeat(entries));
    let text = |lists: usize| format!("x: [{}]", list(10_000).repeat(lists));
    assert_eq!(told(&text(9)), ["unknown key `x`"]);
    let told = told(&text(11));
    assert_eq!(told, ["the file has more than 200000 keys, values and brackets up to here"]);
}

#[test]
fn anchors_are_few() {
    let text = |count: usize| {
        let anchors: String = (0..count).map(|n| format!("&a{n} b, ")).collect();
        format!("x: [{anchors}]")
    };
    assert_eq!(told(&text(10_000)), ["unknown key `x`"]);
    assert_eq!(told(&text(10_001)), ["the file has more than 10000 anchors"]);
}

#[test]
fn reading_ends_when_enough_was_found_wrong() {
    // Behind a hundred tags even what is no YAML is not looked at.
    let text = format!("x: [{}]\n\t]", "!a b, ".repeat(200));
    let error = from_text("p", &text).unwrap_err();
    let messages = error.diagnostics().iter().map(|found| &found.message);
    assert!(messages.clone().count() > 0);
    assert!(messages.into_iter().all(|told| told.contains("tags have no meaning")));
}

#[test]
fn examples_that_are_too_many_are_not_looked_at() {
    let text = rules(5_001, |n| format!("{{command: c{n}, action: dny, match: [a, b]}}"));
    assert_eq!(told(&text), ["more than 10000 examples in one file"]);
    let text = rules(5_000, |n| format!("{{command: c{n}, action: deny, match: [c{n}, c{n} b]}}"));
    assert!(from_text("p", &text).is_ok());
}

#[test]
fn tools_have_only_so_many_flags() {
    let tools = |count: usize| {
        let flags: Vec<String> = (0..1_000).map(|n| format!("--f{n}")).collect();
        let tool = |n: usize| format!("  t{n}: {{flags: [{}]}}\n", flags.join(","));
        format!("tools:\n{}", (0..count).map(tool).collect::<String>())
    };
    assert!(from_text("p", &tools(20)).is_ok());
    assert_eq!(told(&tools(22)), ["the tools of this file have more than 20000 flags"]);
}

#[test]
fn nothing_more_is_made_of_a_file_whose_bound_is_reached() {
    let regex = |n| format!("{{command: a, action: deny, args: {{matches: {{1: '^v{n}$'}}}}}}");
    assert_eq!(from_text("p", &rules(2_000, regex)).unwrap().rule_count(), 2_000);
    let told = told(&rules(5_000, regex));
    assert_eq!(told.len(), 1, "{told:?}");
}
