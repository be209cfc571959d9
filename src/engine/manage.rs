//! Statements about models, as table functions.
//!
//! `create_model(name, source, 'key=value', ...)`, `use_version(name, version)`, `drop_model(name, if_exists)`,
//! `show_models()` and `describe_model(name)` do what `CREATE MODEL`, `ALTER MODEL ... USE VERSION`, `DROP MODEL`,
//! `SHOW MODELS` and `DESCRIBE MODEL` do; the statements
//! are planned as these calls. Nothing happens while a query is planned: the work is done when the rows are asked for,
//! so `EXPLAIN` imports nothing. A session that may only read is refused while its query is planned.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use debut_udfs::config::DebutConfig;
use futures::stream;

use super::access::Access;
use super::catalog::versions_table;
use crate::inference::Models;
use crate::registry::Listed;

/// Registers the functions.
pub fn register(context: &SessionContext, models: &Arc<Models>) {
    for (name, action) in [
        ("create_model", Action::Create),
        ("use_version", Action::Use),
        ("drop_model", Action::Drop),
        ("show_models", Action::Show),
        ("describe_model", Action::Describe),
    ] {
        context.register_udtf(name, Arc::new(ManageModels { action, models: Arc::clone(models) }));
    }
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Create,
    Use,
    Drop,
    Show,
    Describe,
}

#[derive(Debug)]
struct ManageModels {
    action: Action,
    models: Arc<Models>,
}

impl TableFunctionImpl for ManageModels {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let access = Access::of(args.session().config());
        let offline = DebutConfig::of(args.session().config_options()).offline;
        let mut literals = args.exprs().iter().map(literal);
        let models = Arc::clone(&self.models);
        let task = match self.action {
            Action::Create => {
                let usage = "create_model(name, source [, 'key=value', ...])";
                access.require_writes("CREATE MODEL")?;
                let name = required(literals.next(), usage)?;
                let source = access.model_source(&required(literals.next(), usage)?)?;
                let options = literals.map(|option| required(Some(option), usage)).collect::<Result<Vec<_>>>()?;
                Task::new(["model", "version", "fingerprint"], move || {
                    let version = models.import(&name, &source, &options, offline).map_err(external)?;
                    one_row(
                        ["model", "version", "fingerprint"],
                        [version.name, version.version, version.manifest.fingerprint],
                    )
                })
            }
            Action::Use => {
                let usage = "use_version(name, version)";
                access.require_writes("ALTER MODEL")?;
                let name = required(literals.next(), usage)?;
                let version = match literals.next().transpose()?.map(|version| version.cast_to(&DataType::Utf8)) {
                    Some(Ok(ScalarValue::Utf8(Some(version)))) => version,
                    _ => return plan_err!("the version is a number, such as 2: {usage}"),
                };
                Task::new(["model", "version", "before"], move || {
                    let registry = models.registry();
                    let (now, before) = registry.use_version(&name, &version, models.progress()).map_err(external)?;
                    one_row(["model", "version", "before"], [now.name, now.version, before])
                })
            }
            Action::Drop => {
                let usage = "drop_model(name [, if_exists])";
                access.require_writes("DROP MODEL")?;
                let name = required(literals.next(), usage)?;
                let if_exists = match literals.next() {
                    None => false,
                    Some(Ok(ScalarValue::Boolean(Some(if_exists)))) => if_exists,
                    Some(other) => return plan_err!("{usage}: if_exists is true or false, not {:?}", other?),
                };
                Task::new(["model", "dropped"], move || {
                    let dropped = models.remove(&name, if_exists).map_err(external)?;
                    one_row(["model", "dropped"], [name.clone(), dropped.to_string()])
                })
            }
            Action::Show => {
                let models = Arc::clone(&self.models);
                let schema = versions_table(&[])?.schema();
                Task {
                    schema,
                    run: Arc::new(move || {
                        let mut versions = models.registry().list().map_err(external)?;
                        versions.retain(|version| version.current);
                        versions_table(&versions)
                    }),
                }
            }
            Action::Describe => {
                let name = required(literals.next(), "describe_model(name)")?;
                Task::new(["property", "value"], move || {
                    let model = models.registry().resolve(&name).map_err(external)?;
                    let current = models.registry().resolve(&model.name).is_ok_and(|current| current == model);
                    let (name, version) = (model.name.clone(), model.version.clone());
                    properties(&versions_table(&[Listed { name, version, current, model: Ok(model) }])?)
                })
            }
        };
        let schema = Arc::clone(&task.schema);
        Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(task)])?))
    }
}

/// Work that is done once, when its rows are asked for.
struct Task {
    schema: SchemaRef,
    run: Arc<dyn Fn() -> Result<RecordBatch> + Send + Sync>,
}

impl Task {
    fn new<const N: usize>(columns: [&str; N], run: impl Fn() -> Result<RecordBatch> + Send + Sync + 'static) -> Self {
        Self { schema: text_schema(columns), run: Arc::new(run) }
    }
}

impl Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PartitionStream for Task {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let run = Arc::clone(&self.run);
        let rows = stream::once(async move {
            SpawnedTask::spawn_blocking(move || run())
                .await
                .map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

fn text_schema<const N: usize>(columns: [&str; N]) -> SchemaRef {
    Arc::new(Schema::new(columns.map(|name| Field::new(name, DataType::Utf8, false)).to_vec()))
}

fn one_row<const N: usize>(columns: [&str; N], values: [String; N]) -> Result<RecordBatch> {
    let values = values.map(|value| Arc::new(StringArray::from(vec![value])) as ArrayRef);
    Ok(RecordBatch::try_new(text_schema(columns), values.to_vec())?)
}

/// A row of a table turned on its side: a property and its value in each line. What is NULL does not apply to the model.
fn properties(row: &RecordBatch) -> Result<RecordBatch> {
    let schema = row.schema();
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (field, column) in schema.fields().iter().zip(row.columns()) {
        if column.is_valid(0) {
            names.push(field.name().as_str());
            values.push(ScalarValue::try_from_array(column, 0)?.to_string());
        }
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(names)), Arc::new(StringArray::from(values))];
    Ok(RecordBatch::try_new(text_schema(["property", "value"]), columns)?)
}

fn literal(expr: &Expr) -> Result<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Ok(value.clone()),
        other => plan_err!("functions about models take literals, not {other}"),
    }
}

fn required(value: Option<Result<ScalarValue>>, usage: &str) -> Result<String> {
    match value.transpose()?.as_ref().and_then(ScalarValue::try_as_str) {
        Some(Some(text)) => Ok(text.to_string()),
        _ => plan_err!("arguments are text: {usage}"),
    }
}

fn external(error: crate::registry::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
