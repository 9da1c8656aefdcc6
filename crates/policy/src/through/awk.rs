//! Awk: whether a program only computes and prints. What is not plainly so is in doubt, for a program
//! can run commands, write and read files, and see the environment.

use super::found::Inside;
use crate::matchers::flag::{flag_like, may_be_flag};
use crate::matchers::unknown;

/// Names by which a program reaches beyond its input, or calls what cannot be seen.
const REACHING: &[&[u8]] = &[
    b"system",
    b"getline",
    b"close",
    b"ENVIRON",
    b"PROCINFO",
    b"SYMTAB",
    b"FUNCTAB",
    b"ARGV",
    b"ARGC",
    b"ARGIND",
    b"nextfile",
];

/// Words behind which a `/` begins a pattern.
const BEFORE_PATTERN: &[&[u8]] = &[b"print", b"printf", b"return", b"in", b"else", b"do", b"case"];

/// Words behind which awks disagree what a `/` is.
const BEFORE_EITHER: &[&[u8]] = &[
    b"length",
    b"next",
    b"exit",
    b"delete",
    b"default",
    b"continue",
    b"break",
    b"function",
    b"func",
];

/// Words whose brackets end before a statement, or before a pattern.
const HEADS: &[&[u8]] = &[b"if", b"while", b"for", b"switch"];

/// Adds a doubt where the program does more than compute and print.
pub(super) fn read(argv: &[&[u8]], inside: &mut Inside<'_>) {
    if !is_plain(argv) {
        inside.doubt("a program for awk that may run commands, or read and write files");
    }
}

/// Whether the program among the arguments only computes and prints, and every option only says how.
pub(super) fn is_plain(argv: &[&[u8]]) -> bool {
    let mut words = argv.iter().copied().skip(1);
    while let Some(word) = words.next() {
        if may_be_flag(word) {
            return false;
        }
        match word {
            b"--" => return words.next().is_some_and(only_prints),
            b"--version" | b"--help" | b"-V" => return argv.len() == 2,
            b"--posix" | b"--csv" | b"--re-interval" => {}
            b"-F" | b"-v" => {
                if words.next().is_none_or(unknown::is_many) {
                    return false;
                }
            }
            _ if word.starts_with(b"--field-separator=") || word.starts_with(b"--assign=") => {}
            [b'-', b'F' | b'v', _, ..] => {}
            _ if flag_like(word) => return false,
            program => {
                // Not every awk takes what follows for files only.
                return only_prints(program) && !words.any(flag_like);
            }
        }
    }
    false
}

/// What stood before a `/`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The end of a value: it divides.
    Value,
    /// An operator, or the beginning of a statement: a pattern begins.
    Operator,
    /// It may be either.
    Either,
}

fn only_prints(program: &[u8]) -> bool {
    // No text but one for a connection begins so.
    let connects = program.windows(5).any(|window| window == b"/inet");
    !unknown::is_in(program) && !connects && scan(program).is_some()
}

/// Reads the program; `None` where it may do more, or where awks may read it in different ways.
fn scan(program: &[u8]) -> Option<()> {
    let mut rest = program;
    let mut before = Before::Operator;
    // For each open bracket, whether it is a head's.
    let mut open: Vec<bool> = Vec::new();
    let mut head = false;
    // How many brackets were open when a `print` began.
    let mut printing: Option<usize> = None;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let was_head = std::mem::take(&mut head);
        before = match byte {
            b' ' | b'\t' | b'\r' => {
                head = was_head;
                before
            }
            b'#' => {
                let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                rest = rest.get(end..)?;
                before
            }
            b'"' => {
                rest = text(rest)?;
                Before::Value
            }
            b'/' => match before {
                Before::Value => Before::Operator,
                Before::Either => return None,
                Before::Operator => {
                    rest = pattern(rest)?;
                    Before::Value
                }
            },
            b'(' => {
                open.push(was_head);
                Before::Operator
            }
            b')' => {
                if printing.is_some_and(|at| at >= open.len()) {
                    return None;
                }
                if open.pop()? { Before::Operator } else { Before::Value }
            }
            b'}' | b';' => {
                printing = None;
                Before::Operator
            }
            b'|' => {
                rest = rest.strip_prefix(b"|")?;
                Before::Operator
            }
            b'>' => {
                if let Some(behind) = rest.strip_prefix(b"=") {
                    rest = behind;
                } else if printing.is_some_and(|at| at == open.len()) {
                    return None;
                }
                Before::Operator
            }
            b'+' | b'-' if rest.first() == Some(&byte) => {
                rest = rest.get(1..)?;
                Before::Either
            }
            b'$' => Before::Either,
            b']' | b'0'..=b'9' | b'.' => Before::Value,
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let more = rest.iter().take_while(|byte| is_name(**byte)).count();
                let from = program.len() - rest.len() - 1;
                let name = program.get(from..=from + more)?;
                rest = rest.get(more..)?;
                if REACHING.contains(&name) {
                    return None;
                }
                if matches!(name, b"print" | b"printf") {
                    printing = Some(open.len());
                }
                head = HEADS.contains(&name);
                if BEFORE_PATTERN.contains(&name) {
                    Before::Operator
                } else if BEFORE_EITHER.contains(&name) || head {
                    Before::Either
                } else {
                    Before::Value
                }
            }
            b'\n' | b'{' | b'[' | b',' | b'!' | b'~' | b'<' | b'=' | b'+' | b'-' | b'*' | b'%'
            | b'^' | b'&' | b'?' | b':' => Before::Operator,
            _ => return None,
        };
    }
    open.is_empty().then_some(())
}

