//! The logical node `Infer`: its input's columns and one more, the result of a call that needs a model, or of `read_file`.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, ExprSchemable, Extension, LogicalPlan, Projection, UserDefinedLogicalNodeCore};
use debut_udfs::read_file::ReadFile;

/// One call over one input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Infer {
    /// Where the rows come from.
    pub input: LogicalPlan,
    /// The call; its text arguments are expressions over the input.
    pub call: Expr,
    /// The name of the column that holds the call's result, behind the input's columns and without a qualifier.
    pub column: String,
    schema: DFSchemaRef,
}

impl Infer {
    /// A node that evaluates `call` into a new last column.
    ///
    /// # Errors
    /// The call does not resolve against the input.
    pub fn try_new(input: LogicalPlan, call: Expr, column: String) -> Result<Self> {
        let field = call.to_field(input.schema())?.1;
        let field = Arc::new(field.as_ref().clone().with_name(&column));
        let fields = input.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let fields = fields.chain([(None, field)]).collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Self { input, call, column, schema })
    }

    /// The result as an expression.
    pub fn result(&self) -> Column {
        Column::new_unqualified(&self.column)
    }

    /// The node as a plan.
    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    /// The node, if the plan is one.
    pub fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref::<Self>(),
            _ => None,
        }
    }

    /// Whether it reads files and runs no model: what it gives may change while its argument stays.
    pub fn reads_files(&self) -> bool {
        matches!(&self.call, Expr::ScalarFunction(function) if ReadFile::of(function).is_some())
    }

    /// Whether an expression reads the result.
    pub fn is_read_by(&self, expr: &Expr) -> bool {
        expr.column_refs().into_iter().any(|column| column.relation.is_none() && column.name == self.column)
    }
}

impl PartialOrd for Infer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.call, &self.column, &self.input).partial_cmp(&(&other.call, &other.column, &other.input))
    }
}

impl UserDefinedLogicalNodeCore for Infer {
    fn name(&self) -> &'static str {
        "Infer"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.call.clone()]
    }

    /// Only predicates over the result have to stay above: everything else filters rows before they are run.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::from([self.column.clone()])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Infer: {} AS {}", self.call, self.column)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (<[Expr; 1]>::try_from(exprs), <[LogicalPlan; 1]>::try_from(inputs)) {
            (Ok([call]), Ok([input])) => Self::try_new(input, call, self.column.clone()),
            _ => internal_err!("Infer has one call and one input"),
        }
    }

    /// The columns that are passed on; those that the call reads are added by the optimizer itself.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        Some(vec![output_columns.iter().copied().filter(|column| *column < width).collect()])
    }

    /// One row in, one row out, in order.
    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}

/// Fails for a plan that is not a chain; used where a rule took a node apart and must put it together again.
///
/// # Errors
/// There is more than one input.
pub fn only<T>(mut items: Vec<T>) -> Result<T> {
    match (items.pop(), items.is_empty()) {
        (Some(item), true) => Ok(item),
        _ => internal_err!("a plan node has more inputs than the inference rules expect"),
    }
}

/// The plan without columns that a rule added, where the plan above expects `columns`.
///
/// # Errors
/// The plan does not have them; that would be our mistake.
pub(super) fn keep(plan: LogicalPlan, columns: Vec<Column>) -> Result<LogicalPlan> {
    if plan.schema().columns() == columns {
        return Ok(plan);
    }
    let exprs = columns.into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}
