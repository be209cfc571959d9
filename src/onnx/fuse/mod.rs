//! Rewrites self-attention for scoring: takes a graph of plain operators, gives one in which each attention is the
//! runtime's own `com.microsoft.MultiHeadAttention`. What the registry keeps, and training differentiates, stays
//! decomposed.
//!
//! The projections stay three products: one merged product was measured to be slower. Everything else is left to the
//! runtime's optimizer. What does not match exactly is left as it is.
//!
//! Operator: <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MultiHeadAttention>.

mod pattern;
mod view;

use std::collections::HashSet;

use super::graph::{attribute_float, attribute_int};
use super::proto::{AttributeProto, DataType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto};
use pattern::{Attention, Mask};
use view::View;

/// Domain of the runtime's own operators.
const DOMAIN: &str = "com.microsoft";

/// Replaces every self-attention of `model` that is recognised; returns how many. If none is, nothing changes.
pub fn fuse(model: &mut ModelProto) -> usize {
    let Some(graph) = &mut model.graph else { return 0 };
    let view = View::new(graph);
    let found = pattern::find(&view);
    if found.is_empty() {
        return 0;
    }
    replace(graph, &found);
    remove_dead(graph);
    if !model.opset_import.iter().any(|set| set.domain() == DOMAIN) {
        model.opset_import.push(OperatorSetIdProto { domain: Some(DOMAIN.into()), version: Some(1) });
    }
    found.len()
}

/// Puts each fused node where the last node of its pattern was; its inputs are all made before.
fn replace(graph: &mut GraphProto, found: &[Attention]) {
    let mut nodes = Vec::with_capacity(graph.node.len() + 2 * found.len());
    let mut casts = HashSet::new();
    for attention in found {
        if let Some(Mask::Padding(mask)) = &attention.mask
            && casts.insert(mask.as_str())
        {
            nodes.push(NodeProto {
                attribute: vec![attribute_int("to", DataType::Int32 as i64)],
                ..node("Cast", vec![mask.clone()], padding_name(mask))
            });
        }
    }
    for (index, original) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        match found.iter().find(|attention| attention.last == index) {
            Some(attention) => fused(attention, &mut nodes),
            None => nodes.push(original),
        }
    }
    graph.node = nodes;
}

fn fused(attention: &Attention, nodes: &mut Vec<NodeProto>) {
    let output = &attention.output;
    let bias = match &attention.biases {
        // The runtime folds this when it loads the graph; the biases may be in another file, so it is not done here.
        Some(biases) => {
            let name = format!("{output}/bias");
            nodes.push(NodeProto {
                attribute: vec![attribute_int("axis", 0)],
                ..node("Concat", biases.to_vec(), name.clone())
            });
            name
        }
        None => String::new(),
    };
    let (mut padding, mut scores) = (String::new(), attention.bias.clone().unwrap_or_default());
    match &attention.mask {
        Some(Mask::Padding(mask)) => padding = padding_name(mask),
        Some(Mask::Scores(mask)) => scores.clone_from(mask),
        None => {}
    }
    let mut input =
        vec![attention.query.clone(), attention.key.clone(), attention.value.clone(), bias, padding, scores];
    while input.last().is_some_and(String::is_empty) {
        input.pop(); // optional inputs left out at the end
    }
    nodes.push(NodeProto {
        domain: Some(DOMAIN.into()),
        attribute: vec![attribute_int("num_heads", attention.heads), attribute_float("scale", attention.scale)],
        name: Some(format!("{output}/MultiHeadAttention")),
        ..node("MultiHeadAttention", input, output.clone())
    });
}

fn padding_name(mask: &str) -> String {
    format!("{mask}/int32")
}

fn node(operator: &str, input: Vec<String>, output: String) -> NodeProto {
    NodeProto {
        input,
        name: Some(output.clone()),
        output: vec![output],
        op_type: Some(operator.into()),
        ..NodeProto::default()
    }
}

/// Removes nodes that no output needs, and initializers that this leaves without a use.
pub(crate) fn remove_dead(graph: &mut GraphProto) {
    let mut needed = graph.output.iter().map(|output| output.name().to_owned()).collect::<HashSet<_>>();
    let mut kept = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|output| needed.contains(output)) {
            needed.extend(node.input.iter().cloned());
            node.attribute.iter().for_each(|attribute| collect_captured(attribute, &mut needed));
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    let inputs = graph.input.iter().map(|input| input.name().to_owned()).collect::<HashSet<_>>();
    graph.initializer.retain(|tensor| needed.contains(tensor.name()) || inputs.contains(tensor.name()));
    let made = graph.node.iter().flat_map(|node| node.output.iter().cloned()).collect::<HashSet<_>>();
    graph.value_info.retain(|info| made.contains(info.name()));
}

/// A subgraph may use any value of the graph around it.
fn collect_captured(attribute: &AttributeProto, needed: &mut HashSet<String>) {
    for graph in attribute.g.iter().map(Box::as_ref).chain(&attribute.graphs) {
        needed.extend(graph.output.iter().map(|output| output.name().to_owned()));
        for node in &graph.node {
            needed.extend(node.input.iter().cloned());
            node.attribute.iter().for_each(|inner| collect_captured(inner, needed));
        }
    }
}

#[cfg(test)]
mod tests;
