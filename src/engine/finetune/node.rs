//! The logical node `Finetune`: options, and the plans of the sub-queries as inputs.
//!
//! Made by `relation`, checked by `guard`, made physical by `planner`. Optimizer rules see a node whose rows depend on
//! all columns of its inputs, and which lets neither filters nor limits through.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use debut_udfs::finetune::{FinetuneOptions, Inputs, NAME, rows};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finetune {
    /// What it says.
    pub options: FinetuneOptions,
    /// Its sub-queries.
    pub inputs: Inputs<LogicalPlan>,
    schema: DFSchemaRef,
}

impl Finetune {
    /// A node that trains on the rows of `inputs`.
    ///
    /// # Errors
    /// None in practice: its columns have different names.
    pub fn try_new(options: FinetuneOptions, inputs: Inputs<LogicalPlan>) -> Result<Self> {
        let schema = Arc::new(DFSchema::try_from_qualified_schema(NAME, &rows::schema())?);
        Ok(Self { options, inputs, schema })
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
}

impl PartialOrd for Finetune {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.options, &self.inputs).partial_cmp(&(&other.options, &other.inputs))
    }
}

impl UserDefinedLogicalNodeCore for Finetune {
    fn name(&self) -> &'static str {
        "Finetune"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().map(|(_, plan)| plan).collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finetune: ")?;
        describe(&self.options, &self.inputs, f)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        if !exprs.is_empty() || inputs.len() != self.inputs.iter().count() {
            return internal_err!("Finetune has {} inputs and no expressions", self.inputs.iter().count());
        }
        Ok(Self { inputs: self.inputs.replace(inputs), ..self.clone() })
    }
}

/// Every option, and which sub-queries there are, in their order: for EXPLAIN.
pub(super) fn describe<T>(options: &FinetuneOptions, inputs: &Inputs<T>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (name, value) in options.values() {
        write!(f, "{name}={value}, ")?;
    }
    let names: Vec<_> = inputs.iter().map(|(name, _)| name).collect();
    write!(f, "inputs=[{}]", names.join(", "))
}
