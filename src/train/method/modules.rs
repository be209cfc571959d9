//! The parts of an encoder by their names in the model it came from: takes a graph, gives its linear layers, its biases
//! and which transformer layer each belongs to.
//!
//! An initializer carries its module's name (`encoder.layer.0.attention.self.query.weight`). Exporters that fold a
//! transposed weight into a new one lose it (`onnx::MatMul_314`); then the node that reads it has it
//! (`/encoder/layer.0/attention/self/query/MatMul`).

use std::collections::HashMap;

use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::join::within_part;
use crate::onnx::proto::{GraphProto, NodeProto, TensorProto};
use crate::train::encoder::trainable;

/// A linear layer: `x W + b`, as `MatMul` and `Add`, or as `Gemm`.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    /// The module's name: `encoder.layer.0.attention.self.query`.
    pub(super) name: String,
    /// Name of the weight's initializer.
    pub(super) weight: String,
    /// Whether the weight is stored `[to, from]`.
    pub(super) transposed: bool,
    /// Width of what it takes.
    pub(super) from: usize,
    /// Width of what it gives.
    pub(super) to: usize,
    /// Where it is used; more than once where layers share their weights.
    pub(super) uses: Vec<Use>,
}

/// One use of a linear layer.
#[derive(Debug, Clone)]
pub(super) struct Use {
    /// What it takes.
    pub(super) input: Value,
    /// What it gives, bias included.
    pub(super) output: Value,
    /// Whether what it gives is added to what went into its block: the end of an attention or feed-forward block.
    pub(super) ends_block: bool,
}

/// All linear layers of `graph` with trainable weights, in the order of their first use.
pub(super) fn linears(graph: &GraphBuilder) -> Vec<Linear> {
    let proto = graph.graph();
    let view = View::new(proto);
    let mut linears: Vec<Linear> = Vec::new();
    for node in &proto.node {
        let (Some(input), Some(weight), Some(output)) = (node.input.first(), node.input.get(1), node.output.first())
        else {
            continue;
        };
        let flag = |name: &str| node.attribute.iter().any(|attribute| attribute.name() == name && attribute.i() != 0);
        let is_linear = match node.op_type() {
            "MatMul" => true,
            "Gemm" => !flag("transA"),
            _ => false,
        };
        let Some(tensor) = view.initializers.get(weight.as_str()).filter(|tensor| trainable(tensor)) else { continue };
        let [rows, columns] = tensor.dims.as_slice() else { continue };
        if !is_linear {
            continue;
        }
        let (rows, columns) = (*rows as usize, *columns as usize);
        let transposed = node.op_type() == "Gemm" && flag("transB");
        let (from, to) = if transposed { (columns, rows) } else { (rows, columns) };
        let biased = view.biased(output);
        let r#use = Use {
            input: graph.value(input),
            output: graph.value(biased),
            ends_block: view.is_added_to_a_value(biased),
        };
        match linears.iter_mut().find(|linear| linear.weight == *weight) {
            Some(linear) => linear.uses.push(r#use),
            None => linears.push(Linear {
                name: module(weight, node),
                weight: weight.clone(),
                transposed,
                from,
                to,
                uses: vec![r#use],
            }),
        }
    }
    linears
}

/// An initializer that can be trained, and where it is used.
#[derive(Debug, Clone)]
pub(super) struct Weight {
    /// Its name.
    pub(super) name: String,
    /// What it does.
    pub(super) role: Role,
    /// The layer or stage that it belongs to; `None` outside of them.
    pub(super) layer: Option<usize>,
    /// The encoder that it belongs to, in a graph that two of them are joined in.
    pub(super) part: Option<&'static str>,
    /// Place in the graph of the first node that reads it.
    pub(super) node: usize,
}

/// What a weight does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is added: the bias of a linear layer, a convolution or a normalisation.
    Bias,
    /// Its rows are looked up.
    Table,
    /// Anything else: matrices, filters, scales.
    Other,
}

