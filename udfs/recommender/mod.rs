//! The contract between `recommend(...)`, `explain_recommendation(...)`, `title_effect(...)`, `forecast_launch(...)`, `gaps(...)`, `audience(...)`, `evaluate(...)` and
//! whatever recommends.
//!
//! The engine plans a call: it finds the model, gives the columns of the sub-queries the names and types of [`columns`],
//! collects them into tables and hands them over; what comes back are the rows of the call's result. The crate `debut`
//! implements the trait over its registry. Nothing here knows how a model recommends.
//!
//! # Layout
//! - [`user`], [`item`]: a user and an item as `score` hands them to a model
//! - [`columns`]: the columns that sub-queries have, in one type each

pub mod columns;
pub mod item;
pub mod user;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use futures::stream::BoxStream;

pub use item::ItemKey;
pub use user::UserKey;

use crate::audience::AudienceOptions;
use crate::config::DebutConfig;
use crate::evaluate::EvaluateOptions;
use crate::explain_recommendation::ExplainOptions;
use crate::forecast_launch::ForecastOptions;
use crate::gaps::GapsOptions;
use crate::ids::Ids;
use crate::model::ModelInfo;
use crate::options::Inputs;
use crate::progress::Progress;
use crate::recommend::RecommendOptions;
use crate::title_effect::TitleOptions;
use crate::trainer::Table;

/// The rows of a result, in batches as they are made. Its end is the end of the work; dropping it cancels the work.
pub type Rows = BoxStream<'static, Result<RecordBatch>>;

/// Recommends with models of [`crate::model::Task::Recommender`].
///
/// Each method starts the work on threads of its own and returns at once; what goes wrong later is the last item of the
/// rows. The batches have the columns of the function's `schema`. The order of an input's rows changes from run to run:
/// results may not depend on it.
pub trait Recommenders: Debug + Send + Sync {
    /// Items for users: [`crate::recommend::schema`].
    ///
    /// # Errors
    /// The work cannot begin.
    fn recommend(&self, request: Request<RecommendOptions>, config: &DebutConfig) -> Result<Rows>;

    /// Users for items: [`crate::audience::schema`].
    ///
    /// # Errors
    /// The work cannot begin.
    fn audience(&self, request: Request<AudienceOptions>, config: &DebutConfig) -> Result<Rows>;

    /// Why a user is recommended an item: [`crate::explain_recommendation::schema`].
    ///
    /// # Errors
    /// The work cannot begin.
    fn explain(&self, request: Request<ExplainOptions>, config: &DebutConfig) -> Result<Rows>;

    /// What the words of a text do to its audience: [`crate::title_effect::schema`].
    ///
    /// # Errors
    /// The work cannot begin.
    fn title_effect(&self, request: Request<TitleOptions>, config: &DebutConfig) -> Result<Rows>;

    /// What items sell in their first weeks: [`crate::forecast_launch::schema`].
    ///
    /// # Errors
    /// The work cannot begin.
    fn forecast(&self, request: Request<ForecastOptions>, config: &DebutConfig) -> Result<Rows>;

    /// What users want and no item is: [`crate::gaps::schema`].
    ///
    /// # Errors
    /// The work cannot begin.
    fn gaps(&self, request: Request<GapsOptions>, config: &DebutConfig) -> Result<Rows>;

    /// How good recommendations are: [`crate::evaluate::schema`].
    ///
    /// # Errors
    /// The work cannot begin.
    fn evaluate(&self, request: Request<EvaluateOptions>, config: &DebutConfig) -> Result<Rows>;
}

/// A call.
#[derive(Debug, Clone)]
pub struct Request<O> {
    /// The call's options, all of them resolved.
    pub options: O,
    /// The model, which is a recommender: its ids are known.
    pub model: Arc<ModelInfo>,
    /// The types of the model's ids.
    pub ids: Ids,
    /// The rows of the sub-queries, in the columns of [`columns`].
    pub inputs: Inputs<Table>,
    /// Where the work says how far it is.
    pub progress: Arc<Progress>,
}
