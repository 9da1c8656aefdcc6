//! Outputs: what the commands of a shell line print that others take for words: lists of files, and
//! words of a kind. A command that is not here prints anything.

use std::ops::Range;

use super::values::{ORDINARY, Values, ordinary};
use crate::matchers::names::{DEEP, FLAT, MAX_TEXTS, Names};
use crate::shell::{Origin, Simple, Word};

/// Commands looked at for one word.
const MAX_COMMANDS: usize = 32;
/// Outputs within outputs that are looked through.
const MAX_DEPTH: usize = 6;

/// Commands that print nothing to speak of.
const SILENT: &[&[u8]] = &[
    b"cd", b"true", b"false", b":", b"test", b"[", b"set", b"shopt", b"export", b"sleep", b"wait",
];

/// Commands that print a number or a name that no argument chooses, and the options that leave it so.
const WORDS: &[(&str, &str)] = &[
    ("whoami", ""),
    ("hostname", "-s -f"),
    ("nproc", "--all"),
    ("arch", ""),
    ("uname", "-s -r -m -n -a -sr -sm"),
    ("id", "-u -g -un -gn -nu"),
    ("tty", ""),
    ("logname", ""),
    ("groups", ""),
    ("tput", ""),
    ("getconf", ""),
    ("pgrep", "-f -n -o -x -u"),
    ("pidof", "-s"),
    ("seq", "-w"),
    ("date", "-u -d -I"),
    ("which", "-a"),
    ("wc", "-l -w -c -m -L"),
    ("docker ps", "-q -a -l -n -aq -qa -lq -ql"),
    ("docker images", "-q -a -aq"),
    ("git rev-parse", "--short --abbrev-ref --verify"),
    ("git describe", "--tags --always --abbrev=0 --long --dirty"),
    ("git merge-base", ""),
    ("git symbolic-ref", "--short -q"),
    (
        "git branch",
        "--show-current -r -a --all --remotes --list --merged --no-merged --format=%(refname:short) --format=%(refname)",
    ),
    ("git tag", "-l --list"),
    ("git remote", ""),
    ("git log", "-1 -n1 -n --format=%H --format=%h --format=%at --format=%ct --format=%cs --all"),
    ("git rev-list", "--count --max-count=1 -n --all"),
];

/// Commands that print names of files: of their operands, and of what lies below them or here. The
/// options that make them print something else as well are missing.
const LISTS: &[(&str, &str)] = &[
    ("ls", "-1 -a -A -t -r -tr -1t -1tr -d -S -R -1a -rt -la -l -lt -ltr -al -1d"),
    ("fd", "-e -t -H -I -d -g -i -s -E -0 --type --extension --hidden"),
    ("fdfind", "-e -t -H -I -d -g -i -s -E -0 --type --extension --hidden"),
    ("rg", "-l --files -g -t -i -w -F -e -0 --files-with-matches --glob --type --hidden -il -li"),
    (
        "grep",
        "-l -rl -lr -ril -rli -il -li -L -rL -R -r -e -E -F -i -w -Z -lE -rlE -Erl -lR -Rl -rlZ -lrZ -rlI -lir -rlF --include --exclude --exclude-dir --null",
    ),
    ("git ls-files", "-z -m -o -c -d --cached --others --modified --exclude-standard"),
    ("git diff", "--name-only --cached --staged --diff-filter -z"),
    ("git grep", "-l -il -i -w -F -E -e -z --name-only"),
];

/// Of `LISTS`, those that print names only with one of these among their options.
const LIST_ONLY_WITH: &[(&str, &[&str])] = &[
    ("rg", &["l", "--files"]),
    ("grep", &["l", "L"]),
    ("git diff", &["--name-only"]),
    ("git grep", &["l", "--name-only"]),
];

/// What `find` may be told to do with what it finds, and still only list it.
const FIND_TAKES: &[&str] = &[
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-wholename",
    "-regex",
    "-iregex",
    "-regextype",
    "-type",
    "-maxdepth",
    "-mindepth",
    "-newer",
    "-newermt",
    "-size",
    "-mtime",
    "-mmin",
    "-atime",
    "-amin",
    "-ctime",
    "-cmin",
    "-user",
    "-group",
    "-perm",
    "-empty",
    "-not",
    "-o",
    "-or",
    "-a",
    "-and",
    "-prune",
    "-print",
    "-print0",
    "-executable",
    "-readable",
    "-writable",
    "-xdev",
    "-mount",
    "-depth",
    "-links",
    "-inum",
    "-xtype",
    "-lname",
    "-samefile",
    "-uid",
    "-gid",
    "-nouser",
    "-nogroup",
    "-daystart",
];

