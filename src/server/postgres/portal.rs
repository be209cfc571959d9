//! A portal: a statement with its values, and as many of its rows as were not asked for yet. A cursor is one, too.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use datafusion::common::Result as EngineResult;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement as PlanStatement, WriteOp};
use futures::FutureExt;

use super::encode::{self, Column, Plain};
use super::error::{PgError, codes};
use super::interrupt::{Interrupts, Stop};
use super::prepare::Prepared;
use super::wire::Wire;
use crate::server::statement::Rows;

/// Rows are sent when so many bytes of them are there.
const CHUNK: usize = 64 << 10;
/// Rows that are encoded between two looks at the size.
const ROWS: usize = 64;

/// A statement with its values.
#[derive(Debug)]
pub(super) struct Portal {
    /// The statement.
    pub(super) prepared: Arc<Prepared>,
    /// What to run, if it is the engine's; the values are in it.
    pub(super) plan: Option<LogicalPlan>,
    /// The formats of its columns.
    pub(super) formats: Vec<i16>,
    /// What came of it so far.
    pub(super) state: State,
    /// Whether it is a cursor that outlives its transaction.
    pub(super) hold: bool,
}

/// How far a portal is.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing was asked for.
    New,
    /// Rows come.
    Running(Box<Delivery>),
    /// There are no more.
    Ended,
}

/// The rows of a statement on their way to the client.
#[derive(Debug)]
pub(super) struct Delivery {
    rows: Rows,
    columns: Vec<Column>,
    /// What was computed and not sent, and which row of it is next.
    batch: Option<(Plain, usize)>,
}

/// What came of sending rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// How many.
    pub(super) rows: usize,
    /// Whether there are no more.
    pub(super) ended: bool,
}

impl Delivery {
    /// The rows of a statement that has started, of which the client is told that they have these columns.
    pub(super) fn new(rows: Rows, columns: Vec<Column>) -> Self {
        Self { rows, columns, batch: None }
    }

    /// The columns.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Sends rows in these columns, at most `most`; all if `None`. Rows are computed as fast as the client reads them.
    ///
    /// # Errors
    /// The statement fails, or is interrupted. What was appended before is whole.
    pub(super) async fn send(
        &mut self,
        columns: &[Column],
        most: Option<usize>,
        interrupts: &mut Interrupts,
        wire: &mut Wire,
    ) -> Result<Sent, Stop> {
        self.send_as(most, interrupts, wire, |batch, rows, output| batch.write(rows, columns, output)).await
    }

    /// Sends rows as `write` writes them, at most `most`; all if `None`.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) async fn send_as(
        &mut self,
        most: Option<usize>,
        interrupts: &mut Interrupts,
        wire: &mut Wire,
        write: impl Fn(&Plain, Range<usize>, &mut BytesMut) -> Result<(), PgError>,
    ) -> Result<Sent, Stop> {
        let mut sent = 0;
        loop {
            let left = most.map_or(usize::MAX, |most| most - sent);
            if left == 0 {
                return Ok(Sent { rows: sent, ended: false });
            }
            let Some((batch, next)) = &mut self.batch else {
                match self.next(interrupts, wire).await? {
                    Some(batch) => self.batch = Some((batch, 0)),
                    None => return Ok(Sent { rows: sent, ended: true }),
                }
                continue;
            };
            let end = batch.rows().min(*next + ROWS.min(left));
            write(batch, *next..end, &mut wire.output)?;
            sent += end - *next;
            *next = end;
            if end == batch.rows() {
                self.batch = None;
            }
            if wire.output.len() >= CHUNK {
                interrupts.send(wire).await?;
            }
        }
    }

    /// Reads over rows, at most `most`; all if `None`.
    ///
    /// # Errors
    /// The statement fails, or is interrupted.
    pub(super) async fn skip(
        &mut self,
        most: Option<usize>,
        interrupts: &mut Interrupts,
        wire: &mut Wire,
    ) -> Result<Sent, Stop> {
        let mut skipped = 0;
        while most.is_none_or(|most| skipped < most) {
            let Some((batch, next)) = &mut self.batch else {
                match self.next(interrupts, wire).await? {
                    Some(batch) => self.batch = Some((batch, 0)),
                    None => return Ok(Sent { rows: skipped, ended: true }),
                }
                continue;
            };
            let step = (batch.rows() - *next).min(most.map_or(usize::MAX, |most| most - skipped));
            (skipped, *next) = (skipped + step, *next + step);
            if *next == batch.rows() {
                self.batch = None;
            }
        }
        Ok(Sent { rows: skipped, ended: false })
    }

    async fn next(&mut self, interrupts: &mut Interrupts, wire: &mut Wire) -> Result<Option<Plain>, Stop> {
        let batch = match self.rows.next().now_or_never() {
            Some(batch) => batch,
            None => {
                // What is there is worth seeing while the rest is computed.
                interrupts.send(wire).await?;
                interrupts.during(wire, self.rows.next()).await?
            }
        };
        match batch {
            Ok(Some(batch)) => Ok(Some(Plain::new(&batch, &self.columns)?)),
            Ok(None) => Ok(None),
            Err(error) => Err(PgError::of_engine(&error, "").into()),
        }
    }

    /// Reads the counts of a statement that writes.
    pub(super) async fn count(&mut self) -> EngineResult<u64> {
        self.rows.count().await
    }
}

