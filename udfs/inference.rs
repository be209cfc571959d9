//! A call that needs a model: what it runs, on which rows, and what its values become in SQL.
//!
//! Takes a planned call of `embed`, `try_embed`, `score`, `classify` or `predict`; gives the pieces that run it. The
//! functions in this crate put them together for one array ([`Inference::evaluate`]); the engine's inference node puts
//! the same pieces together across the batches of a query, so both mean the same.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, StringArray, StringBuilder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, exec_err};

use crate::config::BatchTokens;
use crate::distinct::{Distinct, presence};
use crate::model::{Input, InputKind, Job, Modality, Model, ModelInfo, Output, Stats, Task};
use crate::recommender::item::item_keys;
use crate::recommender::user::user_keys;
use crate::vectors::vector_field;

/// What a call makes of a model's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// The vector; a row that fails is an error.
    Vector,
    /// `Struct{value, error}`: a row that fails is a value like any other.
    VectorOrError,
    /// The sigmoid of the logit of a pair.
    Probability,
    /// `Struct{label, probability}`: the label with the largest logit and its softmax.
    Label,
    /// The model's number as it is.
    Number,
}

/// A call, resolved: the model is known and its version pinned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Inference {
    /// The SQL function's name, for messages.
    pub function: &'static str,
    /// What the call returns.
    pub form: Form,
    /// The model.
    pub model: Arc<ModelInfo>,
    /// What its inputs are, which tells the tower of a model of two.
    pub modality: Modality,
    /// A text to put in front of every input.
    pub prompt: String,
}

impl Inference {
    /// How many columns the call reads.
    pub fn arity(&self) -> usize {
        if self.form == Form::Probability || self.modality == Modality::TextAndBytes { 2 } else { 1 }
    }

    /// The call on inputs of these types: with a model of two towers, that which reads them.
    #[must_use]
    pub fn reading(mut self, inputs: impl IntoIterator<Item = DataType>) -> Self {
        let read = inputs.into_iter().filter_map(|input| Modality::of(&input)).find(|input| self.model.reads(*input));
        self.modality = read.unwrap_or(self.modality);
        self
    }

    /// What the model is handed.
    pub fn input_kind(&self) -> InputKind {
        InputKind::of(self.modality, self.arity() == 2)
    }

    /// Values per row in [`Output::values`].
    pub fn width(&self) -> usize {
        self.model.width(self.arity() == 2)
    }

    /// The field of the result; a vector's metadata says which model made it.
    pub fn field(&self, name: &str) -> Field {
        match self.form {
            Form::Vector => vector_field(name, &self.model),
            Form::VectorOrError => Field::new_struct(name, self.struct_fields(), true),
            Form::Probability | Form::Number => Field::new(name, DataType::Float32, true),
            Form::Label => label_field(name),
        }
    }

    fn struct_fields(&self) -> Fields {
        Fields::from(vec![vector_field("value", &self.model), Field::new("error", DataType::Utf8, true)])
    }

