//! Reads: commands that may be told by their input, or by a file that nobody looked at, what to run, so that the same
//! command line may do anything. Every word is looked at, since any may be what a wrapper runs.

/// Shells: what they run may stand behind `-c`.
const SHELLS: &str = "sh bash dash zsh ksh mksh ash";

/// Interpreters, and the options behind which a program stands.
const PROGRAMS: [(&str, &[&str]); 5] = [
    ("python pypy", &["-c"]),
    ("node nodejs", &["-e", "--eval", "-p", "--print"]),
    ("perl", &["-e", "-E"]),
    ("ruby", &["-e"]),
    ("php", &["-r"]),
];

/// What runs what it reads, or a shell where it is told nothing, in ways that are not looked into.
const READERS: &str = "rbash fish csh tcsh pwsh powershell nu elvish xonsh ipython deno bun ts-node tsx irb lua \
    luajit R Rscript julia osascript tclsh wish expect guile racket sbcl clisp ghci elixir iex erl scala groovy jshell \
    awk gawk mawk nawk bc dc m4 gdb lldb busybox toybox env sudo doas su runuser setpriv nsenter unshare chroot flock \
    script watch at batch crontab ed vim vi nvim ex emacs xargs parallel ssh slogin rsh mosh telnet socat nc ncat \
    netcat tmux screen psql mysql mariadb sqlite sqlite3 mongo mongosh redis-cli clickhouse-client sqlplus sqlcmd";

/// Words of a program that run what it was not shown with.
const EVALUATES: &str = ". eval exec source input compile interact stdin";

/// Files that stand for the input, or for what the caller has open.
const INPUT: [&str; 3] = ["/dev/stdin", "/dev/fd", "/proc/"];

/// Whether this command may take from elsewhere than its command line what it is to run: any of its words is a shell, an
/// interpreter or another tool that does so, unless its program stands on the command line and names none of them.
/// `executable` is the file that runs, whatever it was called. Errs to the side of yes.
#[must_use]
pub fn runs_what_it_reads(argv: &[&str], executable: Option<&str>) -> bool {
    let called = executable.and_then(kind).or_else(|| kind(argv.first()?));
    let mut at = 0;
    while let Some(&word) = argv.get(at) {
        let kind = if at == 0 { called } else { kind(word) };
        match kind {
            Some(kind) => match program(kind, argv.get(at + 1..).unwrap_or_default()) {
                Some(program) if !evaluates(kind, program) => at += 3,
                _ => return true,
            },
            None if is_input(word) || names_one(word) => return true,
            None => at += 1,
        }
    }
    false
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shell,
    Interpreter(&'static [&'static str]),
    Reader,
}

/// What a word is, as the name or the path of a tool.
fn kind(word: &str) -> Option<Kind> {
    let name = word.rsplit('/').next().unwrap_or(word);
    // `python3.12` is that tool, and `-bash` a shell for a login.
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    let names = [name, stem, stem.trim_start_matches('-')];
    let is_in = |list: &str| list.split_ascii_whitespace().any(|one| names.contains(&one));
    if is_in(SHELLS) {
        return Some(Kind::Shell);
    }
    let flags = PROGRAMS.iter().find(|(list, _)| is_in(list)).map(|(_, flags)| *flags);
    flags.map(Kind::Interpreter).or_else(|| is_in(READERS).then_some(Kind::Reader))
}

/// The program that stands right behind the tool.
fn program<'a>(kind: Kind, arguments: &[&'a str]) -> Option<&'a str> {
    let (&[flag, program], rest) = arguments.split_first_chunk()?;
    let is_there = match kind {
        // Neither one that reads its input as well nor one for a terminal.
        Kind::Shell => flag
            .strip_prefix('-')
            .and_then(|letters| letters.strip_suffix('c'))
            .is_some_and(|letters| letters.chars().all(|c| "efluvx".contains(c))),
        // Behind it more options may follow, and load something.
        Kind::Interpreter(flags) => {
            flags.contains(&flag)
                && (flags == ["-c"] || !rest.iter().any(|word| word.starts_with('-')))
        }
        Kind::Reader => false,
    };
    (is_there && !program.starts_with(['-', '+'])).then_some(program)
}

/// Whether the text of a program may run more than it says.
fn evaluates(kind: Kind, program: &str) -> bool {
    let expands = kind == Kind::Shell && program.contains(['$', '`', '*', '?', '[', '{']);
    let is_evaluated = |piece: &str| EVALUATES.split_ascii_whitespace().any(|one| one == piece);
    let words = program.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    expands
        || is_input(program)
        || names_one(program)
        || words.chain(program.split_ascii_whitespace()).any(is_evaluated)
}

