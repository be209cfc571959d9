//! Statements, one after another, each to an output.
//!
//! Takes a script's statements; gives their results to an [`Output`] as they stream, and counts and times to stderr.

use std::time::{Duration, Instant};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::common::tree_node::TreeNode;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;

use super::error::{CliError, Result};
use super::output::Output;
use super::progress::{Terminal, thousands};
use crate::engine::calls::node::CallNode;
use crate::engine::{Session, Statement, files};

/// What became of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has no result.
    Done,
    /// Rows were written elsewhere: `COPY`, `INSERT`.
    Stored(u64),
    /// Rows were shown, and whether there were more.
    Shown {
        /// How many.
        rows: usize,
        /// Whether a table had no room for more.
        cut: bool,
    },
}

impl Outcome {
    /// How many rows were written or shown.
    pub(super) fn rows(self) -> Option<u64> {
        match self {
            Self::Done => None,
            Self::Stored(count) => Some(count),
            Self::Shown { rows, .. } => Some(rows as u64),
        }
    }

    /// The line under a result.
    pub(super) fn summary(self, time: Duration) -> String {
        let rows = |count: usize| format!("{} row{}", thousands(count), if count == 1 { "" } else { "s" });
        let time = time.as_secs_f64();
        match self {
            Self::Done => format!("done in {time:.3} s"),
            Self::Stored(count) => {
                format!("{} written in {time:.3} s", rows(usize::try_from(count).unwrap_or(usize::MAX)))
            }
            Self::Shown { rows: shown, cut: false } => format!("{} in {time:.3} s", rows(shown)),
            Self::Shown { rows: shown, cut: true } => {
                format!("the first {}; there are more ({time:.3} s)", rows(shown))
            }
        }
    }
}

/// Runs a script to its end or its first error, which says in which statement it happened when there are several.
///
/// # Errors
/// A statement fails or its result cannot be written.
pub(super) async fn script(
    session: &Session,
    statements: Vec<Statement>,
    output: &mut Output,
    terminal: &Terminal,
) -> Result<()> {
    let several = statements.len() > 1;
    for (index, statement) in statements.into_iter().enumerate() {
        let line = statement.line;
        let begun = Instant::now();
        let outcome = match run(session, statement, output, terminal).await {
            Err(source) if several => {
                return Err(CliError::Statement { number: index + 1, line, source: Box::new(source) });
            }
            outcome => outcome?,
        };
        match outcome {
            Outcome::Stored(_) => terminal.step(&outcome.summary(begun.elapsed())),
            Outcome::Shown { .. } if output.for_people() => terminal.step(&outcome.summary(begun.elapsed())),
            _ => {}
        }
    }
    Ok(())
}

/// Runs one statement.
///
/// # Errors
/// It fails, or its result cannot be written.
pub(super) async fn run(
    session: &Session,
    statement: Statement,
    output: &mut Output,
    terminal: &Terminal,
) -> Result<Outcome> {
    let plan = session.plan(statement).await?;
    run_logical(session, plan, output, terminal).await
}

/// [`run`] for a statement that is planned.
///
/// # Errors
/// As there.
pub(super) async fn run_logical(
    session: &Session,
    plan: LogicalPlan,
    output: &mut Output,
    terminal: &Terminal,
) -> Result<Outcome> {
    let frame = session.execute(plan).await?;
    let (state, logical) = frame.into_parts();
    let stores = matches!(logical, LogicalPlan::Copy(_) | LogicalPlan::Dml(_));
    // A plan is read as a whole or not at all; a training that is not read to its end is cancelled.
    let trains = logical.exists(|plan| Ok(CallNode::of(plan).is_some_and(|node| node.call.training().is_some())))?;
    let whole = trains || matches!(logical, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
    let frame = DataFrame::new(state, logical.clone());
    let outcome = run_plan(frame, stores, whole, output, terminal).await;
    match outcome {
        Err(CliError::Query(error)) => Err(files::blame(session.context(), &logical, *error).await.into()),
        outcome => outcome,
    }
}

/// Runs a planned statement.
async fn run_plan(
    frame: DataFrame,
    stores: bool,
    whole: bool,
    output: &mut Output,
    terminal: &Terminal,
) -> Result<Outcome> {
    let format = frame.task_ctx().session_config().options().format.clone();
    let task = frame.task_ctx();
    let plan = frame.create_physical_plan().await?;
    let schema = plan.schema();
    let watch = if output.streams_to_terminal() { None } else { terminal.watch(&plan) };
    let stream = execute_stream(plan, task.into())?;
    if stores {
        return Ok(Outcome::Stored(stored(stream).await?));
    }
    if schema.fields().is_empty() {
        drain(stream).await?;
        return Ok(Outcome::Done);
    }
    let written = output.write(schema, stream, &format, whole, watch).await?;
    Ok(Outcome::Shown { rows: written.rows, cut: written.cut })
}

/// The sum of the counts that `COPY` and `INSERT` give.
async fn stored(mut stream: SendableRecordBatchStream) -> Result<u64> {
    let mut count = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        if let Some(counts) = batch.columns().first().and_then(|column| column.as_primitive_opt::<UInt64Type>()) {
            count += counts.iter().flatten().sum::<u64>();
        }
    }
    Ok(count)
}

async fn drain(mut stream: SendableRecordBatchStream) -> Result<()> {
    while let Some(batch) = stream.next().await {
        batch?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_under_a_result_counts_rows() {
        let time = Duration::from_millis(1500);
        assert_eq!(Outcome::Shown { rows: 1, cut: false }.summary(time), "1 row in 1.500 s");
        assert_eq!(Outcome::Shown { rows: 40, cut: true }.summary(time), "the first 40 rows; there are more (1.500 s)");
        assert_eq!(Outcome::Stored(1234).summary(time), "1,234 rows written in 1.500 s");
        assert_eq!(Outcome::Done.summary(time), "done in 1.500 s");
    }
}
