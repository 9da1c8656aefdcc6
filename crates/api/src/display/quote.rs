//! Commands and texts as a person may safely read them, in the quoting of a shell.
//! Nothing here shortens without saying by how much.

use super::characters::is_plain;

/// Characters of one argument that [`command`] shows. Of a longer one, the beginning and the end are shown.
pub const MAX_ARGUMENT: usize = 400;

/// Arguments that [`command`] shows. Of more, the first and the last are shown.
pub const MAX_ARGUMENTS: usize = 64;

/// How much of a folded argument, and of a folded list, is shown at its end.
const TAIL: usize = 8;

/// A command line on one line: every argument quoted as a shell would need it, what cannot be seen made visible,
/// what is very long folded with its length told.
///
/// A fold is written `…(+N bytes)…` or `…(+N arguments)…` outside all quotes, where no argument can put it.
#[must_use]
pub fn command(argv: &[String]) -> String {
    let shown = |(index, argument): (usize, &String)| quoted(argument, index == 0, true);
    if argv.len() <= MAX_ARGUMENTS {
        return argv.iter().enumerate().map(shown).collect::<Vec<_>>().join(" ");
    }
    let head = MAX_ARGUMENTS - TAIL;
    let mut parts: Vec<String> = argv[..head].iter().enumerate().map(shown).collect();
    parts.push(format!("…(+{} arguments)…", argv.len() - MAX_ARGUMENTS));
    parts.extend(argv[argv.len() - TAIL..].iter().map(|a| quoted(a, false, true)));
    parts.join(" ")
}

/// The same command line, whole, however long it is: what bash reads back as exactly these arguments.
#[must_use]
pub fn exact(argv: &[String]) -> String {
    let shown = |(index, argument): (usize, &String)| quoted(argument, index == 0, false);
    argv.iter().enumerate().map(shown).collect::<Vec<_>>().join(" ")
}

/// One argument, as [`command`] shows it.
#[must_use]
pub fn argument(text: &str) -> String {
    quoted(text, false, true)
}

/// A sentence, a path or a name on one line: as it is, but what cannot be seen made visible by a backslash escape and
/// every backslash doubled.
#[must_use]
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\\' || !is_plain(c) {
            escape(c, &mut out);
        } else {
            out.push(c);
        }
    }
    out
}

fn quoted(argument: &str, is_first: bool, fold: bool) -> String {
    let length = if fold { argument.chars().count() } else { 0 };
    if length <= MAX_ARGUMENT {
        return quote_whole(argument, is_first);
    }
    let at = |n: usize| argument.char_indices().nth(n).map_or(argument.len(), |(at, _)| at);
    let (from, to) = (at(MAX_ARGUMENT - TAIL), at(length - TAIL));
    let head = quote_whole(&argument[..from], true);
    let tail = quote_whole(&argument[to..], true);
    format!("{head}…(+{} bytes)…{tail}", to - from)
}

/// The first word is quoted at a `=` too, where a shell would take it for an assignment.
fn quote_whole(argument: &str, is_first: bool) -> String {
    let is_bare =
        |c: char| c.is_ascii_alphanumeric() || "_@%+:,./-".contains(c) || (c == '=' && !is_first);
    if !argument.is_empty() && argument.chars().all(is_bare) {
        return argument.to_owned();
    }
    if argument.chars().all(|c| is_plain(c) && c != '\'') {
        return format!("'{argument}'");
    }
    let mut out = String::with_capacity(argument.len() + 16);
    out.push_str("$'");
    for c in argument.chars() {
        if matches!(c, '\\' | '\'') || !is_plain(c) {
            escape(c, &mut out);
        } else {
            out.push(c);
        }
    }
    out.push('\'');
    out
}

