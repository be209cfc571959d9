//! An encoder's training: takes the options and tables of a `finetune` call, gives a row per epoch and, at the end, a version.
//! The implementation of [`debut_udfs::trainer::Trainer`] for every objective but `recommend`; static students are passed on to
//! [`super::distill`].
//!
//! # How a training goes
//! ```text
//! tables -> dataset -> inputs -> the version in use, measured -> steps, epoch by epoch -> the best, measured -> registry
//!                                                                      |
//!                                                       metrics and a checkpoint on disk
//! ```
//! Its thread, its run on disk and its publication are [`super::lifecycle`]'s.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result as QueryResult};
use debut_udfs::config::DebutConfig;
use debut_udfs::finetune::{FinetuneOptions, Method, NAME, Objective as Learnt, Publish, Student};
use debut_udfs::model::Modality;
use debut_udfs::models::prompt_of;
use debut_udfs::options::Inputs;
use debut_udfs::trainer::{EpochRow, Table, TrainRequest, Trainer};
use futures::stream::BoxStream;

use super::data::{self, Dataset, InputColumn};
use super::distill;
use super::encoder::Encoder;
use super::failure::{Result, Stopped, failed};
use super::fit::Fit;
use super::fusion::{self, Towers};
use super::inputs::{self, Inputs as Read, Reading, Vectors, excerpt};
use super::lifecycle::{self, Call, Opened, query, resumption};
use super::measure::{Ground, Measured, open_encoder};
use super::method::{self, adalora};
use super::objective::{self, Batches, Embeddings, Objective, Product};
use super::parameter::Parameter;
use super::publish::Publication;
use super::run::Run;
use super::run::checkpoint::Epoch;
use super::run::info::{Criterion, Data, Outcome};
use super::settings;
use super::since;
use super::step::{EvalSession, StepSession, TrainGraph};
use super::tower::{self, Place};
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

/// A recommender's base that reads pictures.
#[derive(Debug, thiserror::Error)]
#[error(
    "base '{base}' reads pictures, and objective 'recommend' fine-tunes an encoder of texts; use a base that reads texts"
)]
struct OnlyTexts {
    base: String,
}

/// A base without layers.
#[derive(Debug, thiserror::Error)]
#[error(
    "base '{base}' is a static model, whose vectors of tokens no method trains further; use method => 'head', which leaves the base \
     as it is, or train the model that it was distilled from"
)]
struct OnlyHead {
    base: String,
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
        self.check_version(&lifecycle::base(&self.models, options, config.offline).map_err(query)?, options)
    }

    fn check_version(&self, base: &ModelVersion, options: &FinetuneOptions) -> QueryResult<()> {
        settings::check_inputs(options, base).map_err(|error| query(failed(error)))?;
        if matches!(options.objective, Learnt::Recommend { .. }) && base.manifest.modality != Modality::Text {
            return Err(query(failed(OnlyTexts { base: base.reference() })));
        }
        if let Learnt::Distill { student } = options.objective {
            let in_use = self.models.registry().in_use(&options.model).map_err(|error| query(failed(error)))?;
            distill::check(options, base, in_use.as_ref()).map_err(|error| query(failed(error)))?;
            if student == Student::Static {
                return Ok(());
            }
        }
        check_method(base, options).map_err(query)
    }
}

impl Trainer for EncoderTrainer {
    fn validate(&self, options: &FinetuneOptions, inputs: &Inputs<SchemaRef>, config: &DebutConfig) -> QueryResult<()> {
        options.model.parse::<Name>().map_err(|error| query(failed(error)))?;
        let last = if options.goes_on() { Some(since::last(&self.models, options).map_err(query)?) } else { None };
        let base = fusion::base(&self.models, options, inputs, config).map_err(query)?;
        let data = settings::data(options, base.version(), last.as_ref()).map_err(external)?;
        data::check(&data, inputs).map_err(external)?;
        self.check_version(base.version(), options)?;
        // What is trained is published in each of them.
        let mut towers = base.towers().into_iter().flat_map(|towers| [&towers.texts, &towers.images]);
        towers.try_for_each(|tower| check_method(tower, options)).map_err(query)
    }

    fn train(
        &self,
        request: TrainRequest,
        config: &DebutConfig,
    ) -> QueryResult<BoxStream<'static, QueryResult<EpochRow>>> {
        lifecycle::start(&self.models, request, config, |call, inputs| match call.options.objective {
            Learnt::Distill { student: Student::Static } => distill::run(call, inputs),
            _ => Training { call }.run(inputs),
        })
    }
}

