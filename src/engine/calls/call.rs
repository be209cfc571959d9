//! What a call asks for: options, and the model it asks.
//!
//! Takes literals and the plans of the sub-queries; gives a [`Call`] that can be made, or an error that says what to
//! change. Planned by `relation`; started by `exec`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use debut_udfs::answer::{self, AnswerOptions};
use debut_udfs::audience::{self, AudienceOptions};
use debut_udfs::compress::{self, CompressOptions, CompressRequest};
use debut_udfs::config::DebutConfig;
use debut_udfs::evaluate::{self, EvaluateOptions};
use debut_udfs::experiment_report::{self, ExperimentOptions};
use debut_udfs::explain_recommendation::{self, ExplainOptions};
use debut_udfs::finetune::{self, FinetuneOptions, Objective, rows};
use debut_udfs::forecast_launch::{self, ForecastOptions};
use debut_udfs::gaps::{self, GapsOptions};
use debut_udfs::ids::Ids;
use debut_udfs::model::{ModelInfo, Task};
use debut_udfs::models::require_task;
use debut_udfs::options::{Function, Inputs, Values};
use debut_udfs::progress::Progress;
use debut_udfs::recommend::{self, RecommendOptions};
use debut_udfs::recommender::columns::{self, Layout};
use debut_udfs::recommender::{Request, Rows};
use debut_udfs::refresh;
use debut_udfs::title_effect::{self, TitleOptions};
use debut_udfs::trainer::{Table, TrainRequest};
use futures::{StreamExt, stream};

use super::workers::Workers;

/// A call. Two of them are equal if they are of one function and their options' values are.
#[derive(Debug, Clone)]
pub struct Call {
    function: &'static Function,
    /// Every option that is read, as text.
    values: BTreeMap<&'static str, String>,
    work: Work,
}

#[derive(Debug, Clone)]
enum Work {
    Finetune(Box<FinetuneOptions>),
    Compress(CompressOptions),
    Recommend(Asked<RecommendOptions>),
    Explain(Asked<ExplainOptions>),
    TitleEffect(Asked<TitleOptions>),
    Forecast(Asked<ForecastOptions>),
    Gaps(Asked<GapsOptions>),
    Audience(Asked<AudienceOptions>),
    Evaluate(Asked<EvaluateOptions>),
    Answer(AnswerOptions),
    ExperimentReport(ExperimentOptions),
}

impl Work {
    /// The recommender that is asked, if one is.
    fn model(&self) -> Option<&ModelInfo> {
        match self {
            Self::Finetune(_) | Self::Compress(_) | Self::Answer(_) | Self::ExperimentReport(_) => None,
            Self::Recommend(asked) => Some(&asked.model),
            Self::Explain(asked) => Some(&asked.model),
            Self::TitleEffect(asked) => Some(&asked.model),
            Self::Forecast(asked) => Some(&asked.model),
            Self::Gaps(asked) => Some(&asked.model),
            Self::Audience(asked) => Some(&asked.model),
            Self::Evaluate(asked) => Some(&asked.model),
        }
    }
}

/// A recommender, and what it is asked.
#[derive(Debug, Clone)]
struct Asked<O> {
    options: O,
    model: Arc<ModelInfo>,
    ids: Ids,
}

impl<O> Asked<O> {
    fn request(self, inputs: Inputs<Table>, progress: Arc<Progress>) -> Request<O> {
        let Self { options, model, ids } = self;
        Request { options, model, ids, inputs, progress }
    }
}

