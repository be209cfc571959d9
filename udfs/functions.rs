//! All of Debut's SQL functions, and the one call that registers them.
//!
//! Takes a model provider; gives the functions.

use std::sync::Arc;

use datafusion::catalog::TableFunctionImpl;
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{AggregateUDF, Documentation, Expr, ScalarUDF, WindowUDF};
use datafusion::prelude::SessionContext;

use crate::classify::Classify;
use crate::embed::Embed;
use crate::frames::Frames;
use crate::inference::Inference;
use crate::model::ModelProvider;
use crate::models::Models;
use crate::options::Function;
use crate::predict::Predict;
use crate::read_file::ReadFile;
use crate::score::Score;
use crate::{
    answer, assign, audience, compress, distance, evaluate, experiment_report, explain_recommendation, finetune,
    forecast_launch, gaps, hamming, hybrid_search, metrics, profile, psi, quantize, recommend, refresh, surge,
    title_effect, vector_search,
};

/// The scalar functions.
pub fn scalar_functions(provider: Arc<dyn ModelProvider>) -> Vec<ScalarUDF> {
    let models = Models::new(provider);
    vec![
        Embed::new(models.clone()).into(),
        Embed::or_error(models.clone()).into(),
        Score::new(models.clone()).into(),
        Classify::new(models.clone()).into(),
        Predict::number(models).into(),
        ReadFile::new().into(),
        ReadFile::or_error().into(),
        Frames::new(None).into(),
        assign::assign(),
        distance::cosine_distance(),
        distance::inner_product(),
        distance::l2_distance(),
        hamming::hamming_distance(),
        quantize::quantize(),
    ]
}

/// The aggregate functions.
pub fn aggregate_functions() -> Vec<AggregateUDF> {
    let mut functions = vec![profile::centroid(), profile::profile(), psi::psi()];
    functions.extend(metrics::aggregates());
    functions.push(metrics::ClassificationReport::default().into());
    functions
}

/// The window functions.
pub fn window_functions() -> Vec<WindowUDF> {
    vec![surge::surge()]
}

/// The table functions, by name.
pub fn table_functions() -> Vec<(&'static str, Arc<dyn TableFunctionImpl>)> {
    vec![
        ("vector_search", Arc::new(vector_search::VectorSearch)),
        ("hybrid_search", Arc::new(hybrid_search::HybridSearch)),
    ]
}

/// The functions with named arguments and sub-queries, which the engine plans and runs.
pub const CALLS: [&Function; 12] = [
    &finetune::FUNCTION,
    &compress::FUNCTION,
    &recommend::FUNCTION,
    &explain_recommendation::FUNCTION,
    &title_effect::FUNCTION,
    &forecast_launch::FUNCTION,
    &gaps::FUNCTION,
    &audience::FUNCTION,
    &evaluate::FUNCTION,
    &answer::FUNCTION,
    &experiment_report::FUNCTION,
    &refresh::FUNCTION,
];

/// The documentation of every function, in the order of the reference: name and text.
pub fn documentation(provider: Arc<dyn ModelProvider>) -> Vec<(String, Documentation)> {
    let scalars = scalar_functions(provider);
    let aggregates = aggregate_functions();
    let windows = window_functions();
    let known = scalars
        .iter()
        .map(|function| (function.name(), function.documentation()))
        .chain(aggregates.iter().map(|function| (function.name(), function.documentation())))
        .chain(windows.iter().map(|function| (function.name(), function.documentation())))
        .chain([
            ("vector_search", Some(vector_search::documentation())),
            ("hybrid_search", Some(hybrid_search::documentation())),
        ])
        .filter_map(|(name, text)| Some((name.to_string(), text?.clone())));
    known.chain(CALLS.map(|function| (function.name.to_string(), function.documentation()))).collect()
}

/// Registers every function in a session. Settings are read from its `debut.*` options where a
/// [`crate::config::DebutConfig`] was added to its configuration.
///
/// # Errors
/// The session refuses a function.
pub fn register_all(context: &SessionContext, provider: Arc<dyn ModelProvider>) -> Result<()> {
    let state = context.state_ref();
    {
        let mut state = state.write();
        let options = Arc::clone(state.config().options());
        for function in scalar_functions(provider) {
            let function = function.inner().with_updated_config(&options).unwrap_or(function);
            state.register_udf(Arc::new(function))?;
        }
        for function in aggregate_functions() {
            state.register_udaf(Arc::new(function))?;
        }
        for function in window_functions() {
            state.register_udwf(Arc::new(function))?;
        }
    }
    for (name, function) in table_functions() {
        context.register_udtf(name, function);
    }
    Ok(())
}

/// What a call has to run, if it is a call that needs a model: the engine asks this of every expression it plans.
///
/// # Errors
/// The call's model is not a literal or not known.
pub fn inference_of(call: &ScalarFunction) -> Result<Option<Inference>> {
    let function = call.func.inner().as_ref();
    let literals: Vec<Option<&ScalarValue>> = call
        .args
        .iter()
        .map(|argument| match argument {
            Expr::Literal(value, _) => Some(value),
            _ => None,
        })
        .collect();
    if let Some(embed) = function.downcast_ref::<Embed>() {
        return embed.inference(&literals).map(Some);
    }
    if let Some(classify) = function.downcast_ref::<Classify>() {
        return classify.inference(&literals);
    }
    if let Some(predict) = function.downcast_ref::<Predict>() {
        return predict.inference(&literals).map(Some);
    }
    match function.downcast_ref::<Score>() {
        Some(score) => score.inference(&literals),
        None => Ok(None),
    }
}
