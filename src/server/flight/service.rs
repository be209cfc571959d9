//! The calls of Flight SQL: takes commands; gives what to ask for next (a ticket), rows, or counts.
//!
//! A query is two calls: the first plans it and gives a ticket, the second runs it and reads the rows. What does something
//! instead, such as SET, CREATE VIEW or COPY, is done by the first one, because not every client makes a second.

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetCatalogs,
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementQuery, CommandStatementUpdate,
    DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, FlightEndpoint,
    FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, Result as ActionResult, SchemaAsIpc, Ticket,
};
use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder, Statement};
use futures::Stream;
use futures::stream::once;
use prost::Message;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::login::Login;
use super::prepared::{self, Prepared};
use super::rows::{self, Limits, Messages, in_time};
use super::session::Client;
use super::socket::Connection;
use super::{described, internal, metadata, status, wire};
use crate::server::shared::{Phase, Shared};

/// Actions of Flight itself.
const CANCEL: &str = "CancelFlightInfo";
const CLOSE: &str = "CloseSession";

/// What answers calls.
pub(super) struct Service {
    shared: Arc<Shared>,
    login: Login,
}

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    /// A service of what all share.
    pub(super) fn new(shared: Arc<Shared>, login: Login) -> Self {
        Self { shared, login }
    }

    /// The session of a call. Whoever is not known gets none.
    async fn client(&self, headers: &MetadataMap, extensions: &Extensions) -> Result<Arc<Client>, Status> {
        let connection = connection(extensions)?;
        let user = self.login.user(headers).await?;
        connection.enter()?;
        if *self.shared.phase.borrow() >= Phase::Draining {
            return Err(Status::unavailable("the server is shutting down"));
        }
        let open = async || self.shared.open_session().map_err(|error| status(&error));
        connection.sessions().of(user, open).await
    }

    async fn client_of<T>(&self, request: &Request<T>) -> Result<Arc<Client>, Status> {
        self.client(request.metadata(), request.extensions()).await
    }

    fn deadline(&self) -> Option<Instant> {
        self.shared.options.limits.statement_timeout.map(|time| Instant::now() + time)
    }

    async fn plan(&self, client: &Client, sql: &str) -> Result<LogicalPlan, Status> {
        let statement = prepared::single(&client.session, sql).map_err(|error| status(&error))?;
        let planned = self.shared.compute.plan(&client.session, statement);
        in_time(self.deadline(), async { planned.await.map_err(|error| status(&error)) }).await
    }

    async fn bind(&self, client: &Client, prepared: Prepared, values: Vec<ScalarValue>) -> Result<LogicalPlan, Status> {
        let session = Arc::clone(&client.session);
        let bound = self.shared.compute.start(async move { prepared.bind(&session, &values).await });
        in_time(self.deadline(), async { bound.await.map_err(|error| status(&error)) }).await
    }

    async fn prepare(&self, client: &Client, sql: String) -> Result<Prepared, Status> {
        let session = Arc::clone(&client.session);
        let prepared = self.shared.compute.start(async move { Prepared::new(&session, &sql).await });
        in_time(self.deadline(), async { prepared.await.map_err(|error| status(&error)) }).await
    }

    /// The plan that an EXECUTE stands for.
    async fn prepared_plan(&self, client: &Client, execute: LogicalPlan) -> Result<LogicalPlan, Status> {
        let session = Arc::clone(&client.session);
        let found =
            self.shared.compute.start(async move { Ok(session.execute(execute).await?.logical_plan().clone()) });
        in_time(self.deadline(), async { found.await.map_err(|error| status(&error)) }).await
    }

    /// Runs a plan to its end; gives the rows that it wrote.
    async fn update(&self, client: &Client, plan: LogicalPlan) -> Result<i64, Status> {
        let (compute, session) = (&self.shared.compute, &client.session);
        let count = async { compute.run(session, plan).await?.count().await };
        let count = in_time(self.deadline(), async { count.await.map_err(|error| status(&error)) }).await?;
        i64::try_from(count).map_err(internal)
    }

    /// Where the rows of a plan are: here, for who has the ticket.
    async fn info(&self, client: &Client, plan: LogicalPlan, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        let plan = match &plan {
            // It has the rows, and the columns, of what was prepared.
            LogicalPlan::Statement(Statement::Execute(_)) => self.prepared_plan(client, plan).await?,
            LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) => {
                let schema = Arc::clone(plan.schema());
                self.update(client, plan).await?;
                LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema })
            }
            LogicalPlan::Dml(_) | LogicalPlan::Copy(_) => {
                let count = self.update(client, plan).await?;
                counted(count.unsigned_abs()).map_err(|error| status(&error))?
            }
            _ => plan,
        };
        let schema = wire::schema(plan.schema().as_arrow());
        let ticket = TicketStatementQuery { statement_handle: client.keep_plan(plan) };
        described(&ticket.as_any().encode_to_vec(), &schema, request)
    }

    /// What is known without a statement: the ticket is the command itself.
    async fn known(
        &self,
        command: impl ProstMessageExt,
        schema: &Schema,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        self.client_of(&request).await?;
        described(&command.as_any().encode_to_vec(), schema, request)
    }

    /// A list without rows.
    async fn nothing(&self, schema: SchemaRef, request: Request<Ticket>) -> Answer<Messages> {
        self.client_of(&request).await?;
        Ok(Response::new(rows::one(RecordBatch::new_empty(schema))))
    }
}