/// The escape that bash's `$'…'` knows for `c`.
fn escape(c: char, out: &mut String) {
    use std::fmt::Write as _;
    let letter = match c {
        '\\' => '\\',
        '\'' => '\'',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        other => {
            // Writing into a String cannot fail.
            let _ = match u32::from(other) {
                code @ 0..=0x7F => write!(out, "\\x{code:02x}"),
                code @ 0x80..=0xFFFF => write!(out, "\\u{code:04x}"),
                code => write!(out, "\\U{code:08x}"),
            };
            return;
        }
    };
    out.push('\\');
    out.push(letter);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|&p| p.to_owned()).collect()
    }

    #[test]
    fn ordinary_commands_are_shown_as_they_would_be_typed() {
        assert_eq!(
            command(&argv(&["git", "log", "--format=%H", "a/b.c"])),
            "git log --format=%H a/b.c"
        );
        assert_eq!(
            command(&argv(&["git", "commit", "-m", "two words"])),
            "git commit -m 'two words'"
        );
        assert_eq!(command(&argv(&["printf", ""])), "printf ''");
        assert_eq!(command(&argv(&["echo", "it's"])), r"echo $'it\'s'");
        assert_eq!(command(&[]), "");
    }

    #[test]
    fn what_a_shell_would_act_on_is_quoted() {
        for word in [
            "$(id)", "`id`", "a;b", "a|b", "*", "~", "~root", "#x", "!!", "{a,b}", "a&b", ">f",
            "\"", "a\\b",
        ] {
            let shown = argument(word);
            assert!(shown.starts_with('\'') || shown.starts_with("$'"), "{shown}");
        }
        assert_eq!(command(&argv(&["LD_PRELOAD=x", "a=b"])), "'LD_PRELOAD=x' a=b");
    }

    #[test]
    fn attacks_on_the_terminal_are_visible_and_harmless() {
        for (attack, shown) in [
            ("\u{1b}[31mred", r"$'\e[31mred'"),
            ("\u{1b}]0;title\u{7}", r"$'\e]0;title\a'"),
            ("\u{1b}]8;;http://x\u{1b}\\ok", r"$'\e]8;;http://x\e\\ok'"),
            ("\u{9b}2J", r"$'\u009b2J'"),
            ("safe\rrm -rf /", r"$'safe\rrm -rf /'"),
            ("a\u{8}\u{8}b", r"$'a\b\bb'"),
            ("line\nAPPROVED by root", r"$'line\nAPPROVED by root'"),
            ("\u{85}x", r"$'\u0085x'"),
            ("\u{2028}x", r"$'\u2028x'"),
            ("file\u{202e}gpj.exe", r"$'file\u202egpj.exe'"),
            ("\u{2066}a\u{2069}", r"$'\u2066a\u2069'"),
            ("rm\u{200b}", r"$'rm\u200b'"),
            ("a\u{a0}b", r"$'a\u00a0b'"),
            ("\u{e0041}", r"$'\U000e0041'"),
            ("\u{7f}", r"$'\x7f'"),
            ("e\u{338}", r"$'e\u0338'"),
            ("\u{feff}", r"$'\ufeff'"),
        ] {
            let all = command(&argv(&["echo", attack]));
            assert_eq!(all, format!("echo {shown}"));
            assert!(all.chars().all(is_plain), "{all}");
            assert!(text(attack).chars().all(is_plain));
        }
    }

    #[test]
    fn look_alikes_are_never_bare() {
        assert_eq!(command(&argv(&["gіt", "push"])), "'gіt' push");
    }

    #[test]
    fn an_argument_cannot_pretend_to_be_two_or_to_be_a_fold() {
        assert_ne!(command(&argv(&["a b"])), command(&argv(&["a", "b"])));
        assert_ne!(command(&argv(&["a' 'b"])), command(&argv(&["a", "b"])));
        assert_ne!(command(&argv(&["\\e"])), command(&argv(&["\u{1b}"])));
        assert!(command(&argv(&["x", "…(+9 bytes)…"])).contains("'…(+9 bytes)…'"));
    }

    #[test]
    fn a_long_argument_is_folded_and_its_length_told() {
        let long = format!("{}{}END", "a".repeat(1_000_000), "é".repeat(1000));
        let shown = command(&argv(&["echo", &long]));
        assert!(shown.chars().count() < MAX_ARGUMENT + 60, "{}", shown.len());
        assert!(shown.contains(&format!("…(+{} bytes)…'", long.len() - 392 - 13)), "{shown}");
        assert!(shown.ends_with("'éééééEND'"), "{shown}");
        let whole = "b".repeat(MAX_ARGUMENT);
        assert_eq!(argument(&whole), whole);
    }

    #[test]
    fn many_arguments_are_folded_and_counted() {
        let many: Vec<String> = (0..10_000).map(|i| i.to_string()).collect();
        let shown = command(&many);
        assert!(shown.starts_with("0 1 2 "));
        assert!(shown.contains(" 55 …(+9936 arguments)… 9992 "), "{shown}");
        assert!(shown.ends_with(" 9999"));
        assert_eq!(exact(&many).split(' ').count(), 10_000);
    }

    #[test]
    fn text_keeps_sentences_and_marks_what_is_hidden() {
        assert_eq!(text("needs a look: rm -rf '/app'"), "needs a look: rm -rf '/app'");
        assert_eq!(text("a\nb\\n"), r"a\nb\\n");
        assert_ne!(text("\\e"), text("\u{1b}"));
    }

    #[test]
    fn bash_reads_the_exact_form_back() {
        let hostile = argv(&[
            "printf",
            "%s\\0",
            "",
            "a b",
            "it's",
            "\\",
            "\u{1b}[0m",
            "\u{202e}x",
            "é日本",
            "$(id)",
            "\n",
            "\u{e0041}1",
            "\u{7f}ff",
            "-n",
            "~",
            "a=b",
            "*",
            "\t\t",
            "\u{85}5",
        ]);
        let out = std::process::Command::new("bash")
            .env("LC_ALL", "C.UTF-8")
            .args(["--norc", "-c", &exact(&hostile)])
            .output()
            .unwrap();
        let expected: String = hostile[2..].iter().map(|a| format!("{a}\0")).collect();
        assert_eq!(String::from_utf8_lossy(&out.stdout), expected);
    }
}
