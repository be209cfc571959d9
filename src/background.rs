//! Work that computes for a while, beside a query that listens: takes what is to be done, gives a stream of its results.
//!
//! The work has a thread of its own. When nobody listens any more it is told to stop, and dropping the stream waits until it
//! has. What only waits for the disk is done by [`blocking`], and goes on to its end.

use std::thread::{self, JoinHandle};

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where work leaves its results.
#[derive(Debug)]
pub(crate) struct Listener<T>(UnboundedSender<Result<T>>);

impl<T> Listener<T> {
    /// Hands a result over; who does not listen any more does not get it.
    pub(crate) fn send(&self, result: Result<T>) {
        let _ = self.0.send(result);
    }

    /// Whether nobody listens any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// Starts `work` on a thread named `function`.
///
/// # Errors
/// There can be no more threads.
pub(crate) fn start<T: Send + 'static>(
    function: &'static str,
    work: impl FnOnce(&Listener<T>) + Send + 'static,
) -> Result<BoxStream<'static, Result<T>>> {
    let (sender, receiver) = unbounded_channel();
    let listener = Listener(sender);
    let thread = thread::Builder::new().name(format!("debut-{function}")).spawn(move || work(&listener))?;
    let results = Results { function, receiver, thread: Some(thread) };
    Ok(stream::unfold(results, |mut results| async move { results.next().await.map(|result| (result, results)) })
        .boxed())
}

/// Does what waits for the disk, off the query's threads.
///
/// # Errors
/// Those of the work.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    SpawnedTask::spawn_blocking(work).await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

struct Results<T> {
    function: &'static str,
    receiver: UnboundedReceiver<Result<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T> Results<T> {
    async fn next(&mut self) -> Option<Result<T>> {
        if let Some(result) = self.receiver.recv().await {
            return Some(result);
        }
        match self.thread.take()?.join() {
            Ok(()) => None,
            Err(_) => Some(Err(exec_datafusion_err!(
                "{} failed: an internal error of Debut, of which stderr says more; please report it",
                self.function
            ))),
        }
    }
}

impl<T> Drop for Results<T> {
    fn drop(&mut self) {
        self.receiver.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of {} had panicked", self.function);
        }
    }
}
