//! `finetune(objective => 'recommend', ...)`: takes the options and tables of a call, gives a row per epoch and a published
//! recommender.
//!
//! # How a training goes
//! ```text
//! tables -> shop -> texts and pictures embedded -> fit (holdout windows; the encoder tuned for each; all that is known now) -> registry
//! ```
//! The encoder is tuned by `tuning`; `comparison` says whether the result is better than the version in use. Its thread, its run
//! on disk and its publication are those of every training, [`crate::train::lifecycle`]. Other objectives are passed on to `train`.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::StringViewArray;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result as QueryResult;
use debut_udfs::config::DebutConfig;
use debut_udfs::finetune::{FinetuneOptions, NAME, Objective, Publish};
use debut_udfs::ids::Ids as IdTypes;
use debut_udfs::model::Task;
use debut_udfs::options::Inputs;
use debut_udfs::trainer::{EpochRow, Table, TrainRequest, Trainer};
use futures::stream::BoxStream;

use crate::inference::Models;
use crate::recommend::components::{self, NEAREST_TEXTS, Settings};
use crate::recommend::dataset::holdout::{Split, windows};
use crate::recommend::dataset::interactions::InteractionDataset;
use crate::recommend::error::Error;
use crate::recommend::model::recommender::Recommender;
use crate::recommend::model::store;
use crate::recommend::training::comparison::{Challenger, Comparison};
use crate::recommend::training::fit::{self, FitError, Plan};
use crate::recommend::training::pictures::{self, ShopPictures};
use crate::recommend::training::run_info;
use crate::recommend::training::tuning::{Bases, Before, Tuning};
use crate::recommend::training::update::{self, Halves};
use crate::recommend::training::validation::ValidationMetrics;
use crate::registry::manifest::Until;
use crate::registry::name::Name;
use crate::registry::{Candidate, ModelVersion};
use crate::train::failure::failed;
use crate::train::lifecycle::{self, Call, Opened, query};
use crate::train::run::Run;
use crate::train::run::checkpoint::Progress;
use crate::train::run::info::{Best, Criterion, Data, Outcome};
use crate::train::tower::{self, Place, Tower};
use crate::train::{EncoderTrainer, Stopped};

/// The name of what recommenders are compared by.
const METRIC: &str = "recall@20";

/// Trains recommenders, and passes everything else on.
#[derive(Debug, Clone)]
pub struct RecommendTrainer {
    models: Arc<Models>,
    encoders: EncoderTrainer,
}

impl RecommendTrainer {
    /// A trainer that finds base models in `models` and publishes there.
    pub fn new(models: Arc<Models>) -> Self {
        Self { encoders: EncoderTrainer::new(Arc::clone(&models)), models }
    }
}

impl Trainer for RecommendTrainer {
    fn validate(&self, options: &FinetuneOptions, inputs: &Inputs<SchemaRef>, config: &DebutConfig) -> QueryResult<()> {
        if !matches!(options.objective, Objective::Recommend { .. }) {
            return self.encoders.validate(options, inputs, config);
        }
        options.model.parse::<Name>().map_err(|error| query(failed(error)))?;
        self.encoders.check_base(options, config)?;
        pictures::check(&self.models, options, inputs, config)
    }

    fn train(
        &self,
        request: TrainRequest,
        config: &DebutConfig,
    ) -> QueryResult<BoxStream<'static, QueryResult<EpochRow>>> {
        if !matches!(request.options.objective, Objective::Recommend { .. }) {
            return self.encoders.train(request, config);
        }
        // Vectors of pictures may come from the cache: their model is not trained.
        let session = config.clone();
        lifecycle::start(&self.models, request, config, move |call, inputs| {
            Training { call, session: &session }.run(inputs)
        })
    }
}

/// One call.
struct Training<'a> {
    call: &'a Call<'a>,
    /// The settings of the session.
    session: &'a DebutConfig,
}

