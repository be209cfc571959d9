//! Tables in memory whose rows are counted by the engine's memory pool, for served sessions.
//!
//! Takes CREATE TABLE and INSERT; gives a table, or an error where the pool has no room for the rows. DataFusion's own tables in
//! memory are counted by nobody, so that the memory limit of a server would not hold for them.
//! - [`rows`]: the rows and their share of the pool;
//! - [`scan`]: reading them, which keeps the share until the last reader is gone;
//! - [`insert`]: adding some.

mod insert;
mod rows;
mod scan;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraints, Result, SchemaExt, exec_err, not_impl_err, plan_err};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{CreateMemoryTable, Expr, LogicalPlanBuilder, TableType};
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use datafusion::prelude::SessionContext;

use insert::Insert;
use rows::{Parts, Rows};

use super::interrupt::{Interrupt, interruptible};

/// Makes the table of a CREATE TABLE. A table that is replaced is there until the new one is whole.
///
/// # Errors
/// The table is there already, two columns have one name, the query fails, or the pool has no room for its rows.
pub(super) async fn create(context: &SessionContext, statement: CreateMemoryTable) -> Result<DataFrame> {
    // All tables in memory end with their session; SQL's word for it, TEMPORARY, is refused before there is a plan.
    let CreateMemoryTable { name, input, if_not_exists, or_replace, constraints, column_defaults, temporary: _ } =
        statement;
    let exists = context.table_provider(name.clone()).await.is_ok();
    match (if_not_exists, or_replace) {
        (true, true) => return plan_err!("CREATE TABLE {name}: OR REPLACE and IF NOT EXISTS do not go together"),
        (true, false) if exists => return nothing(context),
        (false, false) if exists => return exec_err!("Table '{name}' already exists"),
        _ => {}
    }
    let schema = Arc::clone(input.schema().inner());
    let mut names = HashSet::with_capacity(schema.fields().len());
    if let Some(field) = schema.fields().iter().find(|field| !names.insert(field.name())) {
        return plan_err!("CREATE TABLE {name}: two columns are named '{}'; name one of them with AS", field.name());
    }
    let query = DataFrame::new(context.state(), Arc::unwrap_or_clone(input));
    let pool = Arc::clone(&context.runtime_env().memory_pool);
    // Dropped with this future, should nobody wait for the table any more.
    let interrupt = Interrupt::default();
    let task = Arc::new(query.task_ctx());
    let plan = interruptible(query.create_physical_plan().await?, &interrupt.flag())?;
    let rows = Rows::collect(&name.to_string(), execute_stream_partitioned(plan, task)?, &pool).await?;
    let table = MemoryTable {
        name: name.to_string(),
        schema,
        parts: Parts::new(rows),
        constraints,
        column_defaults: column_defaults.into_iter().collect(),
    };
    if exists {
        context.deregister_table(name.clone())?;
    }
    context.register_table(name, Arc::new(table))?;
    nothing(context)
}

fn nothing(context: &SessionContext) -> Result<DataFrame> {
    Ok(DataFrame::new(context.state(), LogicalPlanBuilder::empty(false).build()?))
}

/// A table in memory.
#[derive(Debug)]
struct MemoryTable {
    name: String,
    schema: SchemaRef,
    parts: Parts,
    constraints: Constraints,
    column_defaults: HashMap<String, Expr>,
}

#[async_trait]
impl TableProvider for MemoryTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.column_defaults.get(column)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let show_sizes = session.config_options().explain.show_sizes;
        scan::plan(self.parts.all(), &self.schema, projection.cloned(), show_sizes)
    }

    async fn insert_into(
        &self,
        _session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        insert: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.schema.logically_equivalent_names_and_types(&input.schema())?;
        if insert != InsertOp::Append {
            return not_impl_err!("{insert} for tables in memory: write CREATE OR REPLACE TABLE {} AS ...", self.name);
        }
        let insert = Insert::new(self.name.clone(), Arc::clone(&self.schema), self.parts.clone());
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(insert), None)))
    }
}
