//! `POST /v1/score`: how well items answer queries or suit users, as SQL's `score` gives it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{Field, FieldRef, Float32Type};
use axum::extract::{Request, State};
use axum::response::Response;
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl};
use debut_udfs::embed::Embed;
use debut_udfs::inference::Inference;
use debut_udfs::models::Models;
use debut_udfs::score::Score;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::inference::{infer, resolve};
use crate::server::http::body;
use crate::server::http::error::{ApiError, ErrorAnswer, Result};
use crate::server::http::state::HttpState;
use crate::server::http::values::{Id, at_most, ids, json};

/// What to score: `pairs`, or `items` for one `query` or one `user`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ScoreRequest {
    /// `name` or `name@version`; by default the server's.
    model: Option<String>,
    /// A query text, or with a recommender a user's id, and an item's text, in each pair.
    pairs: Option<Vec<(Option<Id>, Option<String>)>>,
    /// A text that the items answer.
    query: Option<String>,
    /// The id of the user whom the items suit, for a recommender.
    user: Option<Id>,
    /// The texts of items.
    items: Option<Vec<Option<String>>>,
}

/// Scores.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ScoreAnswer {
    /// `name@version` of the model.
    model: String,
    /// A number from 0 to 1 for each pair or item, in their order; `null` where a part of it is `null`.
    scores: Vec<Option<f32>>,
}

/// Scores items.
#[utoipa::path(post, path = "/v1/score", request_body = ScoreRequest, responses(
    (status = 200, body = ScoreAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn score(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let request: ScoreRequest = body::json(&state.options, request).await?;
    let model = request.model.clone();
    let (users, items) = sides(request, state.options.max_rows)?;
    let fields = ["query", "item"].into_iter().zip([&users, &items]);
    let fields = fields.map(|(name, column)| Arc::new(Field::new(name, column.data_type().clone(), true)));
    let call = Call { fields: fields.collect(), rows: items.len() };
    let plan = resolve(&state, move |models| call.plan(models, model)).await?;
    let values = match &plan.work {
        Work::Pairs(inference) => infer(&state, inference, &[users, items]).await?.values,
        Work::Vectors(query, item) => {
            let query = infer(&state, query, &[users]).await?;
            let item = infer(&state, item, &[items]).await?;
            plan.compare(query.values, item.values)?
        }
    };
    json(&ScoreAnswer { model: plan.model, scores: values.as_primitive::<Float32Type>().iter().collect() })
}

/// Queries or users, and the items beside them.
fn sides(request: ScoreRequest, most: usize) -> Result<(ArrayRef, ArrayRef)> {
    let ScoreRequest { pairs, query, user, items, .. } = request;
    let one = match (pairs, query, user, items) {
        (Some(pairs), None, None, None) => {
            at_most("pairs", pairs.len(), most)?;
            let users = ids("pairs", pairs.iter().map(|(user, _)| user.as_ref()))?;
            let items: StringArray = pairs.iter().map(|(_, item)| item.as_deref()).collect();
            return Ok((users, Arc::new(items)));
        }
        (None, Some(query), None, Some(items)) => (Id::Text(query), items),
        (None, None, Some(user), Some(items)) => (user, items),
        _ => {
            let message = "a request has pairs; or items and a query; or items and a user";
            return Err(ApiError::new(axum::http::StatusCode::BAD_REQUEST, "invalid_body", message));
        }
    };
    let (one, items) = one;
    at_most("items", items.len(), most)?;
    let users = ids("user", std::iter::repeat_n(Some(&one), items.len()))?;
    Ok((users, Arc::new(StringArray::from(items))))
}

/// A call of `score` on columns.
struct Call {
    fields: Vec<FieldRef>,
    rows: usize,
}

/// A call whose model is known.
struct Plan {
    model: String,
    score: Score,
    work: Work,
    rows: usize,
}

enum Work {
    /// The model reads pairs.
    Pairs(Inference),
    /// The model embeds both sides: how the query is embedded, and how the item.
    Vectors(Inference, Inference),
}

impl Call {
    fn plan(self, models: Models, model: Option<String>) -> EngineResult<Plan> {
        let model = ScalarValue::from(model.unwrap_or_else(|| models.config().model.clone()));
        let score = Score::new(models.clone());
        let literals = [None, None, Some(&model)];
        // Fails as SQL's does where the model does not read these types.
        score.return_field_from_args(ReturnFieldArgs { arg_fields: &self.fields, scalar_arguments: &literals })?;
        let embed = Embed::new(models);
        let side = |prompt: &str| embed.inference(&[None, Some(&model), Some(&ScalarValue::from(prompt))]);
        let (model, work) = match score.inference(&literals)? {
            Some(inference) => (inference.model.reference(), Work::Pairs(inference)),
            None => {
                let (query, item) = (side("query")?, side("document")?);
                (query.model.reference(), Work::Vectors(query, item))
            }
        };
        Ok(Plan { model, score, work, rows: self.rows })
    }
}

impl Plan {
    /// The scores of two columns of vectors.
    fn compare(&self, query: ArrayRef, item: ArrayRef) -> EngineResult<ArrayRef> {
        let field = |array: &ArrayRef| Arc::new(Field::new("side", array.data_type().clone(), true));
        let model = ScalarValue::from(self.model.as_str());
        let arg_fields = vec![field(&query), field(&item), Arc::new(Field::new("model", model.data_type(), true))];
        let args = vec![ColumnarValue::Array(query), ColumnarValue::Array(item), ColumnarValue::Scalar(model)];
        let scores = self.score.invoke_with_args(ScalarFunctionArgs {
            args,
            arg_fields,
            number_rows: self.rows,
            return_field: Arc::new(Field::new("score", arrow::datatypes::DataType::Float32, true)),
            config_options: Arc::new(ConfigOptions::default()),
        })?;
        scores.into_array(self.rows)
    }
}