/// What a plan gives a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// Rows, of which the tag tells the number.
    Rows(&'static str),
    /// Rows, and a tag without a number.
    Told(&'static str),
    /// No rows: they were written somewhere. The tag tells their number.
    Count(&'static str),
    /// Nothing.
    Nothing(&'static str),
}

impl Gives {
    /// What this plan gives.
    pub(super) fn of(plan: &LogicalPlan) -> Self {
        match plan {
            LogicalPlan::Ddl(ddl) => Self::Nothing(match ddl {
                DdlStatement::CreateExternalTable(_) | DdlStatement::CreateMemoryTable(_) => "CREATE TABLE",
                DdlStatement::CreateView(_) => "CREATE VIEW",
                DdlStatement::CreateCatalogSchema(_) => "CREATE SCHEMA",
                DdlStatement::CreateCatalog(_) => "CREATE DATABASE",
                DdlStatement::CreateIndex(_) => "CREATE INDEX",
                DdlStatement::DropTable(_) => "DROP TABLE",
                DdlStatement::DropView(_) => "DROP VIEW",
                DdlStatement::DropCatalogSchema(_) => "DROP SCHEMA",
                DdlStatement::CreateFunction(_) => "CREATE FUNCTION",
                DdlStatement::DropFunction(_) => "DROP FUNCTION",
            }),
            LogicalPlan::Statement(statement) => match statement {
                PlanStatement::SetVariable(_) => Self::Nothing("SET"),
                PlanStatement::ResetVariable(_) => Self::Nothing("RESET"),
                PlanStatement::Prepare(_) => Self::Nothing("PREPARE"),
                PlanStatement::Deallocate(_) => Self::Nothing("DEALLOCATE"),
                PlanStatement::Execute(_) => Self::Rows("SELECT"),
                _ => Self::Nothing("OK"),
            },
            LogicalPlan::Copy(_) => Self::Count("COPY"),
            LogicalPlan::Dml(dml) => Self::Count(match dml.op {
                WriteOp::Insert(_) => "INSERT 0",
                WriteOp::Delete => "DELETE",
                WriteOp::Update => "UPDATE",
                WriteOp::Ctas => "SELECT",
                WriteOp::Truncate => "TRUNCATE",
                _ => "MERGE",
            }),
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => Self::Told("EXPLAIN"),
            _ => Self::Rows("SELECT"),
        }
    }

    /// Whether there is a result to describe.
    pub(super) fn rows(self) -> bool {
        matches!(self, Self::Rows(_) | Self::Told(_))
    }

    /// Whether it changes something that a ROLLBACK would have to undo.
    pub(super) fn writes(self) -> bool {
        match self {
            Self::Count(_) => true,
            Self::Nothing(tag) => tag.starts_with("CREATE") || tag.starts_with("DROP"),
            Self::Rows(_) | Self::Told(_) => false,
        }
    }

    /// CommandComplete's text.
    pub(super) fn tag(self, count: u64) -> String {
        match self {
            Self::Rows(tag) | Self::Count(tag) => format!("{tag} {count}"),
            Self::Told(tag) | Self::Nothing(tag) => tag.to_string(),
        }
    }
}

/// Appends RowDescription of columns, or NoData where there are none.
pub(super) fn describe(output: &mut BytesMut, columns: Option<&[Column]>) {
    match columns {
        Some(columns) => encode::describe(output, columns),
        None => super::backend::no_data(output),
    }
}

/// How a statement ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// It is done: CommandComplete's text.
    Complete(String),
    /// There may be more rows than were asked for.
    Suspended,
    /// There was nothing to do.
    Empty,
}

/// There is no such portal or cursor.
pub(super) fn no_portal(name: &str) -> PgError {
    let message = match name {
        "" => "portal \"\" does not exist".to_string(),
        name => format!("cursor \"{name}\" does not exist"),
    };
    PgError::error(codes::INVALID_CURSOR_NAME, message)
}
