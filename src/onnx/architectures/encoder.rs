//! What the architectures share: a graph being built from named parameters, and the layers that every BERT-like encoder
//! is made of. What encoders of pictures share besides is in [`vision`](super::vision).
//!
//! Post-norm transformer layers as in <https://arxiv.org/abs/1706.03762> and <https://arxiv.org/abs/1810.04805>.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::config::Activation;
use super::parameter::Parameter;
use super::{Error, Result};
use crate::onnx::graph::{Dim, GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::onnx::weights::Weights;

const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
/// Buffers, not weights: older checkpoints carry them.
const BUFFERS: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];

/// An encoder under construction.
pub(super) struct Encoder<'a> {
    pub(super) graph: GraphBuilder,
    pub(super) parameters: HashMap<String, Parameter>,
    /// Width of the hidden states.
    pub(super) hidden_size: usize,
    /// Longest input in tokens.
    pub(super) max_positions: usize,
    pub(super) weights: &'a Weights,
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
    /// An encoder of texts.
    pub(super) fn new(architecture: &str, weights: &'a Weights) -> Result<Self> {
        Self::with_anchor(architecture, weights, &[WORD_EMBEDDINGS])
    }

    /// An encoder whose names in the checkpoint begin where one of `anchors` does; each is a tensor that such an encoder
    /// has once.
    pub(super) fn with_anchor(architecture: &str, weights: &'a Weights, anchors: &[&str]) -> Result<Self> {
        let prefixes_of = |anchor: &str| {
            let at_name = |prefix: &&str| prefix.is_empty() || prefix.ends_with('.');
            weights.names().filter_map(|name| name.strip_suffix(anchor)).filter(at_name).collect::<Vec<_>>()
        };
        let found = anchors.iter().map(|anchor| (anchor, prefixes_of(anchor))).find(|(_, found)| !found.is_empty());
        let prefix = match found {
            None => {
                let anchors = anchors.join("' or '");
                let reason = format!("no tensor in '{}' is named '{anchors}'", weights.folder().display());
                return Err(Error::AmbiguousWeights { reason });
            }
            Some((_, prefixes)) if prefixes.len() == 1 => prefixes[0].to_owned(),
            Some((anchor, several)) => {
                let reason = format!("the prefixes '{}' each have a '{anchor}'", several.join("', '"));
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
    pub(super) fn find(&self, name: &str) -> String {
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
        self.open_rows(name, name, shape, 0..shape.first().copied().unwrap_or(1), transpose)
    }

    /// The parameter `name`: `rows` of the tensor `source`, whose whole shape is `shape`.
    fn open_rows(
        &mut self,
        name: &str,
        source: &str,
        shape: &[usize],
        rows: Range<usize>,
        transpose: bool,
    ) -> Result<Value> {
        let source = self.find(source);
        self.weights.expect_shape(&source, shape)?;
        let mut dims = shape.to_vec();
        if let Some(first) = dims.first_mut() {
            *first = rows.len();
        }
        if transpose {
            dims.truncate(2); // a convolution of one element is a matrix
            dims.reverse();
        }
        let value = self.graph.open_parameter(name, &dims);
        self.used.insert(source.clone());
        self.parameters.insert(name.to_owned(), Parameter::Tensor { source, rows, transpose });
        Ok(value)
    }

    /// A parameter that is not a tensor of the checkpoint as it is, made from those that `sources` name.
    pub(super) fn made(&mut self, name: &str, shape: &[usize], parameter: Parameter, sources: &[&str]) -> Value {
        let value = self.graph.open_parameter(name, shape);
        self.used.extend(sources.iter().map(|source| (*source).to_owned()));
        self.parameters.insert(name.to_owned(), parameter);
        value
    }

    /// Whether the checkpoint has the encoder's tensor `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// The shape of the encoder's tensor `name` in the checkpoint.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.weights.shape(&self.find(name))
    }

    /// `x W + b` with the parameters `{name}.weight`, `[to, from]` in the checkpoint, and `{name}.bias`.
    pub(super) fn linear(&mut self, x: &Value, name: &str, from: usize, to: usize) -> Result<Value> {
        let weight = format!("{name}.weight");
        // Some checkpoints keep a product as a convolution of one element.
        let shape = if self.shape(&weight).is_some_and(|shape| shape.len() == 4) {
            vec![to, from, 1, 1]
        } else {
            vec![to, from]
        };
        let weight = self.open(&weight, &shape, true)?;
        let bias = self.parameter(&format!("{name}.bias"), &[to])?;
        let product = self.graph.matmul(x, &weight);
        Ok(self.graph.add(&product, &bias))
    }

    /// The product `part` of `parts` that the checkpoint keeps in one matrix `{weight}`, `[parts * to, from]`, and, if it
    /// has one, one bias, `{bias}`: the parameters become `{name}.weight` and `{name}.bias`.
    pub(super) fn linear_part(
        &mut self,
        x: &Value,
        name: &str,
        joined: (&str, &str),
        (part, parts): (usize, usize),
        width: usize,
    ) -> Result<Value> {
        let rows = part * width..(part + 1) * width;
        let shape = [parts * width, width];
        let weight = self.open_rows(&format!("{name}.weight"), joined.0, &shape, rows.clone(), true)?;
        let product = self.graph.matmul(x, &weight);
        if !self.has(joined.1) {
            return Ok(product);
        }
        let bias = self.open_rows(&format!("{name}.bias"), joined.1, &shape[..1], rows, false)?;
        Ok(self.graph.add(&product, &bias))
    }

    /// `x W` with the parameter `{name}.weight`, `[to, from]` in the checkpoint.
    pub(super) fn projection(&mut self, x: &Value, name: &str, from: usize, to: usize) -> Result<Value> {
        let weight = self.open(&format!("{name}.weight"), &[to, from], true)?;
        Ok(self.graph.matmul(x, &weight))
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
        let wide = self.activate(&wide, sizes.activation);
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
        let mut project = |name: &str| self.linear(x, &format!("{scope}.{name}"), hidden, hidden);
        let (query, key, value) = (project(names.query)?, project(names.key)?, project(names.value)?);
        Ok(self.mix(&query, &key, &value, heads, Some(mask), bias))
    }

    /// `x` after an activation.
    pub(super) fn activate(&mut self, x: &Value, activation: Activation) -> Value {
        match activation {
            Activation::Gelu => self.graph.gelu(x),
            Activation::GeluTanh => self.graph.gelu_tanh(x),
            Activation::GeluQuick => {
                let steep = self.graph.scalar_f32(1.702);
                let scaled = self.graph.mul(x, &steep);
                let sigmoid = self.graph.node("Sigmoid", &[&scaled], vec![]);
                self.graph.mul(x, &sigmoid)
            }
            Activation::HardSwish => {
                let sigmoid = self.graph.hard_sigmoid(x);
                self.graph.mul(x, &sigmoid)
            }
            Activation::Relu => self.graph.relu(x),
            Activation::Relu6 => self.graph.clip(x, 0.0, 6.0),
            Activation::Silu => self.graph.silu(x),
        }
    }

    /// `softmax(Q K^T / sqrt(head size) + bias + mask) V` per head, of queries, keys and values `[batch, sequence, hidden]`.
    pub(super) fn mix(
        &mut self,
        query: &Value,
        key: &Value,
        value: &Value,
        heads: usize,
        mask: Option<&Value>,
        bias: Option<&Value>,
    ) -> Value {
        let hidden = self.hidden_size;
        let head_size = hidden / heads;
        let mut split = |x: &Value, order: &[i64]| {
            let x = self.graph.reshape(x, &[0, 0, heads as i64, head_size as i64]);
            self.graph.transpose(&x, order)
        };
        let query = split(query, &[0, 2, 1, 3]);
        let key = split(key, &[0, 2, 3, 1]);
        let value = split(value, &[0, 2, 1, 3]);
        let scores = self.graph.matmul(&query, &key);
        let root = self.graph.scalar_f32((head_size as f32).sqrt());
        let mut scores = self.graph.div(&scores, &root);
        for term in bias.into_iter().chain(mask) {
            scores = self.graph.add(&scores, term);
        }
        let attention = self.graph.softmax(&scores);
        let mixed = self.graph.matmul(&attention, &value);
        let mixed = self.graph.transpose(&mixed, &[0, 2, 1, 3]);
        self.graph.reshape(&mixed, &[0, 0, hidden as i64])
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
        self.refuse_unused_where(|inside| {
            MODULES.iter().any(|module| inside.starts_with(module)) && !BUFFERS.contains(&inside)
        })
    }

    /// [`Self::refuse_unused`] among the tensors whose names within the encoder are `wanted`.
    pub(super) fn refuse_unused_where(&self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        for name in self.weights.names() {
            let Some(inside) = name.strip_prefix(&self.prefix) else { continue };
            if wanted(inside) && !self.used.contains(name) {
                let architecture = self.architecture.clone();
                return Err(Error::UnusedTensor { name: name.to_owned(), architecture });
            }
        }
        Ok(())
    }
}
