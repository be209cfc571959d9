//! A call of SQL's `embed`, `score`, `classify` or `predict` on the values of a request, by way of the queue of its model.
//!
//! The call is resolved and put together by the code that SQL uses ([`debut_udfs::inference`]), so that both mean the same.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::common::{DataFusionError, Result as EngineResult};
use debut_udfs::distinct::Distinct;
use debut_udfs::inference::{Inference, failure_of};
use debut_udfs::models::Models;

use crate::server::http::error::Result;
use crate::server::http::state::HttpState;

/// A column, and how many tokens were read for it.
#[derive(Debug)]
pub(super) struct Column {
    /// The values, as SQL's function gives them.
    pub(super) values: ArrayRef,
    /// Tokens of all rows, cut off at the model's limit; a text that stands twice counts twice.
    pub(super) tokens: u64,
}

/// Finds the model of a call. Reads files of the registry, and may install the default model: a thread that may block does it.
pub(in crate::server::http) async fn resolve<T: Send + 'static>(
    state: &HttpState,
    find: impl FnOnce(Models) -> EngineResult<T> + Send + 'static,
) -> Result<T> {
    let models = state.models.clone();
    let found = state.engine.threads.spawn_blocking(move || find(models)).await;
    Ok(found.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??)
}

/// Computes a call: each distinct row once.
pub(super) async fn infer(state: &HttpState, inference: &Inference, arguments: &[ArrayRef]) -> Result<Column> {
    let inference = &inference.clone().reading(arguments.iter().map(|column| column.data_type().clone()));
    let mut distinct = Distinct::default();
    let ids = inference.collect(arguments, |first, second| distinct.insert(first, second).0)?;
    let all: Vec<u32> = (0..distinct.len() as u32).collect();
    let computed = state.batchers.run(inference, distinct.input(&all, inference.input_kind())?).await?;
    let width = inference.width();
    let values = inference.assemble(
        &ids,
        0,
        |id| &computed.output.values[id as usize * width..][..width],
        |id| failure_of(&computed.output.failures, id as usize),
    )?;
    let tokens = ids.iter().flatten().filter_map(|id| computed.tokens.get(*id as usize)).map(|n| u64::from(*n)).sum();
    Ok(Column { values: Arc::clone(&values), tokens })
}
