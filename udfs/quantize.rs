//! `quantize(vector, 'int8' | 'binary')`: a vector in a quarter, or in a thirty-second, of the bytes.
//!
//! Takes vectors of floats; gives lists of `Int8`, or `FixedSizeBinary` with a bit for each number as [`crate::bits`] has them.
//! The field keeps the metadata of the model and says how it was quantized.
//!
//! `int8` is `round(x * 127 / max|x|)`, ties to even, with the largest `|x|` of each vector by itself: no calibration is needed,
//! and the scale, which is not kept, does not matter to a cosine. `binary` is `x > 0`, in the order of `numpy.packbits`, as
//! `quantize_embeddings(..., precision="ubinary")` of sentence-transformers has it.
//! <https://sbert.net/docs/package_reference/sentence_transformer/quantization.html>

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, FixedSizeBinaryArray, FixedSizeListArray, Int8Array};
use arrow::array::{GenericListArray, OffsetSizeTrait};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::bits::bytes_of;
use crate::text::{is_text, text_literal};
use crate::vectors::{BINARY, INT8, QUANTIZED_KEY, Vectors, element_type, model_metadata, width, with_element};

const NAME: &str = "quantize";
const USAGE: &str = "quantize(vector, 'int8' | 'binary')";

/// `quantize`.
pub fn quantize() -> ScalarUDF {
    Quantize::default().into()
}

/// `quantize`.
#[user_doc(
    doc_section(label = "Vector Functions"),
    description = "A vector in fewer bytes, which `cosine_distance` and `vector_search` read as it is. `'int8'` gives `FixedSizeList(d x Int8)`, a quarter of the bytes: each number times 127 / max|x| of its vector, rounded. The scale is not kept, so that only the cosine is defined. `'binary'` gives `FixedSizeBinary(ceil(d / 8))`, a thirty-second of the bytes: a bit for each number, set where it is above zero, the first in the highest bit of the first byte. A vector of zeros stays zeros, or bits that are not set. The field records the model, as that of `embed` does, and `debut.quantized`. How much of the nearest each form finds is in [Quantized vectors](#quantized-vectors).",
    syntax_example = "quantize(vector, 'int8' | 'binary')",
    sql_example = "```sql\nCOPY (SELECT id, quantize(vector, 'int8') AS vector, quantize(vector, 'binary') AS bits\n      FROM (SELECT id, embed(title) AS vector FROM 'products.parquet')) TO 'vectors.parquet';\n```",
    argument(
        name = "vector",
        description = "A vector: a list of numbers. NULL gives NULL; a NULL, NaN or infinite number inside is an error. `'binary'` needs a list of fixed size."
    ),
    argument(name = "form", description = "`'int8'` or `'binary'`, as a literal.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Quantize {
    signature: Signature,
}

