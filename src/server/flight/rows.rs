//! A result on its way to a client: takes the rows of a statement; gives messages of Flight, as fast as the client reads.

use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use super::session::Client;
use super::{internal, status, wire};
use crate::server::shared::{Phase, reached};
use crate::server::statement::Rows;

/// Messages of Flight.
pub(super) type Messages = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// What ends a result before its last row.
pub(super) struct Limits {
    /// When it must have been read.
    pub(super) deadline: Option<Instant>,
    /// What the server is doing.
    pub(super) phase: watch::Receiver<Phase>,
    /// Whether the client wants no more.
    pub(super) cancelled: watch::Receiver<bool>,
}

/// A result that is being read. Dropping it stops the statement.
struct Running {
    rows: Rows,
    limits: Limits,
    schema: SchemaRef,
    client: Arc<Client>,
    number: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.client.ended(self.number);
    }
}

/// The messages of a result, in the schema that was promised. `number` is its plan's.
pub(super) fn messages(client: Arc<Client>, number: u64, schema: SchemaRef, rows: Rows, limits: Limits) -> Messages {
    let running = Running { rows, limits, schema: Arc::clone(&schema), client, number };
    let batches = futures::stream::try_unfold(running, |mut running| async move {
        Ok(running.next().await?.map(|batch| (batch, running)))
    });
    encode(schema, batches)
}

/// A batch that is there already, such as a list of tables.
pub(super) fn one(batch: RecordBatch) -> Messages {
    encode(batch.schema(), futures::stream::iter([Ok(batch)]))
}

fn encode(schema: SchemaRef, batches: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static) -> Messages {
    let batches = batches.map_err(|status| FlightError::Tonic(Box::new(status)));
    FlightDataEncoderBuilder::new().with_schema(schema).build(batches).map_err(Status::from).boxed()
}

impl Running {
    async fn next(&mut self) -> Result<Option<RecordBatch>, Status> {
        let Limits { deadline, phase, cancelled } = &mut self.limits;
        let next = tokio::select! {
            next = self.rows.next() => next.map_err(|error| status(&error))?,
            () = over(*deadline) => return Err(too_long()),
            () = reached(phase, Phase::Stopping) => return Err(Status::unavailable("the server is shutting down")),
            Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => return Err(Status::cancelled("cancelled by the client")),
        };
        next.map(|batch| wire::batch(&batch, &self.schema).map_err(internal)).transpose()
    }
}

/// The work, unless it takes too long.
///
/// # Errors
/// It fails, or takes too long.
pub(super) async fn in_time<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    tokio::select! {
        result = work => result,
        () = over(deadline) => Err(too_long()),
    }
}

async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn too_long() -> Status {
    Status::deadline_exceeded("cancelled: the statement took longer than the server's --statement-timeout")
}
