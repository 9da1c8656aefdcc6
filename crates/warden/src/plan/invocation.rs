//! What was asked, in whichever version of the protocol: name, argv, working directory, environment.

use std::sync::Arc;

use clawrden_protocol::request::Tty;
use clawrden_protocol::{RequestV1, RequestV2};

use super::tool::{Behind, Tool, base_name};
use crate::intercom::{Account, Pass};

/// A command as it was asked for. Bytes, unharmed.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    words: Words,
    /// What the words' memory is accounted to.
    room: Option<Arc<Pass>>,
    /// The tool is looked for behind this one.
    behind: Option<Box<Behind>>,
}

#[derive(Debug, Clone)]
enum Words {
    V1(RequestV1),
    V2(RequestV2),
}

impl Invocation {
    /// What a version 1 client asked.
    pub(crate) fn new_1(request: RequestV1, room: Pass) -> Self {
        Self { words: Words::V1(request), room: Some(Arc::new(room)), behind: None }
    }

    /// What a version 2 client asked.
    pub(crate) fn new_2(request: RequestV2, room: Pass) -> Self {
        Self { words: Words::V2(request), room: Some(Arc::new(room)), behind: None }
    }

    /// The tool: for version 2 the name that the shim was executed by, for version 1 what the client wrote.
    pub(crate) fn name(&self) -> &[u8] {
        match &self.words {
            Words::V1(request) => request.command.as_bytes(),
            Words::V2(request) => base_name(request.exec()),
        }
    }

    /// The argument vector.
    pub(crate) fn argv(&self) -> impl Iterator<Item = &[u8]> {
        let (v1, v2) = match &self.words {
            Words::V1(request) => (Some(request), None),
            Words::V2(request) => (None, Some(request)),
        };
        let first = v1.map(|r| r.command.as_bytes());
        let rest = v1.into_iter().flat_map(|r| r.args.iter().map(String::as_bytes));
        first.into_iter().chain(rest).chain(v2.into_iter().flat_map(RequestV2::argv))
    }

    /// The working directory as the client told it; empty when it could not.
    pub(crate) fn cwd(&self) -> &[u8] {
        match &self.words {
            Words::V1(request) => request.cwd.as_bytes(),
            Words::V2(request) => request.cwd(),
        }
    }

    /// The environment.
    pub(crate) fn env(&self) -> impl Iterator<Item = &[u8]> {
        let (v1, v2) = match &self.words {
            Words::V1(request) => (Some(request), None),
            Words::V2(request) => (None, Some(request)),
        };
        let texts = v1.into_iter().flat_map(|r| r.env.iter().map(String::as_bytes));
        texts.chain(v2.into_iter().flat_map(RequestV2::env))
    }

    pub(crate) fn version_2(&self) -> bool {
        matches!(self.words, Words::V2(_))
    }

    /// What the client calls its request, where it can come back and ask after it.
    pub(crate) fn client(&self) -> Option<[u8; 16]> {
        match &self.words {
            Words::V2(request) if !request.judge => Some(request.id),
            Words::V1(_) | Words::V2(_) => None,
        }
    }

    /// Whether the client only wants to know whether it may.
    pub(crate) fn only_judged(&self) -> bool {
        matches!(&self.words, Words::V2(RequestV2 { judge: true, .. }))
    }

    pub(crate) fn tty(&self) -> Option<Tty> {
        match &self.words {
            Words::V1(_) => None,
            Words::V2(request) => request.tty,
        }
    }

    /// Another tool than this one is meant: the next of its name.
    pub(crate) fn look_behind(&mut self, tool: &Tool) {
        self.behind = Some(Box::new(tool.into()));
    }

    pub(crate) fn behind(&self) -> Option<&Behind> {
        self.behind.as_deref()
    }

    /// Whether there is room to keep the words for as long as a person takes to answer.
    pub(crate) fn may_wait(&self, account: Account) -> bool {
        self.room.as_ref().is_none_or(|room| room.wait(account))
    }

    /// Lets go of arguments and environment, which a request that will be handed off does not need while it waits.
    pub(crate) fn forget_words(&mut self) {
        match &mut self.words {
            Words::V1(request) => {
                request.args = Vec::new();
                request.env = Vec::new();
            }
            Words::V2(request) => request.forget_words(),
        }
        self.room = None;
    }
}
