//! `finetune(objective => 'recommend', ...)`: takes the options and tables of a call, gives a row per epoch and a published
//! recommender.
//!
//! # How a training goes
//! ```text
//! tables -> shop -> texts embedded -> fit (holdout windows; the encoder tuned for each; all that is known now) -> registry
//! ```
//! The encoder is tuned by `tuning`; `comparison` says whether the result is better than the version in use. Other objectives
//! are passed on to `train`.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow::array::StringViewArray;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result as QueryResult};
use debut_udfs::config::DebutConfig;
use debut_udfs::finetune::{FinetuneOptions, NAME, Objective, Publish};
use debut_udfs::model::Task;
use debut_udfs::options::Inputs;
use debut_udfs::progress::Progress;
use debut_udfs::recommender::Ids as IdTypes;
use debut_udfs::trainer::{EpochRow, Table, TrainRequest, Trainer};
use futures::stream::BoxStream;
use serde_json::{Map, Value as Json};

use crate::background::{self, Listener};
use crate::inference::Models;
use crate::inference::runtime::{Runtime, Target};
use crate::inference::threads::cores;
use crate::linalg;
use crate::recommend::components::Settings;
use crate::recommend::dataset::holdout::{Split, windows};
use crate::recommend::dataset::interactions::InteractionDataset;
use crate::recommend::error::Error;
use crate::recommend::model::store;
use crate::recommend::training::comparison::{Challenger, Comparison};
use crate::recommend::training::fit::{self, FitError, Plan};
use crate::recommend::training::run_info;
use crate::recommend::training::tuning::Tuning;
use crate::recommend::training::validation::ValidationMetrics;
use crate::registry::name::Name;
use crate::registry::{Candidate, ModelVersion};
use crate::train::run::info::{Best, Criterion, Data, Outcome, Setup};
use crate::train::run::{Run, Runs};
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
        options.model.parse::<Name>().map_err(query)?;
        self.encoders.check_base(options, config)
    }

    fn train(
        &self,
        request: TrainRequest,
        config: &DebutConfig,
    ) -> QueryResult<BoxStream<'static, QueryResult<EpochRow>>> {
        if !matches!(request.options.objective, Objective::Recommend { .. }) {
            return self.encoders.train(request, config);
        }
        let (models, config) = (Arc::clone(&self.models), config.clone());
        background::start(NAME, move |listener| {
            let TrainRequest { options, inputs, progress } = request;
            let training =
                Training { models: &models, options: &options, config: &config, progress: &progress, listener };
            match training.run(inputs) {
                Ok(()) | Err(Stopped::Cancelled) => {}
                Err(Stopped::Failed(failure)) => listener.send(Err(external(failure))),
            }
        })
    }
}

fn query(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn external(failure: crate::train::Failure) -> DataFusionError {
    DataFusionError::External(failure.into()).context(format!("{NAME} cannot go on"))
}

/// One call.
struct Training<'a> {
    models: &'a Models,
    options: &'a FinetuneOptions,
    config: &'a DebutConfig,
    progress: &'a Progress,
    listener: &'a Listener<EpochRow>,
}

