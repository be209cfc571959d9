//! Building a graph operator by operator: takes values, gives values, and at the end a [`ModelProto`].
//!
//! Names are deterministic: the scope, the operator and a count (`encoder.layer.0/MatMul_2`), so that the same model
//! always gives the same bytes. Called by [`super::architectures`].
//!
//! Operators: <https://onnx.ai/onnx/operators/>, opset [`OPSET`].

use std::collections::HashMap;
use std::sync::Arc;

use super::file::leave_open;
use super::proto::{
    AttributeProto, AttributeType, DataType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

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
    graph: GraphProto,
    scope: String,
    counts: HashMap<String, usize>,
    constants: HashMap<String, Value>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self {
            graph: GraphProto { name: Some(name.to_owned()), ..GraphProto::default() },
            scope: String::new(),
            counts: HashMap::new(),
            constants: HashMap::new(),
        }
    }

    /// Sets the prefix of the names of the nodes that follow.
    pub fn scope(&mut self, scope: impl Into<String>) {
        self.scope = scope.into();
    }

    /// Declares an input.
    pub fn input(&mut self, name: &str, element: DataType, dims: &[Dim]) -> Value {
        self.graph.input.push(value_info(name, element, dims));
        Value(name.into())
    }

    /// Declares an output; some node must give the value of that name (see [`Self::rename`]).
    pub fn output(&mut self, name: &str, element: DataType, dims: &[Dim]) {
        self.graph.output.push(value_info(name, element, dims));
    }

    /// Gives the value `from`, already made by a node, another name.
    pub fn rename(&mut self, from: &Value, to: &str) -> Value {
        for node in &mut self.graph.node {
            for name in node.input.iter_mut().chain(&mut node.output) {
                if name == from.name() {
                    to.clone_into(name);
                }
            }
        }
        Value(to.into())
    }

    /// An `f32` initializer whose data is given when the model is written.
    pub fn open_parameter(&mut self, name: &str, dims: &[usize]) -> Value {
        let mut tensor = tensor(name, DataType::Float, dims);
        leave_open(&mut tensor);
        self.graph.initializer.push(tensor);
        Value(name.into())
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
        self.graph.initializer.push(tensor);
        Value(name.into())
    }

    /// A scalar `f32`; equal ones are one initializer.
    pub fn scalar_f32(&mut self, value: f32) -> Value {
        self.constant(format!("scalar/{value:?}"), |graph, name| graph.tensor_f32(name, &[], &[value]))
    }

    /// A scalar `i64`; equal ones are one initializer.
    pub fn scalar_i64(&mut self, value: i64) -> Value {
        self.constant(format!("scalar_i64/{value}"), |graph, name| graph.tensor_i64(name, &[], &[value]))
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
        let value = make(self, &name);
        self.constants.insert(name, value.clone());
        value
    }

    /// Any ONNX operator with one output.
    pub fn node(&mut self, operator: &str, inputs: &[&Value], attributes: Vec<AttributeProto>) -> Value {
        let stem = if self.scope.is_empty() { operator.to_owned() } else { format!("{}/{operator}", self.scope) };
        let count = self.counts.entry(stem.clone()).or_default();
        let name = if *count == 0 { stem } else { format!("{stem}_{count}") };
        *count += 1;
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|input| input.name().to_owned()).collect(),
            output: vec![name.clone()],
            op_type: Some(operator.to_owned()),
            attribute: attributes,
            name: Some(name.clone()),
            ..NodeProto::default()
        });
        Value(name.into())
    }

    /// `a + b`, broadcast.
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Add", &[a, b], vec![])
    }

    /// `a - b`, broadcast.
    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Sub", &[a, b], vec![])
    }

    /// `a * b`, broadcast.
    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Mul", &[a, b], vec![])
    }

    /// `a / b`, broadcast.
    pub fn div(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Div", &[a, b], vec![])
    }

    /// The matrix product over the last two axes.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("MatMul", &[a, b], vec![])
    }

    /// Softmax over the last axis.
    pub fn softmax(&mut self, x: &Value) -> Value {
        self.node("Softmax", &[x], vec![attribute_int("axis", -1)])
    }

    /// Layer normalisation over the last axis: `(x - mean) / sqrt(variance + epsilon) * scale + bias`.
    pub fn layer_norm(&mut self, x: &Value, scale: &Value, bias: &Value, epsilon: f32) -> Value {
        let attributes = vec![attribute_int("axis", -1), attribute_float("epsilon", epsilon)];
        self.node("LayerNormalization", &[x, scale, bias], attributes)
    }

    /// The exact Gelu, `x/2 * (1 + erf(x / sqrt 2))`, in the form that the runtime knows how to fuse.
    /// <https://arxiv.org/abs/1606.08415>
    pub fn gelu(&mut self, x: &Value) -> Value {
        let (root, one, half) = (self.scalar_f32(std::f32::consts::SQRT_2), self.scalar_f32(1.0), self.scalar_f32(0.5));
        let scaled = self.div(x, &root);
        let erf = self.node("Erf", &[&scaled], vec![]);
        let shifted = self.add(&erf, &one);
        let product = self.mul(x, &shifted);
        self.mul(&product, &half)
    }

    /// The Gelu by tanh, `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`. <https://arxiv.org/abs/1606.08415>
    pub fn gelu_tanh(&mut self, x: &Value) -> Value {
        let root = self.scalar_f32((2.0 / std::f64::consts::PI).sqrt() as f32);
        let (cubic, one, half) = (self.scalar_f32(0.044715), self.scalar_f32(1.0), self.scalar_f32(0.5));
        let square = self.mul(x, x);
        let cube = self.mul(&square, x);
        let term = self.mul(&cube, &cubic);
        let sum = self.add(x, &term);
        let inner = self.mul(&sum, &root);
        let tanh = self.tanh(&inner);
        let shifted = self.add(&tanh, &one);
        let halved = self.mul(x, &half);
        self.mul(&halved, &shifted)
    }

    /// `tanh x`.
    pub fn tanh(&mut self, x: &Value) -> Value {
        self.node("Tanh", &[x], vec![])
    }

    /// `max(x, 0)`.
    pub fn relu(&mut self, x: &Value) -> Value {
        self.node("Relu", &[x], vec![])
    }

    /// `x * sigmoid(x)`. <https://arxiv.org/abs/1702.03118>
    pub fn silu(&mut self, x: &Value) -> Value {
        let sigmoid = self.node("Sigmoid", &[x], vec![]);
        self.mul(x, &sigmoid)
    }

    /// `x` with another shape; 0 keeps a dimension, -1 is what is left.
    pub fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.list_i64(shape);
        self.node("Reshape", &[x, &shape], vec![])
    }

    /// `x` with its axes in another order.
    pub fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[x], vec![attribute_ints("perm", order)])
    }

    /// The slices of `table` along `axis` that `indices` name.
    pub fn gather(&mut self, table: &Value, indices: &Value, axis: i64) -> Value {
        self.node("Gather", &[table, indices], vec![attribute_int("axis", axis)])
    }

    /// `x` with axes of size 1 put in.
    pub fn unsqueeze(&mut self, x: &Value, axes: &[i64]) -> Value {
        let axes = self.list_i64(axes);
        self.node("Unsqueeze", &[x, &axes], vec![])
    }

    /// `x` with elements of another type.
    pub fn cast(&mut self, x: &Value, element: DataType) -> Value {
        self.node("Cast", &[x], vec![attribute_int("to", element as i64)])
    }

    /// The size of one axis, a scalar `i64`.
    pub fn size(&mut self, x: &Value, axis: i64) -> Value {
        let shape = self.node("Shape", &[x], vec![]);
        let axis = self.scalar_i64(axis);
        self.gather(&shape, &axis, 0)
    }

    /// `0, 1, ..., size - 1` for a scalar `i64`.
    pub fn range(&mut self, size: &Value) -> Value {
        let (zero, one) = (self.scalar_i64(0), self.scalar_i64(1));
        self.node("Range", &[&zero, size, &one], vec![])
    }

    /// Running sum along `axis`.
    pub fn cumulative_sum(&mut self, x: &Value, axis: i64) -> Value {
        let axis = self.scalar_i64(axis);
        self.node("CumSum", &[x, &axis], vec![])
    }

    /// The whole model.
    pub fn finish(self) -> ModelProto {
        ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
            producer_name: Some("debut".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(self.graph),
            ..ModelProto::default()
        }
    }
}

/// An integer attribute.
pub fn attribute_int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// A list of integers as an attribute.
pub fn attribute_ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

/// A float attribute.
pub fn attribute_float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, AttributeType::Float) }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind as i32), ..AttributeProto::default() }
}

fn tensor(name: &str, element: DataType, dims: &[usize]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.iter().map(|dim| *dim as i64).collect(),
        data_type: Some(element as i32),
        ..TensorProto::default()
    }
}

fn value_info(name: &str, element: DataType, dims: &[Dim]) -> ValueInfoProto {
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
