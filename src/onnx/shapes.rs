//! What is known of a graph's values before it runs: takes a graph, gives the element type and the shape of its values,
//! as far as the rules of differentiation need them.
//!
//! A dimension is a number, a symbol (two values with the same symbol have the same size there) or unknown. Integers
//! that are computed from shapes inside the graph, as exporters do, are followed too ([`integers`]), so that
//! `Reshape(x, Concat(Shape(x)[0], -1, 12, 32))` has a shape. An operator that is not known here gives values of which
//! nothing is known, but for what the model declares of them.

mod integers;
mod layout;
mod operators;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use super::proto::{
    AttributeProto, DataType, DimensionValue, GraphProto, NodeProto, TensorProto, ValueInfoProto, type_proto,
};

/// One dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// Known.
    Fixed(i64),
    /// Known when the model runs; equal symbols are equal sizes.
    Named(Arc<str>),
    /// Not known, and not known to be equal to any other.
    Unknown,
}

impl Size {
    /// The number, where it is one.
    pub fn fixed(&self) -> Option<i64> {
        if let Self::Fixed(size) = self { Some(*size) } else { None }
    }

    /// Whether the two are the same size for sure.
    pub fn equals(&self, other: &Self) -> bool {
        *self != Self::Unknown && self == other
    }
}

/// What is known of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Type of its elements.
    pub element: Option<DataType>,
    /// Its dimensions, where at least their number is known.
    pub dims: Option<Vec<Size>>,
}

/// What is known of all values of a graph.
#[derive(Debug, Default)]
pub struct Shapes {
    known: HashMap<String, Known>,
    /// Elements of short integer tensors.
    integers: HashMap<String, Vec<Size>>,
}

/// Longest integer tensor whose elements are followed: shapes, axes and the like.
const LONGEST: i64 = 64;

impl Shapes {
    /// Of all values of `graph`, whose nodes must be in an order in which each follows what it reads.
    pub fn infer(graph: &GraphProto) -> Self {
        let mut shapes = Self::default();
        for info in &graph.input {
            let mut known = declared(info);
            known.name_unknown(info.name());
            shapes.known.insert(info.name().to_owned(), known);
        }
        for tensor in &graph.initializer {
            shapes.constant(tensor.name(), tensor);
        }
        let stated: HashMap<&str, &ValueInfoProto> =
            graph.value_info.iter().chain(&graph.output).map(|info| (info.name(), info)).collect();
        for node in &graph.node {
            shapes.node(node);
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                let Some(info) = stated.get(name.as_str()) else { continue };
                let known = shapes.known.entry(name.clone()).or_default();
                known.complete(declared(info));
                known.name_unknown(name);
            }
        }
        shapes
    }

    /// What is known of `value`.
    pub fn known(&self, value: &str) -> Known {
        self.known.get(value).cloned().unwrap_or_default()
    }

    /// Its dimensions, where their number is known.
    pub fn dims(&self, value: &str) -> Option<&[Size]> {
        self.known.get(value)?.dims.as_deref()
    }

    /// The number of its dimensions.
    pub fn rank(&self, value: &str) -> Option<usize> {
        self.dims(value).map(<[Size]>::len)
    }

    /// Type of its elements.
    pub fn element(&self, value: &str) -> Option<DataType> {
        self.known.get(value)?.element
    }

    /// Its elements, where it is a short tensor of integers that are all known.
    pub fn integers(&self, value: &str) -> Option<Vec<i64>> {
        self.integers.get(value)?.iter().map(Size::fixed).collect()
    }

    /// Whether it exists in the graph: as an input, an initializer or an output of a node.
    pub fn contains(&self, value: &str) -> bool {
        self.known.contains_key(value)
    }

    fn node(&mut self, node: &NodeProto) {
        let outputs = if matches!(node.domain(), "" | "ai.onnx" | "com.microsoft") {
            operators::outputs(self, node)
        } else {
            vec![]
        };
        let mut outputs = outputs.into_iter();
        for name in &node.output {
            let mut known = outputs.next().unwrap_or_default();
            known.name_unknown(name);
            if !name.is_empty() {
                self.known.insert(name.clone(), known);
            }
        }
        if let (Some(name), Some(elements)) = (node.output.first(), integers::elements(self, node))
            && elements.len() as i64 <= LONGEST
        {
            self.integers.insert(name.clone(), elements);
        }
    }

    fn constant(&mut self, name: &str, tensor: &TensorProto) {
        let dims = tensor.dims.iter().map(|dim| Size::Fixed(*dim)).collect();
        let element = DataType::try_from(tensor.data_type()).ok();
        self.known.insert(name.to_owned(), Known { element, dims: Some(dims) });
        if let Some(elements) = integers::of_tensor(tensor) {
            self.integers.insert(name.to_owned(), elements.into_iter().map(Size::Fixed).collect());
        }
    }
}

