//! What of the model is trained: each method of fine-tuning with its own options, and its name in SQL.
//!
//! Takes the values of a call; gives a [`Method`].

use std::fmt::{self, Display};

use datafusion::common::{Result, internal_err};

use super::NAME;
use crate::options::Values;

/// The names of all methods in SQL, in the order of the documentation.
pub const NAMES: &[&str] = &["head", "bitfit", "lora", "adapter", "prefix", "adalora", "top_layers", "full"];

/// What of the model is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// The head of the objective alone.
    Head,
    /// Biases and the offsets of normalisations.
    BitFit,
    /// Low-rank matrices beside weights.
    Lora {
        /// Their rank.
        rank: usize,
        /// Their product is multiplied by `alpha / rank`.
        alpha: f64,
        /// Share of their inputs that is dropped out while training, in [0, 1).
        dropout: f64,
        /// Ends of the names of the layers that get them; none for queries and values, `all` for all.
        targets: Vec<String>,
    },
    /// Small layers between the layers.
    Adapter {
        /// Their width.
        width: usize,
    },
    /// Vectors in front of each layer's keys and values.
    Prefix {
        /// How many.
        length: usize,
    },
    /// Low-rank matrices that share a budget of ranks.
    AdaLora {
        /// The mean rank at the end.
        rank: usize,
        /// As for [`Self::Lora`], of the rank at the beginning.
        alpha: f64,
        /// As for [`Self::Lora`].
        targets: Vec<String>,
    },
    /// The last layers.
    TopLayers {
        /// How many.
        layers: usize,
    },
    /// Everything but the tables of token vectors, half of a small model and easily spoiled by a small set of texts.
    Full,
    /// The same of the first, the middle and the last layer, without the layers between; the student of that name.
    Layers,
}

impl Method {
    /// The method of a call, with its options.
    ///
    /// # Errors
    /// None in practice: the option is one of [`NAMES`], and every option that it reads has a value of its kind.
    pub(super) fn of(values: &Values) -> Result<Self> {
        // What is trained of a student goes with its kind.
        let of_student = if values.text_of("student") == Some("layers") { "layers" } else { "full" };
        Ok(match values.text_of("method").unwrap_or(of_student) {
            "head" => Self::Head,
            "bitfit" => Self::BitFit,
            "lora" => Self::Lora {
                rank: values.count("rank")?,
                alpha: values.number("alpha")?,
                dropout: values.number_of("dropout").unwrap_or(0.0),
                targets: values.names("targets"),
            },
            "adapter" => Self::Adapter { width: values.count("width")? },
            "prefix" => Self::Prefix { length: values.count("length")? },
            "adalora" => Self::AdaLora {
                rank: values.count("rank")?,
                alpha: values.number("alpha")?,
                targets: values.names("targets"),
            },
            "top_layers" => Self::TopLayers { layers: values.count("layers")? },
            "full" => Self::Full,
            "layers" => Self::Layers,
            other => return internal_err!("{NAME}: unknown method '{other}'"),
        })
    }

    /// Its name in SQL.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::BitFit => "bitfit",
            Self::Lora { .. } => "lora",
            Self::Adapter { .. } => "adapter",
            Self::Prefix { .. } => "prefix",
            Self::AdaLora { .. } => "adalora",
            Self::TopLayers { .. } => "top_layers",
            Self::Full => "full",
            Self::Layers => "layers",
        }
    }
}

impl Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
