//! From the rows of a job to what a graph reads: the one thing that differs between models of texts and of others.
//!
//! A [`Preprocessor`] takes rows of an input; gives them [`Prepared`], on the threads beside the session. The batcher knows of a row its length, the session that it fills tensors.

use std::fmt::Debug;
use std::ops::Range;

use debut_udfs::model::{Input, Stats};

use super::tensor::Tensor;

/// Makes rows of a model's modality ready for its graph.
pub(crate) trait Preprocessor: Debug + Send + Sync {
    /// The names of the graph's inputs that it makes tensors for.
    fn tensors(&self) -> &'static [&'static str];

    /// Prepares `rows` of `input`, `prompt` in front of each where it is a text, on the threads of the caller's pool.
    ///
    /// Once `cancelled` says so, the rest is left out. The time of every thread is added to `stats`.
    fn prepare(
        &self,
        input: &Input,
        rows: Range<usize>,
        prompt: &str,
        cancelled: &(dyn Fn() -> bool + Sync),
        stats: &Stats,
    ) -> Box<dyn Prepared>;
}

/// Consecutive rows, ready for the graph. Rows count from 0 here.
pub(crate) trait Prepared: Debug + Send {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// What a row costs: its length in the graph's sequence, for a text its tokens. 0 for a row that failed.
    fn length(&self, row: usize) -> usize;

    /// Rows that are not run, each with the reason.
    fn failures(&self) -> &[(usize, String)];

    /// Writes `rows` into a tensor that [`Preprocessor::tensors`] names, each filled up to the length `longest`.
    fn fill(&self, rows: &[u32], longest: usize, tensor: &mut Tensor);
}