impl Default for Quantize {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// The type of the result, `form` being one of the two.
fn quantized_type(vector: &DataType, form: &str) -> Result<DataType> {
    if vector.is_null() {
        return Ok(DataType::Null);
    }
    if width(vector) == Some(0) {
        return plan_err!("{NAME}: the vectors have no numbers: they are {vector}");
    }
    match (form, width(vector)) {
        (INT8, _) => Ok(with_element(vector, &DataType::Int8)),
        (BINARY, Some(width)) => match i32::try_from(bytes_of(width)) {
            Ok(bytes) => Ok(DataType::FixedSizeBinary(bytes)),
            Err(_) => plan_err!("{NAME}: a vector of {width} numbers is too wide"),
        },
        (BINARY, None) => plan_err!(
            "{NAME}: 'binary' needs to know how wide the vectors are, and the type {vector} does not say; write \
             arrow_cast(vector, 'FixedSizeList(384 x Float32)') with the width of the model"
        ),
        (other, _) => plan_err!("{NAME}: the form is 'int8' or 'binary', not '{other}': {USAGE}"),
    }
}

impl ScalarUDFImpl for Quantize {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [vector, form] = types else {
            return plan_err!("{NAME} takes a vector and a form: {USAGE}");
        };
        if !is_text(form) && !form.is_null() {
            return plan_err!("{NAME}: the form is a text literal, not {form}: {USAGE}");
        }
        let vector = match element_type(vector) {
            Some(DataType::Float32 | DataType::Float16) => with_element(vector, &DataType::Float32),
            Some(element) if element.is_numeric() || element.is_null() => with_element(vector, &DataType::Float64),
            None if vector.is_null() => DataType::Null,
            _ => {
                return plan_err!(
                    "{NAME} reads vectors such as FixedSizeList(384 x Float32), not {vector}; embed(text) makes a vector of a text"
                );
            }
        };
        Ok(vec![vector, form.clone()])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {NAME} depends on its literal")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [vector, _] = args.arg_fields else {
            return internal_err!("{NAME} was planned with {} arguments", args.arg_fields.len());
        };
        let form = text_literal(NAME, "the form", args.scalar_arguments.get(1).copied().flatten())?;
        let data_type = quantized_type(vector.data_type(), form)?;
        let mut metadata = model_metadata(vector);
        metadata.insert(QUANTIZED_KEY.to_owned(), form.to_owned());
        Ok(Arc::new(Field::new(NAME, data_type, true).with_metadata(metadata)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [vector, _] = take_function_args(NAME, &args.args)?;
        let is_constant = matches!(vector, ColumnarValue::Scalar(_));
        let vectors = vector.to_array(if is_constant { 1 } else { args.number_rows })?;
        let data_type = args.return_field.data_type();
        let quantized = match (data_type, element_type(vectors.data_type())) {
            (DataType::Null, _) => return Ok(ColumnarValue::Scalar(ScalarValue::Null)),
            (_, Some(DataType::Float32)) => quantize_rows::<Float32Type>(&vectors, data_type)?,
            _ => quantize_rows::<Float64Type>(&vectors, data_type)?,
        };
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&quantized, 0)?));
        }
        Ok(ColumnarValue::Array(quantized))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// The rows of `vectors` as `data_type`, which [`quantized_type`] gave.
fn quantize_rows<T: ArrowPrimitiveType<Native: Into<f64>>>(
    vectors: &ArrayRef,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let rows = Vectors::<T>::try_new(NAME, vectors)?;
    let row = |row: usize| match rows.row(row) {
        Some(vector) => largest(vector).map(|largest| Some((vector, largest))),
        None if vectors.is_null(row) => Ok(None),
        None => exec_err!("{NAME}: a vector holds a NULL; a vector is all numbers, or NULL itself"),
    };
    let nulls = vectors.nulls().cloned();
    match data_type {
        DataType::FixedSizeBinary(bytes) => {
            let width = usize::try_from(*bytes).unwrap_or(0);
            let mut values = Vec::with_capacity(vectors.len() * width);
            for at in 0..vectors.len() {
                match row(at)? {
                    Some((vector, _)) => binary(vector, &mut values),
                    None => values.resize(values.len() + width, 0),
                }
            }
            Ok(Arc::new(FixedSizeBinaryArray::try_new(*bytes, Buffer::from_vec(values), nulls)?))
        }
        DataType::FixedSizeList(item, width) => {
            let empty = usize::try_from(*width).unwrap_or(0);
            let mut values = Vec::with_capacity(vectors.len() * empty);
            for at in 0..vectors.len() {
                match row(at)? {
                    Some((vector, largest)) => int8(vector, largest, &mut values),
                    None => values.resize(values.len() + empty, 0),
                }
            }
            let values = Arc::new(Int8Array::from(values));
            Ok(Arc::new(FixedSizeListArray::try_new(Arc::clone(item), *width, values, nulls)?))
        }
        DataType::List(item) => lists::<i32, _>(item, vectors, row),
        DataType::LargeList(item) => lists::<i64, _>(item, vectors, row),
        other => internal_err!("{NAME} was planned to give {other}"),
    }
}