impl Training<'_> {
    fn run(&self, inputs: Inputs<Table>) -> Result<(), Stopped> {
        let (interactions, items) = (inputs.interactions.as_ref(), inputs.items.as_ref());
        let (Some(interactions), Some(items)) = (interactions, items) else {
            let reason = "it needs interactions and items".into();
            return Err(failed(Error::TooLittle { function: NAME, reason }).into());
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(i64::MAX, |now| now.as_micros() as i64);
        let (mut dataset, images) = InteractionDataset::read(NAME, interactions, items, now).map_err(failed)?;
        drop(inputs);
        self.check_in_use().map_err(failed)?;
        let base = self.call.base()?;
        let pictures = images.map(|images| ShopPictures::new(self.call, self.session, images, &base)).transpose()?;
        let vectors_of = pictures.as_ref().map(|pictures| format!("-{}", pictures.fingerprint()));
        let data = Data {
            fingerprint: dataset.fingerprint.clone() + &vectors_of.unwrap_or_default(),
            texts: dataset.items.len() as u64,
            train: dataset.events.len() as u64,
            validation: 0,
            until: dataset.events.last().map(|event| Until::Time(event.time.saturating_add(1))),
            notes: dataset.notes.clone(),
        };
        let Some(opened) = self.call.open(base, data)? else { return Ok(()) };
        let in_use = if self.call.options.goes_on() { Some(self.in_use(&dataset, &opened)?) } else { None };
        let metric = Criterion { name: METRIC.into(), higher_is_better: true };
        opened.run(metric, |run| {
            if let Some(pictures) = &pictures {
                dataset.items.pictures = Some(pictures.embed(self.call, &dataset)?);
            }
            self.train(run, (&dataset, pictures.as_ref()), &opened, in_use)
        })
    }

    /// The version that training goes on from, and what came since.
    fn in_use(&self, dataset: &InteractionDataset, opened: &Opened<'_>) -> Result<InUse, Stopped> {
        let Call { models, options, .. } = *self.call;
        let reference = opened.base.reference();
        let recommender = store::read(&opened.base.path).map_err(failed)?;
        if let Objective::Recommend { factors, .. } = options.objective {
            let theirs = recommender.components.parts.settings.als.factors;
            if theirs != factors {
                let reason = format!(
                    "since => 'last' goes on from {reference}, which has factors => {theirs}, and this call has {factors}; say \
                     factors => {theirs}, or train anew without since"
                );
                return Err(failed(Error::TooLittle { function: NAME, reason }).into());
            }
        }
        let halves = Halves::new(NAME, dataset, &recommender, &reference).map_err(failed)?;
        let folder = format!("{}/{}", store::FOLDER, store::ENCODER);
        let frozen = models.registry().kept_within(&opened.base, &folder)?;
        Ok(InUse { recommender, frozen, halves })
    }

    /// What the result would take the place of can be compared with it. Said before the training, which takes long.
    fn check_in_use(&self) -> crate::recommend::error::Result<()> {
        let Call { models, options, .. } = *self.call;
        let in_use = models.registry().in_use(&options.model).ok().flatten();
        match in_use.filter(|version| version.manifest.task != Task::Recommender) {
            Some(version) if options.publish == Publish::IfBetter => Err(Error::OtherTask {
                function: NAME,
                reference: version.reference(),
                task: version.manifest.task.to_string(),
            }),
            _ => Ok(()),
        }
    }

    fn train(
        &self,
        run: &mut Run,
        (dataset, pictures): (&InteractionDataset, Option<&ShopPictures<'_>>),
        opened: &Opened<'_>,
        in_use: Option<InUse>,
    ) -> Result<(EpochRow, Outcome), Stopped> {
        let options = self.call.options;
        let Objective::Recommend { factors, window_days, neighbours, .. } = options.objective else {
            let reason = "the objective is not 'recommend'".into();
            return Err(failed(Error::TooLittle { function: NAME, reason }).into());
        };
        let stop = || self.call.is_cancelled();
        let mut settings = Settings { neighbours, ..Settings::default() };
        (settings.als.factors, settings.als.seed) = (factors, options.seed);
        let split = match options.split {
            debut_udfs::finetune::Split::Random => Split::Items,
            _ => Split::Windows { days: window_days },
        };
        let windows = if in_use.is_some() { Vec::new() } else { windows(dataset, split, options.seed) };
        let components = components::standard();
        let planned = match &in_use {
            Some(in_use) => run_info::planned_update(&in_use.halves, dataset, &components, options),
            None => run_info::planned(dataset, &windows, &components, options),
        };
        run.update(|info| info.recommender = Some(planned)).map_err(failed)?;
        let plan = Plan { components, settings, windows: &windows, seed: options.seed };
        let texts = StringViewArray::from_iter_values(dataset.items.texts.iter().map(Option::unwrap_or_default));
        let place = Place { runtime: opened.runtime, target: &opened.target };
        let (in_use, halves) =
            in_use.map(|InUse { recommender, frozen, halves }| ((recommender, frozen), halves)).unzip();
        let snapshots = if in_use.is_some() { 2 } else { windows.len() + 1 };
        let before = in_use.as_ref().and_then(|(version, _)| Before::of(version, dataset, options.method.clone()));
        let frozen = in_use.as_ref().map_or(&opened.base, |(_, frozen)| frozen);
        let bases = Bases { frozen, tuned: &opened.base };
        let mut tuning = Tuning::new(self.call, run, bases, place, (dataset, &texts), snapshots, before);
        let embeddings = tuning.embed_frozen()?;
        let (outcome, updated) = match in_use.as_ref().zip(halves) {
            Some(((recommender, _), halves)) => {
                let (first, reference) = (tuning.embed_first()?, opened.base.reference());
                let before = update::Before { reference: &reference, recommender, embeddings: &first };
                let (outcome, comparison) =
                    update::update(dataset, &embeddings, halves, &before, &plan, &mut tuning, &stop)?;
                (outcome, Some(comparison))
            }
            None => match fit::fit(dataset, &embeddings, &plan, &mut tuning, &stop) {
                Ok(outcome) => (outcome, None),
                Err(FitError::Fit(error)) => return Err(error.into()),
                Err(FitError::Tuner(stopped)) => return Err(stopped),
            },
        };
        let (tower, Progress { epoch, step, .. }) = tuning.finish();
        Self::log(run, epoch, step, &outcome)?;
        let described = self.describe(&outcome);
        let (result, compared) = match (self.refusal(&outcome.validation), options.publish) {
            (Some(reason), Publish::IfBetter) => (Outcome::NotPublished(reason), None),
            _ => self.publish(run, (opened, frozen), tower.as_ref(), (dataset, pictures), &outcome, updated)?,
        };
        let mut message = described;
        if let Some(compared) = compared {
            if matches!(result, Outcome::Published(_)) {
                message = format!("{}; {message}", compared.words);
            }
            run.update(|info| {
                info.baseline = compared.theirs;
                info.compared = Some(compared.words);
            })
            .map_err(failed)?;
        }
        let row = EpochRow {
            epoch,
            step,
            metric: outcome.validation.first().map(|blend| blend.recall),
            elapsed: run.seconds(),
            run: run.id().to_owned(),
            message: Some(message),
            ..EpochRow::default()
        };
        Ok((row, result))
    }

    /// Writes down what was fitted, and how good it is.
    fn log(run: &mut Run, epoch: u64, step: u64, outcome: &fit::Outcome) -> Result<(), Stopped> {
        let metrics = run_info::metrics(outcome);
        let metrics = metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>();
        run.log_missing(epoch, step, &metrics).map_err(failed)?;
        let best = outcome.validation.first().map(|blend| Best { epoch, step, value: blend.recall });
        let boost = run_info::boost(outcome);
        run.update(|info| {
            info.best = best;
            if let Some(recommender) = &mut info.recommender {
                recommender.boost = Some(boost);
            }
        })
        .map_err(failed)?;
        Ok(())
    }

    /// Why the result is not worth to be published: what anybody could do by hand is as good.
    fn refusal(&self, validation: &[ValidationMetrics]) -> Option<String> {
        let (blend, knn) = blend_and_nearest_texts(validation)?;
        (blend.recall < knn.recall).then(|| {
            format!(
                "on the last launches its {METRIC} is {:.4}, and that of the nearest texts alone {:.4}",
                blend.recall, knn.recall
            )
        })
    }

    fn describe(&self, outcome: &fit::Outcome) -> String {
        let weights = &outcome.recommender.new;
        let weights = weights.components.iter().zip(&weights.weights).filter(|(_, weight)| **weight >= 0.005);
        let weights = weights.map(|(component, weight)| format!("{component} {weight:.2}")).collect::<Vec<_>>();
        format!(
            "{}; weights: {}; boost of new items {}",
            outcome.notes.join(", "),
            weights.join(", "),
            outcome.recommender.boost
        )
    }

    /// Writes a version and makes it the one in use, unless that is better; gives what became of it, and what it was compared with.
    fn publish(
        &self,
        run: &Run,
        (opened, frozen): (&Opened<'_>, &ModelVersion),
        tower: Option<&Tower>,
        (dataset, pictures): (&InteractionDataset, Option<&ShopPictures<'_>>),
        outcome: &fit::Outcome,
        updated: Option<Comparison>,
    ) -> Result<(Outcome, Option<Comparison>), Stopped> {
        let Call { models, options, config, .. } = *self.call;
        let (base, recommender) = (&opened.base, &outcome.recommender);
        let build = |candidate: &mut Candidate| -> Result<(), Stopped> {
            match tower {
                Some(tower) => tower::write(base, tower, candidate)?,
                None => candidate.copy_graph(base).map_err(failed)?,
            }
            let max_tokens =
                options.max_tokens.map_or(base.manifest.max_tokens, |most| most.min(base.manifest.max_tokens));
            candidate.manifest.max_tokens = max_tokens;
            candidate.manifest.task = Task::Recommender;
            let ids = IdTypes { user: recommender.users.class(), item: recommender.items.ids.class() };
            candidate.manifest.recommender = Some(ids.into());
            candidate.manifest.trained_until = Some(recommender.until);
            candidate.numbers = store::write(recommender, candidate.folder()).map_err(failed)?;
            let folder = candidate.folder().join(store::FOLDER);
            candidate.keep_base(frozen, &folder.join(store::ENCODER), max_tokens).map_err(failed)?;
            pictures.map_or(Ok(()), |pictures| pictures.keep(candidate))
        };
        let mut compared = None;
        let refusal = |_: &Candidate, in_use: Option<&ModelVersion>| {
            let comparison = match in_use {
                Some(in_use) if updated.is_some() && in_use.path != base.path => {
                    let words = format!("{} came into use while this was trained; train again", in_use.reference());
                    Some(Comparison { theirs: None, better: false, words })
                }
                _ if updated.is_some() => updated,
                None => with_texts(outcome),
                Some(in_use) => {
                    let images = pictures.map(|pictures| &pictures.images);
                    let challenger = Challenger { dataset, recommender, launches: outcome.launches.as_ref(), images };
                    let stop = || self.call.is_cancelled();
                    match challenger.compare(models, in_use, config, &stop) {
                        // A comparison that nobody waits for any more ends with an error too.
                        Err(_) if stop() => return Err(Stopped::Cancelled),
                        comparison => Some(comparison.map_err(failed)?),
                    }
                }
            };
            let worse = comparison.as_ref().filter(|comparison| !comparison.better);
            let reason = worse.map(|comparison| comparison.words.clone());
            compared = comparison;
            Ok(reason)
        };
        let result = opened.publish(run, base, build, refusal)?;
        Ok((result, compared))
    }
}

/// What a training goes on from.
struct InUse {
    recommender: Recommender,
    /// The encoder that no recommender has tuned.
    frozen: ModelVersion,
    halves: Halves,
}

/// How good the blend was on the last launches, and what anybody could do by hand.
fn blend_and_nearest_texts(validation: &[ValidationMetrics]) -> Option<(&ValidationMetrics, &ValidationMetrics)> {
    validation.first().zip(validation.iter().find(|metrics| metrics.name == NEAREST_TEXTS))
}

/// The comparison of a first version.
fn with_texts(outcome: &fit::Outcome) -> Option<Comparison> {
    let (blend, knn) = blend_and_nearest_texts(&outcome.validation)?;
    Some(Comparison::with_texts(outcome.recommender.held_out.as_ref()?, blend.recall, knn.recall))
}
