//! ViT: the class token's last features are the vector, or the mean of the patches' where a model of timm says so.
//! <https://arxiv.org/abs/2010.11929>. Names are those of `transformers` or timm.

use super::config::{Activation, Config};
use super::encoder::Encoder;
use super::vision::Map;
use super::vision_transformer::{Inputs, Names, Sizes, check_picture};
use super::{Error, Result};
use crate::onnx::graph::{Value, attribute_int, attribute_ints};

/// A tensor that tells where the names begin.
pub(super) const ANCHORS: [&str; 2] = ["embeddings.patch_embeddings.projection.weight", "patch_embed.proj.weight"];

const TRANSFORMERS: Names = Names {
    first_norm: "layernorm_before",
    inputs: Inputs::Apart(["attention.attention.query", "attention.attention.key", "attention.attention.value"]),
    output: "attention.output.dense",
    second_norm: "layernorm_after",
    products: ["intermediate.dense", "output.dense"],
    scales: None,
};
const TIMM: Names = Names {
    first_norm: "norm1",
    inputs: Inputs::Joined("attn.qkv"),
    output: "attn.proj",
    second_norm: "norm2",
    products: ["mlp.fc1", "mlp.fc2"],
    scales: Some(["ls1.gamma", "ls2.gamma"]),
};

/// The network that `config.json` of `transformers` describes.
pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>, picture: Map) -> Result<Value> {
    check_picture(config, &picture, 224)?;
    let sizes = Sizes::read(encoder, config, (768, 12, 3072, Activation::Gelu, 1e-12))?;
    if !config.flag_or("qkv_bias", true)? {
        return Err(config.unsupported("qkv_bias", false, "queries, keys and values must have a bias"));
    }
    let hidden = encoder.hidden_size;
    encoder.graph.scope("embeddings");
    let (patches, count) = encoder.patches(&picture, "embeddings.patch_embeddings.projection")?;
    let token = encoder.parameter("embeddings.cls_token", &[1, 1, hidden])?;
    let x = encoder.with_class_token(&patches, &token);
    let positions = encoder.parameter("embeddings.position_embeddings", &[1, count + 1, hidden])?;
    let mut x = encoder.graph.add(&x, &positions);
    for layer in 0..config.size_or("num_hidden_layers", 12)? {
        x = encoder.pre_norm_layer(&x, &format!("encoder.layer.{layer}"), &TRANSFORMERS, sizes, None)?;
    }
    encoder.graph.scope("head");
    let first = encoder.first_token(&x);
    encoder.layer_norm(&first, "layernorm", sizes.epsilon)
}

/// The network that timm names, such as `vit_small_patch16_224`.
pub(super) fn named(encoder: &mut Encoder<'_>, name: &str, config: &Config<'_>, picture: Map) -> Result<Value> {
    let width = encoder.shape("patch_embed.proj.weight").and_then(|shape| shape.first()).copied().unwrap_or(0);
    encoder.hidden_size = width;
    let intermediate = encoder.shape("blocks.0.mlp.fc1.weight").and_then(|shape| shape.first()).copied();
    let is_clip = name.contains("_clip_");
    let sizes = Sizes {
        heads: heads(config, name, width)?,
        intermediate: intermediate.unwrap_or(4 * width),
        activation: match name {
            name if name.contains("quickgelu") => Activation::GeluQuick,
            name if name.contains("siglip") => Activation::GeluTanh,
            _ => Activation::Gelu,
        },
        epsilon: if is_clip { 1e-5 } else { 1e-6 },
    };
    encoder.graph.scope("embeddings");
    let (mut x, count) = encoder.patches(&picture, "patch_embed.proj")?;
    let has_token = encoder.has("cls_token");
    if has_token {
        let token = encoder.parameter("cls_token", &[1, 1, width])?;
        x = encoder.with_class_token(&x, &token);
    }
    let positions = encoder.parameter("pos_embed", &[1, count + usize::from(has_token), width])?;
    x = encoder.graph.add(&x, &positions);
    if encoder.has("norm_pre.weight") {
        x = encoder.layer_norm(&x, "norm_pre", sizes.epsilon)?;
    }
    for layer in (0..).take_while(|layer| encoder.weights_have_layer(*layer)).collect::<Vec<_>>() {
        x = encoder.pre_norm_layer(&x, &format!("blocks.{layer}"), &TIMM, sizes, None)?;
    }
    encoder.graph.scope("head");
    if encoder.has("norm.weight") {
        x = encoder.layer_norm(&x, "norm", sizes.epsilon)?;
    }
    let pool = config.text("global_pool")?.unwrap_or(if has_token { "token" } else { "avg" });
    let vector = match pool {
        "token" if has_token => encoder.first_token(&x),
        "avg" => {
            let patches = if has_token { without_first(encoder, &x) } else { x };
            let attributes = vec![attribute_ints("axes", &[1]), attribute_int("keepdims", 0)];
            encoder.graph.node("ReduceMean", &[&patches], attributes)
        }
        other => return Err(config.unsupported("global_pool", other, "supported are token and avg")),
    };
    if encoder.has("fc_norm.weight") { encoder.layer_norm(&vector, "fc_norm", sizes.epsilon) } else { Ok(vector) }
}

impl Encoder<'_> {
    fn weights_have_layer(&self, layer: usize) -> bool {
        self.has(&format!("blocks.{layer}.norm1.weight"))
    }
}

fn without_first(encoder: &mut Encoder<'_>, x: &Value) -> Value {
    let (start, end) = (encoder.graph.list_i64(&[1]), encoder.graph.list_i64(&[i64::MAX]));
    let axis = encoder.graph.list_i64(&[1]);
    encoder.graph.node("Slice", &[x, &start, &end, &axis], vec![])
}

/// Models of timm whose heads have 64 numbers each, and those that have 16 heads, by the beginnings of their names.
const HEADS_OF_64: [&str; 9] = [
    "vit_tiny_",
    "vit_small_",
    "vit_base_",
    "vit_large_",
    "vit_little_",
    "vit_medium",
    "vit_betwixt_",
    "vit_wee_",
    "vit_so150m",
];
const SIXTEEN_HEADS: [&str; 4] = ["vit_huge_", "vit_giant_", "vit_gigantic_", "vit_so400m_"];

/// How many heads a model of timm has: what its settings say, else what its name does.
fn heads(config: &Config<'_>, name: &str, width: usize) -> Result<usize> {
    let heads = match config.section("model_args")? {
        Some(arguments) if arguments.has("num_heads") => arguments.size("num_heads")?,
        _ if HEADS_OF_64.iter().any(|start| name.starts_with(start)) => width / 64,
        _ if SIXTEEN_HEADS.iter().any(|start| name.starts_with(start)) => 16,
        _ => 0,
    };
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(heads);
    }
    let problem = format!("has no num_heads that shares a width of {width}, and '{name}' is not known by its name");
    Err(Error::Config { key: "model_args".to_owned(), problem })
}
