//! From questions and documents with vectors to the rows of the result.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::Float32Type;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use futures::stream::{self, StreamExt};

use super::index::{Found, Index, Scratch, vectors};
use super::{AnswerOptions, SCORES};
use crate::options::Inputs;
use crate::recommender::Rows;
use crate::text::text_views;
use crate::trainer::Table;

/// Questions of a batch of the result.
const BATCH: usize = 32;

/// The rows of the result, questions in the order in which they come.
///
/// # Errors
/// The documents have more text than an array can hold.
pub fn rows(options: AnswerOptions, inputs: Inputs<Table>) -> Result<Rows> {
    let (Some(questions), Some(documents)) = (inputs.questions, inputs.documents) else {
        return Ok(stream::empty().boxed());
    };
    let documents = concat_batches(&documents.schema, &documents.batches)?;
    let index = Index::new(text_views(documents.column(options.text))?, documents.columns().last())?;
    let answering = Arc::new(Answering { options, documents, index });
    let parts = questions.batches.into_iter().flat_map(|batch| {
        let rows = batch.num_rows();
        (0..rows).step_by(BATCH).map(move |start| batch.slice(start, BATCH.min(rows - start)))
    });
    let parts = parts.collect::<Vec<_>>();
    // On a thread of its own: a batch of many documents takes longer than a task may.
    let batches = stream::iter(parts).then(move |part| {
        let answering = Arc::clone(&answering);
        SpawnedTask::spawn_blocking(move || answering.batch(&part)).join_unwind()
    });
    Ok(batches.map(|batch| batch.map_err(|error| DataFusionError::External(Box::new(error)))?).boxed())
}

/// The documents, ready to be searched.
struct Answering {
    options: AnswerOptions,
    documents: RecordBatch,
    index: Index,
}

impl Answering {
    fn batch(&self, questions: &RecordBatch) -> Result<RecordBatch> {
        let AnswerOptions { k, question, schema, .. } = &self.options;
        let texts = text_views(questions.column(*question))?;
        let vectors = vectors(questions.columns().last())?;
        let (mut asked, mut ranks, mut found) = (Vec::new(), Vec::new(), Vec::<Found>::new());
        let mut scratch = Scratch::default();
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row) && vectors.is_valid(*row)) {
            let vector = vectors.value(row);
            let best =
                self.index.find(texts.value(row), vector.as_primitive::<Float32Type>().values(), *k, &mut scratch)?;
            asked.extend(best.iter().map(|_| row as u32));
            ranks.extend(1..=best.len() as i64);
            found.extend(best);
        }
        let asked = UInt32Array::from(asked);
        let rows = found.iter().map(|found| found.row).collect::<UInt32Array>();
        let of = |batch: &RecordBatch, rows: &UInt32Array| {
            let columns = &batch.columns()[..batch.num_columns() - 1];
            columns.iter().map(|column| take(column, rows, None)).collect::<Result<Vec<_>, _>>()
        };
        let mut columns = of(questions, &asked)?;
        columns.push(Arc::new(Int64Array::from(ranks)));
        columns.extend(of(&self.documents, &rows)?);
        let score = |of: fn(&Found) -> f32| Arc::new(found.iter().map(of).collect::<Float32Array>()) as ArrayRef;
        let scores: [ArrayRef; SCORES.len()] =
            [score(|found| found.score), score(|found| found.similarity), score(|found| found.words)];
        columns.extend(scores);
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}
