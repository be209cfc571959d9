//! `predict(input [, model])`, and `classify` without labels: what a trained head predicts for a text.
//!
//! Takes text of any Arrow string type; `predict` gives `Float32`, `classify` `Struct{label: Utf8, probability:
//! Float32}`, NULL for NULL. The models are those that `finetune` publishes with `objective => 'regression'` and
//! `'classification'`. In a query the engine lifts the call into its inference node.

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
use crate::models::{Models, require_input, require_task};
use crate::text::text_literal;

/// `predict`, or the `classify` of a model that has labels: they differ in what the model's head gives.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Predict {
    form: Form,
    models: Models,
    signature: Signature,
}

impl Predict {
    /// `predict` over these models.
    pub fn number(models: Models) -> Self {
        Self::with_form(Form::Number, models)
    }

    /// `classify` without labels over these models.
    pub fn label(models: Models) -> Self {
        Self::with_form(Form::Label, models)
    }

    fn with_form(form: Form, models: Models) -> Self {
        Self { form, models, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn function(&self) -> &'static str {
        if self.form == Form::Label { "classify" } else { "predict" }
    }

    fn task(&self) -> Task {
        if self.form == Form::Label { Task::Classification } else { Task::Regression }
    }

    /// The call that these literal arguments describe; the first is the input and does not matter.
    ///
    /// # Errors
    /// The model is not a literal, not known, or of another task.
    pub fn inference(&self, literals: &[Option<&ScalarValue>]) -> Result<Inference> {
        let function = self.function();
        let reference = literals.get(1).map(|value| text_literal(function, "the model", *value)).transpose()?;
        let model = self.models.describe(reference)?;
        require_task(function, &model, self.task())?;
        Ok(Inference { function, form: self.form, modality: model.modality, model, prompt: String::new() })
    }
}

impl ScalarUDFImpl for Predict {
    fn name(&self) -> &'static str {
        self.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        input_and_literals(self.name(), &["model"], types)
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("{} is planned by its literals", self.name())
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
        evaluate(&self.inference(&literals(&args.args))?, &self.models, &args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        (self.form == Form::Number).then(|| PredictDocumentation.doc()).flatten()
    }
}

#[user_doc(
    doc_section(label = "Model Functions"),
    description = "The number that a regression model predicts for a text. Each distinct text runs once per query.",
    syntax_example = "predict(input [, model])",
    sql_example = "```sql\nSELECT title, predict(title, 'prices') AS price FROM 'products.parquet';\n```",
    argument(name = "input", description = "The text. NULL gives NULL."),
    argument(
        name = "model",
        description = "A regression model, `'name'` or `'name@version'`, as a literal. The default is the session's `debut.model`."
    )
)]
struct PredictDocumentation;
