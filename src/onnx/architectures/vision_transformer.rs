//! What ViT, CLIP and SigLIP share: a picture cut into patches, positions added, pre-norm transformer layers.
//! <https://arxiv.org/abs/2010.11929>

use super::bert::check_heads;
use super::config::{Activation, Config};
use super::encoder::Encoder;
use super::vision::{Map, Move, Padding};
use super::{Error, Result};
use crate::onnx::graph::{Value, attribute_int};

/// Names of a layer's modules, below the layer's own.
pub(super) struct Names {
    pub(super) first_norm: &'static str,
    /// Queries, keys and values.
    pub(super) inputs: Inputs,
    pub(super) output: &'static str,
    pub(super) second_norm: &'static str,
    pub(super) products: [&'static str; 2],
    /// Factors on what is added, where a checkpoint has them.
    pub(super) scales: Option<[&'static str; 2]>,
}

/// The products that make queries, keys and values.
pub(super) enum Inputs {
    Apart([&'static str; 3]),
    /// In one matrix.
    Joined(&'static str),
}

/// Names that CLIP and SigLIP have, in both of their towers.
pub(super) const CLIP: Names = Names {
    first_norm: "layer_norm1",
    inputs: Inputs::Apart(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    output: "self_attn.out_proj",
    second_norm: "layer_norm2",
    products: ["mlp.fc1", "mlp.fc2"],
    scales: None,
};

/// Sizes of the layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) heads: usize,
    pub(super) intermediate: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f32,
}

impl Sizes {
    /// Under the names of `transformers`; sets the encoder's width too. `defaults` are those of its class: width, heads,
    /// width between the products, activation, epsilon. A tower's settings name only what differs.
    pub(super) fn read(
        encoder: &mut Encoder<'_>,
        config: &Config<'_>,
        defaults: (usize, usize, usize, Activation, f32),
    ) -> Result<Self> {
        encoder.hidden_size = config.size_or("hidden_size", defaults.0)?;
        let heads = config.size_or("num_attention_heads", defaults.1)?;
        check_heads(encoder.hidden_size, heads, "num_attention_heads")?;
        Ok(Self {
            heads,
            intermediate: config.size_or("intermediate_size", defaults.2)?,
            activation: config.activation_or("hidden_act", defaults.3)?,
            epsilon: config.float_or("layer_norm_eps", defaults.4)?,
        })
    }
}

impl Encoder<'_> {
    /// The picture's patches, `[batch, patches, hidden]`, by the convolution `name`; and how many there are.
    pub(super) fn patches(&mut self, picture: &Map, name: &str) -> Result<(Value, usize)> {
        let stride = self.shape(&format!("{name}.weight")).and_then(|shape| shape.last().copied()).unwrap_or(1);
        let map = self.convolve(picture, name, Move { stride: stride.max(1), padding: Padding::None })?;
        if map.channels != self.hidden_size {
            let (found, expected) = (vec![map.channels], vec![self.hidden_size]);
            return Err(Error::Shape { name: self.find(&format!("{name}.weight")), found, expected });
        }
        let count = map.height * map.width;
        let flat = self.graph.reshape(&map.value, &[0, map.channels as i64, count as i64]);
        Ok((self.graph.transpose(&flat, &[0, 2, 1]), count))
    }

    /// `token`, which holds one vector, in front of the patches of each picture.
    pub(super) fn with_class_token(&mut self, patches: &Value, token: &Value) -> Value {
        let tokens = self.for_each_picture(token, patches);
        self.graph.node("Concat", &[&tokens, patches], vec![attribute_int("axis", 1)])
    }

    /// `token`, which holds one vector, as often as there are pictures: `[batch, 1, hidden]`.
    pub(super) fn for_each_picture(&mut self, token: &Value, patches: &Value) -> Value {
        let shape = self.graph.node("Shape", &[patches], vec![]);
        let first = self.graph.list_i64(&[0]);
        let batch = self.graph.gather(&shape, &first, 0);
        let rest = self.graph.list_i64(&[1, self.hidden_size as i64]);
        let shape = self.graph.node("Concat", &[&batch, &rest], vec![attribute_int("axis", 0)]);
        self.graph.node("Expand", &[token, &shape], vec![])
    }

    /// A pre-norm layer: each half is normalised before it and added after it. `mask`, if any, is added to the scores.
    pub(super) fn pre_norm_layer(
        &mut self,
        x: &Value,
        scope: &str,
        names: &Names,
        sizes: Sizes,
        mask: Option<&Value>,
    ) -> Result<Value> {
        self.graph.scope(scope);
        let full = |name: &str| format!("{scope}.{name}");
        let hidden = self.hidden_size;
        let normal = self.layer_norm(x, &full(names.first_norm), sizes.epsilon)?;
        let [query, key, value] = match names.inputs {
            Inputs::Apart(names) => {
                let mut project = |name| self.linear(&normal, &full(name), hidden, hidden);
                [project(names[0])?, project(names[1])?, project(names[2])?]
            }
            Inputs::Joined(name) => self.joined_inputs([&normal; 3], &full(name), ".weight", ".bias")?,
        };
        let mixed = self.mix(&query, &key, &value, sizes.heads, mask, None);
        let attended = self.linear(&mixed, &full(names.output), hidden, hidden)?;
        let attended = self.scaled(attended, names.scales.map(|names| full(names[0])))?;
        let x = self.graph.add(x, &attended);

        let normal = self.layer_norm(&x, &full(names.second_norm), sizes.epsilon)?;
        let narrow = self.two_products(&normal, names.products.map(full), sizes)?;
        let narrow = self.scaled(narrow, names.scales.map(|names| full(names[1])))?;
        Ok(self.graph.add(&x, &narrow))
    }

    /// Queries, keys and values of three values, whose products the checkpoint keeps in one matrix.
    pub(super) fn joined_inputs(
        &mut self,
        of: [&Value; 3],
        name: &str,
        weight: &str,
        bias: &str,
    ) -> Result<[Value; 3]> {
        let joined = (format!("{name}{weight}"), format!("{name}{bias}"));
        let hidden = self.hidden_size;
        let mut part = |place: usize, part: &str| {
            let joined = (joined.0.as_str(), joined.1.as_str());
            self.linear_part(of[place], &format!("{name}.{part}"), joined, (place, 3), hidden)
        };
        Ok([part(0, "query")?, part(1, "key")?, part(2, "value")?])
    }

    /// Two products with an activation between.
    pub(super) fn two_products(&mut self, x: &Value, names: [String; 2], sizes: Sizes) -> Result<Value> {
        let hidden = self.hidden_size;
        let wide = self.linear(x, &names[0], hidden, sizes.intermediate)?;
        let wide = self.activate(&wide, sizes.activation);
        self.linear(&wide, &names[1], sizes.intermediate, hidden)
    }

    fn scaled(&mut self, x: Value, name: Option<String>) -> Result<Value> {
        let Some(name) = name.filter(|name| self.has(name)) else { return Ok(x) };
        let scale = self.parameter(&name, &[self.hidden_size])?;
        Ok(self.graph.mul(&x, &scale))
    }
}

/// The size that pictures must have, which a table of positions fixes.
pub(super) fn check_picture(config: &Config<'_>, picture: &Map, default: usize) -> Result<()> {
    let size = config.size_or("image_size", default)?;
    if (picture.height, picture.width) == (size, size) {
        return Ok(());
    }
    let problem = format!(
        "is {size}, but preprocessor_config.json makes pictures of {} by {}; the model has positions for {size} by {size}",
        picture.height, picture.width
    );
    Err(Error::Config { key: "image_size".to_owned(), problem })
}
