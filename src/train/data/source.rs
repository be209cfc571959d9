//! One table's columns in one form each, its rows in one order: takes a [`Table`] and the roles of its columns, gives a
//! [`Source`].
//!
//! A query gives its rows in an order that may differ from run to run. Rows are therefore sorted by their values, so that
//! equal rows make an equal dataset, fingerprint and curve; messages still count rows as the query gave them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, FixedSizeBinaryBuilder, Float64Array, Int64Array, StringViewArray,
    UInt32Array, new_empty_array,
};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use sha2::{Digest, Sha256};

use super::form::{Form, display, read};
use super::table::Layout;
use super::{Columns, Error, ExampleForm, Result, Role};
use debut_udfs::trainer::Table;

/// Most rows of a table: they are numbered by `u32`.
const MOST_ROWS: usize = i32::MAX as usize;

/// A table's columns by role.
#[derive(Debug)]
pub(super) struct Source {
    table: &'static str,
    columns: Vec<Column>,
    /// Where each row was in the query's result.
    origin: Vec<u32>,
}

#[derive(Debug)]
struct Column {
    role: Role,
    name: String,
    /// The type that the query gave it.
    found: DataType,
    values: ArrayRef,
}

/// The indices of the columns of `layout`; `None` for an optional one that is not there.
///
/// # Errors
/// A required column is missing, one that was asked for by name is missing, or one has a type that cannot be read.
pub(super) fn resolve(
    schema: &Schema,
    layout: &Layout,
    examples: ExampleForm,
    columns: &Columns,
) -> Result<Vec<(Role, usize)>> {
    let mut found = Vec::new();
    for role in layout.required.iter().chain(layout.optional).copied() {
        let Some(index) = columns.find(layout.table, schema, role)? else {
            if layout.required.contains(&role) {
                return Err(columns.missing(layout.table, schema, role));
            }
            continue;
        };
        let field = schema.field(index);
        if let Some(expected) = Form::of(role, examples).refuses(role, field.data_type()) {
            return Err(Error::ColumnType {
                table: layout.table,
                column: field.name().clone(),
                role,
                found: field.data_type().to_string(),
                expected,
            });
        }
        found.push((role, index));
    }
    Ok(found)
}

impl Source {
    /// Reads the columns of `layout`.
    ///
    /// # Errors
    /// As for [`resolve`]; there are no rows, or too many.
    pub(super) fn open(table: &Table, layout: &Layout, examples: ExampleForm, columns: &Columns) -> Result<Self> {
        let name = layout.table;
        let rows = table.rows();
        let roles = resolve(&table.schema, layout, examples, columns)?;
        if rows == 0 {
            return Err(Error::Empty { table: name });
        }
        if rows > MOST_ROWS {
            return Err(Error::TooManyRows { table: name, rows, most: MOST_ROWS });
        }
        let mut source = Self { table: name, columns: Vec::with_capacity(roles.len()), origin: Vec::new() };
        for (role, index) in roles {
            let field = table.schema.field(index);
            let parts = table.batches.iter().map(|batch| read(batch.column(index), Form::of(role, examples)));
            let parts = parts.collect::<Result<Vec<_>, _>>().map_err(Error::arrow(name))?;
            let parts = parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>();
            let values = concat(&parts).map_err(Error::arrow(name))?;
            let (column, found) = (field.name().clone(), field.data_type().clone());
            source.columns.push(Column { role, name: column, found, values });
        }
        for (role, index) in resolve(&table.schema, layout, examples, columns)? {
            if matches!(Form::of(role, examples), Form::Number | Form::Time) {
                let given = table.batches.iter().map(|batch| batch.column(index));
                source.check_converted(role, given, examples)?;
            }
        }
        source.sort()?;
        Ok(source)
    }

