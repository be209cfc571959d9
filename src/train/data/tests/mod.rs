//! Tables to datasets; the tables that the tests share.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod examples;
mod mistakes;
mod pictures;
mod splits;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int32Array, Int64Array,
    LargeStringArray, StringArray, StringViewArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use debut_udfs::finetune::ClassWeights;
use proptest::prelude::*;

use super::*;

fn table(columns: Vec<(&str, ArrayRef)>) -> Table {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true))).unwrap();
    Table { schema: batch.schema(), batches: vec![batch] }
}

fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn numbers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn floats(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

fn examples(columns: Vec<(&str, ArrayRef)>) -> Tables {
    Tables { examples: Some(table(columns)), ..Tables::default() }
}

fn shop(interactions: Vec<(&str, ArrayRef)>, items: Vec<(&str, ArrayRef)>) -> Tables {
    Tables { interactions: Some(table(interactions)), items: Some(table(items)), ..Tables::default() }
}

/// Users 0 to 9, of whom each has the items from their number on, four of twenty, one a day.
fn small_shop() -> Tables {
    let rows = (0..10).flat_map(|user| (0..4).map(move |step| (user, (user + step) % 20, step)));
    shop(
        vec![
            ("user_id", numbers(rows.clone().map(|row| row.0))),
            ("item_id", numbers(rows.clone().map(|row| row.1))),
            ("timestamp", numbers(rows.map(|row| row.2))),
        ],
        vec![
            ("item_id", texts((0..20).map(|item| item.to_string()).collect::<Vec<_>>().iter().map(String::as_str))),
            ("text", texts((0..20).map(|item| format!("item {item}")).collect::<Vec<_>>().iter().map(String::as_str))),
        ],
    )
}

const BCE: Objective = Objective::Bce { negatives: 4 };
const BPR: Objective = Objective::Bpr { negatives: 4 };
const CONTRASTIVE: Objective = Objective::Contrastive { temperature: None };
const CLASSIFICATION: Objective = Objective::Classification { class_weights: ClassWeights::Equal };

fn options(objective: Objective) -> Options {
    Options {
        objective,
        base: "base@1".into(),
        modality: Modality::Text,
        columns: Columns::default(),
        split: Split::Random,
        validation: 0.1,
        since: None,
        labels: Vec::new(),
        replay: 0.1,
        pairs_per_user: 32,
        seed: 3,
    }
}

fn failure(tables: &Tables, options: &Options) -> String {
    Dataset::build(tables, options).unwrap_err().to_string()
}

fn interactions(dataset: &Dataset) -> &Interactions {
    match &dataset.examples {
        Examples::Interactions(interactions) => interactions,
        other => panic!("{other:?}"),
    }
}

fn pairs(dataset: &Dataset) -> &Pairs {
    let Examples::Pairs(pairs) = &dataset.examples else { panic!("{:?}", dataset.examples) };
    pairs
}

fn classes(dataset: &Dataset) -> &Labels {
    let Examples::Labels(classes) = &dataset.examples else { panic!("{:?}", dataset.examples) };
    classes
}

/// The texts of a dataset.
fn distinct(dataset: &Dataset) -> &StringViewArray {
    let InputColumn::Texts(texts) = &dataset.inputs else { panic!("{:?}", dataset.inputs) };
    texts
}

/// Roles and the columns that play them.
fn columns(pairs: &[(&str, &str)]) -> Columns {
    Columns::new(pairs.iter().copied()).unwrap()
}
