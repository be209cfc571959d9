//! Parts without what is gone, and few of them.
//!
//! Takes the parts of a table and the rows that its next version has; gives parts of which the version has every row. Parts that
//! lose rows are written anew without them, together with the small ones that every night adds, so that of all parts but one each
//! has at least half of the rows that it may have.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;

use super::ledger::Ledger;
use super::part::{self, PartWriter};
use super::table::{PART_ROWS, Table};
use super::{Error, Result};

/// A part with fewer rows is put together with others.
const SMALL_ROWS: u64 = PART_ROWS as u64 / 2;

impl Table {
    /// Writes the parts anew that lose rows or are small.
    ///
    /// # Errors
    /// A part cannot be read or written.
    pub(super) fn compact(&mut self, ledger: &mut Ledger) -> Result<()> {
        let live = self.live(ledger);
        let parts = self.parts.iter().zip(&live).enumerate();
        let anew: Vec<usize> = parts
            .filter(|(_, (part, live))| **live > 0 && (**live < part.rows || **live < SMALL_ROWS))
            .map(|(number, _)| number)
            .collect();
        let whole = |number: &usize| self.parts.get(*number).map(|part| part.rows) == live.get(*number).copied();
        // A single small part has no other to be put together with.
        if !matches!(anew.as_slice(), [only] if whole(only)) {
            self.rewrite(&anew, ledger)?;
        }
        Ok(())
    }

    /// Writes the rows of these parts that the next version has into new ones.
    fn rewrite(&mut self, anew: &[usize], ledger: &mut Ledger) -> Result<()> {
        let mut open: Option<(u32, PartWriter)> = None;
        for &from in anew {
            let path = self.parts.get(from).map(|part| part.path.clone()).unwrap_or_default();
            let from = u32::try_from(from).map_err(|_| Error::Internal("too many parts"))?;
            for batch in part::read(&path)? {
                let batch = RecordBatch::try_new(self.storage.stored.clone(), batch?.columns().to_vec())?;
                let keys = self.keys.of(&self.storage.restore(self.key, batch.column(self.key))?)?;
                let is_live: Vec<bool> = keys.iter().map(|key| ledger.is_in(*key, from)).collect();
                let rows = filter_record_batch(&batch, &BooleanArray::from(is_live.clone()))?;
                if rows.num_rows() == 0 {
                    continue;
                }
                let (number, writer) = match &mut open {
                    Some(open) => open,
                    None => open.insert(self.create()?),
                };
                writer.write(&rows)?;
                for (key, _) in keys.iter().zip(is_live).filter(|(_, is_live)| *is_live) {
                    ledger.put(*key, *number);
                }
                if writer.rows >= PART_ROWS
                    && let Some((number, writer)) = open.take()
                {
                    self.finish(number, writer)?;
                }
            }
        }
        match open {
            Some((number, writer)) => self.finish(number, writer).map(drop),
            None => Ok(()),
        }
    }
}