impl Call {
    /// The call of `function` with these arguments, and the sub-queries with the columns that it reads; `embed` is the session's
    /// function of this name.
    ///
    /// # Errors
    /// The call cannot succeed: an option, a model, a sub-query or a column is not what it has to be.
    pub fn plan(
        function: &'static Function,
        literals: &[(String, ScalarValue)],
        inputs: Inputs<LogicalPlan>,
        workers: &Workers,
        embed: &ScalarUDF,
        config: &DebutConfig,
    ) -> Result<(Self, Inputs<LogicalPlan>)> {
        let given = literals.iter().map(|(name, value)| (name.as_str(), value));
        let values = Values::of(function, given, &config.model)?;
        let asked = Asking { function, values: &values, workers, config };
        let (work, inputs) = match function.name {
            finetune::NAME => {
                let options = FinetuneOptions::of(&values)?;
                let objective = &options.objective;
                if let Err(reason) = objective.examples().check(objective.name(), &inputs) {
                    return plan_err!("{}: {reason}", function.name);
                }
                let inputs = match options.objective {
                    Objective::Recommend { .. } => {
                        let layouts = [columns::INTERACTIONS, columns::PICTURED_ITEMS];
                        columns::read(function.name, &inputs, &layouts, &options.columns, None)?
                    }
                    _ => inputs,
                };
                let schemas = inputs.map(|plan| Arc::clone(plan.schema().inner()));
                workers.trainer.validate(&options, &schemas, config)?;
                (Work::Finetune(Box::new(options)), inputs)
            }
            compress::NAME => {
                let options = CompressOptions::of(&values)?;
                let inputs = options.read(&inputs)?;
                workers.compressor.validate(&options, config)?;
                (Work::Compress(options), inputs)
            }
            recommend::NAME => {
                let (asked, inputs) = asked.of(RecommendOptions::of(&values)?, &inputs, columns::ASKED, None)?;
                (Work::Recommend(asked), inputs)
            }
            explain_recommendation::NAME => {
                require(function, "users", inputs.users.is_some())?;
                require(function, "items", inputs.items.is_some())?;
                let (asked, inputs) = asked.of(ExplainOptions::of(&values)?, &inputs, columns::ASKED, None)?;
                (Work::Explain(asked), inputs)
            }
            title_effect::NAME => {
                require(function, "items", inputs.items.is_some())?;
                let (asked, inputs) = asked.of(TitleOptions::of(&values)?, &inputs, &[columns::USERS], None)?;
                (Work::TitleEffect(asked), inputs)
            }
            forecast_launch::NAME => {
                require(function, "items", inputs.items.is_some())?;
                let (asked, inputs) = asked.of(ForecastOptions::of(&values)?, &inputs, &[], None)?;
                (Work::Forecast(asked), inputs)
            }
            gaps::NAME => {
                let (asked, inputs) = asked.of(GapsOptions::of(&values)?, &inputs, &[], None)?;
                (Work::Gaps(asked), inputs)
            }
            audience::NAME => {
                require(function, "items", inputs.items.is_some())?;
                let (asked, inputs) = asked.of(AudienceOptions::of(&values)?, &inputs, &[columns::USERS], None)?;
                (Work::Audience(asked), inputs)
            }
            evaluate::NAME => {
                require(function, "interactions", inputs.interactions.is_some())?;
                let options = EvaluateOptions::of(&values)?;
                let against = options.against.as_deref().map(|against| asked.model(against)).transpose()?;
                let other = against.as_ref().map(|(other, _)| other.as_ref());
                let (mut evaluation, inputs) = asked.of(options, &inputs, &[columns::LOGGED], other)?;
                if let Some((other, ids)) = against {
                    if ids != evaluation.ids {
                        return plan_err!(
                            "{}: models '{}' and '{}' were trained with other types of ids, and cannot be compared",
                            function.name,
                            evaluation.model.reference(),
                            other.reference()
                        );
                    }
                    evaluation.options.since = evaluate::since(evaluation.options.since, [&evaluation.model, &other])?;
                    evaluation.options.against = Some(other.reference());
                }
                (Work::Evaluate(evaluation), inputs)
            }
            answer::NAME => {
                let (options, inputs) = AnswerOptions::plan(&values, inputs, embed)?;
                (Work::Answer(options), inputs)
            }
            experiment_report::NAME => {
                let options = ExperimentOptions::of(&values)?;
                let inputs = experiment_report::sums(&options, &inputs)?;
                (Work::ExperimentReport(options), inputs)
            }
            other => return internal_err!("{other} is not planned here"),
        };
        let mut values = values.texts();
        // The version that the name stands for now.
        values.extend(work.model().map(|model| ("model", model.reference())));
        Ok((Self { function, values, work }, inputs))
    }

