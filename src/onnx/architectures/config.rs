//! `config.json` as `transformers` writes it: takes its JSON, gives typed settings or says which one is wrong.

use serde_json::Value as Json;

use super::{Error, Result};

/// The settings of a model.
pub(super) struct Config<'a>(&'a serde_json::Map<String, Json>);

/// The function between two products or convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Gelu,
    GeluTanh,
    /// `x * sigmoid(1.702 x)`.
    GeluQuick,
    /// `x * min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    Silu,
}

impl<'a> Config<'a> {
    pub(super) fn new(config: &'a Json) -> Result<Self> {
        let problem = "is not a JSON object".to_owned();
        config.as_object().map(Self).ok_or(Error::Config { key: "config.json".into(), problem })
    }

    /// A setting that is there and not null.
    fn get(&self, key: &str) -> Option<&'a Json> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn missing(&self, key: &str) -> Error {
        Error::Config { key: key.to_owned(), problem: "is missing".into() }
    }

    fn wrong(&self, key: &str, value: &Json, expected: &str) -> Error {
        Error::Config { key: key.to_owned(), problem: format!("is {value}, not {expected}") }
    }

    pub(super) fn unsupported(&self, key: &str, value: impl ToString, reason: &str) -> Error {
        Error::Unsupported { key: key.to_owned(), value: value.to_string(), reason: reason.to_owned() }
    }

    /// Whether a setting is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key).map(|value| value.as_str().ok_or_else(|| self.wrong(key, value, "a text"))).transpose()
    }

    /// A size: a positive whole number that fits any dimension.
    pub(super) fn size(&self, key: &str) -> Result<usize> {
        let value = self.get(key).ok_or_else(|| self.missing(key))?;
        let size = value.as_u64().filter(|size| (1..=i32::MAX as u64).contains(size));
        size.map(|size| size as usize).ok_or_else(|| self.wrong(key, value, "a positive whole number"))
    }

    pub(super) fn size_or(&self, key: &str, default: usize) -> Result<usize> {
        if self.get(key).is_some() { self.size(key) } else { Ok(default) }
    }

    /// A token's number, which may be 0.
    pub(super) fn token_or(&self, key: &str, default: usize) -> Result<usize> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let token = value.as_u64().filter(|token| *token <= i32::MAX as u64);
        token.map(|token| token as usize).ok_or_else(|| self.wrong(key, value, "a token's number"))
    }

    pub(super) fn float_or(&self, key: &str, default: f32) -> Result<f32> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = value.as_f64().filter(|number| *number > 0.0 && *number < 1.0);
        number.map(|number| number as f32).ok_or_else(|| self.wrong(key, value, "a number between 0 and 1"))
    }

    /// The settings below `key`, if there are any.
    pub(super) fn section(&self, key: &str) -> Result<Option<Config<'a>>> {
        let section = |value: &'a Json| value.as_object().map(Self).ok_or_else(|| self.wrong(key, value, "an object"));
        self.get(key).map(section).transpose()
    }

    /// A list of whole numbers, which may be 0.
    pub(super) fn sizes(&self, key: &str) -> Result<Option<Vec<usize>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let size = |value: &Json| value.as_u64().filter(|size| *size <= i32::MAX as u64).map(|size| size as usize);
        let sizes = value.as_array().and_then(|list| list.iter().map(size).collect::<Option<Vec<_>>>());
        sizes.map(Some).ok_or_else(|| self.wrong(key, value, "a list of whole numbers"))
    }

    /// A factor: a number above 0.
    pub(super) fn factor_or(&self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let number = value.as_f64().filter(|number| *number > 0.0 && *number < 1e3);
        number.ok_or_else(|| self.wrong(key, value, "a number between 0 and 1,000"))
    }

    pub(super) fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        if self.has(key) { self.flag(key) } else { Ok(default) }
    }

    pub(super) fn activation_or(&self, key: &str, default: Activation) -> Result<Activation> {
        if self.has(key) { self.activation(key) } else { Ok(default) }
    }

    /// True or false, false where nothing is said.
    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.wrong(key, value, "true or false"))
    }

    /// The activation that `key` names; the names are those of `transformers.activations.ACT2FN`.
    pub(super) fn activation(&self, key: &str) -> Result<Activation> {
        Ok(match self.text(key)?.unwrap_or("gelu") {
            "gelu" | "gelu_python" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_python_tanh" => Activation::GeluTanh,
            "quick_gelu" => Activation::GeluQuick,
            "hardswish" | "hard_swish" => Activation::HardSwish,
            "relu" => Activation::Relu,
            "relu6" => Activation::Relu6,
            "silu" | "swish" => Activation::Silu,
            other => {
                let reason =
                    "supported are gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, hardswish, relu, relu6 and silu";
                return Err(self.unsupported(key, other, reason));
            }
        })
    }

    /// Refuses settings that change what a model computes and that no importer here follows.
    pub(super) fn refuse_unsupported(&self) -> Result<()> {
        if let Some(kind) = self.text("position_embedding_type")?.filter(|kind| *kind != "absolute") {
            let reason = "only absolute positions are; export the model to ONNX and import that";
            return Err(self.unsupported("position_embedding_type", kind, reason));
        }
        for key in ["is_decoder", "is_encoder_decoder", "add_cross_attention"] {
            if self.flag(key)? {
                return Err(self.unsupported(key, true, "only encoders can embed and score"));
            }
        }
        let pruned = self.get("pruned_heads").filter(|heads| heads.as_object().is_none_or(|heads| !heads.is_empty()));
        if let Some(heads) = pruned {
            return Err(self.unsupported("pruned_heads", heads, "all heads must be there"));
        }
        if let Some(quantization) = self.get("quantization_config") {
            return Err(self.unsupported("quantization_config", quantization, "weights must be F32, F16 or BF16"));
        }
        Ok(())
    }

    /// Whether the model is a sequence classifier; if so it must have one label.
    pub(super) fn is_sequence_classification(&self) -> Result<bool> {
        let Some(names) = self.get("architectures") else { return Ok(false) };
        let names = names.as_array().ok_or_else(|| self.wrong("architectures", names, "a list of names"))?;
        if !names.iter().filter_map(Json::as_str).any(|name| name.ends_with("ForSequenceClassification")) {
            return Ok(false);
        }
        let labels = match self.get("id2label").and_then(Json::as_object) {
            Some(labels) => labels.len(),
            None => self.size_or("num_labels", 1)?, // the classifier's shape settles it
        };
        if labels != 1 {
            let reason = "a cross-encoder gives one score, so it must have one label";
            return Err(self.unsupported("number of labels", labels, reason));
        }
        Ok(true)
    }
}
