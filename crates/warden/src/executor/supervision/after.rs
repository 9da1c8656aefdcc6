//! A supervised run whose tool has ended: what that has left behind, and a client that has not read all of it yet.

use std::time::Duration;

use clawrden_protocol::limits::EXIT_UNREACHABLE;
use clawrden_protocol::runner::FromRunner;

use super::{HURRY, Supervision, at};
use crate::engine::Engine;
use crate::executor::pool::Pool;
use crate::process::Identity;
use crate::process::cgroup::Leaf;
use crate::process::tree::descendants;
use crate::recording::Relay;
use crate::running::Run;

/// How long what a tool has left behind may go on by itself where it is to be ended.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// How often whether it left anything may not be told, before it counts as if it did.
const UNTOLD: u32 = 3;

/// Whether anything of a tool runs on below its runner, which its container holds besides where it cannot be seen; `None`
/// when nobody tells.
async fn is_left(runner: Option<u32>, container: Option<(Engine, String)>) -> Option<bool> {
    if let Some(pid) = runner {
        return Some(Identity::of(pid).and_then(descendants).is_ok_and(|left| !left.is_empty()));
    }
    let Some((engine, id)) = container else { return Some(false) };
    // The runner is one of them.
    engine.count_processes(&id).await.ok().map(|count| count > 1)
}

impl Supervision {
    /// Until its last process has ended, and what recorded it: daemons that it left stay within reach, and so does a
    /// client that takes its time.
    pub(in crate::executor) async fn linger(mut self, pool: &Pool) {
        // Who was given nothing has nothing to say.
        while self.is_given {
            tokio::select! {
                biased;
                message = self.runner.next() => match message {
                    Ok(Some(FromRunner::Idle)) if self.is_reusable() => {
                        // What the runner starts next is another command's.
                        self.run.bequeaths_no_more();
                        if let Some(idle) = self.runner.into_idle() {
                            pool.give_back(idle);
                        }
                        return served(self.relay, &mut self.run, self.is_ordered_to_end).await;
                    }
                    // It goes once nobody talks to it, and its limits with it.
                    Ok(Some(FromRunner::Idle)) if self.bounded.is_some() => break,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                },
                order = self.run.order() => self.obey(order).await,
            }
        }
        // A runner that was killed leaves what it held together; its cgroup does not.
        let leaf = self.runner.leaf().cloned();
        self.runner.reap().await;
        let swept = tokio::task::spawn_blocking(move || {
            leaf.and_then(|leaf| leaf.with_what_is_there(Leaf::kill))
        })
        .await;
        if let Ok(Some(Err(error))) = swept {
            tracing::warn!(%error, id = %self.id, "what a runner left could not be ended");
        }
        served(self.relay, &mut self.run, self.is_ordered_to_end).await;
    }

    /// Until its client has all that was recorded for it, once nothing of it runs.
    pub(in crate::executor) async fn serve(mut self) {
        served(self.relay, &mut self.run, self.is_ordered_to_end).await;
    }

    /// Until its client has taken what is left for it, and nothing of it runs: what the tool has left behind is ended.
    pub(in crate::executor) async fn end_all(&mut self) {
        let mut untold = 0;
        while self.is_given {
            let (runner, container) = (self.runner.pid(), self.container.clone());
            let look = async {
                tokio::time::sleep(LEFT_BEHIND).await;
                is_left(runner, container).await
            };
            tokio::select! {
                biased;
                message = self.runner.next() => match message {
                    Ok(Some(FromRunner::Idle) | None) | Err(_) => return,
                    Ok(Some(_)) => {}
                },
                () = at(self.overdue) => return,
                order = self.run.order() => self.obey(order).await,
                is_left = look => {
                    untold = if is_left.is_none() { untold + 1 } else { 0 };
                    if self.overdue.is_none() && (is_left == Some(true) || untold >= UNTOLD) {
                        self.stop(EXIT_UNREACHABLE, "its command has ended", true).await;
                    }
                }
            }
        }
    }

    fn is_reusable(&self) -> bool {
        self.bounded.is_none() && self.runner.is_reusable()
    }
}

/// Until the client of a recorded run has taken what is left for it. What ends a run lets its client go.
async fn served(relay: Option<Relay>, run: &mut Run, is_ordered_to_end: bool) {
    let Some(mut relay) = relay else { return };
    let give_up = is_ordered_to_end.then(|| tokio::time::Instant::now() + HURRY);
    loop {
        tokio::select! {
            biased;
            () = relay.gone() => return,
            () = at(give_up) => break,
            order = run.order() => if order.ends() { break },
        }
    }
    relay.let_go();
    relay.gone().await;
}
