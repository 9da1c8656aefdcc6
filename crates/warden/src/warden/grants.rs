//! What people are told of kept approvals, and taking one back.

use clawrden_api::{ErrorBody, ErrorCode, GrantList, RevokeReport, RevokeRequest};

use super::control::{Control, answer_error};
use super::refused;
use crate::approvals::Now;
use crate::control::{Actor, Grants};
use crate::ledger::{GrantRevoked, Record};

impl Grants for Control {
    fn grants(&self) -> Result<GrantList, ErrorBody> {
        self.0.expire();
        Ok(GrantList { entries: self.0.approvals.grants(Now::read()) })
    }

    fn revoke(
        &self,
        actor: &Actor,
        id: &str,
        request: RevokeRequest,
    ) -> Result<RevokeReport, ErrorBody> {
        let warden = &self.0;
        let record = |id, entry| {
            let revoked = Record::GrantRevoked(GrantRevoked {
                id,
                entry,
                by: actor.who.clone(),
                channel: actor.channel.to_owned(),
                from: actor.from.clone(),
                reason: request.reason.clone().filter(|reason| !reason.is_empty()),
            });
            warden.record(&[revoked]);
        };
        match warden.approvals.revoke(id, record).map_err(answer_error)? {
            Some(entry) => Ok(RevokeReport { id: entry.to_string() }),
            None => Err(refused(
                ErrorCode::NotFound,
                format!("no grant {id:?} is kept; `clawrden grants` lists those that are"),
            )),
        }
    }
}
