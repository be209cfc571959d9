//! `predict(input [, model])`, and `classify` without labels: what a trained head predicts for a text, a picture, or both.
//!
//! Takes text of any Arrow string type, pictures as bytes, or one of each for a model that reads both. `predict` gives `Float32`,
//! `classify` `Struct{label: Utf8, probability: Float32}`, NULL for NULL. The models are those that `finetune` publishes with `objective => 'regression'` and
//! `'classification'`. In a query the engine lifts the call into its inference node.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use datafusion_macros::user_doc;

use crate::call::{evaluate, input_and_literals, input_type, literals};
use crate::inference::{Form, Inference, result_field};
use crate::model::{Modality, Task};
use crate::models::{Models, reader_of, require_input, require_task};
use crate::text::{is_text, text_literal};

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

    /// The call that these literal arguments describe; the inputs, which come first, do not matter.
    ///
    /// # Errors
    /// The model is not a literal, not known, of another task, or does not read as many inputs.
    pub fn inference(&self, literals: &[Option<&ScalarValue>]) -> Result<Inference> {
        let type_of = |literal: &Option<&ScalarValue>| literal.map_or(DataType::Utf8, ScalarValue::data_type);
        self.call(inputs(&literals.iter().map(type_of).collect::<Vec<_>>()), literals)
    }

    fn call(&self, inputs: usize, literals: &[Option<&ScalarValue>]) -> Result<Inference> {
        let function = self.function();
        let reference = literals.get(inputs).map(|value| text_literal(function, "the model", *value)).transpose()?;
        let model = self.models.describe(reference)?;
        require_task(function, &model, self.task())?;
        let (name, call) = (model.reference(), reader_of(&model));
        match (model.modality, inputs) {
            (Modality::TextAndBytes, 1) => {
                return plan_err!(
                    "{function}: model '{name}' reads a text and a picture; write {call}, with NULL for one that is missing"
                );
            }
            (Modality::Text | Modality::Bytes, 2) => {
                return plan_err!("{function}: model '{name}' reads {} alone; write {call}", model.modality);
            }
            _ => {}
        }
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
        let name = self.name();
        let usage = || format!("{name}(text, image [, model])");
        if inputs(types) == 1 {
            return input_and_literals(name, &["model"], types);
        }
        let [text, image, model @ ..] = types else { return internal_err!("{name} has two inputs") };
        if model.len() > 1 {
            return plan_err!("{name} takes at most three arguments: {}", usage());
        }
        if let Some(other) = model.iter().find(|model| !is_text(model) && **model != DataType::Null) {
            return plan_err!("{name}: the model is a text literal, not {other}: {}", usage());
        }
        let reads = |data_type: &DataType, modality| data_type.is_null() || Modality::of(data_type) == Some(modality);
        if !reads(text, Modality::Text) || !reads(image, Modality::Bytes) {
            return plan_err!(
                "{name} reads of two inputs the first as a text and the second as a picture, not {text} and {image}: {}",
                usage()
            );
        }
        Ok([input_type(name, text)?, input_type(name, image)?].into_iter().chain(model.iter().cloned()).collect())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("{} is planned by its literals", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let inputs = inputs(&args.arg_fields.iter().map(|field| field.data_type().clone()).collect::<Vec<_>>());
        let inference = self.call(inputs, args.scalar_arguments)?;
        if let (1, Some(input)) = (inputs, args.arg_fields.first()) {
            require_input(self.name(), &inference.model, inference.model.modality, input)?;
        }
        Ok(result_field(&inference, self.name()))
    }

    fn with_updated_config(&self, options: &ConfigOptions) -> Option<ScalarUDF> {
        Some(Self::with_form(self.form, self.models.with_options(options)).into())
    }

    /// A picture in the place of the model is an input: the model is written out, so that the engine sees two.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let [_, second] = args.as_slice() else { return Ok(ExprSimplifyResult::Original(args)) };
        if Modality::of(&info.get_data_type(second)?) != Some(Modality::Bytes) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let model = lit(self.models.describe(None)?.reference());
        let call = ScalarUDF::from(Self::with_form(self.form, self.models.clone()));
        Ok(ExprSimplifyResult::Simplified(call.call(args.into_iter().chain([model]).collect())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let inputs = inputs(&args.args.iter().map(ColumnarValue::data_type).collect::<Vec<_>>());
        evaluate(&self.call(inputs, &literals(&args.args))?, &self.models, &args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        (self.form == Form::Number).then(|| PredictDocumentation.doc()).flatten()
    }
}

/// How many of the arguments are inputs: two if the second cannot be the name of a model.
fn inputs(types: &[DataType]) -> usize {
    let is_second = |second: &DataType| types.len() > 2 || Modality::of(second) == Some(Modality::Bytes);
    if types.get(1).is_some_and(is_second) { 2 } else { 1 }
}

#[user_doc(
    doc_section(label = "Model Functions"),
    description = "The number that a regression model predicts for a text, a picture, or both. Each distinct input runs once per query.",
    syntax_example = "predict(input [, image] [, model])",
    sql_example = "```sql\nSELECT title, predict(title, 'prices') AS price FROM 'products.parquet';\nSELECT title, predict(title, image, 'prices') AS price FROM 'products.parquet';\n```",
    argument(name = "input", description = "A text or a picture, whichever the model reads. NULL gives NULL."),
    argument(
        name = "image",
        description = "The picture, of a model that reads a text and a picture. NULL for the text or the picture is one that is missing, and NULL for both gives NULL."
    ),
    argument(
        name = "model",
        description = "A regression model, `'name'` or `'name@version'`, as a literal. The default is the session's `debut.model`."
    )
)]
struct PredictDocumentation;
