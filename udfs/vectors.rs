//! Vectors as Arrow columns: their type, the model that made them, and rows as slices.
//!
//! Takes fields and arrays of list types; gives widths, metadata checks and [`Vectors`], a view that reads rows without
//! copying.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err, plan_err};

use crate::model::ModelInfo;

/// Metadata of a vector's field: the model that made it, `name@version`.
pub const MODEL_KEY: &str = "debut.model";

/// Metadata of a vector's field: the fingerprint of that model. Equal fingerprints mean comparable vectors.
pub const FINGERPRINT_KEY: &str = "debut.fingerprint";

/// Metadata of a field of quantized vectors: [`INT8`] or [`BINARY`].
pub const QUANTIZED_KEY: &str = "debut.quantized";

/// Each number as an `i8`, with a scale for each vector that is not kept.
pub const INT8: &str = "int8";

/// Each number as a bit, its sign.
pub const BINARY: &str = "binary";

/// `FixedSizeList<Float32, width>`, with Arrow's usual name and nullability for the values.
///
/// A width that no Arrow list can have becomes the widest there is.
pub fn vector_type(width: usize) -> DataType {
    let width = i32::try_from(width).unwrap_or(i32::MAX);
    DataType::new_fixed_size_list(DataType::Float32, width, true)
}

/// The field of vectors that `model` makes; its metadata says so.
pub fn vector_field(name: &str, model: &ModelInfo) -> Field {
    let metadata = [(MODEL_KEY, model.reference()), (FINGERPRINT_KEY, model.fingerprint.clone())];
    Field::new(name, vector_type(model.dimension), true)
        .with_metadata(metadata.into_iter().map(|(key, value)| (key.to_string(), value)).collect())
}

/// What `field` says of the model behind its vectors, and nothing else: metadata for a field derived from it.
pub fn model_metadata(field: &Field) -> HashMap<String, String> {
    let known = [MODEL_KEY, FINGERPRINT_KEY];
    known.iter().filter_map(|key| Some(((*key).to_string(), field.metadata().get(*key)?.clone()))).collect()
}

/// Fails if two of the fields hold vectors of different models. Fields that name no model are not judged.
///
/// # Errors
/// Names both models and what to do.
pub fn check_same_model(function: &str, fields: &[FieldRef]) -> Result<()> {
    let mut known = fields.iter().filter_map(|field| Some((field.metadata().get(FINGERPRINT_KEY)?, field)));
    let Some((fingerprint, first)) = known.next() else {
        return Ok(());
    };
    match known.find(|(other, _)| *other != fingerprint) {
        None => Ok(()),
        Some((_, second)) => {
            let [this, that] = [first, second].map(|field| model_name(field));
            plan_err!(
                "{function}: these vectors come from different models, {this} and {that}, and cannot be compared; \
                 embed both sides with one model, for example embed(text, '{this}')"
            )
        }
    }
}

/// Fails if one of the fields holds vectors that lost their length when they were quantized.
///
/// # Errors
/// Names the column and what to do.
pub(crate) fn refuse_int8(function: &str, fields: &[FieldRef]) -> Result<()> {
    match fields.iter().find(|field| field.metadata().get(QUANTIZED_KEY).is_some_and(|form| form == INT8)) {
        None => Ok(()),
        Some(field) => plan_err!(
            "{function}: '{}' is quantized to int8, with a scale for each vector that is not kept, so that only its direction is \
             known; use cosine_distance, or the vectors that it was made of",
            field.name()
        ),
    }
}

/// Fails unless the vector is one that the model makes.
///
/// # Errors
/// It has another width, or another model made it.
pub(crate) fn check_made_by(function: &str, model: &ModelInfo, vector: &FieldRef) -> Result<()> {
    let made: FieldRef = Arc::new(vector_field("embed", model));
    if width(vector.data_type()) != Some(model.dimension) {
        return plan_err!(
            "{function}: the vector has {} dimensions and model '{}' makes {}; name the model that made the vector",
            width(vector.data_type()).unwrap_or_default(),
            model.reference(),
            model.dimension
        );
    }
    check_same_model(function, &[Arc::clone(vector), made])
}

fn model_name(field: &Field) -> &str {
    let metadata = field.metadata();
    metadata.get(MODEL_KEY).or_else(|| metadata.get(FINGERPRINT_KEY)).map_or("unknown", String::as_str)
}

/// The type of the values of a list of any kind; `None` for other types.
pub fn element_type(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => Some(item.data_type()),
        _ => None,
    }
}

/// The number of values in each vector, where the type says it.
pub fn width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeList(_, width) => usize::try_from(*width).ok(),
        _ => None,
    }
}

/// Whether values of this type are vectors of a model: a list of a fixed number of `Float32`.
pub(crate) fn is_vector(data_type: &DataType) -> bool {
    width(data_type).is_some() && element_type(data_type) == Some(&DataType::Float32)
}

/// The same list type over other values. An unchanged type keeps its field, so that no cast is planned for its name.
pub(crate) fn with_element(data_type: &DataType, element: &DataType) -> DataType {
    if element_type(data_type) == Some(element) {
        return data_type.clone();
    }
    match data_type {
        DataType::FixedSizeList(_, width) => DataType::new_fixed_size_list(element.clone(), *width, true),
        DataType::LargeList(_) => DataType::new_large_list(element.clone(), true),
        _ => DataType::new_list(element.clone(), true),
    }
}