    /// The options of a training, if this is one.
    pub fn training(&self) -> Option<&FinetuneOptions> {
        match &self.work {
            Work::Finetune(options) => Some(options.as_ref()),
            _ => None,
        }
    }

    /// Whether the call leaves something behind besides its rows.
    pub fn writes(&self) -> bool {
        writes(self.function)
    }

    /// The function's name.
    pub fn function(&self) -> &'static str {
        self.function.name
    }

    /// The names of the logical and the physical node.
    pub fn node_names(&self) -> (&'static str, &'static str) {
        match self.work {
            Work::Finetune(_) => ("Finetune", "FinetuneExec"),
            Work::Compress(_) => ("Compress", "CompressExec"),
            Work::Recommend(_) => ("Recommend", "RecommendExec"),
            Work::Explain(_) => ("ExplainRecommendation", "ExplainRecommendationExec"),
            Work::TitleEffect(_) => ("TitleEffect", "TitleEffectExec"),
            Work::Forecast(_) => ("ForecastLaunch", "ForecastLaunchExec"),
            Work::Gaps(_) => ("Gaps", "GapsExec"),
            Work::Audience(_) => ("Audience", "AudienceExec"),
            Work::Evaluate(_) => ("Evaluate", "EvaluateExec"),
            Work::Answer(_) => ("Answer", "AnswerExec"),
            Work::ExperimentReport(_) => ("ExperimentReport", "ExperimentReportExec"),
        }
    }

    /// Who works, on what: for people who wait.
    pub fn progress_words(&self) -> (&'static str, &'static str) {
        match self.work {
            Work::Finetune(_) => ("training", "steps"),
            Work::Compress(_) => ("compressing", "steps"),
            Work::Recommend(_) => ("recommending", "users"),
            Work::Explain(_) => ("explaining", "users"),
            Work::TitleEffect(_) => ("changing words", "items"),
            Work::Forecast(_) => ("forecasting", "items"),
            Work::Gaps(_) => ("looking for gaps", "steps"),
            Work::Audience(_) => ("looking for users", "items"),
            Work::Evaluate(_) => ("evaluating", "steps"),
            Work::Answer(_) => ("answering", "questions"),
            Work::ExperimentReport(_) => ("comparing", "variants"),
        }
    }

    /// The columns of the result.
    pub fn schema(&self) -> SchemaRef {
        match &self.work {
            Work::Finetune(_) => rows::schema(),
            Work::Compress(_) => compress::schema(),
            Work::Recommend(asked) => recommend::schema(asked.ids, asked.options.explain),
            Work::Explain(asked) => explain_recommendation::schema(asked.ids),
            Work::TitleEffect(asked) => title_effect::schema(asked.ids),
            Work::Forecast(asked) => forecast_launch::schema(asked.ids),
            Work::Gaps(asked) => gaps::schema(asked.ids),
            Work::Audience(asked) => audience::schema(asked.ids),
            Work::Evaluate(_) => evaluate::schema(),
            Work::Answer(options) => options.schema(),
            Work::ExperimentReport(_) => experiment_report::schema(),
        }
    }

    /// Starts the work; the rows come as they are made.
    ///
    /// # Errors
    /// It cannot begin.
    pub fn start(
        self,
        inputs: Inputs<Table>,
        workers: &Workers,
        progress: Arc<Progress>,
        config: &DebutConfig,
    ) -> Result<Rows> {
        match self.work {
            Work::Finetune(options) => {
                let request = TrainRequest { options: *options, inputs, progress };
                let epochs = workers.trainer.train(request, config)?;
                Ok(epochs.map(|row| rows::batch(row?)).boxed())
            }
            Work::Compress(options) => {
                let Some(examples) = inputs.examples else {
                    return internal_err!("compress was planned without examples");
                };
                let request = CompressRequest { options, examples, progress };
                let variants = workers.compressor.compress(request, config)?;
                Ok(variants.map(|row| compress::batch(row?)).boxed())
            }
            Work::Recommend(asked) => workers.recommenders.recommend(asked.request(inputs, progress), config),
            Work::Explain(asked) => workers.recommenders.explain(asked.request(inputs, progress), config),
            Work::TitleEffect(asked) => workers.recommenders.title_effect(asked.request(inputs, progress), config),
            Work::Forecast(asked) => workers.recommenders.forecast(asked.request(inputs, progress), config),
            Work::Gaps(asked) => workers.recommenders.gaps(asked.request(inputs, progress), config),
            Work::Audience(asked) => workers.recommenders.audience(asked.request(inputs, progress), config),
            Work::Evaluate(asked) => workers.recommenders.evaluate(asked.request(inputs, progress), config),
            Work::Answer(options) => answer::rows(options, inputs),
            // The sums are made by the plan below, so that nothing is left to do that takes long.
            Work::ExperimentReport(options) => {
                let rows = experiment_report::rows(&options, &inputs);
                Ok(stream::once(async move { rows }).boxed())
            }
        }
    }

    /// Every option, and which sub-queries there are, in their order: for EXPLAIN.
    pub(super) fn describe<T>(&self, inputs: &Inputs<T>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.values {
            write!(f, "{name}={value}, ")?;
        }
        let names: Vec<_> = inputs.iter().map(|(name, _)| name).collect();
        write!(f, "inputs=[{}]", names.join(", "))
    }

    fn key(&self) -> (&'static str, &BTreeMap<&'static str, String>) {
        (self.function.name, &self.values)
    }
}

