//! What holds for every line.

use proptest::prelude::*;

use super::{Dialect, commands, parse, words};

const DIALECTS: [Dialect; 3] = [Dialect::Posix, Dialect::Bash, Dialect::Zsh];

/// Pieces of which lines are made that a reader stumbles over.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let odd = [
        "$(",
        ")",
        "`",
        "\\`",
        "${",
        "}",
        "$((",
        "))",
        "((",
        "[[",
        "]]",
        "{ ",
        ";}",
        "'",
        "\"",
        "\\",
        "\\\n",
        "\n",
        "<<A\n",
        "A\n",
        "<<-'A'\n",
        "<<<",
        "<(",
        ">(",
        "&>",
        ">&",
        "2>",
        "case x in ",
        "esac",
        ";;",
        "if ",
        "then ",
        "fi",
        "for i ",
        "in ",
        "do ",
        "done",
        "function f ",
        "f()",
        "eval ",
        "trap ",
        "$'",
        "\\x41'",
        "{a,b}",
        "{",
        "..",
        ",",
        "a=(",
        "a[",
        "]=",
        "~",
        "*",
        "#",
        "!",
        "| ",
        "&& ",
        "|| ",
        "; ",
        "& ",
        "ls ",
        "-x ",
        "$x",
        "$[",
        "=~ ",
        "time ",
        "coproc ",
        "exec ",
        "command ",
        "\r",
        "\u{a0}",
        "x",
    ];
    let odd = proptest::sample::select(odd.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    prop_oneof![8 => odd, 1 => proptest::collection::vec(any::<u8>(), 0..4)]
}

/// Words and small commands that are whole.
fn line() -> impl Strategy<Value = String> {
    let lines = [
        "ls",
        "echo 'a b' \"$x\"",
        "a | b",
        "(a; b)",
        "{ a; }",
        "if a; then b; fi",
        "for i in 1 2; do a; done",
        "x=1",
        "case $x in a) b;; esac",
        "a > f 2>&1",
        "f() { a; }",
        "[[ -f x ]]",
        "cat <<< x",
        "a `b`",
        "((1))",
    ];
    proptest::sample::select(lines.to_vec()).prop_map(str::to_owned)
}

/// The command that is hidden somewhere.
const HIDDEN: &str = "rm -rf /";

fn finds_it(line: &str) -> bool {
    let script = parse(line.as_bytes(), Dialect::Bash);
    let script = script.unwrap_or_else(|error| panic!("{line:?}: {error:?}"));
    commands(&script).iter().any(|command| command == HIDDEN)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 1500 } else { 200_000 }))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for dialect in DIALECTS {
            let _ = parse(&bytes, dialect);
        }
    }

    #[test]
    fn no_pieces_of_shell_make_it_panic(pieces in proptest::collection::vec(piece(), 0..40)) {
        let line = pieces.concat();
        for dialect in DIALECTS {
            if let Err(error) = parse(&line, dialect) {
                prop_assert!(error.at <= line.len());
            }
        }
    }

    #[test]
    fn a_command_in_a_list_is_found(before in line(), after in line(), at in 0..6_usize) {
        let operator = [";", "&&", "||", "|", "|&", "&"][at];
        let newline = "\n";
        for line in [
            format!("{before} {operator} {HIDDEN}"),
            format!("{HIDDEN} {operator} {after}"),
            format!("{before} {operator} {HIDDEN} {operator} {after}"),
            format!("{before}{newline}{HIDDEN}{newline}{after}"),
        ] {
            prop_assert!(finds_it(&line), "{line}");
        }
    }

    #[test]
    fn a_command_in_wrappings_is_found(layers in proptest::collection::vec(0..18_usize, 1..6), after in line()) {
        let mut line = HIDDEN.to_owned();
        for (at, layer) in layers.into_iter().enumerate() {
            line = match layer {
                0 => format!(" ( {line} )"),
                1 => format!("{{ {line}; }}"),
                2 => format!("echo $({line})"),
                3 => format!("echo \"a $({line}) b\""),
                4 => format!("echo <({line})"),
                5 => format!("echo ${{x:-$({line})}}"),
                6 => format!("echo $((1 + $({line})))"),
                7 => format!("if {line}; then a; fi"),
                8 => format!("while a; do {line}; done"),
                9 => format!("case a in b) {line} ;; esac"),
                10 => format!("f() {{ {line}; }}"),
                11 => format!("a=($({line}))"),
                12 => format!("[[ $({line}) ]]"),
                13 => format!("for x in $({line}); do a; done"),
                14 => format!("a > $({line})"),
                15 => format!("{{ cat <<E{at}\n$({line})\nE{at}\n}}"),
                16 => format!("x[$({line})]=1"),
                _ => format!("! time {line}"),
            };
        }
        prop_assert!(finds_it(&line), "{line}");
        let both = format!("{line}\n{after}");
        prop_assert!(finds_it(&both), "{both}");
    }

    #[test]
    fn a_word_is_the_same_however_it_is_quoted(text in "[ -~]{1,12}", ways in proptest::collection::vec(0..4_usize, 12)) {
        let mut line = String::from("a ");
        for (letter, way) in text.chars().zip(ways) {
            match way {
                0 if letter == '\'' => line.push_str("\"'\""),
                0 => line.push_str(&format!("'{letter}'")),
                1 if matches!(letter, '"' | '\\' | '$' | '`') => line.push_str(&format!("\"\\{letter}\"")),
                1 => line.push_str(&format!("\"{letter}\"")),
                2 => line.push_str(&format!("$'\\x{:02x}'", letter as u32)),
                _ => line.push_str(&format!("\\\n\\{letter}")),
            }
        }
        let script = parse(line.as_bytes(), Dialect::Bash).unwrap();
        prop_assert_eq!(&words(&script)[0][1], &Some(text.into_bytes()), "{}", line);
    }
}