fn is_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// What follows a text in quotes.
fn text(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            b'"' => return Some(rest),
            b'\\' => rest = rest.split_first()?.1,
            b'\n' => return None,
            _ => {}
        }
    }
}

/// What follows a pattern. An awk for which a `/` within brackets ends it finds the bracket open, and
/// runs nothing.
fn pattern(mut rest: &[u8]) -> Option<&[u8]> {
    let mut bracket = false;
    loop {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            b'/' if !bracket => return Some(rest),
            // Whether this ends the bracket is not the same for every awk.
            b'\\' if bracket && rest.first() == Some(&b']') => return None,
            b'\\' => rest = rest.split_first()?.1,
            b'\n' => return None,
            b'[' if !bracket => {
                bracket = true;
                // A `]` that comes first is one of its own.
                for own in [b'^', b']'] {
                    rest = rest.strip_prefix(&[own]).unwrap_or(rest);
                }
            }
            b'[' => {
                if let Some((&mark @ (b':' | b'.' | b'='), inner)) = rest.split_first() {
                    let end = inner.windows(2).position(|pair| pair == [mark, b']'])?;
                    rest = inner.get(end + 2..)?;
                }
            }
            b']' => bracket = false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    fn plain(program: &str) -> bool {
        is_plain(&[b"awk", program.as_bytes(), b"x"])
    }

    #[test]
    fn what_computes_and_prints_is_plain() {
        for program in [
            "{print $1}",
            "$3 > 100 {print $1, $3}",
            "!seen[$0]++",
            "/foo|bar/ {n++} END {print n+0}",
            "{ if ($1 > 5 || $2 ~ /x[/]y/) print $0 }",
            "BEGIN {FS=\",\"} {printf \"%s|%s\\n\", $1, $2}",
            "{s += $1 / 2} END {print s / NR}",
            "{print (a > b)}",
            "{gsub(/[[:space:]/]+/, \" \"); print}",
            "NR>1{a[$1]=$2} END{for(k in a) print k, a[k]}",
            "length($0) > 80",
            "{print \"system(x) | sh > y\"}",
        ] {
            assert!(plain(program), "{program}");
        }
    }

    #[test]
    fn what_reaches_beyond_its_input_is_not() {
        for program in [
            "BEGIN{system(\"id\")}",
            "BEGIN{system (\"id\")}",
            "{print > \"x\"}",
            "{print $1 > \"x\"}",
            "{print ($1) > \"x\"}",
            "{printf(\"x\") > \"y\"}",
            "{print | \"sh\"}",
            "{print a,\n b > \"x\"}",
            "BEGIN{\"id\" | getline; print}",
            "BEGIN{while((getline l < \"/etc/shadow\")>0) print l}",
            "BEGIN{print ENVIRON[\"TOKEN\"]}",
            "BEGIN{ARGV[1]=\"/etc/shadow\";ARGC=2}{print}",
            "BEGIN{f=\"system\";@f(\"id\")}",
            "@load \"x\"",
            "BEGIN{sys\\\ntem(\"id\")}",
            "{print |& \"sh\"}",
        ] {
            assert!(!plain(program), "{program}");
        }
    }

    #[test]
    fn a_slash_that_awks_may_read_in_two_ways_hides_nothing() {
        for program in [
            "{if (1) /\"/; print \"a\" | \"sh\"; x=\"/\"}",
            "{length /\"/; print \"a\" | \"sh\"; x=\"/\"}",
            "{x = 1; y = x /\"/; z = \"/ | \"}",
            "/[\\]/]/ {print}",
            "{a++ /x/ b}",
        ] {
            assert!(!plain(program), "{program}");
        }
    }

    #[test]
    fn only_options_that_say_how_are_taken() {
        let fits = |words: &[&str]| {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            is_plain(&words)
        };
        assert!(fits(&["awk", "-F", ":", "-v", "n=1", "{print $n}", "x", "y"]));
        assert!(fits(&["awk", "-F:", "{print}"]) && fits(&["gawk", "--version"]));
        assert!(!fits(&["awk", "-f", "x", "y"]) && !fits(&["awk", "-i", "inplace", "{print}"]));
        assert!(!fits(&["awk", "{print}", "-f", "x"]) && !fits(&["awk", "-v"]));
        assert!(!fits(&["awk", "-v", "\0\0", "{print}", "x"]) && !fits(&["awk", "\0"]));
    }
}
