//! What was found in a line so far, shared by the readers of the line and of the scripts inside it.
//! It holds the bounds, and it forgets only what a reader takes back.

use std::collections::HashMap;
use std::ops::Range;

use super::token::What;
use super::{Dialect, MAX_COMMANDS, MAX_DOUBTS, Script, Simple, Unparsed, Word};

/// Steps that any line may take, and those for each byte of it: a byte that is read is one.
const FUEL: usize = 64 * 1024;
const FUEL_A_BYTE: usize = 6;

/// Different variables of one line that are told apart.
const MAX_NAMES: usize = 64;

/// Steps that a word and a command take beside those of their bytes.
pub(super) const WORD: usize = 5;
const COMMAND: usize = 10;

/// What readers add to.
pub(super) struct Found {
    pub(super) dialect: Dialect,
    pub(super) commands: Vec<Simple>,
    doubts: Vec<Unparsed>,
    /// Steps that may still be taken: backtracking must not make a short line a long work.
    fuel: usize,
    pub(super) depth: usize,
    /// The command that was read last, where it stands for all that was read of a pipeline's part.
    pub(super) simple: Option<usize>,
    /// The command whose output the next one reads.
    pub(super) input: Option<usize>,
    /// Names of variables that words have in them.
    variables: Vec<Vec<u8>>,
    /// Functions of the line; the number is that of `unsets` when one was surely defined.
    functions: HashMap<Vec<u8>, Option<usize>>,
    /// How often functions may have been taken away.
    unsets: usize,
    /// How often the working directory may have been changed.
    moves: usize,
    /// Commands that run later than they stand: bodies of functions and traps.
    later: Vec<Range<usize>>,
    /// Quoted text that would run something if a shell evaluated it.
    /// How many variables were expanded so far whose names speak of secrets.
    pub(super) secrets: usize,
    /// Variables that were set to the value of one that holds a secret.
    tainted: Vec<Vec<u8>>,
    armed: Option<usize>,
    /// Where a shell evaluates the value of a variable as arithmetic or as a subscript.
    evaluates: Option<usize>,
}

/// Whether a name is that of a function of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    No,
    /// In a subshell, under a condition, or perhaps taken away again.
    Perhaps,
    Surely,
}

/// A state to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    commands: usize,
    doubts: usize,
    later: usize,
    moves: usize,
    armed: Option<usize>,
    evaluates: Option<usize>,
}

impl Found {
    pub(super) fn new(dialect: Dialect, length: usize) -> Self {
        Self {
            dialect,
            commands: Vec::new(),
            doubts: Vec::new(),
            fuel: FUEL + FUEL_A_BYTE * length,
            depth: 0,
            simple: None,
            input: None,
            variables: Vec::new(),
            functions: HashMap::new(),
            unsets: 0,
            moves: 0,
            later: Vec::new(),
            secrets: 0,
            tainted: Vec::new(),
            armed: None,
            evaluates: None,
        }
    }

    pub(super) fn finish(mut self) -> Script {
        if self.moves > 0 {
            for range in self.later.clone() {
                self.forget_cwd(range);
            }
        }
        if let (Some(_), Some(at)) = (self.armed, self.evaluates) {
            self.doubt(at, "arithmetic may run what a value names");
        }
        for range in std::mem::take(&mut self.later) {
            self.runs_behind(range, usize::MAX);
        }
        let functions = !self.functions.is_empty();
        Script { commands: self.commands, doubts: self.doubts, functions }
    }