/// Whether calls of the function leave something behind besides their rows: a model, the record of an evaluation, or files.
pub(super) fn writes(function: &Function) -> bool {
    [finetune::NAME, compress::NAME, evaluate::NAME, refresh::NAME].contains(&function.name)
}

/// A call of a recommender while it is planned.
struct Asking<'a> {
    function: &'static Function,
    values: &'a Values,
    workers: &'a Workers,
    config: &'a DebutConfig,
}

impl Asking<'_> {
    /// What is asked of the call's model, with the items and other sub-queries. Pictures of items are read where the model
    /// or the `other` one knows pictures.
    fn of<O>(
        &self,
        options: O,
        inputs: &Inputs<LogicalPlan>,
        more: &[Layout],
        other: Option<&ModelInfo>,
    ) -> Result<(Asked<O>, Inputs<LogicalPlan>)> {
        let (model, ids) = self.model(self.values.text("model")?)?;
        let named = self.values.columns("columns");
        let knows_pictures = [Some(model.as_ref()), other].into_iter().flatten().any(|one| one.image_model.is_some());
        let items = if knows_pictures { columns::PICTURED_ITEMS } else { columns::ITEMS };
        let inputs =
            columns::read(self.function.name, inputs, &[&[items], more].concat(), &named, Some((model.as_ref(), ids)))?;
        Ok((Asked { options, model, ids }, inputs))
    }

    fn model(&self, reference: &str) -> Result<(Arc<ModelInfo>, Ids)> {
        let model = self.workers.models.describe(reference, self.config)?;
        require_task(self.function.name, &model, Task::Recommender)?;
        match model.ids {
            Some(ids) => Ok((model, ids)),
            None => internal_err!("model '{}' does not say what its ids are", model.reference()),
        }
    }
}

pub(super) fn require(function: &Function, name: &str, is_there: bool) -> Result<()> {
    if is_there { Ok(()) } else { plan_err!("{} needs {name} => (SELECT ...): {}", function.name, function.usage) }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Call {}

impl Hash for Call {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialOrd for Call {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.key().partial_cmp(&other.key())
    }
}