impl Known {
    /// Gives each dimension of `value` that is not known a symbol of its own: values that are computed from it element by
    /// element then have the same.
    fn name_unknown(&mut self, value: &str) {
        for (axis, size) in self.dims.iter_mut().flatten().enumerate() {
            if *size == Size::Unknown {
                *size = Size::Named(format!("?{value}/{axis}").into());
            }
        }
    }

    /// Adds what `other` knows of the same value and `self` does not.
    fn complete(&mut self, other: Self) {
        self.element = self.element.or(other.element);
        match (&mut self.dims, other.dims) {
            (Some(dims), Some(others)) if dims.len() == others.len() => {
                for (dim, other) in dims.iter_mut().zip(others) {
                    let own = matches!(dim, Size::Named(symbol) if symbol.starts_with('?'));
                    if (own && other != Size::Unknown) || (dim.fixed().is_none() && other.fixed().is_some()) {
                        *dim = other;
                    }
                }
            }
            (dims @ None, others) => *dims = others,
            _ => {}
        }
    }
}

fn declared(info: &ValueInfoProto) -> Known {
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Known::default();
    };
    let dims = tensor.shape.as_ref().map(|shape| {
        let size = |value: &Option<DimensionValue>| match value {
            Some(DimensionValue::DimValue(size)) => Size::Fixed(*size),
            Some(DimensionValue::DimParam(symbol)) if !symbol.is_empty() => Size::Named(symbol.as_str().into()),
            _ => Size::Unknown,
        };
        shape.dim.iter().map(|dim| size(&dim.value)).collect()
    });
    Known { element: DataType::try_from(tensor.elem_type()).ok().filter(|kind| *kind != DataType::Undefined), dims }
}

/// An attribute of `node` by its name.
pub fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name() == name)
}

/// An integer attribute of `node`, or what the operator takes without it.
pub fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).and_then(|attribute| attribute.i).unwrap_or(default)
}

/// A float attribute of `node`, or what the operator takes without it.
pub fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    attribute(node, name).and_then(|attribute| attribute.f).unwrap_or(default)
}

/// A string attribute of `node`.
pub fn string<'a>(node: &'a NodeProto, name: &str) -> Option<&'a str> {
    std::str::from_utf8(attribute(node, name)?.s.as_deref()?).ok()
}

/// A list attribute of `node`.
pub fn ints<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
    attribute(node, name).map(|attribute| attribute.ints.as_slice())
}

/// Axes of a node that takes them as its input number `input` in newer versions, as an attribute in older ones; `None`
/// where it has none or they are not constant.
pub fn axes(shapes: &Shapes, node: &NodeProto, input: usize) -> Option<Vec<i64>> {
    match node.input.get(input).filter(|name| !name.is_empty()) {
        Some(name) => shapes.integers(name),
        None => ints(node, "axes").map(<[i64]>::to_vec),
    }
}

/// `axis` counted from the front.
pub fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(axis).ok().filter(|axis| *axis < rank)
}

/// The shape that values of shapes `a` and `b` have together, aligned at the last axis.
pub fn broadcast(a: &[Size], b: &[Size]) -> Vec<Size> {
    let rank = a.len().max(b.len());
    let at = |dims: &[Size], axis: usize| {
        let missing = rank - dims.len();
        if axis < missing { Size::Fixed(1) } else { dims[axis - missing].clone() }
    };
    let one = |a: Size, b: Size| match (a, b) {
        (Size::Fixed(1), other) | (other, Size::Fixed(1)) => other,
        // The other can only be 1 or the same.
        (Size::Fixed(size), _) | (_, Size::Fixed(size)) => Size::Fixed(size),
        (a, b) if a.equals(&b) => a,
        _ => Size::Unknown,
    };
    (0..rank).map(|axis| one(at(a, axis), at(b, axis))).collect()
}
