//! `classify(input [, model])`: the label of a text, and how sure the model is.
//!
//! Takes text of any Arrow string type; gives `Struct{label: Utf8, probability: Float32}`, NULL for NULL. The models are those that
//! `finetune(objective => 'classification')` publishes. In a query the engine lifts the call into its inference node.
//! Called by DataFusion.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::call::{evaluate, literals, text_and_literals};
use crate::inference::{Form, Inference, result_field};
use crate::model::Task;
use crate::models::{Models, require_task};
use crate::text::text_literal;

/// `classify`.
#[user_doc(
    doc_section(label = "Model Functions"),
    description = "The most probable label of a text and its probability, the softmax over the labels of the model: `Struct{label, probability}`. Equal texts are run once in a query.",
    syntax_example = "classify(input [, model])",
    sql_example = "```sql\nSELECT title, classify(title, 'article_types')['label'] AS article_type FROM 'products.parquet';\n```",
    argument(name = "input", description = "The text. NULL gives NULL."),
    argument(
        name = "model",
        description = "A classification model, `'name'` or `'name@version'`, a literal. Without it the session's `debut.model`."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Classify {
    models: Models,
    signature: Signature,
}

impl Classify {
    /// `classify` over these models.
    pub fn new(models: Models) -> Self {
        Self { models, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// The call that these literal arguments describe; the first is the text and does not matter.
    ///
    /// # Errors
    /// The model is not a literal, not known, or no classification model.
    pub fn inference(&self, literals: &[Option<&ScalarValue>]) -> Result<Inference> {
        let reference = literals.get(1).map(|value| text_literal(self.name(), "the model", *value)).transpose()?;
        let model = self.models.describe(reference)?;
        require_task(self.name(), &model, Task::Classification)?;
        Ok(Inference { function: "classify", form: Form::Label, model, prompt: String::new() })
    }
}

impl ScalarUDFImpl for Classify {
    fn name(&self) -> &'static str {
        "classify"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        text_and_literals(self.name(), &["model"], types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("classify is planned by its literals")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(result_field(&self.inference(args.scalar_arguments)?, self.name()))
    }

    fn with_updated_config(&self, options: &ConfigOptions) -> Option<ScalarUDF> {
        Some(Self::new(self.models.with_options(options)).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(&self.inference(&literals(&args.args))?, &self.models, &args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
