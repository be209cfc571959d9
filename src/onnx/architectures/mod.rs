//! From a checkpoint to a graph: takes `config.json` and weights, gives a decomposed ONNX graph whose initializers are
//! filled when it is written.
//!
//! One file per architecture; [`encoder`] holds what they share, [`vision`] what those of pictures share besides. The
//! graphs use plain operators only, because training differentiates them; [`super::fuse`] rewrites them for scoring.
//!
//! Graphs of texts read `input_ids` and `attention_mask`, both `i64 [batch, sequence]`, and `token_type_ids` where the model
//! tells segments apart. They give `last_hidden_state`, `f32 [batch, sequence, hidden]`, or `logits`, `f32 [batch, 1]`.
//! Graphs of pictures read `pixel_values`, `f32 [batch, 3, height, width]` of a fixed size, and give `image_embeds`,
//! `f32 [batch, width]`: the mean of the last features of a convolutional network, the class token's of a transformer, the
//! projected vector of CLIP and SigLIP. The tower for texts of the latter two gives `text_embeds` in the same space.

mod bert;
mod clip;
mod config;
mod convnext;
mod distilbert;
mod efficientnet;
mod encoder;
mod inverted_residual;
mod mobilenet;
mod mpnet;
mod parameter;
mod resnet;
mod roberta;
mod siglip;
mod vgg;
mod vision;
mod vision_transformer;
mod vit;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use serde_json::Value as Json;

use super::file::{self, TensorSource};
use super::proto::ModelProto;
use super::weights::Weights;
use super::{Error, Result};
use config::Config;
use encoder::Encoder;
use parameter::Parameter;
use vision::Map;
pub use vision::{PIXELS, Picture};

/// Name of the output that holds one vector a token.
pub const TOKEN_EMBEDDINGS: &str = "last_hidden_state";
/// Name of the output that holds one vector a picture.
pub const IMAGE_EMBEDDING: &str = "image_embeds";
/// Name of the output that holds one vector a text.
pub const TEXT_EMBEDDING: &str = "text_embeds";
/// Name of the output that holds one logit a row.
pub const LOGITS: &str = "logits";

