//! An encoder's training: takes the options and tables of a `finetune` call, gives a row per epoch and, at the end, a version.
//! The implementation of [`debut_udfs::trainer::Trainer`] for every objective but `recommend`.
//!
//! # How a training goes
//! ```text
//! tables -> dataset -> tokens -> the version in use, measured -> steps, epoch by epoch -> the best, measured -> registry
//!                                                                      |
//!                                                       metrics and a checkpoint on disk
//! ```
//! Its thread, its run on disk and its publication are [`super::lifecycle`]'s.

use std::sync::Arc;

use arrow::array::{Array, StringViewArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result as QueryResult};
use debut_udfs::config::DebutConfig;
use debut_udfs::finetune::{FinetuneOptions, NAME, Publish};
use debut_udfs::models::prompt_of;
use debut_udfs::options::Inputs;
use debut_udfs::trainer::{EpochRow, Table, TrainRequest, Trainer};
use futures::stream::BoxStream;

use super::data::{self, Dataset};
use super::failure::{Result, Stopped, failed};
use super::fit::Fit;
use super::lifecycle::{self, Call, Opened, query, resumption};
use super::measure::{Ground, Measured, open_encoder};
use super::method::{self, adalora};
use super::objective::{self, Batches, Objective, Product};
use super::parameter::Parameter;
use super::publish::Publication;
use super::run::Run;
use super::run::checkpoint::Epoch;
use super::run::info::{Criterion, Data, Outcome};
use super::settings;
use super::since;
use super::step::{EvalSession, StepSession, TrainGraph};
use super::tokens::TokenizedTexts;
use crate::inference::Models;
use crate::registry::name::Name;
use crate::registry::{Candidate, ModelVersion};

/// What AdaLoRA's penalty for factors that are not orthogonal is multiplied by. <https://arxiv.org/abs/2303.10512>
const ORTHOGONALITY: f32 = 0.1;

/// A version that should be beaten, and cannot be measured.
#[derive(Debug, thiserror::Error)]
#[error(
    "{incumbent}, in use under the same name, cannot be compared with the result ({reason}): use publish => 'always' or \
     another name"
)]
struct Incomparable {
    incumbent: String,
    reason: String,
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
        let base = lifecycle::base(&self.models, options, config.offline).map_err(query)?;
        let mut encoder = open_encoder(&base.graph(), &base.manifest).map_err(query)?;
        method::apply(&options.method, &mut encoder, options.seed).map_err(|error| query(failed(error)))?;
        Ok(())
    }
}

impl Trainer for EncoderTrainer {
    fn validate(&self, options: &FinetuneOptions, inputs: &Inputs<SchemaRef>, config: &DebutConfig) -> QueryResult<()> {
        options.model.parse::<Name>().map_err(|error| query(failed(error)))?;
        let last = if options.goes_on() { Some(since::last(&self.models, options).map_err(query)?) } else { None };
        let data = settings::data(options, last.as_ref()).map_err(external)?;
        data::check(&data, inputs).map_err(external)?;
        self.check_base(options, config)
    }

    fn train(
        &self,
        request: TrainRequest,
        config: &DebutConfig,
    ) -> QueryResult<BoxStream<'static, QueryResult<EpochRow>>> {
        lifecycle::start(&self.models, request, config, |call, inputs| Training { call }.run(inputs))
    }
}

fn external(error: data::Error) -> DataFusionError {
    query(failed(error))
}

/// One call.
struct Training<'a> {
    call: &'a Call<'a>,
}

/// What a training has before its first step.
struct Prepared<'a> {
    opened: &'a Opened<'a>,
    /// All texts of the dataset.
    all_texts: &'a StringViewArray,
    /// The examples to train on.
    train: &'a [u32],
    ground: &'a Ground<'a>,
    texts: &'a TokenizedTexts,
    /// The version that has to be beaten, and how good it is.
    incumbent: &'a ModelVersion,
    baseline: Option<Measured>,
}

