//! Names: what the first word of a command makes of the others where the shell itself runs it.
//! A name that only the shell will know, and what runs words as a script, are looked into or doubted, never passed over.

use super::found::Function;
use super::reader::Reader;
use super::token::Token;
use super::words::is_name;
use super::{Dialect, Result, Simple, Word};

/// What the shells run themselves and what matters here: a function of such a name changes what is read here.
const BUILTINS: [&[u8]; 40] = [
    b".",
    b":",
    b"[",
    b"alias",
    b"autoload",
    b"bind",
    b"builtin",
    b"cd",
    b"chdir",
    b"command",
    b"compgen",
    b"complete",
    b"declare",
    b"emulate",
    b"enable",
    b"eval",
    b"exec",
    b"exit",
    b"export",
    b"fc",
    b"getopts",
    b"hash",
    b"let",
    b"local",
    b"mapfile",
    b"popd",
    b"printf",
    b"pushd",
    b"read",
    b"readarray",
    b"readonly",
    b"return",
    b"set",
    b"setopt",
    b"shopt",
    b"source",
    b"test",
    b"trap",
    b"typeset",
    b"unset",
];

/// Variables that the shell itself runs, or looks commands up in.
const RUN_BY_THE_SHELL: [&[u8]; 13] = [
    b"PS0",
    b"PS1",
    b"PS2",
    b"PS4",
    b"PROMPT_COMMAND",
    b"BASH_ALIASES",
    b"BASH_CMDS",
    b"aliases",
    b"galiases",
    b"functions",
    b"commands",
    b"TEXTDOMAIN",
    b"NULLCMD",
];

pub(super) fn is_builtin(name: &[u8]) -> bool {
    BUILTINS.contains(&name)
}

/// Whether what follows these words may be assignments.
pub(super) fn take_assignments(words: &[Word]) -> bool {
    let passes = |word: &Word| {
        word.literal()
            .is_some_and(|text| matches!(text, b"command" | b"builtin") || text.starts_with(b"-"))
    };
    match words.split_last() {
        Some((last, before)) => last.literal().is_some_and(declares) && before.iter().all(passes),
        None => false,
    }
}

/// Whether the operands of a builtin may be assignments.
fn declares(name: &[u8]) -> bool {
    matches!(
        name,
        b"export" | b"readonly" | b"declare" | b"typeset" | b"local" | b"integer" | b"float"
    )
}

/// What becomes of a command once its name is known.
enum Next {
    /// What is left of it is a command.
    Again,
    /// It is one as it stands.
    Keep,
    /// It only ran what was found in it.
    Gone,
}

impl Reader<'_, '_> {
    /// Takes a command that was read whole.
    pub(super) fn found_command(&mut self, mut simple: Simple, at: usize) -> Result<()> {
        for (name, _) in &simple.assignments {
            if RUN_BY_THE_SHELL.contains(&name.as_slice()) {
                self.found.doubt(at, "a variable is set that the shell runs");
            }
        }
        let mut functions = true;
        loop {
            match self.named(&mut simple, functions, at)? {
                Next::Again => functions = false,
                Next::Keep => {
                    self.found.push(simple, at)?;
                    self.found.simple = self.found.commands.len().checked_sub(1);
                    return Ok(());
                }
                Next::Gone => {
                    self.found.simple = None;
                    simple.words.clear();
                    if simple.assignments.is_empty() && simple.redirects.is_empty() {
                        return Ok(());
                    }
                    return self.found.push(simple, at);
                }
            }
        }
    }

