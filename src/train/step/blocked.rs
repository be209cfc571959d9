//! Convolutions in blocks of channels: takes a model for the CPU, gives one of the same values that the runtime runs faster.
//!
//! ONNX Runtime lays channels out in blocks as wide as the CPU's vectors, `[batch, channels / block, height, width, block]`, and has
//! convolutions for that layout, but uses them by itself only where weights are constant. While training they are inputs, or
//! made from what is (the gradients' convolutions): here the same operators are written out.
//! <https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/optimizer/nchwc_transformer.cc>

use std::collections::{HashMap, HashSet};

use ort::environment::Environment;
use ort::session::Session;
use ort::value::Tensor;
use prost::Message;

use crate::onnx::fuse::remove_dead;
use crate::onnx::graph::{Dim, GraphBuilder, Value, attribute_int, attribute_string, reads};
use crate::onnx::proto::{AttributeProto, DataType, ModelProto, NodeProto};
use crate::onnx::shapes::{Shapes, int};

/// The runtime's own operators for that layout.
const DOMAIN: &str = "com.microsoft.nchwc";
/// Fewest channels that the runtime puts in blocks; what it gives for them is one block.
const LEAST: usize = 4;

/// Writes `model`'s convolutions in blocks, those whose weights are not constant and which gain by it.
///
/// # Errors
/// The runtime has no such operators.
pub(super) fn block(model: &ModelProto, environment: &Environment) -> Result<ModelProto, ort::Error> {
    let Some(graph) = &model.graph else { return Ok(model.clone()) };
    let shapes = Shapes::infer(graph);
    let constant: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name()).collect();
    let given: HashSet<&str> = graph.output.iter().map(|output| output.name()).collect();
    let convolutions = graph.node.iter().filter(|node| {
        matches!((node.domain(), node.op_type()), ("" | "ai.onnx", "Conv"))
            && !constant.contains(node.input[1].as_str())
            && !given.contains(node.output[0].as_str())
    });
    let convolutions = convolutions.filter_map(|node| Some((node, Filter::of(node, &shapes)?))).collect::<Vec<_>>();
    if convolutions.is_empty() {
        return Ok(model.clone());
    }
    let size = block_size(environment)?;
    let mut builder = GraphBuilder::from_model(model.clone());
    builder.scope("blocked");
    // What a value is in blocks, so that a convolution after a convolution takes what that gave.
    let mut blocks = HashMap::new();
    for (node, filter) in convolutions.into_iter().filter(|(_, filter)| filter.fits(size)) {
        let relu = sole_reader(&graph.node, &node.output[0]).filter(|reader| {
            matches!((reader.domain(), reader.op_type()), ("" | "ai.onnx", "Relu"))
                && !given.contains(reader.output[0].as_str())
        });
        let x = builder.value(&node.input[0]);
        let x = blocks.entry(x.clone()).or_insert_with(|| reorder(&mut builder, &x)).clone();
        let weights = builder.value(&node.input[1]);
        let weights = filter.blocked(&mut builder, &weights, size);
        let bias = node.input.get(2).filter(|name| !name.is_empty()).map(|name| builder.value(name));
        let bias = bias.map(|bias| filter.filled_bias(&mut builder, &bias, size));
        let mut attributes = node.attribute.clone();
        if matches!(filter.sees, Sees::Own) {
            attributes.retain(|attribute| attribute.name() != "group");
            attributes.push(attribute_int("group", filter.filled(size)));
        }
        if relu.is_some() {
            attributes.push(attribute_string("activation", "Relu"));
        }
        let old = builder.value(&relu.unwrap_or(node).output[0]);
        let y = operator(&mut builder, "Conv", &[Some(&x), Some(&weights), bias.as_ref()], attributes);
        let channels = vec![attribute_int("channels", filter.to)];
        let plain = operator(&mut builder, "ReorderOutput", &[Some(&y)], channels);
        builder.redirect(&old, &plain, &[]);
        blocks.insert(old, y);
    }
    let mut model = builder.finish();
    if let Some(graph) = &mut model.graph {
        remove_dead(graph);
    }
    Ok(model)
}

/// `x` in blocks.
fn reorder(graph: &mut GraphBuilder, x: &Value) -> Value {
    operator(graph, "ReorderInput", &[Some(x)], vec![])
}

