//! What the client and the warden are told of a run.

use alloc::vec::Vec;

use clawrden_protocol::ToClient;
use clawrden_protocol::runner::FromRunner;

use super::{NEVER, Supervisor};
use crate::runner::Failure;
use crate::runner::client::Client;
use crate::socket::send_all;
use crate::sys::{now_ms, process};

impl Supervisor<'_> {
    /// Tells the client that its terminal has been looked at, may be made raw, and is read by the tool.
    pub(super) fn tell_keyboard(&mut self) {
        if let Some(client) = &mut self.client {
            client.outbox.put(|out| ToClient::Stdout(&[]).encode(out));
        }
    }

    /// Tells both sides how it ended, once that is known.
    pub(super) fn progress(&mut self) {
        if let Some(failure) = self.failed.take() {
            // What was asked of us explains a start that failed meanwhile better than the failure does.
            let asked = self.ending.as_mut().and_then(|ending| ending.tell.take());
            let Failure { code, text } = asked.unwrap_or(failure);
            self.tell_client(|client| client.tell_failure(code, &text));
            self.tell_warden(Some(&FromRunner::Failed { code, text }));
            self.told_warden = true;
        }
        if !self.told_client && self.is_over() {
            // Who waits for the command's end comes before who writes it down, mostly.
            if self.warden_first {
                self.tell_finished();
            }
            match (self.ending.as_mut().and_then(|ending| ending.tell.take()), self.ended) {
                (Some(Failure { code, text }), _) => {
                    self.tell_client(|client| client.tell_failure(code, &text));
                }
                (None, Some(status)) => self.tell_client(|client| client.tell_end(status)),
                (None, None) => self.tell_client(|_| ()),
            }
        }
        self.close_client_when_told();
        if self.told_client {
            self.tell_finished();
        }
        if self.start_told_at != NEVER && self.start_told_at <= now_ms() {
            self.tell_warden(None);
        }
    }

    /// Tells the warden how the tool ended, once.
    fn tell_finished(&mut self) {
        if let (false, Some(status)) = (self.told_warden, self.ended) {
            let (bytes_out, cancelled) = (self.carry.bytes_out, self.cancelled);
            self.tell_warden(Some(&FromRunner::Finished { status, bytes_out, cancelled }));
            self.told_warden = true;
        }
    }

    /// Whether the client can be told: the tool, or by our doing the tree, has ended and its output was carried.
    fn is_over(&self) -> bool {
        let carried = self.client.is_none() || self.carry.is_drained();
        match &self.ending {
            None => self.ended.is_some() && carried,
            Some(ending) => self.childless && carried || now_ms() >= ending.tell_at,
        }
    }

    fn tell_client(&mut self, tell: impl FnOnce(&mut Client)) {
        if let Some(client) = &mut self.client {
            tell(client);
        }
        self.told_client = true;
    }

    /// Tells the warden something, but first that the tool has started, if that is still to come. Whether it is there.
    fn tell_warden(&mut self, message: Option<&FromRunner>) -> bool {
        let mut told = Vec::new();
        if self.start_told_at != NEVER {
            self.start_told_at = NEVER;
            FromRunner::Started(self.main.as_raw_nonzero().get().unsigned_abs()).encode(&mut told);
        }
        if let Some(message) = message {
            message.encode(&mut told);
        }
        // One that has gone is noticed by its silence as well.
        self.warden.is_some_and(|warden| send_all(warden, &told).is_ok())
    }

    fn close_client_when_told(&mut self) {
        if let (true, Some(client)) = (self.told_client, &mut self.client)
            && (!client.send() || client.outbox.is_empty())
        {
            self.client = None;
            // The kernel tends to keep whom we wake waiting for our own processor, in case that we sleep soon.
            rustix::thread::sched_yield();
        }
    }

    /// Says that there is nothing left, or ends: what had to be ended may have left something that cannot be.
    pub(super) fn rest(mut self) {
        if self.ending.is_some() || !self.tell_warden(Some(&FromRunner::Idle)) {
            // The warden notices that its runner has gone.
            process::exit(0)
        }
        // What it holds goes with this turn.
        core::mem::forget(self);
    }
}
