//! Inputs of one size made to be slow: policies, shell lines and argument vectors.
//! Each is of a kind that has cost a reader somewhere more than its length.

/// Bytes of each: what has to be refused or read within [`WITHIN_MS`].
pub(crate) const SIZE: usize = 1_000_000;
/// Bytes of the largest policy file that is read.
const FILE: usize = 999_999;
/// Bytes of the longest argument that Linux passes on, and so of the longest shell line.
pub(crate) const LINE: usize = 128 * 1024 - 1;
/// Milliseconds for each of them.
pub(crate) const WITHIN_MS: f64 = 50.0;

/// A text of `head`, as many of `piece` (given their number) as fit, and `tail`.
fn filled(head: &str, piece: impl Fn(usize) -> String, tail: &str) -> String {
    let mut text = head.to_owned();
    for n in 0.. {
        let next = piece(n);
        if text.len() + next.len() + tail.len() > FILE {
            break;
        }
        text.push_str(&next);
    }
    text + tail
}

fn repeated(head: &str, piece: &str, tail: &str) -> String {
    let room = FILE.saturating_sub(head.len() + tail.len());
    [head, &piece.repeat(room / piece.len()), tail].concat()
}

/// Policy files by what they are full of.
pub(crate) fn policies() -> Vec<(&'static str, String)> {
    let choices = |n: usize| {
        let list: Vec<String> = (0..64).map(|k| format!("{k}")).collect();
        format!("- {{command: c{n}, action: deny, args: \"{{{}}}\"}}\n", list.join(","))
    };
    let regex = |text: &str| {
        format!("- {{command: a, action: deny, args: {{matches: {{1: '{text}'}}}}}}\n")
    };
    let alias = |_| "- *a\n".to_owned();
    let big = format!("x: &a \"{}\"\ny:\n", "x".repeat(SIZE / 2));
    let nested: String = (0..31).map(|n| format!("&a{n} [")).collect();
    vec![
        ("tiny rules", repeated("rules:\n", "- {command: a, action: ask}\n", "")),
        ("tiny rules of blocks", repeated("rules:\n", "- command: a\n  action: ask\n", "")),
        (
            "rules about different commands",
            filled("rules:\n", |n| format!("- {{command: c{n}, action: ask}}\n"), ""),
        ),
        (
            "text patterns",
            filled(
                "rules:\n",
                |n| format!("- {{command: git, action: deny, args: [a{n} -f]}}\n"),
                "",
            ),
        ),
        ("a plain word", repeated("default_action: ", "x", "\n")),
        ("many plain words", repeated("default_action: ", "x y ", "\n")),
        ("a word over many lines", repeated("default_action: x\n", "  x\n", "\n")),
        ("a double-quoted word", repeated("default_action: \"", "x", "\"\n")),
        ("escapes", repeated("default_action: \"", "\\x41\\n", "\"\n")),
        ("a single-quoted word", repeated("default_action: '", "''", "'\n")),
        ("a block of text", repeated("default_action: |\n", "  x\n", "")),
        ("a folded block of text", repeated("default_action: >\n", "  x\n\n", "")),
        ("a quote that is not closed", repeated("default_action: \"", "x\n ", "")),
        ("brackets", repeated("", "[", "")),
        ("braces", repeated("", "{", "")),
        ("dashes", repeated("", "- ", "")),
        ("question marks", repeated("", "? ", "")),
        ("colons", repeated("", ": ", "")),
        ("keys within keys", filled("", |n| format!("{}a:\n", " ".repeat(n)), "")),
        ("empty lists", repeated("rules: [", "[],", "]\n")),
        ("commas", repeated("rules: [", ",", "]\n")),
        ("empty mappings as rules", repeated("rules: [", "{},", "]\n")),
        ("the same key", repeated("", "a: b\n", "")),
        ("keys", filled("", |n| format!("a{n}: b\n"), "")),
        ("keys of a rule", filled("rules:\n- a: b\n", |n| format!("  a{n}: b\n"), "")),
        ("keys in brackets", filled("{", |n| format!("k{n}: v,"), "}\n")),
        ("keys without values", repeated("", "?\n", "")),
        ("misspelt keys", repeated("rules:\n", "- {comand: a, acton: deny}\n", "")),
        ("misspelt actions", repeated("rules:\n", "- {command: a, action: dny}\n", "")),
        ("errors in one line", repeated("rules: [", "{comand: a}, ", "]\n")),
        ("globs that are wrong", repeated("allowed_paths:\n", "- /a[\n", "")),
        ("globs", filled("allowed_paths:\n", |n| format!("- /a{n}/*/[a-z]?\n"), "")),
        (
            "globs as commands",
            filled("rules:\n", |n| format!("- {{command: \"*{n}?\", action: deny}}\n"), ""),
        ),
        (
            "places as commands",
            filled("rules:\n", |n| format!("- {{command: /opt/*/{n}, action: deny}}\n"), ""),
        ),
        ("braces of 64", filled("rules:\n", choices, "")),
        (
            "braces of braces",
            repeated(
                "rules:\n",
                "- {command: \"{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}\", action: deny}\n",
                "",
            ),
        ),
        (
            "flags in braces",
            repeated(
                "rules:\n",
                "- {command: a, action: deny, args: \"-{a,b} -{a,b} -{a,b} -{a,b} -{a,b} -{a,b}\"}\n",
                "",
            ),
        ),
        (
            "long patterns in braces",
            repeated(
                "rules:\n",
                &format!(
                    "- {{command: a, action: deny, args: \"{{{}}}{}\"}}\n",
                    "a,".repeat(63),
                    "x".repeat(800)
                ),
                "",
            ),
        ),
        (
            "a rule of many commands",
            filled("rules: [{action: deny, command: [", |n| format!("c{n},"), "]}]\n"),
        ),
        (
            "a rule of many patterns",
            filled("rules: [{action: deny, command: a, args: [", |n| format!("w{n},"), "]}]\n"),
        ),
        (
            "a pattern of many words",
            repeated("rules: [{action: deny, command: a, args: \"", "w ", "\"}]\n"),
        ),
        (
            "structured rules",
            filled(
                "rules:\n",
                |n| {
                    format!(
                        "- {{command: git, action: allow, args: {{subcommand: s{n}, flags: {{only: \
                         [-a, --all]}}, operands: {{max: 3}}}}}}\n"
                    )
                },
                "",
            ),
        ),
        ("regular expressions", filled("rules:\n", |n| regex(&format!("^v{n}$")), "")),
        ("large regular expressions", filled("rules:\n", |n| regex(&format!("{n}\\w{{8}}")), "")),
        (
            "regular expressions that are too large",
            filled("rules:\n", |n| regex(&format!("{n}\\w{{900}}")), ""),
        ),
        (
            "nested repetitions",
            filled("rules:\n", |n| regex(&format!("{n}(((a{{9}}){{9}}){{9}}){{9}}")), ""),
        ),
        ("aliases", filled("x: &a b\ny:\n", alias, "")),
        ("aliases of a long word", filled(&big, alias, "")),
        ("anchors", filled("x:\n", |n| format!("- &a{n} b\n"), "")),
        ("anchors around anchors", repeated(&nested, "x,", &"]".repeat(31))),
        ("tags", repeated("x:\n", "- !a b\n", "")),
        ("documents", repeated("", "---\n", "")),
        ("directives", repeated("", "%A b\n", "")),
        ("comments", repeated("", "# x\n", "")),
        ("comments behind words", repeated("x:\n", "- a # x\n", "")),
        ("a long comment", repeated("#", "x", "\n")),
        ("empty lines", repeated("", "\n", "")),
        ("blanks", repeated("", " ", "")),
        ("blanks and newlines", repeated("", "                                \n", "")),
        ("tabs", repeated("", "\t", "")),
        ("wide characters", repeated("default_action: ", "\u{1f600}", "\n")),
        ("characters of no width", repeated("rules:\n", "- \u{202e}\u{200b}\n", "")),
        ("jails", filled("jails:\n", |n| format!("  j{n}: {{commands: [a]}}\n"), "")),
        ("tools of a jail", filled("jails: {j: {commands: [", |n| format!("t{n},"), "]}}\n")),
        (
            "tools",
            filled("tools:\n", |n| format!("  t{n}: {{flags: [-a], subcommands: {{a: }}}}\n"), ""),
        ),
        (
            "subcommands of a tool",
            filled("tools: {t: {subcommands: {", |n| format!("s{n}: {{flags: [-a]}}, "), "}}}\n"),
        ),
        (
            "flags of tools",
            filled(
                "tools:\n",
                |n| {
                    let flags: Vec<String> = (0..900).map(|k| format!("--f{k}")).collect();
                    format!("  t{n}: {{flags: [{}]}}\n", flags.join(","))
                },
                "",
            ),
        ),
        (
            "subcommands like others",
            filled(
                "tools:\n",
                |n| {
                    let mut text = format!("  t{n}: {{subcommands: {{s0: {{flags: [");
                    (0..900).for_each(|k| text += &format!("--f{k},"));
                    text += "]}";
                    (1..900).for_each(|k| text += &format!(", s{k}: {{like: s{}}}", k - 1));
                    text + "}}\n"
                },
                "",
            ),
        ),
        (
            "examples",
            filled(
                "rules:\n",
                |n| format!("- {{command: c{n}, action: deny, match: [c{n} a, c{n} b]}}\n"),
                "",
            ),
        ),
        (
            "examples of one command",
            filled(
                "rules:\n",
                |n| format!("- {{command: c, args: w{n} a*, action: deny, match: c w{n} a}}\n"),
                "",
            ),
        ),
        (
            "tests of shell lines",
            filled(
                "rules: []\ntests:\n",
                |_| "- {run: \"sh -c 'a;a;a;a'\", expect: deny}\n".into(),
                "",
            ),
        ),
        ("many lists", filled("", |n| format!("k{n}: [{}]\n", "x,".repeat(9_000)), "")),
        ("many lists of lists", filled("", |n| format!("k{n}: [{}]\n", "[],".repeat(9_000)), "")),
        ("many mappings", {
            let pairs: String = (0..5_000).map(|k| format!("k{k}: v,")).collect();
            filled("x:\n", |_| format!("- {{{pairs}}}\n"), "")
        }),
        ("tags in many lists", filled("", |n| format!("k{n}: [{}]\n", "!a b,".repeat(9_000)), "")),
        ("anchors in many lists", {
            filled("", |n| format!("k{n}: [{}]\n", "&a b,".repeat(9_000)), "")
        }),
        ("misspelt keys in many lists", {
            filled("", |n| format!("k{n}: [{}]\n", "{a: b},".repeat(9_000)), "")
        }),
        ("rules of many keys, the last one wrong", {
            let rule = |n| {
                format!(
                    "- {{command: c{n}, args: [\"verb{n} -f ...\", \"verb{n} /srv/*\"], action: ask, \
                     reason: rule {n}}}\n"
                )
            };
            filled("rules:\n", rule, "- {command: a, action: dny}\n")
        }),
        ("structured rules, the last one wrong", {
            let rule = |n| {
                format!(
                    "- {{command: c{n}, action: allow, args: {{subcommand: s{n}, flags: {{only: [-a, --all]}}}}, \
                     reason: a rule of the team for {n}}}\n"
                )
            };
            filled("rules:\n", rule, "- {command: a, action: dny}\n")
        }),
        ("regular expressions of long rules", {
            let rule = |n| regex(&format!("^v{n}{}$", "x".repeat(60)));
            filled("rules:\n", rule, "")
        }),
        ("large regular expressions of long rules", {
            let rule = |n| regex(&format!("{n}\\w{{8}}{}", "x".repeat(60)));
            filled("rules:\n", rule, "")
        }),
        ("rules of a team", {
            let rule = |n| {
                format!(
                    "- command: tool-{n}\n  args: verb{n} --force\n  action: deny\n  reason: \"This needs a \
                     word with the people who run the place, number {n}.\"\n"
                )
            };
            filled("rules:\n", rule, "")
        }),
        ("variables", filled("env: {keep: [", |n| format!("V{n}*,"), "]}\n")),
        ("images", filled("ghost_images:\n", |n| format!("  t{n}: a\n"), "")),
    ]
}

