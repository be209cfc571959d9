//! The extended protocol: statements that are prepared, get values, and are run, each by a message of its own.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use super::backend;
use super::connection::Connection;
use super::copy::{self, CopyOut, Layout};
use super::encode::{self, Column, Format};
use super::error::{PgError, codes};
use super::frontend::{Bind, Target};
use super::interrupt::{Interrupts, Stop};
use super::parameters;
use super::portal::{self, Finished, Gives, Portal, State, no_portal};
use super::prepare::{self, Command, Prepared};
use super::script::Piece;
use super::utility::{self, Utility};
use super::{catalog, show};

impl Connection {
    /// Parse.
    pub(super) async fn parse(&mut self, name: String, sql: &str, types: &[u32]) -> Result<(), Stop> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(PgError::error(codes::DUPLICATE_PREPARED_STATEMENT, message).into());
        }
        let mut interrupts = self.interrupts();
        let pieces = self.split(sql, &mut interrupts).await?;
        let prepared = match pieces.as_slice() {
            [] => Prepared::plain(Command::Empty, sql),
            [piece] => self.prepare(piece, types, &mut interrupts).await.map_err(|stop| placed(piece, stop))?,
            _ => {
                let message = "cannot insert multiple commands into a prepared statement";
                return Err(PgError::error(codes::SYNTAX_ERROR, message).into());
            }
        };
        self.statements.insert(name, Arc::new(prepared));
        backend::parsed(&mut self.wire.output);
        Ok(())
    }

    /// Understands and plans a statement.
    ///
    /// # Errors
    /// It cannot be planned, or something came before.
    pub(super) async fn prepare(
        &mut self,
        piece: &Piece<'_>,
        types: &[u32],
        interrupts: &mut Interrupts,
    ) -> Result<Prepared, Stop> {
        if let Some(CopyOut { query, layout }) = copy::of(piece)? {
            return self.prepare_copy(piece, query, layout, interrupts).await;
        }
        let utility = utility::of(piece)?;
        if !utility.as_ref().is_some_and(Utility::ends_failure) {
            self.check_transaction()?;
        }
        let (query, declared) = match utility {
            Some(Utility::Declare { name, binary, hold, query }) => (piece.from(query), Some((name, binary, hold))),
            Some(utility) => {
                let schema = show::columns(&utility, &self.settings.lock());
                return Ok(Prepared { schema, ..Prepared::plain(Command::Utility(utility), piece.sql) });
            }
            None => (piece.from(0), None),
        };
        let session = self.session(interrupts).await?;
        let of_engine = |error| PgError::of_engine(&error, query.sql);
        let statement = match catalog::rewrite(&query).map_err(of_engine)? {
            Some(statement) => statement,
            None => {
                let mut statements = session.statements(query.sql).map_err(of_engine)?;
                match (statements.pop(), statements.is_empty()) {
                    (Some(statement), true) => statement,
                    _ => return Err(PgError::error(codes::SYNTAX_ERROR, "this is not one statement").into()),
                }
            }
        };
        let count = prepare::parameter_count(&query)?;
        let mut known = prepare::known_types(types)?;
        prepare::written_types(&query, &mut known);
        let planned = {
            let statement = statement.clone();
            self.shared.compute.start(async move { prepare::plan(&session, statement, count, known).await })
        };
        let planned = interrupts.during(&mut self.wire, planned).await?;
        let (plan, parameters, described) = planned.map_err(of_engine)?;
        let (command, schema) = match declared {
            Some((name, binary, hold)) => (Command::Declare { name, binary, hold, query: statement }, None),
            None => {
                let schema = Gives::of(&described).rows().then(|| prepare::schema(&described));
                (Command::Engine(statement), schema)
            }
        };
        Ok(Prepared { command, sql: piece.sql.to_string(), parameters, plan, schema })
    }

    /// Understands and plans COPY ... TO STDOUT by its query.
    async fn prepare_copy(
        &mut self,
        piece: &Piece<'_>,
        query: String,
        layout: Layout,
        interrupts: &mut Interrupts,
    ) -> Result<Prepared, Stop> {
        let pieces = self.split(&query, interrupts).await?;
        let [inner] = pieces.as_slice() else {
            return Err(PgError::error(codes::SYNTAX_ERROR, "COPY ... TO STDOUT takes one query").into());
        };
        // An error's place is one in the query, not in the statement.
        let unplaced = |stop| match stop {
            Stop::Error(error) => Stop::Error(PgError { position: None, ..error }),
            Stop::Gone => Stop::Gone,
        };
        let prepared = Box::pin(self.prepare(inner, &[], interrupts)).await.map_err(unplaced)?;
        match prepared.command {
            Command::Engine(query) if prepared.schema.is_some() => {
                let command = Command::Copy { layout, query };
                Ok(Prepared { command, sql: piece.sql.to_string(), schema: None, ..prepared })
            }
            _ => Err(PgError::error(codes::SYNTAX_ERROR, "COPY ... TO STDOUT needs a query that gives rows").into()),
        }
    }

    /// Bind.
    pub(super) async fn bind(&mut self, bind: Bind) -> Result<(), Stop> {
        let Some(prepared) = self.statements.get(&bind.statement).cloned() else {
            return Err(no_statement(&bind.statement).into());
        };
        if !prepared.ends_failure() {
            self.check_transaction()?;
        }
        if !bind.portal.is_empty() && self.portals.contains_key(&bind.portal) {
            let message = format!("cursor \"{}\" already exists", bind.portal);
            return Err(PgError::error(codes::DUPLICATE_CURSOR, message).into());
        }
        let expected = prepared.parameters.len();
        if bind.parameters.len() != expected {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {expected}",
                bind.parameters.len(),
                bind.statement
            );
            return Err(PgError::error(codes::PROTOCOL_VIOLATION, message).into());
        }
        let formats = Format::of_codes(&bind.parameter_formats, expected)?;
        let values = prepared.parameters.iter().zip(formats).zip(&bind.parameters);
        let values = values.map(|((parameter, format), value)| {
            parameters::decode(&parameter.pg_type, parameter.target.as_ref(), format, value.as_deref())
        });
        let values = values.collect::<Result<_, _>>()?;
        let mut interrupts = self.interrupts();
        let plan = self.plan_with(&prepared, values, &mut interrupts).await?;
        // Told now, because the client may never describe the portal.
        if let Some(schema) = &prepared.schema {
            encode::columns(schema, &bind.result_formats, self.settings.lock().vectors())?;
        }
        let portal = Portal { prepared, plan, formats: bind.result_formats, state: State::New, hold: false };
        self.portals.insert(bind.portal, portal);
        backend::bound(&mut self.wire.output);
        Ok(())
    }

    /// The plan of a statement with these values.
    ///
    /// # Errors
    /// There is none, or something came before.
    pub(super) async fn plan_with(
        &mut self,
        prepared: &Arc<Prepared>,
        values: Vec<datafusion::common::ScalarValue>,
        interrupts: &mut Interrupts,
    ) -> Result<Option<LogicalPlan>, Stop> {
        if prepared.statement().is_none() {
            return Ok(None);
        }
        let session = self.session(interrupts).await?;
        let bound = {
            let prepared = Arc::clone(prepared);
            self.shared.compute.start(async move { prepare::bind(&session, &prepared, values).await })
        };
        let bound = interrupts.during(&mut self.wire, bound).await?;
        Ok(bound.map_err(|error| PgError::of_engine(&error, &prepared.sql))?)
    }

    /// Describe.
    pub(super) fn describe(&mut self, target: &Target) -> Result<(), Stop> {
        let (prepared, formats) = match target {
            Target::Statement(name) => {
                let Some(prepared) = self.statements.get(name) else { return Err(no_statement(name).into()) };
                (Arc::clone(prepared), None)
            }
            Target::Portal(name) => {
                let Some(portal) = self.portals.get(name) else { return Err(no_portal(name).into()) };
                (Arc::clone(&portal.prepared), Some(portal.formats.clone()))
            }
        };
        if !prepared.ends_failure() {
            self.check_transaction()?;
        }
        let columns = self.columns(&prepared, formats.as_deref().unwrap_or_default())?;
        if formats.is_none() {
            let oids: Vec<u32> = prepared.parameters.iter().map(|parameter| parameter.pg_type.oid()).collect();
            backend::parameter_types(&mut self.wire.output, &oids);
        }
        portal::describe(&mut self.wire.output, columns.as_deref());
        Ok(())
    }

    /// The columns of what a statement gives: its own, or those of the cursor that it reads.
    fn columns(&self, prepared: &Prepared, formats: &[i16]) -> Result<Option<Vec<Column>>, PgError> {
        let vectors = self.settings.lock().vectors();
        let cursor = match &prepared.command {
            Command::Utility(Utility::Fetch { cursor, silent: false, .. }) => Some(cursor),
            _ => None,
        };
        let Some(cursor) = cursor else {
            let columns = |schema: &datafusion::arrow::datatypes::SchemaRef| encode::columns(schema, formats, vectors);
            return prepared.schema.as_ref().map(columns).transpose();
        };
        let portal = self.portals.get(cursor).ok_or_else(|| no_portal(cursor))?;
        let schema = portal.prepared.schema.as_ref();
        schema.map(|schema| encode::columns(schema, formats, vectors)).transpose()
    }

    /// Execute.
    pub(super) async fn execute_portal(&mut self, name: &str, max_rows: usize) -> Result<(), Stop> {
        let Some(mut portal) = self.portals.remove(name) else { return Err(no_portal(name).into()) };
        if !portal.prepared.ends_failure() {
            self.check_transaction()?;
        }
        let mut interrupts = self.interrupts();
        let most = (max_rows > 0).then_some(max_rows);
        let finished = self.execute(&mut portal, most, false, &mut interrupts).await?;
        match finished {
            Finished::Complete(tag) => backend::complete(&mut self.wire.output, &tag),
            Finished::Suspended => backend::suspended(&mut self.wire.output),
            Finished::Empty => backend::empty_query(&mut self.wire.output),
        }
        // A statement that ended the transaction, or closed everything, ended this portal, too.
        if !portal.prepared.ends_portals() {
            self.portals.insert(name.to_string(), portal);
        }
        Ok(())
    }

    /// Close. What is not there is closed already.
    pub(super) fn close(&mut self, target: &Target) {
        match target {
            Target::Statement(name) => drop(self.statements.remove(name)),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        backend::closed(&mut self.wire.output);
    }
}

impl Prepared {
    /// Whether it may run in a transaction that has failed.
    fn ends_failure(&self) -> bool {
        match &self.command {
            Command::Utility(utility) => utility.ends_failure(),
            Command::Empty => true,
            Command::Engine(_) | Command::Copy { .. } | Command::Declare { .. } => false,
        }
    }

    /// Whether no portal is left after it.
    fn ends_portals(&self) -> bool {
        let ends = |utility: &Utility| {
            matches!(utility, Utility::Commit | Utility::Rollback | Utility::DiscardAll | Utility::CloseAll)
        };
        matches!(&self.command, Command::Utility(utility) if ends(utility))
    }
}

/// Says where in the whole text an error is.
pub(super) fn placed(piece: &Piece<'_>, stop: Stop) -> Stop {
    match stop {
        Stop::Error(error) => Stop::Error(piece.placed(error)),
        Stop::Gone => Stop::Gone,
    }
}

fn no_statement(name: &str) -> PgError {
    let message = match name {
        "" => "unnamed prepared statement does not exist".to_string(),
        name => format!("prepared statement \"{name}\" does not exist"),
    };
    PgError::error(codes::INVALID_STATEMENT_NAME, message)
}
