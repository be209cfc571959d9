//! A session: one user's DataFusion context with Debut in it.
//!
//! Takes statements; gives their rows. Opened by [`Engine::session`](super::engine::Engine::session), for what its
//! [`Access`] allows.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, plan_err};
use datafusion::dataframe::DataFrame;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{
    DdlStatement, Expr, LogicalPlan, LogicalPlanBuilder, SetVariable, Statement as PlanStatement,
};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::dialect::{Dialect, dialect_from_str};

use super::access::Access;
use super::statements::{FunctionCall, Kind, Statement};
use super::{files, memory_table, statements, stores};
use crate::inference::Models;

/// A session.
pub struct Session {
    context: SessionContext,
    models: Arc<Models>,
    access: Access,
    /// The settings that it began with.
    begun: Arc<ConfigOptions>,
}

impl Session {
    pub(super) fn new(context: SessionContext, models: Arc<Models>, access: Access) -> Self {
        let begun = Arc::clone(context.state_ref().read().config_options());
        Self { context, models, access, begun }
    }

    /// DataFusion's context. Statements that are given to it, and not to [`Self::run`], do not pass all checks of the access.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The models that this session's functions use.
    pub fn models(&self) -> &Arc<Models> {
        &self.models
    }

    /// All settings as they are.
    pub fn settings(&self) -> ConfigOptions {
        self.context.state_ref().read().config_options().as_ref().clone()
    }

    /// Replaces all settings, as so many `SET` would.
    ///
    /// # Errors
    /// A function does not take them.
    pub fn replace_settings(&self, settings: ConfigOptions) -> Result<()> {
        let state = self.context.state_ref();
        let mut state = state.write();
        *state.config_mut().options_mut() = settings;
        // Some functions keep what they were told at their making.
        let settings = Arc::clone(state.config_options());
        let told: Vec<_> = state
            .scalar_functions()
            .values()
            .filter_map(|function| function.inner().with_updated_config(&settings).map(Arc::new))
            .collect();
        for function in told {
            state.register_udf(function)?;
        }
        Ok(())
    }

    /// Splits a script into its statements, in the session's dialect.
    ///
    /// # Errors
    /// The text is not SQL.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>> {
        statements::parse(sql, self.dialect()?.as_ref())
    }

    /// The dialect of SQL that the session speaks.
    ///
    /// # Errors
    /// The setting names none.
    pub fn dialect(&self) -> Result<Box<dyn Dialect>> {
        let dialect = self.context.state().config_options().sql_parser.dialect;
        match dialect_from_str(dialect) {
            Some(dialect) => Ok(dialect),
            None => plan_err!("'{dialect}' is not a SQL dialect; see datafusion.sql_parser.dialect"),
        }
    }

    /// Plans a statement and starts it; the rows come when the result is read.
    ///
    /// # Errors
    /// The statement cannot be planned: the message names what it stumbled over.
    pub async fn run(&self, statement: Statement) -> Result<DataFrame> {
        let plan = self.plan(statement).await?;
        self.execute(plan).await
    }

    /// Plans a statement. Nothing is done yet: a view is not made, and a setting not changed.
    ///
    /// # Errors
    /// The statement cannot be planned, or the session's access does not allow it.
    pub async fn plan(&self, statement: Statement) -> Result<LogicalPlan> {
        let plan = match statement.kind {
            Kind::Sql(statement) => self.plan_sql(*statement).await?,
            Kind::Model(call) => self.plan_call(call).await?,
        };
        self.access.check(&plan)?;
        self.access.resolve(plan)
    }

    /// Starts what [`Self::plan`] gave, whose placeholders may have got values meanwhile.
    ///
    /// # Errors
    /// The session's access does not allow it, or the statement cannot be done.
    pub async fn execute(&self, plan: LogicalPlan) -> Result<DataFrame> {
        self.access.check(&plan)?;
        stores::register_plan(&self.context, &plan).await?;
        let started = match plan.clone() {
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)) if self.access.is_served() => {
                memory_table::create(&self.context, table).await
            }
            // DataFusion resets its own settings alone.
            LogicalPlan::Statement(PlanStatement::ResetVariable(reset)) if reset.variable.starts_with("debut.") => {
                let plan = self.set_as_begun(reset.variable)?;
                self.context.execute_logical_plan(plan).await
            }
            plan => self.context.execute_logical_plan(plan).await,
        };
        match started {
            Err(error) => Err(files::blame(&self.context, &plan, error).await),
            frame => frame,
        }
    }

    /// Sets a setting of Debut to what it was when the session began.
    fn set_as_begun(&self, variable: String) -> Result<LogicalPlan> {
        let value = self.begun.entries().into_iter().find(|entry| entry.key == variable).and_then(|entry| entry.value);
        match value {
            Some(value) => Ok(LogicalPlan::Statement(PlanStatement::SetVariable(SetVariable { variable, value }))),
            None => plan_err!("RESET: there is no setting '{variable}'; SHOW ALL lists them"),
        }
    }

    /// Plans a statement of DataFusion's; a file that cannot be read is named.
    async fn plan_sql(&self, statement: DataFusionStatement) -> Result<LogicalPlan> {
        let tables = files::tables_of(&self.context, &statement);
        let locations = files::locations(&tables, &self.access);
        stores::register_locations(&self.context, &locations).await?;
        let state = self.context.state();
        match state.statement_to_plan(statement).await {
            Ok(plan) => files::refuse_empty(&self.context, &plan).await.map(|()| plan),
            Err(error) => {
                let error = files::hint_at_folder(&tables, error, &self.access);
                Err(files::blame_one_of(&self.context, locations, error).await)
            }
        }
    }

    /// `SELECT * FROM function(arguments)`.
    async fn plan_call(&self, call: FunctionCall) -> Result<LogicalPlan> {
        let arguments: Vec<Expr> = call.arguments.into_iter().map(|value| Expr::Literal(value, None)).collect();
        let function = self.context.table_function(call.name)?;
        let state = self.context.state();
        let args = datafusion::catalog::TableFunctionArgs::new(&arguments, &state);
        let table = function.create_table_provider_with_args(args)?;
        LogicalPlanBuilder::scan(call.name, datafusion::datasource::provider_as_source(table), None)?.build()
    }
}
