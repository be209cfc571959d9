//! The SQL functions of the recommender, one file each: calls in, rows out.
//!
//! - [`train`]: `finetune(objective => 'recommend')`, the only one that names training
//! - [`recommend`], [`audience`]: the best items of users, the best users of items
//! - `explain`, [`title_effect`]: what makes the score of a pair, and what the words of a text do; `reasons`: why rows of `recommend`
//!   are there, as columns; `lists`: lists as columns
//! - [`forecast_launch`]: what items sell in their first weeks
//! - [`gaps`]: what users want and no item is
//! - [`score`]: the probability of pairs
//! - [`evaluate`](mod@evaluate): how good a model is on what happened after its training
//!
//! Each call works on a thread of its own; results depend on the model, the inputs and the seed alone.

mod audience;
mod evaluate;
mod explain;
mod forecast_launch;
mod gaps;
mod lists;
mod reasons;
mod recommend;
mod score;
mod title_effect;
pub(crate) mod train;

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{Result, exec_err};
use debut_udfs::audience::AudienceOptions;
use debut_udfs::config::DebutConfig;
use debut_udfs::evaluate::EvaluateOptions;
use debut_udfs::explain_recommendation::ExplainOptions;
use debut_udfs::forecast_launch::ForecastOptions;
use debut_udfs::gaps::GapsOptions;
use debut_udfs::model::{Model, ModelInfo, ModelProvider, Task};
use debut_udfs::recommend::RecommendOptions;
use debut_udfs::recommender::{Recommenders, Request, Rows};
use debut_udfs::title_effect::TitleOptions;

use self::score::Scorer;
use crate::background::{self, Listener};
use crate::inference::Models;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::Recommender;

/// Rows of a batch of results.
const BATCH: usize = 8192;

/// The factor on the odds of new items: the one that was `given`, or the model's own.
fn new_boost(function: &'static str, given: Option<f64>, recommender: &Recommender) -> Result<f64> {
    match given {
        Some(boost) if boost <= 0.0 => {
            exec_err!("{function}: new_boost => 0 would never show a new item; leave them out of items instead")
        }
        given => Ok(given.unwrap_or(recommender.boost)),
    }
}

/// Recommends with the models of a home, and finds them for everybody else.
#[derive(Debug, Clone)]
pub struct Recommend {
    models: Arc<Models>,
}

impl Recommend {
    /// Recommends with these models.
    pub fn new(models: Arc<Models>) -> Self {
        Self { models }
    }

    /// Starts `work` with the call's model loaded.
    fn start<O: Send + 'static>(
        &self,
        function: &'static str,
        request: Request<O>,
        config: &DebutConfig,
        work: impl FnOnce(&Models, &Request<O>, &Loaded, &DebutConfig, &Listener<RecordBatch>) -> Result<()>
        + Send
        + 'static,
    ) -> Result<Rows> {
        let (models, config) = (Arc::clone(&self.models), config.clone());
        background::start(function, move |listener| {
            let done = Loaded::open(&models, &request.model.reference(), &config)
                .and_then(|loaded| work(&models, &request, &loaded, &config, listener));
            if let Err(error) = done {
                listener.send(Err(error));
            }
        })
    }
}

impl Recommenders for Recommend {
    fn recommend(&self, request: Request<RecommendOptions>, config: &DebutConfig) -> Result<Rows> {
        self.start(debut_udfs::recommend::NAME, request, config, |models, request, loaded, _, listener| {
            recommend::rows(request, loaded, models.progress(), listener)
        })
    }

    fn audience(&self, request: Request<AudienceOptions>, config: &DebutConfig) -> Result<Rows> {
        self.start(debut_udfs::audience::NAME, request, config, |models, request, loaded, _, listener| {
            audience::rows(request, loaded, models.progress(), listener)
        })
    }

    fn explain(&self, request: Request<ExplainOptions>, config: &DebutConfig) -> Result<Rows> {
        self.start(debut_udfs::explain_recommendation::NAME, request, config, |models, request, loaded, _, listener| {
            explain::rows(request, loaded, models.progress(), listener)
        })
    }

    fn title_effect(&self, request: Request<TitleOptions>, config: &DebutConfig) -> Result<Rows> {
        self.start(debut_udfs::title_effect::NAME, request, config, |models, request, loaded, _, listener| {
            title_effect::rows(request, loaded, models.progress(), listener)
        })
    }

    fn forecast(&self, request: Request<ForecastOptions>, config: &DebutConfig) -> Result<Rows> {
        self.start(debut_udfs::forecast_launch::NAME, request, config, |_, request, loaded, _, listener| {
            forecast_launch::rows(request, loaded, listener)
        })
    }

    fn gaps(&self, request: Request<GapsOptions>, config: &DebutConfig) -> Result<Rows> {
        self.start(debut_udfs::gaps::NAME, request, config, |_, request, loaded, _, listener| {
            gaps::rows(request, loaded, listener)
        })
    }

    fn evaluate(&self, request: Request<EvaluateOptions>, config: &DebutConfig) -> Result<Rows> {
        self.start(debut_udfs::evaluate::NAME, request, config, evaluate::rows)
    }
}

impl ModelProvider for Recommend {
    fn describe(&self, reference: &str, config: &DebutConfig) -> Result<Arc<ModelInfo>> {
        self.models.describe(reference, config)
    }

    fn load(&self, reference: &str, config: &DebutConfig) -> Result<Arc<dyn Model>> {
        if self.models.describe(reference, config)?.task != Task::Recommender {
            return self.models.load(reference, config);
        }
        Ok(Arc::new(Scorer(Loaded::open(&self.models, reference, config)?)))
    }
}
