//! `classify(input [, image] [, model])` and `classify(input, labels [, model])`: the label that fits a text or a picture best.
//!
//! Gives `Struct{label: Utf8, probability: Float32}`, NULL for NULL. Without labels it is a model's own head that chooses,
//! which `finetune` has trained ([`Predict`]). With labels nothing has to be trained: the label is taken whose vector is
//! nearest to the input's. While the query is planned the input becomes a call of `embed`, as in `score`, so that the engine
//! runs it with the rest of the query; the labels are embedded once, when the first row arrives.

mod labels;
mod nearest;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, lit,
};
use datafusion_macros::user_doc;

use self::labels::{Labels, Vectors, is_labels};
use crate::call::{evaluate, input_type, literals};
use crate::embed::Embed;
use crate::inference::{Inference, label_field};
use crate::model::{Modality, ModelInfo, Task};
use crate::models::{Models, require_input, require_task};
use crate::predict::Predict;
use crate::text::{is_text, text_literal};
use crate::vectors::{MODEL_KEY, check_made_by, is_vector};

const NAME: &str = "classify";
const USAGE: &str = "classify(input, ARRAY['a', 'b'] [, model])";

/// `classify`.
#[user_doc(
    doc_section(label = "Model Functions"),
    description = "The label that fits a text or a picture best, as `Struct{label, probability}`. Without `labels` the model has some, from `finetune(objective => 'classification')`, and the probability is the softmax over all of them. With `labels` any model of texts, or one of two towers such as CLIP, tells apart what it was never trained for: the label is taken whose vector is nearest to the input's. The probability is then the softmax over the labels of `logit_scale` times the cosine, with the scale of the model, or 20 where a model of texts has none, which is what sentence-transformers trains with; with SigLIP it is the sigmoid of `logit_scale` times the cosine plus `logit_bias`, for each label by itself. Labels are embedded as they are written: `'a photo of a shoe'` often works better than `'shoe'`. Each distinct input runs once per query, and so do the labels.",
    syntax_example = "classify(input [, image | labels] [, model])",
    sql_example = "```sql\nSELECT title, classify(title, 'article_types')['label'] AS article_type FROM 'products.parquet';\nSELECT title, classify(title, image, 'article_types_by_both')['label'] AS article_type FROM 'products.parquet';\nSELECT id, classify(image, ARRAY['a photo of a shoe', 'a photo of a bag'], 'clip') FROM 'products.parquet';\n```",
    argument(
        name = "input",
        description = "A text or a picture, or with `labels` a vector of the model too. NULL gives NULL."
    ),
    argument(
        name = "image",
        description = "The picture, of a classification model that reads a text and a picture. NULL for the text or the picture is one that is missing, and NULL for both gives NULL."
    ),
    argument(name = "labels", description = "The labels, as a literal array of different texts, none of them NULL."),
    argument(
        name = "model",
        description = "The model, `'name'` or `'name@version'`, as a literal: without `labels` a classification model, with `labels` an embedding model. The default is the session's `debut.model`; with `labels`, `debut.image_model` for a picture, and for a vector the model that made it."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Classify {
    /// The calls without labels.
    head: Predict,
    models: Models,
    signature: Signature,
    /// What the labels of this call are embedded into, once; `None` in the function that a session registers, which is no
    /// call yet.
    vectors: Option<Vectors>,
}

impl Classify {
    /// `classify` over these models.
    pub fn new(models: Models) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { head: Predict::label(models.clone()), models, signature, vectors: None }
    }

    /// What a call with these literal arguments has to run for each row; `None` with labels, where a call of `embed` does it.
    ///
    /// # Errors
    /// The model is not a literal, not known, or has no labels.
    pub fn inference(&self, literals: &[Option<&ScalarValue>]) -> Result<Option<Inference>> {
        let has_labels =
            literals.get(1).is_some_and(|labels| labels.is_some_and(|labels| is_labels(&labels.data_type())));
        if has_labels { Ok(None) } else { self.head.inference(literals).map(Some) }
    }

    /// The model of a call with labels.
    fn model(&self, literal: Option<Option<&ScalarValue>>, input: &FieldRef) -> Result<Arc<ModelInfo>> {
        let reference = match (literal, input.metadata().get(MODEL_KEY)) {
            (Some(value), _) => text_literal(NAME, "the model", value)?,
            (None, Some(made_by)) => made_by.as_str(),
            (None, None) => self.models.default_for(std::iter::once(input.data_type())),
        };
        let model = self.models.describe(Some(reference))?;
        require_task(NAME, &model, Task::Embedding)?;
        if !model.reads(Modality::Text) {
            return plan_err!(
                "{NAME}: model '{}' reads {} and no texts, so that it cannot tell what a label means; name a model that has a \
                 tower for texts too, such as CLIP or SigLIP, or train one to classify: finetune(objective => \
                 'classification')",
                model.reference(),
                model.modality
            );
        }
        if is_vector(input.data_type()) {
            check_made_by(NAME, &model, input)?;
        } else {
            require_input(NAME, &model, model.modality, input)?;
        }
        Ok(model)
    }

    /// The input as a vector: of a text or a picture, what `embed` makes of it.
    fn as_vector(&self, model: &ModelInfo, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let input = &args.args[0];
        if is_vector(&input.data_type()) {
            return Ok(input.clone());
        }
        let reference = ScalarValue::from(model.reference());
        let inference = Embed::new(self.models.clone()).inference(&[None, Some(&reference)])?;
        evaluate(&inference, &self.models, args)
    }
}

