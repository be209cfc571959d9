//! What the nodes of one table have in common: what is to be done, and what is known of its keys while it is.

use crate::refresh::compare::SharedLedger;
use crate::refresh::table::Request;

/// A refresh of a table.
#[derive(Debug)]
pub(super) struct Run {
    /// What is to be done.
    pub(super) request: Request,
    /// What is known of the table's keys, from the time that it is locked.
    pub(super) ledger: SharedLedger,
}
