//! From the values of a call to typed options.
//!
//! Takes a value for each option that is read; gives [`FinetuneOptions`].

use datafusion::common::Result;

use super::method::Method;
use super::objective::Objective;
use super::options::{Augment, FinetuneOptions, Keep, Optimizer, Precision, Publish, Schedule, Since, Split};
use crate::options::Values;
use crate::options::value::LAST;

impl FinetuneOptions {
    /// The options of a call of [`super::FUNCTION`] that has these values.
    ///
    /// # Errors
    /// Two of them contradict each other; the message names both.
    pub fn of(values: &Values) -> Result<Self> {
        let options = options(values)?;
        options.check()?;
        Ok(options)
    }
}

/// The options that these values are; what is not read is what it means not to do it.
///
/// # Errors
/// None in practice: every option that is read has a value of its kind.
fn options(values: &Values) -> Result<FinetuneOptions> {
    let method = Method::of(values)?;
    let drops_own = matches!(method, Method::Lora { .. });
    let weight_decay = values.number_of("weight_decay").unwrap_or(0.0);
    Ok(FinetuneOptions {
        model: values.text("model")?.to_string(),
        // Training that goes on has no other base than the version in use.
        base: values.text_of("base").map_or_else(|| values.text("model"), Ok)?.to_string(),
        image_base: values.text_of("image_base").map(str::to_owned),
        objective: Objective::of(values)?,
        method,
        dropout: values.number_of("dropout").filter(|_| !drops_own).unwrap_or(0.0),
        epochs: values.integer("epochs")?,
        max_steps: values.integer_of("max_steps"),
        batch_size: values.count("batch_size")?,
        accumulate: values.count_of("accumulate").unwrap_or(1),
        learning_rate: values.number("learning_rate")?,
        optimizer: match values.text_of("optimizer") {
            Some("sgd") => Optimizer::Sgd { momentum: values.number("momentum")?, weight_decay },
            _ => Optimizer::AdamW { weight_decay },
        },
        schedule: match values.text_of("schedule") {
            Some("constant") => Schedule::Constant,
            Some("cosine") => Schedule::Cosine,
            _ => Schedule::Linear,
        },
        warmup: values.number_of("warmup").unwrap_or(0.0),
        clip: values.number_of("clip").filter(|norm| *norm > 0.0),
        patience: values.integer_of("patience"),
        max_tokens: values.count_of("max_tokens"),
        augment: values.text_of("augment").map(|name| match name {
            "none" => Augment::None,
            "crop" => Augment::Crop,
            "full" => Augment::Full,
            _ => Augment::Flip,
        }),
        split: match values.text("split")? {
            "time" => Split::Time,
            "last" => Split::Last,
            _ => Split::Random,
        },
        validation: values.number_of("validation").unwrap_or(0.0),
        since: values.text_of("since").map(|text| match text {
            LAST => Since::Last,
            time => Since::Time(time.to_string()),
        }),
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