impl ScalarUDFImpl for Classify {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [input, labels, model @ ..] = types else { return self.head.coerce_types(types) };
        if !is_labels(labels) {
            return self.head.coerce_types(types);
        }
        if model.len() > 1 {
            return plan_err!("{NAME} takes at most three arguments: {USAGE}");
        }
        labels::check_type(labels)?;
        if let Some(other) = model.iter().find(|model| !is_text(model) && **model != DataType::Null) {
            return plan_err!("{NAME}: the model is a text literal, not {other}: {USAGE}");
        }
        let input = if is_vector(input) { input.clone() } else { input_type(NAME, input)? };
        Ok([input, labels.clone()].into_iter().chain(model.iter().cloned()).collect())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("{NAME} is planned by its literals")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [input, labels, ..] if is_labels(labels.data_type()) => {
                self.model(args.scalar_arguments.get(2).copied(), input)?;
                Ok(Arc::new(label_field(NAME)))
            }
            _ => self.head.return_field_from_args(args),
        }
    }

    fn with_updated_config(&self, options: &ConfigOptions) -> Option<ScalarUDF> {
        Some(Self::new(self.models.with_options(options)).into())
    }

    /// With labels the input becomes `embed` of it and the model is written out, so that the engine sees what has to run.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let [input, labels, model @ ..] = args.as_slice() else { return Ok(ExprSimplifyResult::Original(args)) };
        if !is_labels(&info.get_data_type(labels)?) {
            return self.head.simplify(args, info);
        }
        if self.vectors.is_some() {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let literal = match labels {
            Expr::Literal(literal, _) => literal,
            // A constant becomes a literal in the next round.
            labels if labels.column_refs().is_empty() && !labels.is_volatile() => {
                return Ok(ExprSimplifyResult::Original(args));
            }
            _ => return labels::not_literal(),
        };
        Labels::read(literal)?;
        let field = input.to_field(info.schema().as_ref())?.1;
        let named = model.first().map(|model| match model {
            Expr::Literal(value, _) => Some(value),
            _ => None,
        });
        let model = self.model(named, &field)?;
        let input = if is_vector(field.data_type()) {
            input.clone()
        } else {
            ScalarUDF::from(Embed::new(self.models.clone())).call(vec![input.clone(), lit(model.reference())])
        };
        let call = Self { vectors: Some(Vectors::default()), ..Self::new(self.models.clone()) };
        let args = vec![input, labels.clone(), lit(model.reference())];
        Ok(ExprSimplifyResult::Simplified(ScalarUDF::from(call).call(args)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let labels = match args.args.get(1) {
            Some(labels) if is_labels(&labels.data_type()) => labels,
            _ => return self.head.invoke_with_args(args),
        };
        let ColumnarValue::Scalar(labels) = labels else { return labels::not_literal() };
        let labels = Labels::read(labels)?;
        let model = self.model(literals(&args.args).get(2).copied(), &args.arg_fields[0])?;
        let inputs = self.as_vector(&model, &args)?;
        let vectors = match &self.vectors {
            Some(vectors) => vectors.get_or_embed(&labels, &model, &self.models)?,
            None => labels.embed(&model, &self.models)?,
        };
        let constant = matches!(inputs, ColumnarValue::Scalar(_));
        let inputs = inputs.to_array(if constant { 1 } else { args.number_rows })?;
        let found = nearest::nearest(&inputs, &labels, &vectors, model.text_tower)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?));
        }
        Ok(ColumnarValue::Array(found))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}
