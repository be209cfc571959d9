//! `debut.json`: what the registry writes beside a model version, so that planning needs no weights.
//!
//! Written once by `registry::import`, read by the registry, by `inference` when a model is opened, and by
//! `debut.model_versions`.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use arrow::temporal_conversions::timestamp_us_to_datetime;
use debut_udfs::ids::{IdType, Ids};
use debut_udfs::model::{Modality, Task, TextTower};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Everything about a model version that is not a weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Manifest {
    /// What the model does.
    #[serde(with = "task")]
    pub task: Task,
    /// What the model reads. Not written for text, which every model read before there was a choice.
    #[serde(with = "modality", default, skip_serializing_if = "is_text")]
    pub modality: Modality,
    /// The tower for texts of a model of two towers, which is a version of its own in [`TEXT_TOWER`](super::TEXT_TOWER) within
    /// the folder: the rest of this manifest, but for `max_tokens`, is about the tower for pictures. `None` for other models.
    #[serde(with = "text_tower", default, skip_serializing_if = "Option::is_none")]
    pub text_tower: Option<TextTower>,
    /// Width of the vectors; 0 for a model that makes none.
    pub dimension: usize,
    /// What a classification model tells apart, in the order of its logits; empty for other models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The ids that a recommender knows users and items by; `None` for other models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommender: Option<RecommenderIds>,
    /// The first moment of which a recommender knows nothing, in microseconds since 1970; `None` for other models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_until: Option<i64>,
    /// The model of pictures that a recommender was trained with, `name@version`, a copy of which it keeps; `None` for one
    /// without pictures, and for other models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_model: Option<String>,
    /// How it was trained; `None` for one that was not, and for those that older versions of Debut have published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// The architecture's name in `config.json` (`bert`, `mpnet`, ...), or `onnx` where there was none.
    pub architecture: String,
    /// The graph, relative to the version's folder.
    pub graph: String,
    /// The graph's output that is read, and what it holds.
    pub output: GraphOutput,
    /// How token vectors become one vector; read only for [`OutputKind::TokenEmbeddings`].
    pub pooling: Pooling,
    /// Whether the model's own pipeline normalises its vectors. `embed` always does.
    pub normalize: bool,
    /// Whether the graph gives the right numbers only on processors with instructions for products of bytes
    /// (VNNI).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_vnni: bool,
    /// Longest input in tokens, special tokens included; 0 for a model that reads no texts.
    pub max_tokens: usize,
    /// The size of the pictures that the graph reads; `None` for a model that reads none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureSize>,
    /// Prompts by name, as in `config_sentence_transformers.json`.
    pub prompts: BTreeMap<String, String>,
    /// Where the model came from, as the user wrote it.
    pub source: String,
    /// SHA-256 of the weights file that was imported, in hexadecimal.
    pub weights_sha256: String,
    /// Sixteen hexadecimal digits over everything that determines a result.
    pub fingerprint: String,
    /// Seconds since 1970 at import.
    pub created_at: u64,
}

impl Manifest {
    /// What the model reads, for people.
    pub fn what_it_reads(&self) -> String {
        match self.text_tower {
            Some(_) => format!("{} and {}", self.modality, Modality::Text),
            None => self.modality.to_string(),
        }
    }

    /// What is left of a model of two towers when the first is taken alone; another model as it is.
    #[must_use]
    pub fn first_tower(self) -> Self {
        if self.text_tower.is_none() { self } else { Self { text_tower: None, max_tokens: 0, ..self } }
    }
}

/// The size of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureSize {
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
}

impl Display for PictureSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.width, self.height)
    }
}

/// How a version was trained: what a training that goes on from it has to be like, and where it takes up the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Training {
    /// `contrastive`, `recommend`, ...
    pub objective: String,
    /// `lora`, `full`, ...
    pub method: String,
    /// The first moment of which its training data said nothing: just after the largest timestamp. `None` where rows had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
}

