//! `try_embed(input [, model [, prompt]])`: `embed` that never fails for a row.
//!
//! Takes what `embed` takes; gives `Struct{value, error}`: the vector, or NULL and the reason. Called by DataFusion.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::embed::{embedding, embedding_types, evaluate, literals};
use crate::inference::{Form, Inference, result_field};
use crate::models::Models;

/// `try_embed`.
#[user_doc(
    doc_section(label = "Model Functions"),
    description = "Like embed, but a row that cannot be embedded does not end the query: its value is NULL and its error says why.",
    syntax_example = "try_embed(input [, model [, prompt]])",
    sql_example = "```sql\nSELECT title, try_embed(title)['error'] AS problem FROM 'products.parquet';\n```",
    argument(name = "input", description = "The text, as for embed. NULL gives a NULL value and a NULL error."),
    argument(
        name = "model",
        description = "`'name'` or `'name@version'`, a literal. Without it the session's `debut.model`."
    ),
    argument(name = "prompt", description = "As for embed.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TryEmbed {
    models: Models,
    signature: Signature,
}

impl TryEmbed {
    /// `try_embed` over these models.
    pub fn new(models: Models) -> Self {
        Self { models, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// The call that these literal arguments describe; the first is the text and does not matter.
    ///
    /// # Errors
    /// The model or the prompt is not a literal, not known, or makes no vectors.
    pub fn inference(&self, literals: &[Option<&ScalarValue>]) -> Result<Inference> {
        embedding("try_embed", Form::VectorOrError, &self.models, literals)
    }
}

impl ScalarUDFImpl for TryEmbed {
    fn name(&self) -> &'static str {
        "try_embed"
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
