//! Two graphs as one: takes the graph of an encoder of texts and that of an encoder of pictures, gives one graph with the
//! inputs of both and the outputs of both.
//!
//! The names of everything but the inputs get the name of their part in front, so that those of the parts cannot meet.

use super::graph::GraphBuilder;
use super::proto::{
    Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto,
    type_proto,
};
use super::{Error, Result};

/// In front of the names of the encoder of texts.
pub const TEXT: &str = "text/";
/// In front of the names of the encoder of pictures.
pub const IMAGE: &str = "image/";
/// The input of a graph that reads both which says which texts are there, `f32 [batch, 1]` of 1 and 0.
pub const HAS_TEXT: &str = "has_text";
/// As [`HAS_TEXT`], of pictures.
pub const HAS_IMAGE: &str = "has_image";

/// The dimension that the parts share: rows.
const BATCH: &str = "batch";

/// A name within a part of a joined graph, without the part's; another name as it is.
pub fn within_part(name: &str) -> (Option<&'static str>, &str) {
    let part = [TEXT, IMAGE].into_iter().find(|part| name.starts_with(part));
    (part, part.map_or(name, |part| &name[part.len()..]))
}

/// The graph of `text` and `image`.
///
/// # Errors
/// They are written in versions of operators that cannot be brought together, or in functions of their own.
pub fn join(text: ModelProto, image: ModelProto) -> Result<ModelProto> {
    let [text, image] = same_opset([text, image].map(GraphBuilder::from_model))?;
    let parts = [(text.finish(), TEXT), (image.finish(), IMAGE)];
    let mut joined: Option<ModelProto> = None;
    for (mut model, part) in parts {
        if !model.functions.is_empty() {
            let reason = format!("that of the {} encoder has functions of its own", part.trim_end_matches('/'));
            return Err(Error::Join { reason });
        }
        let mut graph = model.graph.take().unwrap_or_default();
        prefix(&mut graph, part);
        match &mut joined {
            None => joined = Some(ModelProto { graph: Some(graph), ..model }),
            Some(joined) => {
                joined.ir_version = joined.ir_version.max(model.ir_version);
                for set in model.opset_import {
                    let same = |known: &&OperatorSetIdProto| known.domain() == set.domain();
                    match joined.opset_import.iter().find(same) {
                        None => joined.opset_import.push(set),
                        Some(known) if known.version == set.version => {}
                        Some(known) => {
                            let (domain, versions) = (set.domain(), [known.version(), set.version()]);
                            let reason = format!("they use versions {versions:?} of the operators of '{domain}'");
                            return Err(Error::Join { reason });
                        }
                    }
                }
                let whole = joined.graph.get_or_insert_default();
                whole.node.append(&mut graph.node);
                whole.initializer.append(&mut graph.initializer);
                whole.sparse_initializer.append(&mut graph.sparse_initializer);
                whole.input.append(&mut graph.input);
                whole.output.append(&mut graph.output);
                whole.value_info.append(&mut graph.value_info);
                whole.quantization_annotation.clear();
            }
        }
    }
    Ok(joined.unwrap_or_default())
}

/// Both graphs in the newer of their versions of the ONNX operators.
fn same_opset([mut text, mut image]: [GraphBuilder; 2]) -> Result<[GraphBuilder; 2]> {
    let versions = [text.opset(), image.opset()];
    let newest = versions[0].max(versions[1]);
    if text.raise_opset(newest) && image.raise_opset(newest) {
        return Ok([text, image]);
    }
    let reason = format!("they are written in versions {} and {} of the ONNX operators", versions[0], versions[1]);
    Err(Error::Join { reason })
}

