//! `hamming_distance(a, b)`: how many bits of two binary vectors differ.
//!
//! Takes values of any binary type, of the same number of bytes; gives `Int64`, NULL for NULL.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::bits::{Bits, byte_width, is_bytes};
use crate::vectors::check_same_model;

const NAME: &str = "hamming_distance";

/// `hamming_distance`.
pub fn hamming_distance() -> ScalarUDF {
    Hamming::default().into()
}

/// `hamming_distance`.
#[user_doc(
    doc_section(label = "Vector Functions"),
    description = "The number of bits in which two binary vectors differ. It knows the signs of both only: `cosine_distance` between a binary vector and one of numbers finds more of the nearest.",
    syntax_example = "hamming_distance(a, b)",
    sql_example = "```sql\nSELECT hamming_distance(quantize(embed('blue mug'), 'binary'), quantize(embed('blue cup'), 'binary')) AS bits;\n```",
    argument(name = "a", description = "A binary vector, such as `quantize(vector, 'binary')`. NULL gives NULL."),
    argument(
        name = "b",
        description = "A binary vector of the same number of bytes. Vectors known to come from different models are an error."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Hamming {
    signature: Signature,
}

impl Default for Hamming {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Hamming {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        for side in take_function_args::<2, _>(NAME, types)? {
            if !is_bytes(side) && !side.is_null() {
                return plan_err!(
                    "{NAME} compares binary vectors, not {side}; quantize(vector, 'binary') makes one, and cosine_distance compares \
                     vectors of numbers"
                );
            }
        }
        Ok(types.to_vec())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        check_same_model(NAME, args.arg_fields)?;
        let widths: Vec<usize> = args.arg_fields.iter().filter_map(|field| byte_width(field.data_type())).collect();
        match widths[..] {
            [first, second] if first != second => plan_err!("{}", lengths(first, second)),
            _ => Ok(Arc::new(Field::new(NAME, DataType::Int64, true))),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let sides = take_function_args::<2, _>(NAME, &args.args)?;
        if sides.iter().any(|side| side.data_type().is_null()) {
            return Ok(ColumnarValue::Scalar(ScalarValue::Int64(None)));
        }
        let [first_is_constant, second_is_constant] = sides.map(|side| matches!(side, ColumnarValue::Scalar(_)));
        let [first, second] = sides
            .map(|side| side.to_array(if matches!(side, ColumnarValue::Scalar(_)) { 1 } else { args.number_rows }));
        let (first, second) = (first?, second?);
        let (a, b) = (Bits::try_new(NAME, &first)?, Bits::try_new(NAME, &second)?);
        let is_constant = first_is_constant && second_is_constant;
        let rows = if is_constant { 1 } else { args.number_rows };
        let mut distances = Int64Builder::with_capacity(rows);
        for row in 0..rows {
            let a = a.row(if first_is_constant { 0 } else { row });
            let b = b.row(if second_is_constant { 0 } else { row });
            distances.append_option(match (a, b) {
                (Some(a), Some(b)) if a.len() != b.len() => return exec_err!("{}", lengths(a.len(), b.len())),
                (Some(a), Some(b)) => Some(different(a, b)),
                _ => None,
            });
        }
        let distances: ArrayRef = Arc::new(distances.finish());
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&distances, 0)?));
        }
        Ok(ColumnarValue::Array(distances))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn lengths(first: usize, second: usize) -> String {
    format!(
        "{NAME}: the binary vectors have {first} and {second} bytes, and must have the same number; use one model for both"
    )
}

/// The bits that differ, of slices of equal length.
fn different(a: &[u8], b: &[u8]) -> i64 {
    let (a_words, a_rest) = a.as_chunks::<8>();
    let (b_words, b_rest) = b.as_chunks::<8>();
    let words =
        a_words.iter().zip(b_words).map(|(a, b)| (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)).count_ones());
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| (a ^ b).count_ones());
    words.chain(rest).map(i64::from).sum()
}

#[cfg(test)]
mod tests {
    use super::different;

    #[test]
    fn every_length_agrees_with_bit_by_bit() {
        let bytes =
            |seed: usize, length| (0..length).map(|at| (at * 37 * seed + seed * seed) as u8).collect::<Vec<_>>();
        for length in 0..70 {
            let (a, b) = (bytes(3, length), bytes(5, length));
            let bits = |at: usize| (a[at / 8] ^ b[at / 8]) >> (at % 8) & 1;
            let plain: i64 = (0..length * 8).map(|at| i64::from(bits(at))).sum();
            assert_eq!(different(&a, &b), plain, "{length}");
        }
    }
}
