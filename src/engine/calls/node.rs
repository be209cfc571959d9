//! The logical node of a call: what it asks for, and the plans of the sub-queries as inputs.
//!
//! Optimizer rules see a node whose rows depend on all columns of its inputs, and which lets neither filters nor limits
//! through.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use debut_udfs::options::Inputs;

use super::call::Call;

/// The node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallNode {
    /// What is asked for.
    pub call: Call,
    /// Its sub-queries.
    pub inputs: Inputs<LogicalPlan>,
    schema: DFSchemaRef,
}

impl CallNode {
    /// A node for a call on the rows of `inputs`.
    ///
    /// # Errors
    /// None in practice: its columns have different names.
    pub fn try_new(call: Call, inputs: Inputs<LogicalPlan>) -> Result<Self> {
        let schema = Arc::new(DFSchema::try_from_qualified_schema(call.function(), &call.schema())?);
        Ok(Self { call, inputs, schema })
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

impl PartialOrd for CallNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.call, &self.inputs).partial_cmp(&(&other.call, &other.inputs))
    }
}

impl UserDefinedLogicalNodeCore for CallNode {
    fn name(&self) -> &str {
        self.call.node_names().0
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
        write!(f, "{}: ", self.name())?;
        self.call.describe(&self.inputs, f)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        if !exprs.is_empty() || inputs.len() != self.inputs.iter().count() {
            return internal_err!("{} has {} inputs and no expressions", self.name(), self.inputs.iter().count());
        }
        Ok(Self { inputs: self.inputs.replace(inputs), ..self.clone() })
    }
}
