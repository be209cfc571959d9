//! Which rows of a batch have to be computed.
//!
//! Takes keys and the columns that are compared; gives a mask of the rows that the ledger does not know, and tells it all of
//! them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder};
use arrow::datatypes::DataType;

use super::Result;
use super::digest::{Digests, Keys};
use super::ledger::{Found, Ledger};

/// A ledger that the reader of the source and the writer of the table have in common.
pub(crate) type SharedLedger = Arc<Mutex<Ledger>>;

/// The ledger, for oneself. What a panic left in it is thrown away with the refresh that panicked.
pub(crate) fn lock(ledger: &SharedLedger) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compares rows.
#[derive(Debug)]
pub(crate) struct Comparison {
    keys: Keys,
    digests: Digests,
    ledger: SharedLedger,
}

impl Comparison {
    /// Compares rows of columns of these types, made as `meaning` says, whose key has this name and type.
    ///
    /// # Errors
    /// A type cannot be compared.
    pub(crate) fn new(
        meaning: &str,
        types: &[DataType],
        (name, key): (&str, &DataType),
        ledger: SharedLedger,
    ) -> Result<Self> {
        Ok(Self { keys: Keys::new(name, key)?, digests: Digests::new(meaning, types)?, ledger })
    }

    /// The rows that have to be computed.
    ///
    /// # Errors
    /// A key is NULL, or there twice.
    pub(crate) fn fresh(&self, key: &ArrayRef, columns: &[ArrayRef]) -> Result<BooleanArray> {
        let keys = self.keys.of(key)?;
        let digests = self.digests.of(columns)?;
        let mut fresh = BooleanBufferBuilder::new(keys.len());
        let mut ledger = lock(&self.ledger);
        for (row, (&known, &digest)) in keys.iter().zip(&digests).enumerate() {
            match ledger.see(known, digest) {
                Found::Known => fresh.append(false),
                Found::Fresh => fresh.append(true),
                Found::Twice => return Err(self.keys.duplicate(key, row)),
            }
        }
        Ok(BooleanArray::new(fresh.finish(), None))
    }
}
