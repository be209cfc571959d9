//! Running statements: the simple protocol's texts, and the portals of the extended one.

use std::sync::Arc;

use bytes::BytesMut;
use datafusion::logical_expr::LogicalPlan;

use super::backend::{self, Transaction};
use super::connection::Connection;
use super::copy::Layout;
use super::encode::{self, Plain};
use super::error::{PgError, codes};
use super::extended::placed;
use super::interrupt::{Interrupts, Stop};
use super::portal::{Delivery, Finished, Gives, Portal, Sent, State, no_portal};
use super::prepare::{Command, Prepared};
use super::show;
use super::utility::Utility;

impl Connection {
    /// A text of the simple protocol: its statements, one after another, until one fails.
    pub(super) async fn query(&mut self, sql: &str) -> Result<(), Stop> {
        let mut interrupts = self.interrupts();
        let pieces = self.split(sql, &mut interrupts).await?;
        if pieces.is_empty() {
            backend::empty_query(&mut self.wire.output);
        }
        for piece in &pieces {
            interrupts.restart(self.settings.lock().statement_timeout());
            let prepared = self.prepare(piece, &[], &mut interrupts).await.map_err(|stop| placed(piece, stop))?;
            if !prepared.parameters.is_empty() {
                return Err(PgError::error("42P02", "there is no parameter $1").into());
            }
            let plan = prepared.plan.clone();
            let prepared = Arc::new(prepared);
            let mut portal = Portal { prepared, plan, formats: Vec::new(), state: State::New, hold: false };
            if let Finished::Complete(tag) = self.execute(&mut portal, None, true, &mut interrupts).await? {
                backend::complete(&mut self.wire.output, &tag);
            }
        }
        self.ready().await
    }

    /// Runs a portal, or goes on with it, until so many rows are sent. In the simple protocol the client is told the
    /// columns first.
    ///
    /// # Errors
    /// The statement fails, or something came before its end.
    pub(super) async fn execute(
        &mut self,
        portal: &mut Portal,
        most: Option<usize>,
        simple: bool,
        interrupts: &mut Interrupts,
    ) -> Result<Finished, Stop> {
        let prepared = Arc::clone(&portal.prepared);
        match &prepared.command {
            Command::Empty => Ok(Finished::Empty),
            Command::Utility(utility) => self.utility(utility, &portal.formats, simple, interrupts).await,
            Command::Copy { layout, .. } => {
                let (Some(plan), State::New) = (portal.plan.clone(), &portal.state) else {
                    return Ok(Finished::Complete("COPY 0".to_string()));
                };
                portal.state = State::Ended;
                self.copy_out(plan, layout, interrupts).await
            }
            Command::Declare { name, binary, hold, .. } => self.declare(name, *binary, *hold, portal),
            Command::Engine(_) => {
                let Some(plan) = portal.plan.clone() else {
                    return Err(PgError::error(codes::INTERNAL_ERROR, "a statement was not planned").into());
                };
                self.run(portal, plan, most, simple, interrupts).await
            }
        }
    }

    async fn run(
        &mut self,
        portal: &mut Portal,
        plan: LogicalPlan,
        most: Option<usize>,
        simple: bool,
        interrupts: &mut Interrupts,
    ) -> Result<Finished, Stop> {
        let gives = Gives::of(&plan);
        self.wrote |= gives.writes();
        if matches!(portal.state, State::New) {
            let formats = portal.formats.clone();
            let mut delivery = self.start(plan, &formats, interrupts).await?;
            match gives {
                Gives::Count(_) | Gives::Nothing(_) => {
                    let counted = interrupts.during(&mut self.wire, delivery.count()).await?;
                    let count = counted.map_err(|error| PgError::of_engine(&error, &portal.prepared.sql))?;
                    portal.state = State::Ended;
                    return Ok(Finished::Complete(gives.tag(count)));
                }
                Gives::Rows(_) | Gives::Told(_) => {
                    if simple {
                        encode::describe(&mut self.wire.output, delivery.columns());
                    }
                    portal.state = State::Running(Box::new(delivery));
                }
            }
        }
        let State::Running(delivery) = &mut portal.state else { return Ok(Finished::Complete(gives.tag(0))) };
        let columns = delivery.columns().to_vec();
        let Sent { rows, ended } = delivery.send(&columns, most, interrupts, &mut self.wire).await?;
        if ended {
            portal.state = State::Ended;
            return Ok(Finished::Complete(gives.tag(rows as u64)));
        }
        Ok(Finished::Suspended)
    }

