//! Both sides before there is a child: what the runner cannot do then ends it, and both are told.

use alloc::vec::Vec;

use clawrden_protocol::runner::FromRunner;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::client::Client;
use super::{Failure, cannot};
use crate::socket::send_all;
use crate::sys::process;

/// Both sides before there is a child.
pub(super) struct Beginning<'a> {
    warden: &'a OwnedFd,
    pub(super) client: Client,
}

impl<'a> Beginning<'a> {
    pub(super) fn new(warden: &'a OwnedFd, client: Client) -> Self {
        Self { warden, client }
    }

    /// The client, once the child is there.
    pub(super) fn into_client(self) -> Client {
        self.client
    }

    /// What was got, or the end of it all: both sides are told what the runner could not do.
    pub(super) fn need<T>(&mut self, what: &str, got: Result<T, Errno>) -> T {
        match got {
            Ok(got) => got,
            Err(error) => self.fail(&cannot(what, error)),
        }
    }

    fn fail(&mut self, failure: &Failure) -> ! {
        let Failure { code, ref text } = *failure;
        self.client.tell_failure(code, text);
        self.client.send();
        let mut told = Vec::new();
        FromRunner::Failed { code, text: text.clone() }.encode(&mut told);
        let _ = send_all(self.warden, &told);
        process::exit(0)
    }
}