/// Fails where the method of a call trains nothing of `version`.
fn check_method(version: &ModelVersion, options: &FinetuneOptions) -> Result<()> {
    if version.manifest.architecture == distill::STATIC && options.method != Method::Head {
        return Err(failed(OnlyHead { base: version.reference() }));
    }
    let mut encoder = open_encoder(&version.graph(), &version.manifest)?;
    method::apply(&options.method, &mut encoder, options.seed).map(drop).map_err(failed)
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
    /// Those of the base, where both are trained.
    towers: Option<&'a Towers>,
    /// All that is encoded.
    column: &'a InputColumn,
    /// As the base reads it.
    inputs: &'a dyn Read,
    /// The base's vectors: those that the head begins with, or all where the encoder stays as it is.
    vectors: &'a Vectors,
    /// The examples to train on.
    train: &'a [u32],
    ground: &'a Ground<'a>,
    /// The version that has to be beaten, and how good it is.
    incumbent: &'a ModelVersion,
    baseline: Option<Measured>,
}

impl Training<'_> {
    /// All of it.
    fn run(&self, tables: Inputs<Table>) -> Result<(), Stopped> {
        let Call { models, options, .. } = *self.call;
        let last = if options.goes_on() { Some(since::last(models, options)?) } else { None };
        let schemas = tables.map(|table| SchemaRef::clone(&table.schema));
        let kept = fusion::base(models, options, &schemas, self.call.config)?;
        let base = kept.version().clone();
        let data_options = settings::data(options, &base, last.as_ref()).map_err(failed)?;
        let Dataset { inputs: column, examples, train, validation, until, fingerprint, notes } =
            Dataset::build(&tables, &data_options).map_err(failed)?;
        drop(tables);
        let tower = kept.towers().and_then(|towers| towers.images.manifest.text_tower);
        let data = Data {
            fingerprint,
            texts: column.len() as u64,
            train: train.len() as u64,
            validation: validation.len() as u64,
            until,
            notes,
        };
        let Some(opened) = self.call.open(base, data)? else { return Ok(()) };
        let base = &opened.base;
        let teacher = self.teacher(&opened, &column)?;
        let objective = objective::open(&options.objective, examples, &train, tower, teacher).map_err(failed)?;

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
        let inputs = self.open(&column, base, objective.as_ref())?;
        let rows = if self.is_frozen() { (0..column.len() as u32).collect() } else { objective.base_inputs() };
        let vectors = ground.embed(open_encoder(&base.graph(), &base.manifest)?, inputs.as_ref(), &rows)?;
        drop(rows);
        let in_use = models.registry().in_use(&options.model).map_err(failed)?;
        let incumbent = in_use.unwrap_or_else(|| base.clone());
        let is_base = incumbent.manifest.fingerprint == base.manifest.fingerprint;
        let measured = if is_base {
            ground.version(&base.graph(), &base.manifest, inputs.as_ref(), Some(&vectors))
        } else {
            self.measure(&incumbent, &ground, &column)
        };
        let baseline = match measured {
            // What is in use may be of another kind; then nothing can be better than it, but it can be replaced.
            Err(Stopped::Failed(failure)) if !is_base => {
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
            towers: kept.towers(),
            column: &column,
            inputs: inputs.as_ref(),
            vectors: &vectors,
            train: &train,
            ground: &ground,
            incumbent: &incumbent,
            baseline,
        };
        opened.run(metric, |run| self.train(run, &prepared))
    }

    /// The base's vectors of all texts, where a student is to learn them.
    fn teacher(&self, opened: &Opened<'_>, column: &InputColumn) -> Result<Option<Embeddings>, Stopped> {
        let (Learnt::Distill { .. }, InputColumn::Texts(texts)) = (&self.call.options.objective, column) else {
            return Ok(None);
        };
        let (stop, max_tokens) = (|| self.call.is_cancelled(), self.call.options.max_tokens);
        let place = Place { runtime: opened.runtime, target: &opened.target };
        let values = tower::embed(&opened.base, None, texts, max_tokens, place, &stop)?;
        Ok(Some(Embeddings { dimension: opened.base.manifest.dimension, values }))
    }

    /// From the first step to the registry; gives the last row and what became of the model.
    fn train(&self, run: &mut Run, prepared: &Prepared<'_>) -> Result<(EpochRow, Outcome), Stopped> {
        let Call { options, progress, .. } = *self.call;
        let Prepared { opened, towers, column, inputs, vectors, train, ground, .. } = *prepared;
        let (base, objective) = (&opened.base, ground.objective);
        let mut head = objective.parameters(&vectors.of(&objective.base_inputs()));
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

        let of_steps: &dyn Read = if self.is_frozen() { vectors } else { inputs };
        let fit = Fit { options, ground, inputs: of_steps, train, steps, evaluation };
        let id = run.id().to_owned();
        let mut last = None;
        progress.begin(fit.total_steps());
        let fitted = fit.run(run, &|step| progress.reach(step), &mut |epoch, is_last| {
            let row = epoch_row(&id, epoch);
            if is_last { last = Some(row) } else { self.call.send(row) }
        })?;
        run.update(|info| info.top_losses.iter_mut().for_each(|one| one.excerpt = excerpt(column, one.input)))
            .map_err(failed)?;
        let mut last = last.unwrap_or_else(|| EpochRow { run: id, ..EpochRow::default() });
        last.message = fitted.early;
        let publication = Publication { options, base, towers, head: &head, ground, inputs };
        let measure = |version: &ModelVersion| {
            if version.manifest.fingerprint == prepared.incumbent.manifest.fingerprint {
                return Ok(prepared.baseline.clone());
            }
            if version.manifest.fingerprint == base.manifest.fingerprint {
                return ground.version(&base.graph(), &base.manifest, inputs, Some(vectors));
            }
            self.measure(version, ground, column)
        };
        let build = |candidate: &mut Candidate| Ok(publication.write(candidate, fitted.values)?);
        let mut compared = None;
        let refusal = |candidate: &Candidate, in_use: Option<&ModelVersion>| {
            if in_use.is_none() && !objective.improves_on_base() {
                return Ok(None);
            }
            let comparison = publication.compare(candidate, in_use, &measure)?;
            let refused = (!comparison.better).then(|| comparison.words.clone());
            compared = Some(comparison.words);
            Ok(refused)
        };
        let of = towers.map_or(base, |towers| &towers.images);
        let outcome = opened.publish(run, of, build, refusal)?;
        if let (Outcome::Published(_), true) = (&outcome, options.goes_on()) {
            let rest = last.message.take();
            last.message = Some(compared.into_iter().chain(rest).collect::<Vec<_>>().join("; "));
        }
        Ok((last, outcome))
    }

    /// The graph of a step.
    fn graph(&self, base: &ModelVersion, objective: &dyn Objective, head: &[Parameter]) -> Result<TrainGraph> {
        let options = self.call.options;
        let mut encoder = if self.is_frozen() {
            Encoder::frozen(&base.manifest)
        } else {
            open_encoder(&base.graph(), &base.manifest)?
        };
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

    /// Whether nothing of the encoder is trained: then its vectors are computed once, and a step is one of the head alone.
    fn is_frozen(&self) -> bool {
        self.call.options.method == Method::Head
    }

    /// Measures a version that is not the base, with inputs as it reads them.
    fn measure(
        &self,
        version: &ModelVersion,
        ground: &Ground<'_>,
        column: &InputColumn,
    ) -> Result<Option<Measured>, Stopped> {
        let towers = match ground.objective.product() {
            Product::TwoTowers => Some(fusion::towers(self.call.models, version)?),
            _ => None,
        };
        let version = towers.as_ref().map_or(version, Towers::version);
        let own = self.open(column, version, ground.objective)?;
        ground.version(&version.graph(), &version.manifest, own.as_ref(), None)
    }

    /// The inputs as `version` reads them; texts with the prompt that `embed` puts in front, if any.
    fn open(
        &self,
        column: &InputColumn,
        version: &ModelVersion,
        objective: &dyn Objective,
    ) -> Result<Box<dyn Read>, Stopped> {
        let options = self.call.options;
        let prompt = match objective.product() {
            Product::Embedding | Product::TwoTowers => prompt_of(NAME, &version.info(), "document").map_err(failed)?,
            Product::Classification { .. } | Product::Regression => String::new(),
        };
        let (max_tokens, augmentation) = (options.max_tokens, settings::augmentation(options));
        inputs::open(column, version, &Reading { prompt, max_tokens, augmentation, stop: &|| self.call.is_cancelled() })
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