    /// Fails where a conversion made NULL of a value.
    fn check_converted<'a>(
        &self,
        role: Role,
        given: impl Iterator<Item = &'a ArrayRef>,
        examples: ExampleForm,
    ) -> Result<()> {
        let Some(column) = self.column(role) else { return Ok(()) };
        let (mut offset, mut rows, mut worst) = (0, 0, None);
        for array in given {
            // Dictionaries keep their NULLs in their values.
            let nulls = array.logical_nulls();
            for row in 0..array.len() {
                if column.values.is_null(offset + row) && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                    rows += 1;
                    worst = worst.or_else(|| Some((offset + row + 1, display(array, row))));
                }
            }
            offset += array.len();
        }
        let expected = match Form::of(role, examples) {
            Form::Time => "timestamps",
            _ => "numbers, true or false",
        };
        match worst {
            None => Ok(()),
            Some((first, value)) => Err(Error::Values {
                table: self.table,
                column: column.name.clone(),
                role,
                rows,
                value,
                first,
                expected,
            }),
        }
    }

    /// Puts the rows in the order of their values; pictures in that of their digests, which do not take their room again.
    fn sort(&mut self) -> Result<()> {
        let arrays = self.columns.iter().map(|column| match column.values.as_binary_view_opt() {
            Some(bytes) => digests(bytes).map_err(Error::arrow(self.table)),
            None => Ok(ArrayRef::clone(&column.values)),
        });
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let fields = arrays.iter().map(|array| SortField::new(array.data_type().clone())).collect();
        let converter = RowConverter::new(fields).map_err(Error::arrow(self.table))?;
        let rows = converter.convert_columns(&arrays).map_err(Error::arrow(self.table))?;
        self.origin = (0..rows.num_rows() as u32).collect();
        self.origin.sort_unstable_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)).then(a.cmp(b)));
        drop(rows);
        let order = UInt32Array::from(self.origin.clone());
        for column in &mut self.columns {
            column.values = take(&column.values, &order, None).map_err(Error::arrow(self.table))?;
        }
        Ok(())
    }

    /// Keeps the rows of these numbers, ascending.
    pub(super) fn keep(&mut self, rows: &[u32]) -> Result<()> {
        let order = UInt32Array::from(rows.to_vec());
        for column in &mut self.columns {
            column.values = take(&column.values, &order, None).map_err(Error::arrow(self.table))?;
        }
        self.origin = rows.iter().map(|row| self.origin[*row as usize]).collect();
        Ok(())
    }

    /// Adds the columns' names, forms and values to a hash.
    pub(super) fn hash(&self, hash: &mut Sha256) {
        hash.update(self.table.as_bytes());
        hash.update((self.rows() as u64).to_le_bytes());
        for column in &self.columns {
            hash.update(column.role.to_string().as_bytes());
            // The length stands before each value, so that two rows cannot be mistaken for two others.
            match column.values.data_type() {
                DataType::Utf8View => column.values.as_string_view().iter().for_each(|value| {
                    hash.update(value.map_or(u64::MAX, |value| value.len() as u64).to_le_bytes());
                    hash.update(value.unwrap_or_default().as_bytes());
                }),
                DataType::BinaryView => column.values.as_binary_view().iter().for_each(|value| {
                    hash.update(value.map_or(u64::MAX, |value| value.len() as u64).to_le_bytes());
                    hash.update(value.unwrap_or_default());
                }),
                DataType::Float64 => column.values.as_primitive::<Float64Type>().iter().for_each(|value| {
                    hash.update([u8::from(value.is_some())]);
                    hash.update(value.unwrap_or_default().to_le_bytes());
                }),
                _ => column.values.as_primitive::<Int64Type>().iter().for_each(|value| {
                    hash.update([u8::from(value.is_some())]);
                    hash.update(value.unwrap_or_default().to_le_bytes());
                }),
            }
        }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.origin.len()
    }

    /// The table's name.
    pub(super) fn table(&self) -> &'static str {
        self.table
    }

    /// Where a row was in the query's result, counted from 1.
    pub(super) fn place(&self, row: usize) -> usize {
        self.origin[row] as usize + 1
    }

    /// The type that the query gave the column of a role.
    pub(super) fn found(&self, role: Role) -> Option<&DataType> {
        self.column(role).map(|column| &column.found)
    }

    /// The name of the column of a role; the role's own where there is none.
    pub(super) fn name(&self, role: Role) -> String {
        self.column(role).map_or_else(|| role.to_string(), |column| column.name.clone())
    }

    fn column(&self, role: Role) -> Option<&Column> {
        self.columns.iter().find(|column| column.role == role)
    }

    /// A column of texts, if it is there.
    pub(super) fn texts(&self, role: Role) -> Option<StringViewArray> {
        self.column(role)?.values.as_string_view_opt().cloned()
    }

    /// A column of texts that the layout requires: empty where it is not there, which [`resolve`] rules out.
    pub(super) fn required(&self, role: Role) -> StringViewArray {
        self.texts(role).unwrap_or_else(|| new_empty_array(&DataType::Utf8View).as_string_view().clone())
    }

    /// A column of pictures, if it is there.
    pub(super) fn pictures(&self, role: Role) -> Option<BinaryViewArray> {
        self.column(role)?.values.as_binary_view_opt().cloned()
    }

    /// A column of numbers, if it is there, of which none may be NULL.
    ///
    /// # Errors
    /// How many are NULL and the first.
    pub(super) fn numbers(&self, role: Role) -> Result<Option<Float64Array>> {
        self.without_nulls(role)?;
        Ok(self.column(role).and_then(|column| column.values.as_primitive_opt::<Float64Type>().cloned()))
    }

    /// The column of times, if it is there, of which none may be NULL.
    ///
    /// # Errors
    /// How many are NULL and the first.
    pub(super) fn times(&self) -> Result<Option<Int64Array>> {
        self.without_nulls(Role::Timestamp)?;
        Ok(self.column(Role::Timestamp).and_then(|column| column.values.as_primitive_opt::<Int64Type>().cloned()))
    }

    /// The latest time of all rows that have one; `None` without such a column.
    pub(super) fn latest(&self) -> Option<i64> {
        let times = self.column(Role::Timestamp)?.values.as_primitive_opt::<Int64Type>()?;
        times.iter().flatten().max()
    }

    /// Fails if the column of a role has a NULL.
    ///
    /// # Errors
    /// How many there are and the first.
    pub(super) fn without_nulls(&self, role: Role) -> Result<()> {
        let Some(column) = self.column(role) else { return Ok(()) };
        let null = (0..self.rows()).filter(|row| column.values.is_null(*row)).map(|row| self.place(row));
        let Some(first) = null.clone().min() else { return Ok(()) };
        let (table, rows, total) = (self.table, null.count(), self.rows());
        Err(Error::Null { table, column: column.name.clone(), role, rows, total, first })
    }

    /// Fails if all values of a role's column are NULL.
    ///
    /// # Errors
    /// Says so.
    pub(super) fn not_all_null(&self, role: Role) -> Result<()> {
        match self.column(role) {
            Some(column) if column.values.null_count() == self.rows() => {
                Err(Error::AllNull { table: self.table, column: column.name.clone(), role, rows: self.rows() })
            }
            _ => Ok(()),
        }
    }

    /// Fails if a number of a role's column is not `accepted`.
    ///
    /// # Errors
    /// How many are not, and the first.
    pub(super) fn check(
        &self,
        role: Role,
        values: &Float64Array,
        expected: &'static str,
        accepted: impl Fn(f64) -> bool,
    ) -> Result<()> {
        let wrong = (0..values.len()).filter(|row| !accepted(values.value(*row)));
        let Some(first) = wrong.clone().min_by_key(|row| self.place(*row)) else { return Ok(()) };
        Err(Error::Values {
            table: self.table,
            column: self.name(role),
            role,
            rows: wrong.count(),
            value: values.value(first).to_string(),
            first: self.place(first),
            expected,
        })
    }

    /// The weights: 1 where there is no such column.
    ///
    /// # Errors
    /// One is NULL, negative or not finite, or all are 0.
    pub(super) fn weights(&self) -> Result<Vec<f32>> {
        let Some(values) = self.numbers(Role::Weight)? else { return Ok(vec![1.0; self.rows()]) };
        self.check(Role::Weight, &values, "finite numbers of 0 or more", |value| {
            (0.0..=f64::from(f32::MAX)).contains(&value)
        })?;
        if values.values().iter().all(|value| *value == 0.0) {
            self.check(Role::Weight, &values, "more than 0 (all are 0)", |value| value > 0.0)?;
        }
        Ok(values.values().iter().map(|value| *value as f32).collect())
    }
}

/// The SHA-256 of each value.
fn digests(bytes: &BinaryViewArray) -> Result<ArrayRef, ArrowError> {
    let mut digests = FixedSizeBinaryBuilder::with_capacity(bytes.len(), 32);
    for value in bytes {
        match value {
            Some(value) => digests.append_value(Sha256::digest(value))?,
            None => digests.append_null(),
        }
    }
    Ok(Arc::new(digests.finish()))
}