    fn named(&mut self, simple: &mut Simple, functions: bool, at: usize) -> Result<Next> {
        let Some(first) = simple.words.first() else { return Ok(Next::Keep) };
        let Some(name) = first.literal().map(<[u8]>::to_vec) else {
            self.found.doubt(at, "the name of a command is not known");
            self.found.push(simple.clone(), at)?;
            self.found.moved();
            self.found.functions_may_go();
            // It was pushed before it moved; nothing of it is left.
            *simple = Simple::default();
            return Ok(Next::Gone);
        };
        let name = name.as_slice();
        if functions {
            match self.found.function(name) {
                Function::No => {}
                Function::Surely if !is_builtin(name) => {
                    if !simple.assignments.is_empty() {
                        self.found.doubt(at, "a variable is set for a function");
                    }
                    return Ok(Next::Gone);
                }
                Function::Surely | Function::Perhaps => {
                    self.found.doubt(at, "a function may stand for a command");
                }
            }
        }
        if (name.first() == Some(&b'!') && name.len() > 1) || name.first() == Some(&b'^') {
            self.found.doubt(at, "a name that the history may replace");
        }
        match name {
            b"command" => return Ok(passes(simple, b"p", b"")),
            b"exec" => return Ok(passes(simple, b"cl", b"a")),
            b"builtin" => return Ok(passes(simple, b"", b"")),
            b"noglob" | b"nocorrect" | b"-" if self.dialect() == Dialect::Zsh => {
                return Ok(passes(simple, b"", b""));
            }
            b"eval" => return self.evaluated(simple, at),
            b"trap" => return self.trapped(simple, at),
            _ => {}
        }
        self.effects(name, simple, at);
        if matches!(name, b"cd" | b"chdir" | b"pushd" | b"popd" | b"source" | b".") {
            // The command itself still has the directory that it leaves.
            self.found.push(std::mem::take(simple), at)?;
            self.found.moved();
            return Ok(Next::Gone);
        }
        Ok(Next::Keep)
    }