    /// Starts a plan, whose columns are to have these formats.
    async fn start(
        &mut self,
        plan: LogicalPlan,
        formats: &[i16],
        interrupts: &mut Interrupts,
    ) -> Result<Delivery, Stop> {
        let session = self.session(interrupts).await?;
        let compute = self.shared.compute.clone();
        let writes = !Gives::of(&plan).rows();
        let rows = interrupts.during(&mut self.wire, compute.run(&session, plan)).await?;
        let rows = rows.map_err(|error| PgError::of_engine(&error, ""))?;
        // Counts are not sent as rows.
        let formats = if writes { &[] } else { formats };
        let columns = encode::columns(rows.schema(), formats, self.settings.lock().vectors())?;
        Ok(Delivery::new(rows, columns))
    }

    /// COPY ... TO STDOUT: all rows, as text.
    async fn copy_out(
        &mut self,
        plan: LogicalPlan,
        layout: &Layout,
        interrupts: &mut Interrupts,
    ) -> Result<Finished, Stop> {
        if !Gives::of(&plan).rows() {
            return Err(PgError::error(codes::SYNTAX_ERROR, "COPY ... TO STDOUT needs a query that gives rows").into());
        }
        let mut delivery = self.start(plan, &[], interrupts).await?;
        let columns = delivery.columns().to_vec();
        backend::copy_out(&mut self.wire.output, columns.len());
        if layout.header {
            layout.names(&columns, &mut self.wire.output);
        }
        let write = |batch: &Plain, rows, output: &mut BytesMut| layout.rows(batch, rows, &columns, output);
        let Sent { rows, .. } = delivery.send_as(None, interrupts, &mut self.wire, write).await?;
        backend::copy_done(&mut self.wire.output);
        Ok(Finished::Complete(format!("COPY {rows}")))
    }

