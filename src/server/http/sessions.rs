//! SQL for a request: takes a text of ours, the values and tables of the client; gives rows as JSON.
//!
//! Nothing of a client's is ever part of the text: values are bound to `$names`, rows are tables in memory, and the name of a
//! file takes the place of a table's name after the text was parsed. Every request has a session of its own.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::json::WriterBuilder;
use arrow::json::writer::JsonArray;
use arrow::record_batch::RecordBatch;
use axum::http::StatusCode;
use datafusion::common::{Result as EngineResult, exec_datafusion_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, visit_relations_mut};
use futures::{StreamExt, TryStreamExt};

use super::error::{ApiError, Result};
use super::page_file::Page;
use super::state::HttpState;
use super::values::Id;
use crate::engine::statements::Kind;
use crate::engine::{Parameters, Session};
use crate::server::statement::Compute;

/// Longest answer, in bytes of JSON.
const MAX_ANSWER: usize = 64 << 20;

/// One statement, and what of the client's is in it.
#[derive(Debug, Default)]
pub(super) struct Query {
    page: Option<Arc<Page>>,
    text: String,
    parameters: Parameters,
    rows: Vec<(&'static str, RecordBatch)>,
    locations: Vec<(&'static str, String)>,
}

/// Where rows of a client come from.
#[derive(Debug, Clone)]
pub(super) enum Table {
    /// They stood in the request.
    Rows(RecordBatch),
    /// A file or folder that is served.
    Location(String),
}

impl Query {
    /// A query that begins with this text.
    pub(super) fn new(text: &'static str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// Runs it where the views of the page are.
    pub(super) fn on(self, page: &Arc<Page>) -> Self {
        Self { page: Some(Arc::clone(page)), ..self }
    }

    /// Adds text.
    pub(super) fn text(&mut self, text: &'static str) {
        self.text.push_str(text);
    }

    /// Binds `$name` to a text.
    ///
    /// # Errors
    /// It is bound already.
    pub(super) fn bind_text(&mut self, name: &str, value: &str) -> EngineResult<()> {
        self.parameters.add(name, &format!("'{}'", value.replace('\'', "''")))
    }

    /// Binds `$name` to a number or a truth value.
    ///
    /// # Errors
    /// It is bound already.
    pub(super) fn bind(&mut self, name: &str, value: impl std::fmt::Display) -> EngineResult<()> {
        self.parameters.add(name, &value.to_string())
    }

    /// Binds `$name` to an id.
    ///
    /// # Errors
    /// It is bound already.
    pub(super) fn bind_id(&mut self, name: &str, id: &Id) -> EngineResult<()> {
        match id {
            Id::Integer(integer) => self.bind(name, integer),
            Id::Text(text) => self.bind_text(name, text),
        }
    }

    /// Gives rows to the table that the text calls `name`.
    pub(super) fn table(&mut self, name: &'static str, table: Table) {
        match table {
            Table::Rows(rows) => self.rows.push((name, rows)),
            Table::Location(location) => self.locations.push((name, location)),
        }
    }

    /// Runs the query on the engine's threads; gives an array of objects. Dropping the future stops it.
    ///
    /// # Errors
    /// The engine refuses or fails, or the answer is too long.
    pub(super) async fn run(self, state: &Arc<HttpState>) -> Result<Vec<u8>> {
        let on = Arc::clone(state);
        let written = Compute::on(state.engine.threads.clone()).start(async move {
            let session = (on.engine.open_session)()?;
            let mut batches = self.stream(&session).await?;
            let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
            while let Some(batch) = batches.next().await {
                writer.write(&batch?)?;
                if writer.get_mut().len() > MAX_ANSWER {
                    return Ok(None);
                }
            }
            writer.finish()?;
            Ok(Some(writer.into_inner()))
        });
        written.await?.ok_or_else(|| {
            let message = format!("the answer is longer than {MAX_ANSWER} bytes: ask for fewer rows");
            ApiError::new(StatusCode::BAD_REQUEST, "answer_too_large", message)
        })
    }

    /// Runs the query on the engine's threads; gives its rows, for another query. Dropping the future stops it.
    ///
    /// # Errors
    /// The engine refuses or fails.
    pub(super) async fn rows(self, state: &Arc<HttpState>) -> Result<RecordBatch> {
        let on = Arc::clone(state);
        let collected = Compute::on(state.engine.threads.clone()).start(async move {
            let session = (on.engine.open_session)()?;
            let batches = self.stream(&session).await?;
            let schema = batches.schema();
            let batches: Vec<_> = batches.try_collect().await?;
            Ok(concat_batches(&schema, &batches)?)
        });
        Ok(collected.await?)
    }

    async fn stream(self, session: &Session) -> EngineResult<SendableRecordBatchStream> {
        if let Some(page) = &self.page {
            page.prepare(session).await?;
        }
        for (name, rows) in self.rows {
            session.context().register_batch(name, rows)?;
        }
        let mut statement =
            session.statements(&self.text)?.pop().ok_or_else(|| exec_datafusion_err!("an empty query"))?;
        if let Kind::Sql(statement) = &mut statement.kind {
            self.parameters.bind(statement, &mut BTreeSet::new())?;
            replace_tables(statement, &self.locations);
        }
        session.run(statement).await?.execute_stream().await
    }
}

/// Puts locations in the place of the tables of these names.
fn replace_tables(statement: &mut DataFusionStatement, locations: &[(&'static str, String)]) {
    let DataFusionStatement::Statement(statement) = statement else { return };
    let _ = visit_relations_mut(statement, |name| {
        let found = locations.iter().find(|(table, _)| name.to_string() == *table);
        if let Some((_, location)) = found {
            *name = ObjectName::from(vec![Ident::with_quote('"', location)]);
        }
        ControlFlow::<()>::Continue(())
    });
}
