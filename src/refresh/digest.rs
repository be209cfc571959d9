//! Rows as 128 bits.
//!
//! Takes columns; gives the first half of the SHA-256 of each row's bytes, as Arrow's row format writes them, behind a text that
//! says what the rows mean. Equal rows have equal digests wherever their batches begin.

use std::fmt;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use ring::digest::{Context, SHA256};

use super::{Error, Result};

/// Makes digests of rows with these columns.
pub(crate) struct Digests {
    converter: RowConverter,
    seed: Context,
}

impl Digests {
    /// For rows of columns of these types; rows of different `meaning` have different digests.
    ///
    /// # Errors
    /// Arrow's row format has no bytes for one of the types.
    pub(crate) fn new(meaning: &str, types: &[DataType]) -> Result<Self> {
        let fields = types.iter().cloned().map(SortField::new).collect();
        let converter = RowConverter::new(fields).map_err(|error| Error::Type(error.to_string()))?;
        let mut seed = Context::new(&SHA256);
        seed.update(&(meaning.len() as u64).to_le_bytes());
        seed.update(meaning.as_bytes());
        Ok(Self { converter, seed })
    }

    /// A digest for each row.
    ///
    /// # Errors
    /// The columns are of other types, which would be our mistake.
    pub(crate) fn of(&self, columns: &[ArrayRef]) -> Result<Vec<u128>> {
        let rows = self.converter.convert_columns(columns)?;
        Ok(rows
            .iter()
            .map(|row| {
                let mut context = self.seed.clone();
                context.update(row.as_ref());
                first_half(context)
            })
            .collect())
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests").field("converter", &self.converter).finish_non_exhaustive()
    }
}

/// The digest of a text.
pub(crate) fn of_text(text: &str) -> String {
    let mut context = Context::new(&SHA256);
    context.update(text.as_bytes());
    format!("{:032x}", first_half(context))
}

fn first_half(context: Context) -> u128 {
    let digest = context.finish();
    let mut half = [0; 16];
    half.copy_from_slice(&digest.as_ref()[..16]);
    u128::from_be_bytes(half)
}

/// Keys: digests of one column, which names its values in errors.
#[derive(Debug)]
pub(crate) struct Keys {
    name: String,
    digests: Digests,
}

impl Keys {
    /// Of a column of this name and type.
    ///
    /// # Errors
    /// Values of the type cannot be compared.
    pub(crate) fn new(name: &str, data_type: &DataType) -> Result<Self> {
        Ok(Self { name: name.to_owned(), digests: Digests::new("key", std::slice::from_ref(data_type))? })
    }

    /// The digest of each key.
    ///
    /// # Errors
    /// One is NULL.
    pub(crate) fn of(&self, column: &ArrayRef) -> Result<Vec<u128>> {
        if column.logical_null_count() > 0 {
            return Err(Error::NullKey(self.name.clone()));
        }
        self.digests.of(std::slice::from_ref(column))
    }

    /// The error of a row whose key another row has.
    pub(crate) fn duplicate(&self, column: &ArrayRef, row: usize) -> Error {
        let formatter = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default());
        let value = formatter.map_or_else(|_| "?".to_owned(), |formatter| formatter.value(row).to_string());
        Error::DuplicateKey { key: self.name.clone(), value }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn rows_are_equal_wherever_their_batches_begin() {
        let types = [DataType::Int64, DataType::Utf8];
        let digests = Digests::new("query", &types).unwrap();
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(1), Some(1)]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some(""), None]));
        let all = digests.of(&[Arc::clone(&numbers), Arc::clone(&texts)]).unwrap();
        let tail = digests.of(&[numbers.slice(2, 2), texts.slice(2, 2)]).unwrap();
        assert_eq!(all[2..], tail);
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), 4, "an empty text is not NULL");
        let other = Digests::new("another query", &types).unwrap().of(&[numbers, texts]).unwrap();
        assert!(all.iter().zip(other).all(|(a, b)| *a != b));
    }

    #[test]
    fn a_key_is_named() {
        let keys = Keys::new("id", &DataType::Utf8).unwrap();
        let column: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
        assert!(keys.of(&column).unwrap_err().to_string().contains("the key id is NULL"));
        assert!(keys.duplicate(&column, 0).to_string().contains("id = x names two rows"));
    }
}