/// Adds an architecture's nodes to the encoder and returns its hidden states, `[batch, sequence, hidden]`; of a tower for
/// texts its vectors, `[batch, hidden_size]`.
type BuildEncoder = fn(&mut Encoder<'_>, &Config) -> Result<super::graph::Value>;
/// Adds the head of a sequence classification model and returns its logits, `[batch, 1]`.
type BuildHead = fn(&mut Encoder<'_>, &Config, &super::graph::Value) -> Result<super::graph::Value>;

/// `model_type`, how to build it, and its head.
const ARCHITECTURES: [(&str, BuildEncoder, BuildHead); 5] = [
    ("bert", bert::encoder, bert::head),
    ("distilbert", distilbert::encoder, distilbert::head),
    ("mpnet", mpnet::encoder, roberta::head),
    ("roberta", roberta::encoder, roberta::head),
    ("xlm-roberta", roberta::encoder, roberta::head),
];

/// Adds the nodes of a network of pictures and returns its vectors, `[batch, hidden_size]`.
type BuildVision = fn(&mut Encoder<'_>, &Config, Map) -> Result<super::graph::Value>;
/// As [`BuildVision`], of the network that timm or torchvision calls so.
type BuildNamed = fn(&mut Encoder<'_>, &str, &Config, Map) -> Result<super::graph::Value>;

/// `model_type` of a network of pictures, what tells where its names begin, and how to build it.
const VISION: [(&str, &[&str], BuildVision); 7] = [
    ("clip", &clip::ANCHORS, clip::encoder),
    ("convnext", &convnext::ANCHORS, convnext::encoder),
    ("efficientnet", &efficientnet::ANCHORS, efficientnet::encoder),
    ("mobilenet_v2", &mobilenet::ANCHORS, mobilenet::encoder),
    ("resnet", &resnet::ANCHORS, resnet::encoder),
    ("siglip", &siglip::ANCHORS, siglip::encoder),
    ("vit", &vit::ANCHORS, vit::encoder),
];
/// `model_type` of those that have a tower for texts besides, and how to build it.
const TEXT_TOWERS: [(&str, BuildEncoder); 2] = [("clip", clip::text), ("siglip", siglip::text)];
/// Beginnings of the names that timm and torchvision have for networks of pictures; `#` stands for a digit.
const NAMED: [(&str, &[&str], BuildNamed); 11] = [
    ("convnext_", &convnext::ANCHORS, convnext::named),
    ("efficientnet_b#", &efficientnet::ANCHORS, efficientnet::named),
    ("efficientnet_lite#", &efficientnet::ANCHORS, efficientnet::named),
    ("mobilenetv2_", &mobilenet::ANCHORS, mobilenet::named),
    ("mobilenetv3_large_", &mobilenet::ANCHORS, mobilenet::named),
    ("mobilenetv3_small_", &mobilenet::ANCHORS, mobilenet::named),
    ("resnet#", &resnet::ANCHORS, resnet::named),
    ("resnext#", &resnet::ANCHORS, resnet::named),
    ("vgg#", &vgg::ANCHORS, vgg::named),
    ("vit_", &vit::ANCHORS, vit::named),
    ("wide_resnet#", &resnet::ANCHORS, resnet::named),
];
/// What stands in front of a name whose weights come from TensorFlow.
const FROM_TENSORFLOW: &str = "tf_";
/// The key under which timm keeps a network's name.
const TIMM_NAME: &str = "architecture";
/// Modules behind a network of pictures, which it does not need, and counters.
const HEADS: [&str; 6] = ["classifier.", "fc.", "_fc.", "head.", "pooler.", "pre_logits."];
const COUNTERS: [&str; 2] = [".num_batches_tracked", "embeddings.position_ids"];

/// What the output of a built graph holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// [`TOKEN_EMBEDDINGS`].
    TokenEmbeddings,
    /// [`IMAGE_EMBEDDING`] or [`TEXT_EMBEDDING`], by what is read.
    Embedding,
    /// [`LOGITS`].
    Logits,
}

/// A graph made from a checkpoint, with what a caller must know of it.
#[derive(Debug)]
pub struct BuiltModel {
    /// The graph; its parameters are open until [`Self::write`]. Their names are those of the checkpoint without the
    /// prefix of the encoder (`encoder.layer.0.attention.self.query.weight`), matrices transposed to `[in, out]`.
    pub model: ModelProto,
    /// What the output holds.
    pub output: OutputKind,
    /// `model_type` of `config.json`, or the name that timm has for it.
    pub architecture: String,
    /// Width of the hidden states, or of the vector.
    pub hidden_size: usize,
    /// What the graph reads.
    pub reads: Reads,
    parameters: HashMap<String, Parameter>,
}

/// What a graph reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Texts.
    Tokens {
        /// Longest input in tokens, special tokens included.
        longest: usize,
    },
    /// Pictures of this size.
    Pixels(Picture),
}

impl BuiltModel {
    /// The output's name in the graph.
    pub fn output_name(&self) -> &'static str {
        match self.output {
            OutputKind::TokenEmbeddings => TOKEN_EMBEDDINGS,
            OutputKind::Embedding => match self.reads {
                Reads::Pixels(_) => IMAGE_EMBEDDING,
                Reads::Tokens { .. } => TEXT_EMBEDDING,
            },
            OutputKind::Logits => LOGITS,
        }
    }

    /// Writes the graph to `path` and the weights beside it, one tensor at a time. `weights` are those it was built from.
    ///
    /// # Errors
    /// Those of [`file::write`].
    pub fn write(self, weights: &Weights, path: &Path) -> Result<()> {
        file::write(self.model, path, &Checkpoint { weights, parameters: &self.parameters })
    }
}

struct Checkpoint<'a> {
    weights: &'a Weights,
    parameters: &'a HashMap<String, Parameter>,
}

impl TensorSource for Checkpoint<'_> {
    fn write(&self, name: &str, sink: &mut dyn Write) -> std::io::Result<()> {
        match self.parameters.get(name) {
            Some(parameter) => parameter.write(self.weights, sink),
            None => file::NoSource.write(name, sink),
        }
    }
}

/// The architectures that [`build`] knows by their `model_type`: of texts, then of pictures.
pub fn supported() -> impl Iterator<Item = &'static str> {
    ARCHITECTURES.iter().map(|(name, ..)| *name).chain(VISION.iter().map(|(name, ..)| *name))
}

/// Whether `config` (the content of `config.json`) describes a network of pictures.
pub fn reads_pictures(config: &Json) -> bool {
    let kind = config["model_type"].as_str();
    timm_name(config).is_some() || kind.is_some_and(|kind| VISION.iter().any(|(name, ..)| *name == kind))
}

/// Whether `config` describes a network of pictures that has a tower for texts too.
pub fn has_two_towers(config: &Json) -> bool {
    let kind = config["model_type"].as_str();
    kind.is_some_and(|kind| TEXT_TOWERS.iter().any(|(name, _)| *name == kind))
}

/// The name that timm has for the network, if that is what `config` is of. Underscores stand for hyphens.
pub fn timm_name(config: &Json) -> Option<String> {
    let kind = config["model_type"].as_str();
    let name = config[TIMM_NAME].as_str().filter(|_| kind.is_none_or(|kind| kind == "timm_wrapper"))?;
    Some(name.replace('-', "_"))
}