/// Filters that print some of the lines that they read, and the letters of their options.
const FILTERS: &[(&str, &str, usize)] = &[
    ("grep", "vEFGPiwx", 1),
    ("egrep", "viwx", 1),
    ("fgrep", "viwx", 1),
    ("sort", "unrhVfbdizR", 0),
    ("uniq", "ui", 0),
    ("head", "n0123456789", 0),
    ("tail", "n0123456789", 0),
];

/// What all commands in `range` print that is not taken up by another of them.
pub(super) fn of_all(values: &Values<'_>, range: Range<usize>, depth: usize) -> Option<Names> {
    let commands = values.script.commands.get(range.clone())?;
    // What a function prints stands elsewhere in the line.
    if depth > MAX_DEPTH || range.is_empty() || commands.len() > MAX_COMMANDS {
        return None;
    }
    if values.script.functions {
        return None;
    }
    let mut taken = vec![false; commands.len()];
    for simple in commands {
        let inner = simple.words.iter().flat_map(|word| &word.origins);
        let inner = inner.chain(simple.assignments.iter().flat_map(|(_, value)| &value.origins));
        let inner = inner.filter_map(|origin| match origin {
            Origin::Output(inner) => Some(inner.clone()),
            _ => None,
        });
        let input = simple.input.map(|input| input..input + 1);
        for number in inner.chain(input).flatten() {
            let place = number.checked_sub(range.start).and_then(|at| taken.get_mut(at));
            *place? = true;
        }
    }
    let mut all = Names::default();
    for (at, number) in range.enumerate().filter(|(at, _)| !taken[*at]) {
        if SILENT.contains(&commands[at].name()) || commands[at].words.is_empty() {
            // What is only redirected may print what is in a file.
            if commands[at].words.is_empty() && !commands[at].redirects.is_empty() {
                return None;
            }
            continue;
        }
        // What ends in no newline goes on with what is printed next, by another command or in another turn.
        let alone = taken.iter().filter(|taken| !**taken).count() == 1;
        if !alone && goes_on(&commands[at]) {
            return None;
        }
        all.texts.extend(of(values, number, depth)?.texts);
    }
    (!all.texts.is_empty() && all.texts.len() <= MAX_TEXTS).then_some(all)
}

/// What the command of this number prints, a word at a time.
pub(super) fn of(values: &Values<'_>, number: usize, depth: usize) -> Option<Names> {
    let simple = values.script.commands.get(number)?;
    if depth > MAX_DEPTH || !simple.assignments.iter().all(|(name, _)| name == b"LC_ALL") {
        return None;
    }
    let own = simple.words.get(1..)?;
    let plain: Option<Vec<&[u8]>> = own.iter().map(Word::literal).collect();
    let command = simple.name();
    match (command, plain.as_deref()) {
        (b"pwd", Some([] | [b"-P" | b"-L"])) => return Some(Names::one(b".")),
        (b"echo" | b"printf", _) => return echoed(values, command, own, (depth, number)),
        (b"dirname" | b"basename" | b"realpath" | b"readlink", _) => {
            return derived(values, command, own, (depth, number));
        }
        (b"find", _) => return searched(values, own, (depth, number)),
        (b"git", Some([b"rev-parse", b"--show-toplevel"])) => return Some(ordinary(true, false)),
        (b"command", Some([b"-v", tool])) if !tool.contains(&b'/') && !tool.starts_with(b"-") => {
            return Some(Names::one(ORDINARY));
        }
        (b"tr", Some([from, to])) if is_line_end(from) && is_line_end(to) => {
            let found = of(values, simple.input?, depth + 1)?;
            let blank = |text: &Vec<u8>| text.iter().any(u8::is_ascii_whitespace);
            return (!found.texts.iter().any(blank)).then_some(found);
        }
        _ => {}
    }
    if let Some((_, letters, operands)) =
        FILTERS.iter().find(|(tool, ..)| tool.as_bytes() == command)
        && let Some(input) = simple.input
        && plain.as_ref().is_some_and(|words| filters(words, letters, *operands))
    {
        return of(values, input, depth + 1);
    }
    let (tool, own) = match own.split_first() {
        Some((sub, rest)) if matches!(command, b"git" | b"docker") => {
            ([command, b" ", sub.literal()?].concat(), rest)
        }
        _ => (command.to_vec(), own),
    };
    let known = |table: &[(&'static str, &'static str)]| {
        table.iter().find(|(known, _)| known.as_bytes() == tool).copied()
    };
    if let Some((_, options)) = known(WORDS) {
        return own.iter().all(|word| is_harmless(word, options)).then(|| Names::one(ORDINARY));
    }
    let (tool, options) = known(LISTS)?;
    listed(values, tool, options, own, (depth, number))
}