impl Training<'_> {
    fn run(&self, inputs: Inputs<Table>) -> Result<(), Stopped> {
        let options = self.options;
        let (interactions, items) = (inputs.interactions.as_ref(), inputs.items.as_ref());
        let (Some(interactions), Some(items)) = (interactions, items) else {
            let reason = "it needs interactions and items".into();
            return Err(failed(Error::TooLittle { function: NAME, reason }));
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(i64::MAX, |now| now.as_micros() as i64);
        let dataset = InteractionDataset::read(NAME, interactions, items, now).map_err(failed)?;
        drop(inputs);
        let registry = self.models.registry();
        self.check_in_use().map_err(failed)?;
        let base =
            registry.resolve_or_install(&options.base, self.config.offline, self.models.progress()).map_err(failed)?;
        let runtime = Runtime::load(registry.home(), self.config.device, self.config.offline, self.models.progress())
            .map_err(failed)?;
        let target = runtime.place(self.config.device).map_err(failed)?.target;
        let mut run = Runs::open(registry.home()).create(self.setup(&dataset, &base, &target)).map_err(failed)?;
        match self.train(&mut run, &dataset, &base, Place { runtime, target: &target }) {
            Ok((row, outcome)) => {
                run.finish(outcome).map_err(failed)?;
                self.listener.send(Ok(row));
                Ok(())
            }
            Err(Stopped::Cancelled) => {
                run.cancel().map_err(failed)?;
                Err(Stopped::Cancelled)
            }
            Err(Stopped::Failed(failure)) => {
                run.fail(&failure.to_string()).map_err(failed)?;
                Err(Stopped::Failed(failure))
            }
        }
    }

    /// What the result would take the place of can be compared with it. Said before the training, which takes long.
    fn check_in_use(&self) -> crate::recommend::error::Result<()> {
        let in_use = self.models.registry().in_use(&self.options.model).ok().flatten();
        match in_use.filter(|version| version.manifest.task != Task::Recommender) {
            Some(version) if self.options.publish == Publish::IfBetter => Err(Error::OtherTask {
                function: NAME,
                reference: version.reference(),
                task: version.manifest.task.to_string(),
            }),
            _ => Ok(()),
        }
    }

    fn setup(&self, dataset: &InteractionDataset, base: &ModelVersion, target: &Target) -> Setup {
        let options = self.options;
        let values = options.values().iter().map(|(name, value)| ((*name).to_owned(), Json::from(value.as_str())));
        Setup {
            model: options.model.clone(),
            base: base.reference(),
            base_fingerprint: base.manifest.fingerprint.clone(),
            objective: options.objective.name().to_owned(),
            method: crate::train::method_of(options).to_string(),
            options: values.collect::<Map<_, _>>(),
            data: Data {
                fingerprint: dataset.fingerprint.clone(),
                texts: dataset.items.len() as u64,
                train: dataset.events.len() as u64,
                validation: 0,
                notes: dataset.notes.clone(),
            },
            metric: Criterion { name: METRIC.into(), higher_is_better: true },
            device: target.to_string(),
            threads: cores(),
        }
    }

    fn train(
        &self,
        run: &mut Run,
        dataset: &InteractionDataset,
        base: &ModelVersion,
        place: Place<'_>,
    ) -> Result<(EpochRow, Outcome), Stopped> {
        let options = self.options;
        let Objective::Recommend { factors, window_days, neighbours } = options.objective else {
            let reason = "the objective is not 'recommend'".into();
            return Err(failed(Error::TooLittle { function: NAME, reason }));
        };
        let stop = || self.listener.is_gone();
        let mut settings = Settings { neighbours, ..Settings::default() };
        (settings.als.factors, settings.als.seed) = (factors, options.seed);
        let split = match options.split {
            debut_udfs::finetune::Split::Random => Split::Items,
            _ => Split::Windows { days: window_days },
        };
        let windows = windows(dataset, split, options.seed);
        run.update(|info| info.recommender = Some(run_info::planned(dataset, &windows, options))).map_err(failed)?;
        let plan = Plan { settings, windows: &windows, seed: options.seed };
        let texts = StringViewArray::from_iter_values(dataset.items.texts.iter().map(Option::unwrap_or_default));
        let started = Instant::now();
        let mut tuning = Tuning {
            options,
            progress: self.progress,
            listener: self.listener,
            run,
            base,
            place,
            dataset,
            texts: &texts,
            snapshots: windows.len() + 1,
            before: None,
            done: 0,
            epoch: 0,
            started,
        };
        let embeddings = tuning.embed(None)?;
        let outcome = match fit::fit(dataset, &embeddings, &plan, &mut tuning, &stop) {
            Ok(outcome) => outcome,
            Err(FitError::Fit(linalg::Error::Cancelled(_))) => return Err(Stopped::Cancelled),
            Err(FitError::Fit(error)) => return Err(failed(error)),
            Err(FitError::Tuner(stopped)) => return Err(stopped),
        };
        let Tuning { before, done, epoch, .. } = tuning;
        let tower = before.map(|before| before.tower);
        Self::log(run, epoch, done, &outcome)?;
        let blend = outcome.validation.first();
        let refused = self.refusal(&outcome.validation);
        let mut row = EpochRow {
            epoch,
            step: done,
            metric: blend.map(|metrics| metrics.recall),
            elapsed: started.elapsed().as_secs_f64(),
            run: run.id().to_owned(),
            ..EpochRow::default()
        };
        let described = self.describe(&outcome);
        let (result, compared) = match (refused, options.publish) {
            (_, Publish::Never) => (Outcome::NotPublished("publish is 'never'".into()), None),
            (Some(reason), Publish::IfBetter) => (Outcome::NotPublished(reason), None),
            _ => self.publish(run, base, tower.as_ref(), dataset, &outcome)?,
        };
        if let Some(compared) = &compared {
            run.update(|info| {
                info.baseline = compared.theirs;
                info.compared = Some(compared.words.clone());
            })
            .map_err(failed)?;
        }
        let compared = compared.map_or_else(String::new, |compared| format!("{}; ", compared.words));
        row.message = Some(match &result {
            Outcome::Published(version) => {
                row.version = Some(version.clone());
                format!("{compared}{described}")
            }
            Outcome::NotPublished(reason) => format!("not published: {reason}; {described}"),
        });
        row.elapsed = started.elapsed().as_secs_f64();
        Ok((row, result))
    }

    /// Writes down what was fitted, and how good it is.
    fn log(run: &mut Run, epoch: u64, step: u64, outcome: &fit::Outcome) -> Result<(), Stopped> {
        let metrics = run_info::metrics(outcome);
        let metrics = metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>();
        run.log(epoch, step, &metrics).map_err(failed)?;
        let best = outcome.validation.first().map(|blend| Best { epoch, step, value: blend.recall });
        let boost = run_info::boost(outcome);
        run.update(|info| {
            info.best = best;
            if let Some(recommender) = &mut info.recommender {
                recommender.boost = Some(boost);
            }
        })
        .map_err(failed)
    }

    /// Why the result is not worth to be published: what anybody could do by hand is as good.
    fn refusal(&self, validation: &[ValidationMetrics]) -> Option<String> {
        let (blend, knn) = (validation.first()?, validation.iter().find(|metrics| metrics.name == "text_knn")?);
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
        base: &ModelVersion,
        tower: Option<&Tower>,
        dataset: &InteractionDataset,
        outcome: &fit::Outcome,
    ) -> Result<(Outcome, Option<Comparison>), Stopped> {
        let (options, recommender) = (self.options, &outcome.recommender);
        let build = |candidate: &mut Candidate| -> Result<(), Stopped> {
            match tower {
                Some(tower) => tower::write(base, tower, candidate)?,
                None => candidate.copy_graph(base).map_err(failed)?,
            }
            let max_tokens =
                options.max_tokens.map_or(base.manifest.max_tokens, |most| most.min(base.manifest.max_tokens));
            candidate.manifest.max_tokens = max_tokens;
            candidate.manifest.task = Task::Recommender;
            candidate.manifest.source = format!("finetune of {}, run {}", base.reference(), run.id());
            let ids = IdTypes { user: recommender.users.class(), item: recommender.items.ids.class() };
            candidate.manifest.recommender = Some(ids.into());
            candidate.manifest.trained_until = Some(recommender.until);
            candidate.numbers = store::write(recommender, candidate.folder()).map_err(failed)?;
            candidate
                .keep_base(base, &candidate.folder().join(store::FOLDER).join(store::ENCODER), max_tokens)
                .map_err(failed)
        };
        let mut compared = None;
        let wanted = |candidate: &Candidate, in_use: Option<&ModelVersion>| {
            let go_on = || if self.listener.is_gone() { Err(Stopped::Cancelled) } else { Ok(()) };
            go_on()?;
            if options.publish != Publish::IfBetter {
                return Ok(true);
            }
            let Some(in_use) = in_use else {
                compared = with_texts(outcome);
                return Ok(true);
            };
            // The same content is the version in use, and stays it.
            if in_use.manifest.fingerprint != candidate.manifest.fingerprint {
                let challenger = Challenger { dataset, recommender, launches: outcome.launches.as_ref() };
                let stop = || self.listener.is_gone();
                let comparison = challenger.compare(self.models, in_use, self.config, &stop);
                // A comparison that nobody waits for any more ends with an error too.
                go_on()?;
                let comparison = compared.insert(comparison.map_err(failed)?);
                return Ok(comparison.better);
            }
            Ok(true)
        };
        let registry = self.models.registry();
        let published = registry.publish_trained(&options.model, base, self.models.progress(), build, wanted)?;
        let result = match (published, &compared) {
            (Some(version), _) => Outcome::Published(version.reference()),
            (None, Some(compared)) => Outcome::NotPublished(compared.words.clone()),
            (None, None) => return Err(Stopped::Cancelled),
        };
        Ok((result, compared))
    }
}

/// The comparison of a first version.
fn with_texts(outcome: &fit::Outcome) -> Option<Comparison> {
    let (blend, knn) =
        (outcome.validation.first()?, outcome.validation.iter().find(|metrics| metrics.name == "text_knn")?);
    Some(Comparison::with_texts(outcome.recommender.held_out.as_ref()?, blend.recall, knn.recall))
}

pub(crate) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Stopped {
    Stopped::Failed(crate::train::failed(error))
}
