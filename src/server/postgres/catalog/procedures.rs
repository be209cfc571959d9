//! The engine's functions as `pg_proc` lists them, so that `\df` shows what can be called: takes a session; gives their names,
//! kinds and arguments.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int32Type, Schema, SchemaRef};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility, cast as cast_to, col, lit,
};

/// The OIDs of the engine's functions begin here; those of tables and schemas begin at 16384.
const FIRST: i32 = 1_000_000;

/// A function of the engine.
#[derive(Debug)]
pub(super) struct Procedure {
    name: String,
    /// `prokind`: a function, an aggregate or a window function.
    kind: &'static str,
    /// As its documentation writes them.
    arguments: String,
    /// The first sentence of its documentation.
    description: Option<String>,
}

/// The functions of the engine, the same in all sessions.
pub(super) fn all(state: &SessionState) -> &'static [Procedure] {
    static ALL: OnceLock<Vec<Procedure>> = OnceLock::new();
    ALL.get_or_init(|| {
        let scalars = state.scalar_functions().iter().map(|(name, it)| (name, "f", it.documentation()));
        let aggregates = state.aggregate_functions().iter().map(|(name, it)| (name, "a", it.documentation()));
        let windows = state.window_functions().iter().map(|(name, it)| (name, "w", it.documentation()));
        let tables = state.table_functions().keys().map(|name| (name, "f", None));
        let every = scalars.chain(aggregates).chain(windows).chain(tables);
        let mut all: Vec<_> = every
            .map(|(name, kind, documentation)| Procedure {
                name: name.clone(),
                kind,
                arguments: arguments(documentation),
                description: documentation.and_then(description),
            })
            .collect();
        all.sort_by(|one, other| (&one.name, one.kind).cmp(&(&other.name, other.kind)));
        all
    })
}

/// What stands between the parentheses of `embed(input [, model])`.
fn arguments(documentation: Option<&Documentation>) -> String {
    let written = documentation.and_then(|text| text.syntax_example.lines().next()?.split_once('('));
    written.map_or_else(String::new, |(_, rest)| rest.trim_end().trim_end_matches(')').to_string())
}

/// What a function does, in a sentence.
fn description(documentation: &Documentation) -> Option<String> {
    let text = documentation.description.trim();
    let end = text.find(". ").or_else(|| text.find('\n')).unwrap_or(text.len());
    let sentence = text[..end].trim_end_matches('.').replace('\n', " ");
    (!sentence.is_empty()).then_some(sentence)
}

/// `pg_get_function_arguments`, and what else is known of the engine's functions by their OIDs; NULL for others.
pub(super) fn functions(all: &'static [Procedure]) -> [ScalarUDF; 3] {
    let arguments: Part = |procedure| Some(&procedure.arguments);
    let description: Part = |procedure| procedure.description.as_deref();
    [
        About::function("pg_get_function_arguments", all, arguments),
        About::function("pg_get_function_identity_arguments", all, arguments),
        About::function("obj_description", all, description),
    ]
}

type Part = fn(&Procedure) -> Option<&str>;

/// A function that says something of the engine's functions.
#[derive(Debug)]
struct About {
    name: &'static str,
    signature: Signature,
    all: &'static [Procedure],
    part: Part,
}

impl About {
    fn function(name: &'static str, all: &'static [Procedure], part: Part) -> ScalarUDF {
        // The second argument names the catalog that an OID is of; those of functions are no other object's.
        // A name instead of an OID, as some columns hold, is none of theirs, either.
        let oid = || vec![DataType::Int32];
        let signatures = [oid(), [oid(), vec![DataType::Utf8]].concat(), vec![DataType::Utf8; 2]];
        let signatures = signatures.map(TypeSignature::Exact);
        let signature = Signature::one_of(signatures.to_vec(), Volatility::Stable);
        ScalarUDF::new_from_impl(Self { name, signature, all, part })
    }
}

impl PartialEq for About {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for About {}

impl Hash for About {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for About {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let find = |oid: i32| self.all.get(usize::try_from(oid.checked_sub(FIRST)?).ok()?).and_then(self.part);
        let Some(oids) = arrays[0].as_primitive_opt::<Int32Type>() else {
            return Ok(ColumnarValue::Array(new_null_array(&DataType::Utf8, arrays[0].len())));
        };
        let found: StringArray = oids.iter().map(|oid| oid.and_then(find)).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

/// `pg_proc` with the functions of the engine in the schema `public`, whose OID `namespaces` knows.
///
/// # Errors
/// The tables have other columns than PostgreSQL's.
pub(super) fn table(
    statics: Arc<dyn TableProvider>,
    namespaces: Arc<dyn TableProvider>,
    all: &'static [Procedure],
) -> Result<Arc<dyn TableProvider>> {
    let schema = statics.schema();
    let own = Arc::new(MemTable::try_new(nullable(&schema), vec![vec![rows(&schema, all)?]])?);
    let public = LogicalPlanBuilder::scan("pg_namespace", provider_as_source(namespaces), None)?
        .filter(col("nspname").eq(lit("public")))?
        .project([col("oid").alias("public_oid")])?
        .build()?;
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "pronamespace" => cast_to(col("public_oid"), field.data_type().clone()).alias("pronamespace"),
        name => col(name),
    });
    let own =
        LogicalPlanBuilder::scan("functions", provider_as_source(own), None)?.cross_join(public)?.project(columns)?;
    let plan = LogicalPlanBuilder::scan("pg_proc", provider_as_source(statics), None)?.union(own.build()?)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The functions in the columns of `pg_proc`; what is not known of them is NULL.
fn rows(schema: &SchemaRef, all: &[Procedure]) -> Result<RecordBatch> {
    let last = i32::try_from(all.len()).map_err(|_| plan_datafusion_err!("too many functions"))?;
    let column = |name: &str, data_type: &DataType| -> Result<ArrayRef> {
        let values: ArrayRef = match name {
            "oid" => Arc::new(Int32Array::from_iter_values(FIRST..FIRST + last)),
            "proname" => Arc::new(all.iter().map(|it| Some(it.name.as_str())).collect::<StringArray>()),
            "prokind" => Arc::new(all.iter().map(|it| Some(it.kind)).collect::<StringArray>()),
            _ => return Ok(new_null_array(data_type, all.len())),
        };
        cast(&values, data_type).map_err(DataFusionError::from)
    };
    let columns = schema.fields().iter().map(|field| column(field.name(), field.data_type()));
    Ok(RecordBatch::try_new(nullable(schema), columns.collect::<Result<_>>()?)?)
}