/// An option of those given, or a word in which nothing could be a path or an option.
fn is_harmless(word: &Word, options: &str) -> bool {
    let Some(text) = word.literal() else { return false };
    let is_option = options.split(' ').any(|option| option.as_bytes() == text);
    let tame = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'%' | b':' | b' ')
    };
    is_option
        || (!text.starts_with(b"-")
            && !text.starts_with(b"+-")
            && !text.starts_with(b".")
            && text.iter().all(tame)
            && !text.windows(2).any(|pair| pair == b"%D"))
}

fn is_line_end(text: &[u8]) -> bool {
    matches!(text, b"\\n" | b"\\0" | b" " | b"\n")
}

/// Whether the words of a filter are options of these letters, their numbers, and so many operands.
fn filters(words: &[&[u8]], letters: &str, operands: usize) -> bool {
    let of = |word: &[u8]| word.iter().skip(1).all(|byte| letters.as_bytes().contains(byte));
    let number = |word: &[u8]| {
        word.iter().all(|byte| byte.is_ascii_digit() || *byte == b'+') && letters.contains('0')
    };
    let plain = words.iter().filter(|word| !word.starts_with(b"-") && !number(word)).count();
    words.iter().filter(|word| word.starts_with(b"-")).all(|word| of(word)) && plain == operands
}

/// Whether what the command prints may end without a newline.
fn goes_on(simple: &Simple) -> bool {
    let first = simple.words.get(1).and_then(Word::literal);
    match simple.name() {
        b"printf" => !matches!(first, Some(b"%s\\n" | b"%s\\0")),
        b"echo" => first.is_none_or(|text| text.starts_with(b"-")),
        b"tr" | b"head" | b"tail" => true,
        _ => false,
    }
}

/// `echo` and `printf '%s\n'`: their operands.
fn echoed(
    values: &Values<'_>,
    command: &[u8],
    own: &[Word],
    (depth, here): (usize, usize),
) -> Option<Names> {
    let first = own.first().and_then(Word::literal);
    let joins = command == b"printf" && first == Some(b"%s");
    let own = match (command, first) {
        (b"printf", Some(b"%s\\n" | b"%s\\0")) => own.get(1..)?,
        // Of several, one word is made.
        (b"printf", Some(b"%s")) if own.len() == 2 => own.get(1..)?,
        (b"printf", _) => return None,
        (_, Some(b"-n")) => own.get(1..)?,
        _ => own,
    };
    let mut all = Names::default();
    for word in own {
        let names = values.names(word, true, depth + 1, here)?;
        if names.texts.iter().any(|text| text.starts_with(b"-") || text.contains(&b'\\')) {
            return None;
        }
        if joins && !names.single {
            return None;
        }
        all.texts.extend(names.texts);
    }
    all.single = true;
    (!all.texts.is_empty() && all.texts.len() <= MAX_TEXTS).then_some(all)
}

/// Commands that make a path of a path.
fn derived(
    values: &Values<'_>,
    command: &[u8],
    own: &[Word],
    (depth, here): (usize, usize),
) -> Option<Names> {
    let own = match (command, own.first().and_then(Word::literal)) {
        (b"readlink", Some(b"-f" | b"-e" | b"-m")) | (b"realpath", Some(b"-e" | b"-m" | b"-s")) => {
            own.get(1..)?
        }
        (b"readlink", _) => return None,
        _ => own,
    };
    let (word, rest) = own.split_first()?;
    // A suffix that is taken off leaves a name.
    if !rest.is_empty() && command != b"basename" {
        return None;
    }
    let found = values.names(word, true, depth + 1, here)?;
    let mut all = Names { texts: Vec::new(), single: true };
    for text in found.texts {
        let slash = text.iter().rposition(|byte| *byte == b'/');
        let behind = slash.and_then(|at| text.get(at + 1..)).unwrap_or(&text);
        let deep = behind.windows(2).any(|pair| pair == DEEP);
        if text.last() == Some(&b'/') || text.starts_with(b"-") {
            return None;
        }
        match command {
            b"basename" if rest.is_empty() && !deep => all.texts.push(behind.to_vec()),
            b"basename" => all.texts.push(FLAT.to_vec()),
            b"dirname" => {
                match slash {
                    Some(0) => all.texts.push(b"/".to_vec()),
                    Some(at) => all.texts.push(text[..at].to_vec()),
                    None => all.texts.push(b".".to_vec()),
                }
                if deep {
                    let head = text.windows(2).rposition(|pair| pair == DEEP)?;
                    all.texts.push([&text[..head], DEEP].concat());
                }
                if text == ORDINARY {
                    all.texts.extend(ordinary(true, false).texts);
                }
            }
            _ => all.texts.push(text),
        }
    }
    Some(all)
}

