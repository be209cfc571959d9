//! `cosine_distance(a, b)`, `inner_product(a, b)`, `l2_distance(a, b)`: how far two vectors are apart.
//!
//! Takes `FixedSizeList` vectors, as `embed` and `quantize` make them, or lists such as `[1.0, 2.0]`, and for the cosine
//! distance the bits of a binary vector beside one of numbers; gives `Float32`, or `Float64` if no side holds `Float32`, `Int8`
//! or bits. Registered, the first two replace DataFusion's functions of the same names, accept what those accept, and leave a
//! constant side unbroadcast.
//!
//! NULL, or a NULL inside a vector, gives NULL; so does the cosine distance to a vector of zeros.
//!
//! # Layout
//! [`columns`]: the distances between two columns; [`kernels`]: between two vectors of numbers; [`signs`]: between numbers and bits

mod columns;
pub(crate) mod kernels;
mod signs;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use self::columns::{Side, byte_widths, distances, widths};
pub use self::kernels::Metric;
use crate::bits::{byte_width, bytes_of, is_bytes};
use crate::vectors::{check_same_model, element_type, refuse_int8, width, with_element};

/// `cosine_distance`: one minus the cosine of the angle.
pub fn cosine_distance() -> ScalarUDF {
    Distance::new(Metric::Cosine).into()
}

/// `inner_product`, also called `dot_product`.
pub fn inner_product() -> ScalarUDF {
    Distance::new(Metric::InnerProduct).into()
}

/// `l2_distance`: the Euclidean distance.
pub fn l2_distance() -> ScalarUDF {
    Distance::new(Metric::L2).into()
}

/// One of the distance functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Distance {
    metric: Metric,
    signature: Signature,
    aliases: Vec<String>,
}

impl Distance {
    /// The function of a metric.
    pub fn new(metric: Metric) -> Self {
        let aliases = match metric {
            Metric::InnerProduct => vec!["dot_product".to_string()],
            Metric::Cosine | Metric::L2 => Vec::new(),
        };
        Self { metric, signature: Signature::user_defined(Volatility::Immutable), aliases }
    }

    /// What the function measures.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The types in which floats beside bits are read.
    fn beside_bits(&self, numbers: &DataType) -> Result<DataType> {
        if self.metric != Metric::Cosine {
            return plan_err!(
                "{}: a binary vector has the signs of its numbers only, and no length; use cosine_distance",
                self.name()
            );
        }
        if is_bytes(numbers) {
            return plan_err!(
                "{0}: both vectors are binary; use hamming_distance, or {0} between a binary vector and one of numbers, which finds \
                 more of the nearest",
                self.name()
            );
        }
        check_vector(self.name(), numbers)?;
        Ok(with_element(numbers, &DataType::Float32))
    }

