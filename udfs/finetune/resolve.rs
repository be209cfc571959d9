//! From the values of a call to typed options.
//!
//! Takes a value for each option that is read; gives [`FinetuneOptions`].

use datafusion::common::{Result, internal_err};

use super::NAME;
use super::options::{
    ClassWeights, FinetuneOptions, Keep, Method, Objective, Optimizer, Precision, Publish, Schedule, Split,
};
use crate::options::Values;

fn objective(values: &Values) -> Result<Objective> {
    Ok(match values.text("objective")? {
        "bce" => Objective::Bce { negatives: values.count("negatives")? },
        "contrastive" => Objective::Contrastive { temperature: values.number("temperature")? },
        "bpr" => Objective::Bpr { negatives: values.count("negatives")? },
        "classification" => Objective::Classification {
            class_weights: match values.text("class_weights")? {
                "balanced" => ClassWeights::Balanced,
                _ => ClassWeights::Equal,
            },
        },
        "regression" => Objective::Regression,
        "similarity" => Objective::Similarity,
        "recommend" => Objective::Recommend {
            factors: values.count("factors")?,
            window_days: values.integer("window")?,
            neighbours: values.count("neighbours")?,
        },
        other => return internal_err!("{NAME}: unknown objective '{other}'"),
    })
}

fn method(values: &Values) -> Result<Method> {
    Ok(match values.text("method")? {
        "head" => Method::Head,
        "bitfit" => Method::BitFit,
        "lora" => Method::Lora {
            rank: values.count("rank")?,
            alpha: values.number("alpha")?,
            targets: values.names("targets"),
        },
        "adapter" => Method::Adapter { width: values.count("width")? },
        "prefix" => Method::Prefix { length: values.count("length")? },
        "adalora" => Method::AdaLora {
            rank: values.count("rank")?,
            alpha: values.number("alpha")?,
            targets: values.names("targets"),
        },
        "top_layers" => Method::TopLayers { layers: values.count("layers")? },
        "full" => Method::Full,
        other => return internal_err!("{NAME}: unknown method '{other}'"),
    })
}

/// The options that these values are; what is not read is what it means not to do it.
///
/// # Errors
/// None in practice: every option that is read has a value of its kind.
pub(super) fn options(values: &Values) -> Result<FinetuneOptions> {
    Ok(FinetuneOptions {
        model: values.text("model")?.to_string(),
        base: values.text("base")?.to_string(),
        objective: objective(values)?,
        method: method(values)?,
        dropout: values.number_of("dropout").unwrap_or(0.0),
        epochs: values.integer("epochs")?,
        max_steps: values.integer_of("max_steps"),
        batch_size: values.count("batch_size")?,
        accumulate: values.count_of("accumulate").unwrap_or(1),
        learning_rate: values.number("learning_rate")?,
        optimizer: match values.text_of("optimizer") {
            Some("sgd") => Optimizer::Sgd { momentum: values.number("momentum")? },
            _ => Optimizer::AdamW,
        },
        weight_decay: values.number("weight_decay")?,
        schedule: match values.text_of("schedule") {
            Some("constant") => Schedule::Constant,
            Some("cosine") => Schedule::Cosine,
            _ => Schedule::Linear,
        },
        warmup: values.number("warmup")?,
        clip: Some(values.number("clip")?).filter(|norm| *norm > 0.0),
        patience: values.integer_of("patience"),
        max_tokens: values.count_of("max_tokens"),
        split: match values.text("split")? {
            "time" => Split::Time,
            "last" => Split::Last,
            _ => Split::Random,
        },
        validation: values.number_of("validation").unwrap_or(0.0),
        since: values.text_of("since").map(str::to_string),
        replay: values.number_of("replay").unwrap_or(0.0),
        columns: values.columns("columns"),
        seed: values.integer("seed")?,
        publish: match values.text("publish")? {
            "always" => Publish::Always,
            "never" => Publish::Never,
            _ => Publish::IfBetter,
        },
        keep: if values.text_of("keep") == Some("delta") { Keep::Delta } else { Keep::Merged },
        resume: values.flag("resume"),
        precision: if values.text_of("precision") == Some("mixed") { Precision::Mixed } else { Precision::Full },
        values: values.texts(),
    })
}
