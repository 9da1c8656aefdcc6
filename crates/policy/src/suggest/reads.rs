//! Reads: tools that may be told by their input what to run, so that the same command line may do anything.

/// Shells and interpreters: with no operand, or with one that stands for the input, they run what they read.
const INTERPRETERS: &str = "sh bash dash zsh ksh mksh ash rbash fish csh tcsh pwsh powershell nu elvish xonsh \
    python pypy ipython node nodejs deno bun ts-node tsx perl ruby irb php lua luajit R Rscript julia osascript tclsh \
    wish expect guile racket sbcl clisp ghci elixir iex erl scala groovy jshell bc dc m4 gdb lldb busybox toybox env \
    sudo doas su runuser setpriv nsenter unshare chroot flock script watch at batch crontab ed vim vi nvim ex emacs";

/// Tools that always run what they read, or what somebody types.
const READERS: &str = "xargs parallel ssh slogin rsh mosh telnet socat nc ncat netcat tmux screen";

/// Operands that stand for the input.
const INPUT: [&str; 7] = ["-", "-s", "-i", "--stdin", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];

/// Whether a tool of this name or path, called with these arguments, may take from its input what it is to run. Errs to
/// the side of yes.
#[must_use]
pub fn runs_what_it_reads(tool: &str, arguments: &[&str]) -> bool {
    let name = tool.rsplit('/').next().unwrap_or(tool);
    // `python3.12` is that tool.
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    let is_in = |list: &str| list.split_ascii_whitespace().any(|one| one == name || one == stem);
    let names_input = || arguments.iter().any(|argument| INPUT.contains(argument));
    let has_operand = || arguments.iter().any(|argument| !argument.starts_with('-'));
    is_in(READERS) || (is_in(INTERPRETERS) && (!has_operand() || names_input()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_or_an_interpreter_that_is_told_nothing_runs_what_it_reads() {
        for (tool, arguments) in [
            ("bash", &[][..]),
            ("/bin/bash", &["-l"]),
            ("sh", &["-s", "a"]),
            ("python3.12", &["-u"]),
            ("python3", &["-", "a"]),
            ("node", &["/dev/stdin"]),
            ("xargs", &["rm", "-f"]),
            ("ssh", &["host"]),
        ] {
            assert!(runs_what_it_reads(tool, arguments), "{tool} {arguments:?}");
        }
    }

    #[test]
    fn one_that_is_told_what_to_run_does_not() {
        for (tool, arguments) in [
            ("bash", &["-c", "npm test"][..]),
            ("python3", &["setup.py", "build"]),
            ("make", &[]),
            ("npm", &[]),
            ("git", &["push"]),
        ] {
            assert!(!runs_what_it_reads(tool, arguments), "{tool} {arguments:?}");
        }
    }
}
