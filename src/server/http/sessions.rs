//! SQL for a request: takes a text of ours, the values and tables of the client; gives rows as JSON.
//!
//! Nothing of a client's is ever part of the text: values are bound to `$names`, rows are tables in memory, and the name of a
//! file takes the place of a table's name after the text was parsed. Every request has a session of its own.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::json::WriterBuilder;
use arrow::json::writer::JsonArray;
use arrow::record_batch::RecordBatch;
use axum::http::StatusCode;
use datafusion::common::{Result as EngineResult, exec_datafusion_err};
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, visit_relations_mut};
use futures::StreamExt;

use super::error::{ApiError, Result};
use super::state::HttpState;
use crate::engine::statements::Kind;
use crate::engine::{Parameters, Session};
use crate::server::statement::Compute;

/// Longest answer, in bytes of JSON.
const MAX_ANSWER: usize = 64 << 20;

/// One statement, and what of the client's is in it.
#[derive(Debug, Default)]
pub(super) struct Query {
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
        let collected = Compute::on(state.engine.threads.clone()).start(async move {
            let session = (on.engine.open_session)()?;
            self.collect(&session).await
        });
        collected.await?.ok_or_else(|| {
            let message = format!("the answer is longer than {MAX_ANSWER} bytes: ask for fewer rows");
            ApiError::new(StatusCode::BAD_REQUEST, "answer_too_large", message)
        })
    }

    /// `None` where there is too much.
    async fn collect(self, session: &Session) -> EngineResult<Option<Vec<u8>>> {
        for (name, rows) in self.rows {
            session.context().register_batch(name, rows)?;
        }
        let mut statement =
            session.statements(&self.text)?.pop().ok_or_else(|| exec_datafusion_err!("an empty query"))?;
        if let Kind::Sql(statement) = &mut statement.kind {
            self.parameters.bind(statement, &mut BTreeSet::new())?;
            replace_tables(statement, &self.locations);
        }
        let mut batches = session.run(statement).await?.execute_stream().await?;
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
        while let Some(batch) = batches.next().await {
            writer.write(&batch?)?;
            if writer.get_mut().len() > MAX_ANSWER {
                return Ok(None);
            }
        }
        writer.finish()?;
        Ok(Some(writer.into_inner()))
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
