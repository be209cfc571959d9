//! A training from its request to its last row: takes the options and tables of a `finetune` call, gives a row per epoch
//! and, at the end, a version. The implementation of [`debut_udfs::trainer::Trainer`]; called by `engine::calls`.
//!
//! # How a training goes
//! ```text
//! tables -> dataset -> tokens -> the version in use, measured -> steps, epoch by epoch -> the best, measured -> registry
//!                                                                      |
//!                                                       metrics and a checkpoint on disk
//! ```
//! It has a thread of its own, because it computes all the time; the stream of rows only listens. When nobody listens any
//! more it stops before the next batch.

use std::error::Error;
use std::fmt::{self, Display};
use std::sync::Arc;

use arrow::array::{Array, StringViewArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result as QueryResult};
use debut_udfs::config::DebutConfig;
use debut_udfs::finetune::{FinetuneOptions, NAME, Publish};
use debut_udfs::models::prompt_of;
use debut_udfs::options::Inputs;
use debut_udfs::progress::Progress;
use debut_udfs::trainer::{EpochRow, Table, TrainRequest, Trainer};
use futures::stream::BoxStream;
use serde_json::{Map, Value as Json};

use super::data::{self, Dataset};
use super::fit::Fit;
use super::measure::{Ground, Measured, open_encoder};
use super::method::{Method, adalora};
use super::objective::{self, Batches, Objective, Product};
use super::parameter::Parameter;
use super::publish::{Publication, run_of};
use super::run::checkpoint::Epoch;
use super::run::info::{Criterion, Data, Outcome, Setup};
use super::run::{Run, Runs};
use super::settings;
use super::step::{EvalSession, StepSession, TrainGraph};
use super::tokens::TokenizedTexts;
use crate::background::{self, Listener};
use crate::inference::Models;
use crate::inference::runtime::Runtime;
use crate::inference::threads::cores;
use crate::registry::ModelVersion;
use crate::registry::name::Name;

/// What AdaLoRA's penalty for factors that are not orthogonal is multiplied by. <https://arxiv.org/abs/2303.10512>
const ORTHOGONALITY: f32 = 0.1;

/// Results within a training.
pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

/// What went wrong, whichever part it was.
#[derive(Debug)]
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An error of any part.
pub(crate) fn failed(error: impl Error + Send + Sync + 'static) -> Failure {
    Failure(Box::new(error))
}

impl From<Failure> for Box<dyn Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

impl Failure {
    /// Whether a file could not be written or read: nothing is wrong with the training then.
    fn is_of_the_disk(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self.0.as_ref());
        while let Some(error) = cause {
            if error.is::<std::io::Error>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// A version that should be beaten, and cannot be measured.
#[derive(Debug, thiserror::Error)]
#[error(
    "{rival}, in use under the same name, cannot be compared with the result ({reason}): use publish => 'always' or \
     another name"
)]
struct Incomparable {
    rival: String,
    reason: String,
}

/// Why a training ended before it was done.
#[derive(Debug)]
pub enum Stopped {
    /// Nobody listens any more.
    Cancelled,
    /// Something went wrong.
    Failed(Failure),
}

impl From<crate::registry::Error> for Stopped {
    fn from(error: crate::registry::Error) -> Self {
        Self::Failed(failed(error))
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Trains encoders with the runtime that scores.
#[derive(Debug, Clone)]
pub struct EncoderTrainer {
    models: Arc<Models>,
}

impl EncoderTrainer {
    /// A trainer that finds base models in `models` and publishes there.
    pub fn new(models: Arc<Models>) -> Self {
        Self { models }
    }

    /// Checks that the base is there and can be trained by the method.
    ///
    /// # Errors
    /// It is not, or cannot.
    pub(crate) fn check_base(&self, options: &FinetuneOptions, config: &DebutConfig) -> QueryResult<()> {
        let base = self.base(options, config.offline).map_err(query)?;
        let mut encoder = open_encoder(&base.graph(), &base.manifest).map_err(query)?;
        settings::method(options).apply(&mut encoder, options.seed).map_err(|error| query(failed(error)))?;
        Ok(())
    }

    fn base(&self, options: &FinetuneOptions, offline: bool) -> Result<ModelVersion> {
        let models = &self.models;
        models.registry().resolve_or_install(&options.base, offline, models.progress()).map_err(failed)
    }
}

impl Trainer for EncoderTrainer {
    fn validate(&self, options: &FinetuneOptions, inputs: &Inputs<SchemaRef>, config: &DebutConfig) -> QueryResult<()> {
        options.model.parse::<Name>().map_err(|error| query(failed(error)))?;
        let data = settings::data(options).map_err(external)?;
        data::check(&data, inputs).map_err(external)?;
        self.check_base(options, config)
    }

    fn train(
        &self,
        request: TrainRequest,
        config: &DebutConfig,
    ) -> QueryResult<BoxStream<'static, QueryResult<EpochRow>>> {
        let (trainer, config) = (self.clone(), config.clone());
        background::start(NAME, move |rows| {
            let TrainRequest { options, inputs, progress } = request;
            let training = Training { trainer: &trainer, options, progress, config: &config, rows };
            match training.run(inputs) {
                Ok(()) | Err(Stopped::Cancelled) => {}
                Err(Stopped::Failed(failure)) => rows.send(Err(query(failure))),
            }
        })
    }
}

fn external(error: data::Error) -> DataFusionError {
    query(failed(error))
}

fn query(failure: Failure) -> DataFusionError {
    DataFusionError::External(failure.0).context(format!("{NAME} stopped"))
}

/// One call.
struct Training<'a> {
    trainer: &'a EncoderTrainer,
    options: FinetuneOptions,
    progress: Arc<Progress>,
    config: &'a DebutConfig,
    rows: &'a Listener<EpochRow>,
}

