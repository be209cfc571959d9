//! Whether a new recommender is better than the version in use: takes what was held out from the training of the new one, and the
//! version in use; gives what was compared, and how it came out. For `publish => 'if_better'`.
//!
//! # The rule
//! A new recommender is judged by launches that are held out: as it would have ranked them before they began. The version in use
//! is judged on the same launches, users and lists, and on nothing that it was trained on:
//! 1. If its own training ended before what is held out begins, it ranks the launches now.
//! 2. If it was itself judged on the very same launches when it was trained (another try on the same data), what was measured
//!    then is taken.
//! 3. Else it has seen some of what is held out, and whatever it were measured by would flatter it. There is no fair comparison:
//!    the new one, which has seen more, takes its place, and the result says that they were not compared.
//!
//! In every case the new one has to be as good as the nearest texts alone, which `calls::train` sees to.

use std::sync::Arc;

use arrow::array::{BinaryViewArray, StringArray, UInt32Array};
use arrow::compute::take;
use datafusion::common::Result as QueryResult;
use datafusion::common::cast::as_binary_view_array;
use debut_udfs::config::DebutConfig;
use debut_udfs::finetune::NAME;
use debut_udfs::model::Stats;

use super::validation::{Launches, validate};
use crate::cancellation::Stop;
use crate::inference::Models;
use crate::linalg::sparse::Csr;
use crate::recommend::components::Texts;
use crate::recommend::dataset::interactions::InteractionDataset;
use crate::recommend::error::utc;
use crate::recommend::inputs::users;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::Recommender;
use crate::recommend::model::validation::{HoldoutRecord, K};
use crate::registry::ModelVersion;

/// How a comparison came out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    /// The recall of the version in use, where both are judged on the same.
    pub(crate) theirs: Option<f64>,
    /// Whether the new one takes its place.
    pub(crate) better: bool,
    /// What was compared, for people.
    pub(crate) words: String,
}

impl Comparison {
    fn none(reason: String) -> Self {
        Self { theirs: None, better: true, words: format!("not compared: {reason}") }
    }

    /// Of a first version, which has nothing to be compared with but the nearest texts alone.
    pub(crate) fn with_texts(held_out: &HoldoutRecord, ours: f64, texts: f64) -> Self {
        let words = format!(
            "on {} its recall@{K} is {ours:.4}, and that of the nearest texts alone {texts:.4}; no version is in use",
            held_out.title
        );
        Self { theirs: None, better: true, words }
    }

    /// Of what both are on the same launches. `then` says that the version in use was judged when it was trained.
    fn of(ours: f64, theirs: f64, incumbent: &str, held_out: &HoldoutRecord, then: bool) -> Self {
        let when = if then { " when it was trained" } else { "" };
        let words = format!(
            "on {} its recall@{K} is {ours:.4}, and that of {incumbent}, in use, {theirs:.4}{when}",
            held_out.title
        );
        Self { theirs: Some(theirs), better: ours > theirs, words }
    }
}

/// What a version in use is compared with: a new recommender.
pub(crate) struct Challenger<'a> {
    pub(crate) dataset: &'a InteractionDataset,
    pub(crate) recommender: &'a Recommender,
    pub(crate) launches: Option<&'a Launches>,
    /// The pictures of all items of the shop, where it has any.
    pub(crate) images: Option<&'a BinaryViewArray>,
}

impl Challenger<'_> {
    /// Compares with the version in use;
    ///
    /// # Errors
    /// The texts or pictures of the launches cannot be embedded.
    pub(crate) fn compare(
        &self,
        models: &Models,
        in_use: &ModelVersion,
        config: &DebutConfig,
        stop: Stop<'_>,
    ) -> QueryResult<Comparison> {
        let incumbent = in_use.reference();
        let (Some(launches), Some(held_out)) = (self.launches, &self.recommender.held_out) else {
            return Ok(Comparison::none("there are too few launches to be judged by".into()));
        };
        let Some(ours) = held_out.recall else {
            return Ok(Comparison::none(format!("nobody took any of {}", held_out.title)));
        };
        let loaded = match Loaded::open(models, &incumbent, config) {
            Ok(loaded) => loaded,
            Err(error) => return Ok(Comparison::none(format!("{incumbent}, in use, cannot be read: {error}"))),
        };
        let theirs = loaded.recommender.as_ref();
        if theirs.users.class() != self.dataset.users.class() {
            let reason = format!("the users of {incumbent}, in use, have ids of another type");
            return Ok(Comparison::none(reason));
        }
        if theirs.until <= held_out.from {
            let recall = self.measure(&loaded, launches, stop)?;
            return Ok(Comparison::of(ours, recall, &incumbent, held_out, false));
        }
        match &theirs.held_out {
            Some(then) if then.fingerprint == held_out.fingerprint => {
                let recall = then.recall.unwrap_or(0.0);
                Ok(Comparison::of(ours, recall, &incumbent, held_out, true))
            }
            _ => Ok(Comparison::none(format!(
                "{incumbent}, in use, was trained on interactions up to {}, and so on some of what is held out here, which begins \
                 at {}",
                utc(theirs.until - 1),
                utc(held_out.from)
            ))),
        }
    }

    /// The recall of a recommender that has seen nothing of the launches.
    fn measure(&self, loaded: &Loaded, launches: &Launches, stop: Stop<'_>) -> QueryResult<f64> {
        let (dataset, theirs) = (self.dataset, loaded.recommender.as_ref());
        let texts = launches.items.iter().map(|item| Some(dataset.items.texts.value(*item as usize)));
        let texts = texts.collect::<StringArray>();
        let embedded = futures::executor::block_on(loaded.embed(&texts, &Arc::new(Stats::default())))?;
        // By its own model of pictures, which may be another one.
        let pictures = match (&loaded.images, self.images) {
            (Some(model), Some(images)) => {
                let images = take(images, &UInt32Array::from(launches.items.clone()), None)?;
                let name = |launch: usize| dataset.items.ids.get(launches.items[launch] as usize).to_string();
                let embedding = model.embed(NAME, as_binary_view_array(&images)?, name, stop);
                Some(futures::executor::block_on(embedding)?)
            }
            _ => None,
        };
        let prices = launches.items.iter().map(|item| dataset.items.prices[*item as usize]).collect::<Vec<_>>();
        let texts = Texts {
            texts: &texts,
            embeddings: &embedded.base,
            tuned: Some(&embedded.tuned),
            pictures: pictures.as_ref(),
            prices: &prices,
        };
        let candidates = theirs.candidates(&[], &texts, stop)?;
        let known = launches.users.iter().map(|user| theirs.users.find(dataset.users.get(*user as usize)));
        let known = known.collect::<Vec<_>>();
        // Who came after its training is the population to it, as in `recommend`.
        let nothing = Csr::from_rows(theirs.known.len(), known.iter().map(|_| Vec::new()));
        let user_batch = users::user_batch(theirs, &known, &nothing, stop)?;
        let logits = theirs.logits(&user_batch, &candidates, 1.0);
        let metrics = validate(loaded.reference.clone(), &logits, &launches.taken, launches.seed, stop)?;
        Ok(metrics.recall)
    }
}
