//! What the architectures share: a graph being built from named parameters, and the layers that every BERT-like encoder
//! is made of.
//!
//! Post-norm transformer layers as in <https://arxiv.org/abs/1706.03762> and <https://arxiv.org/abs/1810.04805>.

use std::collections::{BTreeSet, HashMap};

use super::config::Activation;
use super::{Error, Result};
use crate::onnx::graph::{Dim, GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::onnx::weights::Weights;

const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
/// Buffers, not weights: older checkpoints carry them.
const BUFFERS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

/// Where an initializer's data comes from.
#[derive(Debug)]
pub(super) struct Parameter {
    /// The tensor's name in the checkpoint.
    pub(super) source: String,
    /// Whether it is written transposed.
    pub(super) transpose: bool,
}

/// An encoder under construction.
pub(super) struct Encoder<'a> {
    pub(super) graph: GraphBuilder,
    pub(super) parameters: HashMap<String, Parameter>,
    /// Width of the hidden states.
    pub(super) hidden_size: usize,
    /// Longest input in tokens.
    pub(super) max_positions: usize,
    weights: &'a Weights,
    architecture: String,
    /// What stands in front of the encoder's names in the checkpoint, such as `bert.`.
    prefix: String,
    used: BTreeSet<String>,
}

/// The inputs that every encoder has.
pub(super) struct Inputs {
    /// Tokens, `[batch, sequence]`.
    pub(super) ids: Value,
    /// What is added to attention scores, `[batch, 1, 1, sequence]`: 0, or a very negative number at padding.
    pub(super) mask: Value,
}

/// Sizes of a transformer layer.
#[derive(Clone, Copy)]
pub(super) struct LayerSizes {
    pub(super) heads: usize,
    pub(super) intermediate: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f32,
}

