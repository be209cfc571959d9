//! `embed(input [, model [, prompt]])` and `try_embed`: a text or a picture as a vector.
//!
//! Takes text of any Arrow string type, or the bytes of pictures of any binary type; gives `FixedSizeList<Float32, N>`, L2-normalised, NULL for NULL. `try_embed`
//! never fails for a row: it gives `Struct{value, error}`, the vector, or NULL and the reason. The meaning is here; in
//! a query the engine lifts the call into its inference node.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion_macros::user_doc;

use crate::call::{evaluate, input_and_literals, literals, with_default_model};
use crate::inference::{Form, Inference, result_field};
use crate::model::Task;
use crate::models::{Models, prompt_of, require_input, require_task};
use crate::read_file::{EarlierError, or_error};
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

    /// The call that these literal arguments describe; the first is the input and does not matter. Without a model it is the
    /// session's model for text: that for bytes is written into the call when it is simplified.
    ///
    /// # Errors
    /// The model or the prompt is not a literal, not known, or makes no vectors.
    pub fn inference(&self, literals: &[Option<&ScalarValue>]) -> Result<Inference> {
        self.inference_of(literals, None)
    }

    /// [`Self::inference`] of a call whose input is of a known type.
    fn inference_of(&self, literals: &[Option<&ScalarValue>], input: Option<&DataType>) -> Result<Inference> {
        let function = self.function();
        let reference = match literals.get(1) {
            Some(value) => Some(text_literal(function, "the model", *value)?),
            None => Some(self.models.default_for(input.into_iter())),
        };
        let prompt = literals.get(2).map(|value| text_literal(function, "the prompt", *value)).transpose()?;
        let model = self.models.describe(reference)?;
        require_task(function, &model, Task::Embedding)?;
        let prompt = prompt_of(function, &model, prompt.unwrap_or("document"))?;
        Ok(Inference { function, form: self.form, modality: model.modality, model, prompt })
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
        let input = args.arg_fields.first().map(|input| input.data_type());
        let inference = self.inference_of(args.scalar_arguments, input)?;
        if let Some(input) = args.arg_fields.first() {
            require_input(self.name(), &inference.model, inference.model.modality, input)?;
        }
        Ok(result_field(&inference, self.name()))
    }

    fn with_updated_config(&self, options: &ConfigOptions) -> Option<ScalarUDF> {
        Some(Self::with_form(self.form, self.models.with_options(options)).into())
    }

    /// A picture without a model gets the session's, so that the engine sees what has to run. Where `try_embed` reads files, one
    /// that cannot be read is an error of its row too.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let call = |args| ScalarUDF::from(Self::with_form(self.form, self.models.clone())).call(args);
        let files = args.first().filter(|_| self.form == Form::VectorOrError).and_then(or_error);
        let with_model = with_default_model(&self.models, &args, 1, info)?;
        Ok(match (files, with_model) {
            (None, None) => ExprSimplifyResult::Original(args),
            (None, Some(args)) => ExprSimplifyResult::Simplified(call(args)),
            (Some((content, error)), with_model) => {
                let mut args = with_model.unwrap_or(args);
                args[0] = content;
                ExprSimplifyResult::Simplified(EarlierError::call(call(args), error))
            }
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let input = args.arg_fields.first().map(|input| input.data_type());
        let inference = self.inference_of(&literals(&args.args), input)?;
        evaluate(&inference, &self.models, &args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        if self.form == Form::VectorOrError { TryEmbedDocumentation.doc() } else { EmbedDocumentation.doc() }
    }
}

#[user_doc(
    doc_section(label = "Model Functions"),
    description = "The embedding of a text or of a picture, a vector of length one. Each distinct input runs once per query. A text longer than the model's limit is cut off; a picture is a JPEG, PNG, WebP or GIF (its first frame), turned upright, of at most 64 megapixels.",
    syntax_example = "embed(input [, model [, prompt]])",
    sql_example = "```sql\nSELECT title, embed(title) AS vector FROM 'products.parquet';\n```",
    argument(
        name = "input",
        description = "The text: Utf8, LargeUtf8, Utf8View, or a dictionary of one of these; or the bytes of a picture: Binary, LargeBinary, BinaryView, FixedSizeBinary, or a dictionary of one of these. NULL gives NULL."
    ),
    argument(
        name = "model",
        description = "The model, `'name'` or `'name@version'`, as a literal. The default is the session's `debut.model` for text, `debut.image_model` for bytes."
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
    argument(
        name = "input",
        description = "The text or the picture, as for `embed`. NULL gives a NULL value and a NULL error."
    ),
    argument(
        name = "model",
        description = "The model, `'name'` or `'name@version'`, as a literal. The default is as for `embed`."
    ),
    argument(name = "prompt", description = "As for `embed`.")
)]
struct TryEmbedDocumentation;
