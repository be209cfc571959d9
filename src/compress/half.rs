//! Weights as half floats: takes a graph with `f32` weights, gives one that stores them in two bytes each and casts them when it
//! is opened, so that a CPU computes as before.

use std::path::Path;

use half::f16;

use crate::onnx::graph::GraphBuilder;
use crate::onnx::proto::{DataType, TensorProto};
use crate::train::failure::{Result, failed};
use crate::train::weights::{is_f32, shape, values};

/// Smaller ones are not worth a node.
const FEWEST_NUMBERS: usize = 64;

/// Whether an initializer is stored in halves: weights, not biases and norms, which are few and reach far.
pub(super) fn is_halved(tensor: &TensorProto) -> bool {
    let shape = shape(tensor);
    is_f32(tensor) && shape.len() > 1 && shape.iter().product::<usize>() >= FEWEST_NUMBERS
}

/// Stores the weights of `graph` as halves; those with numbers that no half can hold stay. `folder` is where their data is.
///
/// # Errors
/// A weight cannot be read.
pub(super) fn halve(graph: &mut GraphBuilder, folder: &Path) -> Result<()> {
    let tensors = graph.graph().initializer.iter().filter(|tensor| is_halved(tensor));
    let names = tensors.map(|tensor| tensor.name().to_owned()).collect::<Vec<_>>();
    let scope = graph.scope("half");
    for name in names {
        let Some(tensor) = graph.take_initializer(&name) else { continue };
        let halves = values(&tensor, folder).map_err(failed)?.into_iter().map(f16::from_f32).collect::<Vec<_>>();
        if !halves.iter().all(|half| half.is_finite()) {
            graph.add_initializer(tensor);
            continue;
        }
        // Some exporters list initializers among the inputs, as defaults.
        graph.take_input(&name);
        let old = graph.value(&name);
        let stored = graph.add_initializer(TensorProto {
            name: Some(format!("{name}/half")),
            dims: tensor.dims.clone(),
            data_type: Some(DataType::Float16 as i32),
            raw_data: Some(halves.iter().flat_map(|half| half.to_le_bytes()).collect::<Vec<_>>().into()),
            ..TensorProto::default()
        });
        let cast = graph.cast(&stored, DataType::Float);
        graph.redirect(&old, &cast, &[]);
    }
    graph.scope(scope);
    Ok(())
}
