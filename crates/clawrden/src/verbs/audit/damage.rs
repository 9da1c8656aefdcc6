//! What is wrong with a ledger, as an exit code and in words, whoever looked.

use clawrden_api::LedgerDamage;

use crate::failure::REFUSED;

/// Exit code: the ledger cannot be read.
pub(super) const UNREADABLE: u8 = 6;

/// The exit code of a ledger that is damaged so.
pub(super) fn code(damage: LedgerDamage) -> u8 {
    match damage {
        LedgerDamage::Torn => 4,
        LedgerDamage::CutOff => 5,
        _ => REFUSED,
    }
}

/// The same in words.
pub(super) fn what(damage: LedgerDamage) -> &'static str {
    match damage {
        LedgerDamage::Torn => "the ledger has a torn end",
        LedgerDamage::CutOff => "the ledger was cut off",
        _ => "the ledger does not hold",
    }
}
