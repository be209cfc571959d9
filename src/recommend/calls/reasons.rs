//! Why rows of a result are there, as Arrow columns: takes explanations, gives a list of attributions and one of purchases for
//! each row.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;

use super::lists::list_of_structs;
use crate::recommend::model::explanation::{BASELINE, Explanation};
use crate::recommend::model::recommender::Recommender;

/// Items of a user's history that a row names, at most.
const PURCHASES: usize = 5;

/// The reasons of rows, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    features: Values<&'static str>,
    /// Numbers among the items with a history.
    purchases: Values<u32>,
}

/// Lists of values, each with how much it adds to the logit.
#[derive(Debug)]
struct Values<T> {
    lengths: Vec<usize>,
    values: Vec<T>,
    attributions: Vec<f32>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { lengths: Vec::new(), values: Vec::new(), attributions: Vec::new() }
    }
}

impl Reasons {
    /// A row: the reasons for an item of an explanation, by its place there, of a user with this history.
    pub(super) fn push(&mut self, explanation: &Explanation, item: usize, history: &[u32]) {
        let shares = explanation.features.iter().copied().zip(explanation.shares.row(item).iter().copied());
        // What everything begins with comes first.
        let mut shares = shares.collect::<Vec<_>>();
        let begin = usize::from(shares.first().is_some_and(|(feature, _)| *feature == BASELINE));
        shares[begin..].sort_by(descending);
        self.features.push(shares);
        let purchases = history.iter().copied().zip(explanation.purchases.row(item).iter().copied());
        let mut purchases = purchases.filter(|(_, attribution)| *attribution > 0.0).collect::<Vec<_>>();
        purchases.sort_by(descending);
        purchases.truncate(PURCHASES);
        self.purchases.push(purchases);
    }

    /// These rows and then those.
    pub(super) fn append(&mut self, other: Self) {
        self.features.append(other.features);
        self.purchases.append(other.purchases);
    }

    /// The last two columns of `schema`.
    ///
    /// # Errors
    /// The schema has others.
    pub(super) fn columns(self, schema: &SchemaRef, recommender: &Recommender) -> Result<[ArrayRef; 2], ArrowError> {
        let [.., attributions, purchases] = schema.fields().as_ref() else {
            return Err(ArrowError::SchemaError("no columns for reasons".to_owned()));
        };
        let (features, owned) = (self.features, self.purchases);
        let names = Arc::new(StringArray::from_iter_values(&features.values)) as ArrayRef;
        let items = owned.values.iter().map(|known| recommender.known[*known as usize]);
        let items = recommender.items.ids.array(items);
        Ok([features.column(attributions.data_type(), names)?, owned.column(purchases.data_type(), items)?])
    }
}

impl<T> Values<T> {
    /// The column, whose values are these.
    fn column(self, kind: &DataType, values: ArrayRef) -> Result<ArrayRef, ArrowError> {
        list_of_structs(kind, self.lengths, vec![values, Arc::new(Float32Array::from(self.attributions))])
    }

    fn push(&mut self, list: Vec<(T, f32)>) {
        self.lengths.push(list.len());
        let (values, attributions): (Vec<T>, Vec<f32>) = list.into_iter().unzip();
        self.values.extend(values);
        self.attributions.extend(attributions);
    }

    fn append(&mut self, mut other: Self) {
        self.lengths.append(&mut other.lengths);
        self.values.append(&mut other.values);
        self.attributions.append(&mut other.attributions);
    }
}

fn descending<T>((_, one): &(T, f32), (_, other): &(T, f32)) -> Ordering {
    other.total_cmp(one)
}