/// The rows that a statement wrote, as the result that it has in other protocols.
fn counted(count: u64) -> Result<LogicalPlan> {
    let values = LogicalPlanBuilder::values(vec![vec![Expr::Literal(ScalarValue::UInt64(Some(count)), None)]])?;
    values.project([Expr::from(Column::from_name("column1")).alias("count")])?.build()
}

fn connection(extensions: &Extensions) -> Result<&Connection, Status> {
    extensions.get::<Connection>().ok_or_else(|| internal("a call without a connection"))
}

fn described(ticket: &[u8], schema: &Schema, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket.to_vec()));
    let info = FlightInfo::new().try_with_schema(schema).map_err(internal)?;
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(request.into_inner())))
}

fn ipc(schema: &Schema) -> Result<Bytes, Status> {
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default())).map_err(internal)?;
    Ok(message.0)
}

fn batch(batch: Result<RecordBatch, arrow_flight::error::FlightError>) -> Answer<Messages> {
    Ok(Response::new(rows::one(batch.map_err(Status::from)?)))
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<std::pin::Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>> {
        let user = self.login.user(request.metadata()).await?;
        connection(request.extensions())?.enter()?;
        let token = self.login.token(&user);
        let payload = Bytes::from(token.clone());
        let answer: std::pin::Pin<Box<dyn Stream<Item = _> + Send>> =
            Box::pin(once(async move { Ok(HandshakeResponse { protocol_version: 0, payload }) }));
        let mut response = Response::new(answer);
        response.metadata_mut().insert("authorization", token.parse().map_err(internal)?);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let client = self.client_of(&request).await?;
        let plan = self.plan(&client, &query.query).await?;
        self.info(&client, plan, request).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let client = self.client_of(&request).await?;
        let prepared = client.prepared(&query.prepared_statement_handle, |_| ())?;
        let values = match prepared.values.as_slice() {
            [] => Vec::new(),
            [values] => values.clone(),
            several => {
                let message = format!("a query takes one row of values, and {} were bound", several.len());
                return Err(Status::invalid_argument(message));
            }
        };
        let plan = self.bind(&client, prepared, values).await?;
        self.info(&client, plan, request).await
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Answer<Messages> {
        let client = self.client_of(&request).await?;
        let (number, plan) = client.take_plan(&ticket.statement_handle)?;
        let schema = wire::schema(plan.schema().as_arrow());
        let deadline = self.deadline();
        let started = self.shared.compute.run(&client.session, plan);
        let cancelled = client.run(number);
        let rows = match in_time(deadline, async { started.await.map_err(|error| status(&error)) }).await {
            Ok(rows) => rows,
            Err(error) => {
                client.ended(number);
                return Err(error);
            }
        };
        let limits = Limits { deadline, phase: self.shared.phase.clone(), cancelled };
        Ok(Response::new(rows::messages(client, number, schema, rows, limits)))
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let client = self.client_of(&request).await?;
        let plan = self.plan(&client, &command.query).await?;
        self.update(&client, plan).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let client = self.client_of(&request).await?;
        let prepared = self.prepare(&client, query.query).await?;
        let (dataset_schema, parameter_schema) = (ipc(&prepared.schema)?, ipc(&prepared.parameters)?);
        let prepared_statement_handle = client.prepare(prepared)?;
        Ok(ActionCreatePreparedStatementResult { prepared_statement_handle, dataset_schema, parameter_schema })
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.client_of(&request).await?.close(&query.prepared_statement_handle);
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let client = self.client_of(&request).await?;
        let values = prepared::values(request.into_inner()).await?;
        client.prepared(&query.prepared_statement_handle, |prepared| prepared.values = values)?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(query.prepared_statement_handle) })
    }

    async fn do_put_prepared_statement_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let client = self.client_of(&request).await?;
        let prepared = client.prepared(&query.prepared_statement_handle, |_| ())?;
        let mut rows = prepared::values(request.into_inner()).await?;
        if rows.is_empty() && prepared.parameters.fields().is_empty() {
            rows.push(Vec::new());
        }
        let mut count = 0;
        for values in rows {
            let plan = self.bind(&client, prepared.clone(), values).await?;
            count += self.update(&client, plan).await?;
        }
        Ok(count)
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let client = self.client_of(&request).await?;
        let info = FlightInfo::decode(query.info).map_err(|error| Status::invalid_argument(error.to_string()))?;
        // Both enumerations have the same numbers.
        Ok(ActionCancelQueryResult { result: cancel(&client, &info) as i32 })
    }

    async fn do_action_fallback(&self, request: Request<Action>) -> Answer<<Self as FlightService>::DoActionStream> {
        let client = self.client_of(&request).await?;
        let body = match request.get_ref().r#type.as_str() {
            CANCEL => {
                let asked = CancelFlightInfoRequest::decode(&*request.get_ref().body);
                let asked = asked.map_err(|error| Status::invalid_argument(error.to_string()))?;
                let status = asked.info.map_or(CancelStatus::Unspecified, |info| cancel(&client, &info));
                CancelFlightInfoResult::new(status).encode_to_vec()
            }
            CLOSE => {
                let user = self.login.user(request.metadata()).await?;
                connection(request.extensions())?.sessions().end(&user);
                // `CloseSessionResult` with the status CLOSED, as Flight.proto has it.
                vec![0x08, 0x01]
            }
            other => return Err(Status::unimplemented(format!("there is no action '{other}'"))),
        };
        Ok(Response::new(Box::pin(once(async move { Ok(ActionResult { body: body.into() }) }))))
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        self.known(query, &query.into_builder().schema(), request).await
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, request: Request<Ticket>) -> Answer<Messages> {
        let client = self.client_of(&request).await?;
        batch(metadata::catalogs(&client.session, query))
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let schema = query.clone().into_builder().schema();
        self.known(query, &schema, request).await
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> Answer<Messages> {
        let client = self.client_of(&request).await?;
        batch(metadata::schemas(&client.session, query))
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let schema = query.clone().into_builder().schema();
        self.known(query, &schema, request).await
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Answer<Messages> {
        let client = self.client_of(&request).await?;
        let session = Arc::clone(&client.session);
        let tables = self.shared.compute.start(async move { metadata::tables(&session, query).await });
        let tables = in_time(self.deadline(), async { tables.await.map_err(|error| status(&error)) }).await?;
        Ok(Response::new(rows::one(tables)))
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        self.known(query, &query.into_builder().schema(), request).await
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, request: Request<Ticket>) -> Answer<Messages> {
        self.client_of(&request).await?;
        batch(metadata::table_types(query))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let info = metadata::server(self.shared.options.writable).map_err(internal)?;
        let schema = query.clone().into_builder(&info).schema();
        self.known(query, &schema, request).await
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, request: Request<Ticket>) -> Answer<Messages> {
        self.client_of(&request).await?;
        let info = metadata::server(self.shared.options.writable).map_err(internal)?;
        let answer = query.into_builder(&info).build().map_err(internal)?;
        Ok(Response::new(rows::one(answer)))
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        self.known(query, &described::primary_keys(), request).await
    }

    async fn do_get_primary_keys(&self, _: CommandGetPrimaryKeys, request: Request<Ticket>) -> Answer<Messages> {
        self.nothing(described::primary_keys(), request).await
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        self.known(query, &described::foreign_keys(), request).await
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, request: Request<Ticket>) -> Answer<Messages> {
        self.nothing(described::foreign_keys(), request).await
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        self.known(query, &described::foreign_keys(), request).await
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, request: Request<Ticket>) -> Answer<Messages> {
        self.nothing(described::foreign_keys(), request).await
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        self.known(query, &described::foreign_keys(), request).await
    }

    async fn do_get_cross_reference(&self, _: CommandGetCrossReference, request: Request<Ticket>) -> Answer<Messages> {
        self.nothing(described::foreign_keys(), request).await
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let types = described::types().map_err(internal)?;
        self.known(query, &types.schema(), request).await
    }

    async fn do_get_xdbc_type_info(&self, query: CommandGetXdbcTypeInfo, request: Request<Ticket>) -> Answer<Messages> {
        self.client_of(&request).await?;
        let types = described::types().map_err(internal)?;
        batch(query.into_builder(&types).build())
    }

    /// What the server says of itself is made when it is asked.
    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}

/// Cancels the results of a statement.
fn cancel(client: &Client, info: &FlightInfo) -> CancelStatus {
    let mut any = false;
    for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
        let command = Any::decode(ticket.ticket.clone()).ok();
        let query = command.and_then(|command| command.unpack::<TicketStatementQuery>().ok().flatten());
        any |= query.is_some_and(|query| client.cancel(&query.statement_handle));
    }
    if any { CancelStatus::Cancelled } else { CancelStatus::NotCancellable }
}
