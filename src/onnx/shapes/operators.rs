//! Types and shapes of what each operator gives: a line per operator. Part of [`super`].

use super::layout::{self, concat, expand, flatten, reshape, slice, split, squeeze, transpose, unsqueeze};
use super::{Known, Shapes, Size, attribute, axis_of, broadcast, int};
use crate::onnx::proto::{DataType, NodeProto};

/// Of each output of `node`; fewer or empty where nothing is known.
pub(super) fn outputs(shapes: &Shapes, node: &NodeProto) -> Vec<Known> {
    let input = |index: usize| node.input.get(index).map(|name| shapes.known(name)).unwrap_or_default();
    let one = |element: Option<DataType>, dims: Option<Vec<Size>>| vec![Known { element, dims }];
    let element = input(0).element;
    match node.op_type() {
        "Abs" | "Acos" | "Asin" | "Atan" | "BatchNormalization" | "Ceil" | "Celu" | "Clip" | "Cos" | "CumSum"
        | "Elu" | "Erf" | "Exp" | "FastGelu" | "Floor" | "Gelu" | "HardSigmoid" | "HardSwish" | "Identity"
        | "LeakyRelu" | "Log" | "LogSoftmax" | "Mish" | "Neg" | "Not" | "PRelu" | "QuickGelu" | "Reciprocal"
        | "Relu" | "Round" | "ScatterElements" | "ScatterND" | "Selu" | "Sigmoid" | "Sign" | "Sin" | "Softmax"
        | "Softplus" | "Softsign" | "Sqrt" | "Tan" | "Tanh" | "Trilu" => vec![input(0)],
        "IsNaN" | "IsInf" => one(Some(DataType::Bool), input(0).dims),
        "Cast" => one(DataType::try_from(int(node, "to", 0) as i32).ok(), input(0).dims),
        "CastLike" => one(input(1).element, input(0).dims),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "Max" | "Min" | "Sum" | "Mean" | "And" | "Or" | "Xor" => {
            one(element, together(shapes, node, 0))
        }
        "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => {
            one(Some(DataType::Bool), together(shapes, node, 0))
        }
        "Where" => one(input(1).element.or(input(2).element), together(shapes, node, 0)),
        "Dropout" => {
            vec![input(0), Known { element: Some(DataType::Bool), dims: input(0).dims }]
        }
        "LayerNormalization" => normalization(input(0), int(node, "axis", -1)),
        "MatMul" => one(element, product(input(0).dims, input(1).dims, [false; 2])),
        "FusedMatMul" | "Gemm" => {
            let transposed = [int(node, "transA", 0) != 0, int(node, "transB", 0) != 0];
            one(element, product(input(0).dims, input(1).dims, transposed))
        }
        "Constant" => vec![constant(node)],
        "ConstantOfShape" => {
            let value = attribute(node, "value").and_then(|attribute| attribute.t.as_ref());
            let element = value.map_or(Some(DataType::Float), |tensor| DataType::try_from(tensor.data_type()).ok());
            one(element, layout::of_elements(shapes, node.input.first()))
        }
        "Shape" => one(Some(DataType::Int64), Some(vec![shapes_rank(shapes, node)])),
        "Size" => one(Some(DataType::Int64), Some(vec![])),
        "Range" => one(element, Some(vec![range(shapes, node)])),
        "NonZero" => {
            let rank = input(0).dims.map_or(Size::Unknown, |dims| Size::Fixed(dims.len() as i64));
            one(Some(DataType::Int64), Some(vec![rank, Size::Unknown]))
        }
        "ArgMax" | "ArgMin" => {
            let axes = Some(vec![int(node, "axis", 0)]);
            one(Some(DataType::Int64), layout::reduce(input(0).dims, axes, int(node, "keepdims", 1) != 0))
        }
        operator if operator.starts_with("Reduce") => one(element, layout::reduction(shapes, node)),
        "Transpose" => one(element, transpose(shapes, node)),
        "Reshape" => one(element, reshape(shapes, node)),
        "Flatten" => one(element, flatten(shapes, node)),
        "Squeeze" => one(element, squeeze(shapes, node)),
        "Unsqueeze" => one(element, unsqueeze(shapes, node)),
        "Expand" => one(element, expand(shapes, node)),
        "Concat" => one(element, concat(shapes, node)),
        "Slice" => one(element, slice(shapes, node)),
        "Pad" => one(element, layout::pad(shapes, node)),
        "Split" => split(shapes, node).into_iter().map(|dims| Known { element, dims }).collect(),
        "Gather" => one(element, gather(input(0).dims, input(1).dims, int(node, "axis", 0))),
        "GatherElements" => one(element, input(1).dims),
        "GatherND" => one(element, gather_nd(input(0).dims, input(1).dims, int(node, "batch_dims", 0))),
        "Conv" => one(element, layout::window(shapes, node, input(1).dims.and_then(|dims| dims.first().cloned()))),
        "MaxPool" | "AveragePool" | "LpPool" => {
            let channels = input(0).dims.and_then(|dims| dims.get(1).cloned());
            let dims = layout::window(shapes, node, channels);
            vec![Known { element, dims: dims.clone() }, Known { element: Some(DataType::Int64), dims }]
        }
        "GlobalAveragePool" | "GlobalMaxPool" => {
            let spread = |dims: Vec<Size>| {
                dims.into_iter().enumerate().map(|(axis, size)| if axis < 2 { size } else { Size::Fixed(1) }).collect()
            };
            one(element, input(0).dims.map(spread))
        }
        _ => vec![],
    }
}