/// Names of a transformer layer's modules, below the layer's own.
pub(super) struct LayerNames {
    pub(super) query: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    pub(super) projection: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    pub(super) output_norm: &'static str,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(architecture: &str, weights: &'a Weights) -> Result<Self> {
        let prefixes = weights.names().filter_map(|name| name.strip_suffix(WORD_EMBEDDINGS)).collect::<Vec<_>>();
        let prefix = match prefixes.as_slice() {
            [] => {
                let reason = format!("no tensor in '{}' is named '{WORD_EMBEDDINGS}'", weights.folder().display());
                return Err(Error::AmbiguousWeights { reason });
            }
            [prefix] => (*prefix).to_owned(),
            several => {
                let reason = format!("the prefixes '{}' each have a '{WORD_EMBEDDINGS}'", several.join("', '"));
                return Err(Error::AmbiguousWeights { reason });
            }
        };
        Ok(Self {
            graph: GraphBuilder::new(architecture),
            parameters: HashMap::new(),
            hidden_size: 0,
            max_positions: 0,
            weights,
            architecture: architecture.to_owned(),
            prefix,
            used: BTreeSet::new(),
        })
    }

    /// Declares `input_ids` and `attention_mask`.
    pub(super) fn inputs(&mut self) -> Inputs {
        let dims = [Dim::Named("batch"), Dim::Named("sequence")];
        let ids = self.graph.input("input_ids", DataType::Int64, &dims);
        let mask = self.graph.input("attention_mask", DataType::Int64, &dims);
        self.graph.scope("attention_mask");
        let mask = self.graph.unsqueeze(&mask, &[1, 2]);
        let mask = self.graph.cast(&mask, DataType::Float);
        let one = self.graph.scalar_f32(1.0);
        let padding = self.graph.sub(&one, &mask);
        let lowest = self.graph.scalar_f32(f32::MIN);
        Inputs { ids, mask: self.graph.mul(&padding, &lowest) }
    }

    /// Declares `token_type_ids`, `[batch, sequence]`.
    pub(super) fn token_types(&mut self) -> Value {
        self.graph.input("token_type_ids", DataType::Int64, &[Dim::Named("batch"), Dim::Named("sequence")])
    }

    /// Makes `value` the graph's output.
    pub(super) fn output(&mut self, value: &Value, name: &str, outer: &[&'static str], width: usize) {
        self.graph.rename(value, name);
        let dims = outer.iter().map(|name| Dim::Named(name)).chain([Dim::Fixed(width)]).collect::<Vec<_>>();
        self.graph.output(name, DataType::Float, &dims);
    }

    /// The name in the checkpoint of the encoder's tensor `name`, or of a head's, which stands beside the encoder.
    fn find(&self, name: &str) -> String {
        let inside = format!("{}{name}", self.prefix);
        let outer =
            self.prefix.strip_suffix('.').map_or("", |prefix| prefix.rfind('.').map_or("", |dot| &prefix[..=dot]));
        let beside = format!("{outer}{name}");
        // TensorFlow's names for a layer normalisation live on in old checkpoints.
        let old = |name: &str| {
            let stem = name.strip_suffix("LayerNorm.weight").map(|stem| format!("{stem}LayerNorm.gamma"));
            stem.or_else(|| name.strip_suffix("LayerNorm.bias").map(|stem| format!("{stem}LayerNorm.beta")))
        };
        [Some(inside.clone()), old(&inside), Some(beside.clone()), old(&beside)]
            .into_iter()
            .flatten()
            .find(|name| self.weights.shape(name).is_some())
            .unwrap_or(inside)
    }

    /// The parameter `name`, as it is in the checkpoint.
    pub(super) fn parameter(&mut self, name: &str, shape: &[usize]) -> Result<Value> {
        self.open(name, shape, false)
    }

    fn open(&mut self, name: &str, shape: &[usize], transpose: bool) -> Result<Value> {
        let source = self.find(name);
        self.weights.expect_shape(&source, shape)?;
        let mut dims = shape.to_vec();
        if transpose {
            dims.reverse();
        }
        let value = self.graph.open_parameter(name, &dims);
        self.used.insert(source.clone());
        self.parameters.insert(name.to_owned(), Parameter { source, transpose });
        Ok(value)
    }

    /// `x W + b` with the parameters `{name}.weight`, `[to, from]` in the checkpoint, and `{name}.bias`.
    pub(super) fn linear(&mut self, x: &Value, name: &str, from: usize, to: usize) -> Result<Value> {
        let weight = self.open(&format!("{name}.weight"), &[to, from], true)?;
        let bias = self.parameter(&format!("{name}.bias"), &[to])?;
        let product = self.graph.matmul(x, &weight);
        Ok(self.graph.add(&product, &bias))
    }

    /// Layer normalisation with the parameters `{name}.weight` and `{name}.bias`.
    pub(super) fn layer_norm(&mut self, x: &Value, name: &str, epsilon: f32) -> Result<Value> {
        let scale = self.parameter(&format!("{name}.weight"), &[self.hidden_size])?;
        let bias = self.parameter(&format!("{name}.bias"), &[self.hidden_size])?;
        Ok(self.graph.layer_norm(x, &scale, &bias, epsilon))
    }

    /// Rows of the table `{name}.weight`, `[rows, hidden]`.
    pub(super) fn embedding(&mut self, indices: &Value, name: &str, rows: usize) -> Result<Value> {
        let table = self.parameter(&format!("{name}.weight"), &[rows, self.hidden_size])?;
        Ok(self.graph.gather(&table, indices, 0))
    }

    /// `0, 1, ..., sequence - 1`.
    pub(super) fn positions(&mut self, ids: &Value) -> Value {
        let length = self.graph.size(ids, 1);
        self.graph.range(&length)
    }

    /// Positions that count the tokens that are not `padding`, from `padding + 1`; padding stays at `padding`. As in
    /// fairseq's `make_positions`, which RoBERTa was trained with.
    pub(super) fn positions_after_padding(&mut self, ids: &Value, padding: usize) -> Value {
        let padding = self.graph.scalar_i64(padding as i64);
        let is_padding = self.graph.node("Equal", &[ids, &padding], vec![]);
        let is_token = self.graph.node("Not", &[&is_padding], vec![]);
        let is_token = self.graph.cast(&is_token, DataType::Int64);
        let count = self.graph.cumulative_sum(&is_token, 1);
        let count = self.graph.mul(&count, &is_token);
        self.graph.add(&count, &padding)
    }

    /// One post-norm layer: attention, then two products with an activation between, each added to its input and
    /// normalised. `bias`, if any, is added to the attention scores, `[1, heads, sequence, sequence]`.
    pub(super) fn layer(
        &mut self,
        x: &Value,
        scope: &str,
        names: &LayerNames,
        sizes: LayerSizes,
        mask: &Value,
        bias: Option<&Value>,
    ) -> Result<Value> {
        self.graph.scope(scope);
        let full = |name: &str| format!("{scope}.{name}");
        let hidden = self.hidden_size;
        let attended = self.attention(x, scope, names, sizes.heads, mask, bias)?;
        let projected = self.linear(&attended, &full(names.projection), hidden, hidden)?;
        let sum = self.graph.add(&projected, x);
        let x = self.layer_norm(&sum, &full(names.attention_norm), sizes.epsilon)?;

        let wide = self.linear(&x, &full(names.up), hidden, sizes.intermediate)?;
        let wide = match sizes.activation {
            Activation::Gelu => self.graph.gelu(&wide),
            Activation::GeluTanh => self.graph.gelu_tanh(&wide),
            Activation::Relu => self.graph.relu(&wide),
            Activation::Silu => self.graph.silu(&wide),
        };
        let narrow = self.linear(&wide, &full(names.down), sizes.intermediate, hidden)?;
        let sum = self.graph.add(&narrow, &x);
        self.layer_norm(&sum, &full(names.output_norm), sizes.epsilon)
    }

    /// `softmax(Q K^T / sqrt(head size) + bias + mask) V` per head, without the projection that follows.
    fn attention(
        &mut self,
        x: &Value,
        scope: &str,
        names: &LayerNames,
        heads: usize,
        mask: &Value,
        bias: Option<&Value>,
    ) -> Result<Value> {
        let hidden = self.hidden_size;
        let head_size = hidden / heads;
        let mut split = |name: &str, order: &[i64]| {
            let x = self.linear(x, &format!("{scope}.{name}"), hidden, hidden)?;
            let x = self.graph.reshape(&x, &[0, 0, heads as i64, head_size as i64]);
            Ok::<_, Error>(self.graph.transpose(&x, order))
        };
        let query = split(names.query, &[0, 2, 1, 3])?;
        let key = split(names.key, &[0, 2, 3, 1])?;
        let value = split(names.value, &[0, 2, 1, 3])?;
        let scores = self.graph.matmul(&query, &key);
        let root = self.graph.scalar_f32((head_size as f32).sqrt());
        let mut scores = self.graph.div(&scores, &root);
        if let Some(bias) = bias {
            scores = self.graph.add(&scores, bias);
        }
        let scores = self.graph.add(&scores, mask);
        let attention = self.graph.softmax(&scores);
        let mixed = self.graph.matmul(&attention, &value);
        let mixed = self.graph.transpose(&mixed, &[0, 2, 1, 3]);
        Ok(self.graph.reshape(&mixed, &[0, 0, hidden as i64]))
    }

    /// Hidden state of each row's first token: `[batch, sequence, hidden]` to `[batch, hidden]`.
    pub(super) fn first_token(&mut self, hidden: &Value) -> Value {
        let zero = self.graph.scalar_i64(0);
        self.graph.gather(hidden, &zero, 1)
    }

    /// Refuses weights inside the encoder that nothing uses: they would have changed the result. What lies outside of the
    /// encoder's own modules (heads, the pooler) may be left over.
    pub(super) fn refuse_unused(&self) -> Result<()> {
        const MODULES: [&str; 3] = ["embeddings.", "encoder.", "transformer."];
        for name in self.weights.names() {
            let Some(inside) = name.strip_prefix(&self.prefix) else { continue };
            let in_encoder = MODULES.iter().any(|module| inside.starts_with(module));
            if in_encoder && !BUFFERS.contains(&inside) && !self.used.contains(name) {
                let architecture = self.architecture.clone();
                return Err(Error::UnusedTensor { name: name.to_owned(), architecture });
            }
        }
        Ok(())
    }
}
