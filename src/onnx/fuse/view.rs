//! A graph seen from its values: who makes one, who uses it, and what it is if it is a constant.

use std::collections::HashMap;

use crate::onnx::proto::{DataType, GraphProto, NodeProto, TensorProto};

/// One element of a shape that is computed in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// A constant; 0 and -1 as in `Reshape`.
    Constant(i64),
    /// The size of this axis of some value.
    Axis(i64),
}

/// Look-ups over a graph.
pub(super) struct View<'a> {
    pub(super) graph: &'a GraphProto,
    makers: HashMap<&'a str, usize>,
    uses: HashMap<&'a str, Vec<usize>>,
    initializers: HashMap<&'a str, &'a TensorProto>,
}

impl<'a> View<'a> {
    pub(super) fn new(graph: &'a GraphProto) -> Self {
        let mut makers = HashMap::new();
        let mut uses: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in graph.node.iter().enumerate() {
            makers.extend(node.output.iter().map(|output| (output.as_str(), index)));
            for input in &node.input {
                uses.entry(input).or_default().push(index);
            }
        }
        let initializers = graph.initializer.iter().map(|tensor| (tensor.name(), tensor)).collect();
        Self { graph, makers, uses, initializers }
    }

    /// The node that makes `value`, if it is an ONNX operator.
    pub(super) fn maker(&self, value: &str) -> Option<&'a NodeProto> {
        self.makers.get(value).map(|index| &self.graph.node[*index]).filter(|node| is_standard(node))
    }

    /// The node that makes `value`, if it is this operator.
    pub(super) fn made_by(&self, value: &str, operator: &str) -> Option<&'a NodeProto> {
        self.maker(value).filter(|node| node.op_type() == operator)
    }

    /// The only node that uses the only output of `node`, if it is this operator; with its index.
    pub(super) fn only_user(&self, node: &NodeProto, operator: &str) -> Option<(usize, &'a NodeProto)> {
        let [output] = node.output.as_slice() else { return None };
        let Some([index]) = self.uses.get(output.as_str()).map(Vec::as_slice) else { return None };
        let user = &self.graph.node[*index];
        let is_output = self.graph.output.iter().any(|info| info.name() == output);
        (!is_output && is_standard(user) && user.op_type() == operator).then_some((*index, user))
    }

    /// Whether `value` is an input with elements of this type and this rank.
    pub(super) fn is_input(&self, value: &str, element: DataType, rank: usize) -> bool {
        use crate::onnx::proto::type_proto::Value::TensorType;
        self.graph.input.iter().filter(|info| info.name() == value).any(|info| {
            let Some(TensorType(tensor)) = info.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
                return false;
            };
            tensor.elem_type() == element as i32 && tensor.shape.as_ref().is_some_and(|shape| shape.dim.len() == rank)
        })
    }

    /// Shape of an initializer, or of one that is stored in another type and cast.
    pub(super) fn dims(&self, value: &str) -> Option<&'a [i64]> {
        let stored = || self.initializers.get(self.made_by(value, "Cast")?.input.first()?.as_str());
        self.initializers.get(value).or_else(stored).map(|tensor| tensor.dims.as_slice())
    }

    fn constant(&self, value: &str) -> Option<&'a TensorProto> {
        let from_node = || {
            let node = self.made_by(value, "Constant")?;
            node.attribute.iter().find(|attribute| attribute.name() == "value")?.t.as_deref()
        };
        self.initializers.get(value).copied().or_else(from_node)
    }

    /// A constant of one `f32` element.
    pub(super) fn scalar(&self, value: &str) -> Option<f32> {
        let tensor = self.constant(value)?;
        let single = tensor.dims.iter().all(|dim| *dim == 1);
        if !single || tensor.data_type() != DataType::Float as i32 {
            return None;
        }
        match &tensor.raw_data {
            Some(raw) => Some(f32::from_le_bytes(raw.as_ref().try_into().ok()?)),
            None => tensor.float_data.first().copied(),
        }
    }

    /// A constant of `i64` elements.
    pub(super) fn integers(&self, value: &str) -> Option<Vec<i64>> {
        let tensor = self.constant(value)?;
        if tensor.data_type() != DataType::Int64 as i32 || tensor.dims.iter().product::<i64>() > 8 {
            return None;
        }
        match &tensor.raw_data {
            Some(raw) => {
                let (elements, []) = raw.as_chunks::<8>() else { return None };
                Some(elements.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect())
            }
            None => Some(tensor.int64_data.clone()),
        }
    }

    /// The elements of a shape: a constant, or put together from sizes of axes as exporters do.
    pub(super) fn extents(&self, shape: &str) -> Option<Vec<Extent>> {
        if let Some(constants) = self.integers(shape) {
            return Some(constants.into_iter().map(Extent::Constant).collect());
        }
        let node = self.maker(shape)?;
        match node.op_type() {
            "Concat" => node.input.iter().map(|part| self.extent(part)).collect(),
            "Reshape" if self.integers(node.input.get(1)?)? == [-1] => self.extents(&node.input[0]),
            // How exporters make the -1 of `expand` a 1: `Where(shape == -1, ones, shape)`.
            "Where" if self.made_by(&node.input[0], "Equal")?.input.first() == node.input.get(2) => {
                self.extents(&node.input[2])
            }
            _ => None,
        }
    }

    /// One size: a constant, or an element of a value's shape, in whatever wrapping.
    fn extent(&self, value: &str) -> Option<Extent> {
        if let Some([constant]) = self.integers(value).as_deref() {
            return Some(Extent::Constant(*constant));
        }
        let node = self.maker(value)?;
        let input = node.input.first()?;
        match node.op_type() {
            "Unsqueeze" | "Squeeze" | "Cast" => self.extent(input),
            "Gather" if self.made_by(input, "Shape")?.attribute.is_empty() => {
                match self.integers(node.input.get(1)?)?.as_slice() {
                    [axis] => Some(Extent::Axis(*axis)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn is_standard(node: &NodeProto) -> bool {
    matches!(node.domain(), "" | "ai.onnx")
}

/// An integer attribute of `node`.
pub(super) fn int(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute.iter().find(|attribute| attribute.name() == name)?.i
}

/// Whether `node` is a `Transpose` with this order of axes.
pub(super) fn transposes(node: &NodeProto, order: &[i64]) -> bool {
    let perm = node.attribute.iter().find(|attribute| attribute.name() == "perm");
    node.op_type() == "Transpose" && perm.is_some_and(|attribute| attribute.ints == order)
}
