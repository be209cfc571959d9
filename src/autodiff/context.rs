//! What a rule sees of the node that it differentiates, and the nodes that several rules add.

use super::Error;
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::proto::{DataType, NodeProto};
use crate::onnx::shapes::{Shapes, Size};

/// A node to pass the gradient through.
pub(super) struct Context<'a> {
    pub(super) graph: &'a mut GraphBuilder,
    pub(super) shapes: &'a Shapes,
    pub(super) node: &'a NodeProto,
    /// Of each output.
    gradients: &'a [Option<Value>],
    /// Of each input, whether its gradient is needed.
    wanted: &'a [bool],
}

impl<'a> Context<'a> {
    pub(super) fn new(
        graph: &'a mut GraphBuilder,
        shapes: &'a Shapes,
        node: &'a NodeProto,
        gradients: &'a [Option<Value>],
        wanted: &'a [bool],
    ) -> Self {
        Self { graph, shapes, node, gradients, wanted }
    }

    /// The input at `index`, if it is given.
    pub(super) fn optional(&self, index: usize) -> Option<Value> {
        self.node.input.get(index).filter(|name| !name.is_empty()).map(|name| self.graph.value(name))
    }

    /// The input at `index`, which the operator asks for.
    pub(super) fn input(&self, index: usize) -> Result<Value, Error> {
        self.optional(index).ok_or_else(|| self.unsupported(&format!("its input {index} is missing")))
    }

    /// The first output.
    pub(super) fn output(&self) -> Value {
        self.graph.value(&self.node.output[0])
    }

    /// A further output, which the node gives from now on.
    pub(super) fn output_at(&mut self, index: usize) -> Result<Value, Error> {
        let first = self.output();
        let value = self.graph.output_of(&first, index);
        value.ok_or_else(|| self.unsupported("its node is gone from the graph"))
    }

    /// Gradient of the first output.
    pub(super) fn gradient(&self) -> Result<Value, Error> {
        self.gradient_of(0).ok_or_else(|| self.unsupported("the loss does not depend on its first output"))
    }

    /// Gradient of the output at `index`, where the loss depends on it.
    pub(super) fn gradient_of(&self, index: usize) -> Option<Value> {
        self.gradients.get(index).cloned().flatten()
    }

    /// Whether the gradient of the input at `index` is needed.
    pub(super) fn wants(&self, index: usize) -> bool {
        self.wanted.get(index).copied().unwrap_or(false)
    }

    /// Dimensions of a value of the forward graph.
    pub(super) fn dims(&self, value: &Value) -> Result<&'a [Size], Error> {
        self.shapes.dims(value.name()).ok_or_else(|| Error::UnknownRank {
            operator: operator_name(self.node),
            node: self.node.name().to_owned(),
            value: value.name().to_owned(),
        })
    }

    /// Number of dimensions of a value of the forward graph.
    pub(super) fn rank(&self, value: &Value) -> Result<usize, Error> {
        self.dims(value).map(<[Size]>::len)
    }

    /// An error that names this node.
    pub(super) fn unsupported(&self, reason: &str) -> Error {
        Error::Unsupported {
            operator: operator_name(self.node),
            node: self.node.name().to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// A number with the element type of `like`, a value of the forward graph.
    pub(super) fn scalar(&mut self, number: f32, like: &Value) -> Value {
        let scalar = self.graph.scalar_f32(number);
        self.typed(&scalar, like)
    }

    /// `value`, whose elements are `f32`, with the element type of `like`.
    pub(super) fn typed(&mut self, value: &Value, like: &Value) -> Value {
        match self.shapes.element(like.name()) {
            None | Some(DataType::Float) => value.clone(),
            Some(element) => self.graph.cast(value, element),
        }
    }

    /// `value` times a number, for values whose element type is that of `like`.
    pub(super) fn times(&mut self, value: &Value, number: f32, like: &Value) -> Value {
        let number = self.scalar(number, like);
        self.graph.mul(value, &number)
    }

    /// The shape of a value of the forward graph, as a tensor: constant where it is known.
    pub(super) fn shape(&mut self, value: &Value) -> Value {
        let fixed: Option<Vec<i64>> =
            self.shapes.dims(value.name()).and_then(|dims| dims.iter().map(Size::fixed).collect());
        match fixed {
            Some(dims) => self.graph.list_i64(&dims),
            None => self.graph.node("Shape", &[value], vec![]),
        }
    }

    /// `gradient`, with the elements in the shape of the forward value `like`.
    pub(super) fn reshape_as(&mut self, gradient: &Value, like: &Value) -> Value {
        let dims = self.shapes.dims(like.name());
        let known: Option<Vec<i64>> = dims.and_then(|dims| {
            let open = dims.iter().filter(|size| size.fixed().is_none()).count();
            // An empty axis beside one that is not known would make -1 ambiguous.
            let single = open <= 1 && (open == 0 || !dims.contains(&Size::Fixed(0)));
            single.then(|| dims.iter().map(|size| size.fixed().unwrap_or(-1)).collect())
        });
        match known {
            Some(dims) if !dims.contains(&0) => self.graph.reshape(gradient, &dims),
            _ => {
                let shape = self.shape(like);
                self.graph.node("Reshape", &[gradient, &shape], vec![])
            }
        }
    }

    /// `gradient` repeated to the shape of the forward value `like`.
    pub(super) fn expand_as(&mut self, gradient: &Value, like: &Value) -> Value {
        let shape = self.shape(like);
        self.graph.node("Expand", &[gradient, &shape], vec![])
    }

    /// Zeros in the shape and type of the forward value `like`.
    pub(super) fn zeros(&mut self, like: &Value) -> Value {
        let zero = self.scalar(0.0, like);
        self.expand_as(&zero, like)
    }

    /// Sum over `axes`, which stay as 1 if `keep`.
    pub(super) fn sum(&mut self, value: &Value, axes: &[i64], keep: bool) -> Value {
        let axes = self.graph.list_i64(axes);
        let keep = crate::onnx::graph::attribute_int("keepdims", i64::from(keep));
        self.graph.node("ReduceSum", &[value, &axes], vec![keep])
    }

    /// `gradient` where `condition` holds, 0 elsewhere. `like` gives the element type.
    pub(super) fn only_where(&mut self, condition: &Value, gradient: &Value, like: &Value) -> Value {
        let zero = self.scalar(0.0, like);
        self.graph.node("Where", &[condition, gradient, &zero], vec![])
    }
}

/// The operator of a node, with its domain where it is not ONNX's own.
pub(super) fn operator_name(node: &NodeProto) -> String {
    match node.domain() {
        "" | "ai.onnx" => node.op_type().to_owned(),
        domain => format!("{domain}.{}", node.op_type()),
    }
}