/// All initializers of `graph` that can be trained, in the order of their first use.
pub(super) fn weights(graph: &GraphBuilder) -> Vec<Weight> {
    let proto = graph.graph();
    let view = View::new(proto);
    let mut found: Vec<Weight> = Vec::new();
    for (place, node) in proto.node.iter().enumerate() {
        for (index, name) in node.input.iter().enumerate() {
            let Some(tensor) = view.initializers.get(name.as_str()).filter(|tensor| trainable(tensor)) else {
                continue;
            };
            let role = match (node.op_type(), index) {
                ("Add", _) if tensor.dims.iter().filter(|dim| **dim != 1).count() == 1 => Role::Bias,
                ("Gemm" | "LayerNormalization" | "Conv" | "BatchNormalization", 2) => Role::Bias,
                // The statistics of a batch normalisation are measured, not trained.
                ("BatchNormalization", 3 | 4) => continue,
                ("Gather", 0) => Role::Table,
                _ => Role::Other,
            };
            match found.iter_mut().find(|weight| weight.name == *name) {
                // A table that is multiplied by as well stays a table.
                Some(weight) if role == Role::Table => weight.role = role,
                Some(_) => {}
                None => {
                    let (part, module) = (within_part(name).0, module(name, node));
                    let layer = layer(within_part(&module).1);
                    found.push(Weight { name: name.clone(), role, layer, part, node: place });
                }
            }
        }
    }
    found
}

/// The layer that a module's name gives: the number behind `layer`, `layers`, `h`, ... of a transformer; behind `blocks` or
/// `stages`, or at the end of `layer4`, the stage of a convolutional network. What stands below or above all stages is
/// numbered by some (`stem.0`, `head.0`), and is in none.
pub(super) fn layer(module: &str) -> Option<usize> {
    let mut parts = module.split('.');
    let mut before = parts.next()?;
    if let Some(stage) = before.strip_prefix("layer").and_then(|stage| stage.parse().ok()) {
        return Some(stage);
    }
    for part in parts {
        match part.parse() {
            Ok(_) if matches!(before, "stem" | "head") => return None,
            Ok(number) => return Some(number),
            Err(_) => before = part,
        }
    }
    None
}

/// The module of a weight: by its own name, or by the name of the node that reads it.
fn module(weight: &str, node: &NodeProto) -> String {
    // Parts of a joined graph may have modules of the same name.
    let (part, own) = within_part(weight);
    let part = part.unwrap_or_default();
    let node = within_part(node.name()).1;
    let generated = own.starts_with("onnx::") || own.chars().all(|c| c.is_ascii_digit()) || !own.contains('.');
    if generated && node.starts_with('/') {
        let path = node.trim_start_matches('/').rsplit_once('/').map_or("", |(path, _)| path);
        return format!("{part}{}", path.replace('/', "."));
    }
    weight.strip_suffix(".weight").or_else(|| weight.strip_suffix(".bias")).unwrap_or(weight).to_owned()
}

/// Look-ups over a graph.
struct View<'a> {
    initializers: HashMap<&'a str, &'a TensorProto>,
    readers: HashMap<&'a str, Vec<&'a NodeProto>>,
}

impl<'a> View<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let initializers = graph.initializer.iter().map(|tensor| (tensor.name(), tensor)).collect();
        let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
        for node in &graph.node {
            for input in &node.input {
                readers.entry(input).or_default().push(node);
            }
        }
        Self { initializers, readers }
    }

    /// The only reader of `value`, if it is an `Add`, with the other value that it adds.
    fn addition(&self, value: &str) -> Option<(&'a NodeProto, &'a str)> {
        let [node] = self.readers.get(value)?.as_slice() else { return None };
        let other = node.input.iter().find(|input| *input != value)?;
        (node.op_type() == "Add").then_some((node, other))
    }

    /// `product` with its bias added, if one is.
    fn biased(&self, product: &'a str) -> &'a str {
        match self.addition(product) {
            Some((node, other)) if self.initializers.contains_key(other) => {
                node.output.first().map_or(product, String::as_str)
            }
            _ => product,
        }
    }

    fn is_added_to_a_value(&self, value: &str) -> bool {
        self.addition(value).is_some_and(|(_, other)| !self.initializers.contains_key(other))
    }
}

#[cfg(test)]
mod tests {
    use super::layer;

    #[test]
    fn names_tell_layers_and_stages() {
        for (module, expected) in [
            ("encoder.layer.3.attention.self.query", Some(3)),
            ("vision_model.encoder.layers.11.mlp.fc1", Some(11)),
            ("encoder.stages.2.layers.1.layer.0.convolution", Some(2)),
            ("layer4.1.conv2", Some(4)),
            ("blocks.6.0._depthwise_conv", Some(6)),
            ("embeddings.word_embeddings", None),
            ("stem.0", None),
            ("head.0", None),
            ("conv_head", None),
        ] {
            assert_eq!(layer(module), expected, "{module}");
        }
    }
}
