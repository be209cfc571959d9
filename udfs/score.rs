//! `score(query, item [, model])`: how well an item answers a query or suits a user, as a probability in [0, 1].
//!
//! Takes texts, or vectors of one model; gives `Float32`. With an embedding model the score is (1 + cosine) / 2, and a
//! text becomes a call of `embed` while the query is planned, so that a text embedded elsewhere in the query is not run
//! again. With a cross-encoder it is the sigmoid of the model's logit on the pair of texts. With a recommender the
//! first argument is a user, by id or by a profile, and the score is the probability that the user buys the item.

use std::sync::Arc;

use datafusion::arrow::array::Float32Array;
use datafusion::arrow::compute::unary;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float32Type};
use datafusion::common::cast::as_float32_array;
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use datafusion_macros::user_doc;

use crate::call::{evaluate, input_type, literals, with_default_model};
use crate::distance::{Distance, Metric};
use crate::embed::Embed;
use crate::ids::{IdType, Ids};
use crate::inference::{Form, Inference, result_field};
use crate::model::{Modality, ModelInfo, Task};
use crate::models::{Models, reader_of, require_input, what_it_is};
use crate::text::{is_text, text_literal};
use crate::vectors::{check_made_by, check_same_model};

/// `score`.
#[user_doc(
    doc_section(label = "Model Functions"),
    description = "How well an item fits a query or a user, from 0 to 1. With an embedding model it is (1 + cosine) / 2, with a cross-encoder the sigmoid of its logit. With a recommender it is the probability that the user buys the item; for a user the model does not know, the probability over all users.",
    syntax_example = "score(query, item [, model])",
    sql_example = "```sql\nSELECT title, score('a gift for a gardener', title) AS fit\nFROM 'products.parquet' ORDER BY fit DESC LIMIT 10;\n```",
    argument(
        name = "query",
        description = "A text or a picture, or a vector of the same model, such as a profile. With a recommender, a user's id or a profile. NULL gives NULL."
    ),
    argument(
        name = "item",
        description = "A text or a picture, or a vector of the same model; with a recommender, a text, or a picture if the model was trained with pictures. NULL gives NULL."
    ),
    argument(
        name = "model",
        description = "The model, `'name'` or `'name@version'`, as a literal. The default is the session's `debut.model`, or `debut.image_model` where a side is a picture."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Score {
    models: Models,
    signature: Signature,
}

impl Score {
    /// `score` over these models.
    pub fn new(models: Models) -> Self {
        Self { models, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// The model of a call whose sides are of these types, where they are known.
    fn model<'a>(
        &self,
        literals: &[Option<&ScalarValue>],
        sides: impl Iterator<Item = &'a DataType>,
    ) -> Result<Arc<ModelInfo>> {
        let reference = match literals.get(2) {
            Some(value) => text_literal(self.name(), "the model", *value)?,
            None => self.models.default_for(sides),
        };
        let model = self.models.describe(Some(reference))?;
        if matches!(model.task, Task::Classification | Task::Regression) {
            return plan_err!(
                "score: model '{}' is {} and scores no pairs; use {}, or an embedding model or a cross-encoder",
                model.reference(),
                what_it_is(model.task),
                reader_of(&model)
            );
        }
        Ok(model)
    }

    /// The call that these literal arguments describe, or `None` if no model has to run: with an embedding model
    /// texts become calls of `embed`.
    ///
    /// # Errors
    /// The model is not a literal or not known.
    pub fn inference(&self, literals: &[Option<&ScalarValue>]) -> Result<Option<Inference>> {
        let model = self.model(literals, std::iter::empty())?;
        Ok(model.task.scores_pairs().then(|| Inference {
            function: "score",
            form: Form::Probability,
            modality: model.modality,
            model,
            prompt: String::new(),
        }))
    }

    /// One side of a score as a vector: a text is embedded the way it is meant.
    fn as_vector(
        &self,
        side: &ColumnarValue,
        prompt: &str,
        model: &ModelInfo,
        args: &ScalarFunctionArgs,
    ) -> Result<ColumnarValue> {
        if !is_input(&side.data_type()) {
            return Ok(side.clone());
        }
        let embed = Embed::new(self.models.clone());
        let literals = [ScalarValue::from(model.reference()), ScalarValue::from(prompt)];
        let inference = embed.inference(&[None, Some(&literals[0]), Some(&literals[1])])?;
        let call = ScalarFunctionArgs { args: vec![side.clone()], ..args.clone() };
        evaluate(&inference, &self.models, &call)
    }
}

impl ScalarUDFImpl for Score {
    fn name(&self) -> &'static str {
        "score"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let usage = "score(query, item [, model])";
        let ([query, item, model @ ..], ..=1) = (types, types.len().saturating_sub(2)) else {
            return plan_err!("score takes two or three arguments: {usage}");
        };
        if let Some(other) = model.iter().find(|model| !is_text(model) && **model != DataType::Null) {
            return plan_err!("score: the model is a text literal, not {other}: {usage}");
        }
        let side = |data_type: &DataType| match data_type {
            DataType::FixedSizeList(item, _) if item.data_type() == &DataType::Float32 => Ok(data_type.clone()),
            DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_) => plan_err!(
                "score: {data_type} is not a vector of a model; embed and profile give FLOAT[dimension], \
                 and arrow_cast(column, 'FixedSizeList(384, Float32)') makes one of a list"
            ),
            other => input_type("score", other),
        };
        // What a user is depends on the model, which is not known here: an id may be an integer, and a NULL of any type.
        let is_user = query.is_integer() || query.is_null();
        let query = if is_user { query.clone() } else { side(query)? };
        Ok([query, side(item)?].into_iter().chain(model.iter().cloned()).collect())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float32)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let model = self.model(args.scalar_arguments, args.arg_fields.iter().map(|field| field.data_type()))?;
        let [query, item, ..] = args.arg_fields else {
            return internal_err!("score was planned with {} arguments", args.arg_fields.len());
        };
        if model.task == Task::Recommender {
            check_user_and_item(&model, query, item)?;
        } else {
            // An integer is read by recommenders alone.
            if query.data_type().is_integer() {
                input_type("score", query.data_type())?;
            }
            check_vectors(&model, query, item)?;
        }
        if let Some(inference) = self.inference(args.scalar_arguments)? {
            return Ok(result_field(&inference, "score"));
        }
        Ok(Arc::new(Field::new("score", DataType::Float32, true)))
    }

    fn with_updated_config(&self, options: &ConfigOptions) -> Option<ScalarUDF> {
        Some(Self::new(self.models.with_options(options)).into())
    }

    /// With an embedding model, an input becomes `embed` of it, so that the engine sees what has to run.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let args = with_default_model(&self.models, &args, 2, info)?.unwrap_or(args);
        let values: Vec<Option<&ScalarValue>> = args.iter().map(literal).collect();
        let model = self.model(&values, std::iter::empty())?;
        if model.task.scores_pairs() {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let inputs = args.iter().take(2).map(|side| {
            let data_type = info.get_data_type(side)?;
            if !is_input(&data_type) {
                return Ok(false);
            }
            // Nobody asked for the call's type yet where it stands in ORDER BY; `embed` would tell of itself.
            let field = Field::new(side.qualified_name().1, data_type, true);
            require_input(self.name(), &model, model.modality, &field)?;
            Ok(true)
        });
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        if !inputs.contains(&true) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let [query, item] = take_function_args("score", args.into_iter().take(2))?;
        let embed = Arc::new(ScalarUDF::from(Embed::new(self.models.clone())));
        let vector = |side: Expr, is_input: bool, prompt: &str| {
            if is_input { embed.call(vec![side, lit(model.reference()), lit(prompt)]) } else { side }
        };
        let sides =
            vec![vector(query, inputs[0], "query"), vector(item, inputs[1], "document"), lit(model.reference())];
        Ok(ExprSimplifyResult::Simplified(ScalarUDF::from(Self::new(self.models.clone())).call(sides)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let literals = literals(&args.args);
        if let Some(inference) = self.inference(&literals)? {
            return evaluate(&inference, &self.models, &args);
        }
        let model = self.model(&literals, args.arg_fields.iter().map(|field| field.data_type()))?;
        let query = self.as_vector(&args.args[0], "query", &model, &args)?;
        let item = self.as_vector(&args.args[1], "document", &model, &args)?;
        let sides = ScalarFunctionArgs { args: vec![query, item], ..args };
        match Distance::new(Metric::Cosine).invoke_with_args(sides)? {
            ColumnarValue::Array(distances) => {
                let scores: Float32Array = unary::<_, _, Float32Type>(as_float32_array(&distances)?, score_of_distance);
                Ok(ColumnarValue::Array(Arc::new(scores)))
            }
            ColumnarValue::Scalar(ScalarValue::Float32(distance)) => {
                Ok(ColumnarValue::Scalar(ScalarValue::Float32(distance.map(score_of_distance))))
            }
            ColumnarValue::Scalar(other) => internal_err!("a cosine distance of type {}", other.data_type()),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Fails unless the vectors among the sides can be compared with each other and with what the model makes.
fn check_vectors(model: &ModelInfo, query: &FieldRef, item: &FieldRef) -> Result<()> {
    // Pairs are texts; an embedding model is handed what it reads.
    let wanted = if model.task.scores_pairs() { Modality::Text } else { model.modality };
    for side in [query, item] {
        if is_input(side.data_type()) {
            require_input("score", model, wanted, side)?;
        }
        let DataType::FixedSizeList(..) = side.data_type() else { continue };
        match model.task {
            Task::CrossEncoder => {
                return plan_err!(
                    "score: model '{}' is a cross-encoder and reads two texts, not vectors",
                    model.reference()
                );
            }
            _ if is_input(query.data_type()) || is_input(item.data_type()) => check_made_by("score", model, side)?,
            _ => {}
        }
    }
    match (query.data_type(), item.data_type()) {
        (DataType::FixedSizeList(_, a), DataType::FixedSizeList(_, b)) if a != b => {
            plan_err!("score: vectors of {a} and {b} dimensions cannot be compared; use one model for both")
        }
        (DataType::FixedSizeList(..), DataType::FixedSizeList(..)) => {
            check_same_model("score", &[Arc::clone(query), Arc::clone(item)])
        }
        _ => Ok(()),
    }
}

/// Whether a side is something for a model to read, not a vector; a bare NULL is.
fn is_input(side: &DataType) -> bool {
    side.is_null() || Modality::of(side).is_some()
}

/// Fails unless a recommender can read the sides: a user by id or by profile, and an item by its text or its picture.
fn check_user_and_item(model: &ModelInfo, user: &FieldRef, item: &FieldRef) -> Result<()> {
    let reference = model.reference();
    if !is_input(item.data_type()) {
        return plan_err!("score: model '{reference}' is a recommender and reads an item's text, not its vector");
    }
    let is_picture = model.image_model.is_some() && Modality::of(item.data_type()) == Some(Modality::Bytes);
    for side in [Some(user), Some(item).filter(|_| !is_picture)].into_iter().flatten() {
        if Modality::of(side.data_type()).is_some() {
            require_input("score", model, Modality::Text, side)?;
        }
    }
    match (IdType::of(user.data_type()), model.ids) {
        _ if user.data_type().is_null() => Ok(()),
        (Some(found), Some(Ids { user: wanted, .. })) if found != wanted => plan_err!(
            "score: the user is {} and the user ids of model '{reference}' are {wanted} ({}); write \
             CAST(user_id AS {}), or use an embedding model or a cross-encoder to score a query text",
            user.data_type(),
            wanted.data_type(),
            wanted.sql()
        ),
        (Some(_), _) => Ok(()),
        (None, _) => check_made_by("score", model, user),
    }
}

/// (1 + cosine) / 2 from 1 - cosine; rounding may leave the cosine a little outside [-1, 1].
fn score_of_distance(distance: f32) -> f32 {
    (1.0 - distance / 2.0).clamp(0.0, 1.0)
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}