/// What a training has before its first step.
struct Prepared<'a> {
    base: &'a ModelVersion,
    /// All texts of the dataset.
    all_texts: &'a StringViewArray,
    /// The examples to train on.
    train: &'a [u32],
    ground: &'a Ground<'a>,
    texts: &'a TokenizedTexts,
    /// The version that has to be beaten, and how good it is.
    rival: &'a ModelVersion,
    baseline: Option<Measured>,
}

impl Training<'_> {
    fn cancelled(&self) -> bool {
        self.rows.is_gone()
    }

    /// All of it.
    fn run(&self, inputs: Inputs<Table>) -> Result<(), Stopped> {
        let options = &self.options;
        let models = &self.trainer.models;
        let registry = models.registry();
        let base = self.trainer.base(options, self.config.offline)?;
        let data_options = settings::data(options).map_err(failed)?;
        let Dataset { texts, examples, train, validation, fingerprint, notes } =
            Dataset::build(&inputs, &data_options).map_err(failed)?;
        drop(inputs);
        let runs = Runs::open(registry.home());
        if let Some(row) = self.settle(&runs, &base, &fingerprint)? {
            self.send(row);
            return Ok(());
        }
        let objective = objective::open(examples, &train, &settings::objective(options)).map_err(failed)?;

        let runtime = Runtime::load(registry.home(), self.config.device, self.config.offline, models.progress())
            .map_err(failed)?;
        let target = runtime.place(self.config.device).map_err(failed)?.target;
        let held_out = Batches::validation(&validation, options.seed);
        let batches = (0..held_out.len()).map(|index| held_out.batch(objective.as_ref(), index)).collect::<Vec<_>>();
        let stop = || self.cancelled();
        let ground = Ground { runtime, target: &target, objective: objective.as_ref(), batches: &batches, stop: &stop };
        let tokenized = self.tokenize(&texts, &base, objective.as_ref())?;
        let rival = registry.in_use(&options.model).map_err(failed)?.unwrap_or_else(|| base.clone());
        let baseline = match self.measure(&rival, &base, &ground, &tokenized, &texts) {
            // What is in use may be of another kind; then nothing can be better than it, but it can be replaced.
            Err(Stopped::Failed(failure)) if rival.path != base.path => {
                if options.publish == Publish::IfBetter {
                    return Err(failed(Incomparable { rival: rival.reference(), reason: failure.to_string() }).into());
                }
                None
            }
            measured => measured?,
        };

        let metric = objective.metric();
        let setup = Setup {
            model: options.model.clone(),
            base: base.reference(),
            base_fingerprint: base.manifest.fingerprint.clone(),
            objective: options.objective.name().to_owned(),
            method: settings::method(options).to_string(),
            options: self.values(),
            data: Data {
                fingerprint,
                texts: texts.len() as u64,
                train: train.len() as u64,
                validation: validation.len() as u64,
                notes,
            },
            metric: Criterion { name: metric.name.to_owned(), higher_is_better: metric.higher_is_better },
            device: target.to_string(),
            threads: cores(),
        };
        let resumed = if options.resume { runs.resume(&setup).map_err(failed)? } else { None };
        let mut run = match resumed {
            Some(run) => run,
            None => runs.create(setup).map_err(failed)?,
        };
        let prepared = Prepared {
            base: &base,
            all_texts: &texts,
            train: &train,
            ground: &ground,
            texts: &tokenized,
            rival: &rival,
            baseline,
        };
        match self.train(&mut run, &prepared) {
            Ok((mut row, outcome)) => {
                match &outcome {
                    Outcome::Published(version) => row.version = Some(version.clone()),
                    Outcome::NotPublished(reason) => add(&mut row.message, &format!("not published: {reason}")),
                }
                run.finish(outcome).map_err(failed)?;
                // Who does not listen any more can read it in debut.training_runs.
                self.rows.send(Ok(row));
                Ok(())
            }
            Err(Stopped::Cancelled) => {
                if let Err(error) = run.cancel() {
                    tracing::warn!("cannot write down that the run was cancelled: {error}");
                }
                Err(Stopped::Cancelled)
            }
            // A disk that is full or gone stops a run like a crash: the same call goes on with it.
            Err(Stopped::Failed(failure)) if failure.is_of_the_disk() => Err(Stopped::Failed(failure)),
            Err(Stopped::Failed(failure)) => {
                if let Err(error) = run.fail(&failure.to_string()) {
                    tracing::warn!("cannot write down why the run failed: {error}");
                }
                Err(Stopped::Failed(failure))
            }
        }
    }

    /// Every option with its value.
    fn values(&self) -> Map<String, Json> {
        self.options.values().iter().map(|(name, value)| ((*name).to_owned(), Json::from(value.as_str()))).collect()
    }

    /// Where the base is the version that this very call has published, in a process that died before it could say so:
    /// the row that it would have ended with. The call would train on top of its own result otherwise.
    fn settle(&self, runs: &Runs, base: &ModelVersion, fingerprint: &str) -> Result<Option<EpochRow>> {
        let (Some(id), true) = (run_of(base), base.name == self.options.model) else { return Ok(None) };
        let Some(info) = runs.settle(id, &base.reference()).map_err(failed)? else { return Ok(None) };
        if info.setup.options != self.values() || info.setup.data.fingerprint != fingerprint {
            return Ok(None);
        }
        Ok(Some(EpochRow {
            epoch: info.best.as_ref().map_or(0, |best| best.epoch),
            step: info.best.as_ref().map_or(0, |best| best.step),
            metric: info.best.as_ref().map(|best| best.value),
            run: info.id,
            version: Some(base.reference()),
            message: Some("this call published its version before its process ended".into()),
            ..EpochRow::default()
        }))
    }

    /// From the first step to the registry; gives the last row and what became of the model.
    fn train(&self, run: &mut Run, prepared: &Prepared<'_>) -> Result<(EpochRow, Outcome), Stopped> {
        let options = &self.options;
        let Prepared { base, all_texts, train, ground, texts, .. } = *prepared;
        let objective = ground.objective;
        let first = ground.embed(open_encoder(&base.graph(), &base.manifest)?, texts, &objective.base_texts())?;
        let head = objective.parameters(&first);
        drop(first);
        let method = settings::method(options);
        let graph = self.graph(base, &method, objective, &head)?;
        let sizes = graph.parameters().iter().map(|parameter| parameter.shape.iter().product::<usize>() as u64);
        let count = sizes.sum();
        let precision = settings::precision(options);
        let (environment, target) = (ground.runtime.environment(), ground.target);
        let steps = StepSession::open(&graph, environment, target, precision).map_err(failed)?;
        let evaluation = EvalSession::open(&graph, environment, target, precision).map_err(failed)?;
        drop(graph);

        let baseline = prepared.baseline.as_ref();
        if let Some(baseline) = baseline.filter(|_| run.is_fresh()) {
            baseline.log(run, 0, 0)?;
        }
        run.update(|info| {
            info.parameters = Some(count);
            info.baseline = baseline.and_then(Measured::metric);
        })
        .map_err(failed)?;
        self.send(self.first_row(run, prepared));

        let fit = Fit { options, method: &method, ground, texts, train, steps, evaluation };
        let id = run.id().to_owned();
        let mut last = None;
        let progress = &self.progress;
        progress.begin(fit.total_steps());
        let fitted = fit.run(run, &|step| progress.reach(step), &mut |epoch, is_last| {
            let row = epoch_row(&id, epoch);
            if is_last { last = Some(row) } else { self.send(row) }
        })?;
        let mut last = last.unwrap_or_else(|| EpochRow { run: id.clone(), ..EpochRow::default() });
        if let Some(early) = &fitted.early {
            add(&mut last.message, early);
        }
        let models = &self.trainer.models;
        let publication = Publication { options, base, method: &method, head: &head, ground, texts, run: &id };
        let in_use = |version: &ModelVersion| {
            if version.manifest.fingerprint == prepared.rival.manifest.fingerprint {
                return Ok(prepared.baseline.clone());
            }
            self.measure(version, base, ground, texts, all_texts)
        };
        let outcome = publication.publish(models.registry(), fitted.values, models.progress(), &in_use)?;
        Ok((last, outcome))
    }

    /// The graph of a step.
    fn graph(
        &self,
        base: &ModelVersion,
        method: &Method,
        objective: &dyn Objective,
        head: &[Parameter],
    ) -> Result<TrainGraph> {
        let options = &self.options;
        let mut encoder = open_encoder(&base.graph(), &base.manifest)?;
        let mut parameters = method.apply(&mut encoder, options.seed).map_err(failed)?;
        encoder.dropout_embeddings(settings::embeddings_dropout(options));
        let head_values = head.iter().map(|parameter| encoder.declare(parameter.clone()));
        let head_values = head_values.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let embeddings = encoder.embeddings.clone();
        let mut forward = objective.loss(&mut encoder.graph, &embeddings, &head_values);
        if let Some(penalty) = adalora::orthogonality(&mut encoder.graph, &parameters) {
            let weight = encoder.graph.scalar_f32(ORTHOGONALITY);
            let penalty = encoder.graph.mul(&penalty, &weight);
            forward.loss = encoder.graph.add(&forward.loss, &penalty);
        }
        parameters.extend_from_slice(head);
        TrainGraph::build(encoder, parameters, &forward.loss, &forward.outputs, settings::step(options)).map_err(failed)
    }

    /// Measures a version with its own tokenizer.
    fn measure(
        &self,
        version: &ModelVersion,
        base: &ModelVersion,
        ground: &Ground<'_>,
        of_base: &TokenizedTexts,
        texts: &StringViewArray,
    ) -> Result<Option<Measured>, Stopped> {
        if version.path == base.path {
            return ground.version(&version.graph(), &version.manifest, of_base);
        }
        let own = self.tokenize(texts, version, ground.objective)?;
        ground.version(&version.graph(), &version.manifest, &own)
    }

    /// The texts as the version that comes out will read them: with the prompt that `embed` puts in front, if any.
    fn tokenize(
        &self,
        texts: &StringViewArray,
        version: &ModelVersion,
        objective: &dyn Objective,
    ) -> Result<TokenizedTexts, Stopped> {
        let prompt = match objective.product() {
            Product::Embedding => prompt_of(NAME, &version.info(), "document").map_err(failed)?,
            Product::Classification { .. } | Product::Regression => String::new(),
        };
        TokenizedTexts::new(texts, version, &prompt, self.options.max_tokens, &|| self.cancelled())
    }

    /// Epoch 0: the version in use, and what was noticed so far.
    fn first_row(&self, run: &Run, prepared: &Prepared<'_>) -> EpochRow {
        let mut message = None;
        if run.info().resumed > 0 {
            add(&mut message, if run.is_fresh() { "the run starts over" } else { "the run resumes where it stopped" });
        }
        add(&mut message, &format!("{}, as it is", prepared.rival.reference()));
        run.info().setup.data.notes.iter().for_each(|note| add(&mut message, note));
        EpochRow {
            validation_loss: prepared.baseline.as_ref().map(|baseline| baseline.loss),
            metric: prepared.baseline.as_ref().and_then(Measured::metric),
            elapsed: run.seconds(),
            run: run.id().to_owned(),
            message,
            ..EpochRow::default()
        }
    }

    fn send(&self, row: EpochRow) {
        // Who does not listen is noticed before the next batch.
        self.rows.send(Ok(row));
    }
}

fn epoch_row(run: &str, epoch: &Epoch) -> EpochRow {
    EpochRow {
        epoch: epoch.epoch,
        step: epoch.step,
        train_loss: epoch.train_loss,
        validation_loss: epoch.validation_loss,
        metric: epoch.metric,
        learning_rate: epoch.learning_rate,
        elapsed: epoch.seconds,
        run: run.to_owned(),
        version: None,
        message: None,
    }
}

/// Adds a sentence.
fn add(message: &mut Option<String>, sentence: &str) {
    match message {
        Some(text) => {
            text.push_str("; ");
            text.push_str(sentence);
        }
        None => *message = Some(sentence.to_owned()),
    }
}