    pub(super) fn spend(&mut self, steps: usize, at: usize) -> Result<(), Unparsed> {
        match self.fuel.checked_sub(steps) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => Err(Unparsed { at, why: "the line is too tangled" }),
        }
    }

    pub(super) fn doubt(&mut self, at: usize, why: &'static str) {
        if self.doubts.len() < MAX_DOUBTS {
            self.doubts.push(Unparsed { at, why });
        }
    }

    pub(super) fn push(&mut self, mut simple: Simple, at: usize) -> Result<(), Unparsed> {
        if self.commands.len() == MAX_COMMANDS {
            return Err(Unparsed { at, why: "the line has too many commands" });
        }
        self.spend(COMMAND, at)?;
        simple.cwd_is_known = self.moves == 0;
        self.commands.push(simple);
        Ok(())
    }

    /// Notes the name of a variable.
    pub(super) fn named(&mut self, name: &[u8]) -> What {
        if let Some(at) = self.variables.iter().position(|known| known == name) {
            return What::Variable(at);
        }
        if self.variables.len() == MAX_NAMES {
            return What::Any;
        }
        self.variables.push(name.to_vec());
        What::Variable(self.variables.len() - 1)
    }

    pub(super) fn name(&self, number: usize) -> Vec<u8> {
        self.variables.get(number).cloned().unwrap_or_default()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            commands: self.commands.len(),
            doubts: self.doubts.len(),
            later: self.later.len(),
            moves: self.moves,
            armed: self.armed,
            evaluates: self.evaluates,
        }
    }

    pub(super) fn back_to(&mut self, mark: Mark) {
        self.commands.truncate(mark.commands);
        self.doubts.truncate(mark.doubts);
        self.later.truncate(mark.later);
        self.moves = mark.moves;
        self.armed = mark.armed;
        self.evaluates = mark.evaluates;
    }

    pub(super) fn moved(&mut self) {
        self.moves += 1;
    }

    /// A loop that began at `mark` is over: what it changed was so for its second round.
    pub(super) fn looped(&mut self, mark: Mark) {
        self.runs_again(mark);
        self.runs_behind(mark.commands..self.commands.len(), self.commands.len());
        if self.moves != mark.moves {
            self.forget_cwd(mark.commands..self.commands.len());
        }
    }

    /// What came since `mark` runs whenever it is called.
    pub(super) fn runs_later(&mut self, mark: Mark) {
        self.runs_again(mark);
        self.later.push(mark.commands..self.commands.len());
    }

    /// What came since `mark` may run after what follows, for whatever reason.
    pub(super) fn runs_again(&mut self, mark: Mark) {
        for command in self.commands.get_mut(mark.commands..).unwrap_or_default() {
            command.again = true;
        }
    }

    fn runs_behind(&mut self, range: Range<usize>, end: usize) {
        for command in self.commands.get_mut(range).unwrap_or_default() {
            command.behind = command.behind.max(end);
        }
    }

    /// What was found since `from` runs with these variables.
    pub(super) fn sets(&mut self, from: usize, assignments: &[(Vec<u8>, Word)]) {
        for command in self.commands.get_mut(from..).unwrap_or_default() {
            command.assignments.splice(0..0, assignments.iter().cloned());
            command.surely = false;
        }
    }

    fn forget_cwd(&mut self, range: Range<usize>) {
        for command in self.commands.get_mut(range).unwrap_or_default() {
            command.cwd_is_known = false;
        }
    }

    pub(super) fn define(&mut self, name: Vec<u8>, surely: bool) {
        let since = surely.then_some(self.unsets);
        let known = self.functions.entry(name).or_default();
        if since.is_some() {
            *known = since;
        }
    }

    pub(super) fn functions_may_go(&mut self) {
        self.unsets += 1;
    }

    pub(super) fn function(&self, name: &[u8]) -> Function {
        match self.functions.get(name) {
            None => Function::No,
            Some(since) if *since == Some(self.unsets) => Function::Surely,
            Some(_) => Function::Perhaps,
        }
    }

    /// Notes that a variable was set to a secret.
    pub(super) fn taint(&mut self, name: &[u8]) {
        if !self.is_tainted(name) && self.tainted.len() < MAX_NAMES {
            self.tainted.push(name.to_vec());
        }
    }

    pub(super) fn is_tainted(&self, name: &[u8]) -> bool {
        self.tainted.iter().any(|known| known == name)
    }

    pub(super) fn arm(&mut self, at: usize) {
        self.armed.get_or_insert(at);
    }

    pub(super) fn evaluate(&mut self, at: usize) {
        self.evaluates.get_or_insert(at);
    }
}