    fn check_widths(&self, types: [&DataType; 2], [first, second]: [Option<usize>; 2]) -> Result<()> {
        match (first, second) {
            (Some(first), Some(second)) if first != second => plan_err!("{}", widths(self.name(), first, second)),
            (Some(width), None) | (None, Some(width)) => match types.into_iter().find_map(byte_width) {
                Some(bytes) if bytes != bytes_of(width) => plan_err!("{}", byte_widths(self.name(), width, bytes)),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl ScalarUDFImpl for Distance {
    fn name(&self) -> &'static str {
        match self.metric {
            Metric::Cosine => "cosine_distance",
            Metric::InnerProduct => "inner_product",
            Metric::L2 => "l2_distance",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [first, second] = take_function_args(self.name(), types)?;
        match (is_bytes(first), is_bytes(second)) {
            (true, _) => return Ok(vec![first.clone(), self.beside_bits(second)?]),
            (false, true) => return Ok(vec![self.beside_bits(first)?, second.clone()]),
            (false, false) => {}
        }
        for side in [first, second] {
            check_vector(self.name(), side)?;
        }
        let single = [first, second]
            .into_iter()
            .any(|side| matches!(element_type(side), Some(DataType::Float32 | DataType::Float16 | DataType::Int8)));
        let element = if single { DataType::Float32 } else { DataType::Float64 };
        // Vectors of `Int8` are read as they are.
        let coerced = |side: &DataType| match element_type(side) {
            Some(DataType::Int8) => side.clone(),
            _ => with_element(side, &element),
        };
        // A bare NULL takes the type of the other side.
        let [first, second] = match (first, second) {
            (DataType::Null, other) | (other, DataType::Null) => [other, other],
            sides => [sides.0, sides.1],
        };
        Ok(vec![coerced(first), coerced(second)])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        // Two sides of `Float64`, or a side that is read in single precision.
        let double = types.iter().all(|side| element_type(side) == Some(&DataType::Float64));
        Ok(if double { DataType::Float64 } else { DataType::Float32 })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        // Widths are checked here and not in `coerce_types`, after the models: two models are the better explanation.
        check_same_model(self.name(), args.arg_fields)?;
        if self.metric != Metric::Cosine {
            refuse_int8(self.name(), args.arg_fields)?;
        }
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        // The types of lists do not say how wide they are, but literals do.
        let widths = types.iter().zip(args.scalar_arguments).map(|(data_type, literal)| match literal {
            Some(value) => width(data_type).or_else(|| literal_width(value)),
            None => width(data_type),
        });
        if let ([first, second], [this, that]) = (&types[..], &widths.collect::<Vec<_>>()[..]) {
            self.check_widths([first, second], [*this, *that])?;
        }
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [first, second] = take_function_args(self.name(), &args.args)?;
        let constant = [first, second].map(|side| matches!(side, ColumnarValue::Scalar(_)));
        let rows = if constant == [true, true] { 1 } else { args.number_rows };
        let as_array = |side: &ColumnarValue| match side {
            ColumnarValue::Array(array) => Ok(Arc::clone(array)),
            ColumnarValue::Scalar(value) => value.to_array_of_size(1),
        };
        let [first, second] = [(first, constant[0]), (second, constant[1])]
            .map(|(side, constant)| as_array(side).map(|array| Side { array, constant }));
        let distances = distances(self.name(), self.metric, [first?, second?], rows)?;
        if constant == [true, true] {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&distances, 0)?));
        }
        Ok(ColumnarValue::Array(distances))
    }

    fn documentation(&self) -> Option<&Documentation> {
        static COSINE: LazyLock<Documentation> = LazyLock::new(|| {
            document(
                "cosine_distance",
                "One minus the cosine of the angle between two vectors. 0 for the same direction, 1 for orthogonal vectors, 2 \
                 for opposite ones. NULL for a vector of zeros, which has no direction. Either vector may be quantized to \
                 `int8`, and one of them to `binary`: its bits stand for 1 and -1, beside the numbers of the other.",
                "SELECT title FROM products ORDER BY cosine_distance(embed(title), embed('garden party')) LIMIT 10;",
            )
        });
        static INNER: LazyLock<Documentation> = LazyLock::new(|| {
            document(
                "inner_product",
                "The inner product of two vectors, also called `dot_product`. For vectors of length one, such as those of \
                 `embed` and `profile`, it is the cosine of the angle: larger is more similar.",
                "SELECT inner_product(embed('blue mug'), embed('blue cup')) AS similarity;",
            )
        });
        static L2: LazyLock<Documentation> = LazyLock::new(|| {
            document(
                "l2_distance",
                "The Euclidean distance between two vectors.",
                "SELECT l2_distance([0.0, 0.0], [3.0, 4.0]) AS distance;  -- 5.0",
            )
        });
        Some(match self.metric {
            Metric::Cosine => &COSINE,
            Metric::InnerProduct => &INNER,
            Metric::L2 => &L2,
        })
    }
}

fn check_vector(function: &str, data_type: &DataType) -> Result<()> {
    let numbers = match element_type(data_type) {
        Some(element) => element.is_numeric() || element.is_null(),
        None => data_type.is_null(),
    };
    if numbers {
        return Ok(());
    }
    plan_err!(
        "{function} compares vectors, lists of numbers such as FixedSizeList(384 x Float32), not {data_type}; \
         embed(text) makes a vector of a text"
    )
}

fn literal_width(value: &ScalarValue) -> Option<usize> {
    use arrow::array::Array;
    match value {
        ScalarValue::List(list) if list.is_valid(0) => Some(list.value(0).len()),
        ScalarValue::LargeList(list) if list.is_valid(0) => Some(list.value(0).len()),
        _ => None,
    }
}

fn document(name: &str, description: &str, example: &str) -> Documentation {
    let section = DocSection { include: true, label: "Vector Functions", description: None };
    Documentation::builder(section, description, format!("{name}(a, b)"))
        .with_sql_example(format!("```sql\n{example}\n```"))
        .with_argument("a", "A vector: a list of numbers. NULL, or a NULL inside, gives NULL.")
        .with_argument("b", "A vector of the same dimension. Vectors known to come from different models are an error.")
        .build()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
