//! A part of a graph once more, with inputs of its own and the same weights. Part of [`super`]; used for training, where
//! texts of different lengths go through copies of one encoder.

use std::collections::{HashMap, HashSet};

use super::edit::{reads, redirect_node};
use super::{GraphBuilder, Value};
use crate::onnx::proto::{DimensionValue, ValueInfoProto, type_proto};

impl GraphBuilder {
    /// Adds a copy of all that depends on `inputs`, declared inputs of the graph, and of these inputs. Every name gets
    /// `suffix` behind it, which must make it new, those of the inputs' dimensions too: the copy's may have other sizes. What
    /// does not depend on the inputs is shared. Gives the copy of `value`, or `value` itself where it is shared.
    pub fn copy(&mut self, inputs: &[String], suffix: &str, value: &Value) -> Value {
        self.sort();
        let mut copied = HashMap::new();
        let declared = self.graph.input.iter().filter(|info| inputs.iter().any(|name| name == info.name()));
        for mut info in declared.cloned().collect::<Vec<_>>() {
            let name = format!("{}{suffix}", info.name());
            self.taken.insert(name.clone());
            copied.insert(info.name().to_owned(), name.clone());
            info.name = Some(name);
            rename_dimensions(&mut info, suffix);
            self.graph.input.push(info);
        }
        let mut nodes = Vec::new();
        for node in &self.graph.node {
            let names = reads(node);
            let changed = names.into_iter().filter(|name| copied.contains_key(*name)).map(str::to_owned);
            let changed = changed.collect::<HashSet<_>>();
            if changed.is_empty() {
                continue;
            }
            let mut node = node.clone();
            for name in changed {
                redirect_node(&mut node, &name, &copied[&name]);
            }
            node.name = Some(format!("{}{suffix}", node.name()));
            self.taken.insert(node.name().to_owned());
            for output in node.output.iter_mut().filter(|name| !name.is_empty()) {
                let name = format!("{output}{suffix}");
                self.taken.insert(name.clone());
                copied.insert(std::mem::replace(output, name.clone()), name);
            }
            nodes.push(node);
        }
        self.graph.node.extend(nodes);
        copied.get(value.name()).map_or_else(|| value.clone(), |name| Value(name.as_str().into()))
    }
}

fn rename_dimensions(info: &mut ValueInfoProto, suffix: &str) {
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_mut().and_then(|kind| kind.value.as_mut()) else {
        return;
    };
    for dimension in tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim) {
        if let Some(DimensionValue::DimParam(name)) = &mut dimension.value {
            name.push_str(suffix);
        }
    }
}
