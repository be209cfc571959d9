//! The logical nodes: `Refresh`, which is what the call becomes, and `Changed`, below the models of its source.
//!
//! Optimizer rules see a `Refresh` whose row depends on all columns of its source, and which lets neither filters nor limits
//! through. They never see a `Changed`, which is put in afterwards.

use std::cmp::Ordering;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err, plan_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use debut_udfs::refresh::{Format, NAME, RefreshOptions, schema};

use crate::engine::delta;

/// A table that is to follow its source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::engine) struct RefreshNode {
    /// What is asked for.
    pub(super) options: RefreshOptions,
    /// The table.
    pub(super) target: PathBuf,
    /// Where its rows come from.
    pub(super) source: LogicalPlan,
    /// Its number among those of a plan; `None` before the plan is split.
    pub(super) number: Option<usize>,
    schema: DFSchemaRef,
}

impl RefreshNode {
    /// The node as a plan.
    ///
    /// # Errors
    /// The source is missing, or has no column that the key names, or Debut is built without tables of this format.
    pub(in crate::engine) fn plan(
        options: RefreshOptions,
        target: PathBuf,
        source: Option<LogicalPlan>,
    ) -> Result<LogicalPlan> {
        let Some(source) = source else { return internal_err!("{NAME} has a source") };
        if options.format == Format::Delta {
            delta::require(&format!("{NAME}: format => 'delta'"))?;
        }
        if source.schema().fields().iter().all(|field| field.name() != &options.key) {
            let names: Vec<_> = source.schema().fields().iter().map(|field| field.name().as_str()).collect();
            return plan_err!(
                "{NAME}: the source has no column '{}' for the key, but {}",
                options.key,
                names.join(", ")
            );
        }
        let schema = Arc::new(DFSchema::try_from_qualified_schema(NAME, &schema())?);
        Ok(Self { options, target, source, number: None, schema }.into_plan())
    }

    /// The node, if the plan is one.
    pub(super) fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref::<Self>(),
            _ => None,
        }
    }

    /// The node over a source that was split, with its number.
    pub(super) fn over(self, source: LogicalPlan, number: usize) -> Self {
        Self { source, number: Some(number), ..self }
    }

    pub(super) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

impl PartialOrd for RefreshNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.target, &self.options, &self.source).partial_cmp(&(&other.target, &other.options, &other.source))
    }
}

impl UserDefinedLogicalNodeCore for RefreshNode {
    fn name(&self) -> &'static str {
        "Refresh"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.source]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refresh: target={}, key={}", self.options.target, self.options.key)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (exprs.is_empty(), <[LogicalPlan; 1]>::try_from(inputs)) {
            (true, Ok([source])) => Ok(Self { source, ..self.clone() }),
            _ => internal_err!("Refresh has one input and no expressions"),
        }
    }
}

/// The rows of its input that are new or changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub(super) struct Changed {
    /// All rows.
    pub(super) input: LogicalPlan,
    /// The key, over the input's columns.
    pub(super) key: Expr,
    /// Whose rows they are, by the number of the table among those of the plan.
    pub(super) number: usize,
}

impl Changed {
    pub(super) fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

impl UserDefinedLogicalNodeCore for Changed {
    fn name(&self) -> &'static str {
        "Changed"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.key.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Changed: key={}", self.key)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match (<[Expr; 1]>::try_from(exprs), <[LogicalPlan; 1]>::try_from(inputs)) {
            (Ok([key]), Ok([input])) => Ok(Self { input, key, number: self.number }),
            _ => internal_err!("Changed has one key and one input"),
        }
    }
}
