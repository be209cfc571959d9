//! Versions that are kept as a delta: the base's weights stay as they are, and the graph adds LoRA's thin product to them.
//! The runtime computes the sum once, when it opens the graph.
//!
//! Takes a linear layer and its trained factors, gives nodes ([`beside`]); takes a graph with such nodes, gives one whose
//! weights are the sums ([`absorb`]), so that it can be trained like any other. Called by `lora` and `adalora`, and by
//! `train::encoder` when a version is opened.

use std::path::Path;

use super::lora::fold;
use super::modules::Linear;
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::proto::{GraphProto, NodeProto, TensorProto};
use crate::train::error::Error;
use crate::train::weights::{shape, values};

/// In front of the names of everything that a delta adds.
const SCOPE: &str = "delta/";
const SUM: &str = "/Add";

/// Makes the readers of a layer's weight read `W + A B * scale`.
pub(super) fn beside(graph: &mut GraphBuilder, linear: &Linear, a: &[f32], b: &[f32], scale: f32) {
    let rank = a.len() / linear.from;
    let before = graph.scope(format!("{SCOPE}{}", linear.name));
    let scaled = a.iter().map(|value| value * scale).collect::<Vec<_>>();
    let a = graph.tensor_f32(&factor(&linear.name, "A"), &[linear.from, rank], &scaled);
    let b = graph.tensor_f32(&factor(&linear.name, "B"), &[rank, linear.to], b);
    let mut product = graph.matmul(&a, &b);
    if linear.transposed {
        product = graph.transpose(&product, &[1, 0]);
    }
    let weight = graph.value(&linear.weight);
    let sum: Value = graph.add(&weight, &product);
    graph.redirect(&weight, &sum, &[sum.name()]);
    graph.scope(before);
}

fn factor(linear: &str, letter: &str) -> String {
    format!("{SCOPE}{linear}/{letter}")
}

/// Puts the products that [`beside`] added into the weights; the nodes have no readers then.
///
/// # Errors
/// A factor or the weight is missing or cannot be read.
pub(crate) fn absorb(graph: &mut GraphProto, folder: &Path) -> Result<(), Error> {
    let is_sum = |node: &&NodeProto| node.name().starts_with(SCOPE) && node.name().ends_with(SUM);
    let sums = graph.node.iter().filter(is_sum).cloned().collect::<Vec<_>>();
    for node in sums {
        let ([weight, product], [output]) = (node.input.as_slice(), node.output.as_slice()) else { continue };
        let linear = node.name().trim_start_matches(SCOPE).trim_end_matches(SUM);
        let a = find(graph, &factor(linear, "A"))?;
        let b = find(graph, &factor(linear, "B"))?;
        let ([from, _], [_, to]) = (shape(a).try_into().unwrap_or([0; 2]), shape(b).try_into().unwrap_or([0; 2]));
        let (a, b) = (values(a, folder)?, values(b, folder)?);
        let transposed = graph.node.iter().any(|node| node.op_type() == "Transpose" && node.output.contains(product));
        let old = find(graph, weight)?;
        let mut sum = values(old, folder)?;
        fold(&mut sum, transposed, [from, to], &a, &b, 1.0);
        let raw = sum.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let new = TensorProto {
            raw_data: Some(raw.into()),
            data_location: None,
            external_data: Vec::new(),
            float_data: Vec::new(),
            ..old.clone()
        };
        graph.initializer.iter_mut().filter(|tensor| tensor.name() == weight).for_each(|tensor| *tensor = new.clone());
        let readers = graph.node.iter_mut().flat_map(|node| &mut node.input);
        readers.filter(|input| *input == output).for_each(|input| input.clone_from(weight));
    }
    Ok(())
}

fn find<'a>(graph: &'a GraphProto, name: &str) -> Result<&'a TensorProto, Error> {
    let missing = || Error::Tensor { tensor: name.to_owned(), reason: "the graph has no such initializer".into() };
    graph.initializer.iter().find(|tensor| tensor.name() == name).ok_or_else(missing)
}
