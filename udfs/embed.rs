//! `embed(input [, model [, prompt]])`: a text as a vector.
//!
//! Takes text of any Arrow string type; gives `FixedSizeList<Float32, N>`, L2-normalised, NULL for NULL. The meaning is
//! here; in a query the engine lifts the call into its inference node. Called by DataFusion, and by `try_embed`, which
//! shares the planning.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::inference::{Form, Inference, result_field};
use crate::models::{Models, prompt_of, require_embedding};
use crate::text::{is_text, text_literal};

/// `embed`.
#[user_doc(
    doc_section(label = "Model Functions"),
    description = "The text as a vector of the model, L2-normalised. Equal texts are run once in a query; texts longer than the model reads are cut off.",
    syntax_example = "embed(input [, model [, prompt]])",
    sql_example = "```sql\nSELECT title, embed(title) AS vector FROM 'products.parquet';\n```",
    argument(
        name = "input",
        description = "The text: Utf8, LargeUtf8, Utf8View or a dictionary of them. NULL gives NULL."
    ),
    argument(
        name = "model",
        description = "`'name'` or `'name@version'`, a literal. Without it the session's `debut.model`."
    ),
    argument(
        name = "prompt",
        description = "How the text is meant, for models that have prompts: `'document'` (the default), `'query'`, another name the model has, or `''` for none."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Embed {
    models: Models,
    signature: Signature,
}

impl Embed {
    /// `embed` over these models.
    pub fn new(models: Models) -> Self {
        Self { models, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// The call that these literal arguments describe; the first is the text and does not matter.
    ///
    /// # Errors
    /// The model or the prompt is not a literal, not known, or makes no vectors.
    pub fn inference(&self, literals: &[Option<&ScalarValue>]) -> Result<Inference> {
        embedding("embed", Form::Vector, &self.models, literals)
    }
}

impl ScalarUDFImpl for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        embedding_types(self.name(), types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {} depends on its literals", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(result_field(&self.inference(args.scalar_arguments)?, self.name()))
    }

    fn with_updated_config(&self, options: &ConfigOptions) -> Option<ScalarUDF> {
        Some(Self::new(self.models.with_options(options)).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let inference = self.inference(&literals(&args.args))?;
        evaluate(&inference, &self.models, &args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Resolves the literals of `embed` and `try_embed`.
pub(crate) fn embedding(
    function: &'static str,
    form: Form,
    models: &Models,
    literals: &[Option<&ScalarValue>],
) -> Result<Inference> {
    let reference = literals.get(1).map(|value| text_literal(function, "the model", *value)).transpose()?;
    let prompt = literals.get(2).map(|value| text_literal(function, "the prompt", *value)).transpose()?;
    let model = models.describe(reference)?;
    require_embedding(function, &model)?;
    let prompt = prompt_of(function, &model, prompt.unwrap_or("document"))?;
    Ok(Inference { function, form, model, prompt })
}

/// The argument types of `embed` and `try_embed`.
pub(crate) fn embedding_types(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let usage = format!("{function}(text [, model [, prompt]])");
    match types {
        [] => plan_err!("{function} needs a text: {usage}"),
        [_, _, _, _, ..] => plan_err!("{function} takes at most three arguments: {usage}"),
        [input, literals @ ..] => {
            if let Some(other) = literals.iter().find(|literal| !is_text(literal) && **literal != DataType::Null) {
                return plan_err!("{function}: the model and the prompt are text literals, not {other}: {usage}");
            }
            Ok([text_type(function, input)?].into_iter().chain(literals.iter().cloned()).collect())
        }
    }
}

/// The type that a text argument is read as: its own, or Utf8 for a bare NULL.
pub(crate) fn text_type(function: &str, data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::Null => Ok(DataType::Utf8),
        text if is_text(text) => Ok(text.clone()),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => plan_err!(
            "{function}: the model reads text, not {data_type}; if the bytes are text, write arrow_cast(column, 'Utf8')"
        ),
        other => plan_err!(
            "{function} reads text, not {other}; write CAST(column AS VARCHAR) if its value as text is what you mean"
        ),
    }
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

/// Runs a call on its arguments; constant arguments give a constant.
pub(crate) fn evaluate(inference: &Inference, models: &Models, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let inputs = &args.args[..inference.arity()];
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