    /// What builtins do to how the rest of the line is read.
    fn effects(&mut self, name: &[u8], simple: &mut Simple, at: usize) {
        let operands = simple.words.get(1..).unwrap_or_default();
        let unknown = operands.iter().any(|word| word.literal().is_none());
        let any =
            |test: &dyn Fn(&[u8]) -> bool| operands.iter().filter_map(Word::literal).any(test);
        let option = |letters: &'static [u8]| {
            any(&|word| {
                let signed = matches!(word.first(), Some(b'-' | b'+'));
                signed && word.iter().skip(1).any(|byte| letters.contains(byte))
            })
        };
        let why = match name {
            b"source" | b"." => Some("a file is run as a script"),
            b"alias" if unknown || any(&|word| word.contains(&b'=')) => Some("an alias is defined"),
            b"enable" | b"bind" | b"complete" | b"compgen" | b"fc" | b"emulate" | b"zmodload"
            | b"autoload" | b"zle" | b"sched" | b"setopt" | b"unsetopt" | b"repeat"
            | b"foreach" | b"disable" | b"functions" | b"zsh-mime-setup"
                if !operands.is_empty() =>
            {
                Some("a builtin that may change what is run")
            }
            b"hash" if unknown || option(b"p") || any(&|word| word.contains(&b'=')) => {
                Some("a path is given to a name")
            }
            b"mapfile" | b"readarray" if unknown || option(b"C") => {
                Some("a builtin runs its operand")
            }
            b"set"
                if option(b"Hk")
                    || any(&|word| word.starts_with(b"hist") || word == b"keyword") =>
            {
                Some("an option that changes how the line is read")
            }
            b"set" if any(&|word| word.starts_with(b"+") && word.contains(&b'B')) => {
                Some("an option that changes how the line is read")
            }
            b"shopt" if unknown || any(&|word| matches!(word, b"expand_aliases" | b"extdebug")) => {
                Some("an option that changes how the line is read")
            }
            name if declares(name) && operands.iter().any(name_is_unknown) => {
                Some("a variable is set that is not known")
            }
            name if declares(name) && name != b"export" && option(b"n") => {
                Some("a name that stands for another variable")
            }
            b"read" | b"getopts" | b"mapfile" | b"readarray" | b"printf"
                if sets_unknown(name, operands) =>
            {
                Some("a variable is set that is not known")
            }
            _ => None,
        };
        if let Some(why) = why {
            self.found.doubt(at, why);
        }
        if matches!(name, b"unset" | b"source" | b".") {
            self.found.functions_may_go();
        }
        let evaluates = matches!(name, b"let" | b"unset" | b"read" | b"mapfile" | b"readarray")
            || (declares(name) && option(b"in"))
            || (matches!(name, b"test" | b"[" | b"printf" | b"wait") && option(b"vRp"));
        if evaluates {
            self.found.evaluate(at);
        }
        let sets: Vec<_> = match name {
            b"read" | b"mapfile" | b"readarray" | b"getopts" | b"unset" => {
                operands.iter().collect()
            }
            b"printf" => {
                let option = operands.iter().position(|word| word.literal() == Some(b"-v"));
                option.and_then(|option| operands.get(option + 1)).into_iter().collect()
            }
            _ => Vec::new(),
        };
        let names = sets.into_iter().filter_map(Word::literal).filter_map(named_variable);
        let set: Vec<_> = names.map(|name| (name.to_vec(), Word::unknown())).collect();
        let quoted = if declares(name) { quoted_assignments(simple) } else { Vec::new() };
        simple.assignments.extend(set);
        simple.assignments.extend(quoted);
    }

    /// `eval`: its operands joined are a script, where all of them are known.
    fn evaluated(&mut self, simple: &mut Simple, at: usize) -> Result<Next> {
        let mut operands = simple.words.get(1..).unwrap_or_default();
        if operands.first().and_then(Word::literal) == Some(b"--") {
            operands = operands.get(1..).unwrap_or_default();
        }
        let known: Option<Vec<&[u8]>> = operands.iter().map(Word::literal).collect();
        let Some(known) = known else {
            self.found.doubt(at, "`eval` runs what is not known");
            self.found.functions_may_go();
            self.found.push(std::mem::take(simple), at)?;
            self.found.moved();
            return Ok(Next::Gone);
        };
        let (script, from) = (known.join(&b' '), self.found.commands.len());
        self.inner(&script).script(false)?;
        self.found.sets(from, &simple.assignments);
        Ok(Next::Gone)
    }

    /// `trap`: the first operand is a script that runs later.
    fn trapped(&mut self, simple: &mut Simple, at: usize) -> Result<Next> {
        let mut operands = simple.words.get(1..).unwrap_or_default();
        match operands.first().map(Word::literal) {
            Some(Some(b"--")) => operands = operands.get(1..).unwrap_or_default(),
            // It only prints.
            Some(Some(b"-l" | b"-p")) => return Ok(Next::Keep),
            _ => {}
        }
        let [action, signals @ ..] = operands else { return Ok(Next::Keep) };
        let Some(action) =
            action.literal().filter(|_| operands.iter().all(|word| !word.may_be_many))
        else {
            self.found.doubt(at, "`trap` runs what is not known");
            return Ok(Next::Keep);
        };
        if signals.is_empty() || matches!(action, b"" | b"-") {
            return Ok(Next::Keep);
        }
        let (mark, script) = (self.found.mark(), action.to_vec());
        self.inner(&script).script(false)?;
        self.found.runs_later(mark);
        Ok(Next::Gone)
    }
}