fn operator(graph: &mut GraphBuilder, name: &str, inputs: &[Option<&Value>], attributes: Vec<AttributeProto>) -> Value {
    graph.node_with(DOMAIN, name, inputs, 1, attributes).remove(0)
}

/// The one node that reads a value.
fn sole_reader<'a>(nodes: &'a [NodeProto], value: &str) -> Option<&'a NodeProto> {
    let mut readers = nodes.iter().filter(|node| reads(node).contains(&value));
    readers.next().filter(|_| readers.next().is_none())
}

/// The weights of a convolution over two axes.
struct Filter {
    /// Output channels.
    to: i64,
    sees: Sees,
}

/// What an output channel sees.
enum Sees {
    /// So many input channels, all there are, through a kernel of that height and width.
    All { from: i64, height: i64, width: i64 },
    /// The input channel of its own number.
    Own,
}

impl Filter {
    /// Those of a convolution that runs faster in blocks: of single places the runtime's matrix product is as fast as it is.
    fn of(node: &NodeProto, shapes: &Shapes) -> Option<Self> {
        let name = &node.input[1];
        let [to, from, height, width] = shapes.dims(name)? else { return None };
        let (to, from) = (to.fixed()?, from.fixed()?);
        let sees = match int(node, "group", 1) {
            1 => Sees::All { from, height: height.fixed()?, width: width.fixed()? },
            group if group == to && from == 1 => Sees::Own,
            _ => return None,
        };
        let single = matches!(sees, Sees::All { height: 1, width: 1, .. });
        let gains = !single && shapes.element(name) == Some(DataType::Float);
        gains.then_some(Self { to, sees })
    }

    /// Whether the channels fill blocks; of those that are each by themselves the runtime fills the last block up.
    fn fits(&self, size: i64) -> bool {
        size > LEAST as i64
            && match self.sees {
                Sees::All { from, .. } => self.to % size == 0 && from % size == 0,
                Sees::Own => self.to % LEAST as i64 == 0,
            }
    }

    /// How many output channels there are in whole blocks.
    fn filled(&self, size: i64) -> i64 {
        (self.to + size - 1) / size * size
    }

    fn filled_bias(&self, graph: &mut GraphBuilder, bias: &Value, size: i64) -> Value {
        let missing = self.filled(size) - self.to;
        if missing == 0 {
            return bias.clone();
        }
        let pads = graph.list_i64(&[0, missing]);
        graph.node("Pad", &[bias, &pads], vec![])
    }

    /// The weights `[to, from, ...]` as `[to / size, from / size, ..., size (from), size (to)]`, in their old shape.
    fn blocked(&self, graph: &mut GraphBuilder, weights: &Value, size: i64) -> Value {
        match self.sees {
            Sees::All { from, height, width } => {
                let apart = graph.reshape(weights, &[self.to / size, size, from / size, size, height, width]);
                let blocked = graph.transpose(&apart, &[0, 2, 4, 5, 3, 1]);
                graph.reshape(&blocked, &[self.to, from, height, width])
            }
            Sees::Own => {
                // The outputs are as the channels of a picture.
                let turned = graph.transpose(weights, &[1, 0, 2, 3]);
                let blocked = reorder(graph, &turned);
                graph.transpose(&blocked, &[1, 0, 2, 3])
            }
        }
    }
}

/// How many channels the runtime has in a block on this CPU: what a few are filled up to; as many as they are where it has none.
pub(super) fn block_size(environment: &Environment) -> Result<i64, ort::Error> {
    let mut graph = GraphBuilder::new("block size");
    let x = graph.input("x", DataType::Float, &[1, LEAST, 1, 1].map(Dim::Fixed));
    let y = reorder(&mut graph, &x);
    graph.rename(&y, "y");
    graph.output("y", DataType::Float, &[Dim::Fixed(1), Dim::Named("channels"), Dim::Fixed(1), Dim::Fixed(1)]);
    let mut session = Session::builder(environment)?.commit_from_memory(&graph.finish().encode_to_vec())?;
    let x = Tensor::from_array(([1, LEAST, 1, 1], vec![0.0f32; LEAST]))?;
    let outputs = session.run(ort::inputs!["x" => x])?;
    let channels = outputs.get("y").and_then(|y| y.try_extract_tensor::<f32>().ok()).map(|(shape, _)| shape[1]);
    Ok(channels.unwrap_or(LEAST as i64))
}
