//! Versions that are kept as a delta: the base's weights stay as they are, and the graph adds LoRA's thin product to them.
//! The runtime computes the sum once, when it opens the graph.
//!
//! Takes a graph with such nodes, gives one whose weights are the sums ([`absorb`]), so that it can be trained like any other.
//! The nodes are made by `method::delta`.

use std::path::Path;

use super::error::Error;
use super::weights::{shape, values};
use crate::onnx::proto::{GraphProto, NodeProto, TensorProto};

/// In front of the names of everything that a delta adds.
pub(super) const SCOPE: &str = "delta/";
/// Behind the names of the nodes that add.
const SUM: &str = "/Add";

/// The name of a layer's trained factor, `A` or `B`.
pub(super) fn factor(linear: &str, letter: &str) -> String {
    format!("{SCOPE}{linear}/{letter}")
}

/// Puts the products that such nodes add into the weights; the nodes have no readers then.
///
/// # Errors
/// A factor or the weight is missing or cannot be read.
pub(super) fn absorb(graph: &mut GraphProto, folder: &Path) -> Result<(), Error> {
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

/// `W + A B * scale` for a weight stored `[from, to]`, or `[to, from]` where it is transposed.
pub(super) fn fold(weight: &mut [f32], transposed: bool, [from, to]: [usize; 2], a: &[f32], b: &[f32], scale: f32) {
    let (width, height) = (to, from);
    let rank = a.len() / height.max(1);
    let mut row = vec![0f64; width];
    for (from, a) in a.chunks_exact(rank).enumerate() {
        row.fill(0.0);
        for (a, b) in a.iter().zip(b.chunks_exact(width)) {
            for (sum, b) in row.iter_mut().zip(b) {
                *sum += f64::from(*a) * f64::from(*b);
            }
        }
        for (to, change) in row.iter().enumerate() {
            let place = if transposed { to * height + from } else { from * width + to };
            weight[place] = (f64::from(weight[place]) + change * f64::from(scale)) as f32;
        }
    }
}
