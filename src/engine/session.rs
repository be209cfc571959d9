//! A session: one user's DataFusion context with Debut in it.
//!
//! Takes where models live and the session's settings; gives statements and their rows. Opening a session touches
//! neither the registry nor the runtime: `SELECT 1` needs no model.

use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use debut_udfs::config::{DebutConfig, Device};
use debut_udfs::functions::register_all;

use super::calls::guard::FinetuneGuard;
use super::calls::relation::CallRelation;
use super::calls::workers::Workers;
use super::catalog::{DebutSchema, SCHEMA};
use super::infer::late::LateInference;
use super::infer::lift::LiftInference;
use super::planner::DebutQueryPlanner;
use super::statements::{FunctionCall, Kind, Statement};
use super::{files, manage, statements, stores, url_tables};
use crate::inference::Models;
use crate::recommend::{Recommend, RecommendTrainer};

/// How a session begins; every setting can be changed with `SET debut.*` later.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// Where models run.
    pub device: Device,
    /// Never reach out to the network.
    pub offline: bool,
    /// Bytes that queries may hold before they spill or fail; no limit if `None`.
    pub memory_limit: Option<usize>,
}

/// A session.
pub struct Session {
    context: SessionContext,
    models: Arc<Models>,
}

impl Session {
    /// Opens a session over these models.
    ///
    /// # Errors
    /// A `DATAFUSION_*` variable of the environment is malformed.
    pub fn open(models: Arc<Models>, options: &SessionOptions) -> Result<Self> {
        let recommend = Arc::new(Recommend::new(Arc::clone(&models)));
        let workers = Workers {
            models: Arc::clone(&recommend) as _,
            trainer: Arc::new(RecommendTrainer::new(Arc::clone(&models))),
            recommenders: recommend,
        };
        Self::with_workers(models, workers, options)
    }

    /// Opens a session over the registry of these models, whose functions are the work of `workers`.
    ///
    /// # Errors
    /// A `DATAFUSION_*` variable of the environment is malformed.
    pub fn with_workers(models: Arc<Models>, workers: Workers, options: &SessionOptions) -> Result<Self> {
        let mut config = SessionConfig::from_env()?.with_information_schema(true);
        let mut settings = DebutConfig::default();
        settings.device = options.device;
        settings.offline = options.offline;
        config.options_mut().extensions.insert(settings);
        // Vectors in a Parquet file remember the model that made them.
        config.options_mut().execution.parquet.skip_metadata = false;
        let mut runtime = RuntimeEnvBuilder::new();
        if let Some(bytes) = options.memory_limit {
            runtime = runtime.with_memory_limit(bytes, 1.0);
        }
        let planner = DebutQueryPlanner::new(workers.clone());
        let state = SessionStateBuilder::new_with_default_features()
            .with_config(config)
            .with_runtime_env(runtime.build_arc()?)
            .with_optimizer_rules(optimizer_rules())
            .with_relation_planners(vec![Arc::new(CallRelation::new(workers.clone()))])
            .with_analyzer_rule(Arc::new(FinetuneGuard))
            .with_query_planner(Arc::new(planner))
            .build();
        let context = url_tables::enable(state);
        stores::register_options(&context);
        register_all(&context, workers.models)?;
        manage::register(&context, &models);
        let default_catalog = context.state().config_options().catalog.default_catalog.clone();
        if let Some(catalog) = context.catalog(&default_catalog) {
            catalog.register_schema(SCHEMA, Arc::new(DebutSchema::new(Arc::clone(models.registry()))))?;
        }
        Ok(Self { context, models })
    }

    /// DataFusion's context.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The models that this session's functions use.
    pub fn models(&self) -> &Arc<Models> {
        &self.models
    }

    /// Splits a script into its statements, in the session's dialect.
    ///
    /// # Errors
    /// The text is not SQL.
    pub fn statements(&self, sql: &str) -> Result<Vec<Statement>> {
        let dialect = self.context.state().config_options().sql_parser.dialect;
        match dialect_from_str(dialect) {
            Some(dialect) => statements::parse(sql, dialect.as_ref()),
            None => plan_err!("'{dialect}' is not a SQL dialect; see datafusion.sql_parser.dialect"),
        }
    }

    /// Plans a statement and starts it; the rows come when the result is read.
    ///
    /// # Errors
    /// The statement cannot be planned: the message names what it stumbled over.
    pub async fn run(&self, statement: Statement) -> Result<DataFrame> {
        let plan = match statement.kind {
            Kind::Sql(statement) => self.plan(*statement).await?,
            Kind::Model(call) => self.plan_call(call).await?,
        };
        stores::register_plan(&self.context, &plan).await?;
        match self.context.execute_logical_plan(plan.clone()).await {
            Err(error) => Err(files::blame(&self.context, &plan, error).await),
            frame => frame,
        }
    }

    /// Plans a statement of DataFusion's; a file that cannot be read is named.
    async fn plan(&self, statement: DataFusionStatement) -> Result<LogicalPlan> {
        let tables = files::tables_of(&self.context, &statement);
        let locations = files::locations(&tables);
        stores::register_locations(&self.context, &locations).await?;
        let state = self.context.state();
        match state.statement_to_plan(statement).await {
            Ok(plan) => files::refuse_empty(&self.context, &plan).await.map(|()| plan),
            Err(error) => {
                let error = files::hint_at_folder(&tables, error);
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

/// DataFusion's optimizer rules with ours among them.
///
/// Calls are lifted after expressions were simplified, so that literals are constants by then, but before filters are pushed
/// down, because a filter that is pushed below a projection takes a copy of the projection's calls with it.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = Vec::new();
    for rule in Optimizer::new().rules {
        let name = rule.name().to_string();
        if name == "push_down_limit" {
            rules.push(Arc::new(LiftInference));
        }
        rules.push(rule);
        if name == "push_down_limit" {
            rules.push(Arc::new(LateInference));
        }
    }
    rules
}
