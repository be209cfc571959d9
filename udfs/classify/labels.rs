//! The labels of a call: takes the literal array that was written, gives its texts, and their vectors, embedded once.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_array;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use hashbrown::HashSet;

use super::{NAME, USAGE};
use crate::embed::Embed;
use crate::model::{Input, ModelInfo};
use crate::models::Models;
use crate::text::is_text;
use crate::vectors::element_type;

/// Whether an argument of this type is an array of labels, right or wrong, and not the name of a model.
pub(super) fn is_labels(data_type: &DataType) -> bool {
    element_type(data_type).is_some()
}

/// Fails unless the labels are texts; what is in an array of nothing is said when it is read.
///
/// # Errors
/// They are something else.
pub(super) fn check_type(data_type: &DataType) -> Result<()> {
    match element_type(data_type) {
        Some(element) if is_text(element) || element.is_null() => Ok(()),
        _ => plan_err!("{NAME}: the labels are an array of texts, not {data_type}: {USAGE}"),
    }
}

/// The error about labels that are a column or an expression.
///
/// # Errors
/// Always.
pub(super) fn not_literal<T>() -> Result<T> {
    plan_err!(
        "{NAME}: the labels must be a literal array such as ARRAY['a', 'b'], because they are embedded once for the whole \
         query; columns cannot be used here"
    )
}

/// Different texts, at least one.
#[derive(Debug)]
pub(super) struct Labels(pub(super) StringArray);

impl Labels {
    /// The labels in a literal.
    ///
    /// # Errors
    /// There are none, one is NULL, or one stands twice.
    pub(super) fn read(literal: &ScalarValue) -> Result<Self> {
        let Some(values) = values(literal) else {
            return plan_err!("{NAME}: the labels are NULL; write those to choose from: {USAGE}");
        };
        if values.is_empty() {
            return plan_err!("{NAME}: the array of labels is empty; write those to choose from: {USAGE}");
        }
        if let Some(place) = (0..values.len()).find(|place| values.data_type().is_null() || values.is_null(*place)) {
            return plan_err!("{NAME}: label {} is NULL; leave it out", place + 1);
        }
        let texts = as_string_array(&cast(&values, &DataType::Utf8)?)?.clone();
        let mut seen = HashSet::new();
        if let Some(twice) = texts.iter().flatten().find(|label| !seen.insert(*label)) {
            return plan_err!("{NAME}: the label '{twice}' stands twice in the array; leave one out");
        }
        drop(seen);
        Ok(Self(texts))
    }

    /// The vectors of the labels, one after the other.
    ///
    /// # Errors
    /// The model cannot be loaded or fails, or a label cannot be embedded.
    pub(super) fn embed(&self, model: &ModelInfo, models: &Models) -> Result<Arc<[f32]>> {
        let (reference, prompt) = (ScalarValue::from(model.reference()), ScalarValue::from("query"));
        let inference = Embed::new(models.clone()).inference(&[None, Some(&reference), Some(&prompt)])?;
        let job = inference.job(Input::Texts(self.0.clone()), models.config().max_batch_tokens, Arc::default());
        let output = futures::executor::block_on(models.load(model)?.run(job))?;
        match output.failures.first() {
            Some((row, reason)) => {
                exec_err!("{NAME}: model '{}': the label '{}': {reason}", model.reference(), self.0.value(*row))
            }
            None => Ok(output.values.into()),
        }
    }
}

/// The elements of an array literal; `None` if the array is NULL.
fn values(literal: &ScalarValue) -> Option<ArrayRef> {
    match literal {
        ScalarValue::List(list) if !list.is_null(0) => Some(list.value(0)),
        ScalarValue::LargeList(list) if !list.is_null(0) => Some(list.value(0)),
        ScalarValue::FixedSizeList(list) if !list.is_null(0) => Some(list.value(0)),
        _ => None,
    }
}

/// The vectors of one call's labels, once they are known. It is no part of what the call is: two calls are equal if their
/// arguments are.
#[derive(Debug, Clone, Default)]
pub(super) struct Vectors(Arc<Mutex<Option<Arc<[f32]>>>>);

impl Vectors {
    /// The vectors; whoever asks while another embeds the labels waits for it.
    ///
    /// # Errors
    /// As [`Labels::embed`].
    pub(super) fn get_or_embed(&self, labels: &Labels, model: &ModelInfo, models: &Models) -> Result<Arc<[f32]>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vectors) = &*known {
            return Ok(Arc::clone(vectors));
        }
        let vectors = labels.embed(model, models)?;
        Ok(Arc::clone(known.insert(vectors)))
    }
}

impl PartialEq for Vectors {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Vectors {}

impl Hash for Vectors {
    fn hash<H: Hasher>(&self, _state: &mut H) {}
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read(labels: &[Option<&str>]) -> Result<Vec<String>, String> {
        let values: Vec<ScalarValue> = labels.iter().map(|label| ScalarValue::Utf8(label.map(str::to_owned))).collect();
        let list = ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Utf8));
        match Labels::read(&list) {
            Ok(labels) => Ok(labels.0.iter().flatten().map(str::to_owned).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn labels_are_different_texts() {
        assert_eq!(read(&[Some("b"), Some(""), Some("a")]).unwrap(), ["b", "", "a"]);
        for (labels, said) in [
            (&[][..], "is empty"),
            (&[Some("a"), None], "label 2 is NULL"),
            (&[Some("a"), Some("b"), Some("a")], "'a' stands twice"),
        ] {
            let message = read(labels).unwrap_err();
            assert!(message.contains(said), "{message}");
        }
        let null = ScalarValue::try_from(&DataType::new_list(DataType::Utf8, true)).unwrap();
        assert!(Labels::read(&null).unwrap_err().to_string().contains("the labels are NULL"));
    }
}