/// Takes off a word that only passes on, with its options: letters of `plain`, and of `valued` which take a value.
/// With another option it runs nothing (`command -v`) or is not understood, and stays.
fn passes(simple: &mut Simple, plain: &[u8], valued: &[u8]) -> Next {
    let mut at = 1;
    while let Some(word) = simple.words.get(at) {
        // An option may be in what is not known; then so is the name.
        let Some(text) = word.literal() else { break };
        if text == b"--" {
            at += 1;
            break;
        }
        let Some((b'-', letters)) = text.split_first() else { break };
        if letters.is_empty() {
            break;
        }
        at += 1;
        for (index, letter) in letters.iter().enumerate() {
            if valued.contains(letter) {
                // A value that may be no word at all leaves the next one in its place: the name is not known then.
                let next = simple.words.get(at).filter(|word| !word.may_be_many);
                at += usize::from(index + 1 == letters.len() && next.is_some());
                break;
            }
            if !plain.contains(letter) {
                return Next::Keep;
            }
        }
    }
    simple.words.drain(..at.min(simple.words.len()));
    if simple.words.is_empty() { Next::Gone } else { Next::Again }
}

/// Assignments among the operands of a builtin that the parser did not take for some, because a part of
/// them was quoted, or came from braces.
fn quoted_assignments(simple: &Simple) -> Vec<(Vec<u8>, Word)> {
    let mut taken: Vec<&[u8]> =
        simple.assignments.iter().map(|(name, _)| name.as_slice()).collect();
    let mut all = Vec::new();
    for word in simple.words.iter().skip(1) {
        let Some(Some(text)) = word.parts.first() else { continue };
        let Some(end) = text.iter().position(|byte| b"=+[".contains(byte)) else { continue };
        let Some(name) = text.get(..end).filter(|name| is_variable(name)) else { continue };
        if let Some(at) = taken.iter().position(|known| *known == name) {
            taken.swap_remove(at);
            continue;
        }
        let value = word.literal().and_then(|text| text.get(end..)?.strip_prefix(b"="));
        let value =
            value.map(|value| Word { parts: vec![Some(value.to_vec())], ..Word::default() });
        all.push((name.to_vec(), value.unwrap_or_else(Word::unknown)));
    }
    all
}

/// The variable that an operand names, which may be an element of an array, or stand behind `-a`.
fn named_variable(word: &[u8]) -> Option<&[u8]> {
    let name = match word.split_first() {
        Some((b'-', letters)) => {
            let behind = letters.iter().position(|letter| *letter == b'a')?;
            letters.get(behind + 1..)?
        }
        _ => word,
    };
    let end = name.iter().position(|byte| *byte == b'[').unwrap_or(name.len());
    name.get(..end).filter(|name| is_variable(name))
}

/// Whether a word that is not known may be the name of a variable: what stands behind an option that
/// takes a value is not.
fn may_name(operands: &[Word]) -> bool {
    operands.iter().enumerate().any(|(at, word)| {
        let before = at.checked_sub(1).and_then(|before| operands.get(before));
        let valued = before.and_then(Word::literal).is_some_and(|text| {
            text.first() == Some(&b'-') && text.last().is_some_and(|last| b"dinNptu".contains(last))
        });
        word.literal().is_none() && (!valued || word.may_be_many)
    })
}

fn is_variable(name: &[u8]) -> bool {
    let tokens: Vec<Token> = name.iter().map(|byte| Token::Bare(*byte)).collect();
    is_name(&tokens)
}

/// Whether a builtin that is given names of variables is given one that is not known.
fn sets_unknown(name: &[u8], operands: &[Word]) -> bool {
    if matches!(name, b"read" | b"getopts") {
        return may_name(operands);
    }
    let before = |at: usize| operands.get(at.checked_sub(1)?).and_then(Word::literal);
    let is_name = |at: usize| match before(at) {
        Some(b"-v") => true,
        // The value of an option is none: `mapfile -n "$count" lines`.
        Some([b'-', .., last]) => name != b"printf" && !b"CNOcdnstu".contains(last),
        _ => name != b"printf",
    };
    operands.iter().enumerate().any(|(at, word)| word.literal().is_none() && is_name(at))
}

/// Whether it may assign to any variable: no name stands before what is not known.
fn name_is_unknown(word: &Word) -> bool {
    word.literal().is_none()
        && !matches!(word.parts.first(), Some(Some(text)) if text.contains(&b'='))
}