/// Whether the word, or what is written behind its option, stands for the input.
fn is_input(word: &str) -> bool {
    let is_dash = word != "--" && word.starts_with('-') && word.ends_with('-');
    is_dash || word.ends_with("=-") || INPUT.iter().any(|file| word.contains(file))
}

/// Whether such a tool is named anywhere in a text: as a value, behind a letter, in a line for a shell.
fn names_one(text: &str) -> bool {
    let is_apart =
        |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | '/' | '-' | '+');
    // Quotes inside of a name change nothing.
    let bare: String = text.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
    let names = |piece: &str| {
        let behind_letter = piece.strip_prefix('-').and_then(|rest| rest.get(1..));
        kind(piece).is_some() || behind_letter.is_some_and(|rest| kind(rest).is_some())
    };
    [text, bare.as_str()].iter().any(|text| text.split(is_apart).any(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(line: &str) -> bool {
        // A program is one word, in quotes.
        let words = line.split('\'').enumerate().flat_map(|(n, part)| match n % 2 {
            0 => part.split_ascii_whitespace().collect(),
            _ => vec![part],
        });
        runs_what_it_reads(&words.collect::<Vec<_>>(), None)
    }

    #[test]
    fn a_shell_or_an_interpreter_that_is_told_nothing_runs_what_it_reads() {
        for line in [
            "bash",
            "/bin/bash -l",
            "sh -s a",
            "python3.12 -u",
            "python3 - a",
            "node /dev/stdin",
            "xargs rm -f",
            "ssh host",
            "-bash",
            "bash -es x",
            "bash -o pipefail",
            "bash -O extglob",
            "bash --rcfile f",
            "python3 -W ignore",
            "node -r ./x",
            "perl -I lib",
            "sh /dev/fd/3",
            "psql",
            "mysql",
            "sqlite3 a.db",
            "bash -ic 'npm test'",
            "bash -c -s a",
            "bash -c",
        ] {
            assert!(reads(line), "{line}");
        }
    }

    #[test]
    fn so_does_one_behind_a_wrapper_or_in_a_value() {
        for line in [
            "env bash",
            "sudo sh",
            "busybox sh",
            "nsenter -t 1 -m bash",
            "timeout 60 bash",
            "nice bash",
            "nohup sh",
            "docker exec -i c sh",
            "su -c sh",
            "sh -c sh",
            "env -Sbash",
            "timeout 60 /usr/bin/python3",
            "git -c core.pager=sh log",
            "sh -c 'npm test | bash'",
            "sh -c 'b\"\"ash'",
            "make SHELL=/bin/sh",
            "sudo -s",
            "tar -Ish -xf a.tar",
        ] {
            assert!(reads(line), "{line}");
        }
    }

    #[test]
    fn so_does_one_whose_script_or_program_nobody_looked_at() {
        for line in [
            "bash deploy.sh",
            "python3 setup.py build",
            "bash -c '$X'",
            "bash -c 'eval x'",
            "sh -c '. ./x'",
            "python3 -c 'exec(input())'",
            "node -e 'x' -r ./y",
            "kubectl apply -f -",
            "make -f-",
            "make --file=-",
            "make -f /proc/self/fd/0",
            "sh -c 'cat /dev/stdin'",
        ] {
            assert!(reads(line), "{line}");
        }
    }

    #[test]
    fn it_counts_which_file_runs_whatever_its_name_is() {
        assert!(runs_what_it_reads(&["tool"], Some("/bin/bash")));
        assert!(!runs_what_it_reads(&["tool", "-c", "npm test"], Some("/bin/bash")));
        assert!(runs_what_it_reads(&["tool", "-c", "npm test"], Some("/bin/busybox")));
    }

    #[test]
    fn one_that_is_told_what_to_run_does_not() {
        for line in [
            "bash -c 'npm test'",
            "bash -lc 'cd a && npm test'",
            "timeout 60 sh -ec 'npm test'",
            "python3 -c 'print(1)' a",
            "node -e '1'",
            "make",
            "npm test",
            "npm",
            "git push",
            "git commit -m 'mend bashful'",
            "docker exec c npm test",
            "./deploy.sh -- a",
        ] {
            assert!(!reads(line), "{line}");
        }
    }
}
