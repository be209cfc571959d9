//! One statement of a client: takes a session and a plan; gives the stream of its rows.
//!
//! Planning and computing happen on the threads of the engine, never on those that serve sockets: a query that computes for
//! long keeps no client from being heard. Dropping what is given here stops the work: nothing is computed that nobody reads.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{SchemaRef, UInt64Type};
use datafusion::common::{Result, exec_datafusion_err, internal_datafusion_err};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::engine::interrupt::{Interrupt, Interrupted, interruptible};
use crate::engine::{Session, Statement, files};

/// The threads that queries run on.
#[derive(Debug, Clone)]
pub struct Compute(Handle);

impl Compute {
    /// The threads of this runtime.
    pub fn on(runtime: Handle) -> Self {
        Self(runtime)
    }

    /// The threads.
    pub fn threads(&self) -> &Handle {
        &self.0
    }

    /// Begins work there, which stops when what is returned is dropped.
    pub fn start<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Task<T> {
        Task(self.0.spawn(work))
    }

    /// Plans a statement. Nothing is run yet.
    pub fn plan(&self, session: &Arc<Session>, statement: Statement) -> Task<LogicalPlan> {
        let session = Arc::clone(session);
        self.start(async move { session.plan(statement).await })
    }

    /// Starts a plan. The rows come as they are read: no more than two batches are computed ahead.
    ///
    /// # Errors
    /// The plan cannot be run. What goes wrong later is given by the rows.
    pub async fn run(&self, session: &Arc<Session>, plan: LogicalPlan) -> Result<Rows> {
        let (sender, mut batches) = channel(1);
        let session = Arc::clone(session);
        let interrupt = Interrupt::default();
        let flag = interrupt.flag();
        let task = self.start(async move {
            if let Err(error) = stream(&session, &plan, &flag, &sender).await {
                let error = files::blame(session.context(), &plan, error).await;
                // Who does not listen any more does not want to know.
                let _ = sender.send(Err(error)).await;
            }
            Ok(())
        });
        match batches.recv().await {
            Some(Ok(Item::Schema(schema))) => Ok(Rows { schema, batches, task: Some(task), _interrupt: interrupt }),
            Some(Ok(Item::Batch(_))) => Err(exec_datafusion_err!("rows came before their schema")),
            Some(Err(error)) => Err(error),
            None => Err(task.await.err().unwrap_or_else(|| exec_datafusion_err!("the statement ended too early"))),
        }
    }
}

/// What a statement's task sends.
#[derive(Debug)]
enum Item {
    Schema(SchemaRef),
    Batch(RecordBatch),
}

/// Sends the schema of a plan, and then its batches as fast as they are taken.
async fn stream(
    session: &Session,
    plan: &LogicalPlan,
    flag: &Interrupted,
    sender: &Sender<Result<Item>>,
) -> Result<()> {
    let frame = session.execute(plan.clone()).await?;
    let task = Arc::new(frame.task_ctx());
    let physical: Arc<dyn ExecutionPlan> = frame.create_physical_plan().await?;
    let mut batches = execute_stream(interruptible(physical, flag)?, task)?;
    if sender.send(Ok(Item::Schema(batches.schema()))).await.is_err() {
        return Ok(());
    }
    while let Some(batch) = batches.next().await {
        if sender.send(Ok(Item::Batch(batch?))).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The rows of a statement that runs.
#[derive(Debug)]
pub struct Rows {
    schema: SchemaRef,
    batches: Receiver<Result<Item>>,
    /// `None` once it has ended.
    task: Option<Task<()>>,
    /// Dropped with the rows.
    _interrupt: Interrupt,
}

impl Rows {
    /// Their columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next batch that has rows; `None` at the end. Can be dropped at any time and called again.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            match self.batches.recv().await {
                Some(Ok(Item::Batch(batch))) if batch.num_rows() > 0 => return Ok(Some(batch)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                // The task says nothing more: it has ended, perhaps by a panic.
                None => {
                    let Some(task) = &mut self.task else { return Ok(None) };
                    let ended = task.await;
                    self.task = None;
                    return ended.map(|()| None);
                }
            }
        }
    }

    /// Reads all of it; gives the sum of the counts that COPY and INSERT give.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn count(&mut self) -> Result<u64> {
        let mut count = 0;
        while let Some(batch) = self.next().await? {
            if let Some(counts) = batch.columns().first().and_then(|column| column.as_primitive_opt::<UInt64Type>()) {
                count += counts.iter().flatten().sum::<u64>();
            }
        }
        Ok(count)
    }
}

/// Work on the engine's threads, which stops when this is dropped.
#[derive(Debug)]
pub struct Task<T>(JoinHandle<Result<T>>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll(context)) {
            Ok(result) => result,
            Err(error) if error.is_panic() => Err(internal_datafusion_err!(
                "the statement ended by a panic, of which the server's stderr says more; please report it"
            )),
            Err(_) => Err(exec_datafusion_err!("the statement was cancelled")),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use datafusion::common::DataFusionError;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_no_mistake_of_the_client() {
        let compute = Compute::on(Handle::current());
        let error = compute.start::<()>(async { panic!("a bug") }).await.unwrap_err();
        assert!(matches!(error, DataFusionError::Internal(_)), "{error}");
        // Those who wait for another statement are not disturbed.
        assert_eq!(compute.start(async { Ok(7) }).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_stops() {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let task = Compute::on(Handle::current()).start(async move {
            let _kept = sender;
            std::future::pending::<Result<()>>().await
        });
        drop(task);
        assert!(receiver.await.is_err(), "what it held is let go");
    }
}