/// The shape of all inputs from `first` on, broadcast.
fn together(shapes: &Shapes, node: &NodeProto, first: usize) -> Option<Vec<Size>> {
    let mut dims = vec![];
    for name in node.input.iter().skip(first) {
        dims = broadcast(&dims, shapes.dims(name)?);
    }
    Some(dims)
}

/// How many numbers there are from 0 to the limit in steps of 1.
fn range(shapes: &Shapes, node: &NodeProto) -> Size {
    let single =
        |index: usize| match node.input.get(index).and_then(|name| shapes.integers.get(name)).map(Vec::as_slice) {
            Some([size]) => size.clone(),
            _ => Size::Unknown,
        };
    if single(0) == Size::Fixed(0) && single(2) == Size::Fixed(1) { single(1) } else { Size::Unknown }
}

fn shapes_rank(shapes: &Shapes, node: &NodeProto) -> Size {
    let plain = attribute(node, "start").is_none() && attribute(node, "end").is_none();
    let rank = node.input.first().and_then(|name| shapes.rank(name));
    rank.filter(|_| plain).map_or(Size::Unknown, |rank| Size::Fixed(rank as i64))
}

fn constant(node: &NodeProto) -> Known {
    let dims = |dims: &[i64]| Some(dims.iter().map(|dim| Size::Fixed(*dim)).collect());
    for attribute in &node.attribute {
        let (element, dims) = match attribute.name() {
            "value" => match &attribute.t {
                Some(tensor) => (DataType::try_from(tensor.data_type()).ok(), dims(&tensor.dims)),
                None => continue,
            },
            "value_int" => (Some(DataType::Int64), dims(&[])),
            "value_ints" => (Some(DataType::Int64), dims(&[attribute.ints.len() as i64])),
            "value_float" => (Some(DataType::Float), dims(&[])),
            "value_floats" => (Some(DataType::Float), dims(&[attribute.floats.len() as i64])),
            _ => continue,
        };
        return Known { element, dims };
    }
    Known::default()
}

/// The normalised value, and mean and inverse deviation with the normalised axes as 1.
fn normalization(x: Known, axis: i64) -> Vec<Known> {
    let statistics = x.dims.clone().and_then(|dims| {
        let axis = axis_of(axis, dims.len())?;
        let ones = dims.iter().enumerate().map(|(at, size)| if at < axis { size.clone() } else { Size::Fixed(1) });
        Some(ones.collect())
    });
    let statistics = Known { element: Some(DataType::Float), dims: statistics };
    vec![x, statistics.clone(), statistics]
}

/// A matrix product over the last two axes; a list is a row on the left, a column on the right.
fn product(a: Option<Vec<Size>>, b: Option<Vec<Size>>, transposed: [bool; 2]) -> Option<Vec<Size>> {
    let (mut a, mut b) = (a?, b?);
    let (row, column) = (a.len() == 1, b.len() == 1);
    if row {
        a.insert(0, Size::Fixed(1));
    }
    if column {
        b.push(Size::Fixed(1));
    }
    let (rows, columns) = (a.len().checked_sub(2)?, b.len().checked_sub(2)?);
    let mut dims = broadcast(&a[..rows], &b[..columns]);
    if !row {
        dims.push(a[rows + usize::from(transposed[0])].clone());
    }
    if !column {
        dims.push(b[columns + usize::from(!transposed[1])].clone());
    }
    Some(dims)
}

fn gather(data: Option<Vec<Size>>, indices: Option<Vec<Size>>, axis: i64) -> Option<Vec<Size>> {
    let (mut data, indices) = (data?, indices?);
    let axis = axis_of(axis, data.len())?;
    data.splice(axis..=axis, indices);
    Some(data)
}

fn gather_nd(data: Option<Vec<Size>>, indices: Option<Vec<Size>>, batch: i64) -> Option<Vec<Size>> {
    let (data, mut indices) = (data?, indices?);
    let depth = usize::try_from(indices.pop()?.fixed()?).ok()?;
    indices.extend(data.get(usize::try_from(batch).ok()? + depth..)?.iter().cloned());
    Some(indices)
}
