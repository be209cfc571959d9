//! From the logical node `Infer` to the physical node `InferExec`, or to `ReadFileExec` where the call reads files.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use debut_udfs::config::DebutConfig;
use debut_udfs::functions::inference_of;
use debut_udfs::inference::Inference;
use debut_udfs::model::{InputKind, ModelProvider};
use debut_udfs::read_file::ReadFile;

use super::exec::InferExec;
use super::model_source::ModelSource;
use super::node::Infer;
use super::shared::SharedResults;
use crate::engine::access::Access;
use crate::engine::read_file::{ReadFileExec, Reader};

/// Plans the `Infer` nodes of one plan.
#[derive(Debug)]
pub struct InferPlanner {
    provider: Arc<dyn ModelProvider>,
    shared: HashMap<Question, Arc<SharedResults>>,
}

impl InferPlanner {
    /// A planner for `plan` whose nodes take their models from `provider`.
    ///
    /// # Errors
    /// A call's model is not known.
    pub fn new(provider: Arc<dyn ModelProvider>, plan: &LogicalPlan) -> Result<Self> {
        Ok(Self { provider, shared: shared_results(plan)? })
    }
}

/// What two nodes ask alike: a model, a prompt, and of what.
type Question = (String, String, InputKind);

fn question(inference: &Inference) -> Question {
    (inference.model.reference(), inference.prompt.clone(), inference.input_kind())
}

/// A place for the results of every question that several nodes of a plan ask.
fn shared_results(plan: &LogicalPlan) -> Result<HashMap<Question, Arc<SharedResults>>> {
    let mut nodes: HashMap<Question, usize> = HashMap::new();
    plan.apply_with_subqueries(|plan| {
        if let Some(Infer { input, call: Expr::ScalarFunction(function), .. }) = Infer::of(plan)
            && let Some(inference) = inference_over(function, input.schema())?
        {
            *nodes.entry(question(&inference)).or_default() += 1;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(nodes.into_iter().filter(|(_, nodes)| *nodes > 1).map(|(question, _)| (question, Arc::default())).collect())
}

/// What a call over the columns of `schema` has to run.
fn inference_over(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Inference>> {
    let Some(inference) = inference_of(call)? else { return Ok(None) };
    let inputs = call.args.iter().take(inference.arity()).map(|input| input.get_type(schema));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    Ok(Some(inference.reading(inputs)))
}

#[async_trait]
impl ExtensionPlanner for InferPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(infer), [input]) = (node.as_any().downcast_ref::<Infer>(), physical_inputs) else { return Ok(None) };
        let physical = |expr: &Expr| planner.create_physical_expr(expr, infer.input.schema(), session, planning);
        let call = match &infer.call {
            Expr::ScalarFunction(function) => {
                inference_over(function, infer.input.schema())?.map(|inference| (function, inference))
            }
            _ => None,
        };
        if let Some((function, inference)) = call {
            let arguments = function.args.iter().take(inference.arity()).map(physical).collect::<Result<Vec<_>>>()?;
            let config = DebutConfig::of(session.config_options());
            let provider = Arc::clone(&self.provider);
            let source =
                ModelSource::new(provider, &inference, config, self.shared.get(&question(&inference)).cloned());
            let exec = InferExec::try_new(Arc::clone(input), inference, arguments, &infer.column, source)?;
            return Ok(Some(Arc::new(exec)));
        }
        if let Expr::ScalarFunction(function) = &infer.call
            && let (Some(read), [path, ..]) = (ReadFile::of(function), function.args.as_slice())
        {
            let reader = Reader::new(Access::of(session.config()), session.default_table_options());
            let exec = ReadFileExec::try_new(Arc::clone(input), physical(path)?, read, &infer.column, reader)?;
            return Ok(Some(Arc::new(exec)));
        }
        // Optimizer rules may have folded the call into a constant.
        let mut columns: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::new();
        for (index, field) in input.schema().fields().iter().enumerate() {
            columns.push((Arc::new(Column::new(field.name(), index)), field.name().clone()));
        }
        columns.push((physical(&infer.call)?, infer.column.clone()));
        Ok(Some(Arc::new(ProjectionExec::try_new(columns, Arc::clone(input))?)))
    }
}