/// Puts `part` in front of all names of a graph but those of its inputs.
fn prefix(graph: &mut GraphProto, part: &str) {
    // Some exporters list initializers among the inputs, as defaults.
    let initializers: Vec<String> = graph.initializer.iter().map(|tensor| tensor.name().to_owned()).collect();
    graph.input.retain(|input| !initializers.iter().any(|name| name == input.name()));
    let inputs: Vec<String> = graph.input.iter().map(|input| input.name().to_owned()).collect();
    let rename = |name: &mut String| {
        if !name.is_empty() && !inputs.contains(name) {
            name.insert_str(0, part);
        }
    };
    let mut declared: Vec<ValueInfoProto> = std::mem::take(&mut graph.input);
    rename_graph(graph, &rename);
    for info in declared.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        rename_dimensions(info, part);
    }
    graph.input = declared;
}

fn rename_graph(graph: &mut GraphProto, rename: &dyn Fn(&mut String)) {
    let tensors = graph.sparse_initializer.iter_mut().filter_map(|sparse| sparse.values.as_mut());
    let tensors: Vec<&mut TensorProto> = tensors.chain(&mut graph.initializer).collect();
    tensors.into_iter().filter_map(|tensor| tensor.name.as_mut()).for_each(rename);
    let infos = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
    infos.filter_map(|info| info.name.as_mut()).for_each(rename);
    graph.node.iter_mut().for_each(|node| rename_node(node, rename));
}

fn rename_node(node: &mut NodeProto, rename: &dyn Fn(&mut String)) {
    node.input.iter_mut().chain(&mut node.output).chain(&mut node.name).for_each(rename);
    for attribute in &mut node.attribute {
        let graphs = attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs);
        graphs.for_each(|graph| rename_graph(graph, rename));
    }
}

/// Sizes of the two parts have nothing to do with each other, but for the number of rows.
fn rename_dimensions(info: &mut ValueInfoProto, part: &str) {
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_mut().and_then(|kind| kind.value.as_mut()) else {
        return;
    };
    for Dimension { value, .. } in tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim) {
        if let Some(DimensionValue::DimParam(name)) = value
            && name != BATCH
        {
            name.insert_str(0, part);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::onnx::graph::Dim;
    use crate::onnx::proto::DataType;

    /// `y = tanh(w + x)` of an input of this name.
    fn model(input: &str) -> ModelProto {
        let mut graph = GraphBuilder::new("part");
        let x = graph.input(input, DataType::Float, &[Dim::Named("batch"), Dim::Named("sequence")]);
        let w = graph.tensor_f32("w", &[1], &[2.0]);
        let sum = graph.add(&w, &x);
        let y = graph.tanh(&sum);
        let y = graph.rename(&y, "y");
        graph.output(y.name(), DataType::Float, &[Dim::Named("batch"), Dim::Named("sequence")]);
        graph.finish()
    }

    #[test]
    fn names_of_two_parts_do_not_meet() {
        let joined = join(model("x"), model("pixels")).unwrap();
        let graph = joined.graph.unwrap();
        let nodes: Vec<String> =
            graph.node.iter().map(|node| format!("{} -> {}", node.input.join(" "), node.output[0])).collect();
        assert_eq!(
            nodes,
            ["text/w x -> text/Add", "text/Add -> text/y", "image/w pixels -> image/Add", "image/Add -> image/y"]
        );
        assert_eq!(graph.input.iter().map(ValueInfoProto::name).collect::<Vec<_>>(), ["x", "pixels"]);
        assert_eq!(within_part("image/w"), (Some(IMAGE), "w"));
        assert_eq!(within_part("w"), (None, "w"));
    }

    #[test]
    fn versions_that_cannot_be_brought_together_are_named() {
        let of = |version: i64| {
            let mut model = model("x");
            model.opset_import[0].version = Some(version);
            model
        };
        assert_eq!(join(of(13), of(17)).unwrap().opset_import[0].version, Some(17));
        let message = join(of(17), of(20)).unwrap_err().to_string();
        assert!(message.contains("versions 17 and 20 of the ONNX operators"), "{message}");
    }
}
