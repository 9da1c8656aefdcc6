//! `clawrden wait`: tells what came of a request of this jail and user. It runs nothing.

use std::time::Duration;

use clawrden_protocol::WaitRequest;
use clawrden_protocol::limits::EXIT_UNREACHABLE;

use crate::approvals::{Now, Standing, Told};
use crate::caller::Caller;
use crate::intercom::Reply;
use crate::jails::Jail;
use crate::warden::Warden;

/// Exit code of `clawrden wait` for a request that is not known.
const EXIT_UNKNOWN: u8 = 1;

/// Serves one connection that waits.
pub(crate) async fn serve(
    warden: &Warden,
    jail: &Jail,
    caller: &Caller,
    request: &WaitRequest,
    mut reply: Reply,
) {
    let told = match caller.uid {
        Some(uid) => follow(warden, jail, uid, &request.wait, &mut reply).await,
        None => reply.fail(EXIT_UNREACHABLE, "your user is not known here").await,
    };
    if let Err(error) = told {
        tracing::debug!(%error, "a client that waited has gone");
    }
}

async fn follow(
    warden: &Warden,
    jail: &Jail,
    uid: u32,
    wanted: &str,
    reply: &mut Reply,
) -> std::io::Result<()> {
    let mut watch = match warden.approvals.wait(jail.name.as_str(), uid, wanted, Now::read()) {
        Ok(watch) => watch,
        Err(Standing::Answered(told)) => {
            reply.pending().await?;
            return tell(reply, &told).await;
        }
        Err(standing) => return reply.fail(EXIT_UNKNOWN, &unknown(wanted, &standing)).await,
    };
    reply.pending().await?;
    let hold = jail.policy().hold(jail.name.as_str());
    tokio::select! {
        told = watch.told() => tell(reply, &told).await,
        _ = reply.interrupted() => Ok(()),
        () = at_most(hold) => {
            let text = format!("still waiting for approval {}; nothing ran", watch.short);
            reply.still_waiting(&text).await
        }
    }
}

async fn tell(reply: &mut Reply, told: &Told) -> std::io::Result<()> {
    match told {
        Told::Approved { by, kept_until_ms: Some(_) } => {
            reply.done(&format!("approved by {by}: repeat the same command to run it")).await
        }
        Told::Approved { by, kept_until_ms: None } => {
            reply.done(&format!("approved by {by}, and the approval was used")).await
        }
        Told::Denied { by, reason } => reply.deny("", &said_no(by, reason.as_deref())).await,
        Told::Expired => reply.deny("", "nobody answered in time").await,
    }
}

fn unknown(wanted: &str, standing: &Standing) -> String {
    match standing {
        Standing::Ambiguous(count) => {
            format!("{wanted} fits {count} requests; give more of its digits")
        }
        Standing::TooManyWatchers => format!("too many wait for {wanted} already"),
        _ => format!("no request {wanted} of this user waits in this jail"),
    }
}

/// A person's denial, for the agent.
pub(crate) fn said_no(who: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{reason} (says {who})"),
        None => format!("{who} said no"),
    }
}

/// Resolves after `patience`; never without one.
pub(crate) async fn at_most(patience: Option<Duration>) {
    match patience {
        Some(patience) => tokio::time::sleep(patience).await,
        None => std::future::pending().await,
    }
}
