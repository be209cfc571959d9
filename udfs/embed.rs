//! `embed(input [, model [, prompt]])` and `try_embed`: a text as a vector.
//!
//! Takes text of any Arrow string type; gives `FixedSizeList<Float32, N>`, L2-normalised, NULL for NULL. `try_embed`
//! never fails for a row: it gives `Struct{value, error}`, the vector, or NULL and the reason. The meaning is here; in
//! a query the engine lifts the call into its inference node.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::call::{evaluate, input_and_literals, literals};
use crate::inference::{Form, Inference, result_field};
use crate::model::Task;
use crate::models::{Models, prompt_of, require_input, require_task};
use crate::text::text_literal;

/// `embed`, or `try_embed`: they differ in what becomes of a row that fails.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Embed {
    form: Form,
    models: Models,
    signature: Signature,
}

impl Embed {
    /// `embed` over these models.
    pub fn new(models: Models) -> Self {
        Self::with_form(Form::Vector, models)
    }

    /// `try_embed` over these models.
    pub fn or_error(models: Models) -> Self {
        Self::with_form(Form::VectorOrError, models)
    }

    fn with_form(form: Form, models: Models) -> Self {
        Self { form, models, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn function(&self) -> &'static str {
        if self.form == Form::VectorOrError { "try_embed" } else { "embed" }
    }

    /// The call that these literal arguments describe; the first is the input and does not matter.
    ///
    /// # Errors
    /// The model or the prompt is not a literal, not known, or makes no vectors.
    pub fn inference(&self, literals: &[Option<&ScalarValue>]) -> Result<Inference> {
        let function = self.function();
        let reference = literals.get(1).map(|value| text_literal(function, "the model", *value)).transpose()?;
        let prompt = literals.get(2).map(|value| text_literal(function, "the prompt", *value)).transpose()?;
        let model = self.models.describe(reference)?;
        require_task(function, &model, Task::Embedding)?;
        let prompt = prompt_of(function, &model, prompt.unwrap_or("document"))?;
        Ok(Inference { function, form: self.form, model, prompt })
    }
}

impl ScalarUDFImpl for Embed {
    fn name(&self) -> &'static str {
        self.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        input_and_literals(self.name(), &["model", "prompt"], types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {} depends on its literals", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let inference = self.inference(args.scalar_arguments)?;
        if let Some(input) = args.arg_fields.first() {
            require_input(self.name(), &inference.model, inference.model.modality, input)?;
        }
        Ok(result_field(&inference, self.name()))
    }

    fn with_updated_config(&self, options: &ConfigOptions) -> Option<ScalarUDF> {
        Some(Self::with_form(self.form, self.models.with_options(options)).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let inference = self.inference(&literals(&args.args))?;
        evaluate(&inference, &self.models, &args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        if self.form == Form::VectorOrError { TryEmbedDocumentation.doc() } else { EmbedDocumentation.doc() }
    }
}

#[user_doc(
    doc_section(label = "Model Functions"),
    description = "The embedding of a text, a vector of length one. Each distinct text runs once per query. A text longer than the model's limit is cut off.",
    syntax_example = "embed(input [, model [, prompt]])",
    sql_example = "```sql\nSELECT title, embed(title) AS vector FROM 'products.parquet';\n```",
    argument(
        name = "input",
        description = "The text: Utf8, LargeUtf8, Utf8View, or a dictionary of one of these. NULL gives NULL."
    ),
    argument(
        name = "model",
        description = "The model, `'name'` or `'name@version'`, as a literal. The default is the session's `debut.model`."
    ),
    argument(
        name = "prompt",
        description = "The prompt, for models that have prompts: `'document'` (the default), `'query'`, the name of another prompt of the model, or `''` for none."
    )
)]
struct EmbedDocumentation;

#[user_doc(
    doc_section(label = "Model Functions"),
    description = "Like `embed`, but a row that fails does not fail the query. Returns `Struct{value, error}`: for such a row the value is NULL and the error gives the reason.",
    syntax_example = "try_embed(input [, model [, prompt]])",
    sql_example = "```sql\nSELECT title, try_embed(title)['error'] AS problem FROM 'products.parquet';\n```",
    argument(name = "input", description = "The text, as for `embed`. NULL gives a NULL value and a NULL error."),
    argument(
        name = "model",
        description = "The model, `'name'` or `'name@version'`, as a literal. The default is the session's `debut.model`."
    ),
    argument(name = "prompt", description = "As for `embed`.")
)]
struct TryEmbedDocumentation;