/// Rows of a list array as slices of its values.
///
/// Reads FixedSizeList, List and LargeList arrays of values of type `T`, sliced or not, where they lie.
#[derive(Debug)]
pub(crate) struct Vectors<'a, T: ArrowPrimitiveType> {
    values: &'a PrimitiveArray<T>,
    nulls: Option<&'a NullBuffer>,
    layout: Layout<'a>,
}

#[derive(Debug)]
enum Layout<'a> {
    Width(usize),
    Offsets(&'a [i32]),
    LargeOffsets(&'a [i64]),
}

impl<'a, T: ArrowPrimitiveType> Vectors<'a, T> {
    /// A view of `array`.
    ///
    /// # Errors
    /// The array is not a list of `T`.
    pub(crate) fn try_new(function: &str, array: &'a ArrayRef) -> Result<Self> {
        let (values, layout) = match array.data_type() {
            DataType::FixedSizeList(_, width) => {
                let list: &FixedSizeListArray = array.as_fixed_size_list();
                (list.values(), Layout::Width(usize::try_from(*width).unwrap_or(0)))
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                (list.values(), Layout::Offsets(list.value_offsets()))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                (list.values(), Layout::LargeOffsets(list.value_offsets()))
            }
            other => return exec_err!("{function} reads vectors, not {other}"),
        };
        match values.as_primitive_opt::<T>() {
            Some(values) => Ok(Self { values, nulls: array.nulls(), layout }),
            None => exec_err!("{function} reads vectors of {}, not {}", T::DATA_TYPE, array.data_type()),
        }
    }

    /// The vector of a row; `None` if it is NULL or holds a NULL.
    pub(crate) fn row(&self, row: usize) -> Option<&'a [T::Native]> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let (start, end) = match self.layout {
            Layout::Width(width) => (row * width, (row + 1) * width),
            Layout::Offsets(offsets) => (offsets[row] as usize, offsets[row + 1] as usize),
            Layout::LargeOffsets(offsets) => (offsets[row] as usize, offsets[row + 1] as usize),
        };
        if let Some(nulls) = self.values.nulls().filter(|nulls| nulls.null_count() > 0)
            && nulls.slice(start, end - start).null_count() > 0
        {
            return None;
        }
        Some(&self.values.values()[start..end])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{Float32Array, ListArray};
    use arrow::datatypes::{Float32Type, Float64Type};

    use super::*;
    use crate::model::{Modality, Task};

    fn model(name: &str, fingerprint: &str) -> ModelInfo {
        ModelInfo {
            name: name.to_string(),
            version: "1".to_string(),
            task: Task::Embedding,
            modality: Modality::Text,
            text_tower: None,
            dimension: 3,
            labels: Vec::new(),
            ids: None,
            trained_until: None,
            image_model: None,
            max_tokens: 8,
            fingerprint: fingerprint.to_string(),
            prompts: BTreeMap::new(),
        }
    }

    #[test]
    fn the_field_says_which_model() {
        let field = vector_field("v", &model("m", "f00d"));
        assert_eq!(field.data_type(), &vector_type(3));
        assert!(field.is_nullable());
        assert_eq!(field.metadata()[MODEL_KEY], "m@1");
        assert_eq!(model_metadata(&field), *field.metadata());
        assert_eq!(width(field.data_type()), Some(3));
    }

    #[test]
    fn vectors_of_two_models_are_refused() {
        let [a, b] = [("a", "1"), ("b", "2")].map(|(name, print)| Arc::new(vector_field("v", &model(name, print))));
        let renamed = Arc::new(vector_field("v", &model("alias", "1")));
        let unknown = Arc::new(Field::new("v", vector_type(3), true));
        check_same_model("f", &[Arc::clone(&a), Arc::clone(&unknown), renamed]).unwrap();
        check_same_model("f", &[]).unwrap();
        let message = check_same_model("f", &[unknown, a, b]).unwrap_err().to_string();
        assert!(message.contains("f:") && message.contains("a@1") && message.contains("b@1"), "{message}");
        assert!(message.contains("embed(text, 'a@1')"), "{message}");
    }

    #[test]
    fn rows_of_slices_and_nulls() {
        let rows =
            [Some(vec![Some(1.0), Some(2.0)]), None, Some(vec![Some(3.0), None]), Some(vec![Some(5.0), Some(6.0)])];
        let fixed = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows.clone(), 2);
        let list = ListArray::from_iter_primitive::<Float32Type, _, _>(rows);
        for array in [Arc::new(fixed) as ArrayRef, Arc::new(list)] {
            let whole = Vectors::<Float32Type>::try_new("f", &array).unwrap();
            let found: Vec<_> = (0..4).map(|row| whole.row(row)).collect();
            assert_eq!(found, [Some(&[1.0, 2.0][..]), None, None, Some(&[5.0, 6.0][..])]);
            let tail = array.slice(2, 2);
            let tail = Vectors::<Float32Type>::try_new("f", &tail).unwrap();
            assert_eq!([tail.row(0), tail.row(1)], [None, Some(&[5.0, 6.0][..])]);
            assert!(Vectors::<Float64Type>::try_new("f", &array).is_err());
        }
        assert!(Vectors::<Float32Type>::try_new("f", &(Arc::new(Float32Array::from(vec![1.0])) as ArrayRef)).is_err());
    }
}