/// A moment in training data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Microseconds since 1970.
    Time(i64),
    /// A number, where the timestamps of the data are integers.
    Integer(i64),
}

impl Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(value) => match timestamp_us_to_datetime(*value) {
                Some(moment) => moment.fmt(f),
                None => value.fmt(f),
            },
            Self::Integer(value) => value.fmt(f),
        }
    }
}

/// The types of a recommender's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct RecommenderIds {
    /// Of its users.
    #[serde(with = "id_type")]
    pub user_id: IdType,
    /// Of its items.
    #[serde(with = "id_type")]
    pub item_id: IdType,
}

impl From<RecommenderIds> for Ids {
    fn from(ids: RecommenderIds) -> Self {
        Self { user: ids.user_id, item: ids.item_id }
    }
}

impl From<Ids> for RecommenderIds {
    fn from(ids: Ids) -> Self {
        Self { user_id: ids.user, item_id: ids.item }
    }
}

/// The output of a graph that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphOutput {
    /// Its name in the graph.
    pub name: String,
    /// What it holds.
    pub kind: OutputKind,
}

/// What an output of a graph holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// `[batch, sequence, dimension]`: one vector a token, to be pooled.
    TokenEmbeddings,
    /// `[batch, dimension]`: already pooled, or a vector of something else than a text.
    SentenceEmbedding,
    /// `[batch, labels]`: a logit for each label; `[batch, 1]` for a cross-encoder and for a regression's number.
    Logits,
}

/// How token vectors become one vector; the names of sentence-transformers' `1_Pooling/config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token's vector.
    Cls,
    /// The mean over the tokens that are not padding.
    Mean,
    /// The largest value per dimension over the tokens that are not padding.
    Max,
    /// The sum over the tokens divided by the square root of their number.
    MeanSqrtLen,
    /// The last token that is not padding.
    LastToken,
}

impl Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::MeanSqrtLen => "mean_sqrt_len",
            Self::LastToken => "last_token",
        })
    }
}

fn is_text(modality: &Modality) -> bool {
    *modality == Modality::Text
}

mod text_tower {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Stored {
        logit_scale: f32,
        #[serde(skip_serializing_if = "Option::is_none")]
        logit_bias: Option<f32>,
    }

    pub(super) fn serialize<S: Serializer>(tower: &Option<TextTower>, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = tower.map(|TextTower { logit_scale, logit_bias }| Stored { logit_scale, logit_bias });
        stored.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TextTower>, D::Error> {
        let stored = Option::<Stored>::deserialize(deserializer)?;
        Ok(stored.map(|Stored { logit_scale, logit_bias }| TextTower { logit_scale, logit_bias }))
    }
}

/// Values that are stored by the name that they display as.
macro_rules! stored_by_name {
    ($module:ident, $type:ty, $what:literal) => {
        mod $module {
            use super::*;

            pub(super) fn serialize<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(value)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let name = String::deserialize(deserializer)?;
                let found = <$type>::ALL.into_iter().find(|value| value.to_string() == name);
                found.ok_or_else(|| D::Error::custom(format!("unknown {} '{name}'", $what)))
            }
        }
    };
}
stored_by_name!(task, Task, "task");
stored_by_name!(modality, Modality, "modality");
stored_by_name!(id_type, IdType, "type of ids");

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stored_by_name() {
        let ids = Ids { user: IdType::Integer, item: IdType::Text };
        let stored = serde_json::to_string(&RecommenderIds::from(ids)).unwrap();
        assert_eq!(stored, r#"{"user_id":"integer","item_id":"text"}"#);
        assert_eq!(Ids::from(serde_json::from_str::<RecommenderIds>(&stored).unwrap()), ids);
        let message = serde_json::from_str::<RecommenderIds>(&stored.replace("text", "uuid")).unwrap_err().to_string();
        assert!(message.contains("unknown type of ids 'uuid'"), "{message}");
    }
}