impl Training<'_> {
    /// All of it.
    fn run(&self, inputs: Inputs<Table>) -> Result<(), Stopped> {
        let Call { models, options, .. } = *self.call;
        let last = if options.goes_on() { Some(since::last(models, options)?) } else { None };
        let data_options = settings::data(options, last.as_ref()).map_err(failed)?;
        let base = match last {
            Some((version, _)) => version,
            None => self.call.base()?,
        };
        let Dataset { texts, examples, train, validation, until, fingerprint, notes } =
            Dataset::build(&inputs, &data_options).map_err(failed)?;
        drop(inputs);
        let objective = objective::open(&options.objective, examples, &train).map_err(failed)?;
        let data = Data {
            fingerprint,
            texts: texts.len() as u64,
            train: train.len() as u64,
            validation: validation.len() as u64,
            until,
            notes,
        };
        let Some(opened) = self.call.open(base, data)? else { return Ok(()) };
        let base = &opened.base;

        let held_out = Batches::validation(&validation, options.seed);
        let batches = (0..held_out.len()).map(|index| held_out.batch(objective.as_ref(), index)).collect::<Vec<_>>();
        let stop = || self.call.is_cancelled();
        let ground = Ground {
            runtime: opened.runtime,
            target: &opened.target,
            objective: objective.as_ref(),
            batches: &batches,
            stop: &stop,
        };
        let tokenized = self.tokenize(&texts, base, objective.as_ref())?;
        let in_use = models.registry().in_use(&options.model).map_err(failed)?;
        let incumbent = in_use.unwrap_or_else(|| base.clone());
        let baseline = match self.measure(&incumbent, base, &ground, &tokenized, &texts) {
            // What is in use may be of another kind; then nothing can be better than it, but it can be replaced.
            Err(Stopped::Failed(failure)) if incumbent.path != base.path => {
                if options.publish == Publish::IfBetter {
                    let (incumbent, reason) = (incumbent.reference(), failure.to_string());
                    return Err(failed(Incomparable { incumbent, reason }).into());
                }
                None
            }
            measured => measured?,
        };
        let metric = objective.metric();
        let metric = Criterion { name: metric.name.to_owned(), higher_is_better: metric.higher_is_better };
        let prepared = Prepared {
            opened: &opened,
            all_texts: &texts,
            train: &train,
            ground: &ground,
            texts: &tokenized,
            incumbent: &incumbent,
            baseline,
        };
        opened.run(metric, |run| self.train(run, &prepared))
    }

    /// From the first step to the registry; gives the last row and what became of the model.
    fn train(&self, run: &mut Run, prepared: &Prepared<'_>) -> Result<(EpochRow, Outcome), Stopped> {
        let Call { options, progress, .. } = *self.call;
        let Prepared { opened, all_texts, train, ground, texts, .. } = *prepared;
        let (base, objective) = (&opened.base, ground.objective);
        let first = ground.embed(open_encoder(&base.graph(), &base.manifest)?, texts, &objective.base_texts())?;
        let mut head = objective.parameters(&first);
        drop(first);
        if options.goes_on() {
            head = ground.continued_head(base, head)?;
        }
        let graph = self.graph(base, objective, &head)?;
        let sizes = graph.parameters().iter().map(|parameter| parameter.shape.iter().product::<usize>() as u64);
        let count = sizes.sum();
        let precision = options.precision;
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
        self.call.send(first_row(run, prepared));

        let fit = Fit { options, ground, texts, train, steps, evaluation };
        let id = run.id().to_owned();
        let mut last = None;
        progress.begin(fit.total_steps());
        let fitted = fit.run(run, &|step| progress.reach(step), &mut |epoch, is_last| {
            let row = epoch_row(&id, epoch);
            if is_last { last = Some(row) } else { self.call.send(row) }
        })?;
        let mut last = last.unwrap_or_else(|| EpochRow { run: id, ..EpochRow::default() });
        last.message = fitted.early;
        let publication = Publication { options, base, head: &head, ground, texts };
        let measure = |version: &ModelVersion| {
            if version.manifest.fingerprint == prepared.incumbent.manifest.fingerprint {
                return Ok(prepared.baseline.clone());
            }
            self.measure(version, base, ground, texts, all_texts)
        };
        let build = |candidate: &mut Candidate| Ok(publication.write(candidate, fitted.values)?);
        let mut compared = None;
        let refusal = |candidate: &Candidate, in_use: Option<&ModelVersion>| {
            let comparison = publication.compare(candidate, in_use, &measure)?;
            let refused = (!comparison.better).then(|| comparison.words.clone());
            compared = Some(comparison.words);
            Ok(refused)
        };
        let outcome = opened.publish(run, build, refusal)?;
        if let (Outcome::Published(_), true) = (&outcome, options.goes_on()) {
            let rest = last.message.take();
            last.message = Some(compared.into_iter().chain(rest).collect::<Vec<_>>().join("; "));
        }
        Ok((last, outcome))
    }

    /// The graph of a step.
    fn graph(&self, base: &ModelVersion, objective: &dyn Objective, head: &[Parameter]) -> Result<TrainGraph> {
        let options = self.call.options;
        let mut encoder = open_encoder(&base.graph(), &base.manifest)?;
        let mut parameters = method::apply(&options.method, &mut encoder, options.seed).map_err(failed)?;
        encoder.dropout_embeddings(options.dropout as f32);
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
        TokenizedTexts::new(texts, version, &prompt, self.call.options.max_tokens, &|| self.call.is_cancelled())
    }
}

/// Epoch 0: the version in use, and what was noticed so far.
fn first_row(run: &Run, prepared: &Prepared<'_>) -> EpochRow {
    let mut message = resumption(run).map(str::to_owned).into_iter().collect::<Vec<_>>();
    message.push(format!("{}, as it is", prepared.incumbent.reference()));
    message.extend_from_slice(&run.info().setup.data.notes);
    EpochRow {
        validation_loss: prepared.baseline.as_ref().map(|baseline| baseline.loss),
        metric: prepared.baseline.as_ref().and_then(Measured::metric),
        elapsed: run.seconds(),
        run: run.id().to_owned(),
        message: Some(message.join("; ")),
        ..EpochRow::default()
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
