//! From the rows of a job to what a graph reads: the one thing that differs between models of texts and of others.
//!
//! A [`Preprocessor`] takes rows of an input; gives them [`Prepared`], on the threads beside the session. The batcher knows of a row its length, the session that it fills tensors.

use std::fmt::Debug;
use std::ops::Range;

use debut_udfs::model::{Input, Stats};
use ort::session::SessionInputValue;
use ort::value::Outlet;

use super::tensor::Tensor;

/// Makes rows of a model's modality ready for its graph.
pub(crate) trait Preprocessor: Debug + Send + Sync {
    /// What it makes, for people: the names of a graph's inputs and their type.
    fn makes(&self) -> String;

    /// The tensor for an input of a graph; `None` if it makes none of this name, type and shape.
    fn tensor(&self, input: &Outlet) -> Option<Tensor>;

    /// How many rows are prepared together.
    fn chunk(&self) -> ChunkSize;

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

/// Where a chunk of rows ends, whichever comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkSize {
    /// Most rows.
    pub(crate) rows: usize,
    /// Bytes of their input after which no more rows are added.
    pub(crate) bytes: usize,
}

/// Consecutive rows, ready for the graph. Rows count from 0 here.
pub(crate) trait Prepared: Debug + Send {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// What a row costs: its length in the graph's sequence, for a text its tokens, for a picture a token for each square of pixels. 0 for a row that failed.
    fn length(&self, row: usize) -> usize;

    /// Rows that are not run, each with the reason.
    fn failures(&self) -> &[(usize, String)];

    /// What the session is handed of `rows` for an input, each filled up to the length `longest`. What is not there in the
    /// form of the graph is written into `tensor`, which [`Preprocessor::tensor`] gave.
    ///
    /// # Errors
    /// The runtime refuses the tensor.
    fn value<'a>(
        &'a self,
        rows: &[u32],
        longest: usize,
        tensor: &'a mut Tensor,
    ) -> Result<SessionInputValue<'a>, ort::Error>;
}