    /// Hands the bytes of each row of one batch to `add`, which gives its id; rows with a NULL argument have none, and of a
    /// text and bytes those with two. The second part of a row is empty where the call reads one column, and of a text and
    /// bytes as [`crate::distinct::Distinct::input`] reads it.
    ///
    /// # Errors
    /// An argument is not what the model reads.
    pub fn collect(
        &self,
        arguments: &[ArrayRef],
        mut add: impl FnMut(&[u8], &[u8]) -> u32,
    ) -> Result<Vec<Option<u32>>> {
        let kind = self.input_kind();
        let columns = arguments.iter().enumerate().map(|(place, argument)| match self.model.task {
            Task::Recommender if self.arity() == 2 && place == 0 => Ok(user_keys(argument)?.to_binary_view()),
            Task::Recommender if self.arity() == 2 => Ok(item_keys(argument)?.to_binary_view()),
            _ => kind.parts().get(place).copied().unwrap_or_default().views(argument),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        match columns.as_slice() {
            [values] => Ok(values.iter().map(|value| value.map(|value| add(value, &[]))).collect()),
            [texts, values] if kind == InputKind::TextAndBytes => {
                let mut second = Vec::new();
                let rows = texts.iter().zip(values).map(|(text, bytes)| {
                    text.or(bytes)?;
                    second.clear();
                    second.push(presence([text.is_some(), bytes.is_some()]));
                    second.extend_from_slice(bytes.unwrap_or_default());
                    Some(add(text.unwrap_or_default(), &second))
                });
                Ok(rows.collect())
            }
            [firsts, seconds] => Ok(firsts.iter().zip(seconds).map(|(a, b)| Some(add(a?, b?))).collect()),
            _ => exec_err!("{} reads one or two columns, not {}", self.function, columns.len()),
        }
    }

    /// The work that computes `input`.
    pub fn job(&self, input: Input, max_batch_tokens: BatchTokens, stats: Arc<Stats>) -> Job {
        Job { input, prompt: self.prompt.clone(), max_batch_tokens, stats }
    }

    /// The result column of rows whose values are found by id. `first_row` rows came before them, for messages.
    ///
    /// `values` gives the `width` values of an id; `failure` the reason why it has none.
    ///
    /// # Errors
    /// A row failed and the form has no place for its reason.
    pub fn assemble<'a>(
        &self,
        ids: &[Option<u32>],
        first_row: usize,
        values: impl Fn(u32) -> &'a [f32],
        failure: impl Fn(u32) -> Option<&'a str>,
    ) -> Result<ArrayRef> {
        if self.form != Form::VectorOrError
            && let Some((row, reason)) = ids.iter().enumerate().find_map(|(row, id)| Some((row, failure((*id)?)?)))
        {
            return self.row_error(first_row + row, reason);
        }
        match self.form {
            Form::Probability => {
                let probabilities = ids.iter().map(|id| id.map(|id| sigmoid(values(id)[0])));
                Ok(Arc::new(probabilities.collect::<Float32Array>()))
            }
            Form::Number => Ok(Arc::new(ids.iter().map(|id| id.map(|id| values(id)[0])).collect::<Float32Array>())),
            Form::Label => self.labels(ids, values),
            Form::Vector => Ok(Arc::new(self.vectors(ids, values, |_| true)?)),
            Form::VectorOrError => {
                let vectors = self.vectors(ids, values, |id| failure(id).is_none())?;
                let mut errors = StringBuilder::new();
                for id in ids {
                    errors.append_option(id.and_then(&failure));
                }
                let columns: Vec<ArrayRef> = vec![Arc::new(vectors), Arc::new(errors.finish())];
                Ok(Arc::new(StructArray::try_new(self.struct_fields(), columns, None)?))
            }
        }
    }

    fn row_error<T>(&self, row: usize, reason: &str) -> Result<T> {
        let cure = if self.form == Form::Vector { "; try_embed keeps such rows and says why" } else { "" };
        // A text is told by what it says.
        let place = if self.input_kind().has_bytes() { format!("row {}: ", row + 1) } else { String::new() };
        exec_err!("{}: model '{}': {place}{reason}{cure}", self.function, self.model.reference())
    }

    fn vectors<'a>(
        &self,
        ids: &[Option<u32>],
        values: impl Fn(u32) -> &'a [f32],
        is_valid: impl Fn(u32) -> bool,
    ) -> Result<FixedSizeListArray> {
        let width = self.width();
        let mut flat = Vec::with_capacity(ids.len() * width);
        for id in ids {
            match id {
                Some(id) => flat.extend_from_slice(values(*id)),
                None => flat.resize(flat.len() + width, 0.0),
            }
        }
        let valid = ids.iter().map(|id| id.is_some_and(&is_valid)).collect::<NullBuffer>();
        let (DataType::FixedSizeList(item, size), nulls) =
            (self.value_type(), Some(valid).filter(|valid| valid.null_count() > 0))
        else {
            return exec_err!("{}: the result is not a vector", self.function);
        };
        Ok(FixedSizeListArray::try_new(item, size, Arc::new(Float32Array::from(flat)), nulls)?)
    }

