//! What the functions that run a model on one input have in common: their argument types, and one call's evaluation.
//!
//! Takes a call as DataFusion plans or invokes it; gives types, literals and values.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, lit};

use crate::inference::Inference;
use crate::input::Modality;
use crate::models::Models;
use crate::text::is_text;

/// The argument types of `function(input [, literal ...])`, whose one or two optional arguments are text literals.
pub(crate) fn input_and_literals(function: &str, optional: &[&str], types: &[DataType]) -> Result<Vec<DataType>> {
    let usage = || format!("{function}(text [, {}{})", optional.join(" [, "), "]".repeat(optional.len()));
    let Some((input, literals)) = types.split_first() else {
        return plan_err!("{function} needs a text: {}", usage());
    };
    if literals.len() > optional.len() {
        let most = if optional.len() == 1 { "two" } else { "three" };
        return plan_err!("{function} takes at most {most} arguments: {}", usage());
    }
    if let Some(other) = literals.iter().find(|literal| !is_text(literal) && **literal != DataType::Null) {
        let are = if optional.len() == 1 { "is a text literal" } else { "are text literals" };
        return plan_err!("{function}: the {} {are}, not {other}: {}", optional.join(" and the "), usage());
    }
    Ok([input_type(function, input)?].into_iter().chain(literals.iter().cloned()).collect())
}

/// The type that an input is read as, its own. Whether the model reads it is [`require_input`]'s question: here no
/// model is known. A bare NULL is an input of every model.
///
/// [`require_input`]: crate::models::require_input
pub(crate) fn input_type(function: &str, data_type: &DataType) -> Result<DataType> {
    if data_type.is_null() || Modality::of(data_type).is_some() {
        return Ok(data_type.clone());
    }
    plan_err!(
        "{function} reads text, not {data_type}; write CAST(column AS VARCHAR) if its value as text is what you mean. Pictures \
         are read from BYTEA columns"
    )
}

/// The scalar arguments of an evaluated call.
pub(crate) fn literals(args: &[ColumnarValue]) -> Vec<Option<&ScalarValue>> {
    args.iter()
        .map(|arg| match arg {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        })
        .collect()
}

/// The arguments of a call, with the session's model for bytes where they are bytes and the call names no model. `None` if
/// there is nothing to add.
///
/// # Errors
/// The type of an argument is not known.
pub(crate) fn with_default_model(
    models: &Models,
    args: &[Expr],
    inputs: usize,
    info: &SimplifyContext,
) -> Result<Option<Vec<Expr>>> {
    if args.len() != inputs {
        return Ok(None);
    }
    let types = args.iter().map(|arg| info.get_data_type(arg)).collect::<Result<Vec<_>>>()?;
    if !types.iter().any(|input| Modality::of(input) == Some(Modality::Bytes)) {
        return Ok(None);
    }
    let model = models.describe(Some(models.default_for(types.iter())))?;
    Ok(Some(args.iter().cloned().chain([lit(model.reference())]).collect()))
}

/// Runs a call on its arguments; constant arguments give a constant.
pub(crate) fn evaluate(inference: &Inference, models: &Models, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let inputs = &args.args[..inference.arity()];
    let inference = inference.clone().reading(inputs.iter().map(ColumnarValue::data_type));
    let constant = inputs.iter().all(|input| matches!(input, ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { args.number_rows };
    let arrays = inputs.iter().map(|input| input.to_array(rows)).collect::<Result<Vec<_>>>()?;
    let model = models.load(&inference.model)?;
    let values = inference.evaluate(model.as_ref(), &arrays, models.config().max_batch_tokens)?;
    if constant {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?));
    }
    Ok(ColumnarValue::Array(values))
}
