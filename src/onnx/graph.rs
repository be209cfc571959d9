//! Building a graph operator by operator: takes values, gives values, and at the end a [`ModelProto`]. It starts empty or
//! from a model, whose nodes can then be added to and rearranged ([`edit`]).
//!
//! Names are deterministic: the scope, the operator and a count (`encoder.layer.0/MatMul_2`), so that the same model
//! always gives the same bytes.
//!
//! Operators: <https://onnx.ai/onnx/operators/>, opset [`OPSET`].

mod attributes;
mod copy;
mod edit;
mod operators;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::file::leave_open;
use super::proto::{
    AttributeProto, DataType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

pub use attributes::{attribute_float, attribute_int, attribute_ints, attribute_string};
pub use edit::{Mark, reads};

/// Version of the ONNX operators that is written: the first with `LayerNormalization`.
pub const OPSET: i64 = 17;
/// Version of the format that is written: the one of [`OPSET`].
pub const IR_VERSION: i64 = 8;

/// Name of a value in a graph under construction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Value(Arc<str>);

impl Value {
    /// Its name in the graph.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A dimension of an input or output.
#[derive(Debug, Clone, Copy)]
pub enum Dim {
    /// Known.
    Fixed(usize),
    /// Known when the model runs; equal names are equal sizes.
    Named(&'static str),
}

/// A graph under construction.
#[derive(Debug)]
pub struct GraphBuilder {
    /// Everything but the graph.
    model: ModelProto,
    graph: GraphProto,
    scope: String,
    counts: HashMap<String, usize>,
    constants: HashMap<String, Value>,
    /// Names of values and nodes that a new one must not have.
    taken: HashSet<String>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self::from_model(ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
            producer_name: Some("debut".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(GraphProto { name: Some(name.to_owned()), ..GraphProto::default() }),
            ..ModelProto::default()
        })
    }

    /// Goes on with a graph that is there already. Nodes and initializers that are added get names that it does not use;
    /// what else the model holds (metadata, operator sets, functions) is kept.
    pub fn from_model(mut model: ModelProto) -> Self {
        let graph = model.graph.take().unwrap_or_default();
        let mut taken = HashSet::new();
        taken.extend(graph.input.iter().map(|info| info.name().to_owned()));
        taken.extend(graph.initializer.iter().map(|tensor| tensor.name().to_owned()));
        edit::collect_names(&graph.node, &mut taken);
        Self { model, graph, scope: String::new(), counts: HashMap::new(), constants: HashMap::new(), taken }
    }

    /// The graph as it is now.
    pub fn graph(&self) -> &GraphProto {
        &self.graph
    }

    /// Version of the ONNX operators that the graph is written in.
    pub fn opset(&self) -> i64 {
        let standard = self.model.opset_import.iter().filter(|set| matches!(set.domain(), "" | "ai.onnx"));
        standard.filter_map(|set| set.version).max().unwrap_or(OPSET)
    }

    /// A value by its name: an input, an initializer, or what some node gives.
    pub fn value(&self, name: &str) -> Value {
        Value(name.into())
    }

    /// Sets the prefix of the names of the nodes that follow, and gives the one that was.
    pub fn scope(&mut self, scope: impl Into<String>) -> String {
        std::mem::replace(&mut self.scope, scope.into())
    }

    /// Declares an input.
    pub fn input(&mut self, name: &str, element: DataType, dims: &[Dim]) -> Value {
        self.taken.insert(name.to_owned());
        self.graph.input.push(value_info(name, element, dims));
        Value(name.into())
    }

    /// Declares an output; some node must give the value of that name (see [`Self::rename`]).
    pub fn output(&mut self, name: &str, element: DataType, dims: &[Dim]) {
        self.graph.output.push(value_info(name, element, dims));
    }

    /// An `f32` initializer whose data is given when the model is written.
    pub fn open_parameter(&mut self, name: &str, dims: &[usize]) -> Value {
        let mut tensor = tensor(name, DataType::Float, dims);
        leave_open(&mut tensor);
        self.add_initializer(tensor)
    }

    /// An initializer as it is.
    pub fn add_initializer(&mut self, tensor: TensorProto) -> Value {
        let value = Value(tensor.name().into());
        self.taken.insert(tensor.name().to_owned());
        self.graph.initializer.push(tensor);
        value
    }

    /// An `f32` initializer.
    pub fn tensor_f32(&mut self, name: &str, dims: &[usize], elements: &[f32]) -> Value {
        let bytes = elements.iter().flat_map(|element| element.to_le_bytes()).collect::<Vec<_>>();
        self.initializer(name, DataType::Float, dims, bytes)
    }

    /// An `i64` initializer.
    pub fn tensor_i64(&mut self, name: &str, dims: &[usize], elements: &[i64]) -> Value {
        let bytes = elements.iter().flat_map(|element| element.to_le_bytes()).collect::<Vec<_>>();
        self.initializer(name, DataType::Int64, dims, bytes)
    }

    fn initializer(&mut self, name: &str, element: DataType, dims: &[usize], bytes: Vec<u8>) -> Value {
        let tensor = TensorProto { raw_data: Some(bytes.into()), ..tensor(name, element, dims) };
        self.add_initializer(tensor)
    }

    /// A scalar `f32`; equal ones are one initializer.
    pub fn scalar_f32(&mut self, value: f32) -> Value {
        self.constant(format!("scalar/{value:?}"), |graph, name| graph.tensor_f32(name, &[], &[value]))
    }

    /// A scalar `i64`; equal ones are one initializer.
    pub fn scalar_i64(&mut self, value: i64) -> Value {
        self.constant(format!("scalar_i64/{value}"), |graph, name| graph.tensor_i64(name, &[], &[value]))
    }

    /// A scalar `u8`; equal ones are one initializer.
    pub fn scalar_u8(&mut self, value: u8) -> Value {
        self.constant(format!("scalar_u8/{value}"), |graph, name| {
            graph.initializer(name, DataType::Uint8, &[], vec![value])
        })
    }

    /// A list of `f32`; equal ones are one initializer.
    pub fn list_f32(&mut self, values: &[f32]) -> Value {
        let text = values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join("_");
        self.constant(format!("list_f32/{text}"), |graph, name| graph.tensor_f32(name, &[values.len()], values))
    }

    /// A list of `i64`; equal ones are one initializer.
    pub fn list_i64(&mut self, values: &[i64]) -> Value {
        let text = values.iter().map(i64::to_string).collect::<Vec<_>>().join("_");
        self.constant(format!("list/{text}"), |graph, name| graph.tensor_i64(name, &[values.len()], values))
    }

    fn constant(&mut self, name: String, make: impl FnOnce(&mut Self, &str) -> Value) -> Value {
        if let Some(value) = self.constants.get(&name) {
            return value.clone();
        }
        let free = self.free_name(&name);
        let value = make(self, &free);
        self.constants.insert(name, value.clone());
        value
    }

    /// Any ONNX operator with one output.
    pub fn node(&mut self, operator: &str, inputs: &[&Value], attributes: Vec<AttributeProto>) -> Value {
        let inputs = inputs.iter().map(|input| input.name().to_owned()).collect();
        let name = self.push("", operator, inputs, 1, attributes);
        Value(name.into())
    }

    /// Any operator of any domain, which is imported if it is not yet; `None` is an optional input left out.
    pub fn node_with(
        &mut self,
        domain: &str,
        operator: &str,
        inputs: &[Option<&Value>],
        outputs: usize,
        attributes: Vec<AttributeProto>,
    ) -> Vec<Value> {
        let standard = matches!(domain, "" | "ai.onnx");
        if !standard && !self.model.opset_import.iter().any(|set| set.domain() == domain) {
            // The only version that the domains of ONNX Runtime have.
            self.model.opset_import.push(OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(1) });
        }
        let inputs = inputs.iter().map(|input| input.map_or(String::new(), |value| value.name().to_owned())).collect();
        let name = self.push(domain, operator, inputs, outputs, attributes);
        (0..outputs).map(|index| Value(output_name(&name, index).into())).collect()
    }

    fn push(
        &mut self,
        domain: &str,
        operator: &str,
        input: Vec<String>,
        outputs: usize,
        attribute: Vec<AttributeProto>,
    ) -> String {
        let stem = if self.scope.is_empty() { operator.to_owned() } else { format!("{}/{operator}", self.scope) };
        let name = self.free_name(&stem);
        let output: Vec<_> = (0..outputs).map(|index| output_name(&name, index)).collect();
        self.taken.extend(output.iter().cloned());
        self.graph.node.push(NodeProto {
            input,
            output,
            op_type: Some(operator.to_owned()),
            domain: (!domain.is_empty()).then(|| domain.to_owned()),
            attribute,
            name: Some(name.clone()),
            ..NodeProto::default()
        });
        name
    }

    /// `stem`, or with the first count behind it that makes it new.
    fn free_name(&mut self, stem: &str) -> String {
        loop {
            let count = self.counts.entry(stem.to_owned()).or_default();
            let name = if *count == 0 { stem.to_owned() } else { format!("{stem}_{count}") };
            *count += 1;
            if !self.taken.contains(&name) {
                return name;
            }
        }
    }

    /// The whole model; its nodes are in an order in which each follows what it reads.
    pub fn finish(mut self) -> ModelProto {
        self.sort();
        ModelProto { graph: Some(self.graph), ..self.model }
    }
}

fn output_name(node: &str, index: usize) -> String {
    if index == 0 { node.to_owned() } else { format!("{node}:{index}") }
}

fn tensor(name: &str, element: DataType, dims: &[usize]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.iter().map(|dim| *dim as i64).collect(),
        data_type: Some(element as i32),
        ..TensorProto::default()
    }
}

/// What is declared of an input or output.
pub(crate) fn value_info(name: &str, element: DataType, dims: &[Dim]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .map(|dim| {
            let value = match dim {
                Dim::Fixed(size) => DimensionValue::DimValue(*size as i64),
                Dim::Named(name) => DimensionValue::DimParam((*name).to_owned()),
            };
            Dimension { value: Some(value), denotation: None }
        })
        .collect();
    let tensor = type_proto::Tensor { elem_type: Some(element as i32), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), denotation: None }),
        ..ValueInfoProto::default()
    }
}