    /// The most probable label of each row.
    fn labels<'a>(&self, ids: &[Option<u32>], values: impl Fn(u32) -> &'a [f32]) -> Result<ArrayRef> {
        let names = &self.model.labels;
        let found: Vec<Option<(usize, f32)>> = ids.iter().map(|id| id.map(|id| most_probable(values(id)))).collect();
        Ok(Arc::new(label_struct(&found, |label| names[label].as_str())?))
    }

    fn value_type(&self) -> DataType {
        vector_field("value", &self.model).data_type().clone()
    }

    /// Runs the call on whole columns: each distinct row once, in one job.
    ///
    /// # Errors
    /// The model fails, or a row does and the form has no place for its reason.
    pub fn evaluate(
        &self,
        model: &dyn Model,
        arguments: &[ArrayRef],
        max_batch_tokens: BatchTokens,
    ) -> Result<ArrayRef> {
        let mut distinct = Distinct::default();
        let ids = self.collect(arguments, |first, second| distinct.insert(first, second).0)?;
        let output = if distinct.is_empty() {
            Output::default()
        } else {
            let all: Vec<u32> = (0..distinct.len() as u32).collect();
            let job = self.job(distinct.input(&all, self.input_kind())?, max_batch_tokens, Arc::default());
            futures::executor::block_on(model.run(job))?
        };
        let width = self.width();
        self.assemble(
            &ids,
            0,
            |id| &output.values[id as usize * width..][..width],
            |id| failure_of(&output.failures, id as usize),
        )
    }
}

/// The reason in `failures`, which ascend by row, for one row.
pub fn failure_of(failures: &[(usize, String)], row: usize) -> Option<&str> {
    let found = failures.binary_search_by_key(&row, |(row, _)| *row).ok()?;
    Some(failures[found].1.as_str())
}

/// 1 / (1 + e^-x), without overflow for large |x|.
pub(crate) fn sigmoid(x: f32) -> f32 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// The field of a label and its probability.
pub(crate) fn label_field(name: &str) -> Field {
    Field::new_struct(name, label_fields(), true)
}

/// A label by its place and its probability for each row, under the names of the labels; the struct itself is NULL where there
/// is no row.
pub(crate) fn label_struct<'a>(found: &[Option<(usize, f32)>], name: impl Fn(usize) -> &'a str) -> Result<StructArray> {
    let labels: StringArray = found.iter().map(|best| best.map(|(label, _)| name(label))).collect();
    let probabilities: Float32Array = found.iter().map(|best| best.map(|(_, probability)| probability)).collect();
    let valid = found.iter().map(Option::is_some).collect::<NullBuffer>();
    let columns: Vec<ArrayRef> = vec![Arc::new(labels), Arc::new(probabilities)];
    let nulls = Some(valid).filter(|valid| valid.null_count() > 0);
    Ok(StructArray::try_new(label_fields(), columns, nulls)?)
}

fn label_fields() -> Fields {
    Fields::from(vec![Field::new("label", DataType::Utf8, true), Field::new("probability", DataType::Float32, true)])
}

/// The place of the largest logit, the first of equals, and its share of the softmax. There is at least one logit.
///
/// The largest is subtracted before the exponential, so that nothing overflows; its own term is then 1.
pub(crate) fn most_probable(logits: &[f32]) -> (usize, f32) {
    let (best, largest) = logits
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (label, logit)| if *logit > best.1 { (label, *logit) } else { best });
    let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    (best, 1.0 / sum)
}

/// The field of a call's result as planned, shared.
pub fn result_field(inference: &Inference, name: &str) -> FieldRef {
    Arc::new(inference.field(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_softmax_of_the_largest_logit_never_overflows() {
        for (logits, label, expected) in [
            (&[0.0, 0.0][..], 0, 0.5),
            (&[1.0, 3.0, 2.0], 1, 0.665_241),
            (&[f32::MAX, -f32::MAX], 0, 1.0),
            (&[-500.0, -500.0, -600.0], 0, 0.5),
            (&[7.0], 0, 1.0),
        ] {
            let (best, probability) = most_probable(logits);
            assert_eq!(best, label, "{logits:?}");
            assert!((probability - expected).abs() < 1e-6, "{logits:?}: {probability}");
        }
    }
}
