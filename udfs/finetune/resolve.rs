//! From given values to typed options: defaults, and which options are read at all.
//!
//! Takes the values of a call by name; gives one for each option that it reads, and [`FinetuneOptions`] of them. Called
//! by `options`.

use std::collections::BTreeMap;

use datafusion::common::{Result, internal_err, plan_err};

use super::options::{
    ClassWeights, FinetuneOptions, Keep, Method, Objective, Optimizer, Precision, Publish, Schedule, Split,
};
use super::settings::{Default, Readers, SETTINGS, Setting};
use super::value::{Value, did_you_mean};
use super::{NAME, USAGE, inputs};

/// The option of this name.
///
/// # Errors
/// There is none; the message names the closest.
pub(super) fn find(name: &str) -> Result<&'static Setting> {
    if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
        return Ok(setting);
    }
    let sub_queries = inputs::MEANINGS.iter().map(|(name, _)| *name);
    let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).chain(sub_queries).collect();
    plan_err!("{NAME}: there is no option '{name}'{}; there are {}", did_you_mean(name, &names), names.join(", "))
}

/// A value for each option that the call reads.
pub(super) struct Values(BTreeMap<&'static str, Value>);

impl Values {
    /// Puts the defaults in, and refuses what is not read. Options stand behind those that decide whether they are read.
    pub(super) fn fill(mut given: BTreeMap<&'static str, Value>, base: &str) -> Result<Self> {
        let mut values = Self(BTreeMap::new());
        for setting in SETTINGS {
            let value = given.remove(setting.name);
            let is_read = match setting.readers {
                Readers::All => true,
                Readers::Where(option, wanted) => values.text_of(option).is_some_and(|value| wanted.contains(&value)),
                Readers::Given(option) => values.0.contains_key(option),
            };
            if !is_read {
                if value.is_some() {
                    return plan_err!(
                        "{NAME}: {} is an option for {}; leave it out here",
                        setting.name,
                        setting.readers.describe().unwrap_or_default()
                    );
                }
                continue;
            }
            let default = match setting.default {
                Default::Value(text) => Some(text),
                Default::ByMethod(texts) => {
                    let method = values.text_of("method");
                    texts.iter().find(|(name, _)| Some(*name) == method).map(|(_, text)| *text)
                }
                Default::Absent if setting.name == "base" => Some(base),
                Default::Absent => None,
                Default::Required if value.is_none() => {
                    return plan_err!("{NAME} needs {} => ...: {}", setting.name, USAGE);
                }
                Default::Required => None,
            };
            let value = match (value, default) {
                (Some(value), _) => value,
                (None, Some(text)) => Value::parse(setting, text)?,
                (None, None) => continue,
            };
            values.0.insert(setting.name, value);
        }
        Ok(values)
    }

    fn text_of(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Result<&str> {
        needed(name, self.text_of(name))
    }

    fn integer(&self, name: &str) -> Option<u64> {
        match self.0.get(name) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    fn count(&self, name: &str) -> Result<usize> {
        needed(name, self.integer(name).and_then(|value| usize::try_from(value).ok()))
    }

    fn number_of(&self, name: &str) -> Option<f64> {
        match self.0.get(name) {
            Some(Value::Number(value)) => Some(*value),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Result<f64> {
        needed(name, self.number_of(name))
    }

    fn names(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Value::Names(names)) => names.clone(),
            _ => Vec::new(),
        }
    }

    fn objective(&self) -> Result<Objective> {
        Ok(match self.text("objective")? {
            "bce" => Objective::Bce { negatives: self.count("negatives")? },
            "contrastive" => Objective::Contrastive { temperature: self.number("temperature")? },
            "bpr" => Objective::Bpr { negatives: self.count("negatives")? },
            "classification" => Objective::Classification {
                class_weights: match self.text("class_weights")? {
                    "balanced" => ClassWeights::Balanced,
                    _ => ClassWeights::Equal,
                },
            },
            "regression" => Objective::Regression,
            "similarity" => Objective::Similarity,
            other => return internal_err!("{NAME}: unknown objective '{other}'"),
        })
    }

    fn method(&self) -> Result<Method> {
        Ok(match self.text("method")? {
            "head" => Method::Head,
            "bitfit" => Method::BitFit,
            "lora" => {
                Method::Lora { rank: self.count("rank")?, alpha: self.number("alpha")?, targets: self.names("targets") }
            }
            "adapter" => Method::Adapter { width: self.count("width")? },
            "prefix" => Method::Prefix { length: self.count("length")? },
            "adalora" => Method::AdaLora {
                rank: self.count("rank")?,
                alpha: self.number("alpha")?,
                targets: self.names("targets"),
            },
            "top_layers" => Method::TopLayers { layers: self.count("layers")? },
            "full" => Method::Full,
            other => return internal_err!("{NAME}: unknown method '{other}'"),
        })
    }

    /// The options that these values are.
    ///
    /// # Errors
    /// None in practice: `fill` gave every option that is read a value of its kind.
    pub(super) fn options(&self) -> Result<FinetuneOptions> {
        let number = |name: &str| self.number(name);
        Ok(FinetuneOptions {
            model: self.text("model")?.to_string(),
            base: self.text("base")?.to_string(),
            objective: self.objective()?,
            method: self.method()?,
            dropout: number("dropout")?,
            epochs: needed("epochs", self.integer("epochs"))?,
            max_steps: self.integer("max_steps"),
            batch_size: self.count("batch_size")?,
            accumulate: self.count("accumulate")?,
            learning_rate: number("learning_rate")?,
            optimizer: match self.text("optimizer")? {
                "sgd" => Optimizer::Sgd { momentum: number("momentum")? },
                _ => Optimizer::AdamW,
            },
            weight_decay: number("weight_decay")?,
            schedule: match self.text("schedule")? {
                "constant" => Schedule::Constant,
                "cosine" => Schedule::Cosine,
                _ => Schedule::Linear,
            },
            warmup: number("warmup")?,
            clip: Some(number("clip")?).filter(|norm| *norm > 0.0),
            patience: self.integer("patience"),
            max_tokens: self.integer("max_tokens").and_then(|tokens| usize::try_from(tokens).ok()),
            split: match self.text("split")? {
                "time" => Split::Time,
                "last" => Split::Last,
                _ => Split::Random,
            },
            validation: number("validation")?,
            since: self.text_of("since").map(str::to_string),
            replay: self.number_of("replay").unwrap_or(0.0),
            columns: match self.0.get("columns") {
                Some(Value::Columns(columns)) => columns.clone(),
                _ => BTreeMap::new(),
            },
            seed: needed("seed", self.integer("seed"))?,
            publish: match self.text("publish")? {
                "always" => Publish::Always,
                "never" => Publish::Never,
                _ => Publish::IfBetter,
            },
            keep: if self.text("keep")? == "delta" { Keep::Delta } else { Keep::Merged },
            resume: matches!(self.0.get("resume"), Some(Value::Boolean(true))),
            precision: match self.text("precision")? {
                "mixed" => Precision::Mixed,
                _ => Precision::Full,
            },
            values: self.0.iter().map(|(name, value)| (*name, value.to_string())).collect(),
        })
    }
}

fn needed<T>(name: &str, value: Option<T>) -> Result<T> {
    match value {
        Some(value) => Ok(value),
        None => internal_err!("{NAME}: {name} has no value of its kind"),
    }
}