/// `find`: the places where it looks, and what lies below.
fn searched(values: &Values<'_>, own: &[Word], (depth, here): (usize, usize)) -> Option<Names> {
    let begins = |word: &Word| {
        word.literal()
            .is_some_and(|text| text.starts_with(b"-") || matches!(text, b"(" | b"!" | b")"))
    };
    let from = own.iter().position(begins).unwrap_or(own.len());
    let (places, tests) = own.split_at_checked(from)?;
    for word in tests {
        match word.literal() {
            Some(text) if text.starts_with(b"-") && text.len() > 1 => {
                let number = text.get(1..)?.iter().all(u8::is_ascii_digit);
                let size = text.get(1)?.is_ascii_digit();
                let known = FIND_TAKES.iter().any(|known| known.as_bytes() == text);
                if !(known || number || size) {
                    return None;
                }
            }
            Some(_) => {}
            // A test's value; one that may be another option is not known.
            None => {
                let word = values.names(word, true, depth + 1, here)?;
                if !word.single || word.texts.iter().any(|text| text.starts_with(b"-")) {
                    return None;
                }
            }
        }
    }
    below(values, places, (depth, here))
}

/// The places, and what lies below them.
fn below(values: &Values<'_>, places: &[Word], (depth, here): (usize, usize)) -> Option<Names> {
    let mut all = Names { texts: Vec::new(), single: false };
    if places.is_empty() {
        all.texts.push([b"./", DEEP].concat());
    }
    for place in places {
        for text in values.names(place, true, depth + 1, here)?.texts {
            if text.is_empty() || text.starts_with(b"-") {
                return None;
            }
            // A pattern that the command looks up itself.
            if let Some(at) = text.iter().position(|byte| b"*?[".contains(byte)) {
                all.texts.push([&text[..at], DEEP].concat());
                continue;
            }
            let slash: &[u8] = if text.ends_with(b"/") { b"" } else { b"/" };
            all.texts.push([text.as_slice(), slash, DEEP].concat());
            all.texts.push(text);
        }
    }
    (all.texts.len() <= MAX_TEXTS).then_some(all)
}

/// A command that lists files: its operands, what is below them, and names of here.
fn listed(
    values: &Values<'_>,
    tool: &str,
    options: &str,
    own: &[Word],
    (depth, here): (usize, usize),
) -> Option<Names> {
    let mut operands = Vec::new();
    let mut given = false;
    let mut lists = LIST_ONLY_WITH.iter().all(|(known, _)| *known != tool);
    for word in own {
        let text = word.literal();
        let Some(text) = text.filter(|text| text.starts_with(b"-") && text.len() > 1) else {
            operands.push(word.clone());
            continue;
        };
        let end = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
        let option = &text[..end];
        if option != b"--" && !options.split(' ').any(|known| known.as_bytes() == option) {
            return None;
        }
        given |= option == b"-e";
        let with = LIST_ONLY_WITH.iter().find(|(known, _)| *known == tool);
        lists |= with.is_some_and(|(_, with)| {
            with.iter().any(|with| {
                let letter = with.len() == 1 && !option.starts_with(b"--");
                (letter && option.contains(&with.as_bytes()[0])) || with.as_bytes() == option
            })
        });
    }
    if !lists {
        return None;
    }
    let mut all = below(values, &operands, (depth, here))?;
    // Names of here stand without a place before them; `grep` that is told places names none of here.
    if !(tool == "grep" && operands.len() > 1 && !given) {
        all.texts.push(DEEP.to_vec());
    }
    Some(all)
}