/// Shell lines of about `size` bytes by what they are full of.
pub(crate) fn lines_of(size: usize) -> Vec<(&'static str, String)> {
    let open = |piece: &str| piece.repeat(size / piece.len());
    let closed = |left: &str, right: &str, depth: usize| {
        let one = [&left.repeat(depth), "ls", &right.repeat(depth), ";"].concat();
        one.repeat(size / one.len())
    };
    let documents = |many: usize| {
        let head: String = (0..many).map(|n| format!("<<E{n} ")).collect();
        let body: String = (0..many).map(|n| format!("$(a {n})\nE{n}\n")).collect();
        let one = format!("cat {head}\n{body}");
        one.repeat((size / one.len()).max(1))
    };
    let quoted = |depth: usize| {
        let one = (0..depth)
            .fold("ls".to_owned(), |line, _| format!("sh -c '{}'", line.replace('\'', "'\\''")));
        format!("{one};").repeat((size / (one.len() + 1)).max(1))
    };
    let backticks = |depth: u32| {
        let one = (0..depth).fold("ls".to_owned(), |line, _| {
            format!("echo `{}`", line.replace('\\', "\\\\").replace('`', "\\`"))
        });
        format!("{one};").repeat((size / (one.len() + 1)).max(1))
    };
    vec![
        ("a long word", open("x")),
        ("words", open("x ")),
        ("commands", open("a;")),
        ("different commands", (0..size / 8).map(|n| format!("c{n};")).collect()),
        ("commands on lines", open("ls\n")),
        ("pipes", format!("{}ls", open("ls|"))),
        ("and", format!("{}ls", open("ls&&"))),
        ("ampersands", open("a&")),
        ("substitutions open", open("$(")),
        ("substitutions", closed("$(", ")", 40)),
        ("substitutions side by side", open("$(a)")),
        ("brackets open", open("(")),
        ("brackets", closed("(", ")", 40)),
        ("arithmetic or not", closed("((", ") )", 20)),
        ("arithmetic or not, substituted", closed("$((", ") )", 20)),
        ("arithmetic", open("$((a+$((b))));")),
        ("braces open", open("{ ")),
        ("braces", closed("{ ", ";}", 20)),
        ("expansions open", open("${a:-")),
        ("expansions", closed("${a:-", "}", 40)),
        ("choices", open("{a,b}")),
        ("choices apart", open("{a,b} ")),
        ("choices within choices", format!("echo {}{}", open("{a,"), "}".repeat(30))),
        ("braces that do not close", open("{a ")),
        ("single quotes", open("'x' ")),
        ("double quotes", open("\"$(a)\" ")),
        ("quotes within substitutions", closed("\"$(", ")\"", 20)),
        ("a quote open", format!("'{}", open("x"))),
        ("backslashes", open("\\")),
        ("continued lines", open("\\\n")),
        ("assignments", open("a=b ")),
        ("assignments for ever", open("a=b;")),
        ("different assignments", (0..size / 12).map(|n| format!("LD_{n}=b;ls;")).collect()),
        (
            "assignments before commands",
            format!("{}{}", "LD_PRELOAD=b ".repeat(size / 26), "ls;".repeat(size / 6)),
        ),
        ("an array", format!("a=({})", open("b "))),
        ("subscripts", open("a[b")),
        ("here-documents", documents(40)),
        ("many here-documents at once", documents(size / 30)),
        ("here-documents open", open("cat <<E\n")),
        ("case arms", format!("case a in {} esac", open("a) b;; "))),
        ("case patterns", format!("case a in {}a) b;; esac", open("a|"))),
        ("cases within cases", closed("case a in a) ", ";; esac", 20)),
        ("conditions", closed("if a; then ", "; fi", 20)),
        ("loops", closed("while a; do ", "; done", 20)),
        ("functions", (0..size / 16).map(|n| format!("f{n}() {{ ls; }};")).collect()),
        ("functions within functions", closed("f() { ", ";}", 20)),
        ("calls of a function", format!("f() {{ ls; }};{}", open("f;"))),
        ("patterns", open("*")),
        ("classes", open("[a")),
        ("tests", format!("[[ {} ]]", open("-n a && "))),
        ("regular expressions", format!("[[ a =~ {} ]]", open("("))),
        ("backticks", open("`a`")),
        ("backticks within backticks", backticks(6)),
        ("backticks open", open("`\\`")),
        ("sh -c within sh -c", quoted(7)),
        ("sh -c side by side", open("sh -c a;")),
        ("sudo", format!("{}ls", open("sudo "))),
        ("env", format!("{}ls", open("env a=b "))),
        ("wrappers", format!("{};", "sudo env A=1 timeout 5 nice ").repeat(size / 40)),
        ("xargs", open("xargs -I{} ls {};")),
        ("find -exec", format!("find . {}", open("-exec a {} ; ").replace(';', "\\;"))),
        ("redirections", open(">a ")),
        ("redirections of commands", open("ls>a;")),
        ("cd", format!("cd a;{}", open("ls;"))),
        ("eval", open("eval a;")),
        ("eval within eval", format!("{}ls", open("eval "))),
        ("trap", open("trap a 0;")),
        ("comments", open("#\n")),
        ("newlines", open("\n")),
        ("dollars", open("$")),
        ("variables", open("$a ")),
        ("ansi quotes", open("$'\\x41' ")),
        ("tildes", open("~ ")),
        ("globs", open("ls *;")),
        ("flags", format!("ls {}", open("-a "))),
        ("a cluster of flags", format!("ls -{}", open("a"))),
        (
            "different flags",
            format!("git {}", (0..size / 8).map(|n| format!("-{n} ")).collect::<String>()),
        ),
        ("slashes", format!("rm {}", open("/"))),
        ("dots", format!("rm {}", open("../"))),
        ("coproc", open("coproc ")),
        ("time", open("time ")),
        ("exclamation marks", open("! ")),
    ]
}