/// Lists of any length as lists of `Int8`.
fn lists<'a, O: OffsetSizeTrait, N: Copy + Into<f64> + 'a>(
    item: &FieldRef,
    vectors: &ArrayRef,
    row: impl Fn(usize) -> Result<Option<(&'a [N], f64)>>,
) -> Result<ArrayRef> {
    let (mut values, mut lengths) = (Vec::new(), Vec::with_capacity(vectors.len()));
    for at in 0..vectors.len() {
        let before = values.len();
        if let Some((vector, largest)) = row(at)? {
            int8(vector, largest, &mut values);
        }
        lengths.push(values.len() - before);
    }
    let offsets = OffsetBuffer::<O>::from_lengths(lengths);
    let values = Arc::new(Int8Array::from(values));
    Ok(Arc::new(GenericListArray::try_new(Arc::clone(item), offsets, values, vectors.nulls().cloned())?))
}

/// The largest absolute value of a vector, 0 of none.
fn largest<N: Copy + Into<f64>>(vector: &[N]) -> Result<f64> {
    let values = || vector.iter().map(|value| (*value).into());
    // Without leaving the loop early, so that it runs on several values at once.
    if !values().fold(true, |finite, value| finite & value.is_finite()) {
        let (at, value) = values().enumerate().find(|(_, value)| !value.is_finite()).unwrap_or_default();
        return exec_err!(
            "{NAME}: number {} of a vector is {value}; numbers are finite, and NULL stands for no vector",
            at + 1
        );
    }
    Ok(values().fold(0.0, |largest, value| value.abs().max(largest)))
}

/// Appends `round(x * 127 / largest)` of each number, 0 where all are.
fn int8<N: Copy + Into<f64>>(vector: &[N], largest: f64, into: &mut Vec<i8>) {
    // The quotient first: its inverse may be infinite.
    let divisor = if largest == 0.0 { 1.0 } else { largest };
    into.extend(vector.iter().map(|value| ((*value).into() / divisor * 127.0).round_ties_even() as i8));
}

/// Appends a bit for each number, eight to a byte.
fn binary<N: Copy + Into<f64>>(vector: &[N], into: &mut Vec<u8>) {
    into.extend(vector.chunks(8).map(|eight| {
        let bit = |(at, value): (usize, &N)| u8::from((*value).into() > 0.0) << (7 - at);
        eight.iter().enumerate().map(bit).fold(0, |byte, bit| byte | bit)
    }));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The first values and the scale are those of numpy: `np.rint(v * (127 / np.abs(v).max()))` and `np.packbits(v > 0)`.
    #[test]
    fn as_numpy_has_it() {
        let vector = [0.5_f32, -1.0, 0.25, 0.0, -0.125, 1.0, 0.003_937, 0.75, -0.6, 1e-9];
        let (mut bytes, mut bits) = (Vec::new(), Vec::new());
        int8(&vector, largest(&vector).unwrap(), &mut bytes);
        binary(&vector, &mut bits);
        assert_eq!(bytes, [64, -127, 32, 0, -16, 127, 0, 95, -76, 0]);
        assert_eq!(bits, [0b1010_0111, 0b0100_0000]);
    }

    #[test]
    fn numbers_of_any_size() {
        for scale in [f64::MIN_POSITIVE / 1e10, 1.0, f64::MAX] {
            let vector = [scale, -scale / 2.0, 0.0];
            let mut bytes = Vec::new();
            int8(&vector, largest(&vector).unwrap(), &mut bytes);
            assert_eq!(bytes, [127, -64, 0], "{scale}");
        }
        for (vector, problem) in [
            ([1.0_f32, f32::NAN], "number 2 of a vector is NaN"),
            ([f32::NEG_INFINITY, 1.0], "number 1 of a vector is -inf"),
        ] {
            assert!(largest(&vector).unwrap_err().to_string().contains(problem), "{problem}");
        }
        let mut bytes = Vec::new();
        int8(&[0.0_f32; 3], largest(&[0.0_f32; 3]).unwrap(), &mut bytes);
        assert_eq!(bytes, [0, 0, 0]);
    }
}
