//! The distances between the rows of two columns.
//!
//! Takes two arrays, lists of `Float32`, `Float64` or `Int8` or the bits of binary vectors, either of which may be one row that
//! stands for all; gives an array of distances, NULL where a side is NULL, holds a NULL or has no direction.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray, PrimitiveBuilder};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type};
use datafusion::common::{Result, exec_err, internal_err};

use super::kernels::{Metric, Number, Query};
use super::signs::SignQuery;
use crate::bits::{Bits, bytes_of, is_bytes};
use crate::vectors::{Vectors, element_type};

/// One side of a call.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) array: ArrayRef,
    /// Whether its first row stands for all.
    pub(super) constant: bool,
}

impl Side {
    fn at(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }
}

/// Vectors of two widths, as an error says it.
pub(super) fn widths(function: &str, first: usize, second: usize) -> String {
    format!(
        "{function}: the vectors have {first} and {second} dimensions, and must have the same number; embed both sides with one \
         model"
    )
}

/// A vector and bits of another, as an error says it.
pub(super) fn byte_widths(function: &str, width: usize, bytes: usize) -> String {
    format!(
        "{function}: a vector has {width} dimensions, whose signs are {} bytes, and the binary vector has {bytes}; embed both \
         sides with one model",
        bytes_of(width)
    )
}

/// The distance of every row.
///
/// # Errors
/// Two vectors have different widths.
pub(super) fn distances(function: &str, metric: Metric, [a, b]: [Side; 2], rows: usize) -> Result<ArrayRef> {
    // Both orders give the same number: bits stand second, and otherwise what is constant first, where it is prepared once.
    let (a_is_bits, b_is_bits) = (is_bytes(a.array.data_type()), is_bytes(b.array.data_type()));
    let (a, b) = if a_is_bits || (!b_is_bits && b.constant && !a.constant) { (b, a) } else { (a, b) };
    let call = Call { function, metric, a: &a, b: &b, rows };
    let elements = [&a, &b].map(|side| element_type(side.array.data_type()));
    Ok(match elements {
        [Some(DataType::Float32), None] => Arc::new(call.signs()?),
        [Some(DataType::Float32), Some(DataType::Float32)] => {
            Arc::new(call.numbers::<Float32Type, Float32Type, Float32Type>()?)
        }
        [Some(DataType::Float32), Some(DataType::Int8)] => {
            Arc::new(call.numbers::<Float32Type, Int8Type, Float32Type>()?)
        }
        [Some(DataType::Int8), Some(DataType::Float32)] => {
            Arc::new(call.numbers::<Int8Type, Float32Type, Float32Type>()?)
        }
        [Some(DataType::Int8), Some(DataType::Int8)] => Arc::new(call.numbers::<Int8Type, Int8Type, Float32Type>()?),
        [Some(DataType::Float64), Some(DataType::Float64)] => {
            Arc::new(call.numbers::<Float64Type, Float64Type, Float64Type>()?)
        }
        _ => {
            return internal_err!(
                "{function} was planned without coercion: {} and {}",
                a.array.data_type(),
                b.array.data_type()
            );
        }
    })
}

/// A call whose sides are in the order in which they are read.
struct Call<'a> {
    function: &'a str,
    metric: Metric,
    a: &'a Side,
    b: &'a Side,
    rows: usize,
}

impl Call<'_> {
    /// Between two lists of numbers.
    fn numbers<A, B, R>(&self) -> Result<PrimitiveArray<R>>
    where
        A: ArrowPrimitiveType<Native: Number<Sum = R::Native>>,
        B: ArrowPrimitiveType<Native: Number<Sum = R::Native>>,
        R: ArrowPrimitiveType,
    {
        let queries = Vectors::<A>::try_new(self.function, &self.a.array)?;
        let others = Vectors::<B>::try_new(self.function, &self.b.array)?;
        self.each(
            |row| queries.row(row).map(|vector| Query::new(self.metric, vector)),
            |query, row| match others.row(row) {
                Some(other) if other.len() != query.width() => {
                    exec_err!("{}", widths(self.function, query.width(), other.len()))
                }
                other => Ok(other.and_then(|other| query.distance(other))),
            },
        )
    }

    /// Between floats and bits.
    fn signs(&self) -> Result<PrimitiveArray<Float32Type>> {
        let queries = Vectors::<Float32Type>::try_new(self.function, &self.a.array)?;
        let others = Bits::try_new(self.function, &self.b.array)?;
        self.each(
            |row| queries.row(row).map(SignQuery::new),
            |query, row| match others.row(row) {
                Some(bits) if bits.len() != bytes_of(query.width()) => {
                    exec_err!("{}", byte_widths(self.function, query.width(), bits.len()))
                }
                bits => Ok(bits.and_then(|bits| query.distance(bits))),
            },
        )
    }

    fn each<Q, R: ArrowPrimitiveType>(
        &self,
        query: impl Fn(usize) -> Option<Q>,
        distance: impl Fn(&Q, usize) -> Result<Option<R::Native>>,
    ) -> Result<PrimitiveArray<R>> {
        let mut distances = PrimitiveBuilder::<R>::with_capacity(self.rows);
        if self.a.constant {
            match query(0) {
                Some(query) => {
                    for row in 0..self.rows {
                        distances.append_option(distance(&query, self.b.at(row))?);
                    }
                }
                None => distances.append_nulls(self.rows),
            }
        } else {
            for row in 0..self.rows {
                distances.append_option(match query(row) {
                    Some(query) => distance(&query, self.b.at(row))?,
                    None => None,
                });
            }
        }
        Ok(distances.finish())
    }
}