    /// DECLARE: the query runs when its first rows are fetched.
    fn declare(&mut self, name: &str, binary: bool, hold: bool, portal: &Portal) -> Result<Finished, Stop> {
        if self.transaction == Transaction::Idle && !hold {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(PgError::error(codes::NO_ACTIVE_TRANSACTION, message)
                .hint("BEGIN first, or declare it WITH HOLD")
                .into());
        }
        if self.portals.contains_key(name) {
            return Err(PgError::error(codes::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists")).into());
        }
        let Some(plan) = portal.plan.clone().filter(|plan| Gives::of(plan).rows()) else {
            return Err(PgError::error(codes::SYNTAX_ERROR, "DECLARE CURSOR needs a query that gives rows").into());
        };
        let Some(query) = portal.prepared.statement().cloned() else {
            return Err(PgError::error(codes::INTERNAL_ERROR, "a cursor without a query").into());
        };
        let schema = Some(super::prepare::schema(&plan));
        let prepared = Prepared { schema, ..Prepared::plain(Command::Engine(query), &portal.prepared.sql) };
        let formats = if binary { vec![1] } else { Vec::new() };
        let cursor = Portal { prepared: Arc::new(prepared), plan: Some(plan), formats, state: State::New, hold };
        self.portals.insert(name.to_string(), cursor);
        Ok(Finished::Complete("DECLARE CURSOR".to_string()))
    }

    /// FETCH and MOVE.
    async fn fetch(
        &mut self,
        (name, count, silent): (&str, Option<usize>, bool),
        formats: &[i16],
        simple: bool,
        interrupts: &mut Interrupts,
    ) -> Result<Finished, Stop> {
        let Some(mut portal) = self.portals.remove(name) else { return Err(no_portal(name).into()) };
        if matches!(portal.state, State::New)
            && let Some(plan) = portal.plan.clone()
        {
            let own = portal.formats.clone();
            portal.state = State::Running(Box::new(self.start(plan, &own, interrupts).await?));
        }
        let told = portal.prepared.schema.clone();
        let rows = match &mut portal.state {
            State::Running(delivery) if silent => delivery.skip(count, interrupts, &mut self.wire).await?,
            State::Running(delivery) => {
                let columns =
                    if simple { delivery.columns().to_vec() } else { encode::reformat(delivery.columns(), formats)? };
                if simple {
                    encode::describe(&mut self.wire.output, &columns);
                }
                delivery.send(&columns, count, interrupts, &mut self.wire).await?
            }
            State::New | State::Ended => {
                if simple
                    && !silent
                    && let Some(schema) = told
                {
                    let columns = encode::columns(&schema, &portal.formats, self.settings.lock().vectors())?;
                    encode::describe(&mut self.wire.output, &columns);
                }
                Sent { rows: 0, ended: true }
            }
        };
        if rows.ended {
            portal.state = State::Ended;
        }
        self.portals.insert(name.to_string(), portal);
        let tag = if silent { "MOVE" } else { "FETCH" };
        Ok(Finished::Complete(format!("{tag} {}", rows.rows)))
    }

    async fn utility(
        &mut self,
        utility: &Utility,
        formats: &[i16],
        simple: bool,
        interrupts: &mut Interrupts,
    ) -> Result<Finished, Stop> {
        let done = |tag: &str| Ok(Finished::Complete(tag.to_string()));
        match utility {
            Utility::Begin => {
                if self.transaction == Transaction::Idle {
                    self.transaction = Transaction::Open;
                } else {
                    self.warn("25001", "there is already a transaction in progress");
                }
                done("BEGIN")
            }
            Utility::Commit | Utility::Rollback => {
                let commit = *utility == Utility::Commit && self.transaction != Transaction::Failed;
                if self.transaction == Transaction::Idle {
                    self.warn(codes::NO_ACTIVE_TRANSACTION, "there is no transaction in progress");
                } else if self.wrote && !commit {
                    self.warn("01000", "what this transaction wrote is not undone: Debut keeps every write at once");
                }
                self.end_transaction();
                done(if commit { "COMMIT" } else { "ROLLBACK" })
            }
            Utility::Savepoint(tag, back) => {
                if self.transaction == Transaction::Idle {
                    let message = format!("{tag} can only be used in transaction blocks");
                    return Err(PgError::error(codes::NO_ACTIVE_TRANSACTION, message).into());
                }
                if *back {
                    if self.wrote {
                        self.warn(
                            "01000",
                            "what was written since the savepoint is not undone: Debut keeps every write at once",
                        );
                    }
                    self.transaction = Transaction::Open;
                }
                done(tag)
            }
            Utility::Set { name, value, local } => {
                if *local && self.transaction == Transaction::Idle {
                    self.warn(codes::NO_ACTIVE_TRANSACTION, "SET LOCAL can only be used in transaction blocks");
                    return done("SET");
                }
                if let Some(warning) = self.settings.lock().set(name, value.as_deref(), *local)? {
                    backend::warning(&mut self.wire.output, &warning);
                }
                done("SET")
            }
            Utility::Nothing(tag) => done(tag),
            Utility::Reset(name) => {
                self.settings.lock().set(name, None, false)?;
                done("RESET")
            }
            Utility::ResetAll => {
                self.settings.lock().reset_all();
                self.reset_engine()?;
                done("RESET")
            }
            Utility::Show(_) | Utility::ShowAll => {
                show::send(&mut self.wire.output, utility, &self.settings.lock(), formats, simple)?;
                done("SHOW")
            }
            Utility::DiscardAll => {
                if self.transaction != Transaction::Idle {
                    let message = "DISCARD ALL cannot run inside a transaction block";
                    return Err(PgError::error("25001", message).into());
                }
                self.settings.lock().reset_all();
                self.statements.clear();
                self.portals.clear();
                self.forget_session();
                done("DISCARD ALL")
            }
            Utility::Deallocate(name) => {
                if self.statements.remove(name).is_none() {
                    return self.deallocate(name, interrupts).await;
                }
                done("DEALLOCATE")
            }
            Utility::DeallocateAll => {
                self.statements.clear();
                done("DEALLOCATE ALL")
            }
            Utility::Fetch { cursor, count, silent } => {
                self.fetch((cursor, *count, *silent), formats, simple, interrupts).await
            }
            Utility::Close(name) => match self.portals.remove(name) {
                Some(_) => done("CLOSE CURSOR"),
                None => Err(no_portal(name).into()),
            },
            Utility::CloseAll => {
                self.portals.clear();
                done("CLOSE CURSOR ALL")
            }
            Utility::Declare { .. } => Err(PgError::error(codes::INTERNAL_ERROR, "a cursor was not planned").into()),
        }
    }

    /// DEALLOCATE of what PREPARE made, which the engine keeps.
    async fn deallocate(&mut self, name: &str, interrupts: &mut Interrupts) -> Result<Finished, Stop> {
        let session = self.session(interrupts).await?;
        let missing =
            || PgError::error(codes::INVALID_STATEMENT_NAME, format!("prepared statement \"{name}\" does not exist"));
        let quoted = format!("DEALLOCATE \"{}\"", name.replace('"', "\"\""));
        let statement =
            session.statements(&quoted).ok().and_then(|mut statements| statements.pop()).ok_or_else(missing)?;
        let ran = self.shared.compute.start(async move { session.run(statement).await.map(|_| ()) });
        match interrupts.during(&mut self.wire, ran).await? {
            Ok(()) => Ok(Finished::Complete("DEALLOCATE".to_string())),
            Err(_) => Err(missing().into()),
        }
    }

    fn warn(&mut self, code: &'static str, message: &'static str) {
        backend::warning(&mut self.wire.output, &PgError::error(code, message));
    }
}