/// Builds the graph of the model that `config` (the content of `config.json`) describes. Every tensor it needs is
/// checked to be in `weights` with the right shape. `picture` is the size of pictures, for a network that
/// [`reads_pictures`]; without it, one that [`has_two_towers`] becomes its tower for texts.
///
/// A model whose `architectures` name a `...ForSequenceClassification` gives logits and must have one label; any other
/// gives hidden states, and heads in the weights are ignored.
///
/// # Errors
/// An unknown architecture, a setting that is missing or not supported, or a tensor that is missing, has another shape or
/// type, or has no place in the architecture.
pub fn build(config: &Json, weights: &Weights, picture: Option<Picture>) -> Result<BuiltModel> {
    let timm = timm_name(config);
    let config = Config::new(config)?;
    if let Some(name) = timm {
        let start = NAMED.iter().find(|(start, ..)| begins_with(&name, start));
        let (_, anchors, build) = start.ok_or_else(|| {
            let starts = NAMED.iter().map(|(start, ..)| start.replace('#', "1")).collect::<Vec<_>>().join("..., ");
            Error::UnknownArchitecture { found: name.clone(), supported: format!("{starts}...") }
        })?;
        return build_vision(&name, weights, anchors, picture, |encoder, map| build(encoder, &name, &config, map));
    }
    let architecture = config.text("model_type")?.ok_or_else(|| config.missing("model_type"))?;
    config.refuse_unsupported()?;
    if picture.is_none()
        && let Some((_, build)) = TEXT_TOWERS.iter().find(|(name, _)| *name == architecture)
    {
        return build_text_tower(architecture, weights, |encoder| build(encoder, &config));
    }
    if let Some((_, anchors, build)) = VISION.iter().find(|(name, ..)| *name == architecture) {
        return build_vision(architecture, weights, anchors, picture, |encoder, map| build(encoder, &config, map));
    }
    let Some((_, encode, head)) = ARCHITECTURES.iter().find(|(name, ..)| *name == architecture) else {
        let supported = supported().collect::<Vec<_>>().join(", ");
        return Err(Error::UnknownArchitecture { found: architecture.to_owned(), supported });
    };

    let mut encoder = Encoder::new(architecture, weights)?;
    let hidden = encode(&mut encoder, &config)?;
    let hidden_size = encoder.hidden_size;
    let output = if config.is_sequence_classification()? {
        let logits = head(&mut encoder, &config, &hidden)?;
        encoder.output(&logits, LOGITS, &["batch"], 1);
        OutputKind::Logits
    } else {
        encoder.output(&hidden, TOKEN_EMBEDDINGS, &["batch", "sequence"], hidden_size);
        OutputKind::TokenEmbeddings
    };
    encoder.refuse_unused()?;
    let reads = Reads::Tokens { longest: encoder.max_positions };
    Ok(finish(encoder, architecture, output, reads))
}

fn build_vision(
    architecture: &str,
    weights: &Weights,
    anchors: &[&str],
    picture: Option<Picture>,
    build: impl FnOnce(&mut Encoder<'_>, Map) -> Result<super::graph::Value>,
) -> Result<BuiltModel> {
    let picture = picture.ok_or_else(|| Error::Config {
        key: "size".to_owned(),
        problem: "of the pictures is not known; preprocessor_config.json says it".to_owned(),
    })?;
    let mut encoder = Encoder::with_anchor(architecture, weights, anchors)?;
    let pixels = encoder.pixels(picture);
    let vector = build(&mut encoder, pixels)?;
    encoder.output(&vector, IMAGE_EMBEDDING, &["batch"], encoder.hidden_size);
    encoder.refuse_unused_where(|name| {
        !HEADS.iter().any(|head| name.starts_with(head)) && !COUNTERS.iter().any(|counter| name.ends_with(counter))
    })?;
    Ok(finish(encoder, architecture, OutputKind::Embedding, Reads::Pixels(picture)))
}

fn build_text_tower(
    architecture: &str,
    weights: &Weights,
    build: impl FnOnce(&mut Encoder<'_>) -> Result<super::graph::Value>,
) -> Result<BuiltModel> {
    let mut encoder = Encoder::with_anchor(architecture, weights, &clip::TEXT_ANCHORS)?;
    let vector = build(&mut encoder)?;
    encoder.output(&vector, TEXT_EMBEDDING, &["batch"], encoder.hidden_size);
    encoder.refuse_unused()?;
    let reads = Reads::Tokens { longest: encoder.max_positions };
    Ok(finish(encoder, architecture, OutputKind::Embedding, reads))
}

fn finish(encoder: Encoder<'_>, architecture: &str, output: OutputKind, reads: Reads) -> BuiltModel {
    BuiltModel {
        output,
        architecture: architecture.to_owned(),
        hidden_size: encoder.hidden_size,
        reads,
        model: encoder.graph.finish(),
        parameters: encoder.parameters,
    }
}

/// Whether a name begins with `start`, in which `#` is any digit.
fn begins_with(name: &str, start: &str) -> bool {
    let name = name.strip_prefix(FROM_TENSORFLOW).unwrap_or(name);
    match start.strip_suffix('#') {
        Some(start) => {
            name.strip_prefix(start).is_some_and(|rest| rest.starts_with(|rest: char| rest.is_ascii_digit()))
        }
        None => name.starts_with(start),
    }
}

#[cfg(test)]
mod tests;
